"""Vectors from counts: positive pointwise mutual information and its singular value decomposition.

    M = U S V^T        M (V, V) how much more often than by chance word j is near i (`ppmi.py`)
    W = U_D S_D^p      the vectors: the D greatest singular values, to the power p

Levy, Goldberg & Dagan (2015, section 3.3): with p = 1 the products of vectors are nearest to those
of the rows of M; p = 0.5 or 0 makes vectors that are better at similarity.

The decomposition is a training like any other, whose epochs are passes over M. The model has K
orthonormal columns Q, some more than D, and what it minimizes is the share of the squares of M that
they do not explain:

    L = 1 - |M^T Q|^2 / |M|^2          dL/dQ = -c M M^T Q,  c = 2 / |M|^2

`optimizer=orthogonal-iteration` makes the next Q of the gradient (`orthogonal_iteration.py`). What
is stored is P, the columns of Q times lengths. They tend to those of U, and the lengths to c s^2,
for the singular values s. So W is a function of P alone, but for a factor that no cosine sees.

V words · D width · K columns
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.models.config.count_vectors_config import PPMIConfig
from seqlm.models.layers.orthogonal_columns import column_lengths, orthogonal_columns
from seqlm.models.layers.sparse_rows import sum_in_order
from seqlm.models.vectors.sparse_matrix import MatrixAndTranspose
from seqlm.models.vectors.word_vector_model import (
    SparseGradient,
    WordVectorModel,
    with_gradients,
)


class PPMISVD(WordVectorModel):
    config_class: ClassVar[type] = PPMIConfig
    config: PPMIConfig
    optimizers: ClassVar = ("orthogonal-iteration",)

    def __init__(self, config: PPMIConfig) -> None:
        super().__init__(config)
        columns = min(config.width + config.oversampling, config.vocab_size)  # K
        self.columns = nn.Parameter(torch.empty(config.vocab_size, columns).normal_())  # P

    def learn_from(self, counts: np.ndarray, words: Sequence[bytes]) -> None:
        super().learn_from(counts, words)
        self.columns.data = orthogonal_columns(self.columns.data)

    @torch.no_grad()
    def loss(self, batch: MatrixAndTranspose) -> Tensor:
        squares = sum_in_order(batch.matrix.values.to(self.device).square())  # |M|^2
        q = self.columns * inverse(column_lengths(self.columns))  # (V, K)
        product = batch.matrix.times(batch.transpose.times(q))  # M M^T Q
        unexplained = 1 - sum_in_order(torch.linalg.vecdot(q, product)) / squares
        rows, pairs = torch.arange(len(q), device=self.device), batch.matrix.first.diff()
        gradient = SparseGradient(rows, product.mul_(-2 / squares), pairs)
        with torch.enable_grad():
            return with_gradients(unexplained, (self.columns, gradient))

    def word_vectors(self) -> Tensor:
        p = self.columns.detach()[:, : self.config.width]
        lengths = column_lengths(p)
        scale = inverse(lengths) * lengths.pow(self.config.eigenvalue_weight / 2)
        vectors = p * scale
        return nn.functional.pad(vectors, (0, self.config.width - vectors.shape[1]))


def inverse(numbers: Tensor) -> Tensor:
    """1 / numbers, and 0 for 0."""
    return torch.where(numbers > 0, 1 / numbers, 0)
