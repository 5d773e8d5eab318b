"""Models whose every probability is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from seqlm.models.base import LanguageModel
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.runs.run_config import RunConfig
from seqlm.text.tokenizer import Tokenizer


class Fixed(LanguageModel):
    """The same distribution whatever came before."""

    def __init__(self, probabilities: Sequence[float]) -> None:
        super().__init__(None)
        self.register_buffer("p", torch.tensor(probabilities, dtype=torch.float64).log())

    def start(self, rows: int) -> tuple[Tensor]:
        return (torch.zeros(rows, 1),)

    def log_probs(self, state: tuple[Tensor]) -> Tensor:
        return self.p.expand(len(state[0]), -1)

    def advance(self, state: tuple[Tensor], tokens: Tensor) -> tuple[Tensor]:
        return state


def loaded(
    model: LanguageModel, tokenizer: Tokenizer, context: str = "carried", name: str = "model"
) -> LoadedModel:
    config = RunConfig(task="lm", arch=type(model).__name__.lower(), context=context, model={})
    return LoadedModel(model.eval(), tokenizer, config, Path(name), "0123456789ab")
