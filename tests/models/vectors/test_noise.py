"""Noise words: the alias method, against the distribution that its columns add up to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.vectors.noise import Noise, alias_table

COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any)


def distribution(share: np.ndarray, alias: np.ndarray) -> np.ndarray:
    """(V,), the probability of each word: what its own column leaves it, and what others give."""
    p = np.zeros(len(share))
    for column, (own, other) in enumerate(zip(share.tolist(), alias.tolist())):
        p[column] += own / len(share)
        p[other] += (1 - own) / len(share)
    return p


def expected(counts: list[int], exponent: float) -> np.ndarray:
    powers = np.array([count**exponent if count else 0.0 for count in counts])
    return powers / powers.sum()


@given(counts=COUNTS, exponent=st.sampled_from([0.75, 1.0, 0.0, 0.5, -0.5, -2.0]))
def test_the_columns_add_up_to_the_distribution(counts: list[int], exponent: float) -> None:
    p = expected(counts, exponent)
    share, alias = alias_table(p)
    assert ((share >= 0) & (share <= 1)).all()
    assert ((alias >= 0) & (alias < len(p))).all()
    np.testing.assert_allclose(distribution(share, alias), p, atol=1e-12)
    noise = Noise.of(torch.tensor(counts), exponent)
    stored = distribution(noise.share.double().numpy(), noise.alias.numpy())
    np.testing.assert_allclose(stored, p, atol=1e-6)
    assert (stored[np.array(counts) == 0] == 0).all()


def test_a_word_is_its_column_or_the_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the formula, for numbers u at the edges of columns and shares."""
    noise = Noise(torch.tensor([0.5, 1.0, 0.0, 0.25]), torch.tensor([1, 1, 3, 0]))
    drawn = {0.0: 0, 0.1249: 0, 0.125: 1, 0.2499: 1, 0.25: 1, 0.4999: 1, 0.5: 3, 0.7499: 3,
             0.75: 3, 0.8124: 3, 0.8126: 0, 1 - 2**-53: 0}  # fmt: skip
    numbers = torch.tensor([*drawn], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *size, **options: numbers.clone())
    assert noise.draw(len(drawn)).tolist() == [*drawn.values()]


@pytest.mark.parametrize("exponent", [0.75, 0.0, -1.0])
def test_draws_are_of_the_distribution(exponent: float) -> None:
    """Chi-square of 100 000 draws, whose mean is the degrees of freedom, n, and variance 2 n."""
    counts = [0, 1000, 300, 0, 100, 30, 10, 3, 1, 1]
    n, p = 100_000, expected(counts, exponent)
    torch.manual_seed(1)
    drawn = torch.bincount(Noise.of(torch.tensor(counts), exponent).draw(n), minlength=10).numpy()
    assert (drawn[p == 0] == 0).all()
    seen = p > 0
    chi_square = ((drawn - n * p)[seen] ** 2 / (n * p)[seen]).sum()
    freedom = seen.sum() - 1
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom)


def test_frequent_words_are_rare_noise_where_the_exponent_is_negative() -> None:
    counts = torch.tensor([0, 1000, 10])
    torch.manual_seed(1)
    noise = Noise.of(counts, -1.0).draw(10_000)
    assert (noise == 1).float().mean() < 0.02
    assert not (noise == 0).any()


def test_equal_seeds_draw_equal_words() -> None:
    noise = Noise.of(torch.arange(50), 0.75)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(noise.draw(100).tolist())
    assert draws[0] == draws[1] != draws[2]
