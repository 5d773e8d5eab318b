"""The Transformer as a translator against its equations, position by position in float64."""

from __future__ import annotations

import math

import pytest
import torch

from seqlm.decoding.beam_search import beam_search
from seqlm.decoding.generate import generate
from seqlm.decoding.token_sampling import make_chooser
from seqlm.errors import ModelError, UsageError
from seqlm.models.config.translator_config import TransformerTranslatorConfig
from seqlm.models.translation.transformer_seq2seq import TransformerTranslator
from seqlm.models.tree import select
from seqlm.text.batches import Batch
from seqlm.text.vocabulary import EOS
from seqlm.training.optimization.objective import Objective
from tests.models.language.test_transformer import affine, feed_forward, norm, rotate_slowly
from tests.models.layers.test_attention import attend_slowly

B, S, T, V, D, H = 3, 5, 6, 11, 8, 4
LENGTHS = torch.tensor([5, 2, 4])

SHAPES = {
    "as by default": {},
    "vaswani": {"pre_norm": False, "activation": "relu", "layers": 1},
    "llama": {
        "norm": "rms", "positions": "rotary", "activation": "swiglu", "bias": False,
        "kv_heads": 2, "tied": False, "layers": 3,
    },
    "learned": {"positions": "learned", "source_vocab_size": 13, "kv_heads": 1},
    "untied": {"tied": False, "share_embeddings": False, "ffn_width": 5},
}  # fmt: skip


def build(**options) -> TransformerTranslator:
    torch.manual_seed(1)
    sizes = {"vocab_size": V, "width": D, "layers": 2, "heads": H, "context_length": 16}
    settings = sizes | options
    return TransformerTranslator(TransformerTranslatorConfig(**settings)).eval()


