"""Ctrl-C and SIGTERM during training: noted at once, obeyed at the end of the step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from seqlm.errors import SeqlmError


class TrainingInterrupted(SeqlmError):
    """Training was interrupted by a signal. It is saved, and can be resumed."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM in the list it yields; a second signal takes effect at once.

    Outside the main thread, where Python allows no signal handlers, the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for other in numbers:
            signal.signal(other, previous[other])

    for number in numbers:
        previous[number] = signal.getsignal(number)
        if previous[number] is not signal.SIG_IGN:  # an ignored Ctrl-C stays ignored, as with nohup
            signal.signal(number, note)
    try:
        yield received
    finally:
        for number in numbers:
            signal.signal(number, previous[number])
