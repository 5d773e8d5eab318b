"""The adaptive softmax (Grave, Joulin, Cissé, Grangier & Jégou 2017): frequent words are cheap.

Types are numbered by falling frequency. Those below the first cutoff are in the *short list*; the
others, from cutoff to cutoff, are in K clusters, each with one logit in the short list:

    log p(y) = log softmax(z)_y                                        y in the short list
    log p(y) = log softmax(z)_cluster(y) + log softmax(z_cluster)_y    else

    c cutoffs, c_0 = 0 <= c_1 < .. < c_K < V · D feature width · n positions

The distribution is exact and normalized. Training costs less: most targets are in the short list,
and only the others need the logits of their cluster. The paper also narrows the features of rare
clusters; here all rows keep the width D, so that one matrix (V, D) can be the embedding too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations, pairwise

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.errors import UsageError
from seqlm.models.layers.linear import linear
from seqlm.models.output.output_layer import (
    LossWithGradients,
    OutputLayer,
    init_embedding,
    positions_at_once,
)
from seqlm.models.output.softmax import summed_cross_entropy

CLUSTER_COST = 50
"""The cost of one more cluster, gathering the positions that need it, in logits a position."""


class AdaptiveSoftmax(OutputLayer):
    def __init__(self, vocab_size: int, width: int, cutoffs: Sequence[int] | None = None) -> None:
        """Errors: UsageError where the cutoffs are not rising numbers below `vocab_size`."""
        super().__init__()
        cutoffs = cheapest_cutoffs(vocab_size) if cutoffs is None else cutoffs
        if [*cutoffs] != sorted({*cutoffs} & {*range(1, vocab_size)}):
            listed = ",".join(map(str, cutoffs))
            raise UsageError(
                f"`softmax_cutoffs` {listed} do not rise between 1 and {vocab_size - 1}"
            )
        self.edges = [0, *cutoffs, vocab_size]
        self.weight = init_embedding(vocab_size, width)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.cluster_weight = nn.Parameter(torch.zeros(len(cutoffs), width))
        self.cluster_bias = nn.Parameter(torch.zeros(len(cutoffs)))

    @property
    def short_list_size(self) -> int:
        return self.edges[1]

    def log_probs(self, features: Tensor) -> Tensor:
        short_list = linear(features, *self.short_list_matrix()).log_softmax(-1)
        parts = [short_list[..., : self.short_list_size]]
        for cluster, (begin, end) in enumerate(pairwise(self.edges[1:])):
            z = linear(features, self.weight[begin:end], self.bias[begin:end])
            parts.append(z.log_softmax(-1) + short_list[..., self.short_list_size + cluster, None])
        return torch.cat(parts, -1)

    def score(self, features: Tensor, targets: Tensor) -> Tensor:
        f, y = features.reshape(-1, features.shape[-1]), targets.reshape(-1)
        scores = f.new_zeros(y.shape)
        weight, bias = self.short_list_matrix()
        for positions, part_targets, begin, end in self.parts(y):
            w, b = (weight, bias) if begin == 0 else (self.weight[begin:end], self.bias[begin:end])
            size = positions_at_once(w)
            for chunk, chunk_targets in zip(positions.split(size), part_targets.split(size)):
                log_probs = linear(f[chunk], w, b).log_softmax(-1)
                scores[chunk] += log_probs.gather(1, chunk_targets[:, None])[:, 0]
        return scores.view(targets.shape)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        f, y = features.reshape(-1, features.shape[-1]), targets.reshape(-1)
        compute = partial(adaptive_cross_entropy, parts=self.parts(y))
        clusters = self.cluster_weight, self.cluster_bias
        loss: Tensor = LossWithGradients.apply(compute, f, self.weight, self.bias, *clusters)
        return loss

    def short_list_matrix(self) -> tuple[Tensor, Tensor]:
        """Weight (c_1 + K, D) and bias (c_1 + K,) of the short list's types and of the clusters."""
        weight = torch.cat([self.weight[: self.short_list_size], self.cluster_weight])
        return weight, torch.cat([self.bias[: self.short_list_size], self.cluster_bias])

    def parts(self, targets: Tensor) -> list[Part]:
        """The parts of the vocabulary that the targets (n,) need: first the short list, for all of
        them, then each cluster, for those in it.

        A GPU is waited for once a cluster, to learn how many targets are in it.
        """
        short_list_targets = targets.clone()
        parts = []
        for cluster, (begin, end) in enumerate(pairwise(self.edges[1:])):
            positions = ((targets >= begin) & (targets < end)).nonzero()[:, 0]
            short_list_targets[positions] = self.short_list_size + cluster
            parts.append((positions, targets[positions] - begin, begin, end))
        all_positions = torch.arange(len(targets), device=targets.device)
        return [(all_positions, short_list_targets, 0, self.short_list_size), *parts]


Part = tuple[Tensor, Tensor, int, int]
"""Positions (m,), their targets numbered within the part (m,), and the part's ids [begin, end)."""


def adaptive_cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    cluster_weight: Tensor,
    cluster_bias: Tensor,
    parts: list[Part],
) -> tuple[Tensor, list[Tensor]]:
    """The mean of -log p(y), and the gradients of the first five, computed part by part."""
    n = max(1, len(features))
    (_, short_targets, _, short_list_size), *clusters = parts
    d_features, d_weight, d_bias = (torch.empty_like(t) for t in (features, weight, bias))
    short_weight = torch.cat([weight[:short_list_size], cluster_weight])
    short_bias = torch.cat([bias[:short_list_size], cluster_bias])
    d_short_weight, d_short_bias = torch.empty_like(short_weight), torch.empty_like(short_bias)
    short_list = features, short_weight, short_bias, short_targets
    total = summed_cross_entropy(*short_list, n, d_features, d_short_weight, d_short_bias)
    d_weight[:short_list_size] = d_short_weight[:short_list_size]
    d_bias[:short_list_size] = d_short_bias[:short_list_size]
    for positions, cluster_targets, begin, end in clusters:
        ids = slice(begin, end)
        f = features[positions]
        d_f = torch.empty_like(f)
        cluster = f, weight[ids], bias[ids], cluster_targets
        total += summed_cross_entropy(*cluster, n, d_f, d_weight[ids], d_bias[ids])
        d_features.index_add_(0, positions, d_f)
    d_clusters = d_short_weight[short_list_size:], d_short_bias[short_list_size:]
    return total / n, [d_features, d_weight, d_bias, *d_clusters]


def cheapest_cutoffs(vocab_size: int) -> list[int]:
    """One or two cutoffs with the fewest logits a position where p(rank) ~ 1 / rank (Zipf 1949)."""
    mass = np.append(0, np.cumsum(1 / np.arange(1, vocab_size + 1)))  # of the first 0, 1, .. types
    mass /= mass[-1]
    candidates = [cutoff for cutoff in CANDIDATES if cutoff < vocab_size]
    candidates = candidates or [max(1, vocab_size // 2)]

    def cost(cutoffs: tuple[int, ...]) -> float:
        clusters = pairwise([*cutoffs, vocab_size])
        in_clusters = sum(float(mass[end] - mass[begin]) * (end - begin) for begin, end in clusters)
        return cutoffs[0] + in_clusters + CLUSTER_COST * len(cutoffs)

    choices = [(cutoff,) for cutoff in candidates] + list(combinations(candidates, 2))
    return [*min(choices, key=cost)]


CANDIDATES = [digit * 10**power for power in range(1, 7) for digit in (1, 2, 5)]
