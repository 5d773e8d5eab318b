"""Rotary positions (Su et al. 2021): queries and keys are rotated by the positions they are at.

Of the d numbers of a head, number i and number i + d/2 are the real and the imaginary part of one
complex number (the pairing of Llama's weights). At position t it is multiplied by

    e^{i t θ_i},   θ_i = b^{-2i/d}         b = 10000

so that the product of a rotated query at t and a rotated key at s depends on t - s alone.

B rows · T positions, L positions before them · h heads, each d wide
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ROPE_BASE = 10000.0
"""b. A larger one turns more slowly, for longer contexts."""


class RotaryAngles(NamedTuple):
    """Cosine and sine of the angles t θ_i, for the real and for the imaginary parts of a head."""

    cos: Tensor  # (T, 1, d), the cosines twice
    sin: Tensor  # (T, 1, d), the sines with a minus before them, and the sines


def rotary_angles(
    length: int, offset: int, width: int, device: torch.device, base: float = ROPE_BASE
) -> RotaryAngles:
    """The angles of positions L .. L + T - 1 in float32; `length` is T, `offset` L, `width` d."""
    angles = position_angles(length, offset, width, device, base)[:, None]  # (T, 1, d/2)
    cos, sin = angles.cos(), angles.sin()
    return RotaryAngles(torch.cat([cos, cos], 2), torch.cat([-sin, sin], 2))


def position_angles(
    length: int, offset: int, width: int, device: torch.device, base: float = ROPE_BASE
) -> Tensor:
    """t θ_i (T, d/2) of positions L .. L + T - 1; the arguments are those of `rotary_angles`."""
    positions = torch.arange(offset, offset + length, device=device, dtype=torch.float32)
    pairs = torch.arange(0, width, 2, device=device, dtype=torch.float32)
    return positions[:, None] * base ** (-pairs / width)


def rotate(x: Tensor, angles: RotaryAngles) -> Tensor:
    """x (B, T, h, d), each position rotated by its angles; of one position also (B, h, d)."""
    swapped = x.roll(x.shape[-1] // 2, -1)  # the imaginary parts, then the real ones
    # 16 bits are raised to the float32 of the angles.
    return torch.addcmul(x * angles.cos, swapped, angles.sin).to(x.dtype)
