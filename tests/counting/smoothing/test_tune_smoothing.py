"""Parameters tuned on held-out text, against brute force over models and dictionaries."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.estimation.estimate import estimate
from seqlm.counting.smoothing.additive import best_k
from seqlm.counting.smoothing.held_out_counts import HeldOutCounts, look_up_counts
from seqlm.counting.smoothing.jelinek_mercer import BUCKETS, em_weights
from seqlm.counting.smoothing.smoothing_methods import tune_smoothing
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.tables.in_memory import count_ngrams
from tests.counting.oracle import array, count, history, stream

V = 30
CONTEXTS = ["sentence", "carried"]


def text(seed: int, lines: int) -> list[int]:
    """Each word depends on the one before it."""
    noise = np.random.default_rng(seed)
    text_lines = []
    for _ in range(lines):
        line = [int(2 + noise.zipf(1.6) % (V - 2))]
        while noise.random() < 0.85:
            shift = 0 if noise.random() < 0.6 else int(noise.zipf(1.6))
            line.append((line[-1] * 7 + shift) % (V - 2) + 2)
        text_lines.append(line)
    return stream(text_lines)


@pytest.fixture(scope="module")
def train() -> list[int]:
    return text(0, 300)


@pytest.fixture(scope="module")
def held_out() -> list[int]:
    return text(1, 60)


def held_out_counts(
    train: list[int], held_out: list[int], order: int, context: str
) -> HeldOutCounts:
    tables = count_ngrams(array(train), V, order, context)
    return look_up_counts(tables, V, context, array(held_out))


def fit(
    smoothing: Smoothing, train: list[int], held_out: list[int], order: int, context: str
) -> float:
    """Mean log probability (nats) that the model gives a held-out token."""
    model = estimate(
        array(train),
        V,
        order,
        smoothing.method,
        context,
        add_k=smoothing.add_k,
        weights=smoothing.weights,
    )
    scores, _ = model.score(model.start(1), np.array([held_out]))
    return float(scores.mean(dtype=np.float64))


# -------------------------------------------------------------------------------------- looking up


@given(
    st.lists(st.lists(st.integers(2, 6), max_size=6), min_size=1, max_size=10),
    st.lists(st.lists(st.integers(0, 6), max_size=6), min_size=1, max_size=5),
    st.integers(1, 4),
    st.sampled_from(CONTEXTS),
)
def test_counts_behind_held_out_text_are_the_dictionary_s(
    lines: list[list[int]], others: list[list[int]], order: int, context: str
) -> None:
    ids = stream(others)
    counted = held_out_counts(stream(lines), ids, order, context)
    counts = count(stream(lines), order, context)
    for i, word in enumerate(ids):
        h = history(ids[:i], order, context)
        assert counted.length[i] == len(h)
        for k in range(order):
            after = counts.after.get(h[len(h) - k :], {}) if k <= len(h) else {}
            assert counted.counts[k, i] == after.get(word, 0)
            assert counted.totals[k, i] == sum(after.values())


def test_a_long_held_out_text_is_walked_in_parts(train: list[int], held_out: list[int]) -> None:
    once = held_out_counts(train, held_out, 3, "sentence")
    times = 70_000 // len(held_out) + 1
    for one, many in zip(
        once, held_out_counts(train, held_out * times, 3, "sentence"), strict=True
    ):
        assert np.array_equal(many, np.concatenate([one] * times, -1))


# ---------------------------------------------------------------------------------------- the best


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_no_other_k_is_better(
    order: int, context: str, train: list[int], held_out: list[int]
) -> None:
    k = best_k(held_out_counts(train, held_out, order, context), V)
    best = fit(Smoothing("add-k", add_k=k), train, held_out, order, context)
    for other in [*np.logspace(-6, 3, 25), 0.99 * k, 1.01 * k]:
        smoothing = Smoothing("add-k", add_k=float(other))
        assert fit(smoothing, train, held_out, order, context) <= best + 1e-6


def test_a_k_at_the_ends_of_the_range(train: list[int]) -> None:
    """Held-out text that is the text itself, or nothing like it."""
    assert best_k(held_out_counts([2, 3, 1], [2, 3, 1], 3, "sentence"), V) < 1e-8
    assert best_k(held_out_counts([2, 3, 1] * 9, [9, 8, 0, 1], 2, "sentence"), V) > 900


def slow_em(held_out: HeldOutCounts) -> tuple[dict[tuple[int, int], float], list[float]]:
    """Weights by (order, bucket), and the mean log likelihood before each step.

    A word was taken from order z, 0 the uniform one: P(z = k) = Π_{j>k} (1 - λ_j) λ_k f_k / p, and
    λ_k = Σ P(z = k) / Σ P(z ≤ k) over the words whose order k has the bucket.
    """
    counts, totals = held_out.counts.T.tolist(), held_out.totals.T.tolist()  # a row a word
    weights: dict[tuple[int, int], float] = defaultdict(lambda: 0.5)
    likelihoods: list[float] = []
    while len(likelihoods) < 2 or likelihoods[-1] - likelihoods[-2] >= 1e-9:
        taken: dict[tuple[int, int], float] = defaultdict(float)
        reached: dict[tuple[int, int], float] = defaultdict(float)
        total = 0.0
        for cs, big_cs in zip(counts, totals, strict=True):
            keys = [(k, int(math.log2(big_c))) for k, big_c in enumerate(big_cs) if big_c]
            joint, left = [0.0] * len(keys), 1.0
            for k in reversed(range(len(keys))):  # known orders are the lowest ones
                joint[k] = left * weights[keys[k]] * cs[k] / big_cs[k]
                left *= 1 - weights[keys[k]]
            p = sum(joint) + left / V
            total += math.log(p)
            for k, key in enumerate(keys):
                taken[key] += joint[k] / p
                reached[key] += (sum(joint[: k + 1]) + left / V) / p
        likelihoods.append(total / len(counts))
        for key in reached:
            weights[key] = taken[key] / reached[key]
    return weights, likelihoods


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_weights_are_those_of_slow_em(
    order: int, context: str, train: list[int], held_out: list[int]
) -> None:
    counted = held_out_counts(train, held_out, order, context)
    expected, likelihoods = slow_em(counted)
    assert (np.diff(likelihoods) > -1e-12).all()
    weights = em_weights(counted, V)
    for (k, bucket), weight in expected.items():
        assert weights[k][bucket] == pytest.approx(weight, abs=2e-3)
    tuned_fit = fit(Smoothing("jelinek-mercer", weights=weights), train, held_out, order, context)
    assert tuned_fit == pytest.approx(likelihoods[-1], abs=1e-6)


@pytest.mark.parametrize("context", CONTEXTS)
def test_no_other_weights_are_better(context: str, train: list[int], held_out: list[int]) -> None:
    counted = held_out_counts(train, held_out, 3, context)
    weights = em_weights(counted, V)
    best = fit(Smoothing("jelinek-mercer", weights=weights), train, held_out, 3, context)
    half = ((0.5,) * BUCKETS,) * 3
    assert fit(Smoothing("jelinek-mercer", weights=half), train, held_out, 3, context) < best - 0.01
    for k in range(3):
        for bucket in range(12):
            for shift in (-0.03, 0.03):
                other = [list(of) for of in weights]
                other[k][bucket] = min(max(other[k][bucket] + shift, 0), 0.999)
                smoothing = Smoothing("jelinek-mercer", weights=tuple(map(tuple, other)))
                assert fit(smoothing, train, held_out, 3, context) <= best + 1e-6


def test_a_bucket_that_held_out_text_does_not_know_has_the_weight_below(
    train: list[int], held_out: list[int]
) -> None:
    counted = held_out_counts(train, held_out, 3, "sentence")
    known = slow_em(counted)[0]
    for k, of in enumerate(em_weights(counted, V)):
        assert len(of) == BUCKETS
        there = [bucket for bucket in range(BUCKETS) if (k, bucket) in known]
        assert 0 < len(there) < BUCKETS
        for bucket in range(BUCKETS):
            below = [b for b in there if b <= bucket]
            assert of[bucket] == of[below[-1] if below else there[0]]


def test_an_order_that_no_held_out_history_reaches_has_some_weight(train: list[int]) -> None:
    weights = em_weights(held_out_counts([2, 3, 1], [0, 0, 1], 3, "sentence"), V)
    assert weights[2] == (0.5,) * BUCKETS
    assert all(0 <= weight < 1 for of in weights for weight in of)


def test_tuning_changes_the_parameter_of_the_method(train: list[int], held_out: list[int]) -> None:
    tables = count_ngrams(array(train), V, 2)
    counted = look_up_counts(tables, V, "sentence", array(held_out))
    smoothing = Smoothing("add-k", cutoffs=(0, 1))
    assert tune_smoothing(smoothing, tables, V, "sentence", array(held_out)) == Smoothing(
        "add-k", cutoffs=(0, 1), add_k=best_k(counted, V)
    )
    assert tune_smoothing(
        Smoothing("jelinek-mercer"), tables, V, "sentence", array(held_out)
    ) == Smoothing("jelinek-mercer", weights=em_weights(counted, V))
