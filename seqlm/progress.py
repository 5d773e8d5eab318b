"""How long work tells how far it is: a stage, and the share of it that is done where that is known.

A library function takes such a callable and does not know what becomes of it.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    def __call__(self, stage: str, done: float | None = None) -> None:
        """`done` is in 0 … 1; any thread may call."""


def silent(stage: str, done: float | None = None) -> None:
    """For those who do not ask."""
