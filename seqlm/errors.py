"""The errors that a user can cause, each with the exit status of the command line.

The message is one line: what is wrong, where (file, line), and the remedy. Anything else that is
raised is a bug of seqlm, and shows a traceback with --debug.

A message names settings, not flags, and puts them between backquotes, with their value where it has
one: "`patience` needs validation text", "`cooldown` is for `schedule=wsd`". In Python the message
reads without the backquotes. The command line replaces them by what the user wrote or can write:
the flag (--patience, --schedule wsd, --untied for `tied=False`), the variable (SEQLM_PATIENCE), or
the file and key of a recipe. A warning may mark settings in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from json import JSONDecodeError
from typing import Any

MARKED = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`\s]*))?`")
"""A setting in a message, `name` or `name=value`."""


WRONG_VALUES = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""What Python raises where a file holds other values than it should."""


class SeqlmError(ValueError):
    """An error of none of the three classes below, such as a NaN loss or a full disk."""

    exit_code = 1

    def __str__(self) -> str:
        return spell_settings(self.marked, spell_plainly)

    @property
    def marked(self) -> str:
        """The message with its marks, in one line whatever it quotes from a file."""
        return " ".join(super().__str__().splitlines())


class UsageError(SeqlmError):
    """A setting, an argument or a combination of them that is not valid."""

    exit_code = 2


class DataError(SeqlmError):
    """Text that cannot be read or used."""

    exit_code = 3


class ModelError(SeqlmError):
    """A run folder or model that cannot be read, or does not support what is asked of it."""

    exit_code = 4


def mark(name: str, value: str | None = None) -> str:
    """A setting as a message marks it: '`name`', or '`name=value`'."""
    return f"`{name}`" if value is None else f"`{name}={value}`"


def spell_settings(message: str, spell: Callable[[str, str | None], str]) -> str:
    """`message` with each mark replaced by `spell(name, value)`; `value` is None without one."""
    return MARKED.sub(lambda mark: spell(mark[1], mark[2]), message)


def spell_plainly(name: str, value: str | None) -> str:
    """'patience', or 'schedule wsd'."""
    return name if value is None else f"{name} {value}"


def fault_of(error: Exception) -> str:
    """What an error says to the user about a file that cannot be read, after a colon: nothing where
    the words are Python's, for programmers.

    >>> fault_of(ModelError("it has no words")), fault_of(KeyError("dtype"))
    (': it has no words', '')
    """
    if isinstance(error, SeqlmError | JSONDecodeError):
        return f": {error}"
    if isinstance(error, UnicodeDecodeError):
        return f": its byte {error.start + 1:,} is not UTF-8"
    if isinstance(error, RecursionError):
        return ": it is nested too deeply"
    if "set_int_max_str_digits" in str(error):
        return ": a number in it has too many digits"
    return ""


def nearest(word: str, names: Iterable[str], cutoff: float = 0.5) -> str:
    """'; did you mean X?' with the most similar of `names`, or '' if none is similar.

    `cutoff` is the least similarity, from 0 to 1.
    """
    near = get_close_matches(word, list(names), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """As `nearest`, but '; there are A, B, C' if no name is similar."""
    names = list(names)
    return nearest(word, names) or (f"; there are {', '.join(names)}" if names else "")


def shown(value: Any, width: int = 60) -> str:
    """`value` as Python writes it, in one line of at most `width` characters.

    >>> shown(["a", 1]), shown("x" * 99, 8)
    ("['a', 1]", "'xxxxxx…")
    """
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python writes
        text = f"a large {type(value).__name__}"
    return text if len(text) <= width else f"{text[: width - 1]}…"
