"""Lines to the batches a translator reads: a bounded group of lines, sorted by length inside.

Little of a batch is padding, and what a line is given does not depend on the lines beside it.
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

from seqlm.decoding.alignment import read_pieces
from seqlm.errors import DataError
from seqlm.text.reading import Block
from seqlm.text.tokenizer import SENTINEL, Tokenizer
from seqlm.text.vocabulary import EOS

ROOM = 128
"""Positions a row of a batch has on average; longer lines share a batch with fewer."""

T = TypeVar("T")


class Sentence(NamedTuple):
    """A line as a model reads it."""

    number: int  # of the line, from 0
    text: str
    tokens: list[int]  # S, the last one `</s>`
    pieces: list[bytes]  # (S,) the text behind each

    @property
    def length(self) -> int:
        """S."""
        return len(self.tokens)


def grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last of what is left: also where they end in a DataError."""
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
    """Whether nothing is in it but white space, which is ASCII's, as in training."""
    return not line.strip(string.whitespace)


def readable(tokenizer: Tokenizer, lines: Sequence[str], first: int) -> list[str]:
    """`lines`, of which the first has the number `first`, with `<unk>` for the words `<s>` and
    `</s>`, which no text may hold, and a warning."""
    if tokenizer.kind != "word":
        return list(lines)
    found = [SENTINEL.sub(b"<unk>", line.encode()).decode() for line in lines]
    for number, (line, other) in enumerate(zip(lines, found), first + 1):
        if line != other:
            warnings.warn(
                f"line {number}: <s> and </s> are reserved, and read as <unk>", stacklevel=2
            )
    return found


def encoded(
    tokenizer: Tokenizer, lines: Sequence[str], first: int, name: str = "the source"
) -> list[Sentence]:
    """`lines` of the text `name`, of which the first has the number `first`.

    Errors: DataError on a *word* `<s>` or `</s>`.
    """
    text = "".join(line + "\n" for line in lines)
    assert text.count("\n") == len(lines), "a line holds no newline"
    block = Block(text.encode(), name, first + 1)
    ids = tokenizer.encode(block)
    pieces = read_pieces(tokenizer, block, ids)
    ends = (np.flatnonzero(ids == EOS) + 1).tolist()
    spans = [slice(start, end) for start, end in zip([0, *ends], ends)]
    return [
        Sentence(number, line, ids[span].tolist(), pieces[span])
        for number, (line, span) in enumerate(zip(lines, spans, strict=True), first)
    ]


def cut(sentence: Sentence, horizon: int | None, longest: int) -> Sentence:
    """Its first tokens, and its `</s>`: as many as a model with a horizon can read, and `longest`
    at most. A warning says where that is not all."""
    most = min(longest, horizon or longest)
    if sentence.length <= most:
        return sentence
    asked = "" if most == horizon else " (--max-input-length)"
    warnings.warn(
        f"line {sentence.number + 1} is cut: it has {sentence.length} tokens, and the model"
        f" reads {most}{asked}",
        stacklevel=2,
    )
    tokens, pieces = (shortened(part, most) for part in (sentence.tokens, sentence.pieces))
    return sentence._replace(tokens=tokens, pieces=pieces)


def shortened(items: list[T], most: int) -> list[T]:
    """The first of them and the last, `most` together."""
    return items if len(items) <= most else items[: most - 1] + items[-1:]


def batches(items: Iterable[T], size: int, length: Callable[[T], int]) -> Iterator[list[T]]:
    """By `length`, at most `size` rows, and fewer where they are long, but one at least."""
    batch: list[T] = []
    for item in sorted(items, key=length):
        positions = (len(batch) + 1) * length(item)
        if batch and (len(batch) == size or positions > size * ROOM):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def padded(rows: Iterable[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """(B, S) ids, padded on the right, and (B,) how much of each is real."""
    ids = [torch.tensor(row) for row in rows]
    lengths = torch.tensor([len(row) for row in ids])
    return pad_sequence(ids, batch_first=True, padding_value=EOS).to(device), lengths.to(device)
