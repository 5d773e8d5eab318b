"""Functions that take arrays of either kind: called with both, and compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from seqlm.models.arrays import Array, to_numpy
from tests.decoding.tabular import Tabular


def on_both(function: Callable[..., Array], *arguments: Any) -> np.ndarray:
    """The result of `function`, which has to be the same for arrays of numpy and for tensors."""
    of_arrays = function(*arguments)
    tensors = [torch.tensor(x) if isinstance(x, np.ndarray) else x for x in arguments]
    of_tensors = to_numpy(function(*tensors))
    assert of_arrays.dtype == of_tensors.dtype
    if of_arrays.dtype.kind == "f":
        np.testing.assert_allclose(of_arrays, of_tensors, rtol=1e-12)
    else:
        np.testing.assert_array_equal(of_arrays, of_tensors)
    return np.array(of_arrays)


class NumpyTabular:
    """The verbs of a `Tabular` for arrays of numpy."""

    normalized = True
    resets_at_eos = False
    context_length = None

    def __init__(self, model: Tabular) -> None:
        self.model = model

    def start(self, rows: int) -> np.ndarray:
        return self.model.start(rows).numpy()

    def log_probs(self, state: np.ndarray) -> np.ndarray:
        return self.model.log_probs(torch.from_numpy(state)).numpy()

    def advance(self, state: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return self.model.advance(torch.from_numpy(state), torch.from_numpy(tokens)).numpy()

    def score(self, state: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores, after = self.model.score(torch.from_numpy(state), torch.from_numpy(tokens))
        return scores.numpy(), after.numpy()

    def ngram_length(self, state: np.ndarray, tokens: np.ndarray) -> None:
        return None

    def drawing(self) -> None:
        return None
