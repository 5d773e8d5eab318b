"""The interface of models whose result is a table: a vector for each word.

    V words · D numbers of a vector

Training minimizes a sum over the pairs of a batch, J, and its gradients are written by hand: they
are sparse, a row for each word of the batch, and `row_pairs` of a table says how many pairs each of
these rows is in (see `training/optimization/implicit_sgd.py`). What is reported is J per pair.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.errors import ModelError
from seqlm.models.stored_model import StoredModel
from seqlm.text.vocabulary import RESERVED


class SparseGradient(NamedTuple):
    """Those rows of the gradient of a table that are not zero."""

    rows: Tensor  # (r,) int64, different ones
    values: Tensor  # (r, D)
    pairs: Tensor  # (r,) the weights of the pairs that a row is in, added up


class WordVectorModel(StoredModel, ABC):
    """A table of word vectors, and whatever it is learned with."""

    has_sparse_gradients = True
    optimizers: ClassVar[tuple[str, ...]] = ("implicit-sgd", "adagrad")
    composes: ClassVar[bool] = False
    """Whether words that are not in the table have vectors, too: those of `compose`."""
    counts: Tensor
    """(V,) int64, how often each word is in the training text, and 0 for `<unk>` and `</s>`, which
    are no words here; `learn_from` fills it."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.register_buffer("counts", torch.zeros(config.vocab_size, dtype=torch.int64))

    def learn_from(self, counts: np.ndarray, words: Sequence[bytes]) -> None:
        """Takes what the text has before training: the `counts` (V,) of the `words`."""
        self.counts.copy_(torch.from_numpy(counts))
        self.counts[: len(RESERVED)] = 0

    def check_tensors(self) -> None:
        super().check_tensors()
        if self.counts.min() < 0 or not self.counts.any():
            raise ModelError("counts are not those of the words of a text")

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """(), the mean loss of a pair of the batch in nats, whose gradient is that of J."""

    @abstractmethod
    def word_vectors(self) -> Tensor:
        """(V, D) the vectors of all words; the rows of `<unk>` and `</s>` mean nothing."""

    def compose(self, words: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Those of `words`, which the table does not have, that have a vector all the same, and
        these vectors (n, D) float32."""
        raise NotImplementedError


def with_gradients(loss: Tensor, *gradients: tuple[nn.Parameter, SparseGradient]) -> Tensor:
    """`loss` as a function of tables whose gradients are known already."""
    for table, gradient in gradients:
        table.row_pairs = gradient.pairs  # type: ignore[attr-defined]
    tables = [table for table, _ in gradients]
    result: Tensor = KnownGradients.apply(loss, [each for _, each in gradients], *tables)
    return result


class KnownGradients(torch.autograd.Function):
    """A number whose gradients were computed together with it."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: list[SparseGradient], *tables: Tensor) -> Any:
        ctx.gradients, ctx.shapes = gradients, [table.shape for table in tables]
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        scale = float(grads[0])  # 1, but where the loss is part of another
        return (
            None,
            None,
            *(
                torch.sparse_coo_tensor(
                    rows[None],
                    values if scale == 1 else values * scale,
                    shape,
                    is_coalesced=True,
                    check_invariants=False,
                )
                for (rows, values, _), shape in zip(ctx.gradients, ctx.shapes)
            ),
        )
