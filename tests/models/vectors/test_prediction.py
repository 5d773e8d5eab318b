"""What models of word vectors share: terms added up by word, batches filled up, pieces."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqlm.models.vectors import prediction
from seqlm.models.vectors.prediction import GROUP, Stretch, Terms, in_pieces, unit_of
from seqlm.models.vectors.window import Window
from seqlm.models.vectors.word_vector_model import SparseGradient, with_gradients
from seqlm.text.vocabulary import UNK
from seqlm.text.word_batches import WordBatch

CPU = torch.device("cpu")
WORDS = st.lists(st.integers(0, 9), min_size=1, max_size=40)


@given(WORDS)
def test_values_of_terms_are_added_up_by_word(words: list[int]) -> None:
    terms = Terms.of(torch.tensor(words))
    different = sorted({*words})
    assert terms.words.tolist() == different
    assert [different[place] for place in terms.word_of.tolist()] == words
    values, places = torch.randn(len(words) + 3, 2), torch.randperm(len(words) + 3)[: len(words)]
    expected, placed = torch.zeros(10, 2), torch.zeros(10, 2)
    for term, word in enumerate(words):
        expected[word] += values[term]
        placed[word] += values[places[term]]
    torch.testing.assert_close(terms.add(values[: len(words)]), expected[different])
    torch.testing.assert_close(terms.add(values, places), placed[different])
    torch.testing.assert_close(terms.add(values[: len(words), 0]), expected[different][:, 0])


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("number", [0, 1, GROUP, GROUP + 1, 5 * GROUP])
def test_a_batch_is_filled_up_with_words_that_are_of_no_line(number: int, size: int) -> None:
    window = Window(size)
    words = torch.arange(2, 2 + number)
    lines = torch.arange(number, dtype=torch.int32) // 7
    filled = Stretch.of(WordBatch(words, lines, max(1, number)), window)
    whole = len(filled.words) - 2 * size
    assert len(filled.lines) == len(filled.words)
    assert whole % unit_of(window) == 0 < whole
    assert whole - number < unit_of(window) or number == 0
    inner = slice(size, size + number)
    assert torch.equal(filled.words[inner], words)
    assert torch.equal(filled.lines[inner], lines)
    others = torch.cat([filled.lines[:size], filled.lines[size + number :]]).tolist()
    assert len({*others, *lines.tolist()}) == len(others) + len({*lines.tolist()})
    assert {*filled.words.tolist()} - {*words.tolist()} == {UNK}


@pytest.mark.parametrize("threads", [1, 2])
@given(units=st.integers(1, 50), piece=st.sampled_from([1, 64, 100, 1000, 10**6]))
def test_pieces_are_whole_units_one_after_the_other(units: int, piece: int, threads: int) -> None:
    def ends(piece: slice) -> torch.Tensor:
        return torch.tensor([piece.start, piece.stop])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "PIECE", piece)
        torch.set_num_threads(threads)
        try:
            seen = in_pieces(ends, 64 * units, 64, CPU)
        finally:
            torch.set_num_threads(1)
    starts, stops = (column.tolist() for column in torch.stack(seen).unbind(1))
    assert starts == [0, *stops[:-1]]
    assert stops[-1] == 64 * units
    assert all(start % 64 == 0 for start in starts)
    assert max(stop - start for start, stop in zip(starts, stops)) < 2 * max(64, piece) + 64


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_known_gradients_are_those_of_the_loss(scale: float) -> None:
    """Also of a loss that is part of another."""
    table = nn.Parameter(torch.zeros(5, 2))
    rows, values, pairs = torch.tensor([1, 4]), torch.randn(2, 2), torch.tensor([3.0, 1.0])
    loss = with_gradients(torch.tensor(2.5), (table, SparseGradient(rows, values, pairs)))
    assert loss.item() == 2.5
    (scale * loss).backward()
    assert table.grad is not None
    expected = torch.zeros(5, 2).index_add_(0, rows, scale * values)
    assert torch.equal(table.grad.to_dense(), expected)
    assert torch.equal(table.row_pairs, pairs)  # type: ignore[attr-defined]
