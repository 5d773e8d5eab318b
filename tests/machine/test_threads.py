"""How OpenMP's threads wait, which has to be said before torch is imported, and how many may be."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Barrier, current_thread

import pytest
import torch

from seqlm.errors import UsageError
from seqlm.machine import threads
from seqlm.machine.threads import lasting_pool, set_threads
from tests.command import environment

CORES = os.cpu_count() or 1


def wait_policy(modules: str, **variables: str) -> str:
    """What libgomp says of its environment, in a Python that imports `modules`."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {modules}"],
        capture_output=True,
        text=True,
        check=True,
        env={**environment(), "OMP_DISPLAY_ENV": "VERBOSE", **variables},
    )
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("this torch has another OpenMP than GNU's")
    return done.stderr


@pytest.fixture
def no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in threads.WAITING:
        monkeypatch.delenv(name, raising=False)


def test_threads_sleep_beside_other_programs_unless_the_user_says_how(no_policy) -> None:
    loads = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES)]
    try:
        assert "GOMP_SPINCOUNT = '0'" in wait_policy("seqlm, torch")
        assert "GOMP_SPINCOUNT = '77'" in wait_policy("seqlm, torch", GOMP_SPINCOUNT="77")
    finally:
        for load in loads:
            load.kill()
            load.wait()


@pytest.mark.parametrize(
    ("others", "busy"), [([0, 0, 0], False), ([CORES] * 3, True), ([CORES, 0, CORES], False)]
)
def test_a_machine_is_busy_where_others_have_cores(others, busy, no_policy, monkeypatch) -> None:
    looks = iter(others)
    monkeypatch.setattr(threads, "running_elsewhere", lambda: next(looks))
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: set(range(CORES)))
    assert threads.is_machine_busy() == busy
    looks = iter(others)
    threads.let_threads_sleep()
    assert (os.environ.get("OMP_WAIT_POLICY") == "PASSIVE") == busy


@pytest.mark.parametrize(("given", "kept"), [(None, "4"), ("26", "26")])
def test_threads_of_numpy_sleep_at_once_unless_the_user_says_how(no_policy, given, kept) -> None:
    code = "import os, seqlm; print(os.environ['OPENBLAS_THREAD_TIMEOUT'])"
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_THREAD_TIMEOUT"}
    if given is not None:
        environment["OPENBLAS_THREAD_TIMEOUT"] = given
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, text=True).strip() == kept


def test_a_system_that_does_not_tell_is_not_busy(monkeypatch) -> None:
    def missing() -> int:
        raise FileNotFoundError

    monkeypatch.setattr(threads, "running_elsewhere", missing)
    assert not threads.is_machine_busy()


@pytest.mark.parametrize("number", [0, -1, 100_000, 2**31, 2**70])
def test_far_more_threads_than_cores_are_refused_with_the_cores(number):
    with pytest.raises(UsageError, match=r"num_threads is .*; this machine has \d+ core"):
        set_threads(number)


def test_some_more_threads_than_cores_are_allowed():
    before = torch.get_num_threads()
    try:
        set_threads(7)
        assert torch.get_num_threads() == 7
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("number", [1, 3])
def test_a_lasting_pool_has_as_many_threads_as_torch_each_with_one(number) -> None:
    torch.set_num_threads(number)
    try:
        pool = lasting_pool()
        meeting = Barrier(number, timeout=30)  # of all threads at once

        def look(_: int) -> tuple[str, int]:
            meeting.wait()
            return current_thread().name, torch.get_num_threads()

        seen = list(pool.map(look, range(number)))
        assert lasting_pool() is pool
    finally:
        torch.set_num_threads(1)
    assert len({name for name, _ in seen}) == number
    assert {of_torch for _, of_torch in seen} == {1}


def without_torch(*lines: str) -> str:
    """What a Python prints that runs `lines`, in which torch is not imported."""
    code = "\n".join(["import sys", "from seqlm.machine import threads", *lines])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in environment().items() if name != "OMP_NUM_THREADS"},
    )
    return done.stdout


def test_threads_are_set_before_torch_is_imported_and_handed_over() -> None:
    printed = without_torch(
        "threads.set_threads(3)",
        "print(threads.num_threads(), 'torch' in sys.modules)",
        "threads.give_to_torch()",
        "import torch",
        "print(torch.get_num_threads(), threads.num_threads())",
        "torch.set_num_threads(2); threads.give_to_torch()",  # once
        "print(threads.num_threads())",
    )
    assert printed.split() == ["3", "False", "3", "3", "2"]


def test_threads_without_torch_compute_in_one_thread_each() -> None:
    printed = without_torch(
        "threads.set_threads(3)",
        "print(threads.parallel_map(lambda _: threads.num_threads(), range(4)))",
        "print([n for _, n in threads.prefetch_map(lambda _: threads.num_threads(), range(2))])",
        "with threads.one_thread(): print(threads.num_threads())",
        "print(threads.num_threads(), 'torch' in sys.modules)",
    )
    assert printed.split("\n")[:4] == ["[1, 1, 1, 1]", "[1, 1]", "1", "3 False"]


def test_the_default_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert 1 <= threads.default_threads() <= CORES
    for text, number in (("5", 5), ("4,2", 4), ("0", None), ("many", None)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert threads.default_threads() == (number or len(os.sched_getaffinity(0)))
