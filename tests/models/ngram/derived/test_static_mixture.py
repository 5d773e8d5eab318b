"""One n-gram model of several, against dictionaries that back off word by word."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from seqlm.counting.estimation.estimate import estimate
from seqlm.models.ngram.derived.pruning import prune_by_threshold
from seqlm.models.ngram.derived.static_mixture import mix_united, unite
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.text.vocabulary import EOS
from tests.counting import oracle
from tests.counting.oracle import Gram, array, distribution, stream

V = 14
"""The vocabulary of all models."""


class Member:
    """A model whose types are some of the V, and what it says in dictionaries."""

    def __init__(self, model: NGramModel, ids: list[int]) -> None:
        self.model, self.ids = model, np.array(ids)
        self.log_prob: dict[Gram, float] = {}
        self.backoff: dict[Gram, float] = {}
        for k, grams in enumerate(oracle.spelled(model), 1):
            order = model.order(k)
            renamed = [tuple(ids[word] for word in gram) for gram in grams]
            self.log_prob |= dict(zip(renamed, order.log_prob.astype(np.float64).tolist()))
            if k < model.config.order:
                self.backoff |= dict(zip(renamed, order.backoff.astype(np.float64).tolist()))

    def prob(self, h: Gram, word: int) -> float:
        if (*h, word) in self.log_prob:
            return math.exp(self.log_prob[*h, word])
        return math.exp(self.backoff.get(h, 0.0)) * self.prob(h[1:], word) if h else 0.0


class SlowMixture:
    """The definition: the n-grams of all, the probabilities of the mixture, new backoff weights."""

    def __init__(self, members: Sequence[Member], weights: Sequence[float]) -> None:
        grams = {gram for member in members for gram in member.log_prob}
        grams |= {(word,) for word in range(V)}
        self.probs = {
            gram: sum(w * m.prob(gram[:-1], gram[-1]) for m, w in zip(members, weights))
            for gram in grams
        }

    def after(self, h: Gram) -> list[float]:
        """p(w | h) of every word."""
        listed = {w: self.probs[*h, w] for w in range(V) if (*h, w) in self.probs}
        if not h:
            return [listed[word] for word in range(V)]
        lower = self.after(h[1:])
        rest, unlisted = 1 - sum(listed.values()), 1 - sum(lower[word] for word in listed)
        backoff = max(rest, 1e-7) / max(unlisted, 1e-7) if listed else 1.0
        return [listed.get(word, backoff * p) for word, p in enumerate(lower)]


def member(
    seed: int,
    order: int,
    smoothing: str = "modified-kneser-ney",
    without: Sequence[int] = (),
    context: str = "sentence",
    prune: float | None = None,
) -> Member:
    """A model of a text of its own, with all types but those `without`."""
    noise = np.random.default_rng(seed)
    types = [0, EOS, *noise.permutation([id for id in range(2, V) if id not in without]).tolist()]
    lines = [noise.zipf(1.3, noise.integers(0, 7)) % (len(types) - 2) for _ in range(40)]
    text = array(stream([(2 + line).tolist() for line in lines]))
    model = estimate(
        text, len(types), order, smoothing, context,
        discount_fallback=(0.5, 1.0, 1.5), cutoffs=(0, 0, 1) if seed % 2 else (),
    )  # fmt: skip
    return Member(model if prune is None else prune_by_threshold(model, prune), types)


MEMBERS = {
    "two alike": [(1, 3), (2, 3)],
    "one": [(1, 3)],
    "of four orders": [(1, 1), (2, 4), (3, 2), (4, 3)],
    "of other types": [(1, 3, "witten-bell", (2, 3, 9)), (2, 3, "good-turing", (4, 5))],
    "of types apart": [
        (1, 2, "witten-bell", tuple(range(2, 8))), (2, 3, "witten-bell", tuple(range(8, V))),
    ],
    "pruned": [
        (2, 4, "witten-bell", (), "sentence", 1e-3), (4, 3, "absolute", (2,), "sentence", 0.01),
    ],
    "one of words": [(1, 1), (3, 1, "modified-kneser-ney", (7,))],
    "carried": [(1, 3, "witten-bell", (), "carried"), (2, 4, "absolute", (3,), "carried")],
    "without smoothing": [(1, 3, "mle"), (2, 3)],
}  # fmt: skip
WEIGHTS = {1: (1.0,), 2: (0.3, 0.7), 4: (0.4, 0.3, 0.2, 0.1)}


@pytest.fixture(params=MEMBERS)
def members(request: pytest.FixtureRequest) -> list[Member]:
    return [member(*arguments) for arguments in MEMBERS[request.param]]


def united(members: Sequence[Member]) -> list[NGramModel]:
    return unite([each.model for each in members], [each.ids for each in members], V)


def histories(order: int, context: str) -> list[Gram]:
    """Some texts before a word, to the start of the line."""
    noise = np.random.default_rng(0)
    starts: list[Gram] = [(), *itertools.product(range(V), repeat=min(1, order - 1))]
    return starts + [tuple(noise.integers(0, V, 5).tolist()) for _ in range(40)]


def test_united_models_say_what_they_said(members: list[Member]) -> None:
    spread = united(members)
    for each, model in zip(members, spread, strict=True):
        assert model.config.rows == spread[0].config.rows
        for read in histories(model.config.order, model.config.context):
            h = oracle.history(list(read), each.model.config.order, model.config.context)
            expected = [each.prob(h, word) for word in range(V)]
            np.testing.assert_allclose(distribution(model, list(read)), expected, atol=1e-6)


def test_united_models_have_the_same_n_grams(members: list[Member]) -> None:
    first, *others = united(members)
    for other in others:
        assert oracle.spelled(other) == oracle.spelled(first)


def test_the_n_grams_of_all_have_the_probabilities_of_the_mixture(members: list[Member]) -> None:
    weights = WEIGHTS[len(members)]
    mixed, slow = mix_united(united(members), weights), SlowMixture(members, weights)
    probs: dict[Gram, float] = {}
    for k, grams in enumerate(oracle.spelled(mixed), 1):
        p = np.exp(mixed.order(k).log_prob, dtype=np.float64)
        probs |= dict(zip(grams, p.tolist(), strict=True))
    assert probs.keys() == slow.probs.keys()
    for gram, p in slow.probs.items():
        assert probs[gram] == pytest.approx(p, rel=2e-6, abs=1e-12), gram


def test_every_history_backs_off_to_the_sum_1(members: list[Member]) -> None:
    weights = WEIGHTS[len(members)]
    mixed, slow = mix_united(united(members), weights), SlowMixture(members, weights)
    order, context = mixed.config.order, mixed.config.context
    texts = histories(order, context)
    for grams in oracle.spelled(mixed)[:-1]:  # every history that anything follows
        texts += [gram for gram in grams if context == "carried" or EOS not in gram]
    for read in texts:
        probs = distribution(mixed, list(read))
        assert probs.sum() == pytest.approx(1, abs=2e-6), read
        h = oracle.history(list(read), order, context)
        while h and not any((*h, word) in slow.probs for word in range(V)):
            h = h[1:]
        np.testing.assert_allclose(probs, slow.after(h), atol=2e-5, err_msg=str(read))


def test_one_model_alone_stays_what_it_is() -> None:
    for order in (1, 2, 4):
        one = member(1, order, "witten-bell")
        mixed = mix_united(united([one]), [1.0])
        for read in histories(order, "sentence"):
            h = oracle.history(list(read), order, "sentence")
            expected = [one.prob(h, word) for word in range(V)]
            np.testing.assert_allclose(distribution(mixed, list(read)), expected, atol=1e-6)


def test_a_weight_of_0_leaves_the_other_model() -> None:
    pair = [member(1, 3), member(2, 3, "witten-bell")]
    mixed = mix_united(united(pair), [0.0, 1.0])
    for read in histories(3, "sentence"):
        h = oracle.history(list(read), 3, "sentence")
        expected = [pair[1].prob(h, word) for word in range(V)]
        np.testing.assert_allclose(distribution(mixed, list(read)), expected, atol=2e-6)


def test_the_order_of_the_models_makes_no_difference() -> None:
    pair = [member(1, 3, "witten-bell", (2, 3)), member(2, 4, "absolute", (5,))]
    one, other = mix_united(united(pair), [0.3, 0.7]), mix_united(united(pair[::-1]), [0.7, 0.3])
    assert oracle.spelled(one) == oracle.spelled(other)
    for ours, theirs in zip(one.orders, other.orders, strict=True):
        for field in set(ours.records.dtype.names) - {"word", "first"}:
            np.testing.assert_allclose(ours.records[field], theirs.records[field], atol=1e-6)


def score(model: NGramModel, text: np.ndarray) -> float:
    return float(model.score(model.start(1), text[None])[0].mean(dtype=np.float64))


def test_it_is_near_the_mixture_on_text() -> None:
    """Nearer than its parts are: what differs is what no model lists."""
    pair = [member(1, 3, "witten-bell"), member(2, 3, "witten-bell")]
    spread = united(pair)
    mixed = mix_united(spread, [0.5, 0.5])
    noise = np.random.default_rng(9)
    lines = [2 + noise.zipf(1.3, noise.integers(0, 7)) % (V - 2) for _ in range(300)]
    text = np.array(stream([line.tolist() for line in lines]))
    scores = [model.score(model.start(1), text[None])[0][0].astype(np.float64) for model in spread]
    dynamic = float((np.logaddexp(*scores) - math.log(2)).mean())
    assert abs(score(mixed, text) - dynamic) < 0.01
    assert min(abs(score(model, text) - dynamic) for model in spread) > 0.02
