"""Figures of labels against plain loops over tokens and spans, and bootstrap against resampling."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.labeling.label_evaluation import compare, evaluate_labels
from seqlm.evaluation.labeling.label_metrics import LABEL_METRICS
from seqlm.text.labeled.spans import find_spans

Rows = list[list[str]]
LABELS = {
    "iob2": ["B-X", "I-X", "B-Y", "I-Y", "O", "O"],
    "bioes": ["B-X", "I-X", "E-X", "S-X", "S-Y", "O"],
    "none": ["DT", "NN", "NN", "VB", "O"],
    None: ["good", "bad", "O"],
}


class Example(NamedTuple):
    gold: Rows
    predicted: Rows
    unseen: list[list[bool]]
    probabilities: list[list[float]]
    confidences: list[list[float]]


def example(seed: int, scheme: str | None, sentences: int = 12) -> Example:
    """Labels, half of them right; the model knows one that is never gold, and lacks a gold one."""
    rng = np.random.default_rng(seed)
    lengths = [1 if scheme is None else int(n) for n in rng.integers(0, 7, sentences)]
    gold = [[str(rng.choice([*LABELS[scheme], "rare"])) for _ in range(n)] for n in lengths]
    predicted = [
        [label if rng.random() < 0.5 else str(rng.choice([*LABELS[scheme], "Z"])) for label in row]
        for row in gold
    ]
    return Example(
        gold,
        predicted,
        [[bool(rng.random() < 0.3) for _ in row] for row in gold],
        [[float(rng.choice([0.0, 0.1, 0.7, 1.0])) for _ in row] for row in gold],
        [[float(rng.choice([0.0, 0.2, 1 / 3, 0.55, 0.98, 1.0])) for _ in row] for row in gold],
    )


def evaluate(example: Example, scheme: str | None, samples: int = 20, seed: int = 1):
    return evaluate_labels(
        example.gold,
        example.predicted,
        metrics=list(LABEL_METRICS),
        scheme=scheme,
        unseen=example.unseen,
        gold_probabilities=example.probabilities,
        confidences=example.confidences,
        samples=samples,
        seed=seed,
    )


# ------------------------------------------------------------------------------------------- oracle


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def slow_figures(example: Example, scheme: str | None) -> dict[str, float]:
    """Every metric by its definition, one token and one span after the other."""
    tokens = [
        (theirs == ours, *rest) for rows in zip(*example) for theirs, ours, *rest in zip(*rows)
    ]
    spans = [slow_spans(labels, scheme) for labels in (example.gold, example.predicted)]
    both = spans[0] & spans[1]
    kinds = {span[1] for span in spans[0]}
    f1s = []
    for kind in kinds:
        sizes = [sum(span[1] == kind for span in each) for each in (both, *spans)]
        f1s.append(ratio(2 * sizes[0], sizes[1] + sizes[2]))
    precision, recall = ratio(len(both), len(spans[1])), ratio(len(both), len(spans[0]))
    calibration = 0.0
    for number in range(15):
        low, high = number / 15, (number + 1) / 15
        inside = [(c, y) for y, _, _, c in tokens if low < c <= high or (c == 0 and number == 0)]
        if inside:
            confidence, right = (sum(column) / len(inside) for column in zip(*inside))
            calibration += len(inside) / len(tokens) * abs(confidence - right)
    return {
        "accuracy": ratio(sum(is_right for is_right, *_ in tokens), len(tokens)),
        "precision": precision,
        "recall": recall,
        "f1": ratio(2 * precision * recall, precision + recall),
        "macro-f1": ratio(sum(f1s), len(f1s)),
        "sentence-accuracy": sum(map(list.__eq__, example.gold, example.predicted))
        / len(example.gold),
        "unseen-accuracy": ratio(
            sum(y and new for y, new, *_ in tokens), sum(new for _, new, *_ in tokens)
        ),
        "log-loss": ratio(sum(-math.log(max(p, 2.0**-52)) for _, _, p, _ in tokens), len(tokens)),
        "ece": calibration,
    }


def slow_spans(sentences: Rows, scheme: str | None) -> set[tuple[int, str, int, int]]:
    if scheme in ("iob2", "bioes"):
        return {(row, *span) for row, tags in enumerate(sentences) for span in find_spans(tags)}
    return {
        (row, label, at, at + 1)
        for row, labels in enumerate(sentences)
        for at, label in enumerate(labels)
        if label != "O" or scheme is None
    }


@pytest.mark.parametrize("scheme", LABELS)
@pytest.mark.parametrize("seed", range(8))
def test_figures_are_those_of_their_definitions(seed: int, scheme: str | None) -> None:
    texts = example(seed, scheme)
    assert evaluate(texts, scheme).figures == pytest.approx(slow_figures(texts, scheme))


@pytest.mark.parametrize("scheme", LABELS)
def test_samples_are_evaluations_of_texts_with_sentences_drawn_again(scheme: str | None) -> None:
    texts, samples = example(3, scheme), 20
    evaluation = evaluate(texts, scheme, samples, seed=5)
    rng = np.random.default_rng(5)
    slow = []
    for _ in range(samples):
        drawn = rng.integers(len(texts.gold), size=len(texts.gold)).tolist()
        slow.append(slow_figures(Example(*([part[i] for i in drawn] for part in texts)), scheme))
    for name in LABEL_METRICS:
        figures = [each[name] for each in slow]
        assert evaluation.samples[name] == pytest.approx(figures)
        assert evaluation.intervals[name] == pytest.approx(np.percentile(figures, [2.5, 97.5]))


# -------------------------------------------------------------------------------------- conventions


def figures_of(gold: Rows, predicted: Rows, scheme: str | None, *names: str) -> list[float]:
    found = evaluate_labels(gold, predicted, metrics=names, scheme=scheme, samples=0).figures
    assert list(found) == list(names)
    return list(found.values())


def test_a_span_counts_where_its_kind_and_both_ends_agree() -> None:
    gold = [["B-X", "I-X", "O", "B-Y"], ["B-X", "O"]]
    predicted = [["B-X", "I-X", "O", "B-X"], ["B-X", "I-X"]]
    # gold: X 0-2, Y 3-4, X 0-1 · predicted: X 0-2, X 3-4, X 0-2 · one of both
    figures = figures_of(gold, predicted, "iob2", "precision", "recall", "f1", "macro-f1")
    assert figures == pytest.approx([1 / 3, 1 / 3, 1 / 3, (2 / 5 + 0) / 2])


def test_f1_of_other_labels_leaves_out_what_is_outside() -> None:
    gold, predicted = [["O", "PER", "O", "LOC"]], [["O", "PER", "PER", "O"]]
    assert figures_of(gold, predicted, "none", "accuracy", "f1") == [0.5, 0.5]
    assert figures_of(gold, predicted, "none", "macro-f1") == pytest.approx([(2 / 3 + 0) / 2])
    texts = [["O"], ["A"]], [["O"], ["O"]]
    assert figures_of(*texts, None, "accuracy", "f1") == [0.5, 0.5]
    assert figures_of(*texts, None, "macro-f1") == pytest.approx([(2 / 3 + 0) / 2])


def test_macro_f1_leaves_out_what_only_the_model_names() -> None:
    assert figures_of([["a"], ["a"]], [["a"], ["b"]], None, "macro-f1") == pytest.approx([2 / 3])


def test_figures_with_nothing_to_divide_by_are_zero() -> None:
    names = ["precision", "recall", "f1", "macro-f1", "accuracy", "sentence-accuracy"]
    assert figures_of([["O"]], [["O"]], "iob2", *names) == [0, 0, 0, 0, 1, 1]
    assert figures_of([["O"]], [["B-X"]], "iob2", *names) == [0, 0, 0, 0, 0, 0]
    assert figures_of([[]], [[]], "iob2", *names) == [0, 0, 0, 0, 0, 1]


def test_a_label_that_no_model_knows_costs_finitely_many_nats() -> None:
    found = evaluate_labels(
        [["never seen"]], [["known"]], metrics=["log-loss", "accuracy"], scheme=None,
        gold_probabilities=[[0.0]],
    )  # fmt: skip
    assert found.figures == pytest.approx({"log-loss": 52 * math.log(2), "accuracy": 0})
    assert found.intervals["log-loss"] == pytest.approx((36.04, 36.04), abs=0.01)


# --------------------------------------------------------------------------------------- comparison


def test_a_system_beside_itself_does_not_differ() -> None:
    evaluation = evaluate(example(1, "iob2"), "iob2")
    for found in compare(evaluation, evaluation).values():
        assert found == (0, 0, 0, 1)


def test_a_comparison_is_of_the_same_samples_of_both() -> None:
    texts = example(2, "none", sentences=60)
    better = texts._replace(predicted=[*texts.gold[:30], *texts.predicted[30:]])
    first, second = evaluate(texts, "none", 99), evaluate(better, "none", 99)
    found = compare(first, second)["accuracy"]
    assert found.value == second.figures["accuracy"] - first.figures["accuracy"] > 0.1
    assert 0 < found.low < found.value < found.high
    assert found.p == 2 * 1 / 100  # the difference has its sign in all 99 samples
    backward = compare(second, first)["accuracy"]
    assert backward == pytest.approx((-found.value, -found.high, -found.low, found.p))


def test_what_is_not_measured_alike_does_not_compare() -> None:
    texts = example(1, "none")
    first = evaluate(texts, "none")
    with pytest.raises(DataError, match="these have other gold labels"):
        compare(first, evaluate(texts._replace(gold=texts.predicted), "none"))
    with pytest.raises(UsageError, match=r"different signatures do not compare: .*bootstrap.20.1"):
        compare(first, evaluate(texts, "none", seed=2))
    without = evaluate(texts, "none", samples=0)
    assert without.intervals == {}
    with pytest.raises(UsageError, match="there are no samples"):
        compare(without, without)


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([], [], "there are no labels to evaluate"),
        ([["a"]], [["a"], ["b"]], "1 sentences have gold labels and 2 have predicted ones"),
        ([["a"], ["a", "b"]], [["a"], ["a"]], "sentence 2 has 2 gold labels and 1 predicted ones"),
    ],
)
def test_labels_of_different_texts_are_refused(gold: Rows, predicted: Rows, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_labels(gold, predicted, metrics=["f1"], scheme="none")


def test_metrics_that_cannot_be_computed_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no metric 'F1s'; did you mean 'f1'\?"):
        evaluate_labels([["a"]], [["a"]], metrics=["F1s"], scheme=None)
    for name, metric in LABEL_METRICS.items():
        if metric.needs:
            with pytest.raises(UsageError, match=f"metric {name} is computed from the "):
                evaluate_labels([["a"]], [["a"]], metrics=[name], scheme=None)
    with pytest.raises(DataError, match="not as many confidences as gold labels"):
        evaluate_labels([["a"]], [["a"]], metrics=["ece"], scheme=None, confidences=[[0.5, 0.5]])
