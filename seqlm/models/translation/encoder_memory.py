"""The source in a decoder's state: the encoder's outputs, and which sentence each row reads.

    N sentences · S source positions · B rows (sentences x beams)

A beam reorders the rows of a state at every step, and with each row the sentence that it
translates. The encoder's outputs are large and stay where they are: a state holds the *index* of
each row's sentence, which `select` reorders like any tensor, and the outputs as one object that it
passes through. The outputs of the rows are gathered once, and again only when the indices change.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class EncoderOutputs:
    """Tensors (N, S, ..) that an encoder has made of N sentences, and their mask (N, S), which is
    False on padding."""

    def __init__(self, mask: Tensor, *tensors: Tensor) -> None:
        self.tensors = (mask, *tensors)
        self.indices = torch.arange(len(mask), device=mask.device)  # (N,), of a fresh state
        self.last_gathered = self.indices, self.tensors

    def gather(self, indices: Tensor) -> tuple[Tensor, ...]:
        """The mask and the tensors of the sentences at `indices` (B,): (B, S, ..) each."""
        last_indices, tensors = self.last_gathered
        if indices is last_indices or torch.equal(indices, last_indices):
            return tensors
        tensors = tuple(tensor.index_select(0, indices) for tensor in self.tensors)
        self.last_gathered = indices, tensors
        return tensors


class EncoderMemory(NamedTuple):
    """The part of a decoder's state that stands for the source."""

    sentence_indices: Tensor  # (B,), the sentence that each row translates
    outputs: EncoderOutputs

    @classmethod
    def create(cls, mask: Tensor, *tensors: Tensor) -> EncoderMemory:
        """The memory of a fresh state, with one row a sentence.

        `mask` (N, S) is False on padding; `tensors` (N, S, ..) are the encoder's outputs.
        """
        outputs = EncoderOutputs(mask, *tensors)
        return cls(outputs.indices, outputs)

    def read(self) -> tuple[Tensor, ...]:
        """The mask (B, S) and the tensors (B, S, ..) of each row's sentence."""
        return self.outputs.gather(self.sentence_indices)
