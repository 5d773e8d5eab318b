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
    """Cosine and sine of the angles t θ_i."""

    cos: Tensor  # (T, d/2)
    sin: Tensor  # (T, d/2)


def rotary_angles(
    length: int, offset: int, width: int, device: torch.device, base: float = ROPE_BASE
) -> RotaryAngles:
    """The angles of positions L .. L + T - 1 in float32; `length` is T, `offset` L, `width` d."""
    positions = torch.arange(offset, offset + length, device=device, dtype=torch.float32)
    pairs = torch.arange(0, width, 2, device=device, dtype=torch.float32)
    angles = positions[:, None] * base ** (-pairs / width)  # (T, d/2)
    return RotaryAngles(angles.cos(), angles.sin())


def rotate(x: Tensor, angles: RotaryAngles) -> Tensor:
    """x (B, T, h, d), each position rotated by its angles."""
    cos, sin = (part[:, None] for part in angles)  # (T, 1, d/2)
    real, imaginary = x.chunk(2, -1)  # (B, T, h, d/2); 16 bits are raised to the float32 of cos
    rotated = torch.cat([real * cos - imaginary * sin, imaginary * cos + real * sin], -1)
    return rotated.to(x.dtype)
