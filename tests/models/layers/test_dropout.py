"""Dropout of numbers, of whole word types, and with masks that stay the same along a sequence."""

import pytest
import torch

from seqlm.models.layers.dropout import dropout, embed, locked_dropout


@pytest.mark.parametrize("shape", [(3, 5, 7), (1,), (0, 4), (2, 3)])
def test_each_number_is_kept_or_not_by_16_bits_of_its_own(shape):
    """The bits of the draws, one number after the other."""
    x = torch.rand(shape, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(1)
    dropped = dropout(x, 0.3, training=True)
    torch.manual_seed(1)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = [draw >> 16 * k & 0xFFFF for draw in draws.tolist() for k in range(4)]
    threshold = round(0.3 * 65536)
    for number, b, found in zip(x.flatten().tolist(), bits, dropped.flatten().tolist()):
        # As signed numbers, 0x8000 is the lowest.
        expected = number / (1 - threshold / 65536) if b ^ 0x8000 >= threshold else 0.0
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.99])
def test_the_share_that_is_dropped(p):
    torch.manual_seed(1)
    x = torch.ones(200, 500, requires_grad=True)
    dropped = dropout(x, p, training=True)
    assert (dropped == 0).double().mean().item() == pytest.approx(p, abs=0.005)
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, dropped.detach())


def test_embedding_dropout_drops_whole_types():
    torch.manual_seed(1)
    weight = torch.ones(50, 3)
    tokens = torch.randint(50, (8, 40))
    embedded = embed(tokens, weight, 0.3, training=True)
    assert embedded.unique().tolist() == pytest.approx([0, 1 / 0.7])
    for type_ in range(50):
        assert len(embedded[tokens == type_].unique()) <= 1


def test_a_locked_mask_is_the_same_at_every_step_and_another_in_every_row():
    torch.manual_seed(1)
    x = torch.ones(6, 5, 64)
    dropped = locked_dropout(x, 0.25, training=True)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert len({tuple(row) for row in dropped[:, 0].tolist()}) == 6


def test_there_is_none_outside_training():
    x, tokens = torch.rand(2, 3, 4), torch.tensor([[0, 1]])
    assert torch.equal(dropout(x, 0.5, training=False), x)
    assert torch.equal(locked_dropout(x, 0.5, training=False), x)
    assert torch.equal(embed(tokens, x[0], 0.5, training=False), x[0, :2][None])
