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

from seqlm.compilation import compiled
from seqlm.models.ngram.ngram_order import NGramOrder
from seqlm.models.ngram.scrambling import multiplier
from seqlm.models.ngram.walk import BEFORE_START, UNSEEN, Walked
from seqlm.text.vocabulary import EOS

WORD, FIRST, LOG_PROB, BACKOFF = 0, 1, 2, 3
"""The columns of records, as 32-bit numbers."""
HIGHEST_LOG_PROB = 1
"""The column in the highest order."""


class Slots(NamedTuple):
    """What is known of the n-grams of an order that end in each slot."""

    row: np.ndarray  # (P,) int32, or UNSEEN or BEFORE_START
    low: np.ndarray  # (P,) int32, its continuations one order up are the rows low … high-1
    high: np.ndarray  # (P,) int32
    backoff: np.ndarray  # (P,) float32, what the score of a word grows by that does not continue it

    @classmethod
    def empty(cls, size: int) -> Slots:
        integers = np.empty((3, size), np.int32)
        return cls(*integers, np.empty(size, np.float32))


class Search(NamedTuple):
    """The searches for the n-grams of an order, of which there are at most P."""

    slot: np.ndarray  # int32, of the token that each is for
    guess: np.ndarray  # int32, a row
    probed: np.ndarray  # int32, the word of that row

    @classmethod
    def empty(cls, size: int) -> Search:
        return cls(*np.empty((3, size), np.int32))


CHUNK = 1 << 13
"""Tokens that take their steps together: as many as there is room for in the cache."""
NEAR = 16
"""Rows beside a guess that are looked at one by one."""


@compiled
def put(
    slots: Slots, p: int, row: int, records: np.ndarray, numbers: np.ndarray, rows_above: int
) -> None:
    """Slot `p` holds the n-gram `row` of an order below the highest."""
    slots.row[p] = row
    slots.low[p] = max(records[row, FIRST], 0)
    slots.high[p] = min(records[row + 1, FIRST], rows_above)
    slots.backoff[p] = numbers[row, BACKOFF]


@compiled
def put_states(
    slots: Slots,
    states: np.ndarray,
    per_row: int,
    records: np.ndarray,
    numbers: np.ndarray,
    rows_above: int,
    unseen_backoff: float,
) -> None:
    """The first of the `per_row` slots of each row of tokens holds the n-gram before them, which
    is its row in `states` (B,)."""
    for b in range(len(states)):
        p, row = b * per_row, states[b]
        if 0 <= row < len(records) - 1:
            put(slots, p, row, records, numbers, rows_above)
        else:
            slots.row[p], slots.low[p], slots.high[p] = row, 0, 0
            slots.backoff[p] = unseen_backoff if row == UNSEEN else 0


@compiled
def read_unigrams(
    records: np.ndarray,
    numbers: np.ndarray,
    rows_above: int,
    ids: np.ndarray,
    words: np.ndarray,
    factor: int,
    slots: Slots,
    score: np.ndarray,
    length: np.ndarray,
) -> None:
    """Fills in the slots of order 1, whose rows are the `ids` (P,), and the scores by it."""
    vocab_size = len(records) - 1
    for p in range(len(ids)):
        words[p] = ids[p] * factor % vocab_size
        put(slots, p, ids[p], records, numbers, rows_above)
        score[p] = numbers[ids[p], LOG_PROB]
        length[p] = 1


@compiled
def walk_up(
    k: int,
    records: np.ndarray,
    numbers: np.ndarray,
    rows_above: int,
    unseen_backoff: float,
    resets_at_eos: bool,
    vocab_size: int,
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
    n = 0
    for p in range(1, len(ids)):
        low, high = below.low[p - 1], below.high[p - 1]
        steps = np.int32(words[p] * density * np.float32(high - low))
        search.slot[n] = p
        search.guess[n] = max(low, min(low + steps, high - 1))
        n += low < high
    for p in range(1, len(ids)):
        is_start = (below.row[p - 1] == BEFORE_START) | (resets_at_eos & (ids[p] == EOS))
        score[p] += below.backoff[p - 1]
        slots.row[p] = BEFORE_START if is_start else UNSEEN
        slots.backoff[p] = np.float32(0) if is_start else unseen_backoff
    slots.low[:] = 0
    slots.high[:] = 0
    for i in range(n):
        search.probed[i] = records[search.guess[i], WORD]
    for i in range(n):
        p, guess = search.slot[i], search.guess[i]
        low, high = below.low[p - 1], below.high[p - 1]
        missing = np.float32(words[p] - search.probed[i]) * density  # share of the vocabulary
        steps = np.int32(missing * np.float32(high - low))
        search.guess[i] = max(low, min(guess + steps, high - 1))
    for i in range(n):
        search.probed[i] = records[search.guess[i], WORD]
    is_highest = records.shape[1] == 2
    for i in range(n):
        p, guess, probed = search.slot[i], search.guess[i], search.probed[i]
        row = find_near(records, guess, probed, below.low[p - 1], below.high[p - 1], words[p])
        if records[row, WORD] == words[p]:
            length[p] = k
            if is_highest:
                score[p] = numbers[row, HIGHEST_LOG_PROB]
            else:
                score[p] = numbers[row, LOG_PROB]
                if not (resets_at_eos and ids[p] == EOS):
                    put(slots, p, row, records, numbers, rows_above)


@compiled
def find_near(records: np.ndarray, guess: int, probed: int, low: int, high: int, word: int) -> int:
    """The row of `word` among low … high-1, or another of them where it is not there.

    `probed` is the word of the row `guess`. The rows near it are looked at one by one.
    """
    if probed < word:
        end = min(guess + NEAR, high)
        for row in range(guess + 1, end):
            if records[row, WORD] >= word:
                return row
        low = end - 1
    else:
        end = max(guess - NEAR, low - 1)
        for row in range(guess, end, -1):
            if records[row, WORD] <= word:
                return row
        high = max(end, low) + 1
    while low < high - 1:
        middle = (low + high) // 2
        if records[middle, WORD] <= word:
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
    for k, order in enumerate(orders, 1):
        records = order.records.view(np.int32).reshape(len(order) + 1, -1)
        records.flags.writeable = False  # those of a file cannot be written to: one type for both
        numbers = records.view(np.float32)
        rows_above = len(orders[k]) if k < len(orders) else 0
        if k == 1:
            factor = multiplier(vocab_size)
            read_unigrams(records, numbers, rows_above, ids, words, factor, slots, score, length)
        else:
            walk_up(
                k, records, numbers, rows_above, unseen, resets_at_eos, vocab_size,
                ids, words, slots, above, search, score, length,
            )  # fmt: skip
            slots, above = above, slots
        if k < len(orders):
            states = np.ascontiguousarray(rows[:, k - 1])
            put_states(slots, states, width, records, numbers, rows_above, unseen)
            after[:, k - 1] = slots.row.reshape(-1, width)[:, -1]
    shape = (len(tokens), width)
    return Walked(score.reshape(shape)[:, 1:], length.reshape(shape)[:, 1:], after)
