"""The n-grams of one order in about four bytes each, and asked for like any others.

    packed     word, code of log p*, code of log β             17 + 8 + 8 bits where V is 100,000
    first      a list that never falls (`elias_fano.py`)       about 5 bits

The highest order has words and codes of log p* alone. A code stands for the nearest of 256 numbers
(`codebook.py`), so that the words and what follows them are exact, and probabilities nearly so.

    U n-grams of the order · V vocabulary · Q queries
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from seqlm.models.ngram.compact import elias_fano
from seqlm.models.ngram.compact.bit_packing import bits_at, pack_bits, unpack_bits, words_needed
from seqlm.models.ngram.compact.codebook import BITS, CODES, encode_numbers
from seqlm.models.ngram.compact.elias_fano import EliasFano
from seqlm.models.ngram.ngram_order import NGramOrder

TYPES = {
    "packed": "int64", "log_probs": "float32", "backoffs": "float32",
    "low": "int64", "high": "int64", "samples": "uint32",
}  # fmt: skip
"""Those of the arrays that are stored: unsigned integers of 64 bits are not everywhere."""


class CompactLayout(NamedTuple):
    """The shape of a compact order."""

    rows: int
    """U."""
    rows_above: int | None
    """Those of the next order; None of the highest."""
    word_bits: int

    @classmethod
    def of(cls, rows: int, rows_above: int | None, vocab_size: int) -> CompactLayout:
        return cls(rows, rows_above, max(1, (vocab_size - 1).bit_length()))

    @property
    def width(self) -> int:
        """The bits of an n-gram in `packed`."""
        return self.word_bits + (BITS if self.rows_above is None else 2 * BITS)

    def types(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """The shape and the type of every array that is stored."""
        lengths = {"packed": words_needed(self.rows, self.width), "log_probs": CODES}
        if self.rows_above is not None:
            first = elias_fano.sizes(self.rows + 1, self.rows_above)
            lengths |= zip(("low", "high", "samples"), first)
            lengths["backoffs"] = CODES
        return {name: ((length,), TYPES[name]) for name, length in lengths.items()}

    def order(self, arrays: Mapping[str, np.ndarray]) -> CompactOrder:
        return CompactOrder(self, arrays)


class CompactOrder(NGramOrder):
    def __init__(self, layout: CompactLayout, arrays: Mapping[str, np.ndarray]) -> None:
        """`arrays` are of the `types` of the layout."""
        self.layout, self._arrays = layout, dict(arrays)
        self.packed = arrays["packed"].view(np.uint64)
        self.books = {"log_prob": arrays["log_probs"]}
        if layout.rows_above is not None:
            self.books["backoff"] = arrays["backoffs"]
            low, high = (arrays[name].view(np.uint64) for name in ("low", "high"))
            low_bits = elias_fano.low_bits_for(layout.rows + 1, layout.rows_above)
            self.first_coded = EliasFano(low, high, arrays["samples"], low_bits, layout.rows + 1)

    @classmethod
    def of(cls, order: NGramOrder, rows_above: int | None, vocab_size: int) -> CompactOrder:
        """The compact form of `order`, above which there are so many rows; None of the highest."""
        layout = CompactLayout.of(len(order), rows_above, vocab_size)
        log_probs = encode_numbers(order.log_prob)
        values, arrays = order.words.astype(np.int64), {"log_probs": log_probs.book}
        values |= log_probs.codes.astype(np.int64) << layout.word_bits
        if rows_above is not None:
            backoffs = encode_numbers(order.backoff)
            values |= backoffs.codes.astype(np.int64) << (layout.word_bits + BITS)
            first = elias_fano.encode(order.first)
            arrays |= {"backoffs": backoffs.book, "samples": first.samples}
            arrays |= {"low": first.low.view(np.int64), "high": first.high.view(np.int64)}
        arrays["packed"] = pack_bits(values, layout.width).view(np.int64)
        return cls(layout, arrays)

    def __len__(self) -> int:
        return self.layout.rows

    def arrays(self) -> dict[str, np.ndarray]:
        return self._arrays

    def verify_all(self) -> None:
        """Nothing is left to verify: the arrays of a compact order are verified as a whole."""

    def check(self) -> None:
        """Errors: ValueError where the arrays, which anybody may have written, hold what no order
        does: a number that is none, or continuations out of the next order."""
        for field, book in self.books.items():
            if not book.max() < np.inf:  # the maximum with NaN is NaN
                raise ValueError(f"the codes of {field} stand for NaN or infinite numbers")
        if self.layout.rows_above is not None:
            first = elias_fano.decode(self.first_coded)
            if first[0] != 0 or first[-1] != self.layout.rows_above or (np.diff(first) < 0).any():
                raise ValueError("the continuations fall, or lead out of the next order")
            places = elias_fano.places_of(first, self.first_coded.low_bits)
            if not np.array_equal(places[:: elias_fano.SAMPLE], self.first_coded.samples):
                raise ValueError("the continuations are at other places")

    def _column(self, field: str) -> np.ndarray:
        if field == "first":
            return elias_fano.decode(self.first_coded).astype(np.int32)
        return self._field(field, unpack_bits(self.packed, self.layout.width, self.layout.rows))

    def _read(self, field: str, rows: np.ndarray) -> np.ndarray:
        if field == "first":
            return elias_fano.values_at(self.first_coded, rows).astype(np.int32)
        return self._field(field, bits_at(self.packed, self.layout.width, rows))

    def _field(self, field: str, values: np.ndarray) -> np.ndarray:
        """A field of the packed `values` (Q,) int64 of n-grams."""
        word_bits = self.layout.word_bits
        if field == "word":
            return (values & ((1 << word_bits) - 1)).astype(np.int32)
        shift = word_bits + (BITS if field == "backoff" else 0)
        numbers: np.ndarray = self.books[field][(values >> shift) & (CODES - 1)]
        return numbers
