"""Rows that anybody may have written: whether every look-up in them stays in them.

    first      begins with 0, never falls, and ends with the rows of the next order
    word       is an id, and rises among the continuations of a context
    log_prob   is a number up to 0, but for rounding; a probability may be 0
    backoff    is a number below infinity, which may be above 0

`check_rows` is for rows that are about to be read, with the words that continue them, and looks at
nothing else: so whatever a look-up in them finds is where it should be. `check_model` is one pass
over everything.

    U n-grams of an order k · R rows · V vocabulary
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from seqlm.machine.threads import prefetch_map
from seqlm.models.ngram.ngram_order import NGramOrder

if TYPE_CHECKING:
    from seqlm.models.ngram.ngram_model import NGramModel

BLOCK = 1 << 18
"""Rows checked at a time, a multiple of 64."""
ROUNDING = 1e-5
"""How far a log-probability may be above 0: a sum of rounded terms, which is 1, may be above 1."""


def check_model(model: NGramModel) -> None:
    """Errors: ValueError that names the order and what is wrong with it."""
    parts = [(k, start, min(start + BLOCK, len(order))) for k, order in enumerate(model.orders, 1)
             for start in range(0, len(order) + 1, BLOCK)]  # fmt: skip
    vocab_size = model.config.vocab_size
    for _ in prefetch_map(lambda part: check_rows(model.orders, *part, vocab_size), parts):
        pass


def check_rows(
    orders: Sequence[NGramOrder], k: int, start: int, stop: int, vocab_size: int
) -> None:
    """Checks rows `start`, a multiple of 64, up to `stop` of order k, and the words of what
    continues them. `orders` are 1 … n.

    Errors: ValueError.
    """
    order = orders[k - 1]
    with naming(k):
        check_numbers(order.numbers_between(start, stop))
    if k < len(orders):
        with naming(k):
            first = np.ascontiguousarray(order.first_between(start, stop))
            check_first(first, start, len(order), len(orders[k]))
        with naming(k + 1):
            check_words(orders[k], first, vocab_size)


def check_numbers(numbers_of: Mapping[str, np.ndarray]) -> None:
    """Errors: ValueError where the numbers of a field are NaN or infinite, or log-probabilities are
    above 0."""
    for field, numbers in numbers_of.items():
        largest = numbers.max(initial=-np.inf)  # NaN where one is
        if not largest < np.inf:
            raise ValueError(f"`{field}` holds NaN or infinite numbers")
        if field == "log_prob" and largest > ROUNDING:
            raise ValueError(f"the log-probability {largest:g} is above 0")


def check_first(first: np.ndarray, start: int, rows: int, rows_above: int) -> None:
    """Checks where the continuations of rows from `start` on begin, `first` (R + 1,), of an order
    of so many `rows`, over which there are `rows_above`. Errors: ValueError."""
    if first[0] < 0 or first[-1] > rows_above or (first[1:] < first[:-1]).any():
        raise ValueError("`first` falls, or leads out of the next order")
    is_begin, is_end = start == 0, start + len(first) == rows + 1
    if (is_begin and first[0] != 0) or (is_end and first[-1] != rows_above):
        raise ValueError(f"`first` does not lead from 0 to {rows_above}")


def check_words(order: NGramOrder, first: np.ndarray, vocab_size: int) -> None:
    """Checks the words of `order` whose contexts begin at the rows `first` (R + 1,) of it.

    Errors: ValueError.
    """
    end = int(first[-1])
    for start in range(int(first[0]), end, BLOCK):
        stop = min(start + BLOCK + 1, end)  # with the first of the next block
        words = np.ascontiguousarray(order.words_between(start, stop))
        if words.min() < 0 or words.max() >= vocab_size:
            raise ValueError("not every word is an id")
        rises = words[1:] > words[:-1]
        low, high = np.searchsorted(first, np.array([start + 1, stop], first.dtype))
        rises[first[low:high] - (start + 1)] = True  # they begin a context
        if not rises.all():
            raise ValueError("the words of a context are not in order")


@contextmanager
def naming(k: int) -> Iterator[None]:
    """Names the order k in a ValueError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"orders.{k - 1}: {error}") from None
