"""What training minimises, in one module: the piece that data parallelism would wrap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from seqlm.models.base import LanguageNetwork, Network, NetworkOutput, State, TranslationNetwork
from seqlm.models.tree import detach, tree_map
from seqlm.text.batches import IGNORED, Batch
from seqlm.training.optimization.precision import Precision
from seqlm.training.optimization.scheduled_sampling import with_own


class Objective(nn.Module):
    """Mean negative log probability (nats) of a segment's targets, plus the network's penalties."""

    def __init__(
        self, network: Network, smoothing: float = 0.0, precision: Precision | None = None
    ) -> None:
        """`smoothing` is the share of a target's weight that all types have in common."""
        super().__init__()
        self.network, self.smoothing = network, smoothing
        self.read: Callable[[Tensor, State], NetworkOutput] = network.__call__
        """The network, which `compiling.py` may replace by a faster function."""
        self.precision = precision or Precision("float32", network.device)

    def forward(
        self, batch: Batch, cache: State, true_share: float = 1.0
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """-> the loss to differentiate, the state to carry on (detached), figures to report.

        `cache` is the state before the batch, None at the very start; none is carried from one
        translation to the next. `true_share` is what scheduled sampling leaves of the inputs. The
        reported `loss` is without smoothing and penalties.
        """
        network, output_layer = self.network, self.network.output_layer
        inputs, targets = batch.inputs, batch.targets
        fresh = batch.fresh or cache is None
        if true_share < 1:
            begin = partial(beginning, network, batch) if fresh else lambda: cache
            inputs = with_own(network, inputs, begin, true_share)
        with self.precision.autocast():
            cache = beginning(network, batch) if fresh else cache
            features, cache, penalty, report = self.read(inputs, cache)
        features = features.to(output_layer.weight.dtype)  # (B, T, D)
        if batch.tokens < targets.numel():
            # Where targets are real, found without asking the device how many they are.
            real = (targets != IGNORED).flatten()
            places = real.byte().argsort(descending=True, stable=True)[: batch.tokens]
            features, targets = features.flatten(0, 1)[places], targets.flatten()[places]
        loss = output_layer.loss(features, targets)
        seen = loss.detach()
        if self.smoothing:
            loss = loss + self.smoothing * output_layer.smoothing_loss(features, targets)
        if penalty is not None:
            loss = loss + penalty
        report = {"loss": seen, **report}
        if batch.source is not None:
            return loss, None, report
        cache = tree_map(lambda part: lifted(part, output_layer.weight.dtype), detach(cache))
        return loss, cache, report


def beginning(network: Network, batch: Batch) -> State:
    """The cache before the batch: of nothing read, or of a source."""
    if isinstance(network, TranslationNetwork):
        assert batch.source is not None
        assert batch.lengths is not None
        return network.encode(batch.source, batch.lengths)
    assert isinstance(network, LanguageNetwork)
    return network.initial_cache(batch.inputs.shape[0])


def lifted(part: Tensor, dtype: torch.dtype) -> Tensor:
    """The state of a segment computed in 16 bits, as the next one is given it."""
    return part.to(dtype) if part.dtype in (torch.float16, torch.bfloat16) else part
