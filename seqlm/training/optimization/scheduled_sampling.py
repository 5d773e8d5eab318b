"""Scheduled sampling: training on what the model itself would have said.

Bengio, Vinyals, Jaitly & Shazeer 2015. A language model is trained on prefixes that people wrote
and generates from prefixes of its own. Here an input is, position by position, the true token with
probability e, and else a token drawn from what the model predicts there; the targets stay true. e
falls from about 1 to a last value l as training goes on, x being the part of it that is done:

    linear            e = 1 - (1 - l) x
    exponential       e = l^x
    inverse-sigmoid   e = k / (k + exp(c x)),    c such that e = l at x = 1; k = 100

No gradient goes through a draw (ibid., section 2.4). So the inputs of a segment can be settled
first, token by token and without a graph, and trained on afterwards in one parallel pass: without
dropout the same as doing both at once. The model draws as it would generate, with dropout off. It
costs as many steps as the segment has tokens, each over the whole vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from seqlm.decoding.token_choice import draw
from seqlm.models.base import Network, State

K = 100.0


def true_share(kind: str, done: float, last: float) -> float:
    """e when `done` of training is behind. 'none' is 1 throughout."""
    if kind == "linear":
        return 1 - (1 - last) * done
    if kind == "exponential":
        return float(last**done)
    if kind == "inverse-sigmoid":
        c = math.log(K * (1 - last) / last)
        return K / (K + math.exp(c * done))
    return 1.0


@torch.no_grad()
def with_own(network: Network, tokens: Tensor, begin: Callable[[], State], share: float) -> Tensor:
    """(B, T) `tokens`, each but a row's first true with probability `share`.

    They are read from `begin()`, which a translator's source is encoded by. Draws from the random
    generator of the device, whose state training keeps.
    """
    own = torch.rand(tokens.shape, device=tokens.device) >= share  # (B, T)
    uniform = torch.rand(tokens.shape, dtype=torch.float64, device=tokens.device)
    mode = network.training
    network.eval()
    cache = begin()
    read = [tokens[:, 0]]
    for t in range(1, tokens.shape[1]):
        features, cache, *_ = network(read[-1][:, None], cache)  # (B, 1, D)
        log_probs = network.output_layer.log_probs(features[:, 0]).double()  # (B, V)
        said = draw(log_probs, uniform[:, t])  # (B,)
        read.append(said.where(own[:, t], tokens[:, t]))
    network.train(mode)
    return torch.stack(read, 1)
