"""Words drawn by a walk down the orders, against the row of words written out."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.models.ngram.ngram_model import NGramModel, NGramState
from seqlm.models.ngram.scrambling import scramble_ids
from seqlm.text.vocabulary import EOS, UNK
from tests.models.ngram.test_ngram_model import KINDS, V, build


def words_in_a_row(model: NGramModel, state: NGramState) -> tuple[list[int], np.ndarray]:
    """All words after a state of one row: those of the longest n-grams first, and their ends."""
    ids = np.arange(V)
    repeated = NGramState(state.rows.repeat(V, 0))
    lengths = model.ngram_length(repeated, ids[:, None])[:, 0]
    place = [
        (-length, word * (length > 1), id)
        for id, (length, word) in enumerate(zip(lengths.tolist(), scramble_ids(ids, V).tolist()))
    ]
    order = sorted(ids.tolist(), key=lambda id: place[id])
    p = np.exp(model.log_probs(state)[0].astype(np.float64))[order]
    if (unigrams := lengths[order] == 1).any() and p[unigrams].sum() > 0:
        p[unigrams] *= (1 - p[~unigrams].sum()) / p[unigrams].sum()
    return order, p.cumsum()


@pytest.mark.parametrize(("smoothing", "context", "order"), KINDS)
def test_a_number_falls_on_the_word_that_stands_there(
    smoothing: str, context: str, order: int
) -> None:
    drawn = (np.random.default_rng(0).random(3000) ** 3 * (V - 2)).astype(int) + 1
    model = build([*drawn.tolist(), EOS], smoothing, context, order)
    draw = model.drawing()
    assert draw is not None
    numbers = np.random.default_rng(1).random(300)
    for read in ([], [EOS], [UNK], [2], [2, 3], [3, 2, 2], [V - 1, 5], [4, EOS, 2]):
        state = model.advance(model.start(1), np.array([read], np.int64).reshape(1, -1))
        words, ends = words_in_a_row(model, state)
        repeated = NGramState(state.rows.repeat(len(numbers), 0))
        for word, number in zip(draw(repeated, numbers).tolist(), numbers.tolist()):
            at = words.index(word)
            start = ends[at - 1] if at else 0.0
            assert start - 1e-6 <= number <= ends[at] + 1e-6
        ends_of_words = np.array([0, 1 - 2**-53])
        possible = model.log_probs(state)[0] > -np.inf
        assert possible[draw(NGramState(state.rows.repeat(2, 0)), ends_of_words)].all()


def test_rows_are_drawn_independently() -> None:
    drawn = (np.random.default_rng(0).random(3000) ** 3 * (V - 2)).astype(int) + 1
    model = build([*drawn.tolist(), EOS], "modified-kneser-ney", "sentence", 3)
    draw = model.drawing()
    assert draw is not None
    tokens, numbers = (
        np.random.default_rng(2).integers(V, size=(50, 2)) // 4,
        np.random.default_rng(3).random(50),
    )
    state = model.advance(model.start(50), tokens)
    together = draw(state, numbers)
    for row in range(50):
        assert draw(NGramState(state.rows[row : row + 1]), numbers[row : row + 1]) == together[row]
    assert len(set(together.tolist())) > 10
    assert draw(NGramState(state.rows[:0]), numbers[:0]).tolist() == []
