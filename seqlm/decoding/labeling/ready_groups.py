"""Items of a stream in groups: all that are there, without waiting for more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Condition, Thread
from typing import TypeVar

T = TypeVar("T")


def ready_groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of the items that are there, in order, at most `size` in each.

    A thread reads ahead, and waits when `size` items are not yet taken. An error of `items` is
    raised after the items before it. Where the caller stops early, the thread ends with its next
    item, or with the process.

    >>> [item for group in ready_groups(range(5), 2) for item in group]
    [0, 1, 2, 3, 4]
    """
    changed = Condition()
    ready: list[T] = []
    ends: list[BaseException | None] = []  # one, when the stream has ended
    is_stopped = False

    def read() -> None:
        failure = None
        try:
            for item in items:
                with changed:
                    changed.wait_for(lambda: is_stopped or len(ready) < size)
                    if is_stopped:
                        return
                    ready.append(item)
                    changed.notify()
        except BaseException as error:
            failure = error
        with changed:
            ends.append(failure)
            changed.notify()

    Thread(target=read, daemon=True).start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: ready or ends)
                group = ready.copy()
                ready.clear()
                changed.notify()
            if group:
                yield group
            elif ends[0] is not None:
                raise ends[0]
            else:
                return
    finally:
        with changed:
            is_stopped = True
            changed.notify()
