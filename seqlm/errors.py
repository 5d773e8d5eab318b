"""The errors a user can cause. Each carries the exit status of the command that meets it.

The message is one line: what is wrong, where (file, line), and the remedy. Anything else that is
raised is our mistake, and shows a traceback with --debug.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SeqlmError(ValueError):
    """A run that failed for a reason outside the four below (NaN loss, disk full)."""

    exit_code = 1


class UsageError(SeqlmError):
    """A flag, configuration key or combination that means nothing."""

    exit_code = 2


class DataError(SeqlmError):
    """Text that cannot be read or used."""

    exit_code = 3


class ModelError(SeqlmError):
    """A run folder or model that cannot be read, or cannot do what is asked."""

    exit_code = 4


def nearest(word: str, names: Iterable[str]) -> str:
    """'; did you mean X?', the name a person probably meant, or '' where none is near."""
    near = get_close_matches(word, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """The same, or where none is near '; there are A, B, C'."""
    names = list(names)
    return nearest(word, names) or (f"; there are {', '.join(names)}" if names else "")
