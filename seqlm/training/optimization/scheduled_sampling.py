"""Scheduled sampling: training on inputs that the model itself has predicted.

Bengio, Vinyals, Jaitly & Shazeer 2015. A language model is trained on prefixes that people wrote
and generates from prefixes of its own. Here each input is the true token with probability e, the
teacher-forcing rate, and otherwise a token drawn from the model's prediction at that position; the
targets stay true. e falls from about 1 to a final value l during training, x being the part of it
that is done:

    linear            e = 1 - (1 - l) x
    exponential       e = l^x
    inverse-sigmoid   e = k / (k + exp(c x)),    c such that e = l at x = 1; k = 100

No gradient goes through a draw (ibid., section 2.4). So the inputs of a segment can be drawn first,
token by token and without a graph, and trained on afterwards in one parallel pass: without dropout
this equals doing both at once. Tokens are drawn with dropout off, as in generation. It takes as
many steps as the segment has tokens, each over the whole vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from seqlm.decoding.token_sampling import draw
from seqlm.models.base import Network, State
from seqlm.models.stored_model import in_evaluation_mode

K = 100.0


def teacher_forcing_rate(schedule: str, x: float, final: float) -> float:
    """e when the part `x` of training is done. 'none' gives 1 throughout."""
    if schedule == "linear":
        return 1 - (1 - final) * x
    if schedule == "exponential":
        return float(final**x)
    if schedule == "inverse-sigmoid":
        c = math.log(K * (1 - final) / final)
        return K / (K + math.exp(c * x))
    return 1.0


@torch.no_grad()
def mix_in_samples(
    network: Network, tokens: Tensor, start: Callable[[], State], forcing_rate: float
) -> Tensor:
    """(B, T) inputs: each of `tokens` (B, T) is kept with probability `forcing_rate`, and otherwise
    replaced by a draw from the network. The first of each row is always kept.

    `start` returns the cache before the tokens, and is called with dropout off. Draws
    from the random generator of the device, whose state a checkpoint keeps.
    """
    is_sampled = torch.rand(tokens.shape, device=tokens.device) >= forcing_rate  # (B, T)
    uniform = torch.rand(tokens.shape, dtype=torch.float64, device=tokens.device)
    inputs = [tokens[:, 0]]
    with in_evaluation_mode(network):
        cache = start()
        for t in range(1, tokens.shape[1]):
            features, cache, *_ = network(inputs[-1][:, None], cache)  # (B, 1, D)
            log_probs = network.output_layer.log_probs(features[:, 0]).double()  # (B, V)
            sampled = draw(log_probs, uniform[:, t])  # (B,)
            inputs.append(sampled.where(is_sampled[:, t], tokens[:, t]))
    return torch.stack(inputs, 1)
