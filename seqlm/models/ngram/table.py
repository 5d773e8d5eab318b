"""The tables of an n-gram model: how their rows are sorted, packed, found, spelled and summed.

An n-gram is its *context*, all its words but the last, and that last *word*. The n-grams of order k
are the rows of one table, sorted by

    ( row of w₁ … wₖ₋₁ in the table of order k-1,  scrambled wₖ )        row(w₁) = id of w₁

so that the words which continue a context are neighbors: context h has the rows first[h] up to, and
without, first[h + 1]. Of the text `the cat sat </s> the dog sat </s>`, with ids from `<unk>` 0 and
`</s>` 1 to `sat` 5 (so few types stay where they are when they are scrambled), the bigrams are

    row         0         1        2        3        4        5
    n-gram      </s> the  the cat  the dog  cat sat  dog sat  sat </s>
    words       2         3        4        5        5        1
    first       0  0  1  3  4  5  6      of the contexts <unk> </s> the cat dog sat, and the end

A look-up is a walk, one table a word: row(w₁ … wₖ) is found among the continuations of
row(w₁ … wₖ₋₁). Contexts of neighbors are neighbors, so that rows are spelled a stretch at a time.

    V vocabulary size · n highest order · k order of a table · U its rows
    H rows of the order below, the contexts · Q queries · B, T rows and columns of tokens
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.models.ngram.interpolation_search import interpolation_search
from seqlm.models.ngram.scrambling import scramble_ids
from seqlm.models.ngram.sort_keys import TaggedKeys as TaggedKeys
from seqlm.models.ngram.sort_keys import first_of_equals as first_of_equals
from seqlm.models.ngram.sort_keys import pack_keys as pack_keys
from seqlm.models.ngram.sort_keys import unpack_keys as unpack_keys
from seqlm.text.vocabulary import EOS

BLOCK = 1 << 17
"""Rows that `find_sorted` reads at a time."""


# ---------------------------------------------------------------------------------- one order


class NGramTable(NamedTuple):
    """The n-grams of one order k ≥ 2, as continuations of those of the order below."""

    first: Tensor  # (H + 1,) int32 or int64, where the rows of each context begin, and the end
    words: Tensor  # (U,) int32, the last word of each row, scrambled

    def cpu(self) -> NGramTable:
        return NGramTable(self.first.cpu(), self.words.cpu())

    def find(self, contexts: Tensor, words: Tensor, vocab_size: int) -> Tensor:
        """(Q,) int32 rows of the n-grams of `contexts` (Q,) and scrambled `words` (Q,), or -1.

        A context is a row of the order below, or -1, which nothing continues. All are int32.

        >>> the, cat, sat = torch.tensor([[2], [3], [5]], dtype=torch.int32)
        >>> TABLE.find(the, cat, 6).item(), TABLE.find(the, sat, 6).item()
        (1, -1)
        """
        if len(self.words) == 0:
            return torch.full_like(contexts, -1)
        rows = contexts.clamp(min=0)
        low, high = self.first.index_select(0, rows), self.first.index_select(0, rows + 1)
        high = torch.where(contexts >= 0, high, low)
        own_words = self.words.cpu().numpy()
        start, stop, targets = (each.cpu().int().numpy() for each in (low, high, words))
        found = interpolation_search(lambda at: own_words[at], start, stop, targets, vocab_size)
        return torch.from_numpy(found).to(contexts.device)

    def find_sorted(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each of `keys` (Q,), in rising order, belongs in the table.

        Returns its row (Q,) int64, or the row before which it would be inserted, and whether it is
        in the table (Q,). Negative keys are in none. For many queries this is faster than `find`,
        because it reads the table once from end to end. The table has to be on the CPU.

        >>> keys = pack_keys(np.array([2, 2, 5]), np.array([4, 5, 1]))  # the dog, the sat, sat </s>
        >>> [part.tolist() for part in TABLE.find_sorted(keys)]
        [[2, 3, 5], [True, False, True]]
        """
        rows, is_found = np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
        first, words = self.first.numpy(), self.words.numpy()
        for contexts, part in context_blocks(self.first, BLOCK):
            ends = pack_keys(np.array([contexts.start, contexts.stop]), np.array(0))
            low, high = np.searchsorted(keys, ends)
            if low == high:
                continue
            sizes = np.diff(first[contexts.start : contexts.stop + 1])
            owners = np.arange(contexts.start, contexts.stop).repeat(sizes)
            table_keys = pack_keys(owners, words[part])
            at = np.searchsorted(table_keys, keys[low:high])
            rows[low:high] = part.start + at
            if len(table_keys):
                at = at.clip(max=len(table_keys) - 1)
                is_found[low:high] = table_keys[at] == keys[low:high]
        return rows, is_found

    def contexts(self, rows: Tensor) -> Tensor:
        """(Q,) int64, the context of each of `rows` (Q,).

        >>> TABLE.contexts(torch.tensor([1, 2, 5])).tolist()  # the cat, the dog, sat </s>
        [2, 2, 5]
        """
        return torch.searchsorted(self.first, rows.to(self.first.dtype), right=True) - 1

    def continuations(self, contexts: Tensor) -> tuple[Tensor, Tensor]:
        """The rows (C,) of all n-grams that continue `contexts` (Q,), and how many each has (Q,).

        >>> rows, sizes = TABLE.continuations(torch.tensor([5, 2]))  # of sat and the
        >>> rows.tolist(), sizes.tolist()
        ([5, 1, 2], [1, 2])
        """
        low = self.first[contexts]
        size = self.first[contexts + 1] - low  # (Q,)
        shift = torch.repeat_interleave(low - (size.cumsum(0) - size), size)  # (C,)
        return shift + torch.arange(len(shift), device=shift.device), size


