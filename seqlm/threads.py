"""Several things at once, in threads: torch and numpy release the GIL while they compute."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch compute in one thread. A context manager, or `@one_thread()` before a function.

    It is for many short vector operations. Waking OpenMP's threads and waiting for them costs more
    than they save there: a little on an idle machine, a hundred times as much on a busy one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def thread_pool(threads: int | None = None) -> ThreadPoolExecutor:
    """A pool of `threads`, by default as many as torch has, in each of which torch has one."""
    return ThreadPoolExecutor(
        threads or torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)
    )


def parallel_map(
    function: Callable[[T], R],
    items: Iterable[T],
    device: torch.device,
    threads: int | None = None,
) -> list[R]:
    """The results of `function` for all items, computed in threads; on a GPU one by one.

    >>> parallel_map(abs, [-1, 2, -3], torch.device("cpu"))
    [1, 2, 3]
    """
    items = list(items)
    if device.type != "cpu" or len(items) == 1:
        return [function(item) for item in items]
    with thread_pool(threads) as pool:
        return list(pool.map(function, items))


def prefetch_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """The items of a stream, each with the result of `function`, in order.

    Threads compute the results of the next few items while the caller works with one.

    >>> list(prefetch_map(str.upper, ["a", "b"]))
    [('a', 'A'), ('b', 'B')]
    """
    most = 2 * torch.get_num_threads()
    pending: deque[tuple[T, Future[R]]] = deque()
    with thread_pool() as pool:
        try:
            for item in items:
                pending.append((item, pool.submit(function, item)))
                if len(pending) > most:
                    oldest, result = pending.popleft()
                    yield oldest, result.result()
            while pending:
                oldest, result = pending.popleft()
                yield oldest, result.result()
        finally:  # the caller may have stopped early
            for _, result in pending:
                result.cancel()
