"""Every distinct n-gram of a text, order by order, and how often each occurs.

The row of an n-gram is its rank by (row of its context, last word). Each order is made from the one
below:

    1. Take the positions of the text in the order of the (k-1)-grams that end there.
    2. Move each position on by one word.
    3. Sort by (row of the (k-1)-gram, word): equal keys are one k-gram, and their number its count.

For the text `the cat the cat </s>`, with `</s>` as position 0 before it:

    n-gram      ends at       n-gram         ends at        ids: </s> 1, cat 2, the 3
    </s> the    1             </s> the cat   2
    cat </s>    5             cat the cat    4
    cat the     3             the cat </s>   5
    the cat     2, 4          the cat the    3

Sort keys carry their position along (`TaggedKeys` of `table.py`). Positions come grouped by context
already; groups are cut into chunks, which are sorted in threads. The (k-1)-gram that ends where a
k-gram ends is its *suffix*, the n-gram it backs off to.

`</s>` is the one boundary. It ends a line, and as the first word of an n-gram it stands for the
start of the next. With context "sentence" no n-gram reaches over it: `</s>` is the first or the
last of its words. With context "carried" it is a word like any other. In both, the text itself
comes after one more `</s>`, which is context only and not counted.

    N positions · M those at which a k-gram can end · V vocabulary
    U distinct n-grams of this order · H of the order below
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from seqlm.counting.tables.array_passes import blocks, compact, sort_values
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import DataError
from seqlm.models.ngram.masks import indices
from seqlm.models.ngram.scrambling import scramble_ids
from seqlm.models.ngram.table import TaggedKeys
from seqlm.progress import Progress, silent
from seqlm.text.vocabulary import EOS
from seqlm.threads import one_thread, parallel_map

R = TypeVar("R")


def count_ngrams(
    ids: np.ndarray,
    vocab_size: int,
    order: int,
    context: str = "sentence",
    device: torch.device | str = "cpu",
    key_bits: int | None = None,
    progress: Progress = silent,
    before: Sequence[int] = (EOS,),
) -> list[NGrams]:
    """The n-grams of orders 1 to `order` of a stream of `ids` (N,) that ends with `</s>`.

    `before` (P < order,) stands before the text: n-grams that end in it are not counted. Sort keys
    are as wide as KEY_BITS; narrower ones of `key_bits` make more and smaller chunks.

    Errors: DataError on an empty text, or one that 31 bits cannot number.

    >>> unigrams, bigrams = count_ngrams(np.array([2, 3, 2, 3, 1]), vocab_size=4, order=2)
    >>> bigrams.first.tolist(), bigrams.words.tolist()  # </s> 2, 2 3, 3 </s>, 3 2
    ([0, 0, 1, 2, 4], [2, 3, 1, 2])
    >>> unigrams.counts.tolist(), bigrams.counts.tolist()
    ([0, 1, 2, 2], [1, 2, 1, 1])
    """
    if len(ids) == 0:
        raise DataError("the text is empty: there is nothing to count")
    if len(ids) >= 2**31 - 1:
        raise DataError(f"{len(ids):,} tokens are too many to count at once: at most 2^31 - 2")
    assert 0 <= ids.min() <= ids.max() < vocab_size, "an id outside the vocabulary"
    threads = torch.get_num_threads()
    with one_thread():
        progress("counting 1-grams")
        text = torch.empty(len(before) + len(ids), dtype=torch.int32)  # (P + N,)
        text[: len(before)] = torch.tensor(before)
        text.numpy()[len(before) :] = ids
        text = text.to(device)
        orders = [_unigrams(text[len(before) :], vocab_size)]
        if order == 1:
            return orders
        frontier = _Frontier(text, vocab_size, key_bits, threads)
        del text  # which is `frontier.words` now
        for k in range(2, order + 1):
            progress(f"counting {k}-grams")
            words = orders[-1].words
            frontier.drop_ended(words, lines_end=context == "sentence" and k > 2)
            keys = frontier.pack()
            if k == order:
                del frontier.words, frontier.positions  # the most memory is in use here
            frontier.sort(keys)
            new = frontier.first_of_equals(keys)
            orders.append(frontier.ngrams(keys, new, contexts=len(words)))
            if k < order:
                frontier.advance(keys, new)
                in_before = frontier.longest[k - 1 : len(before)].long()
                orders[-1].counts.index_add_(0, in_before, -torch.ones_like(in_before).int())
            del keys, new
    return orders


def _unigrams(text: Tensor, vocab_size: int) -> NGrams:
    """Every entry of the vocabulary has a row, its id; all continue the one empty context."""
    ids = torch.arange(vocab_size, dtype=torch.int32, device=text.device)
    first = torch.tensor([0, vocab_size], dtype=torch.int32, device=text.device)
    counts = torch.bincount(text, minlength=vocab_size).int()
    return NGrams(ids, first, torch.zeros_like(ids), counts)


class _Frontier:
    """Where the n-grams of the order just counted end: what the next order grows from."""

    words: Tensor  # (N,) int32, scrambled
    longest: Tensor  # (N,) int32, row of the longest n-gram so far that ends at each position
    positions: Tensor  # (M,) int32, sorted by their `contexts`
    contexts: Tensor  # (M,) int32, row of the n-gram that ends at each of `positions`, rising

    def __init__(self, text: Tensor, vocab_size: int, key_bits: int | None, threads: int) -> None:
        self.threads = threads
        self.layout = TaggedKeys.of(vocab_size, len(text), key_bits)

        # The rows of order 1 are the ids; positions are sorted by them as by the empty context.
        self.words, self.longest = text, text.clone()
        self.positions = torch.arange(-1, len(text) - 1, dtype=torch.int32, device=text.device)
        self.contexts = torch.zeros_like(text)
        keys = self.pack()
        sort_values([keys], threads)

        def unpack(part: slice) -> None:
            self.positions[part] = self.layout.tags(keys[part])
            self.contexts[part] = self.layout.words(keys[part])
            self.words[part] = scramble_ids(self.words[part], vocab_size)

        self._in_blocks(unpack, keys)
        self.eos = int(scramble_ids(torch.tensor([EOS]), vocab_size))

    def drop_ended(self, last: Tensor, lines_end: bool) -> None:
        """Keeps the positions that another word follows, in the line if `lines_end`.

        `last` (H,) is the last word of each n-gram of the order just counted. `lines_end` is
        False after order 1, whose `</s>` is the context in which the next line begins.
        """
        continues = torch.empty(len(self.positions), dtype=torch.bool, device=self.positions.device)

        def mark(part: slice) -> None:
            torch.lt(self.positions[part], len(self.words) - 1, out=continues[part])
            if lines_end:
                continues[part] &= last.index_select(0, self.contexts[part]) != self.eos

        self._in_blocks(mark, continues)
        columns = (self.positions, self.contexts)
        self.positions, self.contexts = compact(continues, columns, self.threads)

    def _in_blocks(self, work: Callable[[slice], R], tensor: Tensor) -> list[R]:
        """The results of `work` on every block of `tensor`."""
        return parallel_map(work, blocks(tensor), tensor.device, self.threads)

    # -- keys, (M,) int64

    def pack(self) -> Tensor:
        """The keys of the n-grams that end one word after `positions`, which they carry."""
        keys = torch.empty(len(self.positions), dtype=torch.int64, device=self.positions.device)

        def pack_block(part: slice) -> None:
            position = self.positions[part] + 1
            keys[part] = self.contexts[part]
            self.layout.pack(keys[part], self.words.index_select(0, position), position)

        self._in_blocks(pack_block, keys)
        return keys

    def sort(self, keys: Tensor) -> None:
        """Sorts `keys` in place, in chunks of whole contexts."""
        chunks = self.layout.chunks(self.contexts.cpu().numpy())
        sort_values([keys[chunk] for chunk in chunks], self.threads)

    def first_of_equals(self, keys: Tensor) -> Tensor:
        """(M,) bool, where another n-gram begins: of another context or another word."""
        new = torch.ones(len(keys), dtype=torch.bool, device=keys.device)

        def compare(part: slice) -> None:
            after = slice(part.start + 1, part.stop + 1)
            new[after] = (keys[after] ^ keys[part]) >> self.layout.tag_bits != 0
            new[after] |= self.contexts[after] != self.contexts[part]

        self._in_blocks(compare, keys[1:])
        return new

    # -- what the sorted keys say

    def ngrams(self, keys: Tensor, new: Tensor, contexts: int) -> NGrams:
        """The distinct n-grams; `contexts` is H, the number of those of the order below."""
        parts = list(blocks(keys))
        begin = self._starts(new)  # of the n-grams of each part
        words = torch.empty(begin[-1], dtype=torch.int32, device=keys.device)
        suffix = torch.empty_like(words)
        starts = torch.full((begin[-1] + 1,), len(keys), dtype=torch.int32, device=keys.device)
        first = torch.zeros(contexts + 1, dtype=torch.int32, device=keys.device)

        def read(number: int) -> tuple[int, Tensor]:
            """Fills in a part. Returns its lowest context, and how many n-grams this and each later
            context has.
            """
            part, block = parts[number], slice(begin[number], begin[number + 1])
            start = indices(new[part])
            key = keys[part].index_select(0, start)
            words[block] = self.layout.words(key)
            suffix[block] = self.longest.index_select(0, self.layout.tags(key))
            torch.add(start, part.start, out=starts[block])
            context = self.contexts[part].index_select(0, start)
            lowest = int(context[0]) if len(context) else 0
            return lowest, torch.bincount(context - lowest)

        for lowest, sizes in parallel_map(read, range(len(parts)), keys.device, self.threads):
            first[1 + lowest :][: len(sizes)] += sizes
        # An n-gram occurs until the next one starts.
        return NGrams(words, first.cumsum_(0), suffix, starts[1:] - starts[:-1])

    def _starts(self, new: Tensor) -> list[int]:
        """How many n-grams begin before each block, and in all."""
        counts = self._in_blocks(lambda part: int(new[part].count_nonzero()), new)
        return [0, *accumulate(counts)]

    def advance(self, keys: Tensor, new: Tensor) -> None:
        """Makes the n-grams of `keys` the contexts of the next order."""
        parts, begin = list(blocks(keys)), self._starts(new)

        def advance_block(number: int) -> None:
            part = parts[number]
            position = self.layout.tags(keys[part])
            row = new[part].cumsum(0, dtype=torch.int32) + (begin[number] - 1)
            self.positions[part], self.contexts[part] = position, row
            self.longest.scatter_(0, position, row)

        parallel_map(advance_block, range(len(parts)), keys.device, self.threads)
