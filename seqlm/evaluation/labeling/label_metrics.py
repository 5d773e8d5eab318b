"""The figures of a labeler: how often it is right, and whether it knows when.

    n     tokens             g, p, m   gold spans, predicted spans, and those that are both
    g_k   those of kind k    c_i, y_i  confidence in the label of token i, and 1 where it is right

    accuracy           sum y_i / n
    precision, recall  P = m / p,  R = m / g
    f1                 2 P R / (P + R)  =  2 m / (g + p)                         over all kinds
    macro-f1           mean of 2 m_k / (g_k + p_k) over the kinds k of the gold labels
    sentence-accuracy  sentences without an error / sentences
    unseen-accuracy    accuracy of the tokens that training did not have
    log-loss           -1/n sum ln p(gold label of i)                            nats a token
    ece                sum_b |sum_{i in b} (c_i - y_i)| / n                      b: 15 equal bins

Spans are those that tags stand for, and are correct if kind, first and last token are (Tjong Kim
Sang & Buchholz 2000). Labels without a scheme are spans of one token, where `O` is no span: f1 is
then scikit-learn's micro-averaged F1 of all labels but `O`, which equals accuracy where there is no
`O`, as it does for classes; the F1 of each class is a matter of the table by class. macro-f1 leaves
out classes that only the model names. A figure with nothing to divide by is 0, as in conlleval.
`ece` is the expected calibration error (Guo et al. 2017, "On calibration of modern neural
networks"). Shares are from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from seqlm.errors import UsageError, did_you_mean
from seqlm.evaluation.labeling.label_counts import LabelCounts

# Each function takes sums with any first axes: (...) -> (...), (..., K) -> (...).


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, and 0 where the whole, a whole number, is 0."""
    quotient: np.ndarray = part / np.maximum(whole, 1)
    return quotient


def accuracy(sums: LabelCounts) -> np.ndarray:
    return share(sums.correct, sums.tokens)


def sentence_accuracy(sums: LabelCounts) -> np.ndarray:
    return share(sums.sentences_correct, sums.sentences)


def unseen_accuracy(sums: LabelCounts) -> np.ndarray:
    return share(sums.unseen_correct, sums.unseen)


def precision(sums: LabelCounts) -> np.ndarray:
    return share(sums.matched.sum(-1), sums.predicted.sum(-1))


def recall(sums: LabelCounts) -> np.ndarray:
    return share(sums.matched.sum(-1), sums.gold.sum(-1))


def f1(sums: LabelCounts) -> np.ndarray:
    return share(2 * sums.matched.sum(-1), sums.gold.sum(-1) + sums.predicted.sum(-1))


def macro_f1(sums: LabelCounts) -> np.ndarray:
    is_gold = sums.gold > 0  # (..., K)
    of_kinds = share(2 * sums.matched, sums.gold + sums.predicted)  # (..., K)
    return share((of_kinds * is_gold).sum(-1), is_gold.sum(-1))


def log_loss(sums: LabelCounts) -> np.ndarray:
    return share(sums.surprisal, sums.tokens)


def ece(sums: LabelCounts) -> np.ndarray:
    return share(np.abs(sums.overconfidence).sum(-1), sums.tokens)


class LabelMetric(NamedTuple):
    name: str
    help: str
    of_sums: Callable[[LabelCounts], np.ndarray]
    needs: Literal["", "unseen", "gold_probabilities", "confidences"] = ""
    """The argument of `evaluate_labels` that it is computed from."""
    higher_is_better: bool = True
    tasks: Sequence[str] = ("tagging", "classification")
    is_share: bool = True
    """Whether it is from 0 to 1, and percent where people read it."""
    synonyms: Sequence[str] = ()
    """Names that an error message knows it by."""


TAGGING = ("tagging",)
LABEL_METRICS = {
    metric.name: metric
    for metric in (
        LabelMetric(
            "accuracy", "share of labels, or of analogies, that are right", accuracy,
            synonyms=("acc", "token-accuracy", "word-accuracy"),
        ),
        LabelMetric(
            "precision", "share of predicted spans that are gold spans", precision,
            tasks=TAGGING,
        ),
        LabelMetric(
            "recall", "share of gold spans that are predicted", recall,
            tasks=TAGGING,
        ),
        LabelMetric(
            "f1", "F1 of spans, by conlleval's rules", f1,
            tasks=TAGGING, synonyms=("f-score", "span-f1", "micro-f1"),
        ),
        LabelMetric(
            "macro-f1", "mean F1 of the classes, or of the kinds of spans", macro_f1,
            synonyms=("f1-macro",),
        ),
        LabelMetric(
            "sentence-accuracy", "share of sentences without an error", sentence_accuracy,
            tasks=TAGGING, synonyms=("exact-match",),
        ),
        LabelMetric(
            "unseen-accuracy", "accuracy of words that training did not have", unseen_accuracy,
            needs="unseen", tasks=TAGGING, synonyms=("oov-accuracy", "unknown-accuracy"),
        ),
        LabelMetric(
            "log-loss", "nats a label, the mean surprisal of gold labels", log_loss,
            needs="gold_probabilities", higher_is_better=False, is_share=False,
        ),
        LabelMetric(
            "ece", "expected calibration error: how far confidence is from accuracy", ece,
            needs="confidences", higher_is_better=False,
            synonyms=("calibration", "calibration-error"),
        ),
    )
}  # fmt: skip
"""The metrics by name."""
DEFAULTS = {"tagging": ("accuracy", "f1"), "classification": ("accuracy", "macro-f1")}
"""The metrics of each task where none are named; f1 where tags stand for spans."""
LACKING = {
    "unseen": "the words that training had",
    "gold_probabilities": "the probabilities of labels",
    "confidences": "the probabilities of labels",
}


def select_label_metrics(names: Iterable[str], given: Iterable[str]) -> list[LabelMetric]:
    """The metrics called `names`, where `given` are the arguments that are there.

    Errors: UsageError on an unknown name, and on a metric whose argument is missing.
    """
    metrics, given = [], set(given)
    for name in dict.fromkeys(names):
        if name not in LABEL_METRICS:
            raise UsageError(f"no metric {name!r}{did_you_mean(name.lower(), LABEL_METRICS)}")
        metric = LABEL_METRICS[name]
        if metric.needs and metric.needs not in given:
            raise UsageError(
                f"`metric={name}` is computed from {LACKING[metric.needs]}, and these are not known"
            )
        metrics.append(metric)
    return metrics
