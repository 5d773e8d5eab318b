"""An n-gram model as ARPA text, the format that every toolkit reads (SRILM, `ngram-format(5)`).

    \\data\\
    ngram 1=133818                 how many n-grams of each order
    …
    \\2-grams:
    -1.7044345\tthe frog\t-0.21    log₁₀ p, the words, and log₁₀ β but in the highest order
    …
    \\end\\

`<s>` is a unigram that is never predicted: log₁₀ p = -99, which stands for log 0. Its backoff is
that of the row of `</s>`, the context at the start of a line. A backoff of 0 is written too, as by
`lmplz`: decoders that take their words from the file pass over lines without one. A number has as
many decimals as are needed to read back the same float32 natural logarithm, up to 16.

Lines are not written one by one. All that they are made of lies in one *pool* of bytes: each word
after its separator, the digits before the point of each number after theirs, each group of four
digits. A line is a list of pieces (start, length) of the pool, and a block of lines is one gather:

    ⏎-1.  7044  345  ⇥the  ␣frog  ⇥-0.  21         the pieces of the line above

Those of many n-grams are written in machine code, with the same bytes (`compiled_lines.py`).

    U rows of a block · k their order · P pieces of a line · V vocabulary, with `<s>` as number V
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import ceil, log, log10
from typing import NamedTuple

import numpy as np

from seqlm.errors import ModelError
from seqlm.machine.compilation import is_compiled
from seqlm.machine.threads import prefetch_map
from seqlm.models.ngram.arpa.arpa_reader import BOS, LOG_ZERO
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import NGramOrder, words_of_range
from seqlm.models.ngram.scrambling import scramble_ids
from seqlm.progress import Progress, silent
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS

BLOCK, COMPILED_BLOCK = 1 << 13, 1 << 15
"""Lines made at a time, so that their pieces stay in the cache; there are fewer of them in machine
code."""
PADDING = 8
"""Bytes after those of the pool, so that eight can be read from any of them on."""
DECIMALS = 16  # at most, of a number
GROUP = 4  # decimals that are looked up at once


def arpa_text(
    model: NGramModel, tokenizer: Tokenizer, progress: Progress = silent
) -> Iterator[bytes]:
    """The file in pieces of some hundred kilobytes, made by as many threads as torch has.

    Errors: ModelError, before the first piece, if the model has no ARPA form.
    """
    check_arpa_form(model, tokenizer)
    return text_blocks(model, tokenizer.types, progress)


def check_arpa_form(model: NGramModel, tokenizer: Tokenizer) -> None:
    """Errors: ModelError if the model has no ARPA form."""
    if tokenizer.kind != "word":
        raise ModelError(
            f"ARPA has words between white space, and this model has {tokenizer.kind} tokens:"
            " count with `tokenizer=word`"
        )
    if not model.resets_at_eos:
        raise ModelError(
            "ARPA has sentences, and the context of this model is carried over lines:"
            " count with `context=sentence`"
        )
    if not model.normalized:
        raise ModelError(
            f"ARPA has probabilities, and {model.config.smoothing} gives scores:"
            " count with another `smoothing`"
        )
    text = b"\n".join(tokenizer.types)
    if BOS in tokenizer.types or b"\0" in text or text.split() != tokenizer.types:
        raise ModelError("ARPA has no words that are <s>, or hold white space or NUL")


def text_blocks(model: NGramModel, types: Sequence[bytes], progress: Progress) -> Iterator[bytes]:
    longer = (order_numbers(model, k) for k in range(2, model.config.order + 1))
    orders = [unigram_numbers(model), *longer]
    sizes = [len(numbers.log_prob) for numbers in orders]
    counts = "".join(f"ngram {k}={size}\n" for k, size in enumerate(sizes, 1))
    yield f"\\data\\\n{counts}".encode()
    pool = Pool(types)
    is_fast = is_compiled(sum(sizes))
    length = COMPILED_BLOCK if is_fast else BLOCK
    for k, (numbers, size) in enumerate(zip(orders, sizes), 1):
        yield f"\n\\{k}-grams:".encode()
        write = partial(format_lines, numbers, model.orders[:k], pool, length, is_fast)
        for start, block in prefetch_map(write, range(0, size, length)):
            progress(f"writing {size:,} {k}-grams", start / size)
            yield block
        yield b"\n"
    yield b"\n\\end\\\n"


# ------------------------------------------------------------------------------ numbers of an order


class OrderNumbers(NamedTuple):
    """The numbers of one order as the file has them."""

    log_prob: np.ndarray  # (U,) float32, natural
    backoff: np.ndarray | None  # (U,) float32, natural; None in the highest order
    ids: np.ndarray | None = None  # (U,) of the unigrams, 0 … V


def order_numbers(model: NGramModel, k: int) -> OrderNumbers:
    order, has_backoff = model.order(k), k < model.config.order
    return OrderNumbers(order.log_prob, order.backoff if has_backoff else None)


def unigram_numbers(model: NGramModel) -> OrderNumbers:
    """Those of the model, with `<s>` as the second, after `<unk>`."""
    log_prob, backoff, _ = order_numbers(model, 1)
    ids = np.insert(np.arange(len(log_prob)), EOS, len(log_prob))
    log_prob = np.insert(log_prob, EOS, -np.inf)
    if backoff is not None:
        backoff = np.insert(backoff, EOS, backoff[EOS])
        backoff[EOS + 1] = 0  # of `</s>`, which is no context
    return OrderNumbers(log_prob, backoff, ids)


# ------------------------------------------------------------------------------------------- lines


class Pieces(NamedTuple):
    """Stretches of the pool, which are strings."""

    start: np.ndarray  # int64
    length: np.ndarray  # int64

    def take(self, numbers: np.ndarray) -> Pieces:
        return Pieces(self.start[numbers], self.length[numbers])


class Pool:
    """The bytes that lines are made of."""

    def __init__(self, types: Sequence[bytes]) -> None:
        size = len(types)
        whole_numbers = [b"%s%d." % (sign, n) for sign in (b"", b"-") for n in range(100)]
        by_scrambled = [b""] * size
        for word, type_ in zip(scramble_ids(np.arange(size), size).tolist(), types):
            by_scrambled[word] = type_
        kinds = [
            [b"%04d" % n for n in range(10**GROUP)],
            [b"\n" + number for number in whole_numbers],
            [b"\t" + number for number in whole_numbers],
            [b"\t" + type_ for type_ in (*types, BOS)],
            [b" " + type_ for type_ in by_scrambled],
        ]
        lengths = [np.fromiter(map(len, kind), np.int64, len(kind)) for kind in kinds]
        ends = np.cumsum(np.concatenate(lengths))
        ends_by_kind = np.split(ends, np.cumsum([len(kind) for kind in kinds])[:-1])
        pieces = [Pieces(end - length, length) for end, length in zip(ends_by_kind, lengths)]
        pool = b"".join(b"".join(kind) for kind in kinds)
        self.bytes = np.frombuffer(pool + bytes(PADDING), np.uint8)
        self.digits, self.line_starts, self.field_starts, self.first_words, self.words = pieces
        self.all_words = Pieces(*map(np.concatenate, zip(self.first_words, self.words)))

    def concatenate(self, pieces: Pieces) -> bytes:
        """The pieces (N,) one after the other."""
        ends = np.cumsum(pieces.length)
        index = np.repeat(pieces.start - (ends - pieces.length), pieces.length)
        index += np.arange(len(index))
        return self.bytes.take(index).tobytes()


def format_lines(
    numbers: OrderNumbers,
    orders: Sequence[NGramOrder],
    pool: Pool,
    length: int,
    is_fast: bool,
    start: int,
) -> bytes:
    """`length` lines from row `start` on, each after a newline, of an order with these `numbers`.

    `orders` are those up to k, which spell them. Machine code writes them if `is_fast`.
    """
    part = slice(start, min(start + length, len(numbers.log_prob)))
    log_prob = np.minimum(numbers.log_prob[part], 0)  # in float32, p may be just above 1
    backoff = None if numbers.backoff is None else numbers.backoff[part]
    if numbers.ids is not None:
        first, words = numbers.ids[part], []
    else:
        first, *words = words_of_range(orders, part.start, part.stop)
        begin = len(pool.first_words.start) - 1  # `</s>` as a first word is the start of a line
        first = np.where(first == EOS, begin, first)
    if is_fast:
        return write_compiled(log_prob, backoff, first, words, pool)
    columns = number_pieces(log_prob, pool.line_starts, pool.digits)
    columns.append(pool.first_words.take(first))
    columns += [pool.words.take(word) for word in words]
    if backoff is not None:
        columns += number_pieces(backoff, pool.field_starts, pool.digits)
    starts, lengths = (np.stack(parts, 1).ravel() for parts in zip(*columns))  # (U·P,) each
    return pool.concatenate(Pieces(starts, lengths))


def write_compiled(
    log_prob: np.ndarray,
    backoff: np.ndarray | None,
    first: np.ndarray,
    words: Sequence[np.ndarray],
    pool: Pool,
) -> bytes:
    """The lines of U n-grams, whose `first` words (U,) and other `words`, (U,) each, are numbered
    as in the pool."""
    from seqlm.models.ngram.arpa.compiled_lines import make_lines

    firsts = len(pool.first_words.start)
    rest = np.empty((len(words), len(first)), np.int32)
    for j, word in enumerate(words):
        np.add(word, firsts, out=rest[j])
    nothing = np.empty(0, np.float32)
    return make_lines(
        base_10(log_prob),
        base_10(nothing if backoff is None else backoff),
        first.astype(np.int32),
        rest,
        pool.bytes,
        *pool.all_words,
    )


# ----------------------------------------------------------------------------------------- numbers


def decimals_needed(exponent: int) -> int:
    """The decimals of log₁₀ that tell apart neighboring float32 numbers in (2^e, 2^(e+1)].

    Half a unit of the last decimal, times ln 10, has to be less than half their distance.
    """
    if exponent > 126:  # infinity; and zero, which is in no such interval
        return 0
    return min(DECIMALS, max(1, ceil(log10(log(10)) - log10(2.0 ** (exponent - 23)))))


PRECISION = np.array([decimals_needed(biased - 127) for biased in range(256)])
"""Decimals by the exponent bits of a float32."""
POWER_OF_TEN = np.array([10.0**n for n in range(DECIMALS + 1)])
GROUP_LENGTHS = np.array(
    [[min(max(n - g, 0), GROUP) for g in range(0, DECIMALS, GROUP)] for n in range(DECIMALS + 1)]
)
"""Digits of each group of a number with n decimals."""


def base_10(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Natural logarithms (U,) float32 to the base 10 (U,) float64, and their decimals (U,)."""
    bits = np.ascontiguousarray(values).view(np.int32) & 0x7FFFFFFF
    logarithms = np.clip(values * np.float64(1 / log(10)), LOG_ZERO, -LOG_ZERO)
    return logarithms, PRECISION[((bits - 1) >> 23) & 255]


def number_pieces(values: np.ndarray, whole: Pieces, digits: Pieces) -> list[Pieces]:
    """Columns of pieces that spell `values` (U,), natural logarithms as float32, in base 10.

    `whole` are the beginnings up to the point: 0 … 99, then the same with a minus.
    """
    logarithms, precision = base_10(values)
    scale = POWER_OF_TEN[precision]
    scaled = np.rint(np.abs(logarithms) * scale)
    integer = np.floor(scaled / scale)
    decimals = ((scaled - integer * scale) * POWER_OF_TEN[DECIMALS - precision]).astype(np.int64)
    beginning = whole.take(integer.astype(np.int64) + 100 * (logarithms < 0))
    # No point where nothing follows it.
    columns = [beginning._replace(length=beginning.length - (precision == 0))]
    lengths = GROUP_LENGTHS[precision]
    for column in range(DECIMALS // GROUP):
        unit = 10 ** (DECIMALS - GROUP * (column + 1))
        group = decimals // unit
        decimals -= group * unit
        columns.append(Pieces(digits.start[group], lengths[:, column]))
    return columns
