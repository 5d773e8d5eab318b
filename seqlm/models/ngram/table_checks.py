"""Records that anybody may have written: whether every look-up in them stays in them.

    first      begins with 0, never falls, and ends with the rows of the next order
    word       is an id, and rises among the continuations of a context
    log_prob   and backoff are numbers below infinity; a probability may be 0

`check_records` is for a part of an order that is about to be read, and asks for what keeps a
look-up inside: it looks at no other part. `check_model` is one pass over everything.

    U n-grams of an order k · R records of a part · V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from seqlm.machine.threads import prefetch_map
from seqlm.models.ngram.compact.compact_order import CompactOrder
from seqlm.models.ngram.ngram_order import NGramOrder

if TYPE_CHECKING:
    from seqlm.models.ngram.ngram_model import NGramModel

BLOCK = 1 << 18
"""Records checked at a time."""


def check_model(model: NGramModel) -> None:
    """Errors: ValueError that names the array and what is wrong with it."""
    vocab_size = model.config.vocab_size
    for k, order in enumerate(model.orders, 1):
        if isinstance(order, CompactOrder):
            try:
                order.check()
            except ValueError as error:
                raise ValueError(f"orders.{k - 1}: {error}") from None
    orders = [order for order in model.orders if not isinstance(order, CompactOrder)]
    for k, (below, order) in enumerate(pairwise(model.orders), 2):
        if isinstance(below, CompactOrder):
            break
        first = below.records["first"]
        if int(first[0]) != 0 or int(first[-1]) != len(order):
            name = name_of(k - 1)
            raise ValueError(f"{name}: `first` does not lead from 0 to {len(order)}")
    blocks = [(k, start) for k in range(1, len(orders) + 1)
              for start in range(0, len(orders[k - 1]) + 1, BLOCK)]  # fmt: skip

    def check(block: tuple[int, int]) -> None:
        k, start = block
        stop = min(start + BLOCK, len(orders[k - 1]) + 1)
        rows_above = len(model.orders[k]) if k < len(model.orders) else 0
        # The first record of the next block too, above which `first` must not be.
        check_records(orders[k - 1].records[start : stop + 1], k, vocab_size, rows_above)
        if k > 1:
            check_order_of_words(orders, k, start, min(stop, len(orders[k - 1])))

    for _ in prefetch_map(check, blocks):
        pass


def check_records(records: np.ndarray, k: int, vocab_size: int, rows_above: int) -> None:
    """Checks neighboring records (R,) of order k, over which there are `rows_above` rows.

    Errors: ValueError.
    """
    words, fields = records["word"], records.dtype.names or ()
    if len(words) and (int(words.min()) < 0 or int(words.max()) >= vocab_size):
        raise ValueError(f"{name_of(k)}: not every word is an id")
    for field in ("log_prob", "backoff"):
        # The maximum with NaN is NaN.
        if field in fields and not records[field].max(initial=-np.inf) < np.inf:
            raise ValueError(f"{name_of(k)}: `{field}` holds NaN or infinite numbers")
    if "first" in fields and len(records):
        first = records["first"]
        if int(first[0]) < 0 or int(first[-1]) > rows_above or (first[1:] < first[:-1]).any():
            raise ValueError(f"{name_of(k)}: `first` falls, or leads out of the next order")


def check_order_of_words(orders: Sequence[NGramOrder], k: int, start: int, stop: int) -> None:
    """Errors: ValueError where a word of rows `start` up to `stop` of order k ≥ 2 is not above the
    one before it, and begins no context."""
    words, below = orders[k - 1].records["word"], orders[k - 2]
    rises = np.ones(stop - start, bool)
    np.greater(words[start + 1 : stop], words[start : stop - 1], out=rises[1:])
    if start:
        rises[0] = words[start] > words[start - 1]
    low, high = below.contexts_of(np.array([start - 1, stop - 1])) + 1
    rises[below.records["first"][low if start else 0 : high] - start] = True  # they begin a context
    if not rises.all():
        raise ValueError(f"{name_of(k)}: the words of a context are not in order")


def name_of(k: int) -> str:
    """The array of order k."""
    return f"orders.{k - 1}.records"
