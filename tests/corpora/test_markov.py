"""The chain of order two is a chain of order two, and a counted trigram finds it out."""

import numpy as np
import pytest

from corpora import generate, markov
from tests.corpora.kneser_ney import cross_entropy


@pytest.fixture(scope="module")
def chain():
    return markov.source()


def lines_of(split):
    return (generate.HERE / f"markov.{split}.txt").read_text(encoding="utf-8").splitlines()


def test_probabilities_sum_to_one_after_every_pair_that_occurs(chain) -> None:
    a, b = chain.pairs.T
    assert chain.probs[a, b].sum(-1) == pytest.approx(1)
    assert chain.probs.sum() == pytest.approx(len(chain.pairs))


def test_every_word_is_used() -> None:
    lines = [*lines_of("train"), *lines_of("test")]
    assert {word for line in lines for word in line.split()} == set(markov.WORDS)


def test_log_probs_follow_the_table(chain) -> None:
    line = lines_of("test")[0]
    history, expected = (0, 0), []
    for word in [chain.ids[word] for word in line.split()] + [0]:
        expected.append(np.log(chain.probs[(*history, word)]))
        history = (history[1], word)
    assert chain.log_probs([line]) == pytest.approx(expected)


def test_a_trigram_reaches_the_truth_and_a_bigram_does_not(chain) -> None:
    train, test = lines_of("train"), lines_of("test")
    truth = chain.cross_entropy(test)
    assert truth < cross_entropy(train, test, order=3) < 1.005 * truth
    assert cross_entropy(train, test, order=2) > 1.25 * truth


def test_no_discount_of_modified_kneser_ney_lacks_its_counts() -> None:
    """Some trigrams occur once, twice, thrice and four times, and so do their continuations."""
    trigrams = {}
    for line in lines_of("train"):
        tokens = ["</s>", "</s>", *line.split(), "</s>"]
        for ngram in zip(tokens, tokens[1:], tokens[2:], strict=False):
            trigrams[ngram] = trigrams.get(ngram, 0) + 1
    table = trigrams
    for _ in range(3):
        assert {1, 2, 3, 4} <= set(table.values())
        shorter = {}
        for ngram in table:
            shorter[ngram[1:]] = shorter.get(ngram[1:], 0) + 1
        table = shorter
