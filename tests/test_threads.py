"""How OpenMP's threads wait, which has to be said before torch is imported, and how many may be."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from seqlm.errors import UsageError
from seqlm.threads import set_threads
from tests.command import environment


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


def test_threads_sleep_while_they_wait_unless_the_user_says_how(monkeypatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY"):
        monkeypatch.delenv(name, raising=False)
    assert "GOMP_SPINCOUNT = '0'" in wait_policy("seqlm, torch")
    assert "GOMP_SPINCOUNT = '77'" in wait_policy("seqlm, torch", GOMP_SPINCOUNT="77")


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
