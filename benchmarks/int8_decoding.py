"""Beam search of a translator with 8-bit matrix products, compared with float32.

    python -m benchmarks.int8_decoding RUN SOURCE REFERENCE [--lines 1000] [--repeats 3]

Every matrix product of the network is replaced by torch's dynamically quantized product on oneDNN:
weights in 8 bits with one scale per row, activations in 8 bits with one scale per batch. That is an
upper bound of what 8 bits could gain: with one scale per batch a translation depends on the others
of its batch, which seqlm does not allow, and one scale per line is slower. Runs on one thread.
Prints sentences per second of both, their ratio, the BLEU of both and how many translations differ.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.commands import lines_of
from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.translation.translation_search import translate
from seqlm.evaluation.translation_quality import bleu
from seqlm.models.layers import linear
from seqlm.runs.loading.load_translators import LoadedTranslator, load_translators
from seqlm.runs.loading.locate import locate

FLOAT32 = linear.linear


class QuantizedLinear:
    """Replaces `linear.linear`; weights are packed when they are first used."""

    def __init__(self) -> None:
        self.packed: dict[tuple[int, torch.Size], object] = {}

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        key = weight.data_ptr(), weight.shape
        if key not in self.packed:
            w = weight.detach().clone()  # a tensor made in inference mode cannot be packed
            scales = (w.abs().amax(1) / 127).clamp(min=1e-12)
            zeros = torch.zeros(len(w), dtype=torch.long)
            rows = torch.quantize_per_channel(w, scales, zeros, 0, torch.qint8)
            added = None if bias is None else bias.detach().clone()
            self.packed[key] = torch.ops.quantized.linear_prepack(rows, added)
        y: Tensor = torch.ops.quantized.linear_dynamic(x.contiguous(), self.packed[key])
        return y


def timed(
    translator: LoadedTranslator, lines: list[str], product: object
) -> tuple[list[str], float]:
    """The translations, and sentences per second."""
    linear.linear = product  # type: ignore[assignment]
    started = time.perf_counter()
    results = list(translate(*translator, lines, TranslationSettings(beam=5)))
    translations = [result.best.text for result in results]
    return translations, len(lines) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("source", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.quantized.engine = "onednn"
    translator = load_translators([locate(options.run, "translation")])
    lines, references = (
        lines_of(file)[: options.lines] for file in (options.source, options.reference)
    )
    quantized = QuantizedLinear()
    for product in (FLOAT32, quantized):  # a first run, not counted
        timed(translator, lines[:64], product)
    pairs = [
        (timed(translator, lines, FLOAT32), timed(translator, lines, quantized))
        for _ in range(options.repeats)
    ]
    (exact, _), (rough, _) = pairs[0]
    rates = [median(run[which][1] for run in pairs) for which in (0, 1)]
    ratio = median(fast / slow for (_, slow), (_, fast) in pairs)
    print(f"float32 {rates[0]:.1f} sentences/s, BLEU {bleu(exact, references).score:.2f}")
    print(f"int8 {rates[1]:.1f} sentences/s, BLEU {bleu(rough, references).score:.2f}")
    differ = sum(one != other for one, other in zip(exact, rough, strict=True))
    print(f"int8 is {ratio:.2f} times as quick; {differ} of {len(lines)} translations differ")


if __name__ == "__main__":
    main()
