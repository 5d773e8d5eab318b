"""Progress callbacks: the name of a stage, and the fraction of it that is done.

A library function takes such a callable as `progress`; the command line passes one that prints.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    def __call__(self, stage: str, done: float | None = None) -> None:
        """`done` is in 0 … 1, or None where it is not known. Any thread may call."""


def silent(stage: str, done: float | None = None) -> None:
    """Reports nothing: the default of every `progress`."""
