"""What training minimises, in one module: the piece that data parallelism would wrap."""

from __future__ import annotations

from torch import Tensor, nn

from seqlm.models.base import Network, State, detach
from seqlm.text.batches import IGNORED, Batch


class Objective(nn.Module):
    """Mean negative log probability (nats) of a segment's targets, plus the network's penalties."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch, inner: State) -> tuple[Tensor, State, dict[str, Tensor]]:
        """-> the loss to differentiate, the state to carry on (detached), figures to report.

        `inner` is the state before the batch, None at the very start.
        """
        if batch.fresh or inner is None:
            inner = self.network.initial(batch.inputs.shape[0])
        features, inner, penalty, report = self.network(batch.inputs, inner)
        targets = batch.targets
        if batch.tokens < targets.numel():
            real = targets != IGNORED
            features, targets = features[real], targets[real]
        loss = self.network.head.loss(features, targets)
        report = {"loss": loss.detach(), **report}
        return loss if penalty is None else loss + penalty, detach(inner), report
