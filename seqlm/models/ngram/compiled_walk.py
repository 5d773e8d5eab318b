"""The walk of `walk.py` in machine code: the same scores, in less than half the time.

A look-up waits for memory: the records of a large model are in no cache, and each is somewhere
else. So no token waits alone. As in `walk.py` all tokens take a step together, and a step is a few
loops over all of them, of which each does one thing: it guesses where the records are; asks memory
for all of them, one right after the other, so that many are on their way at a time; guesses better
from what was there (`interpolation_search.py`), and asks again; and looks for what is near the
second guess. A record that is found is in the cache by then, and all that the score and the next
order need is read from it.

Every row that is read is in its order, whatever the records say.

    B rows of tokens · S slots of each: one for the state before its tokens, and one for each token
    P = B·S slots in all · U n-grams of an order below the highest
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqlm.machine.compilation import compiled
from seqlm.models.ngram.compact.codebook import BITS
from seqlm.models.ngram.compiled_rows import (
    BACKOFF,
    FIRST,
    HIGHEST_LOG_PROB,
    LOG_PROB,
    Number,
    Rows,
    first_pair,
    number_at,
    rows_of,
    word_at,
)
from seqlm.models.ngram.ngram_order import NGramOrder
from seqlm.models.ngram.scrambling import multiplier
from seqlm.models.ngram.walk import BEFORE_START, UNSEEN, Walked
from seqlm.text.vocabulary import EOS


class Slots(NamedTuple):
    """What is known of the n-grams of an order that end in each slot."""

    row: np.ndarray  # (P,) int32, or UNSEEN or BEFORE_START
    low: np.ndarray  # (P,) int32, its continuations one order up are the rows low … high-1
    high: np.ndarray  # (P,) int32
    backoff: np.ndarray  # (P,) float32, what the score of a word grows by that does not continue it

    @classmethod
    def empty(cls, size: int) -> Slots:
        integers = np.empty((3, size), np.int32)
        return cls(integers[0], integers[1], integers[2], np.empty(size, np.float32))


class Search(NamedTuple):
    """The searches for the n-grams of an order, of which there are at most P."""

    slot: np.ndarray  # int32, of the token that each is for
    guess: np.ndarray  # int32, a row
    probed: np.ndarray  # int32, the word of that row

    @classmethod
    def empty(cls, size: int) -> Search:
        return cls(*np.empty((3, size), np.int32))


CHUNK = 1 << 14
"""Tokens that take their steps together: as many as there is room for in the cache."""
NEAR = 16
"""Rows beside a guess that are looked at one by one."""


@compiled
def put(slots: Slots, of_slots: np.ndarray, of_rows: np.ndarray, rows: Rows) -> None:
    """Slots hold n-grams of an order below the highest, which are the rows of the same number."""
    records, numbers, packed, width = rows.records, rows.numbers, rows.packed, rows.width
    book, shift = rows.books[1], rows.word_bits + BITS
    low_words, high_words, samples, low_bits = rows.low, rows.high, rows.samples, rows.low_bits
    row_, low_, high_, backoff = slots.row, slots.low, slots.high, slots.backoff
    for i in range(len(of_slots)):
        p, row = of_slots[i], of_rows[i]
        if width:
            low, high = first_pair(low_words, high_words, samples, low_bits, row)
        else:
            low, high = np.int64(records[row, FIRST]), np.int64(records[row + 1, FIRST])
        low = min(max(low, 0), rows.rows_above)
        row_[p], low_[p], high_[p] = row, low, max(low, min(high, rows.rows_above))
        backoff[p] = number_at(numbers, BACKOFF, packed, width, shift, book, row)


@compiled
def put_states(
    slots: Slots, states: np.ndarray, per_row: Number, rows: Rows, unseen_backoff: Number
) -> None:
    """The first of the `per_row` slots of each row of tokens holds the n-gram before them, which
    is its row in `states` (B,)."""
    for b in range(len(states)):
        p, row = b * per_row, states[b]
        if 0 <= row < rows.size:
            put(slots, np.array([p]), states[b : b + 1], rows)
        else:
            slots.row[p], slots.low[p], slots.high[p] = row, 0, 0
            slots.backoff[p] = unseen_backoff if row == UNSEEN else 0


@compiled
def read_unigrams(
    rows: Rows,
    ids: np.ndarray,
    words: np.ndarray,
    factor: Number,
    slots: Slots,
    score: np.ndarray,
    length: np.ndarray,
) -> None:
    """Fills in the slots of order 1, whose rows are the `ids` (P,), and the scores by it."""
    put(slots, np.arange(len(ids)), ids, rows)
    for p in range(len(ids)):
        words[p] = ids[p] * factor % rows.size
        score[p] = rows.numbers[ids[p], LOG_PROB]
        length[p] = 1


@compiled
def walk_up(
    k: Number,
    rows: Rows,
    unseen_backoff: Number,
    resets_at_eos: bool,
    vocab_size: Number,
    ids: np.ndarray,
    words: np.ndarray,
    below: Slots,
    slots: Slots,
    search: Search,
    score: np.ndarray,
    length: np.ndarray,
) -> None:
    """Fills in the slots of order k ≥ 2 from those `below`, and what it changes of the scores.

    The first slots of rows of tokens, and their scores, get any values.
    """
    density = np.float32(1 / vocab_size)
    slot, guess, probed = search
    row_below, low, high, backoff_below = below
    n = 0
    for p in range(1, len(ids)):
        size = high[p - 1] - low[p - 1]
        steps = np.int32(words[p] * density * np.float32(size))
        slot[n], guess[n] = p, low[p - 1] + max(0, min(steps, size - 1))
        n += size > 0
    row, _, _, backoff = slots
    for p in range(1, len(ids)):
        is_start = (row_below[p - 1] == BEFORE_START) | (resets_at_eos & (ids[p] == EOS))
        score[p] += backoff_below[p - 1]
        row[p] = BEFORE_START if is_start else UNSEEN
        backoff[p] = np.float32(0) if is_start else unseen_backoff
    slots.low[:] = 0
    slots.high[:] = 0
    records, packed, width, word_bits = rows.records, rows.packed, rows.width, rows.word_bits
    for i in range(n):
        probed[i] = word_at(records, packed, width, word_bits, guess[i])
    for i in range(n):
        p = slot[i]
        first, last = low[p - 1], high[p - 1] - 1
        missing = np.float32(words[p] - probed[i]) * density  # share of the vocabulary
        steps = np.int32(missing * np.float32(last + 1 - first))
        guess[i] = max(first, min(guess[i] + steps, last))
    for i in range(n):
        probed[i] = word_at(records, packed, width, word_bits, guess[i])
    numbers, book = rows.numbers, rows.books[0]
    column = HIGHEST_LOG_PROB if rows.is_highest else LOG_PROB
    found = 0
    for i in range(n):
        p, word = slot[i], words[slot[i]]
        at = find_near(
            records, packed, width, word_bits, guess[i], probed[i], low[p - 1], high[p - 1], word
        )
        if word_at(records, packed, width, word_bits, at) == word:
            length[p] = k
            score[p] = number_at(numbers, column, packed, width, word_bits, book, at)
            slot[found], guess[found] = p, at
            found += not (resets_at_eos and ids[p] == EOS)
    if not rows.is_highest:
        put(slots, slot[:found], guess[:found], rows)


@compiled
def find_near(
    records: np.ndarray,
    packed: np.ndarray,
    width: Number,
    word_bits: Number,
    guess: Number,
    probed: Number,
    low: Number,
    high: Number,
    word: Number,
) -> Number:
    """The row of `word` among low … high-1, or another of them where it is not there.

    `probed` is the word of the row `guess`. The rows near it are looked at one by one.
    """
    if probed < word:
        end = min(guess + NEAR, high)
        for row in range(guess + 1, end):
            if word_at(records, packed, width, word_bits, row) >= word:
                return row
        low = end - 1
    else:
        end = max(guess - NEAR, low - 1)
        for row in range(guess, end, -1):
            if word_at(records, packed, width, word_bits, row) <= word:
                return row
        high = max(end, low) + 1
    while low < high - 1:
        middle = (low + high) // 2
        if word_at(records, packed, width, word_bits, middle) <= word:
            low = middle
        else:
            high = middle
    return low


def walk(
    orders: Sequence[NGramOrder],
    rows: np.ndarray,
    tokens: np.ndarray,
    unseen_backoff: float,
    resets_at_eos: bool,
) -> Walked:
    """The same as `walk` of `walk.py`, of orders 1 … n ≥ 2. Errors: IndexError where a token is no
    id."""
    vocab_size, width = len(orders[0]), tokens.shape[1] + 1
    if tokens.min(initial=0) < 0 or tokens.max(initial=0) >= vocab_size:
        raise IndexError(f"ids are from 0 to {vocab_size - 1}")
    ids = np.zeros((len(tokens), width), np.int64)
    ids[:, 1:] = tokens
    ids = ids.reshape(-1)  # (P,)
    size, after, unseen = len(ids), np.empty_like(rows), np.float32(unseen_backoff)
    words, score = np.empty(size, np.int32), np.empty(size, np.float32)
    length = np.empty(size, np.uint8)
    slots, above, search = Slots.empty(size), Slots.empty(size), Search.empty(size)
    sizes_above = [*map(len, orders[1:]), None]
    for k, (order, rows_above) in enumerate(zip(orders, sizes_above), 1):
        own = rows_of(order, rows_above)
        if k == 1:
            read_unigrams(own, ids, words, multiplier(vocab_size), slots, score, length)
        else:
            walk_up(
                k, own, unseen, resets_at_eos, vocab_size,
                ids, words, slots, above, search, score, length,
            )  # fmt: skip
            slots, above = above, slots
        if k < len(orders):
            put_states(slots, np.ascontiguousarray(rows[:, k - 1]), width, own, unseen)
            after[:, k - 1] = slots.row.reshape(-1, width)[:, -1]
    shape = (len(tokens), width)
    return Walked(score.reshape(shape)[:, 1:], length.reshape(shape)[:, 1:], after)
