"""Which positions of a batch are real, and which are padding on the right."""

from __future__ import annotations

import torch
from torch import Tensor


def padding_mask(lengths: Tensor, positions: int) -> Tensor:
    """(B, S) True on the first `lengths` (B,) of S `positions`, False on the padding after them."""
    return torch.arange(positions, device=lengths.device) < lengths[:, None]
