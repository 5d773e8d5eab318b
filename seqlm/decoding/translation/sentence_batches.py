"""From lines to the batches that a translator reads: a bounded group of lines, sorted by length.

Sorting keeps the padding small. What a line is given does not depend on the lines beside it.
"""

from __future__ import annotations

import string
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqlm.decoding.translation.alignment import pieces_of_block
from seqlm.errors import DataError
from seqlm.text.reading import Block
from seqlm.text.tokenizer import SENTINEL, Tokenizer
from seqlm.text.vocabulary import EOS

POSITIONS_PER_ROW = 128
"""The mean number of positions of a row in a full batch; longer lines share a batch with fewer."""
BUFFERED_BATCHES = 32
"""How many batches of lines are read before the first is decoded."""

T = TypeVar("T")


class Sentence(NamedTuple):
    """A line as a model reads it."""

    number: int  # of the line, from 0
    text: str
    tokens: list[int]  # (S,), the last one `</s>`
    pieces: list[bytes]  # (S,) the text of each token

    @property
    def length(self) -> int:
        """S."""
        return len(self.tokens)


# -------------------------------------------------------------------------------- reading lines


def buffer_size(batch_size: int, buffer: int | None = None) -> int:
    """How many lines are read before the first is decoded: `buffer`, or by default 32 batches, and
    one line where batches are of one."""
    return buffer or (BUFFERED_BATCHES * batch_size if batch_size > 1 else 1)


def split_into_groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items; the last list is shorter. Where reading the items ends in a DataError,
    the items before it are yielded first."""
    group: list[T] = []
    try:
        for item in items:
            group.append(item)
            if len(group) == size:
                yield group
                group = []
    except DataError:
        if group:
            yield group
        raise
    if group:
        yield group


def is_blank(line: str) -> bool:
    """Whether a line holds nothing but ASCII white space, which is what training leaves out."""
    return not line.strip(string.whitespace)


def replace_reserved_words(
    tokenizer: Tokenizer, lines: Sequence[str], first_number: int
) -> list[str]:
    """`lines` with `<unk>` for the words `<s>` and `</s>`, which no text may hold, and a warning.

    `first_number` is the number of the first line, from 0.
    """
    if tokenizer.kind != "word":
        return list(lines)
    replaced = [SENTINEL.sub(b"<unk>", line.encode()).decode() for line in lines]
    for number, (line, other) in enumerate(zip(lines, replaced), first_number + 1):
        if line != other:
            warnings.warn(
                f"line {number}: <s> and </s> are reserved, and read as <unk>", stacklevel=2
            )
    return replaced


def encode_lines(
    tokenizer: Tokenizer, lines: Sequence[str], first_number: int, name: str = "the source"
) -> list[Sentence]:
    """The sentences of `lines`; `first_number` is the number of the first, from 0, and `name` what
    an error calls the text.

    Errors: DataError on a *word* `<s>` or `</s>`.
    """
    text = "".join(line + "\n" for line in lines)
    assert text.count("\n") == len(lines), "a line holds no newline"
    block = Block(text.encode(), name, first_number + 1)
    ids = tokenizer.encode(block)
    pieces = pieces_of_block(tokenizer, block, ids)
    ends = (np.flatnonzero(ids == EOS) + 1).tolist()
    spans = [slice(start, end) for start, end in zip([0, *ends], ends)]
    return [
        Sentence(number, line, ids[span].tolist(), pieces[span])
        for number, (line, span) in enumerate(zip(lines, spans, strict=True), first_number)
    ]


def truncate(sentence: Sentence, context_length: int | None, max_input_length: int) -> Sentence:
    """The sentence as far as the model reads it: its first tokens and its `</s>`, no more than
    `context_length` or `max_input_length`. A warning says where that is not all."""
    longest = min(max_input_length, context_length or max_input_length)
    if sentence.length <= longest:
        return sentence
    reason = "" if longest == context_length else " (`max_input_length`)"
    warnings.warn(
        f"line {sentence.number + 1} is cut: it has {sentence.length} tokens, and the model"
        f" reads {longest}{reason}",
        stacklevel=2,
    )
    tokens, pieces = (keep_ends(part, longest) for part in (sentence.tokens, sentence.pieces))
    return sentence._replace(tokens=tokens, pieces=pieces)


def keep_ends(items: list[T], size: int) -> list[T]:
    """`size` of the items: the first ones and the very last."""
    return items if len(items) <= size else items[: size - 1] + items[-1:]


# -------------------------------------------------------------------------------------- batches


def batches_by_length(
    items: Iterable[T], batch_size: int, length: Callable[[T], int]
) -> Iterator[list[T]]:
    """Batches of rising `length`: at most `batch_size` rows each, and fewer where they are long."""
    batch: list[T] = []
    for item in sorted(items, key=length):
        positions = (len(batch) + 1) * length(item)
        if batch and (len(batch) == batch_size or positions > batch_size * POSITIONS_PER_ROW):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def pad_sentences(rows: Iterable[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """(B, S) ids, padded on the right, and (B,) the length of each row without its padding."""
    ids = [torch.tensor(row) for row in rows]
    lengths = torch.tensor([len(row) for row in ids])
    return pad_sequence(ids, batch_first=True, padding_value=EOS).to(device), lengths.to(device)
