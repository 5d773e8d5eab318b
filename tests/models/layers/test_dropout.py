"""Dropout of whole word types, and masks that stay the same along a sequence."""

import pytest
import torch

from seqlm.models.layers.dropout import embed, locked_dropout


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
    assert torch.equal(locked_dropout(x, 0.5, training=False), x)
    assert torch.equal(embed(tokens, x[0], 0.5, training=False), x[0, :2][None])
