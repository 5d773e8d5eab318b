"""The adaptive softmax (Grave, Joulin, Cissé, Grangier & Jégou 2017): frequent words are cheap.

Types are numbered by falling frequency. Those below the first cutoff stand in the *short list*; the
others, from cutoff to cutoff, in K clusters that the short list names by one logit each:

    log p(y) = log softmax(z)_y                                        y in the short list
    log p(y) = log softmax(z)_cluster(y) + log softmax(z_cluster)_y    else

    c cutoffs, c_0 = 0 <= c_1 < .. < c_K < V · D feature width · n positions

The distribution is exact and normalised. What is saved is work: most targets are in the short list,
and only the others ask for the logits of their cluster. The paper also narrows the features of rare
clusters; here all rows keep the width D, so that one matrix (V, D) can be the embedding too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.errors import UsageError
from seqlm.models.layers.linear import linear
from seqlm.models.output.output_layer import OutputLayer, init_embedding, rows_at_once
from seqlm.models.output.softmax import summed_cross_entropy

OVERHEAD = 50
"""What one more cluster costs, in logits a position: gathering the positions that ask for it."""


class AdaptiveSoftmax(OutputLayer):
    def __init__(self, vocab_size: int, width: int, cutoffs: Sequence[int] | None = None) -> None:
        """Errors: UsageError where the cutoffs do not rise, all of them below `vocab_size`."""
        super().__init__()
        cutoffs = cheapest(vocab_size) if cutoffs is None else cutoffs
        if [*cutoffs] != sorted({*cutoffs} & {*range(1, vocab_size)}):
            told = ",".join(map(str, cutoffs))
            raise UsageError(f"--cutoffs {told} do not rise between 1 and {vocab_size - 1}")
        self.edges = [0, *cutoffs, vocab_size]
        self.weight = init_embedding(vocab_size, width)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.cluster_weight = nn.Parameter(torch.zeros(len(cutoffs), width))
        self.cluster_bias = nn.Parameter(torch.zeros(len(cutoffs)))

    @property
    def short(self) -> int:
        return self.edges[1]

    def log_probs(self, features: Tensor) -> Tensor:
        first = linear(features, *self.first()).log_softmax(-1)
        parts = [first[..., : self.short]]
        for cluster, (begin, end) in enumerate(pairwise(self.edges[1:])):
            z = linear(features, self.weight[begin:end], self.bias[begin:end])
            parts.append(z.log_softmax(-1) + first[..., self.short + cluster, None])
        return torch.cat(parts, -1)

    def score(self, features: Tensor, targets: Tensor) -> Tensor:
        flat, wanted = features.reshape(-1, features.shape[-1]), targets.reshape(-1)
        scores = flat.new_zeros(wanted.shape)
        weight, bias = self.first()
        for places, into, begin, end in self.parts(wanted):
            w, b = (weight, bias) if begin == 0 else (self.weight[begin:end], self.bias[begin:end])
            for some, y in zip(places.split(rows_at_once(w)), into.split(rows_at_once(w))):
                log_probs = linear(flat[some], w, b).log_softmax(-1)
                scores[some] += log_probs.gather(1, y[:, None])[:, 0]
        return scores.view(targets.shape)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        flat, wanted = features.reshape(-1, features.shape[-1]), targets.reshape(-1)
        weight, bias = self.first()
        loss: Tensor = AdaptiveCrossEntropy.apply(
            flat, weight, bias, self.weight, self.bias, self.parts(wanted)
        )
        return loss

    def first(self) -> tuple[Tensor, Tensor]:
        """Weight (c_1 + K, D) and bias of the short list and the clusters."""
        weight = torch.cat([self.weight[: self.short], self.cluster_weight])
        return weight, torch.cat([self.bias[: self.short], self.cluster_bias])

    def parts(self, targets: Tensor) -> list[Part]:
        """What the targets (n,) ask for: everyone the short list, some a cluster.

        On a GPU this waits once a cluster, to learn how many ask for it.
        """
        first = targets.clone()
        parts = []
        for cluster, (begin, end) in enumerate(pairwise(self.edges[1:])):
            places = ((targets >= begin) & (targets < end)).nonzero()[:, 0]
            first[places] = self.short + cluster
            parts.append((places, targets[places] - begin, begin, end))
        everyone = torch.arange(len(targets), device=targets.device)
        return [(everyone, first, 0, self.short), *parts]


Part = tuple[Tensor, Tensor, int, int]
"""Positions (m,), their targets within the part (m,), and the ids [begin, end) it has."""


class AdaptiveCrossEntropy(torch.autograd.Function):
    """Mean of the above; one gradient for the whole weight, formed part by part in the forward."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        first_weight: Tensor,
        first_bias: Tensor,
        weight: Tensor,
        bias: Tensor,
        parts: list[Part],
    ) -> Tensor:
        n = max(1, len(features))
        (_, first, *_), *clusters = parts
        d_features = torch.empty_like(features)
        d_first_weight, d_first_bias = torch.zeros_like(first_weight), torch.zeros_like(first_bias)
        d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        total = summed_cross_entropy(
            features, first_weight, first_bias, first, n, d_features, d_first_weight, d_first_bias
        )
        for places, into, begin, end in clusters:
            if len(places) == 0:
                continue
            own = slice(begin, end)
            f = features[places]
            d_f = torch.empty_like(f)
            total += summed_cross_entropy(
                f, weight[own], bias[own], into, n, d_f, d_weight[own], d_bias[own]
            )
            d_features.index_add_(0, places, d_f)
        ctx.save_for_backward(d_features, d_first_weight, d_first_bias, d_weight, d_bias)
        return total / n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return *(d * grads[0] for d in ctx.saved_tensors), None


def cheapest(vocab_size: int) -> list[int]:
    """One or two cutoffs with the fewest logits a position where p(rank) ~ 1 / rank (Zipf 1949)."""
    mass = np.append(0, np.cumsum(1 / np.arange(1, vocab_size + 1)))  # of the first 0, 1, .. types
    mass /= mass[-1]
    marks = [mark for mark in MARKS if mark < vocab_size] or [max(1, vocab_size // 2)]

    def cost(cutoffs: tuple[int, ...]) -> float:
        clusters = pairwise([*cutoffs, vocab_size])
        rest = sum(float(mass[end] - mass[begin]) * (end - begin) for begin, end in clusters)
        return cutoffs[0] + rest + OVERHEAD * len(cutoffs)

    choices = [(mark,) for mark in marks] + list(combinations(marks, 2))
    return [*min(choices, key=cost)]


MARKS = [digit * 10**power for power in range(1, 7) for digit in (1, 2, 5)]
