"""Lines to batches: every line once, and no more in a batch than it can hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seqlm.decoding.translation.sentence_batches import (
    POSITIONS_PER_ROW,
    batches_by_length,
    is_blank,
)
from seqlm.text.bitext import blank_lines
from seqlm.text.reading import Block
from tests.decoding.translators import KINDS


def test_blank_lines_are_those_that_training_leaves_out() -> None:
    lines = ["", " \t\v\f\r", "\xa0", "\u2028", "\x1c", "\x85", "\u3000 ", "the", " e "]
    ids = KINDS["bpe"].encode(Block("".join(f"{line}\n" for line in lines).encode(), "", 1))
    assert [*map(is_blank, lines)] == blank_lines(ids, KINDS["bpe"]).tolist()
    assert [*map(is_blank, lines)] == [True] * 2 + [False] * 7


@given(st.lists(st.integers(1, 3 * POSITIONS_PER_ROW)), st.integers(1, 5))
def test_batches_hold_every_line_once_and_no_more_than_they_can(
    lengths: list[int], size: int
) -> None:
    found = [*batches_by_length(range(len(lengths)), size, lengths.__getitem__)]
    assert sorted(number for batch in found for number in batch) == [*range(len(lengths))]
    for batch in found:
        positions = len(batch) * max(lengths[number] for number in batch)
        assert len(batch) <= size
        assert positions <= size * POSITIONS_PER_ROW or len(batch) == 1
