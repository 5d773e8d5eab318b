"""Several things at once: torch and numpy let other threads run while they compute."""

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
    """For many short vector operations, for which waking and awaiting OpenMP's threads costs more
    than they give: a little on an idle machine, a hundred times on a busy one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def thread_pool(threads: int | None = None) -> ThreadPoolExecutor:
    """As many threads as torch has, each of which computes alone."""
    return ThreadPoolExecutor(
        threads or torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)
    )


def parallel_map(
    work: Callable[[T], R], parts: Iterable[T], device: torch.device, threads: int | None = None
) -> list[R]:
    """What `work` makes of `parts`, none of which needs another; one by one on a GPU."""
    parts = list(parts)
    if device.type != "cpu" or len(parts) == 1:
        return [work(part) for part in parts]
    with thread_pool(threads) as pool:
        return list(pool.map(work, parts))


def prefetch_map(work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Each item of a stream and what `work` makes of it, in order; a few are worked on at once."""
    most = 2 * torch.get_num_threads()
    waiting: deque[tuple[T, Future[R]]] = deque()
    with thread_pool() as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > most:
                    first, result = waiting.popleft()
                    yield first, result.result()
            while waiting:
                first, result = waiting.popleft()
                yield first, result.result()
        finally:  # nobody asks for more
            for _, result in waiting:
                result.cancel()
