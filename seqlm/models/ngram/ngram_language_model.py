"""An n-gram model as a language model of tensors, beside networks, in mixtures and in decoders.

It has no numbers of its own: tokens and states become arrays, an `NGramModel` is asked, and its
answers become tensors on the device of the model. So n-grams are asked on the CPU, whatever the
device, and in one way.

    B, T rows and columns of tokens · V vocabulary
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from seqlm.models.base import LanguageModel
from seqlm.models.config.ngram_config import NGramConfig
from seqlm.models.ngram import ngram_model
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.table_checks import check_model


class NGramState(NamedTuple):
    rows: Tensor  # (B, n-1) int32, as those of an `NGramModel`


class NGramLanguageModel(LanguageModel):
    config_class = NGramConfig
    config: NGramConfig
    place: Tensor
    """(0,), where the answers go."""

    def __init__(self, ngrams: NGramModel) -> None:
        super().__init__(ngrams.config)
        self.ngrams = ngrams
        self.normalized, self.resets_at_eos = ngrams.normalized, ngrams.resets_at_eos
        self.register_buffer("place", torch.empty(0), persistent=False)
        self.eval()

    @classmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """Errors: those of `NGramModel.from_arrays`."""
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        return cls(NGramModel.from_arrays(settings, arrays))

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """The records of the n-grams, which are no buffers."""
        return {name: torch.from_numpy(array) for name, array in self.ngrams.arrays().items()}

    def check_tensors(self) -> None:
        check_model(self.ngrams)

    # -- the verbs

    def start(self, rows: int) -> NGramState:
        return self._state(self.ngrams.start(rows))

    def advance(self, state: NGramState, tokens: Tensor) -> NGramState:
        return self._state(self.ngrams.advance(*on_cpu(state, tokens)))

    def score(self, state: NGramState, tokens: Tensor) -> tuple[Tensor, NGramState]:
        scores, after = self.ngrams.score(*on_cpu(state, tokens))
        return self._tensor(scores), self._state(after)

    def log_probs(self, state: NGramState) -> Tensor:
        rows = ngram_model.NGramState(state.rows.cpu().numpy())
        return self._tensor(self.ngrams.log_probs(rows))

    def ngram_length(self, state: NGramState, tokens: Tensor) -> Tensor:
        return self._tensor(self.ngrams.ngram_length(*on_cpu(state, tokens)))

    def score_and_length(
        self, state: NGramState, tokens: Tensor
    ) -> tuple[Tensor, Tensor, NGramState]:
        scores, lengths, after = self.ngrams.score_and_length(*on_cpu(state, tokens))
        return self._tensor(scores), self._tensor(lengths), self._state(after)

    def states_before(self, state: NGramState, tokens: Tensor) -> NGramState:
        """The state before each of `tokens` (B, T), as B·T rows."""
        return self._state(self.ngrams.states_before(*on_cpu(state, tokens)))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.place.device)

    def _state(self, state: ngram_model.NGramState) -> NGramState:
        return NGramState(self._tensor(state.rows))


def on_cpu(state: NGramState, tokens: Tensor) -> tuple[ngram_model.NGramState, np.ndarray]:
    """The arrays of a state and of tokens (B, T)."""
    return ngram_model.NGramState(state.rows.cpu().numpy()), tokens.cpu().numpy()


def in_tensors(model: Any) -> Any:
    """A model that reads tensors: an `NGramModel` in its adapter, and any other itself."""
    return NGramLanguageModel(model) if isinstance(model, NGramModel) else model
