"""The sampled softmax (Bengio & Senécal 2008; Jean et al. 2015): trained on a small sample.

    z_y          logit of the target          w_1 .. w_S    words drawn from q
    Z^ = exp z_y + sum_{s: w_s != y} exp(z_{w_s}) / (S q(w_s))        E[Z^] = Z
    loss = -log (exp z_y / Z^)

    q(rank) ~ log((rank + 2) / (rank + 1))      log-uniform, near Zipf's law where types are
                                                numbered by falling frequency

All positions of a batch share one sample. Loss and gradient tend to those of the full softmax as S
grows; memory and time of the output layer grow with S instead of V. Probabilities, and the loss in
eval mode, are those of the full softmax.

    n positions · D feature width · V vocabulary · S samples
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqlm.models.layers.linear import linear
from seqlm.models.output.output_layer import rows_at
from seqlm.models.output.softmax import Softmax


class SampledSoftmax(Softmax):
    supports_label_smoothing = False

    def __init__(self, vocab_size: int, width: int, samples: int) -> None:
        super().__init__(vocab_size, width)
        self.samples = samples

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        if not self.training:
            return super().loss(features, targets)
        f, y = features.reshape(-1, features.shape[-1]), targets.reshape(-1)
        return self.sampled_loss(f, y, self.draw(f.device))

    def draw(self, device: torch.device) -> Tensor:
        """(S,) words from q, by inverting its distribution function, log(k + 1) / log(V + 1)."""
        size = len(self.weight)
        uniform = torch.rand(self.samples, device=device, dtype=torch.float32)
        return (uniform * math.log(size + 1)).exp().sub(1).long().clamp(max=size - 1)

    def log_expected_count(self, words: Tensor) -> Tensor:
        """log(S q(w)), where S q(w) is how often a word is expected in a sample."""
        ranks = words.to(self.weight.dtype)
        q = ((ranks + 2).log() - (ranks + 1).log()) / math.log(len(self.weight) + 1)
        return (self.samples * q).log()

    def sampled_loss(self, f: Tensor, y: Tensor, words: Tensor) -> Tensor:
        """The loss of targets `y` (n,) with features `f` (n, D), against `words` (S,)."""
        weight, bias = rows_at(self.weight, self.bias, y)  # (n, D), (n,)
        z_y = (f * weight).sum(1) + bias  # (n,)
        z = linear(f, *rows_at(self.weight, self.bias, words))  # (n, S)
        z = z - self.log_expected_count(words)
        z = z.masked_fill(words == y[:, None], -math.inf)
        return (torch.logaddexp(z_y, z.logsumexp(1)) - z_y).mean()
