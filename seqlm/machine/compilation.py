"""Loops in machine code, compiled by numba where the work is large enough to pay for it.

To import numba and to read a compiled loop from disk takes half a second, and to compile it, once
on a machine, a few seconds more. Therefore every compiled loop has a twin in array code that gives
the same numbers. The twin does the work where there is little of it, or numba cannot be imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

LARGE = 3_000_000
"""Tokens or n-grams from which compiled loops are used."""
_expected = 0
"""Tokens of the largest text that is read in parts. No result depends on it, only the time.

It is not an argument, as every model, wrapper and scorer between the reader of a text and the loops
that score it would have to pass it on, though only n-gram models have such loops."""


def expect(tokens: int) -> None:
    """Says that what follows are parts of a text of so many tokens, so that a loop over a part is
    compiled where one over the whole text would be."""
    global _expected
    _expected = max(_expected, tokens)


def is_compiled(size: int, large: int | None = None) -> bool:
    """Whether compiled loops do the work on `size` tokens or n-grams, or on a part of a text, of
    which `large` numbers (LARGE) are enough to pay for it."""
    return max(size, _expected) >= (LARGE if large is None else large) and has_numba()


@cache
def has_numba() -> bool:
    """Whether numba can be imported: it may be missing, or too old for the numpy that is here."""
    try:
        importlib.import_module("numba")
    except Exception:  # of any kind, as a package that does not fit raises
        return False
    return True


def compiled(function: F) -> F:
    """Decorates a function: machine code, made at its first call and kept on disk where that can be
    written. Other Python threads run while it does.
    """
    from numba import njit

    try:
        machine_code = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # there is no folder to keep it in
        machine_code = njit(nogil=True)(function)
    return cast(F, machine_code)
