"""Rotary positions against complex numbers, one pair of one position at a time."""

import cmath

import pytest
import torch

from seqlm.models.layers.rotary import rotary_angles, rotate

B, T, H = 2, 5, 4


def test_a_rotation_multiplies_complex_numbers():
    torch.manual_seed(1)
    width, offset = 6, 4
    x = torch.randn(B, T, H, width, dtype=torch.float64)
    rotated = rotate(x, rotary_angles(T, offset, width, x.device))
    for t in range(T):
        for i in range(width // 2):
            factor = cmath.exp(1j * (offset + t) * 10000 ** (-2 * i / width))
            expected = torch.complex(x[:, t, :, i], x[:, t, :, i + width // 2]) * factor
            torch.testing.assert_close(rotated[:, t, :, i], expected.real, atol=1e-6, rtol=0)
            torch.testing.assert_close(
                rotated[:, t, :, i + width // 2], expected.imag, atol=1e-6, rtol=0
            )


def test_one_position_needs_no_axis_of_its_own():
    torch.manual_seed(1)
    x, angles = torch.randn(B, 1, H, 6), rotary_angles(1, 5, 6, torch.device("cpu"))
    torch.testing.assert_close(rotate(x[:, 0], angles), rotate(x, angles)[:, 0], rtol=0, atol=0)


def test_rotated_products_depend_on_the_distance_alone():
    torch.manual_seed(1)
    query, key = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)

    def product(t: int, s: int) -> float:
        rotated_query = rotate(query, rotary_angles(1, t, 8, query.device))
        rotated_key = rotate(key, rotary_angles(1, s, 8, key.device))
        return (rotated_query * rotated_key).sum().item()

    assert product(7, 3) == pytest.approx(product(104, 100), abs=1e-5)
    assert product(7, 3) != pytest.approx(product(7, 4), abs=1e-3)
