"""GloVe, global vectors, of Pennington, Socher & Manning (2014).

    J = 1/2 sum_ij f(X_ij) e_ij^2        e_ij = w_i · w~_j + b_i + b~_j - log X_ij
    f(x) = min(1, (x / x_max)^alpha)     rare pairs say little, and frequent ones not too much

    X_ij   how often word j is near word i, weighted (`cooccurrences.py`); the sum is over X_ij > 0
    w_i    the vector of a word, (D,)    w~_j   that of a word as a context    b, b~   their biases

The vector of a word is w + w~: where windows are symmetric, the two differ by chance alone.

A step takes thousands of pairs at once. The errors of all are computed from one state of the
vectors, and their gradients are sums of rows:

    dJ/dw_i  = sum_j f e_ij w~_j         dJ/db_i  = sum_j f e_ij
    dJ/dw~_j = sum_i f e_ij w_i          dJ/db~_j = sum_i f e_ij

each in the order of its terms, so that no number of threads changes a bit. The rate of a row is
Adagrad's and at most the learning rate, as in the authors' program (`row_wise_adagrad.py`).

V words · D width · M pairs of a batch
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqlm.models.config.count_vectors_config import GloVeConfig
from seqlm.models.layers.dot_products import dot_products
from seqlm.models.layers.sparse_rows import TermsByRow, sum_in_order, sum_rows, sum_terms
from seqlm.models.stored_model import ParameterGroup
from seqlm.models.vectors.sparse_matrix import Entries
from seqlm.models.vectors.word_vector_model import (
    SparseGradient,
    WordVectorModel,
    with_gradients,
)

BIAS_RATE = 20.0
"""Times the learning rate: 1 where that is 0.05, as in GloVe's program."""


class GloVe(WordVectorModel):
    config_class: ClassVar[type] = GloVeConfig
    config: GloVeConfig
    optimizers: ClassVar = ("adagrad",)

    def __init__(self, config: GloVeConfig) -> None:
        super().__init__(config)
        v, d = config.vocab_size, config.width
        self.words, self.word_bias = near_zero(v, d, 1 / d), near_zero(v, 1, 1 / d)  # w, b
        self.contexts, self.context_bias = near_zero(v, d, 1 / d), near_zero(v, 1, 1 / d)  # w~, b~

    def parameter_groups(self) -> list[ParameterGroup]:
        vectors, biases = [self.words, self.contexts], [self.word_bias, self.context_bias]
        return [
            ParameterGroup(vectors, weight_decay=False, bounded_rate=True),
            ParameterGroup(biases, BIAS_RATE, weight_decay=False, bounded_rate=True),
        ]

    @torch.no_grad()
    def loss(self, batch: Entries) -> Tensor:
        by_word = TermsByRow.of(batch.rows)
        i, j, x = (column[by_word.order] for column in batch)  # (M,)
        log_x = x.log()
        e = dot_products(self.words, by_word, self.contexts, j) - log_x
        e += self.word_bias[:, 0].index_select(0, i)
        e += self.context_bias[:, 0].index_select(0, j)
        fe = self.weights(log_x) * e
        mean = sum_in_order(fe * e) / (2 * len(x))

        by_context = TermsByRow.of(j)
        i, fe_by_context = i[by_context.order], fe[by_context.order]
        of_words = gradients(by_word, self.contexts, j, fe)
        of_contexts = gradients(by_context, self.words, i, fe_by_context)
        tables = self.words, self.word_bias, self.contexts, self.context_bias
        with torch.enable_grad():
            return with_gradients(mean, *zip(tables, (*of_words, *of_contexts)))

    def weights(self, log_x: Tensor) -> Tensor:
        """log_x (M,) -> f(x). By `exp`, as the last bits of `pow` depend on the threads."""
        log_share = log_x - math.log(self.config.x_max)
        return log_share.clamp_(max=0).mul_(self.config.alpha).exp_()

    def word_vectors(self) -> Tensor:
        return self.words.detach() + self.contexts.detach()


def gradients(
    terms: TermsByRow, others: Tensor, sources: Tensor, fe: Tensor
) -> tuple[SparseGradient, SparseGradient]:
    """Those of the vectors and of the biases of one side; `others` (V, D) are of the other side,
    and `sources` and `fe` (M,) in the order of `terms`."""
    pairs = terms.sizes.to(fe.dtype)
    of_vectors = sum_rows(others, sources, terms.sizes, fe)
    of_bias = sum_terms(fe, terms.sizes)[:, None]
    return SparseGradient(terms.rows, of_vectors, pairs), SparseGradient(terms.rows, of_bias, pairs)


def near_zero(rows: int, columns: int, width: float) -> nn.Parameter:
    """U(-width / 2, width / 2)."""
    return nn.Parameter(torch.empty(rows, columns).uniform_(-width / 2, width / 2))
