"""The recurrences against their equations, written out step by step in float64."""

from __future__ import annotations

import pytest
import torch

from seqlm.models.recurrent import GRU, LSTM, READ, Cell, Elman, RecurrentConfig

CELLS = {"rnn": Elman, "lstm": LSTM, "gru": GRU}


def build(arch: str, **options) -> Elman | LSTM | GRU:
    torch.manual_seed(1)
    return CELLS[arch](RecurrentConfig(vocab_size=11, width=5, layers=2, **options)).eval()


def elman(layer, x, h):
    return torch.tanh(x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T
                      + layer.bias_hh_l0)  # fmt: skip


def lstm(layer, x, state):
    h, c = state
    gates = (
        x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
    )
    i, f, g, o = gates.chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return Cell(torch.sigmoid(o) * torch.tanh(c), c)


def gru(layer, x, h):
    into = x @ layer.weight_ih_l0.T + layer.bias_ih_l0
    back = h @ layer.weight_hh_l0.T + layer.bias_hh_l0
    (r_x, z_x, n_x), (r_h, z_h, n_h) = into.chunk(3, -1), back.chunk(3, -1)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


@pytest.mark.parametrize("arch", CELLS)
@pytest.mark.parametrize("options", [{}, {"embedding": 3}, {"tied": False, "embedding": 3}])
def test_forward_is_the_equations(arch, options):
    model = build(arch, **options).double()
    tokens = torch.randint(11, (3, 6))
    inner = model.initial(3)
    features, after, *_ = model(tokens, inner)

    step = {"rnn": elman, "lstm": lstm, "gru": gru}[arch]
    table = model.head.weight if model.config.tied else model.embedding
    states = list(inner)
    for t in range(6):
        x = READ * table[tokens[:, t]]
        for depth, layer in enumerate(model.layers):
            states[depth] = step(layer, x, states[depth])
            x = states[depth].h if arch == "lstm" else states[depth]
        torch.testing.assert_close(features[:, t], x)
    for found, expected in zip(after, states, strict=True):
        torch.testing.assert_close(tuple(found), tuple(expected))


def test_the_forget_gate_is_open_at_first():
    layer = build("lstm").layers[0]
    gates = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().chunk(4)
    torch.testing.assert_close(gates[1], torch.ones(5))
    assert all((gate.abs() < 1).all() for gate in (gates[0], *gates[2:]))


def test_tied_weights_are_one_parameter_and_both_ends_train_it():
    model = build("lstm", embedding=3)
    assert not hasattr(model, "embedding")
    assert model.head.weight.shape == (11, 3)
    assert model.config.sizes() == [3, 5, 3]
    tokens = torch.tensor([[2, 3]])
    features, *_ = model(tokens, model.initial(1))
    features.sum().backward()  # the embedding's side alone
    used = model.head.weight.grad.abs().sum(1).nonzero()[:, 0]
    assert used.tolist() == [2, 3]


class TestDropout:
    def masks(self, **dropout) -> torch.Tensor:
        """What the features become, twice, of one text repeated in two rows."""
        model = build("lstm", **dropout).train()
        tokens = torch.full((2, 7), 4)
        return torch.stack([model(tokens, model.initial(2)).features for _ in range(2)])

    def test_output_mask_is_locked_in_time_and_fresh_in_every_row_and_batch(self):
        zero = self.masks(dropout_output=0.5) == 0  # (2, B, T, D)
        assert (zero == zero[:, :, :1]).all()
        assert zero.any()
        assert not zero.all()
        model = build("lstm", dropout_output=0.5).train()
        wide = model(torch.full((64, 2), 4), model.initial(64)).features == 0
        assert len({tuple(row.flatten().tolist()) for row in wide[:, 0]}) > 8
        again = model(torch.full((64, 2), 4), model.initial(64)).features == 0
        assert not torch.equal(wide, again)

    def test_what_is_kept_is_scaled_so_that_the_mean_stays(self):
        model = build("lstm", dropout_output=0.4)
        tokens = torch.full((4000, 1), 4)
        plain = model(tokens, model.initial(4000)).features.mean(0)
        noisy = model.train()(tokens, model.initial(4000)).features.mean(0)
        torch.testing.assert_close(noisy, plain, rtol=0.1, atol=0.005)

    def test_embedding_dropout_drops_whole_types(self):
        from seqlm.models.dropout import embed

        torch.manual_seed(1)
        weight = torch.ones(50, 3)
        tokens = torch.randint(50, (8, 40))
        embedded = embed(tokens, weight, 0.3, training=True)
        assert embedded.unique().tolist() == pytest.approx([0, 1 / 0.7])
        for type_ in range(50):
            assert len(embedded[tokens == type_].unique()) <= 1

    @pytest.mark.parametrize("arch", CELLS)
    def test_evaluation_has_none(self, arch):
        quiet = build(arch)
        noisy = build(arch, dropout_input=0.5, dropout_hidden=0.5, dropout_output=0.5,
                      dropout_embedding=0.5)  # fmt: skip
        tokens = torch.randint(11, (2, 5))
        torch.testing.assert_close(
            quiet(tokens, quiet.initial(2)).features, noisy(tokens, noisy.initial(2)).features
        )


@pytest.mark.parametrize("arch", CELLS)
def test_gradients_stop_at_a_detached_state_and_flow_through_an_attached_one(arch):
    from seqlm.models.base import detach

    model = build(arch)
    tokens = torch.randint(11, (1, 3))
    _, inner, *_ = model(tokens, model.initial(1))
    for carried, expected in ((inner, True), (detach(inner), False)):
        first = carried[0].h if arch == "lstm" else carried[0]
        assert first.requires_grad is expected
