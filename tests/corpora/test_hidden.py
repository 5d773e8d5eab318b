"""The forward algorithm against the sum over all paths, and what n-grams cannot see."""

from itertools import product

import numpy as np
import pytest

from corpora import generate, hidden
from tests.corpora.kneser_ney import cross_entropy


@pytest.fixture(scope="module")
def chain():
    return hidden.source()


def lines_of(split):
    return (generate.HERE / f"hidden.{split}.txt").read_text(encoding="utf-8").splitlines()


def every_path(chain, line):
    """p(line, </s>), by enumerating what the states may have been."""
    words = [chain.ids[word] for word in line.split()]
    total = 0.0
    for path in product(range(1, len(chain.move)), repeat=len(words)):
        p, state = 1.0, 0
        for after, word in zip(path, words, strict=True):
            p *= chain.move[state, after] * chain.emit[after, word]
            state = after
        total += p * chain.move[state, 0]
    return total


@pytest.mark.parametrize("words", [(3,), (2, 6), (1, 2, 7, 1, 4)])
def test_the_forward_algorithm_sums_over_all_paths(words) -> None:
    """Three states and the end; eight words, each said by several states."""
    rng = np.random.default_rng(5)
    move = rng.integers(1, 9, size=(4, 4))
    move[0, 0] = 0
    emit = rng.integers(1, 9, size=(4, 9))
    emit[0], emit[1:, 0] = 0, 0
    emit[0, 0] = 1
    tiny = hidden.Hidden([f"w{i}" for i in range(1, 9)], move, emit)
    line = " ".join(f"w{i}" for i in words)
    assert np.exp(tiny.log_probs([line]).sum()) == pytest.approx(every_path(tiny, line))


def test_tables_are_distributions(chain) -> None:
    assert chain.move.sum(1) == pytest.approx(1)
    assert chain.emit.sum(1) == pytest.approx(1)
    assert chain.emit[0, 0] == 1
    assert (chain.emit[1:, 0] == 0).all()
    assert chain.move[0, 0] == 0  # no line is empty


def test_the_next_token_has_one_probability_in_all(chain) -> None:
    context = lines_of("test")[0].split()[:4]
    lines = [" ".join([*context, word]) for word in hidden.WORDS] + [" ".join(context)]
    with np.errstate(divide="ignore", invalid="ignore"):
        after = [np.exp(chain.log_probs([line])[len(context)]) for line in lines]
    assert sum(after) == pytest.approx(1)


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_no_ngram_comes_near(chain, order) -> None:
    test = lines_of("test")[:2_000]
    assert cross_entropy(lines_of("train"), test, order) > 1.05 * chain.cross_entropy(test)
