"""Every distinct n-gram of a text, order by order, and how often each occurs.

An n-gram is its *context*, all its words but the last, and that *word*. Let row(u) be the place of
the k-gram u among all k-grams, sorted by (row of the context, word). Then

    row(w₁ … wₖ)  =  rank of  ( row(w₁ … wₖ₋₁), wₖ )

and one order follows from the one below: take the positions of the text in the order of the
(k-1)-grams that end there, step each on by one word, and sort. A sort key packs all there is to
know into one integer, so that values are sorted in place and no index is moved along:

    63                                                             0
     |  row of the context, its low bits  |  word  |  position  |

Positions come grouped by context already. Whole groups are cut into chunks in which the low bits of
the row suffice, and the chunks sorted in threads. The tables come out in the order in which a model
is used: the continuations of a context are neighbours. The (k-1)-gram that ends where a k-gram ends
is its *suffix*, the n-gram it backs off to.

`</s>` is the one boundary. It ends a line, and as the first word of an n-gram it stands for the
start of the next. With context "sentence" no n-gram reaches over it: `</s>` is the first or the
last of its words. With context "carried" it is a word like any other. In both, the text itself
stands behind one more `</s>`, which is context only and not counted.

    N positions · M those at which a k-gram can end · V vocabulary
    U distinct n-grams of this order · H of the order below
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from seqlm.counting.tables.arrays import blocks, compact, sort_values
from seqlm.errors import DataError
from seqlm.models.ngram.ngram_model import indices, scramble_ids
from seqlm.progress import Progress, silent
from seqlm.text.vocabulary import EOS
from seqlm.threads import one_thread, parallel_map

R = TypeVar("R")

KEY_BITS = 63  # of a signed 64-bit integer


class NGrams(NamedTuple):
    """The distinct n-grams of one order, sorted by (row of the context, mixed word)."""

    words: Tensor  # (U,) int32, the last word, mixed; of order 1: all ids, in order
    first: Tensor  # (H + 1,) int32, context h has the rows first[h] to first[h + 1]
    suffix: Tensor  # (U,) int32, row of the suffix in the order below
    counts: Tensor  # (U,) int32 (or int64 where they need it), occurrences
    pruned_count: Tensor | None = None  # (H,) int64, counts of the continuations cut off


def count_ngrams(
    ids: np.ndarray,
    vocab_size: int,
    order: int,
    context: str = "sentence",
    device: torch.device | str = "cpu",
    key_bits: int = KEY_BITS,
    progress: Progress = silent,
    before: Sequence[int] = (EOS,),
) -> list[NGrams]:
    """The n-grams of orders 1 to `order` of a stream of `ids` (N,) that ends with `</s>`.

    `key_bits` is the width of a sort key: a narrower one makes more and smaller chunks. `before`
    (P < order,) stands before the text: n-grams reach into it, and count nothing if they end there.
    Errors: DataError on an empty text, or one that 31 bits cannot number.
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
                del frontier.words, frontier.places  # memory is at its height
            frontier.sort(keys)
            new = frontier.changes(keys)
            orders.append(frontier.table(keys, new, contexts=len(words)))
            if k < order:
                frontier.step(keys, new)
                ended = frontier.rows[k - 1 : len(before)].long()
                orders[-1].counts.index_add_(0, ended, -torch.ones_like(ended).int())
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

    words: Tensor  # (N,) int32, mixed
    rows: Tensor  # (N,) int32, row of the longest n-gram counted so far that ends at a position
    places: Tensor  # (M,) int32, positions in the order of their `contexts`
    contexts: Tensor  # (M,) int32, row of the n-gram that ends at each of `places`, rising

    def __init__(self, text: Tensor, vocab_size: int, key_bits: int, threads: int) -> None:
        self.threads = threads
        self.place_bits = (len(text) - 1).bit_length()
        self.word_bits = (vocab_size - 1).bit_length()
        self.row_bits = min(key_bits - self.word_bits - self.place_bits, 31)
        assert self.row_bits >= 0, "keys too narrow for a word and a position"

        # The rows of order 1 are the ids; positions are sorted by them as by the empty context.
        self.words, self.rows = text, text.clone()
        self.places = torch.arange(-1, len(text) - 1, dtype=torch.int32, device=text.device)
        self.contexts = torch.zeros_like(text)
        keys = self.pack()
        sort_values([keys], threads)

        def unpack(part: slice) -> None:
            self.places[part] = self._places(keys[part])
            self.contexts[part] = self._words(keys[part])
            self.words[part] = scramble_ids(self.words[part], vocab_size)

        self._each(unpack, keys)
        self.end = int(scramble_ids(torch.tensor([EOS]), vocab_size))

    def drop_ended(self, last: Tensor, lines_end: bool) -> None:
        """Keeps the positions that another word follows, in the line if `lines_end`.

        `last` (H,) is the last word of each n-gram of the order just counted. As a context of one
        word `</s>` is no end but a start, so that lines first end contexts of two.
        """
        goes_on = torch.empty(len(self.places), dtype=torch.bool, device=self.places.device)

        def mark(part: slice) -> None:
            torch.lt(self.places[part], len(self.words) - 1, out=goes_on[part])
            if lines_end:
                goes_on[part] &= last.index_select(0, self.contexts[part]) != self.end

        self._each(mark, goes_on)
        self.places, self.contexts = compact(goes_on, (self.places, self.contexts), self.threads)

    def _each(self, work: Callable[[slice], R], over: Tensor) -> list[R]:
        """`work` on every block of `over`."""
        return parallel_map(work, blocks(over), over.device, self.threads)

    # -- keys, (M,) int64

    def pack(self) -> Tensor:
        """The keys of the n-grams that end one word after `places`."""
        keys = torch.empty(len(self.places), dtype=torch.int64, device=self.places.device)
        low = (1 << self.row_bits) - 1

        def pack_block(part: slice) -> None:
            place = self.places[part] + 1
            key = (self.contexts[part] & low).long() << self.word_bits
            key |= self.words.index_select(0, place)
            key <<= self.place_bits
            torch.bitwise_or(key, place, out=keys[part])

        self._each(pack_block, keys)
        return keys

    def _places(self, keys: Tensor) -> Tensor:
        return (keys & ((1 << self.place_bits) - 1)).int()

    def _words(self, keys: Tensor) -> Tensor:
        return ((keys >> self.place_bits) & ((1 << self.word_bits) - 1)).int()

    def sort(self, keys: Tensor) -> None:
        """In place, in chunks of whole contexts whose rows agree above the low bits."""
        if len(keys) == 0:
            return
        rows = int(self.contexts[-1]) + 1
        bits = min(self.row_bits, max(rows.bit_length() - 5, 0))  # some chunks for every thread
        starts = torch.arange(0, rows + (1 << bits), 1 << bits, device=keys.device)
        starts = starts.clamp_(max=2**31 - 1).int()
        cuts = torch.searchsorted(self.contexts, starts).unique().tolist()
        sort_values([keys[start:end] for start, end in pairwise(cuts)], self.threads)

    def changes(self, keys: Tensor) -> Tensor:
        """(M,) bool: where another n-gram begins, of another context or another word."""
        new = torch.ones(len(keys), dtype=torch.bool, device=keys.device)

        def compare(part: slice) -> None:
            after = slice(part.start + 1, part.stop + 1)
            new[after] = (keys[after] ^ keys[part]) >> self.place_bits != 0
            new[after] |= self.contexts[after] != self.contexts[part]

        self._each(compare, keys[1:])
        return new

    # -- what the sorted keys say

    def table(self, keys: Tensor, new: Tensor, contexts: int) -> NGrams:
        """The distinct n-grams; `contexts` is H, the number of those of the order below."""
        parts = list(blocks(keys))
        begin = self._starts(new)  # of the n-grams of each part
        words = torch.empty(begin[-1], dtype=torch.int32, device=keys.device)
        suffix = torch.empty_like(words)
        starts = torch.full((begin[-1] + 1,), len(keys), dtype=torch.int32, device=keys.device)
        first = torch.zeros(contexts + 1, dtype=torch.int32, device=keys.device)

        def read(number: int) -> tuple[int, Tensor]:
            """Fills in a part; its lowest context, and how many n-grams that and the next have."""
            part, block = parts[number], slice(begin[number], begin[number + 1])
            start = indices(new[part])
            key = keys[part].index_select(0, start)
            words[block] = self._words(key)
            suffix[block] = self.rows.index_select(0, self._places(key))
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
        return [0, *accumulate(self._each(lambda part: int(new[part].count_nonzero()), new))]

    def step(self, keys: Tensor, new: Tensor) -> None:
        """Makes the n-grams of `keys` the contexts to go on from."""
        parts, begin = list(blocks(keys)), self._starts(new)

        def go_on(number: int) -> None:
            part = parts[number]
            place = self._places(keys[part])
            row = new[part].cumsum(0, dtype=torch.int32) + (begin[number] - 1)
            self.places[part], self.contexts[part] = place, row
            self.rows.scatter_(0, place.long(), row)

        parallel_map(go_on, range(len(parts)), keys.device, self.threads)
