"""Entropy pruning against the relative entropy itself, one n-gram removed at a time."""

import math

import numpy as np
import pytest

from seqlm.counting.estimation.estimate import estimate
from seqlm.errors import UsageError
from seqlm.models.ngram.derived import backing_off
from seqlm.models.ngram.derived.backing_off import suffix_log_probs, suffix_rows
from seqlm.models.ngram.derived.pruning import perplexity_growth, prune_by_threshold, prune_to_size
from seqlm.models.ngram.ngram_model import NGramModel
from tests.counting import oracle
from tests.counting.formulas import FORMS
from tests.counting.oracle import Gram, array, distribution, stream

FALLBACK = (0.5, 1.0, 1.5)
WEIGHTS = ((0.9,), (0.7,), (0.5,), (0.3,))
NORMALIZED = [form for form in FORMS if form[0] != "stupid-backoff"]


def text(lines: int, vocab_size: int) -> list[int]:
    noise = np.random.default_rng(0)
    ids = [2 + noise.zipf(1.6, noise.integers(0, 9)) % (vocab_size - 2) for _ in range(lines)]
    return stream([line.tolist() for line in ids])


def made(
    form: tuple[str, bool] = ("witten-bell", False),
    lines: int = 300,
    vocab_size: int = 60,
    order: int = 3,
    context: str = "sentence",
) -> NGramModel:
    method, backoff = form
    ids = array(text(lines, vocab_size))
    return estimate(
        ids, vocab_size, order, method, context,
        backoff=backoff, discount_fallback=FALLBACK, weights=WEIGHTS,
    )  # fmt: skip


class Slow:
    """A model in dictionaries: p of every n-gram in its tables, and what is left for the others."""

    def __init__(self, model: NGramModel) -> None:
        self.vocab_size = model.config.vocab_size
        self.probs: dict[Gram, float] = {}
        for k, grams in enumerate(oracle.spelled(model), 1):
            log_probs = model.order(k).log_prob.astype(np.float64).tolist()
            self.probs |= {gram: math.exp(p) for gram, p in zip(grams, log_probs, strict=True)}

    def after(self, h: Gram, without: Gram | None = None) -> list[float]:
        """p(w | h) of every w, where one n-gram may be missing; then a shorter history gives it."""
        if not h:
            return [self.probs[(word,)] for word in range(self.vocab_size)]
        lower = self.after(h[1:])
        listed = {
            word: self.probs[*h, word]
            for word in range(self.vocab_size)
            if (*h, word) in self.probs and (*h, word) != without
        }
        rest = 1 - sum(listed.values())
        unlisted = 1 - sum(lower[word] for word in listed)
        return [listed.get(word, rest / unlisted * p) for word, p in enumerate(lower)]

    def joint(self, h: Gram) -> float:
        """p(h), each of its words after those before it."""
        return math.prod(self.probs[h[:k]] for k in range(1, len(h) + 1))

    def worth(self, gram: Gram) -> float:
        """exp D(p || p') - 1, when the n-gram is removed; only what follows its context changes."""
        h = gram[:-1]
        before, without = self.after(h), self.after(h, without=gram)
        terms = [p * math.log(p / q) for p, q in zip(before, without, strict=True) if p > 0]
        return math.expm1(self.joint(h) * sum(terms))


def table(model: NGramModel, values: list[np.ndarray]) -> dict[Gram, float]:
    """The values of the orders from 2, by n-gram."""
    by_ngram: dict[Gram, float] = {}
    for grams, of in zip(oracle.spelled(model)[1:], values, strict=True):
        by_ngram |= dict(zip(grams, of.tolist(), strict=True))
    return by_ngram


# ------------------------------------------------------------------------------------------ growth


@pytest.mark.parametrize("context", ["sentence", "carried"])
@pytest.mark.parametrize(
    "form", [form for form in NORMALIZED if form[0] not in ("mle", "add-k")], ids=str
)
def test_the_worth_of_an_n_gram_is_the_entropy_its_loss_costs(
    form: tuple[str, bool], context: str
) -> None:
    model = made(form, lines=100, vocab_size=30, context=context)
    slow = Slow(model)
    expected = {gram: slow.worth(gram) for gram in slow.probs if len(gram) > 1}
    for gram in [gram for gram in expected if len(gram) == 3]:
        expected[gram[:-1]] = max(expected[gram[:-1]], expected[gram])
    growth = table(model, perplexity_growth(model))
    assert growth.keys() == expected.keys()
    for gram, worth in expected.items():
        assert growth[gram] == pytest.approx(worth, rel=1e-3, abs=1e-8)


def test_suffixes_are_found_and_backed_off_from_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(lines=50)
    slow = Slow(model)
    monkeypatch.setattr(backing_off, "BLOCK", 7)
    spelled = oracle.spelled(model)
    for k, (grams, suffixes) in enumerate(zip(spelled[1:], suffix_rows(model), strict=True), 2):
        row_of = {gram: row for row, gram in enumerate(spelled[k - 2])}
        assert suffixes.tolist() == [row_of[gram[1:]] for gram in grams]
        expected = [math.log(slow.after(gram[1:-1])[gram[-1]]) for gram in grams]
        np.testing.assert_allclose(suffix_log_probs(model, k, suffixes), expected, atol=1e-5)
        # Suffixes that are not listed are backed off from.
        unlisted = np.where(np.arange(len(grams)) % 3 == 0, suffixes, -1)
        np.testing.assert_allclose(suffix_log_probs(model, k, unlisted), expected, atol=1e-5)


