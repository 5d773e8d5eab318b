"""What is counted of a hypothesis beside its reference, so that sums of it give an error.

    WER   =  edits / |r|                  edits: the fewest words inserted, deleted and replaced
    BLEU  =  min(1, exp(1 - |r| / |h|)) (p_1 p_2 p_3 p_4)^(1/4)          the error is 1 - BLEU

p_n is the share of the n-grams of all hypotheses that their references have too (Papineni et al.
2002). Words are what white space separates; with +1 on the counts of n = 2, 3, 4, BLEU does not
vanish on a few short lines (Lin & Och 2004).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

MetricName = Literal["wer", "bleu"]
ORDERS = range(1, 5)


class TuningMetric(NamedTuple):
    counts: Callable[[Sequence[str], Sequence[str]], list[int]]
    """The words of a hypothesis and of its reference -> (S,) counts."""
    error: Callable[[np.ndarray], np.ndarray]
    """Sums of counts (…, S) -> the error (…,)."""


def word_edits(hypothesis: Sequence[str], reference: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements between two sequences (Levenshtein 1966).

    >>> word_edits("the old man".split(), "an old man sat".split())
    2
    """
    row = list(range(len(reference) + 1))  # edits of no word of the hypothesis
    for number, word in enumerate(hypothesis, 1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(reference, 1):
            best = min(row[place] + 1, row[place - 1] + 1, diagonal + (word != other))
            diagonal, row[place] = row[place], best
    return row[-1]


def wer_counts(hypothesis: Sequence[str], reference: Sequence[str]) -> list[int]:
    return [word_edits(hypothesis, reference), len(reference)]


def wer(sums: np.ndarray) -> np.ndarray:
    rate: np.ndarray = sums[..., 0] / np.maximum(sums[..., 1], 1)
    return rate


def bleu_counts(hypothesis: Sequence[str], reference: Sequence[str]) -> list[int]:
    """|h|, |r|, then the n-grams that both have and those of the hypothesis, for each n."""
    counts = [len(hypothesis), len(reference)]
    for n in ORDERS:
        ours, theirs = (
            Counter(zip(*(words[start:] for start in range(n))))
            for words in (hypothesis, reference)
        )
        counts += [(ours & theirs).total(), ours.total()]
    return counts


def bleu_error(sums: np.ndarray) -> np.ndarray:
    shares = []
    for n in ORDERS:
        matches, ngrams = sums[..., 2 * n], sums[..., 2 * n + 1]
        extra = float(n > 1)
        shares.append((matches + extra) / np.maximum(ngrams + extra, 1))
    with np.errstate(divide="ignore"):
        logs = np.log(np.stack(shares)).mean(0)
        brevity = np.minimum(0, 1 - sums[..., 1] / np.maximum(sums[..., 0], 1e-9))
    error: np.ndarray = 1 - np.exp(brevity + logs)
    return error


METRICS: dict[MetricName, TuningMetric] = {
    "wer": TuningMetric(wer_counts, wer),
    "bleu": TuningMetric(bleu_counts, bleu_error),
}
