"""Items in groups, all that are there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from queue import Queue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.decoding.labeling.ready_groups import ready_groups
from seqlm.errors import DataError

WAIT = 60  # seconds, for what takes no time


@given(st.lists(st.integers()), st.integers(1, 5))
def test_every_item_is_in_one_group_in_order(items: list[int], size: int) -> None:
    groups = list(ready_groups(iter(items), size))
    assert [item for group in groups for item in group] == items
    assert all(1 <= len(group) <= size for group in groups)


def test_nothing_is_waited_for() -> None:
    waiting: Queue[int | None] = Queue()
    groups = ready_groups(iter(waiting.get, None), 8)
    for number in range(3):
        waiting.put(number)
        assert next(groups) == [number]
    waiting.put(None)
    assert list(groups) == []


def test_an_error_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield from range(5)
        raise DataError("the sixth is none")

    found: list[list[int]] = []
    with pytest.raises(DataError, match="the sixth is none"):
        found.extend(ready_groups(failing(), 2))
    assert [item for group in found for item in group] == [0, 1, 2, 3, 4]


def test_no_more_is_read_than_there_is_room_for_and_an_early_end_stops_the_reading() -> None:
    before, taken = threading.active_count(), []

    def counted() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    groups = ready_groups(counted(), 3)
    given = next(groups)
    wait_until(lambda: len(taken) == len(given) + 4)  # three that are ready, and one at hand
    time.sleep(0.05)
    assert len(taken) == len(given) + 4
    groups.close()
    wait_until(lambda: threading.active_count() == before)
    assert len(taken) == len(given) + 4


def wait_until(holds: object) -> None:
    end = time.monotonic() + WAIT
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.001)
