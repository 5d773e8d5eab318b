"""The objective of a model that measures a batch as a whole: a labeler, or word vectors."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from seqlm.models.base import State
from seqlm.models.labeling.labeler import Labeler
from seqlm.models.vectors.word_vector_model import WordVectorModel
from seqlm.training.optimization.precision import Precision


class WholeObjective(nn.Module):
    """It has the interface of `Objective`, and carries nothing from batch to batch."""

    def __init__(self, network: Labeler | WordVectorModel, precision: Precision) -> None:
        super().__init__()
        self.network, self.precision = network, precision

    def forward(
        self, batch: Any, cache: State, forcing_rate: float = 1.0
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """The loss to differentiate, None, and the `loss` as a figure."""
        with self.precision.autocast():
            loss = self.network.loss(batch)
        return loss, None, {"loss": loss.detach()}
