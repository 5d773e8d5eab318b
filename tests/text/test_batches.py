"""Segments to train on: inputs are the targets shifted, and an epoch is the text."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text import batches
from seqlm.text.batches import IGNORE_INDEX, LineBatches, StreamBatches, WindowBatches
from seqlm.text.vocabulary import EOS

CPU = torch.device("cpu")
LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=30)


def text(lengths: list[int]) -> np.ndarray:
    """Ids of lines of so many tokens, all of them different."""
    ids = np.arange(2, 2 + sum(lengths) + len(lengths), dtype=np.int32)
    ids[np.cumsum(np.array(lengths) + 1) - 1] = EOS
    return ids


# ------------------------------------------------------------------------------------------ carried


@given(length=st.integers(1, 50), rows=st.integers(1, 9), segment=st.integers(1, 9))
def test_a_stream_has_all_tokens_in_order_except_fewer_than_a_row(length, rows, segment) -> None:
    ids = np.arange(2, 2 + length, dtype=np.int32)
    batches = StreamBatches(ids, rows, segment, CPU)
    targets = torch.cat([batch.targets for batch in batches], 1)  # (B, N // B)
    tokens = targets.flatten().tolist()
    assert tokens == ids[: len(tokens)].tolist()
    assert len(ids) - len(tokens) < batches.rows <= rows
    assert sum(batch.num_targets for batch in batches) == len(tokens)
    assert {batch.targets.shape[1] for batch in list(batches)[:-1]} <= {segment}


@given(length=st.integers(1, 50), rows=st.integers(1, 9), segment=st.integers(1, 9))
def test_the_inputs_of_a_stream_are_the_token_before(length, rows, segment) -> None:
    ids = np.arange(2, 2 + length, dtype=np.int32)
    batches = StreamBatches(ids, rows, segment, CPU)
    inputs = torch.cat([batch.inputs for batch in batches], 1)
    before = {int(id): int(last) for last, id in zip([EOS, *ids], ids)}
    for row, targets in zip(inputs, torch.cat([batch.targets for batch in batches], 1)):
        assert row.tolist() == [before[int(target)] for target in targets]
    assert [batch.starts_afresh for batch in batches] == [True] + [False] * (len(batches) - 1)


# ------------------------------------------------------------------------------------------ windows


@given(
    length=st.integers(1, 80), rows=st.integers(1, 5), window=st.integers(1, 9), epoch=st.integers()
)
def test_windows_tile_the_text_from_some_offset(length, rows, window, epoch) -> None:
    ids = np.arange(2, 2 + length, dtype=np.int32)
    windows = WindowBatches(ids, rows, window, 1, CPU)
    batches = list(windows.epoch(abs(epoch)))
    assert len(batches) == len(windows)
    assert {len(batch.targets) for batch in batches[:-1]} <= {rows}
    before = dict(zip(ids.tolist(), [EOS, *ids.tolist()]))
    starts = []
    for batch in batches:
        assert batch.starts_afresh
        assert batch.targets.shape[1] == min(window, length)
        assert batch.num_targets == batch.targets.numel()
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist()):
            assert inputs == [before[target] for target in targets]
            assert targets == list(range(targets[0], targets[0] + len(targets)))
            starts.append(targets[0])
    starts.sort()
    size = min(window, length)
    assert starts == list(range(starts[0], starts[0] + size * len(starts), size))
    assert length - size * len(starts) < 2 * size


@pytest.mark.parametrize(("length", "window"), [(1, 1), (7, 9), (8, 4), (9, 4), (60, 7)])
def test_over_the_epochs_every_token_stands_at_every_position_of_a_window(length, window) -> None:
    ids = np.arange(2, 2 + length, dtype=np.int32)
    windows = WindowBatches(ids, 3, window, 1, CPU)
    positions: dict[int, set[int]] = {}
    for number in range(200):
        for batch in windows.epoch(number):
            for targets in batch.targets.tolist():
                for position, target in enumerate(targets):
                    positions.setdefault(target, set()).add(position)
    assert sorted(positions) == ids.tolist()
    for index, id in enumerate(ids.tolist()):
        if window <= index < length - window:
            assert positions[id] == set(range(window))


def test_windows_come_in_another_order_every_epoch_and_the_same_for_a_seed() -> None:
    ids = np.arange(2, 200, dtype=np.int32)

    def order(seed: int, epoch: int) -> list[int]:
        batches = WindowBatches(ids, 4, 7, seed, CPU).epoch(epoch)
        return [first for batch in batches for first in batch.targets[:, 0].tolist()]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    assert order(1, 0) != sorted(order(1, 0))


# ----------------------------------------------------------------------------------------- sentence


@given(lengths=LENGTHS, rows=st.integers(1, 9), epoch=st.integers(0, 3))
def test_every_line_is_read_once_an_epoch(lengths, rows, epoch) -> None:
    ids = text(lengths)
    batches = LineBatches(ids, rows, 1, CPU).epoch(epoch)
    lines_read: list[tuple[int, ...]] = []
    for batch in batches:
        assert batch.starts_afresh
        assert len(batch.targets) <= rows
        assert batch.num_targets == int((batch.targets != IGNORE_INDEX).sum())
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist()):
            line = [id for id in targets if id != IGNORE_INDEX]
            assert targets == line + [IGNORE_INDEX] * (len(targets) - len(line))
            assert inputs[: len(line)] == [EOS, *line[:-1]]
            lines_read.append(tuple(line))
    lines = np.split(ids, np.flatnonzero(ids == EOS)[:-1] + 1)
    assert Counter(lines_read) == Counter(tuple(line.tolist()) for line in lines)


def test_lines_come_in_another_order_every_epoch_and_the_same_for_a_seed() -> None:
    ids = text([1, 2, 3, 4] * 10)

    def order(seed: int, epoch: int) -> list[list[int]]:
        return [
            batch.targets[:, 0].tolist() for batch in LineBatches(ids, 4, seed, CPU).epoch(epoch)
        ]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_lines_of_similar_length_share_a_batch() -> None:
    batches = LineBatches(text([1, 20] * 8), 8, 1, CPU).epoch(0)
    assert sorted(batch.targets.shape[1] for batch in batches) == [2, 21]


# ----------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("kind", ["stream", "lines", "windows"])
def test_any_batch_of_an_epoch_can_be_indexed(kind) -> None:
    ids = text([3, 0, 5, 1] * 6)

    def epoch() -> list:
        if kind == "stream":
            return StreamBatches(ids, 3, 4, CPU).epoch(2)
        if kind == "lines":
            return LineBatches(ids, 3, 1, CPU).epoch(2)
        return WindowBatches(ids, 3, 4, 1, CPU).epoch(2)

    batches = list(epoch())
    assert len(batches) == len(epoch())
    for index in (0, len(batches) // 2, len(batches) - 1):
        assert (epoch()[index].targets == batches[index].targets).all()
        assert (epoch()[index].inputs == batches[index].inputs).all()
    with pytest.raises(IndexError):
        epoch()[len(batches)]


def test_a_line_of_any_length_is_cut_into_pieces_that_fit(monkeypatch) -> None:
    monkeypatch.setattr(batches, "MAX_LINE_TOKENS", 4)
    ids = np.array([2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 1], np.int32)
    input_of = {}
    for batch in LineBatches(ids, 2, 1, torch.device("cpu")).epoch(0):
        assert batch.inputs.shape[1] <= 4
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            input_of |= {t: i for i, t in zip(inputs, targets, strict=True) if t > 1}
    # Every token except the line ends comes once, and its input is the token before it.
    assert input_of == {2: 1, **{token: token - 1 for token in range(3, 11)}}
