"""Several things at once, in threads: torch and numpy release the GIL while they compute.

The number of threads is that of torch where torch is imported. Until then it is kept here, so that
an n-gram model is asked without it; `give_to_torch` hands it over.

Torch's own threads, OpenMP's, meet after every operation. By default the first to come *spins*: it
asks again and again whether the others are done. That is quickest on an idle machine. If another
program has their core, it waits for them at full speed, and two threads are several times slower
than one: there seqlm lets them sleep (`benchmarks/threads.py`).
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import chain, islice
from pathlib import Path
from threading import Event, Thread, local
from typing import TYPE_CHECKING, Any, TypeVar

from seqlm.errors import UsageError, shown

if TYPE_CHECKING:  # `import seqlm` imports this module, and neither of these
    from concurrent.futures import Future, ThreadPoolExecutor

    import torch

T = TypeVar("T")
R = TypeVar("R")

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""The variables by which users say how OpenMP's threads wait."""


SLEEP_AT_ONCE = "4"
"""OpenBLAS's threads wait for so many cycles, as a power of 2, before they sleep."""


def let_threads_sleep() -> None:
    """OpenMP's threads sleep while they wait where other programs run, and those of OpenBLAS, which
    numpy has, always do, unless the environment says how they wait. Nothing that is computed
    depends on it.

    By default OpenBLAS's threads spin for some hundredths of a second when numpy is imported, and
    most commands multiply nothing with it.

    To be called before numpy and torch are imported: their libraries read the environment once.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", SLEEP_AT_ONCE)
    if not any(name in os.environ for name in WAITING) and is_machine_busy():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


LOOKS, PAUSE = 3, 0.003  # seconds


def is_machine_busy() -> bool:
    """Whether other programs have cores that torch's threads would take.

    The machine is looked at a few times, and is busy if it is each time. Where the system does not
    tell (it is not Linux), the machine is not busy.
    """
    cores = os.cpu_count() or 1
    for look in range(LOOKS):
        try:
            if running_elsewhere() + len(os.sched_getaffinity(0)) <= cores:
                return False
        except (OSError, ValueError, IndexError, AttributeError):
            return False
        if look < LOOKS - 1:
            time.sleep(PAUSE)
    return True


def running_elsewhere() -> int:
    """The threads of other programs that compute now, on Linux (proc(5), loadavg)."""
    running = Path("/proc/loadavg").read_text().split()[3].split("/")[0]
    return int(running) - 1  # this process is among them


# ------------------------------------------------------------------------- the number of threads

THREADS_PER_CORE, FEWEST_ALLOWED = 16, 256

_chosen: int | None = None
"""The number that was set before torch was imported."""
_of_thread = local()
"""Its `number` is that of one thread alone, while torch is not imported."""


def default_threads() -> int:
    """The number of threads where none is set: `OMP_NUM_THREADS`, or that of the cores this process
    may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def imported_torch() -> Any:
    """The module torch where it is imported, and not just being imported; else None."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "set_num_threads") else None


def num_threads() -> int:
    """The number of threads that this thread may compute in."""
    torch = imported_torch()
    if torch is not None:
        return int(torch.get_num_threads())
    return getattr(_of_thread, "number", None) or _chosen or default_threads()


def set_threads(number: int) -> None:
    """Lets what follows compute in `number` threads.

    More than there are cores are allowed, as a run goes on with the threads that it was begun with.
    Errors: UsageError where they are many times as many.
    """
    global _chosen
    cores = os.cpu_count() or 1
    if not 1 <= number <= max(THREADS_PER_CORE * cores, FEWEST_ALLOWED):
        raise UsageError(
            f"`num_threads` is {shown(number)}; this machine has {cores}"
            f" core{'s' if cores > 1 else ''}"
        )
    torch = imported_torch()
    if torch is not None:
        torch.set_num_threads(number)
    else:
        _chosen = number


def give_to_torch() -> None:
    """Imports torch, and lets it compute in the threads that were set before it was imported."""
    import torch

    global _chosen
    if _chosen is not None:
        torch.set_num_threads(_chosen)
        _chosen = None


def set_own_threads(number: int) -> None:
    """Lets this thread compute in `number` threads; the others go on as they are."""
    torch = imported_torch()
    if torch is not None:
        torch.set_num_threads(number)
    else:
        _of_thread.number = number


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets this thread compute in one thread. A context manager, or `@one_thread()` before a
    function.

    It is for many short vector operations. Waking OpenMP's threads and waiting for them costs more
    than they save there: a little on an idle machine, a hundred times as much on a busy one.
    """
    before = num_threads()
    set_own_threads(1)
    try:
        yield
    finally:
        set_own_threads(before)


# ------------------------------------------------------------------------------ several at once


@contextmanager
def thread_pool(threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool of `threads`, by default as many as `num_threads`, each of which computes in one.

    Its end waits for all of its work, unless a signal ends it, or a caller that wants no more.
    """
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(threads or num_threads(), initializer=set_own_threads, initargs=(1,))
    is_stopped = False
    try:
        yield pool
    except BaseException as error:
        is_stopped = not isinstance(error, Exception)
        raise
    finally:
        pool.shutdown(wait=not is_stopped, cancel_futures=is_stopped)


def lasting_pool() -> ThreadPoolExecutor:
    """A pool of `num_threads` threads, each of which computes in one, that lasts as long as the
    process. It is for work of a millisecond, beside which new threads would cost too much."""
    return _lasting_pool(num_threads())


@cache
def _lasting_pool(threads: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads, initializer=set_own_threads, initargs=(1,))


def parallel_map(
    function: Callable[[T], R],
    items: Iterable[T],
    device: torch.device | None = None,
    threads: int | None = None,
) -> list[R]:
    """The results of `function` for all items, computed in threads; on a GPU one by one.

    >>> parallel_map(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    items = list(items)
    if (device is not None and device.type != "cpu") or len(items) == 1:
        return [function(item) for item in items]
    with thread_pool(threads) as pool:
        return list(pool.map(function, items))


def prefetch_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """The items of a stream, each with the result of `function`, in order.

    Threads compute the results of the next few items while the caller works with one.

    >>> list(prefetch_map(str.upper, ["a", "b"]))
    [('a', 'A'), ('b', 'B')]
    """
    remaining = iter(items)
    first = list(islice(remaining, 2))
    if len(first) < 2:  # there is nothing to compute ahead
        yield from ((item, function(item)) for item in first)
        return
    most = 2 * num_threads()
    pending: deque[tuple[T, Future[R]]] = deque()
    with thread_pool() as pool:
        try:
            for item in chain(first, remaining):
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


STOPPING_TIME = 0.2  # seconds


def run_interruptibly(work: Callable[[Event], R]) -> R:
    """The result of `work` in native code, which Ctrl-C and SIGTERM cannot end by themselves.

    It runs in a thread. When a signal ends the wait for it, the event that it is given is set, and
    it has STOPPING_TIME to end; what goes on after that ends with the process.
    """
    from concurrent.futures import Future

    result: Future[R] = Future()
    stopped, ended = Event(), Event()

    def run() -> None:
        try:
            result.set_result(work(stopped))
        except BaseException as error:
            result.set_exception(error)
        ended.set()

    try:
        Thread(target=run, daemon=True).start()
        while not ended.wait(0.1):  # a signal is handled in between, whichever thread it reaches
            pass
    except BaseException:
        stopped.set()
        ended.wait(STOPPING_TIME)
        raise
    return result.result()