def context_blocks(first: Tensor, rows: int) -> Iterator[tuple[slice, slice]]:
    """A table in blocks of whole contexts that have about `rows` rows: (contexts, rows) each.

    >>> list(context_blocks(torch.tensor([0, 0, 1, 3, 4, 5, 6]), 3))
    [(slice(0, 3, None), slice(0, 3, None)), (slice(3, 6, None), slice(3, 6, None))]
    """
    targets = torch.arange(0, int(first[-1]), rows, dtype=first.dtype, device=first.device)
    ends = torch.tensor([0, len(first) - 1], device=first.device)
    cuts = torch.cat([torch.searchsorted(first, targets), ends]).unique()
    bounds = zip(cuts.tolist(), first[cuts].tolist(), strict=True)
    for (context, row), (next_context, next_row) in pairwise(bounds):
        yield slice(context, next_context), slice(row, next_row)


def row_contexts(first: Tensor) -> Tensor:
    """(U,) int64, the context of every row of a table, from its `first` (H + 1,).

    >>> row_contexts(torch.tensor([0, 0, 1, 3])).tolist()
    [1, 2, 2]
    """
    return torch.arange(len(first) - 1, device=first.device).repeat_interleave(first.diff())


def segment_sum(values: Tensor, first: Tensor, dtype: torch.dtype = torch.int64) -> Tensor:
    """(H,) the sum of the `values` (U,) of each context's rows, which are first[h] … first[h+1].

    >>> segment_sum(torch.tensor([1, 10, 100]), torch.tensor([0, 0, 1, 3])).tolist()
    [0, 1, 110]
    """
    sums = torch.zeros(len(values) + 1, dtype=dtype, device=values.device)
    torch.cumsum(values, 0, dtype=dtype, out=sums[1:])
    return sums.index_select(0, first).diff()


# ----------------------------------------------------------------------------------- all orders


