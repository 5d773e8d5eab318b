"""The process of a command: what Ctrl-C and SIGTERM do to it, from its first import to its end.

The first signal raises `Stopped` where the command is, and whoever is in the midst of writing
removes what is half done. Then the process ends with 128 + the number of the signal, without
Python's own end, which would wait for threads. If that is not over after PATIENCE seconds, or if
there is a second signal, it ends where it is; the next command that writes to the same place
removes what that leaves.

An import or a destructor may swallow an exception, make another error of it, or pass it to native
code that aborts. So nothing is raised in them: a timer asks again until they are over. Where that
takes long, the process ends where it is: after IMPORTING_TIME if it is the command line that
imports, which has not written anything yet, else after PATIENCE.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from threading import Thread
from types import FrameType

PATIENCE = 1.5  # seconds
IMPORTING_TIME = 0.3
FLUSHING_TIME = 0.3
INTERVAL = 0.02


class Stopped(BaseException):
    """SIGINT or SIGTERM arrived.

    This is no KeyboardInterrupt, which Python treats in ways of its own where it ends.
    """


def main() -> None:
    """Runs the command line and ends the process with its status, whatever happens."""
    signals = Signals()
    try:
        from seqlm.cli.app import main

        main()
    except Stopped:
        flush_stdout()
        signals.end()
    except SystemExit:
        if signals.first is not None:  # an error that the signal has become
            signals.end()
        signals.ignore()  # all is done, and the process ends by itself
        raise


class Signals:
    """The signals that have arrived since the process began."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.arrived = 0.0
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as it is for jobs of a script
                signal.signal(number, self.arrive)

    def arrive(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGINT and SIGTERM. Errors: Stopped."""
        if self.first is not None:
            self.end()
        self.first, self.arrived = number, time.monotonic()
        signal.signal(signal.SIGALRM, self.ask_again)
        self.stop_in(frame)

    def ask_again(self, number: int, frame: FrameType | None) -> None:
        """The handler of the timer. Errors: Stopped."""
        waited = time.monotonic() - self.arrived
        if waited > (IMPORTING_TIME if is_loading(frame) else PATIENCE):
            self.end()
        self.stop_in(frame)

    def stop_in(self, frame: FrameType | None) -> None:
        """Raises Stopped, or sets the timer where that would be swallowed."""
        if swallows_exceptions(frame):
            signal.setitimer(signal.ITIMER_REAL, INTERVAL)
            return
        signal.signal(signal.SIGALRM, lambda *_: self.end())
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        raise Stopped

    def end(self) -> None:
        """Ends the process where it is."""
        os._exit(128 + (self.first or 0))

    def ignore(self) -> None:
        """Lets no signal of these do anything any more."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)


def swallows_exceptions(frame: FrameType | None) -> bool:
    """Whether an import or a destructor is under way."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def is_loading(frame: FrameType | None) -> bool:
    """Whether the command line imports, and no function of the library has been called."""
    callers: list[str] = []
    while frame is not None:
        callers.append(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            callers.clear()
        frame = frame.f_back
    return not any(
        name.startswith("seqlm.") and not name.startswith("seqlm.cli.") for name in callers
    )


def flush_stdout() -> None:
    """Writes what is left of the results, unless their reader has stopped reading."""

    def flush() -> None:
        with suppress(OSError):
            sys.stdout.flush()

    thread = Thread(target=flush, daemon=True)
    thread.start()
    thread.join(FLUSHING_TIME)
