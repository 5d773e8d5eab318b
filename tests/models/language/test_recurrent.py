"""The recurrences against their equations, written out step by step in float64."""

from __future__ import annotations

import pytest
import torch

from seqlm.models.language.recurrent import GRU, LSTM, Elman
from seqlm.models.layers.recurrence.recurrent_layers import EMBEDDING_SCALE, LSTMState

MODELS = {"rnn": Elman, "lstm": LSTM, "gru": GRU}


def build(arch: str, **options) -> Elman | LSTM | GRU:
    torch.manual_seed(1)
    model = MODELS[arch]
    return model(model.config_class(vocab_size=11, width=5, layers=2, **options)).eval()


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
    return LSTMState(torch.sigmoid(o) * torch.tanh(c), c)


def gru(layer, x, h):
    gates_x = x @ layer.weight_ih_l0.T + layer.bias_ih_l0
    gates_h = h @ layer.weight_hh_l0.T + layer.bias_hh_l0
    (r_x, z_x, n_x), (r_h, z_h, n_h) = gates_x.chunk(3, -1), gates_h.chunk(3, -1)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


@pytest.mark.parametrize("arch", MODELS)
@pytest.mark.parametrize("options", [{}, {"embedding": 3}, {"tied": False, "embedding": 3}])
def test_forward_is_the_equations(arch, options):
    model = build(arch, **options).double()
    tokens = torch.randint(11, (3, 6))
    cache = model.initial_cache(3)
    features, after, *_ = model(tokens, cache)

    step = {"rnn": elman, "lstm": lstm, "gru": gru}[arch]
    table = model.output_layer.weight if model.config.tied else model.embedding
    states = list(cache)
    for t in range(6):
        x = EMBEDDING_SCALE * table[tokens[:, t]]
        for depth, layer in enumerate(model.layers):
            states[depth] = step(layer, x, states[depth])
            x = states[depth].h if arch == "lstm" else states[depth]
        torch.testing.assert_close(features[:, t], x)
    for found, expected in zip(after, states, strict=True):
        torch.testing.assert_close(tuple(found), tuple(expected))


@pytest.mark.parametrize("arch", MODELS)
@pytest.mark.parametrize("options", [{}, {"activation": "relu"}], ids=["", "relu"])
def test_steps_of_one_token_are_the_layer_over_the_segment(arch, options):
    if options and arch != "rnn":
        options = {}
    model = build(arch, **options)
    tokens = torch.randint(11, (3, 6))
    whole = model(tokens, model.initial_cache(3))
    cache, features = model.initial_cache(3), []
    for token in tokens.split(1, 1):
        feature, cache, *_ = model(token, cache)
        features.append(feature)
    torch.testing.assert_close(torch.cat(features, 1), whole.features)
    torch.testing.assert_close(cache, whole.cache)


@pytest.mark.parametrize("options", [{}, {"peephole": True}, {"coupled_gates": True}], ids=str)
def test_the_forget_gate_is_open_initially(options):
    layer = build("lstm", **options).layers[0]
    *others, f, g, o = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().split(5)
    torch.testing.assert_close(f, torch.ones(5))
    assert all((gate.abs() < 1).all() for gate in (*others, g, o))


def test_tied_weights_are_one_parameter_and_both_ends_train_it():
    model = build("lstm", embedding=3)
    assert not hasattr(model, "embedding")
    assert model.output_layer.weight.shape == (11, 3)
    assert model.config.sizes() == [3, 5, 3]
    tokens = torch.tensor([[2, 3]])
    features, *_ = model(tokens, model.initial_cache(1))
    features.sum().backward()  # through the embedding alone
    used = model.output_layer.weight.grad.abs().sum(1).nonzero()[:, 0]
    assert used.tolist() == [2, 3]


class TestDropout:
    def masks(self, **dropout) -> torch.Tensor:
        """Features of two forward passes over one text that is repeated in two rows."""
        model = build("lstm", **dropout).train()
        tokens = torch.full((2, 7), 4)
        return torch.stack([model(tokens, model.initial_cache(2)).features for _ in range(2)])

    def test_output_mask_is_locked_in_time_and_fresh_in_every_row_and_batch(self):
        zero = self.masks(dropout_output=0.5) == 0  # (2, B, T, D)
        assert (zero == zero[:, :, :1]).all()
        assert zero.any()
        assert not zero.all()
        model = build("lstm", dropout_output=0.5).train()
        wide = model(torch.full((64, 2), 4), model.initial_cache(64)).features == 0
        assert len({tuple(row.flatten().tolist()) for row in wide[:, 0]}) > 8
        again = model(torch.full((64, 2), 4), model.initial_cache(64)).features == 0
        assert not torch.equal(wide, again)

    def test_values_are_scaled_so_that_the_mean_stays(self):
        model = build("lstm", dropout_output=0.4)
        tokens = torch.full((4000, 1), 4)
        plain = model(tokens, model.initial_cache(4000)).features.mean(0)
        noisy = model.train()(tokens, model.initial_cache(4000)).features.mean(0)
        torch.testing.assert_close(noisy, plain, rtol=0.1, atol=0.005)

    @pytest.mark.parametrize("arch", MODELS)
    def test_there_is_none_in_evaluation(self, arch):
        quiet = build(arch)
        noisy = build(arch, dropout_input=0.5, dropout_hidden=0.5, dropout_output=0.5,
                      dropout_embedding=0.5)  # fmt: skip
        tokens = torch.randint(11, (2, 5))
        torch.testing.assert_close(
            quiet(tokens, quiet.initial_cache(2)).features,
            noisy(tokens, noisy.initial_cache(2)).features,
        )


