"""The n-grams of one order in about four bytes each, and asked for like any others.

    packed     word, code of log p*, code of log β             17 + 8 + 8 bits where V is 100,000
    first      a list that never falls (`elias_fano.py`)       about 5 bits

The highest order has words and codes of log p* alone. A code stands for the nearest of 256 numbers
(`codebook.py`), so that the words and what follows them are exact, and probabilities nearly so.

    U n-grams of the order · V vocabulary · Q queries
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from seqlm.models.ngram.compact import elias_fano
from seqlm.models.ngram.compact.bit_packing import (
    WORD,
    bits_at,
    pack_bits,
    unpack_bits,
    words_needed,
    words_of,
)
from seqlm.models.ngram.compact.codebook import BITS, CODES, encode_numbers
from seqlm.models.ngram.compact.elias_fano import SAMPLE, EliasFano
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
        self.verify_all()
        return self._arrays

    def _column(self, field: str) -> np.ndarray:
        self.verify_all()
        if field == "first":
            return elias_fano.decode(self.first_coded).astype(np.int32)
        return self._field(field, unpack_bits(self.packed, self.layout.width, 0, len(self)))

    def _read(self, field: str, rows: np.ndarray) -> np.ndarray:
        if self.verify is not None:
            self.verify(rows)
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

    def stored_at(self, start: int, stop: int) -> Iterator[tuple[str, slice]]:
        yield "packed", words_of(start, stop, self.layout.width)
        yield "log_probs", slice(0, CODES)
        if self.layout.rows_above is not None:
            yield "backoffs", slice(0, CODES)
            yield "low", words_of(start, stop + 1, self.first_coded.low_bits)
            samples = self.first_coded.samples
            first, last = start // SAMPLE, stop // SAMPLE + 2
            yield "samples", slice(first, min(last, len(samples)))
            begin, end = elias_fano.high_bits_of(self.first_coded, start, stop + 1)
            yield "high", slice(begin // WORD, -(-end // WORD))

    def words_between(self, start: int, stop: int) -> np.ndarray:
        return self._field("word", unpack_bits(self.packed, self.layout.width, start, stop))

    def first_between(self, start: int, stop: int) -> np.ndarray:
        return elias_fano.decode(self.first_coded, start, stop + 1)

    def numbers_between(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """What all codes stand for."""
        return self.books
