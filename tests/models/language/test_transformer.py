"""The Transformer against its equations, position by position in float64, and its options."""

from __future__ import annotations

import math

import pytest
import torch

from seqlm.errors import ModelError, UsageError
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.transformer import Transformer
from tests.models.layers.test_attention import attend_slowly

B, T, V, D, H = 2, 6, 11, 8, 4

SHAPES = {
    "gpt-2": {"activation": "gelu-tanh"},
    "llama": {
        "norm": "rms", "positions": "rotary", "activation": "swiglu", "bias": False,
        "kv_heads": 2, "tied": False,
    },
    "post-norm": {"pre_norm": False, "positions": "sinusoidal", "activation": "relu"},
    "no positions": {"positions": "none", "kv_heads": 1, "pre_norm": False, "norm": "rms"},
    "narrow": {"bias": False, "ffn_width": 5, "tied": False},
}  # fmt: skip


def build(**options) -> Transformer:
    torch.manual_seed(1)
    sizes = {"vocab_size": V, "width": D, "layers": 2, "heads": H, "context_length": 16}
    settings = sizes | options
    return Transformer(TransformerConfig(**settings)).eval()


def rough(**options) -> Transformer:
    """Large random parameters, so that every term matters."""
    model = build(**options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    return model


# ------------------------------------------------------------------------------- its equations


def norm(layer, x):
    """One vector."""
    if isinstance(layer, torch.nn.RMSNorm):
        return x / math.sqrt(float((x * x).mean()) + 1e-5) * layer.weight
    centered = x - x.mean()
    y = centered / math.sqrt(float((centered * centered).mean()) + 1e-5) * layer.weight
    return y if layer.bias is None else y + layer.bias


def affine(layer, x):
    y = layer.weight @ x
    return y if layer.bias is None else y + layer.bias


def rotate_slowly(x, t):
    """One head's vector (d,), rotated as at position t."""
    half = len(x) // 2
    angles = torch.tensor([t * 10000 ** (-2 * i / len(x)) for i in range(half)])
    y = torch.complex(x[:half], x[half:]) * torch.polar(torch.ones(half).double(), angles.double())
    return torch.cat([y.real, y.imag])


def attention(layer, config, x):
    """x (T, D)."""
    width, kv_heads = D // H, config.kv_heads or H
    rows = [affine(layer.qkv, row).split(width) for row in x]
    queries, keys, values = [], [], []
    for t, row in enumerate(rows):
        position = t if config.positions == "rotary" else 0
        queries.append(torch.stack([rotate_slowly(part, position) for part in row[:H]]))
        keys.append(torch.stack([rotate_slowly(part, position) for part in row[H : H + kv_heads]]))
        values.append(torch.stack(row[H + kv_heads :]))
    heads = [torch.stack(part, 1)[None] for part in (queries, keys, values)]  # (1, h, T, d)
    attended = attend_slowly(*heads, lambda t: range(t + 1))[0]  # (H, T, d)
    return torch.stack([affine(layer.out, attended[:, t].flatten()) for t in range(len(x))])


def feed_forward(layer, config, x):
    """x (D,)."""
    hidden = affine(layer.up, x)
    if config.activation == "swiglu":
        gate, up = hidden.chunk(2)
        return affine(layer.down, gate * torch.sigmoid(gate) * up)
    if config.activation == "relu":
        return affine(layer.down, hidden.clamp(min=0))
    if config.activation == "gelu":
        return affine(layer.down, hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2)
    argument = math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)
    return affine(layer.down, hidden * (1 + torch.tanh(argument)) / 2)


