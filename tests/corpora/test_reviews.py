"""The best labels of reviews against Bayes' rule, and why words alone do not tell them."""

from __future__ import annotations

from collections import Counter
from math import log

import numpy as np
import pytest

from corpora import generate, reviews


def pairs_of(split):
    text = (generate.HERE / f"reviews.{split}.txt").read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()]


@pytest.fixture(scope="module")
def many():
    drawn = reviews.Reviews(seed=7)
    return [drawn.review() for _ in range(20_000)]


def test_a_vote_reads_the_clauses_one_by_one() -> None:
    assert reviews.vote("the bed was hard .") == -1
    assert reviews.vote("the bed was not very hard .") == 1
    assert reviews.vote("the bed was not soft ; my tea is not cold . our cook seemed kind .") == 1


def test_the_vote_is_the_best_label_and_votes_are_never_even(many) -> None:
    """By how clauses stand, the labels are as Bayes' rule says: odds of 4 to 1 for each."""
    told = Counter((reviews.vote(text), label) for label, text in many)
    assert {vote for vote, _ in told} == {-5, -3, -1, 1, 3, 5}
    for vote in (-3, -1, 1, 3):  # of five, the odds are 1,024 to 1
        good, bad = told[vote, "good"], told[vote, "bad"]
        error = np.sqrt(1 / good + 1 / bad)
        assert log(good / bad) == pytest.approx(vote * log(reviews.AGREE), abs=4 * error)


def test_the_best_accuracy_is_how_often_the_vote_is_right(many) -> None:
    best = reviews.best_accuracy()
    accuracy = np.mean([reviews.best_label(text) == label for label, text in many])
    assert accuracy == pytest.approx(best, abs=3 * np.sqrt(best * (1 - best) / len(many)))


def test_words_alone_tell_little(many) -> None:
    """Naive Bayes on words, which disregards their order."""
    taught, asked = many[:10_000], many[10_000:]
    counts = {label: Counter() for label in reviews.LABELS}
    for label, text in taught:
        counts[label].update(text.split())
    weights = {word: log(counts["good"][word] / counts["bad"][word]) for word in counts["good"]}
    told = [sum(weights[word] for word in text.split()) > 0 for _, text in asked]
    right = np.mean([good == (label == "good") for good, (label, _) in zip(told, asked)])
    assert 0.5 < right < 0.65


@pytest.mark.parametrize("split", reviews.SPLITS)
def test_labels_are_evenly_frequent(split) -> None:
    labels = [label for label, _ in pairs_of(split)]
    assert set(labels) == set(reviews.LABELS)
    assert labels.count("good") == pytest.approx(len(labels) / 2, abs=1.5 * np.sqrt(len(labels)))


def test_what_is_asked_was_taught() -> None:
    taught = {word for _, text in pairs_of("train") for word in text.split()}
    assert {word for _, text in pairs_of("test") for word in text.split()} <= taught
