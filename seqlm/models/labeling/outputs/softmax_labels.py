"""Independent labels: a softmax for each token, or for a whole sentence, which is T = 1.

    p(y | x) = prod_t p(y_t | x),      p(y_t = l | x) = exp s_{t,l} / sum_k exp s_{t,k}

s_{t,l} score of label l at token t. B sentences · T tokens · L labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlm.models.labeling.outputs.label_output import (
    LabelOutput,
    LabelSequences,
    draw,
    fill_sequences,
    first_alone,
)
from seqlm.models.layers.padding import padding_mask
from seqlm.text.labeled.label_vocabulary import UNKNOWN_LABEL


class SoftmaxLabels(LabelOutput):
    """Labels that depend on the sentence, and not on each other."""

    def log_likelihood(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        known = padding_mask(lengths, scores.shape[1]) & (labels != UNKNOWN_LABEL)
        log_p = scores.where(known[..., None], 0).log_softmax(-1)
        log_p_y = log_p.gather(2, labels.where(known, 0)[..., None])[..., 0]  # (B, T)
        return log_p_y.where(known, 0).sum(1)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores.argmax(-1).where(padding_mask(lengths, scores.shape[1]), UNKNOWN_LABEL)

    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        inside = padding_mask(lengths, scores.shape[1])
        return scores.softmax(-1).where(inside[..., None], 0)

    def nbest(self, scores: Tensor, lengths: Tensor, n: int) -> LabelSequences:
        """The n best beginnings of a sentence, each with any of the next token's n best labels,
        hold its n best beginnings that are one token longer."""
        inside = padding_mask(lengths, scores.shape[1])
        log_p, best = scores.log_softmax(-1).topk(min(n, scores.shape[2]))  # (B, T, m)
        m = best.shape[2]
        # A token of the padding has one label only, which costs nothing.
        log_p = log_p.where(inside[..., None], first_alone(log_p, m))
        log_probs, labels = log_p[:, 0], best[:, 0, :, None]  # (B, k), (B, k, t)
        for t in range(1, scores.shape[1]):
            sums = (log_probs[:, :, None] + log_p[:, t, None]).flatten(1)  # (B, k m)
            log_probs, at = sums.topk(min(n, sums.shape[1]))
            begin = labels.gather(1, (at // m)[..., None].expand(-1, -1, t))
            labels = torch.cat([begin, best[:, t].gather(1, at % m)[..., None]], 2)
        return fill_sequences(LabelSequences(labels, log_probs), inside, n)

    def sample(
        self, scores: Tensor, lengths: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        inside = padding_mask(lengths, scores.shape[1])
        logits = scores.where(inside[..., None], 0)
        return draw(logits.flatten(0, 1), generator).view(inside.shape).where(inside, UNKNOWN_LABEL)
