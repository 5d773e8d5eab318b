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

    U rows of a block · k their order · P pieces of a line · V vocabulary, with `<s>` as number V
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import ceil, log, log10
from typing import NamedTuple

import numpy as np

from seqlm.errors import ModelError
from seqlm.models.ngram.arpa.arpa_reader import BOS, LOG_ZERO
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import NGramOrder, words_of_range
from seqlm.models.ngram.scrambling import scramble_ids
from seqlm.progress import Progress, silent
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS
from seqlm.threads import prefetch_map

BLOCK = 1 << 13
"""Lines made at a time, so that their pieces stay in the cache."""
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
    for k, (numbers, size) in enumerate(zip(orders, sizes), 1):
        yield f"\n\\{k}-grams:".encode()
        write = partial(format_lines, numbers, model.orders[:k], pool)
        for start, block in prefetch_map(write, range(0, size, BLOCK)):
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
        self.bytes = np.frombuffer(b"".join(b"".join(kind) for kind in kinds), np.uint8)
        self.digits, self.line_starts, self.field_starts, self.first_words, self.words = pieces

    def concatenate(self, pieces: Pieces) -> bytes:
        """The pieces (N,) one after the other."""
        ends = np.cumsum(pieces.length)
        index = np.repeat(pieces.start - (ends - pieces.length), pieces.length)
        index += np.arange(len(index))
        return self.bytes.take(index).tobytes()


def format_lines(
    numbers: OrderNumbers, orders: Sequence[NGramOrder], pool: Pool, start: int
) -> bytes:
    """BLOCK lines from row `start` on, each after a newline, of an order with these `numbers`.

    `orders` are those up to k, which spell them.
    """
    stop = min(start + BLOCK, len(numbers.log_prob))
    log_prob = np.minimum(numbers.log_prob[start:stop], 0)  # in float32, p may be just above 1
    columns = number_pieces(log_prob, pool.line_starts, pool.digits)
    if numbers.ids is not None:
        columns.append(pool.first_words.take(numbers.ids[start:stop]))
    else:
        first, *words = words_of_range(orders, start, stop)
        begin = len(pool.first_words.start) - 1  # `</s>` as a first word is the start of a line
        columns.append(pool.first_words.take(np.where(first == EOS, begin, first)))
        columns += [pool.words.take(word) for word in words]
    if numbers.backoff is not None:
        columns += number_pieces(numbers.backoff[start:stop], pool.field_starts, pool.digits)
    starts, lengths = (np.stack(parts, 1).ravel() for parts in zip(*columns))  # (U·P,) each
    return pool.concatenate(Pieces(starts, lengths))


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


def number_pieces(values: np.ndarray, whole: Pieces, digits: Pieces) -> list[Pieces]:
    """Columns of pieces that spell `values` (U,), natural logarithms as float32, in base 10.

    `whole` are the beginnings up to the point: 0 … 99, then the same with a minus.
    """
    bits = values.view(np.int32) & 0x7FFFFFFF
    precision = PRECISION[((bits - 1) >> 23) & 255]
    base_10 = np.clip(values * np.float64(1 / log(10)), LOG_ZERO, -LOG_ZERO)
    scale = POWER_OF_TEN[precision]
    scaled = np.rint(np.abs(base_10) * scale)
    integer = np.floor(scaled / scale)
    decimals = ((scaled - integer * scale) * POWER_OF_TEN[DECIMALS - precision]).astype(np.int64)
    beginning = whole.take(integer.astype(np.int64) + 100 * (base_10 < 0))
    # No point where nothing follows it.
    columns = [beginning._replace(length=beginning.length - (precision == 0))]
    lengths = GROUP_LENGTHS[precision]
    for column in range(DECIMALS // GROUP):
        unit = 10 ** (DECIMALS - GROUP * (column + 1))
        group = decimals // unit
        decimals -= group * unit
        columns.append(Pieces(digits.start[group], lengths[:, column]))
    return columns