def build_random(**options) -> TransformerTranslator:
    """A model with large random weights, so that every term matters."""
    model = build(**options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    return model


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    noise = torch.Generator().manual_seed(2)
    return torch.randint(V, (B, S), generator=noise), torch.randint(V, (B, T), generator=noise)


# ------------------------------------------------------------------------------- the equations


def embedded(config, table, learned, tokens):
    """x_0 (T, D) of tokens (T,)."""
    x = table[tokens]
    for t in range(len(x)):
        if config.positions == "learned":
            x[t] += learned[t]
        elif config.positions == "sinusoidal":
            angles = [t / 10000 ** (i // 2 * 2 / D) for i in range(D)]
            waves = [math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(angles)]
            x[t] = x[t] * math.sqrt(D) + torch.tensor(waves)
    return x


def attention(config, out, queries, keys, values, visible):
    """Rows (T, H d), (S, G d), (S, G d) -> y (T, D)."""
    split = [
        torch.stack([torch.stack(row.split(D // H)) for row in rows], 1)[None]  # (1, h, T, d)
        for rows in (queries, keys, values)
    ]
    mixed = attend_slowly(*split, visible)[0]  # (H, T, d)
    return torch.stack([affine(out, mixed[:, t].flatten()) for t in range(len(queries))])


def rotated(config, rows):
    """(T, h d), each head rotated by its position."""
    if config.positions != "rotary":
        return rows
    return torch.stack(
        [
            torch.cat([rotate_slowly(head, t) for head in row.split(D // H)])
            for t, row in enumerate(rows)
        ]
    )  # fmt: skip


def self_attention(config, layer, x, visible):
    """x (T, D) -> y (T, D); position t attends to those in `visible(t)`."""
    kv_width = (config.kv_heads or H) * (D // H)
    rows = torch.stack([affine(layer.qkv, one) for one in x])
    queries, keys, values = rows.split([D, kv_width, kv_width], 1)
    return attention(
        config, layer.out, rotated(config, queries), rotated(config, keys), values, visible
    )


def cross_attention(config, layer, x, encoded):
    """x (T, D), encoded (S, D) -> y (T, D), and the weights of its last position (S,)."""
    queries = torch.stack([affine(layer.query, one) for one in x])
    keys, values = torch.stack([affine(layer.kv, one) for one in encoded]).chunk(2, 1)
    y = attention(config, layer.out, queries, keys, values, lambda t: range(len(encoded)))
    weights, group_size = torch.zeros(len(encoded)).double(), H // (config.kv_heads or H)
    for h in range(H):
        q = queries[-1].split(D // H)[h]
        scores = [float(q @ k.split(D // H)[h // group_size]) / math.sqrt(D // H) for k in keys]
        total = sum(math.exp(score) for score in scores)
        weights += torch.tensor([math.exp(score) / total / H for score in scores])
    return y, weights


def slow(model, source, tokens):
    """One sentence (S,) and its target (T,) -> features (T, D) and the alignment (S,)."""
    config = model.config

    def normed(layer, x):
        return torch.stack([norm(layer, one) for one in x])

    def residual(layer, x, sublayer):
        if config.pre_norm:
            return x + sublayer(normed(layer, x))
        return normed(layer, x + sublayer(x))

    def feed_forward_of(layer):
        return lambda x: torch.stack([feed_forward(layer, config, one) for one in x])

    table = model.output_layer.weight if config.tied else model.embedding
    shared = config.share_embeddings and config.source_vocab_size is None
    source_table = table if shared else model.source_embedding
    e = embedded(config, source_table, model.source_positions, source)
    for layer in model.encoder:
        e = residual(
            layer.attention_norm, e,
            lambda x, a=layer.attention: self_attention(config, a, x, lambda t: range(len(x))),
        )  # fmt: skip
        e = residual(layer.feed_forward_norm, e, feed_forward_of(layer.feed_forward))
    if config.pre_norm:
        e = normed(model.encoder_norm, e)

    x, seen = embedded(config, table, model.positions, tokens), []
    for layer in model.decoder:
        x = residual(
            layer.attention_norm, x,
            lambda x, a=layer.attention: self_attention(config, a, x, lambda t: range(t + 1)),
        )  # fmt: skip

        def cross(x, a=layer.cross_attention):
            y, weights = cross_attention(config, a, x, e)
            seen.append(weights)
            return y

        x = residual(layer.cross_norm, x, cross)
        x = residual(layer.feed_forward_norm, x, feed_forward_of(layer.feed_forward))
    return normed(model.norm, x) if config.pre_norm else x, seen[-1]


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_features_and_alignment_are_the_equations(shape):
    model = build_random(**SHAPES[shape])
    source, tokens = pair()
    features = model(tokens, model.encode(source, LENGTHS)).features
    state = model.advance(model.start(source, LENGTHS), tokens)
    alignment = model.alignment(state)
    for row, length in enumerate(LENGTHS):
        expected, _ = slow(model, source[row, :length], tokens[row])
        torch.testing.assert_close(features[row], expected, atol=1e-5, rtol=1e-5)
        read = torch.cat([torch.tensor([EOS]), tokens[row]])
        _, weights = slow(model, source[row, :length], read)
        torch.testing.assert_close(alignment[row, :length], weights, atol=1e-5, rtol=1e-5)
        assert not alignment[row, length:].any()


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_the_future_changes_nothing(shape):
    model = build_random(**SHAPES[shape])
    source, tokens = pair()
    changed = tokens.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % V
    cache = model.encode(source, LENGTHS)
    features = [model(one, cache).features for one in (tokens, changed)]
    torch.testing.assert_close(features[0][:, :3], features[1][:, :3])
    assert not torch.allclose(features[0][:, 3:], features[1][:, 3:])


@torch.no_grad()
@pytest.mark.parametrize(
    ("positions", "blind"),
    [("none", True), ("sinusoidal", False), ("learned", False), ("rotary", False)],
)
def test_without_positions_the_source_is_a_set(positions, blind):
    model = build_random(positions=positions)
    source, tokens = pair()
    lengths = torch.full((B,), S)
    one, other = (
        model(tokens, model.encode(each, lengths)).features for each in (source, source.flip(1))
    )
    assert torch.allclose(one, other, atol=1e-9) is blind


# ------------------------------------------------------------------------ the source in a state


@torch.inference_mode()
def test_the_source_is_gathered_once_for_all_steps_of_a_beam():
    model = build()
    source, tokens = pair()
    state = select(model.start(source, LENGTHS), torch.arange(B).repeat_interleave(2))
    gathered = state.cache.memory.read()
    rows = torch.tensor([1, 0, 3, 3, 4, 5])  # a beam reorders the prefixes of each sentence
    for token in tokens.split(1, 1):
        state = select(model.advance(state, token.repeat_interleave(2, 0)), rows)
        assert state.cache.memory.read() is gathered


# ------------------------------------------------------------------------------- the options


@pytest.mark.parametrize(
    ("options", "matrices"),
    [
        ({}, ["output_layer.weight"]),
        ({"tied": False}, ["output_layer.weight", "embedding"]),
        ({"share_embeddings": False}, ["output_layer.weight", "source_embedding"]),
        ({"source_vocab_size": 9}, ["output_layer.weight", "source_embedding"]),
        (
            {"tied": False, "share_embeddings": False},
            ["output_layer.weight", "embedding", "source_embedding"],
        ),
    ],
    ids=str,
)
def test_tied_embeddings_are_one_matrix(options, matrices):
    model = build(**options)
    rows = {len(parameter) for _, parameter in model.named_parameters()} & {9, V}
    named = dict(model.named_parameters())
    assert [n for n, p in named.items() if p.ndim == 2 and len(p) in (9, V)] == sorted(
        matrices, key=list(named).index
    )
    assert rows == ({9, V} if "source_vocab_size" in options else {V})


def test_a_sentence_beyond_the_context_length_is_refused():
    model = build(context_length=5, positions="learned")
    assert model.context_length == 5
    assert build(context_length=5).context_length is None
    source = torch.full((1, 5), 2)
    state = model.advance(model.start(source, torch.tensor([5])), source[:, :4])
    message = "a sentence of 6 tokens is beyond the model's context length of 5"
    with pytest.raises(ModelError, match=message):
        model.advance(state, torch.tensor([[2]]))
    with pytest.raises(ModelError, match=message):
        model.start(torch.full((1, 6), 2), torch.tensor([6]))


def test_numbers_that_do_not_fit_together_are_refused():
    with pytest.raises(UsageError, match="heads 4 does not divide width 10"):
        build(width=10)


@pytest.mark.parametrize("kind", ["embedding", "input", "hidden", "attention", "output"])
def test_each_dropout_is_noise_in_training_alone(kind):
    quiet, noisy = build_random(), build_random(**{f"dropout_{kind}": 0.5})
    noisy.load_state_dict(quiet.state_dict())
    source, tokens = pair()
    expected = quiet(tokens, quiet.encode(source, LENGTHS)).features
    torch.testing.assert_close(noisy(tokens, noisy.encode(source, LENGTHS)).features, expected)
    noisy.train()
    once, again = (noisy(tokens, noisy.encode(source, LENGTHS)).features for _ in range(2))
    assert not torch.allclose(once, expected)
    assert not torch.allclose(once, again)


# ---------------------------------------------------------------------------------- training


@torch.no_grad()
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
def test_it_begins_near_the_uniform_distribution(positions, tied):
    """With tied weights it begins by predicting what it has read, which costs it a little."""
    model = build(vocab_size=500, width=64, layers=3, positions=positions, tied=tied)
    source, tokens = torch.randint(500, (32, 8)), torch.randint(500, (32, 9))
    features = model(tokens[:, :-1], model.encode(source, torch.full((32,), 8))).features
    loss = model.output_layer.loss(features, tokens[:, 1:]).item()
    assert math.log(500) <= loss <= math.log(500) + 1.5


def reversals(rows: int, longest: int = 5) -> Batch:
    """Up to `longest` letters, and the same rotate_slowly round; both end in `</s>`."""
    lengths = torch.randint(2, longest + 1, (rows,))
    letters, positions = torch.randint(2, V, (rows, longest + 1)), torch.arange(longest + 1)
    reversed_letters = letters.take_along_dim((lengths[:, None] - 1 - positions).clamp(min=0), 1)
    source, targets = (
        each.where(positions < lengths[:, None], EOS) for each in (letters, reversed_letters)
    )
    inputs = torch.cat([torch.full((rows, 1), EOS), targets[:, :-1]], 1)
    targets = targets.masked_fill(positions > lengths[:, None], -1)
    return Batch(inputs, targets, True, int(lengths.sum()) + rows, source, lengths + 1)


def test_it_learns_to_reverse():
    torch.manual_seed(1)
    config = TransformerTranslatorConfig(V, width=32, layers=2, heads=4, ffn_width=64)
    model = TransformerTranslator(config).train()
    objective = Objective(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, betas=(0.9, 0.98))
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 5e-3 * min(1, step / 50, (200 - step) / 100)
        optimizer.zero_grad()
        objective(reversals(64), None)[0].backward()
        optimizer.step()

    model.eval()
    held_out = reversals(200)
    state = model.start(held_out.source, held_out.source_lengths)
    greedy = torch.stack(list(generate(model, state, make_chooser(temperature=0), 6, end=EOS)), 1)
    best = [
        found[0].tokens.tolist()
        for found in beam_search(model, state, 3, held_out.source_lengths, EOS, length_penalty=1.0)
    ]
    right = {"greedy": 0, "beam": 0}
    for row, length in enumerate(held_out.source_lengths):
        expected = held_out.targets[row, :length].tolist()
        right["greedy"] += greedy[row, :length].tolist() == expected
        right["beam"] += best[row] == expected
    assert min(right.values()) >= 190, right
