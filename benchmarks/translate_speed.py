"""The speed of translation: greedy search and a beam, in batches and one by one, from a state and
without one.

    python -m benchmarks.translate_speed RUN SOURCE TARGET [--lines 1000] [--plain 50] [--threads 1]

RUN is a translator, SOURCE a text to translate, TARGET its reference. Prints sentences per second
of the processor, the median of `--runs`, which are interleaved: in batches of 64 by greedy search
and by beams, with and without a threshold and factors of bfloat16, each with its BLEU; then with a
beam of 5 one by one, and by a plain decoder on `--plain` of the lines, which encodes the source
once, keeps no other state, and at every step reads all prefixes from their start. Then prints how
many translations differ between the three, and by how much their scores differ: in float32 a sum
depends on the rest of the batch, so that a tie may be decided either way.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.commands import lines_of
from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.translation.sentence_batches import encode_lines
from seqlm.decoding.translation.translation_search import EXTRA_TOKENS, translate
from seqlm.evaluation.translation_quality import bleu
from seqlm.machine.device import describe_device
from seqlm.models.base import TranslationNetwork
from seqlm.models.tree import select
from seqlm.runs.loading.load_translators import LoadedTranslator, load_translators
from seqlm.runs.loading.locate import locate
from seqlm.text.vocabulary import EOS

BEAM = "beam 5"
SEARCHES = {
    "greedy": TranslationSettings(beam=1),
    "greedy, bfloat16": TranslationSettings(beam=1, precision="bfloat16"),
    "beam 3, threshold 1": TranslationSettings(beam=3, beam_threshold=1),
    "beam 3, threshold 1, bfloat16": TranslationSettings(
        beam=3, beam_threshold=1, precision="bfloat16"
    ),
    "beam 5, threshold 1": TranslationSettings(beam=5, beam_threshold=1),
    BEAM: TranslationSettings(beam=5),
}


class Hypothesis(NamedTuple):
    tokens: list[int]
    score: float
    text: str = ""


@torch.inference_mode()
def plain(model: TranslationNetwork, source: list[int], search: TranslationSettings) -> Hypothesis:
    """The best translation of one sentence, by `encode` once and `forward` on whole prefixes."""
    lengths = torch.tensor([len(source)], device=model.device)
    encoded_source = model.encode(torch.tensor([source], device=model.device), lengths)
    limit = int(search.max_length_ratio * len(source)) + EXTRA_TOKENS
    alive: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[Hypothesis] = []
    for length in range(1, limit + 1):
        cache = select(
            encoded_source, torch.zeros(len(alive), dtype=torch.long, device=model.device)
        )
        prefixes = torch.tensor([[EOS, *tokens] for _, tokens in alive], device=model.device)
        log_probs = model.output_layer.log_probs(
            model(prefixes, cache).features[:, -1]
        )  # (rows, V)
        scores = torch.tensor([[q] for q, _ in alive], dtype=torch.float64, device=model.device)
        totals = (scores + log_probs).flatten()
        best = totals.topk(min(2 * search.beam, len(totals)))
        ranked = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        longer = []
        for rank, (q, index) in enumerate(ranked):
            row, token = divmod(index, log_probs.shape[1])
            tokens = [*alive[row][1], token]
            if token != EOS:
                longer.append((q, tokens))
            elif rank < search.beam:
                ended.append(Hypothesis(tokens, q / length**search.length_penalty))
        alive = longer[: search.beam]
        bound = alive[0][0] / limit**search.length_penalty
        if ended and max(hypothesis.score for hypothesis in ended) >= bound:
            break
    cut = [Hypothesis(tokens, q / len(tokens) ** search.length_penalty) for q, tokens in alive]
    return max(ended or cut, key=lambda hypothesis: hypothesis.score)


def fast(
    translator: LoadedTranslator, lines: list[str], batch_size: int, search: TranslationSettings
) -> Iterator[Hypothesis]:
    for translation in translate(*translator, lines, search, batch_size):
        best = translation.best
        yield Hypothesis(best.tokens, best.score, best.text)


def timed(hypotheses: Iterator[Hypothesis]) -> tuple[list[Hypothesis], float]:
    """The hypotheses, and the processor's seconds."""
    started = time.process_time()
    return list(hypotheses), time.process_time() - started


def differing(first: list[Hypothesis], second: list[Hypothesis]) -> str:
    """How many hypotheses differ, and the largest difference between two scores."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a.tokens != b.tokens]
    difference = max((abs(a.score - b.score) for a, b in pairs), default=0.0)
    return f"{len(pairs)} of {len(first)} differ, their scores by {difference:.1e} at most"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--plain", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cpu")
    translator = load_translators([locate(options.run, "translation")], device)
    pairs = zip(lines_of(options.source), lines_of(options.target), strict=True)
    lines, references = zip(*[pair for pair in pairs if pair[0].strip()][: options.lines])
    machine = f"torch {torch.__version__}, {describe_device(device)}"
    print(f"{machine}, {len(lines)} lines")

    seconds: dict[str, list[float]] = {name: [] for name in SEARCHES}
    found: dict[str, list[Hypothesis]] = {}
    for run in range(options.runs + 1):
        for name, search in SEARCHES.items():
            part = lines if run else lines[:64]  # a first run, not counted
            found[name], spent = timed(fast(translator, list(part), 64, search))
            seconds[name] += [spent] if run else []
    for name, times in seconds.items():
        rate = len(lines) / statistics.median(times)
        score = bleu([hypothesis.text for hypothesis in found[name]], references).value
        print(f"{name}, batches of 64: {rate:.1f} sentences/s, BLEU {score:.2f}", flush=True)

    model = translator.model
    assert isinstance(model, TranslationNetwork)
    quick = statistics.median(seconds[BEAM])
    single, slow = timed(fast(translator, list(lines), 1, SEARCHES[BEAM]))
    print(f"{BEAM}, one by one: {len(lines) / slow:.1f} sentences/s", flush=True)
    sample = range(0, len(lines), max(1, len(lines) // options.plain))[: options.plain]
    sentences = encode_lines(translator.source_tokenizer, [lines[at] for at in sample], 0)
    again, slowest = timed(plain(model, sentence.tokens, SEARCHES[BEAM]) for sentence in sentences)
    rate = len(again) / slowest
    print(
        f"every prefix again: {rate:.1f} sentences/s, on {len(again)} of the lines, evenly spread"
    )
    print(f"against that: batches {len(lines) / quick / rate:.1f} times as quick,", end=" ")
    print(f"one by one {len(lines) / slow / rate:.1f} times")
    print(f"64 against 1: {differing(found[BEAM], single)}")
    print(f"64 against every prefix again: {differing([found[BEAM][at] for at in sample], again)}")


if __name__ == "__main__":
    main()
