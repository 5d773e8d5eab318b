"""The objective of a labeler: the mean negative log-likelihood of the labels of whole sentences."""

from __future__ import annotations

from torch import Tensor, nn

from seqlm.models.base import State
from seqlm.models.labeling.labeler import Labeler
from seqlm.text.labeled.labeled_batches import LabeledBatch
from seqlm.training.optimization.precision import Precision


class LabelingObjective(nn.Module):
    """It has the interface of `Objective`, and carries nothing from batch to batch."""

    def __init__(self, network: Labeler, precision: Precision) -> None:
        super().__init__()
        self.network, self.precision = network, precision

    def forward(
        self, batch: LabeledBatch, cache: State, forcing_rate: float = 1.0
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """The loss to differentiate, None, and the `loss` as a figure."""
        with self.precision.autocast():
            loss = self.network.loss(batch)
        return loss, None, {"loss": loss.detach()}
