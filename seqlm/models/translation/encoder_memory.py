"""What a decoder knows of its source: the encoder's tensors, and which sentence each row reads.

    N sentences · S their positions · B rows (sentences x beams)

A beam reorders the rows of a state at every step, and each row with its sentence; the sentences
themselves are large and stay where they are. So a state holds the *number* of each row's sentence,
which `select` moves like any tensor, and the sentences as one object that it passes through. What
the rows then read is gathered once, and kept as long as the rows read the same.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Sentences:
    """Tensors (N, S, ..) made of N sentences by an encoder; `real` (N, S) is False on padding."""

    def __init__(self, real: Tensor, *tensors: Tensor) -> None:
        self.tensors = (real, *tensors)
        self.rows = torch.arange(len(real), device=real.device)  # (N,) those of a fresh state
        self.gathered = self.rows, self.tensors

    def of(self, rows: Tensor) -> tuple[Tensor, ...]:
        """`real` and the tensors, as each of `rows` (B,) reads them: (B, S, ..)."""
        known, tensors = self.gathered
        if rows is known or torch.equal(rows, known):
            return tensors
        tensors = tuple(tensor.index_select(0, rows) for tensor in self.tensors)
        self.gathered = rows, tensors
        return tensors


class Source(NamedTuple):
    """The leaf of a decoder's state that is its source."""

    sentence: Tensor  # (B,) which of the sentences each row reads
    sentences: Sentences

    @classmethod
    def of(cls, real: Tensor, *tensors: Tensor) -> Source:
        """`real` (B, S) and the encoder's tensors (B, S, ..), a row a sentence."""
        sentences = Sentences(real, *tensors)
        return cls(sentences.rows, sentences)

    def read(self) -> tuple[Tensor, ...]:
        """`real` (B, S) and the encoder's tensors (B, S, ..), row by row of the state."""
        return self.sentences.of(self.sentence)


def inside(lengths: Tensor, positions: int) -> Tensor:
    """(B, S) True where a position is one of the sentence's `lengths` (B,), False on padding."""
    return torch.arange(positions, device=lengths.device) < lengths[:, None]
