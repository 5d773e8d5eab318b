"""Lines to the batches a translator reads: a bounded group of lines, sorted by length inside.

Little of a batch is padding, and what a line is given does not depend on the lines beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqlm.decoding.alignment import read_pieces
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
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


def grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last of what is left."""
    items = iter(items)
    while group := list(islice(items, size)):
        yield group


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


def cut(sentence: Sentence, horizon: int | None) -> Sentence:
    """What a model with a horizon can read of it, with a warning where that is not all."""
    length = len(sentence.tokens)
    if horizon is None or length <= horizon:
        return sentence
    warnings.warn(
        f"line {sentence.number + 1} is cut: it has {length} tokens, and the model reads {horizon}",
        stacklevel=2,
    )
    tokens, pieces = sentence.tokens, sentence.pieces
    return sentence._replace(
        tokens=tokens[: horizon - 1] + tokens[-1:], pieces=pieces[: horizon - 1] + pieces[-1:]
    )


def batches(sentences: list[Sentence], size: int) -> Iterator[list[Sentence]]:
    """By length, at most `size` rows, and fewer where they are long, but one at least."""
    batch: list[Sentence] = []
    for sentence in sorted(sentences, key=lambda sentence: len(sentence.tokens)):
        positions = (len(batch) + 1) * len(sentence.tokens)
        if batch and (len(batch) == size or positions > size * ROOM):
            yield batch
            batch = []
        batch.append(sentence)
    if batch:
        yield batch


def padded(rows: Iterable[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """(B, S) ids, padded on the right, and (B,) how much of each is real."""
    ids = [torch.tensor(row) for row in rows]
    lengths = torch.tensor([len(row) for row in ids])
    return pad_sequence(ids, batch_first=True, padding_value=EOS).to(device), lengths.to(device)
