"""Laws of every source of known entropy."""

from collections import Counter

import numpy as np
import pytest

from corpora import brackets, generate, hidden, markov
from corpora.source import END, Die, entropy, stationary

SOURCES = {"markov": markov, "hidden": hidden, "brackets": brackets}


@pytest.fixture(scope="module", params=SOURCES)
def known(request):
    """A source and its longest committed text that it wrote as it is."""
    split = "train" if request.param == "brackets" else "test"
    text = (generate.HERE / f"{request.param}.{split}.txt").read_text(encoding="utf-8")
    return SOURCES[request.param].source(), text.splitlines()


def standard_error(source, lines):
    """Of the mean over tokens: whole lines are what is independent."""
    losses = -source.log_probs(lines) / np.log(2)
    lengths = np.array([len(line.split()) + 1 for line in lines])
    totals = np.add.reduceat(losses, np.cumsum(lengths) - lengths)
    return (totals - losses.mean() * lengths).std() / lengths.mean() / np.sqrt(len(lines))


def test_every_token_has_a_probability(known) -> None:
    source, lines = known
    log_probs = source.log_probs(lines)
    assert len(log_probs) == sum(len(line.split()) + 1 for line in lines) >= 200_000
    assert (log_probs <= 1e-9).all()
    assert np.isfinite(log_probs).all()


def test_a_long_text_costs_the_entropy_rate(known) -> None:
    source, lines = known
    estimated = 0.0025 if isinstance(source, hidden.Hidden) else 0  # bits, of the rate itself
    error = np.hypot(standard_error(source, lines), estimated)
    assert abs(source.cross_entropy(lines) - source.entropy_rate()) < 3 * error


def test_words_alone_cost_the_unigram_entropy(known) -> None:
    source, lines = known
    counts = Counter(word for line in lines for word in (*line.split(), END))
    shares = np.array(list(counts.values())) / counts.total()
    assert entropy(shares) == pytest.approx(source.unigram_entropy(), abs=0.01)


def test_context_is_worth_a_bit_and_more(known) -> None:
    source, _ = known
    assert source.unigram_entropy() - source.entropy_rate() >= 1


def test_lines_do_not_bear_on_each_other(known) -> None:
    source, lines = known
    alone = [source.log_probs([line]) for line in lines[:20]]
    assert source.log_probs(lines[:20]) == pytest.approx(np.concatenate(alone), abs=1e-12)


def test_a_sample_has_at_least_the_tokens_asked_for_and_depends_on_the_seed_alone(known) -> None:
    source, _ = known
    lines = source.sample(np.random.default_rng(7), 500)
    assert lines == source.sample(np.random.default_rng(7), 500)
    lengths = [len(line.split()) + 1 for line in lines]
    assert sum(lengths) >= 500 > sum(lengths[:-1])


def test_a_die_falls_as_its_weights_say() -> None:
    rng = np.random.default_rng(0)
    falls = Counter(Die([5, 0, 3, 2]).throw(rng) for _ in range(10_000))
    assert [falls[face] / 10_000 for face in range(4)] == pytest.approx(
        [0.5, 0, 0.3, 0.2], abs=0.02
    )


def test_the_stationary_distribution_stays() -> None:
    move = np.array([[0.5, 0.5, 0], [0.2, 0, 0.8], [1, 0, 0]])
    pi = stationary(move)
    assert pi @ move == pytest.approx(pi)
    assert pi.sum() == pytest.approx(1)


def test_a_fair_coin_has_one_bit() -> None:
    assert entropy(np.array([[0.5, 0.5], [1, 0]])) == pytest.approx([1, 0])
