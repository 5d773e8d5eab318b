"""How good a translator is: BLEU and chrF of what it writes, perplexity of what it should write.

    c, r   tokens of all translations, and of all references
    p_n    share of the translations' n-grams that the references have too, n = 1 .. 4
    P, R   shares of character n-grams, of the translations and of the references, mean of 1 .. 6

    BLEU  =  100 min(1, exp(1 - r/c)) (p_1 p_2 p_3 p_4)^(1/4)
    chrF  =  100 (1 + 2^2) P R / (2^2 P + R)
    ppl   =  exp(-1/N sum_i ln p(token i | source, target before))      N tokens, `</s>` included

Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation"; Popović
2015, "chrF: character n-gram F-score for automatic MT evaluation". Both are sacrebleu's: they
depend on how text is cut into tokens, on case and on smoothing, so that each comes with a signature
that tells (Post 2018, "A call for clarity in reporting BLEU scores"). The perplexity, and every
other figure of `perplexity.py`, is a language model's whose context is the source as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqlm import __version__
from seqlm.decoding.sentence_batches import is_blank
from seqlm.decoding.translation_search import Search, score_targets, translate
from seqlm.errors import DataError, UsageError
from seqlm.evaluation import exposure, perplexity
from seqlm.evaluation.perplexity import Tally
from seqlm.progress import Progress, silent
from seqlm.runs.load_model import LoadedModel, combine_translators
from seqlm.text.bitext import Side, check_line_counts
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS


class Figure(NamedTuple):
    """A number, and what it depends on: only figures with equal signatures can be compared."""

    score: float
    signature: str


# ------------------------------------------------------------------------- against a reference


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Figure:
    """Corpus BLEU of raw lines, 0 to 100: cased, cut into tokens as mteval-v13a does.

    Errors: UsageError where sacrebleu is not installed.
    """
    return measured("BLEU", hypotheses, references, force=True)  # cut into tokens already or not


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Figure:
    """Corpus chrF2 of raw lines, 0 to 100; white space does not count. Errors: as `bleu`."""
    return measured("CHRF", hypotheses, references)


def measured(
    name: str, hypotheses: Sequence[str], references: Sequence[str], **options: bool
) -> Figure:
    assert len(hypotheses) == len(references), "a translation has one reference"
    try:
        from sacrebleu import metrics
    except ImportError:
        raise UsageError("BLEU and chrF need a library: pip install 'seqlm[translate]'") from None
    metric = getattr(metrics, name)(**options)
    score = metric.corpus_score(hypotheses, [references]).score
    return Figure(score, str(metric.get_signature()))


OF_TEXT = {"bleu": bleu, "chrf": chrf}
"""Figures of what was written, by the names `--metric` takes."""
METRICS = (*OF_TEXT, *perplexity.METRICS, *exposure.FIGURES)
"""All that can be asked of a translator."""

# ---------------------------------------------------------------------------------- of a model


class Evaluation(NamedTuple):
    figures: dict[str, Figure]
    tally: Tally  # of the target
    source: Tally  # counts alone: nothing predicts the source


def evaluate(
    runs: Sequence[LoadedModel],
    source: Side,
    target: Side,
    wanted: Sequence[str],
    search: Search,
    batch_size: int = 64,
    progress: Progress = silent,
    oracle: LoadedModel | None = None,
    seed: int = 1,
) -> Evaluation:
    """The figures `wanted` of a translator, or of several together, on all pairs of lines, blank
    ones too.

    BLEU and chrF are of the best translation of each source line, found as `search` says; exposure
    is judged by `oracle`, on targets that the model samples from `seed`.
    Errors: DataError where the sides have not as many lines, or there is nothing in them;
    ModelError where a run cannot translate, or not with the others.
    """
    model, reads, writes = combine_translators(runs)
    lines, references = aligned(source, target)
    tally, ids = counted(target, writes)
    given, read = counted(source, reads)
    figures = {}
    if set(wanted) & set(perplexity.METRICS):
        scores: list[float] = []
        pairs = zip(lines, references)
        for done, scored in enumerate(
            score_targets(
                model, reads, writes, pairs, batch_size, max_input_length=search.max_input_length
            )
        ):
            scores += scored.log_probs
            progress("scoring the target", (done + 1) / len(lines))
        tally.add_scores(ids, np.array(scores))
    if set(wanted) & set(OF_TEXT):
        hypotheses = []
        for translation in translate(model, reads, writes, lines, search, batch_size):
            hypotheses.append(translation.found[0].text)
            progress("translating", len(hypotheses) / len(lines))
    exposed: dict[str, float] = {}
    if oracle is not None:
        combine_translators([*runs, oracle])  # of one vocabulary
        judge, _, _ = combine_translators([oracle])
        progress("drawing translations, and asking the oracle")
        kept = [at for at, line in enumerate(lines) if not is_blank(line)]
        read_ids, target_ids = (
            [side[at] for at in kept] for side in (sentences(read), sentences(ids))
        )
        exposed = exposure.measure_translator(model, judge, read_ids, target_ids, seed)
        judged = f"oracle:{oracle.config.arch}.{oracle.weights_digest}|seed:{seed}"
    for name in wanted:
        if name in exposed:
            figures[name] = Figure(exposed[name], f"{units(reads, writes)}|{which(runs)}|{judged}")
        elif name in OF_TEXT:
            score, how = OF_TEXT[name](hypotheses, references)
            figures[name] = Figure(score, f"{how}|{searched(search)}|{which(runs)}")
        else:
            score = perplexity.METRICS[name](tally)
            figures[name] = Figure(score, f"{units(reads, writes)}|{which(runs)}")
    return Evaluation(figures, tally, given)


def aligned(source: Side, target: Side) -> tuple[list[str], list[str]]:
    """The lines of both. Errors: DataError where there are not as many, or nothing in them."""
    check_line_counts(source, target)
    lines, references = source.lines, target.lines
    for side, text in ((source, lines), (target, references)):
        if all(is_blank(line) for line in text):
            raise DataError(f"no text to evaluate in {side.name}: nothing but empty lines")
    return lines, references


def counted(side: Side, tokenizer: Tokenizer) -> tuple[Tally, np.ndarray]:
    """What a side tells without a model, and its ids (N,)."""
    tally, parts = Tally(), []
    for block in side.blocks:
        ids = tokenizer.encode(block)
        tally.add_text(tokenizer, block, ids, tokenizer.token_spans(block, ids))
        parts.append(ids)
    return tally, np.concatenate(parts)


def sentences(ids: np.ndarray) -> list[list[int]]:
    """Those of `ids` (N,), each with its `</s>`."""
    return [line.tolist() for line in np.split(ids, np.flatnonzero(ids == EOS)[:-1] + 1)]


# ---------------------------------------------------------------------------------- signatures


def units(reads: Tokenizer, writes: Tokenizer) -> str:
    """What a perplexity counts, and what it is given."""
    return (
        f"unit:{writes.kind}|vocab:{len(writes)}.{writes.digest}|oov:as-unk"
        f"|given:source.{reads.kind}.{len(reads)}.{reads.digest}|eos:scored"
    )


def searched(search: Search) -> str:
    """How translations were found."""
    length = f"length:{search.normalisation}.{search.length_penalty:g}"
    coverage = f"|coverage:{search.coverage_penalty:g}" if search.coverage_penalty else ""
    how = "greedy" if search.greedy else f"beam:{search.beam}|{length}{coverage}"
    unknown = "|unk:replaced" if search.replace_unk else ""
    return f"{how}|max-ratio:{search.max_ratio:g}{unknown}"


def which(runs: Sequence[LoadedModel]) -> str:
    """Which model it was, or which models."""
    archs, weights = zip(*((run.config.arch, run.weights_digest) for run in runs))
    return f"arch:{'+'.join(archs)}|weights:{'+'.join(weights)}|seqlm:{__version__}"