def words_of_range(tables: Sequence[NGramTable], start: int, stop: int) -> list[np.ndarray]:
    """The words of rows `start` to `stop` of order k, given the `tables` of orders 2 … k.

    Returns k columns (U,) int32: the ids of the first words, then the scrambled words. The tables
    have to be on the CPU.

    >>> [column.tolist() for column in words_of_range([TABLE], 1, 4)]  # the cat, the dog, cat sat
    [[2, 2, 3], [3, 4, 5]]
    """
    columns: list[np.ndarray] = []
    position: np.ndarray | None = None  # (U,) of each n-gram's row in start … stop, if they differ
    for table in reversed(tables):
        first, words = table.first.numpy(), table.words.numpy()[start:stop]
        columns.append(words if position is None else words.take(position))
        if start < stop:
            # The contexts of a range are a range, each repeated by the number of its rows here.
            ends = np.array([start, stop - 1], first.dtype)  # another type would copy `first`
            low, high = (np.searchsorted(first, ends, side="right") - 1).tolist()
            sizes = np.diff(first[low : high + 2].clip(start, stop))
            contexts = np.arange(high + 1 - low).repeat(sizes)
            position = contexts if position is None else contexts.take(position)
            start, stop = low, high + 1
    if position is None:
        position = np.arange(max(stop - start, 0))
    return [(position + start).astype(np.int32), *reversed(columns)]


def words_of_rows(tables: Sequence[NGramTable], rows: Tensor) -> list[Tensor]:
    """The words of any `rows` (U,) of order k, with a search for the context of each.

    >>> [column.tolist() for column in words_of_rows([TABLE], torch.tensor([4, 1]))]
    [[4, 2], [5, 3]]
    """
    columns: list[Tensor] = []
    for table in reversed(tables):
        columns.append(table.words[rows])
        rows = table.contexts(rows)
    return [rows.int(), *reversed(columns)]


UNSEEN, BEFORE_START = -1, -2
"""Rows of n-grams that are in no table: the text has such an n-gram; it would begin before the text
(or the line), so that there is none."""


class Matches(NamedTuple):
    """The n-grams of one order k that end with tokens (B, T)."""

    contexts: Tensor  # (B, T) int32, row of the k-1 words before each token in order k-1, or < 0
    rows: Tensor  # (B, T) int32, row of these words and the token in order k, or < 0


def start_rows(batch_size: int, order: int, device: torch.device) -> Tensor:
    """(B, n-1) int32, the state of `match_ngrams` at the start of a text: after one `</s>`."""
    rows = torch.full((batch_size, order - 1), BEFORE_START, dtype=torch.int32, device=device)
    rows[:, :1] = EOS
    return rows


def match_ngrams(
    tables: Sequence[NGramTable],
    rows: Tensor,
    tokens: Tensor,
    vocab_size: int,
    resets_at_eos: bool,
) -> tuple[list[Matches], Tensor]:
    """The matches of orders 2 … n for `tokens` (B, T), and the state after them.

    The state is `rows` (B, n-1) int32: the row of the last k tokens in order k, or UNSEEN or
    BEFORE_START, for k = 1 … n-1. `tables` are those of orders 2 … n. With `resets_at_eos` no
    n-gram contains `</s>` but as its first or last word.

    >>> rows, tokens = start_rows(1, 2, torch.device("cpu")), torch.tensor([[2, 4, 3]])
    >>> matches, rows = match_ngrams([TABLE], rows, tokens, 6, resets_at_eos=True)  # the dog cat
    >>> matches[0].rows.tolist(), rows.tolist()
    ([[0, 2, -1]], [[3]])
    """
    if tokens.shape[1] == 0:
        return [], rows
    words = scramble_ids(tokens, vocab_size)  # (B, T)
    row = tokens.int()  # (B, T) of the k-gram that ends with each token
    matches, last = [], []
    for k, table in enumerate(tables, 2):
        last.append(row[:, -1])
        contexts = torch.cat([rows[:, k - 2 : k - 1], row[:, :-1]], 1)
        row = table.find(contexts.flatten(), words.flatten(), vocab_size).view(tokens.shape)
        row = torch.where(contexts == BEFORE_START, contexts, row)
        matches.append(Matches(contexts, row))
        if resets_at_eos:
            row = row.masked_fill(tokens == EOS, BEFORE_START)
    return matches, torch.stack(last, 1) if last else rows
