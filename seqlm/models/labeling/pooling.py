"""From the features of all words of a text to one vector, from which a classifier decides.

    last        what the encoder's last states hold; [h>_T; h<_1] of a bidirectional one
    mean        sum_t h_t / T
    max         max_t h_t, each number of the vector by itself (Collobert & Weston 2008)
    attention   sum_t a_t h_t,  a = softmax_t(u tanh(W h_t + b))   (Yang et al. 2016, eq. 5-7)

B texts · T words · D width
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlm.models.layers.linear import Linear
from seqlm.models.layers.padding import padding_mask


class Pooling(nn.Module):
    """One of the four."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            self.hidden = Linear(width, width)  # W and b
            self.query = Linear(width, 1, bias=False)  # u

    def forward(self, h: Tensor, last: Tensor, lengths: Tensor) -> Tensor:
        """h (B, T, D), the last states (B, D), `lengths` (B,) -> (B, 1, D)."""
        if self.kind == "last":
            return last[:, None]
        is_word = padding_mask(lengths, h.shape[1])  # (B, T)
        if self.kind == "max":
            return h.masked_fill(~is_word[..., None], -math.inf).amax(1, keepdim=True)
        if self.kind == "mean":
            weights = (is_word / lengths[:, None]).to(h.dtype)  # (B, T)
        else:
            scores = self.query(self.hidden(h).tanh())[..., 0]  # (B, T)
            weights = scores.masked_fill(~is_word, -math.inf).softmax(1)
        # A product with a weight of 0 would keep what is not a number in the padding.
        return torch.bmm(weights[:, None], h.masked_fill(~is_word[..., None], 0))


def make_pooling(kind: str | None, width: int) -> Pooling | None:
    """The pooling that the option names; None for a tagger."""
    return None if kind is None else Pooling(kind, width)
