"""The training objective as one module: the piece that data parallelism would wrap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from seqlm.machine.memory import keep_freed_memory
from seqlm.models.base import LanguageNetwork, Network, NetworkOutput, State, TranslationNetwork
from seqlm.models.output.softmax import Softmax
from seqlm.models.tree import detach, tree_map
from seqlm.text.batches import IGNORE_INDEX, Batch
from seqlm.training.optimization.precision import Precision
from seqlm.training.optimization.r_drop import disagreement, twice
from seqlm.training.optimization.scheduled_sampling import mix_in_samples


class Objective(nn.Module):
    """Mean negative log probability (nats) of a segment's targets, plus the network's penalties."""

    def __init__(
        self,
        network: Network,
        smoothing: float = 0.0,
        precision: Precision | None = None,
        r_drop: float = 0.0,
    ) -> None:
        """`smoothing` is the share of each target's weight that is spread over the vocabulary,
        `r_drop` the weight a of R-drop, which needs translations and a full softmax."""
        super().__init__()
        self.network, self.smoothing, self.r_drop = network, smoothing, r_drop
        self.network_pass: Callable[[Tensor, State], NetworkOutput] = network.__call__
        """The network, which `compile_objective` may replace by a faster function."""
        self.precision = precision or Precision("float32", network)
        if network.device.type == "cpu":
            keep_freed_memory()

    def forward(
        self, batch: Batch, cache: State, forcing_rate: float = 1.0
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Returns the loss to differentiate, the cache to carry on (detached), and figures.

        `cache` is the one before the batch, None at the very start; translations carry none from
        batch to batch. `forcing_rate` is the share of true inputs that scheduled sampling leaves.
        The `loss` among the figures is without smoothing and penalties.
        """
        network, output_layer = self.network, self.network.output_layer
        inputs, targets = batch.inputs, batch.targets
        starts_afresh = batch.starts_afresh or cache is None
        if forcing_rate < 1:
            start = partial(initial_cache, network, batch) if starts_afresh else lambda: cache
            inputs = mix_in_samples(network, inputs, start, forcing_rate)
        if self.r_drop:
            batch = twice(batch._replace(inputs=inputs))
            inputs, targets = batch.inputs, batch.targets
        with self.precision.autocast():
            cache = initial_cache(network, batch) if starts_afresh else cache
            features, cache, penalty, report = self.network_pass(inputs, cache)
        features = features.to(output_layer.weight.dtype)  # (B, T, D)
        if batch.num_targets < targets.numel():
            # Selects the real targets without asking the device how many they are.
            is_real = (targets != IGNORE_INDEX).flatten()
            real = is_real.byte().argsort(descending=True, stable=True)[: batch.num_targets]
            features, targets = features.flatten(0, 1)[real], targets.flatten()[real]
        with self.precision.products():
            loss = output_layer.loss(features, targets)
        reported_loss = loss.detach()
        if self.r_drop:
            assert isinstance(output_layer, Softmax)
            with self.precision.products():
                loss = loss + self.r_drop / 2 * disagreement(output_layer, features)
        if self.smoothing:
            loss = loss + self.smoothing * output_layer.smoothing_loss(features, targets)
        if penalty is not None:
            loss = loss + penalty
        report = {"loss": reported_loss, **report}
        if batch.source is not None:
            return loss, None, report
        cache = tree_map(lambda part: upcast(part, output_layer.weight.dtype), detach(cache))
        return loss, cache, report


def initial_cache(network: Network, batch: Batch) -> State:
    """The cache before the first token: that of an empty text, or of the encoded source."""
    if isinstance(network, TranslationNetwork):
        assert batch.source is not None
        assert batch.source_lengths is not None
        return network.encode(batch.source, batch.source_lengths)
    assert isinstance(network, LanguageNetwork)
    return network.initial_cache(batch.inputs.shape[0])


def upcast(part: Tensor, dtype: torch.dtype) -> Tensor:
    """A 16-bit tensor of the cache as `dtype`, which the next segment starts from."""
    return part.to(dtype) if part.dtype in (torch.float16, torch.bfloat16) else part
