"""Ctrl-C and SIGTERM during training: noted at once, and obeyed where nothing is lost.

A gradient or a validation, which may take minutes, is given up in the midst: what it would have
changed is what it was before. All else, such as the update of the weights or the writing of a
checkpoint, is finished first.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from seqlm.errors import SeqlmError


class TrainingInterrupted(SeqlmError):
    """Training was interrupted by a signal. It is saved, and can be resumed."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class GivenUp(BaseException):
    """Training is to stop, and the part of it that ran has changed nothing."""


class Interruption:
    """Whether training is to stop, as a signal says."""

    def __init__(self, is_wanted: Callable[[], bool] = lambda: False) -> None:
        """`is_wanted` says so besides `signals`."""
        self.signals: list[int] = []
        """The signals that have arrived."""
        self.is_wanted = is_wanted
        self.may_raise = False

    @property
    def is_requested(self) -> bool:
        return bool(self.signals) or self.is_wanted()

    def arrive(self, number: int) -> None:
        """Called when a signal arrives. Errors: GivenUp within `may_give_up`."""
        self.signals.append(number)
        if self.may_raise:
            self.may_raise = False
            raise GivenUp

    @contextmanager
    def may_give_up(self) -> Iterator[None]:
        """A signal that arrives within this context raises GivenUp there."""
        self.may_raise = True
        try:
            if self.signals:
                raise GivenUp
            yield
        finally:
            self.may_raise = False


@contextmanager
def catch_signals() -> Iterator[Interruption]:
    """SIGINT and SIGTERM interrupt training; a second signal takes effect at once.

    Outside the main thread, where Python allows no signal handlers, nothing does.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, previous[other])
        interruption.arrive(number)

    for number in numbers:
        previous[number] = signal.getsignal(number)
        if previous[number] is not signal.SIG_IGN:  # an ignored Ctrl-C stays ignored, as with nohup
            signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number in numbers:
            signal.signal(number, previous[number])
