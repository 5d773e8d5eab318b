"""An n-gram model as ARPA text, the format that every toolkit reads (SRILM, `ngram-format(5)`).

    \\data\\
    ngram 1=133818                 how many n-grams of each order
    …
    \\2-grams:
    -1.7044345\tthe frog\t-0.21    log₁₀ p, the words, and log₁₀ β where it is not 0
    …
    \\end\\

`<s>` is a unigram that is never predicted: log₁₀ p = -99, which stands for log 0. Its backoff is
that of the row of `</s>`, the context at the start of a line. A number has as many decimals as are
needed to read back the same float32 natural logarithm, up to 16.

No line is written by itself. Whatever lines are made of lies in one *pool* of bytes: each word
behind its separator, each whole number behind its own, each group of four digits. A line is a list
of pieces (start, length) of the pool, and a block of lines is one gather.

    U rows of a block · k their order · P pieces of a line · V vocabulary, with `<s>` as number V
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import ceil, log, log10
from typing import NamedTuple

import numpy as np
import torch

from seqlm.errors import ModelError
from seqlm.models.ngram.arpa_reader import BEGIN, LOG_ZERO
from seqlm.models.ngram.ngram_model import NGramModel, scramble_ids
from seqlm.progress import Progress, silent
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS
from seqlm.threads import prefetch_map

BLOCK = 1 << 13
"""Lines made at a time, so that their pieces stay in the cache."""
DIGITS = 16  # behind the point, at most
GROUP = 4  # of them are looked up at once


def arpa_text(
    model: NGramModel, tokenizer: Tokenizer, progress: Progress = silent
) -> Iterator[bytes]:
    """The file in pieces of some hundred kilobytes, made by as many threads as torch has.

    Errors: ModelError, before the first piece, where ARPA cannot tell the model.
    """
    check(model, tokenizer)
    return text(model, tokenizer.types, progress)


def check(model: NGramModel, tokenizer: Tokenizer) -> None:
    """Errors: ModelError where ARPA cannot tell the model."""
    if tokenizer.kind != "word":
        raise ModelError(
            f"ARPA knows words between white space, and this model has {tokenizer.kind} tokens:"
            " count with --tokenizer word"
        )
    if not model.resets_at_eos:
        raise ModelError(
            "ARPA knows sentences, and the context of this model is carried over lines:"
            " count with --context sentence"
        )
    if not model.normalized:
        raise ModelError(
            f"ARPA holds probabilities, and {model.config.smoothing} gives scores:"
            " count with another --smoothing"
        )
    listed = b"\n".join(tokenizer.types)
    if BEGIN in tokenizer.types or b"\0" in listed or listed.split() != tokenizer.types:
        raise ModelError("ARPA cannot tell words that are <s>, or hold white space or NUL")


def text(model: NGramModel, types: Sequence[bytes], progress: Progress) -> Iterator[bytes]:
    tables = [unigrams(model), *(table(model, k) for k in range(2, model.config.order + 1))]
    sizes = [len(table.log_prob) for table in tables]
    counts = "".join(f"ngram {k}={size}\n" for k, size in enumerate(sizes, 1))
    yield f"\\data\\\n{counts}".encode()
    pool = Pool(types)
    for k, size in enumerate(sizes, 1):
        yield f"\n\\{k}-grams:".encode()
        for start, block in prefetch_map(partial(lines, tables[:k], pool), range(0, size, BLOCK)):
            progress(f"writing {size:,} {k}-grams", start / size)
            yield block
        yield b"\n"
    yield b"\n\\end\\\n"


# ------------------------------------------------------------------------------------------ tables


class Rows(NamedTuple):
    """The n-grams of one order as they are told, as numpy arrays."""

    words: np.ndarray  # (U,) the last word: mixed, but in order 1 a number 0 … V
    log_prob: np.ndarray  # (U,) float32, natural
    backoff: np.ndarray | None  # (U,)
    first: np.ndarray | None  # (U + 1,), as in the model


def table(model: NGramModel, k: int) -> Rows:
    it = model.order(k)
    inner = k < model.config.order
    return Rows(
        it.words.cpu().numpy(),
        it.log_prob.cpu().numpy(),
        it.backoff.cpu().numpy() if inner else None,
        it.first.cpu().numpy() if inner else None,
    )


def unigrams(model: NGramModel) -> Rows:
    """Those of the model, and `<s>` behind the first, `<unk>`."""
    it, inner = model.order(1), model.config.order > 1
    size = model.config.vocab_size
    words = np.insert(np.arange(size), EOS, size)
    log_prob = np.insert(it.log_prob.cpu().numpy(), EOS, -np.inf)
    if not inner:
        return Rows(words, log_prob, None, None)
    backoff = it.backoff.cpu().numpy()
    backoff = np.insert(backoff, EOS, backoff[EOS])
    backoff[EOS + 1] = 0  # of `</s>`, which is no context
    return Rows(words, log_prob, backoff, it.first.cpu().numpy())


# ------------------------------------------------------------------------------------------- lines


class Pieces(NamedTuple):
    """Strings of the pool, by number."""

    start: np.ndarray  # int64
    length: np.ndarray  # int64


class Pool:
    """The bytes that lines are made of."""

    def __init__(self, types: Sequence[bytes]) -> None:
        size = len(types)
        numbers = [b"%s%d." % (sign, n) for sign in (b"", b"-") for n in range(100)]
        mixed = scramble_ids(torch.arange(size), size).tolist()
        by_mixed = [b""] * size
        for word, type_ in zip(mixed, types):
            by_mixed[word] = type_
        kinds = [
            [b"%04d" % n for n in range(10**GROUP)],
            [b"\n" + number for number in numbers],
            [b"\t" + number for number in numbers],
            [b"\t" + type_ for type_ in (*types, BEGIN)],
            [b" " + type_ for type_ in by_mixed],
        ]
        lengths = [np.fromiter(map(len, kind), np.int64, len(kind)) for kind in kinds]
        ends = np.cumsum(np.concatenate(lengths))
        found = np.split(ends, np.cumsum([len(kind) for kind in kinds])[:-1])
        pieces = [Pieces(end - length, length) for end, length in zip(found, lengths)]
        self.bytes = np.frombuffer(b"".join(b"".join(kind) for kind in kinds), np.uint8)
        self.digits, self.opening, self.inner, self.first_words, self.words = pieces

    def joined(self, start: np.ndarray, length: np.ndarray) -> bytes:
        """The pieces one after the other."""
        ends = np.cumsum(length)
        index = np.repeat(start - (ends - length), length)
        index += np.arange(len(index))
        return self.bytes.take(index).tobytes()


def lines(tables: Sequence[Rows], pool: Pool, start: int) -> bytes:
    """The lines of BLOCK rows from `start` on in the last of `tables`, each behind a newline."""
    here = tables[-1]
    rows = np.arange(start, min(start + BLOCK, len(here.log_prob)))  # (U,)
    log_prob = np.minimum(here.log_prob[rows], 0)  # a sum may be 1 and a little
    columns = number(log_prob, pool.opening, pool.digits)
    columns += spelled(tables, rows, pool)
    if here.backoff is not None:
        backoff = here.backoff[rows]
        for piece in number(backoff, pool.inner, pool.digits):
            columns.append(piece._replace(length=np.where(backoff == 0, 0, piece.length)))
    return pool.joined(*(np.stack(parts, 1).ravel() for parts in zip(*columns)))  # (U·P,) each


def spelled(tables: Sequence[Rows], rows: np.ndarray, pool: Pool) -> list[Pieces]:
    """k columns, the words of `rows`."""
    columns = []
    for above, below in zip(tables[:0:-1], tables[-2::-1]):
        word = above.words[rows]
        columns.append(Pieces(pool.words.start[word], pool.words.length[word]))
        first = below.first
        assert first is not None
        # The contexts of neighbours are neighbours: those from `low` on, each as often as it has
        # continuations among the rows from rows[0] to rows[-1].
        ends = np.array([rows[0], rows[-1]], first.dtype)  # of another type, `first` were copied
        low, high = np.searchsorted(first, ends, "right") - 1
        bounds = first[low : high + 2].clip(rows[0], rows[-1] + 1)
        contexts = np.repeat(np.arange(low, high + 1), np.diff(bounds))
        rows = contexts[rows - rows[0]]
    if columns:
        word = np.where(rows == EOS, len(pool.first_words.start) - 1, rows)  # the start of a line
    else:
        word = tables[0].words[rows]
    columns.append(Pieces(pool.first_words.start[word], pool.first_words.length[word]))
    return columns[::-1]


# ----------------------------------------------------------------------------------------- numbers


def decimals(exponent: int) -> int:
    """How many tell apart the float32 numbers in (2^e, 2^(e+1)], once they are log₁₀.

    Half a unit of the last decimal, times ln 10, has to be less than half their distance.
    """
    if exponent > 126:  # infinity; and zero, which is no number in between
        return 0
    return min(DIGITS, max(1, ceil(log10(log(10)) - log10(2.0 ** (exponent - 23)))))


DECIMALS = np.array([decimals(biased - 127) for biased in range(256)])
SCALE = np.array([10.0**n for n in range(DIGITS + 1)])
PLACES = np.array(
    [[min(max(n - g, 0), GROUP) for g in range(0, DIGITS, GROUP)] for n in range(DIGITS + 1)]
)


def number(values: np.ndarray, whole: Pieces, digits: Pieces) -> list[Pieces]:
    """Columns that spell `values` (U,), natural logarithms as float32, in base 10.

    `whole` are the beginnings up to the point: 0 … 99, then the same with a minus.
    """
    bits = values.view(np.int32) & 0x7FFFFFFF
    precision = DECIMALS[((bits - 1) >> 23) & 255]
    base_10 = np.clip(values * np.float64(1 / log(10)), LOG_ZERO, -LOG_ZERO)
    scale = SCALE[precision]
    scaled = np.rint(np.abs(base_10) * scale)
    integer = np.floor(scaled / scale)
    rest = ((scaled - integer * scale) * SCALE[DIGITS - precision]).astype(np.int64)
    opening = integer.astype(np.int64) + 100 * (base_10 < 0)
    length = whole.length[opening] - (precision == 0)  # no point where nothing follows it
    columns = [Pieces(whole.start[opening], length)]
    places = PLACES[precision]
    for column in range(DIGITS // GROUP):
        unit = 10 ** (DIGITS - GROUP * (column + 1))
        group = rest // unit
        rest -= group * unit
        columns.append(Pieces(digits.start[group], places[:, column]))
    return columns
