"""Batches of words for word vectors: what is kept, what is not, and that each can be made again."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text.vocabulary import EOS, RESERVED, UNK
from seqlm.text.word_batches import WordBatch, WordBatches, keep_probabilities

CPU = torch.device("cpu")
TYPES = 6
LINES = st.lists(
    st.lists(st.sampled_from([UNK, *range(2, TYPES)]), max_size=6), min_size=1, max_size=12
)
"""Lines of ids, with words that have no vector."""


def ids_of(lines: list[list[int]]) -> np.ndarray:
    """As a corpus has them: the end of each line is `</s>`."""
    return np.array([id for line in lines for id in (*line, EOS)], np.int32)


def batches_of(
    ids: np.ndarray, size: int = 5, sample: float = 0.0, types: int = TYPES, seed: int = 1
) -> WordBatches:
    return WordBatches(ids, np.bincount(ids, minlength=types), sample, size, seed, CPU)


def words_by_line(batches: list[WordBatch]) -> list[list[int]]:
    """The words of each batch, those of one line in a list."""
    found: list[list[int]] = []
    for batch in batches:
        lines = batch.lines.tolist()
        for line in sorted({*lines}):
            found.append([w for w, of in zip(batch.words.tolist(), lines) if of == line])
    return found


# ------------------------------------------------------------------------------------- what is kept


@pytest.mark.parametrize("sample", [1e-5, 1e-3, 0.1, 1.0])
def test_words_are_kept_with_the_probability_that_word2vec_has(sample: float) -> None:
    counts = [700, 99, 1, 10, 0, 89, 900]  # of <unk>, of </s>, and of words
    words = sum(counts[2:])
    for count, p in zip(counts[2:], keep_probabilities(np.array(counts), sample)[2:]):
        if count > 0:
            f = count / words
            assert p == pytest.approx(min(1, (math.sqrt(f / sample) + 1) * sample / f))


def test_without_sampling_every_word_is_kept() -> None:
    assert keep_probabilities(np.array([0, 10, 1000, 1, 0]), 0.0)[2:].tolist() == [1] * 3


def test_a_word_that_the_training_text_lacks_is_kept_now_and_then() -> None:
    """It may be in the validation text."""
    assert 0 < keep_probabilities(np.array([0, 0, 10, 0]), 0.1)[3] <= 1


def test_the_shares_that_are_kept_are_near_their_expectation() -> None:
    """Within five standard deviations, over several epochs."""
    words = np.random.default_rng(1).choice(np.arange(2, 6), 5_000, p=[0.5, 0.3, 0.15, 0.05])
    ids = words.astype(np.int32)
    batches = batches_of(ids, size=700, sample=0.01)
    drawn = [batch.words for epoch in range(4) for batch in batches.epoch(epoch)]
    kept = Counter(torch.cat(drawn).tolist())
    for word, p in enumerate(batches.keep.tolist()):
        if word >= len(RESERVED):
            n = 4 * int((ids == word).sum())
            assert 0.1 < p < 1
            assert abs(kept[word] - n * p) < 5 * math.sqrt(n * p * (1 - p))


# ---------------------------------------------------------------------------- stretches of the text


@given(lines=LINES, size=st.integers(1, 30))
def test_stretches_have_all_words_in_order(lines: list[list[int]], size: int) -> None:
    ids = ids_of(lines)
    batches = batches_of(ids, size)
    stretches = [ids[start : start + size] for start in range(0, len(ids), size)]
    assert len(batches) == len(batches.epoch(3)) == len(stretches)
    for batch, stretch in zip(batches.epoch(3), stretches, strict=True):
        expected = [id for id in stretch.tolist() if id >= len(RESERVED)]
        assert batch.words.tolist() == expected
        assert batch.words.dtype == torch.int64
        assert batch.num_targets == max(1, len(expected))
        assert batch.lines.shape == batch.words.shape


@given(lines=LINES, size=st.integers(1, 30))
def test_no_line_goes_on_into_another(lines: list[list[int]], size: int) -> None:
    """In a stretch that ends within a line, the line ends; words without a vector end none."""
    ids = ids_of(lines)
    expected = []
    for start in range(0, len(ids), size):
        line: list[int] = []
        for id in [*ids[start : start + size].tolist(), EOS]:
            if id == EOS:
                expected += [line] if line else []
                line = []
            elif id != UNK:
                line.append(id)
    assert words_by_line([*batches_of(ids, size).epoch(0)]) == expected


def test_the_words_of_a_stretch_are_counted_before_any_are_left_out() -> None:
    ids = ids_of([[2, 2, UNK, 2], [3, 2]])
    [batch] = batches_of(ids, size=100, sample=1e-6).epoch(0)
    assert batch.num_targets == 5
    assert len(batch.words) < 5


@pytest.mark.parametrize("ids", [[], [EOS], [UNK, UNK, EOS, EOS, UNK]], ids=str)
def test_a_stretch_may_be_empty(ids: list[int]) -> None:
    batches = batches_of(np.array(ids, np.int32), size=9, sample=0.1)
    [batch] = batches.epoch(0)
    assert batch.words.tolist() == batch.lines.tolist() == []
    assert batch.num_targets == 1


# ------------------------------------------------------------------------------- random numbers


def test_each_batch_can_be_made_by_itself_and_again() -> None:
    ids = np.random.default_rng(2).integers(0, TYPES, 300).astype(np.int32)

    def made(epoch: int, index: int, seed: int = 1) -> list[int]:
        words: list[int] = batches_of(ids, 40, 0.05, seed=seed).epoch(epoch)[index].words.tolist()
        return words

    in_order = [batch.words.tolist() for batch in batches_of(ids, 40, 0.05).epoch(2)]
    assert [made(2, index) for index in reversed(range(8))] == in_order[::-1]
    assert [made(3, index) for index in range(8)] != in_order
    assert [made(2, index, seed=2) for index in range(8)] != in_order


def test_equal_stretches_lose_other_words() -> None:
    ids = np.tile(np.arange(2, TYPES, dtype=np.int32), 20)
    first, second = batches_of(ids, 40, 0.05).epoch(0)
    assert first.words.tolist() != second.words.tolist()


@pytest.mark.parametrize("index", [-1, 3])
def test_there_are_no_other_batches(index: int) -> None:
    epoch = batches_of(np.full(9, 2, np.int32), 3).epoch(0)
    with pytest.raises(IndexError):
        epoch[index]
