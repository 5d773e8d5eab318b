"""Models small enough to see through: the oracle behind the tests of the decoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from seqlm.models.base import LanguageModel, SequenceModel
from seqlm.text.vocabulary import EOS


class Tabular(LanguageModel):
    """p(w | the n tokens before), looked up: float64, and with ties where a test wants them."""

    table: Tensor  # (V, .., V, V) natural log, n + 1 axes

    def __init__(self, table: Tensor) -> None:
        super().__init__(None)
        self.register_buffer("table", table)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        raise NotImplementedError("a table is made in a test")

    def start(self, rows: int) -> Tensor:
        return torch.full((rows, self.table.dim() - 1), EOS)

    def log_probs(self, state: Tensor) -> Tensor:
        return self.table[state.unbind(1)]

    def advance(self, state: Tensor, tokens: Tensor) -> Tensor:
        return torch.cat([state, tokens], 1)[:, -state.shape[1] :]


class Reading(NamedTuple):
    last: Tensor  # (B,)
    source: Tensor  # (B, S) how much each position calls for attention, -inf on padding


class Attending(SequenceModel):
    """A bigram table that looks at a source: by its positions' call and by its own last token."""

    table: Tensor  # (V, V) natural log
    gaze: Tensor  # (V, S)

    def __init__(self, table: Tensor, gaze: Tensor) -> None:
        super().__init__(None)
        self.register_buffer("table", table)
        self.register_buffer("gaze", gaze)

    from_settings = Tabular.from_settings

    def read(self, source: Tensor, lengths: Tensor) -> Reading:
        padding = torch.arange(source.shape[1]) >= lengths[:, None]
        last = torch.full((source.shape[0],), EOS)
        return Reading(last, source.masked_fill(padding, -torch.inf))

    def log_probs(self, state: Reading) -> Tensor:
        return self.table[state.last]

    def advance(self, state: Reading, tokens: Tensor) -> Reading:
        last = torch.cat([state.last[:, None], tokens], 1)[:, -1]
        return state._replace(last=last)

    def alignment(self, state: Reading) -> Tensor:
        return (state.source + self.gaze[state.last][:, : state.source.shape[1]]).softmax(1)


def random_table(order: int, vocab_size: int, seed: int, levels: int | None = None) -> Tensor:
    """Natural-log conditional probabilities over `order` axes.

    With `levels` they are drawn from that few weights, 0 among them: ties and impossible tokens.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (vocab_size,) * order
    if levels is None:
        return torch.randn(shape, generator=generator, dtype=torch.float64).log_softmax(-1)
    weights = torch.randint(0, levels, shape, generator=generator).double()
    weights[..., -1] += weights.sum(-1) == 0  # something must be possible
    return (weights / weights.sum(-1, keepdim=True)).log()