def embed_slowly(model, tokens):
    """x_0 (T, D)."""
    config = model.config
    table = model.output_layer.weight if config.tied else model.embedding
    x = table[tokens]
    for t in range(len(x)):
        if config.positions == "learned":
            x[t] += model.positions[t]
        elif config.positions == "sinusoidal":
            angles = [t / 10000 ** (i // 2 * 2 / D) for i in range(D)]
            waves = [math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(angles)]
            x[t] = x[t] * math.sqrt(D) + torch.tensor(waves)
    return x


def features_slowly(model, tokens):
    """Features (T, D) of one row of tokens."""
    config, x = model.config, embed_slowly(model, tokens)

    def normed(layer, x):
        return torch.stack([norm(layer, row) for row in x])

    def fed(layer, x):
        return torch.stack([feed_forward(layer, config, row) for row in x])

    for block in model.blocks:
        if config.pre_norm:
            x = x + attention(block.attention, config, normed(block.attention_norm, x))
            x = x + fed(block.feed_forward, normed(block.feed_forward_norm, x))
        else:
            x = normed(block.attention_norm, x + attention(block.attention, config, x))
            x = normed(block.feed_forward_norm, x + fed(block.feed_forward, x))
    return normed(model.norm, x) if config.pre_norm else x


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_is_the_equations(shape):
    model = rough(**SHAPES[shape])
    tokens = torch.randint(V, (B, T))
    features = model(tokens, model.initial_cache(B)).features
    expected = torch.stack([features_slowly(model, row) for row in tokens])
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_one_position_after_another_gives_what_all_at_once_give(shape):
    """Single positions go through `step`, which has fewer operations."""
    model = rough(**SHAPES[shape])
    tokens = torch.randint(V, (B, T))
    features, cache, *_ = model(tokens, model.initial_cache(B))
    steps, states = [], model.initial_cache(B)
    for token in tokens.split(1, 1):
        feature, states, *_ = model(token, states)
        steps.append(feature)
    torch.testing.assert_close(torch.cat(steps, 1), features)
    torch.testing.assert_close([kv[:2] for kv in states], [kv[:2] for kv in cache])


# ------------------------------------------------------------------------- the order of tokens


@torch.no_grad()
@pytest.mark.parametrize(
    ("layers", "positions", "blind"),
    [(1, "none", True), (2, "none", False), (1, "learned", False), (1, "rotary", False),
     (1, "sinusoidal", False)],
)  # fmt: skip
def test_without_positions_one_layer_is_blind_to_order_and_two_are_not(layers, positions, blind):
    """The last token sees all tokens before it. In one layer their order makes no difference; in a
    second layer it does, since each of them has seen other tokens."""
    model = rough(layers=layers, positions=positions)
    one, other = torch.tensor([[2, 3, 4, 5, 6, 7]]), torch.tensor([[5, 3, 6, 2, 4, 7]])
    last = [model(tokens, model.initial_cache(1)).features[0, -1] for tokens in (one, other)]
    assert torch.allclose(*last, atol=1e-9) is blind


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_the_future_changes_nothing(shape):
    model = rough(**SHAPES[shape])
    tokens = torch.randint(V, (B, T))
    changed = tokens.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % V
    features = [model(text, model.initial_cache(B)).features for text in (tokens, changed)]
    torch.testing.assert_close(features[0][:, :3], features[1][:, :3])
    assert not torch.allclose(features[0][:, 3:], features[1][:, 3:])


# ----------------------------------------------------------------------------------- the options


def test_a_text_beyond_the_context_length_is_refused():
    model = build(context_length=5)
    state = model.advance(model.start(1), torch.full((1, 4), 2))
    with pytest.raises(
        ModelError, match="a text of 6 tokens is beyond the model's context length of 5"
    ):
        model.advance(state, torch.tensor([[2]]))
    with pytest.raises(ModelError, match="7 tokens"):
        model.score(model.start(1), torch.full((1, 6), 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10}, "heads 4 does not divide width 10"),
        ({"kv_heads": 3}, "kv_heads 3 does not divide heads 4"),
        ({"heads": 8, "positions": "rotary"}, "positions rotary needs heads of even width"),
        ({"experts": 2, "experts_per_token": 3}, "experts_per_token 3 must be from 1 to experts 2"),
        ({"experts": 2, "experts_per_token": 0}, "experts_per_token 0 must be from 1 to"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        build(**options)


def test_a_gated_sublayer_has_as_many_parameters_as_another():
    counts = [
        sum(p.numel() for p in build(width=128, activation=activation).blocks.parameters())
        for activation in ("gelu", "swiglu")
    ]
    assert counts[1] == pytest.approx(counts[0], rel=0.01)


def test_weights_are_initialized_as_in_gpt_2():
    model = build(width=64, layers=8, vocab_size=50)
    for name, parameter in model.named_parameters():
        if "norm" in name or parameter.ndim < 2:
            assert set(parameter.unique().tolist()) == {1.0 if "norm.weight" in name else 0.0}, name
        else:
            std = 0.02 / 4 if name.endswith(("out.weight", "down.weight")) else 0.02
            assert parameter.std().item() == pytest.approx(std, rel=0.1), name


def test_sinusoids_and_embeddings_are_of_one_size():
    model = build(width=64, heads=4, positions="sinusoidal", vocab_size=500)
    x = model.embed_tokens(torch.arange(500)[None], 0) - model.embed_tokens(
        torch.zeros(1, 500).long(), 0
    )
    assert x.std().item() == pytest.approx(math.sqrt(2), rel=0.1)


def test_the_softmax_has_no_bias_to_learn():
    model = build()
    tokens = torch.randint(V, (B, T))
    loss = model.output_layer.loss(model(tokens, model.initial_cache(B)).features, tokens)
    loss.backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert {name for name, _ in model.named_parameters()} - trained == {"output_layer.bias"}
    assert not model.output_layer.bias.any()


# -------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("kind", ["embedding", "input", "hidden", "attention", "output"])
def test_every_dropout_is_noise_in_training_alone(kind):
    quiet, noisy = rough(), rough(**{f"dropout_{kind}": 0.5})
    noisy.load_state_dict(quiet.state_dict())
    tokens = torch.randint(V, (B, T))
    expected = quiet(tokens, quiet.initial_cache(B)).features
    torch.testing.assert_close(noisy(tokens, noisy.initial_cache(B)).features, expected)
    noisy.train()
    once, again = (noisy(tokens, noisy.initial_cache(B)).features for _ in range(2))
    assert not torch.allclose(once, expected)
    assert not torch.allclose(once, again)