# ----------------------------------------------------------------------------------------- pruning


@pytest.mark.parametrize("form", NORMALIZED, ids=str)
@pytest.mark.parametrize("threshold", [1e-9, 1e-5, 1e-3, 1.0])
def test_what_is_kept_keeps_its_probability_and_all_still_sums_to_one(
    threshold: float, form: tuple[str, bool]
) -> None:
    model = made(form, order=4)
    pruned = prune_by_threshold(model, threshold)
    whole, kept = Slow(model), Slow(pruned)
    worth = table(model, perplexity_growth(model))
    assert kept.probs.keys() == {
        gram for gram in whole.probs if len(gram) == 1 or worth[gram] >= threshold
    }
    for gram, p in kept.probs.items():
        assert p == whole.probs[gram]
        assert len(gram) == 1 or gram[:-1] in kept.probs
    assert pruned.config.rows == tuple(map(len, oracle.spelled(pruned)))
    noise = np.random.default_rng(1)
    for _ in range(30):
        read = noise.choice(text(300, 60), 4).tolist()
        probs = distribution(pruned, read)
        assert probs.sum() == pytest.approx(1, abs=2e-6)
        h = oracle.history(read, 4, "sentence")
        while h and not any((*h, word) in kept.probs for word in range(60)):
            h = h[1:]
        if form[0] != "mle":  # which leaves nothing to back off to
            np.testing.assert_allclose(probs, kept.after(h), atol=1e-5)


@pytest.mark.parametrize("context", ["sentence", "carried"])
def test_a_context_that_has_lost_all_its_n_grams_passes_on_everything(context: str) -> None:
    pruned = prune_by_threshold(made(context=context), 1e9)
    assert pruned.config.rows == (60, 0, 0)
    expected = np.exp(pruned.order(1).log_prob)
    np.testing.assert_allclose(distribution(pruned, [5, 6]), expected, atol=1e-7)


def test_a_threshold_of_next_to_nothing_takes_nothing_of_worth() -> None:
    model = made()
    worth = table(model, perplexity_growth(model))
    pruned = prune_by_threshold(model, 1e-300)
    kept = Slow(pruned).probs
    assert all(of < 1e-300 for gram, of in worth.items() if gram not in kept)
    tokens = np.array([text(300, 60)])
    before, _ = model.score(model.start(1), tokens)
    after, _ = pruned.score(pruned.start(1), tokens)
    np.testing.assert_allclose(after, before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "form",
    [("modified-kneser-ney", False), ("witten-bell", False), ("jelinek-mercer", False)],
    ids=str,
)
def test_the_more_is_pruned_the_worse_the_text_is_predicted(form: tuple[str, bool]) -> None:
    model = made(form)
    tokens = np.array([text(300, 60)])
    figures = []
    for threshold in (1e-9, 1e-4, 1e-3, 1e-2):
        pruned = prune_by_threshold(model, threshold)
        scores, _ = pruned.score(pruned.start(1), tokens)
        figures.append((sum(pruned.config.rows), -float(scores.mean())))
    sizes, losses = zip(*figures, strict=True)
    assert list(sizes) == sorted(set(sizes), reverse=True)
    assert list(losses) == sorted(losses)


# ---------------------------------------------------------------------------------------- to a size


@pytest.mark.parametrize("target", [60, 61, 100, 500, 900])
def test_a_size_is_met_by_what_is_worth_most(target: int) -> None:
    model = made(("modified-kneser-ney", False))
    pruned = prune_to_size(model, target)
    size = sum(pruned.config.rows)
    assert target - 5 <= size <= target
    kept, worth = Slow(pruned).probs, table(model, perplexity_growth(model))
    least = min((worth[gram] for gram in kept if len(gram) > 1), default=math.inf)
    assert all(of <= least for gram, of in worth.items() if gram not in kept)
    assert distribution(pruned, [5, 6]).sum() == pytest.approx(1, abs=1e-6)


def test_a_model_that_is_small_enough_stays_as_it_is() -> None:
    model = made()
    size = sum(model.config.rows)
    assert prune_to_size(model, size) is model
    assert prune_to_size(model, size + 1) is model
    assert sum(prune_to_size(model, size - 1).config.rows) < size


def test_single_words_are_never_pruned() -> None:
    model = made(order=1)
    assert prune_by_threshold(model, 1.0).config == model.config
    with pytest.raises(UsageError, match="prune_to 59: it must be at least 60"):
        prune_to_size(made(), 59)


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan])
def test_a_threshold_that_means_nothing(threshold: float) -> None:
    with pytest.raises(UsageError, match="positive"):
        prune_by_threshold(made(), threshold)


def test_the_model_that_was_pruned_is_as_it_was() -> None:
    model = made()
    before = {name: records.copy() for name, records in model.arrays().items()}
    prune_by_threshold(model, 1e-4)
    for name, records in model.arrays().items():
        assert np.array_equal(records, before[name])
