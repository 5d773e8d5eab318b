"""The integers that n-grams of one order are sorted by, and sorted n-grams among sorted ones.

    63                                          0
     |  row of the context  |  scrambled word  |        both are below 2³¹

They are arrays of numpy or tensors of torch alike.

    U n-grams of an order · H those of the order below, the contexts · Q queries
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from seqlm.models.ngram.ngram_order import context_blocks

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", np.ndarray, "Tensor")

BLOCK = 1 << 17
"""Rows that `find_sorted` reads at a time."""


KEY_BITS = 63
"""The bits of a signed 64-bit integer, without its sign."""
WORD_BITS = 31
"""The low bits of a key, which hold the word; the row of the context is above them. Both are below
2³¹."""


def pack_keys(contexts: Array, words: Array) -> Array:
    """(U,) the integers that rows are sorted by: `contexts` (U,) above scrambled `words` (U,).

    `contexts` are int64 and are overwritten with the keys.

    >>> pack_keys(np.array([0, 1]), np.array([5, 3])).tolist()
    [5, 2147483651]
    """
    contexts <<= WORD_BITS
    contexts |= words
    return contexts


def unpack_keys(keys: Array) -> tuple[Array, Array]:
    """The inverse of `pack_keys`: contexts and words, (U,) int64 each.

    >>> [part.tolist() for part in unpack_keys(np.array([5, 2147483651]))]
    [[0, 1], [5, 3]]
    """
    return keys >> WORD_BITS, keys & ((1 << WORD_BITS) - 1)


def first_of_equals(keys: np.ndarray) -> np.ndarray:
    """(U,) bool, where sorted `keys` (U,) differ from the key before.

    >>> first_of_equals(np.array([3, 3, 5])).tolist()
    [True, False, True]
    """
    new = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return new


class TaggedKeys(NamedTuple):
    """Keys that carry a tag: a number that says where an n-gram comes from.

    63                                                          0
     |  row of the context, its low bits  |  word  |  tag  |

    Such keys are sorted in place, which is several times as fast as to sort an index along with
    them. 63 bits do not hold a whole row beside a word and a tag, as those of `pack_keys` do.
    Therefore tagged keys are for n-grams that are grouped by context already: `chunks` are whole
    groups in which the low bits of the row are enough.
    """

    row_bits: int
    word_bits: int
    tag_bits: int

    @classmethod
    def of(cls, vocab_size: int, tags: int, key_bits: int | None = None) -> TaggedKeys:
        """The layout for tags 0 … `tags` - 1, in KEY_BITS or in fewer `key_bits`, as in tests."""
        word_bits, tag_bits = (vocab_size - 1).bit_length(), (tags - 1).bit_length()
        row_bits = min((key_bits or KEY_BITS) - word_bits - tag_bits, 31)
        assert row_bits >= 0, "keys too narrow for a word and its tag"
        return cls(row_bits, word_bits, tag_bits)

    def pack(self, contexts: Array, words: Array, tags: Array) -> Array:
        """(U,) the keys, which overwrite `contexts` (U,) int64."""
        contexts &= (1 << self.row_bits) - 1
        contexts <<= self.word_bits
        contexts |= words
        contexts <<= self.tag_bits
        contexts |= tags
        return contexts

    def words(self, keys: Array) -> Array:
        """(U,) int64."""
        words = keys >> self.tag_bits
        words &= (1 << self.word_bits) - 1
        return words

    def tags(self, keys: Array) -> Array:
        """(U,) int64."""
        return keys & ((1 << self.tag_bits) - 1)

    def chunks(self, contexts: np.ndarray) -> list[slice]:
        """The parts that are sorted one by one, given the `contexts` (U,) int32 in rising order.

        The contexts of a part agree above the low bits. There are at least about sixteen parts, for
        as many threads, if there are as many contexts.
        """
        if len(contexts) == 0:
            return []
        rows = int(contexts[-1]) + 1
        bits = min(self.row_bits, max(rows.bit_length() - 5, 0))
        starts = np.arange(0, rows + (1 << bits), 1 << bits).clip(max=2**31 - 1)
        cuts = np.unique(np.searchsorted(contexts, starts.astype(contexts.dtype))).tolist()
        return [slice(*ends) for ends in pairwise(cuts)]


def find_sorted(
    first: np.ndarray, words: np.ndarray, keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where each of `keys` (Q,), in rising order, belongs in an order.

    `words` (U,) are those of its rows, and `first` (H + 1,) that of the order below. Returns the
    row of each key (Q,) int64, or the row before which it would be inserted, and whether it is
    there (Q,). Negative keys are nowhere. For many queries this is faster than a search for each,
    because the order is read once from end to end.

    >>> keys = pack_keys(np.array([2, 2, 5]), np.array([4, 5, 1]))  # the dog, the sat, sat </s>
    >>> [part.tolist() for part in find_sorted(UNIGRAMS.first, BIGRAMS.words, keys)]
    [[2, 3, 5], [True, False, True]]
    """
    rows, is_found = np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
    for contexts, part in context_blocks(first, BLOCK):
        ends = pack_keys(np.array([contexts.start, contexts.stop]), np.array(0))
        low, high = np.searchsorted(keys, ends)
        if low == high:
            continue
        sizes = np.diff(first[contexts.start : contexts.stop + 1])
        owners = np.arange(contexts.start, contexts.stop).repeat(sizes)
        own_keys = pack_keys(owners, words[part])
        at = np.searchsorted(own_keys, keys[low:high])
        rows[low:high] = part.start + at
        if len(own_keys):
            at = at.clip(max=len(own_keys) - 1)
            is_found[low:high] = own_keys[at] == keys[low:high]
    return rows, is_found
