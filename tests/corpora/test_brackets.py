"""Closers match their openers far away, and nothing else predicts them."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from corpora import brackets, generate

SPLITS = ("train", "valid", "20.test")


def lines_of(split):
    return (generate.HERE / f"brackets.{split}.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("split", SPLITS)
def test_every_closer_matches_its_opener(split) -> None:
    for line in lines_of(split):
        opener, *fillers, cue, closer = line.split()
        assert brackets.CLOSERS[brackets.OPENERS.index(opener)] == closer
        assert cue == brackets.CUE
        assert set(fillers) <= set(brackets.FILLERS)


@pytest.mark.parametrize("split", SPLITS)
def test_closers_are_uniform(split) -> None:
    lines = lines_of(split)
    counts = Counter(line.split()[-1] for line in lines)
    assert set(counts) == set(brackets.CLOSERS)
    sigma = np.sqrt(len(lines) * 3 / 16)
    assert all(abs(count - len(lines) / 4) < 3 * sigma for count in counts.values())


def test_distances_are_mixed_in_training_and_twenty_in_the_test() -> None:
    assert {len(line.split()) - 3 for line in lines_of("train")} == set(range(1, 26))
    assert {len(line.split()) - 3 for line in lines_of("20.test")} == {20}
    assert len(lines_of("20.test")) == 2_000


def test_no_test_line_was_seen_in_training() -> None:
    def fillers(split):
        return [line.split()[1:-2] for line in lines_of(split)]

    seen = {" ".join(line) for line in fillers("train") if len(line) == 20}
    asked = {" ".join(line) for line in fillers("20.test")}
    assert len(asked) == 2_000
    assert not seen & asked


def test_the_words_before_the_closer_do_not_predict_it() -> None:
    """A trigram that has seen the training text is right once in four."""
    guess = defaultdict(Counter)
    for line in lines_of("train"):
        *_, last, _, closer = line.split()
        guess[last][closer] += 1
    test = [line.split() for line in lines_of("20.test")]
    right = np.mean([guess[words[-3]].most_common(1)[0][0] == words[-1] for words in test])
    assert right == pytest.approx(1 / 4, abs=3 * np.sqrt(3 / 16 / len(test)))


@pytest.mark.parametrize("split", SPLITS)
def test_closer_positions_point_at_closers(split) -> None:
    lines = lines_of(split)
    stream = [token for line in lines for token in (*line.split(), "</s>")]
    closers = [stream[i] for i in brackets.closer_positions(lines)]
    assert closers == [line.split()[-1] for line in lines]


def test_a_line_costs_its_opener_its_distance_and_its_fillers() -> None:
    source = brackets.source()
    rng = np.random.default_rng(0)
    for distance in (1, 7, brackets.MAX_DISTANCE):
        line = " ".join(source.line_at(rng, distance))
        expected = np.log(4) + np.log(brackets.MAX_DISTANCE) + distance * np.log(20)
        assert -source.log_probs([line]).sum() == pytest.approx(expected)
