"""Ctrl-C and SIGTERM: noted at once, obeyed at the end of the step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from seqlm.errors import SeqlmError


class Stopped(SeqlmError):
    """Training was interrupted, saved, and can be resumed."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


@contextmanager
def catching_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM for the loop to see; a second one takes effect at once."""
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[signal.Signals, Any] = {}

    def catch(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        for each in numbers:
            signal.signal(each, before[each])

    for number in numbers:
        before[number] = signal.getsignal(number)
        if before[number] is not signal.SIG_IGN:  # of a script that keeps Ctrl-C to itself
            signal.signal(number, catch)
    try:
        yield caught
    finally:
        for number in numbers:
            signal.signal(number, before[number])