class TestWeightDrop:
    """Ports of AWD-LSTM have silently lost the mask, or the gradient of the raw weights."""

    @pytest.mark.parametrize(
        ("arch", "options"),
        [
            ("rnn", {}),
            ("rnn", {"activation": "relu"}),
            ("gru", {}),
            ("lstm", {}),
            ("lstm", {"peephole": True}),
            ("lstm", {"coupled_gates": True}),
        ],
        ids=str,
    )
    def test_the_layer_runs_with_the_dropped_u(self, arch, options, monkeypatch):
        model = build(arch, dropout_weight=0.5, **options).train()
        tokens = torch.randint(11, (3, 6))
        monkeypatch.setattr(torch.nn.functional, "dropout", lambda weight, p: 0.5 * weight)
        found = model(tokens, model.initial_cache(3))
        with torch.no_grad():
            for layer in model.layers:
                layer.weight_hh_l0 *= 0.5
        expected = model.eval()(tokens, model.initial_cache(3))
        torch.testing.assert_close(found.features, expected.features)
        torch.testing.assert_close(found.cache, expected.cache)

    @pytest.mark.parametrize("arch", MODELS)
    def test_one_mask_a_segment_and_another_for_the_next(self, arch):
        model = build(arch, dropout_weight=0.5).train()
        tokens = torch.full((2, 6), 4)
        zero = []
        for _ in range(2):
            model.zero_grad()
            model(tokens, model.initial_cache(2)).features.sum().backward()
            zero.append(model.layers[0].weight_hh_l0.grad == 0)
        # A connection of U that is dropped has no gradient from any step of any row; others have.
        assert 0.2 < zero[0].float().mean() < 0.8
        assert not torch.equal(zero[0], zero[1])

    @pytest.mark.parametrize("arch", MODELS)
    def test_a_step_of_the_optimizer_changes_the_weights_that_are_dropped_next(self, arch):
        model = build(arch, dropout_weight=0.5).train()
        layer = model.layers[0]
        before = layer.weight_hh_l0.clone()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        for _ in range(8):
            optimizer.zero_grad()
            model(
                torch.randint(11, (2, 6)), model.initial_cache(2)
            ).features.square().sum().backward()
            optimizer.step()
        assert (layer.weight_hh_l0 != before).float().mean() > 0.9
        tokens = torch.randint(11, (2, 6))
        trained = model.eval()(tokens, model.initial_cache(2)).features
        with torch.no_grad():
            layer.weight_hh_l0.copy_(before)
        assert not torch.allclose(trained, model(tokens, model.initial_cache(2)).features)


class TestPenalties:
    def test_ar_and_tar_are_their_formulas(self):
        model = build("lstm", ar=2.0, tar=3.0, dropout_output=0.5).train()
        tokens = torch.randint(11, (3, 6))
        torch.manual_seed(5)
        dropped, _, penalty, _ = model(tokens, model.initial_cache(3))
        raw = build("lstm")(tokens, model.initial_cache(3)).features
        change = (raw[:, 1:] - raw[:, :-1]).square().mean()
        torch.testing.assert_close(penalty, 2 * dropped.square().mean() + 3 * change)
        assert model.eval()(tokens, model.initial_cache(3)).penalty is None

    def test_one_step_has_no_change(self):
        model = build("lstm", tar=3.0).train()
        assert model(torch.randint(11, (3, 1)), model.initial_cache(3)).penalty == 0


@pytest.mark.parametrize("arch", MODELS)
def test_gradients_stop_at_a_detached_state_and_flow_through_an_attached_one(arch):
    from seqlm.models.tree import detach

    model = build(arch)
    tokens = torch.randint(11, (1, 3))
    _, cache, *_ = model(tokens, model.initial_cache(1))
    for carried, expected in ((cache, True), (detach(cache), False)):
        first = carried[0].h if arch == "lstm" else carried[0]
        assert first.requires_grad is expected
