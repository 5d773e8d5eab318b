"""Encoder-decoders against their equations, written out sentence by sentence in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from seqlm.errors import UsageError
from seqlm.models.config.translator_config import RecurrentTranslatorConfig
from seqlm.models.layers.attention import SourceAttention
from seqlm.models.layers.padding import padding_mask
from seqlm.models.layers.recurrence.recurrent_layers import EMBEDDING_SCALE
from seqlm.models.translation.recurrent_seq2seq import (
    ElmanTranslator,
    GRUTranslator,
    LSTMTranslator,
    RecurrentTranslator,
)
from seqlm.text.vocabulary import EOS
from tests.models.language.test_recurrent import elman, gru, lstm

ARCHS: dict[str, tuple[type[RecurrentTranslator], Any]] = {
    "rnn": (ElmanTranslator, elman),
    "lstm": (LSTMTranslator, lstm),
    "gru": (GRUTranslator, gru),
}
ATTENTIONS: dict[str, dict[str, Any]] = {
    "none": {"attention": "none"},
    "dot": {"attention": "dot"},
    "general": {"attention": "general"},
    "scaled-dot": {"attention": "scaled-dot"},
    "additive": {"attention": "additive"},
    "feeding": {"attention": "general", "input_feeding": True},
}
V, V_SOURCE, D = 9, 7, 6


def build(arch: str, **options: Any) -> RecurrentTranslator:
    torch.manual_seed(1)
    model = ARCHS[arch][0](RecurrentTranslatorConfig(V, width=D, **options)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7)
    return model


# ---------------------------------------------------------------------------------- the equations


def h_of(state: Any) -> Tensor:
    return state if isinstance(state, Tensor) else state[0]


def run_slowly(arch: str, layer: Any, xs: list[Tensor]) -> list[Tensor]:
    """h after each of `xs` (size,), from a state of zeros."""
    zero = torch.zeros(layer.hidden_size, dtype=torch.float64)
    state, hs = (zero, zero) if arch == "lstm" else zero, []
    for x in xs:
        state = ARCHS[arch][1](layer, x, state)
        hs.append(h_of(state))
    return hs


def attended(attention: SourceAttention, q: Tensor, hs: list[Tensor]) -> tuple[Tensor, list[float]]:
    """c (D,) and the weights, score by score."""
    if attention.score == "additive":
        W, U, b = attention.query.weight, attention.key.weight, attention.key.bias
        scores = [float(attention.v @ torch.tanh(W @ q + U @ h + b)) for h in hs]
    elif attention.score == "general":
        scores = [float(q @ attention.key.weight @ h) for h in hs]
    else:
        scores = [float(q @ h) for h in hs]
    if attention.score == "scaled-dot":
        scores = [score / math.sqrt(len(q)) for score in scores]
    total = sum(math.exp(score) for score in scores)
    weights = [math.exp(score) / total for score in scores]
    return torch.stack([weight * h for weight, h in zip(weights, hs)]).sum(0), weights


@torch.no_grad()
def translated(
    model: RecurrentTranslator, arch: str, source: list[int], tokens: list[int]
) -> tuple[Tensor, list[float]]:
    """The features (T, ..) of one target given one source, and the attention of the last step."""
    config = model.config
    E_y = model.output_layer.weight if config.tied else model.embedding
    E_x = E_y if config.shares_source_embedding else model.source_embedding
    hs, states = [EMBEDDING_SCALE * E_x[token] for token in source], []
    for depth in range(config.layers):
        halves = [run_slowly(arch, model.encoder.forward_layers[depth], hs)]
        ends = [halves[0][-1]]
        if config.bidirectional:
            halves.append(run_slowly(arch, model.encoder.backward_layers[depth], hs[::-1])[::-1])
            ends.append(halves[1][0])
        hs = [torch.cat(pair) for pair in zip(*halves)]
        bridged = model.bridge[depth].weight @ torch.cat(ends) + model.bridge[depth].bias
        if arch == "lstm":
            states.append((torch.tanh(bridged[:D]), bridged[D:]))
        else:
            states.append(torch.tanh(bridged))

    features, weights = [], []
    feature = torch.zeros(model.feature_layer.out_features, dtype=torch.float64)
    for token in tokens:
        y = EMBEDDING_SCALE * E_y[token]
        extra_inputs = []
        if config.attention == "additive":
            c, weights = attended(model.attention, h_of(states[0]), hs)
            extra_inputs = [c]
        elif config.input_feeding:
            extra_inputs = [feature]
        x = torch.cat([y, *extra_inputs])
        for depth, layer in enumerate(model.decoder):
            states[depth] = ARCHS[arch][1](layer, x, states[depth])
            x = h_of(states[depth])
        parts = [x]
        if config.attention == "additive":
            parts += [c, y]
        elif config.attention != "none":
            c, weights = attended(model.attention, x, hs)
            parts += [c]
        W_h, b_h = model.feature_layer.weight, model.feature_layer.bias
        feature = torch.tanh(W_h @ torch.cat(parts) + b_h)
        features.append(feature)
    return torch.stack(features), weights


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": 2, "bidirectional": False, "embedding": 4},
        {"layers": 3, "tied": False, "embedding": 5, "source_vocab_size": V_SOURCE},
        {"share_embeddings": False, "tied": False},
    ],
    ids=["", "one way", "three layers", "own embeddings"],
)
def test_forward_is_the_equations(arch: str, attention: str, options: dict[str, Any]) -> None:
    model = build(arch, **ATTENTIONS[attention], **options)
    sources = [[3, 5, 2, 6, EOS], [4, EOS], [EOS]]
    targets = [[EOS, 4, 8], [EOS, 2, 2], [EOS, 3, 0]]
    source = torch.tensor([one + [0] * (5 - len(one)) for one in sources])
    lengths = torch.tensor([len(one) for one in sources])
    with torch.no_grad():
        features, cache, *_ = model(torch.tensor(targets), model.encode(source, lengths))
    for row in range(3):
        expected, weights = translated(model, arch, sources[row], targets[row])
        torch.testing.assert_close(features[row], expected)
        if attention == "none":
            assert cache.attention_weights is None
        else:
            padded = torch.tensor(weights + [0.0] * (5 - len(weights)), dtype=torch.float64)
            torch.testing.assert_close(cache.attention_weights[row], padded)


@torch.no_grad()
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("layers", [1, 3])
def test_one_step_after_another_gives_what_all_at_once_give(
    arch: str, attention: str, layers: int
) -> None:
    model = build(arch, **ATTENTIONS[attention], layers=layers)
    source, lengths = torch.tensor([[3, 5, EOS], [4, EOS, 0]]), torch.tensor([3, 2])
    targets = torch.tensor([[EOS, 4, 3, 2], [EOS, 2, 2, 5]])
    features, end, *_ = model(targets, model.encode(source, lengths))
    cache, steps = model.encode(source, lengths), []
    for target in targets.split(1, 1):
        step, cache, *_ = model(target, cache)
        steps.append(step)
    torch.testing.assert_close(torch.cat(steps, 1), features)
    torch.testing.assert_close(cache.layer_states, end.layer_states)
    if attention != "none":
        torch.testing.assert_close(cache.attention_weights, end.attention_weights)


@torch.no_grad()
@pytest.mark.parametrize("score", ["additive", "dot", "general", "scaled-dot"])
def test_many_queries_at_once_are_each_alone(score: Any) -> None:
    torch.manual_seed(1)
    attention = SourceAttention(score, D, 0.0).double()
    queries, h = (torch.randn(2, n, D, dtype=torch.float64) for n in (4, 3))
    mask = padding_mask(torch.tensor([3, 2]), 3)
    mix, weights = attention(queries, attention.keys(h), h, mask)
    for b, length in enumerate((3, 2)):
        for t in range(4):
            expected, each = attended(attention, queries[b, t], list(h[b, :length]))
            torch.testing.assert_close(mix[b, t], expected)
            assert weights[b, t, :length].tolist() == pytest.approx(each)


def test_attention_dropout_drops_weights_and_shows_them_whole() -> None:
    torch.manual_seed(1)
    attention = SourceAttention("dot", 2, 0.25)
    h, mask = torch.ones(1, 2000, 2), torch.ones(1, 2000, dtype=torch.bool)
    mix, weights = attention(torch.zeros(1, 1, 2), h, h, mask)
    torch.testing.assert_close(weights, torch.full((1, 1, 2000), 1 / 2000))
    undropped = mix[0, 0, 0].item() * 2000 * 0.75
    assert undropped == pytest.approx(round(undropped), abs=0.1)
    assert mix[0, 0, 0].item() == pytest.approx(1, abs=0.1)
    assert mix[0, 0, 0].item() != pytest.approx(1, abs=1e-4)


# ---------------------------------------------------------------------------------- the options


def parameters(**options: Any) -> dict[str, Tensor]:
    return dict(build("gru", **options).named_parameters())


def test_embeddings_are_tied_three_ways_or_not() -> None:
    assert not {"embedding", "source_embedding"} & parameters().keys()
    assert parameters(source_vocab_size=V_SOURCE)["source_embedding"].shape == (V_SOURCE, D)
    assert parameters(share_embeddings=False)["source_embedding"].shape == (V, D)
    untied = parameters(tied=False, embedding=3)
    assert untied["embedding"].shape == (V, 3)
    assert untied["output_layer.weight"].shape == (V, D)
    assert "source_embedding" not in untied


@pytest.mark.parametrize("arch", ARCHS)
def test_all_of_a_tied_model_meet_in_one_matrix(arch: str) -> None:
    """Source tokens, target inputs and predicted tokens all train the rows of one matrix."""
    model = build(arch)
    source, tokens, target = torch.tensor([[3, EOS]]), torch.tensor([[EOS]]), torch.tensor([[5]])
    features, *_ = model(tokens, model.encode(source, torch.tensor([2])))
    features.sum().backward()
    used = model.output_layer.weight.grad.abs().sum(1).nonzero()[:, 0]
    assert used.tolist() == [EOS, 3]
    model.output_layer.loss(features.detach(), target).backward()
    assert (model.output_layer.weight.grad[5] != 0).all()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"width": 5}, "5 is odd"),
        ({"width": 4, "attention": "none", "input_feeding": True}, "input_feeding"),
        ({"width": 4, "attention": "additive", "input_feeding": True}, "input_feeding"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        RecurrentTranslatorConfig(V, **options)
    RecurrentTranslatorConfig(V, width=5, bidirectional=False)


class TestDropout:
    OPTIONS = ("dropout_embedding", "dropout_input", "dropout_hidden", "dropout_attention",
               "dropout_output")  # fmt: skip

    @pytest.mark.parametrize("attention", ATTENTIONS)
    def test_evaluation_has_none_and_training_has_each(self, attention: str) -> None:
        source, lengths = torch.tensor([[3, 5, 2, EOS]]), torch.tensor([4])
        tokens = torch.tensor([[EOS, 4, 8]])

        def features(training: bool, **dropout: float) -> Tensor:
            model = build("lstm", layers=2, **ATTENTIONS[attention], **dropout).train(training)
            torch.manual_seed(5)
            made: Tensor = model(tokens, model.encode(source, lengths)).features
            return made

        plain = features(training=False)
        torch.testing.assert_close(features(training=True), plain)
        for option in self.OPTIONS:
            torch.testing.assert_close(features(training=False, **{option: 0.5}), plain)
            if option == "dropout_attention" and attention == "none":
                continue
            assert not torch.allclose(features(training=True, **{option: 0.5}), plain), option

    @pytest.mark.parametrize("attention", ["general", "additive", "feeding"])
    def test_masks_between_layers_are_locked_in_time(self, attention: str) -> None:
        """A unit of the first decoder layer that is dropped reaches the second at no step."""
        model = build("gru", layers=2, dropout_hidden=0.5, **ATTENTIONS[attention]).train()
        torch.manual_seed(2)
        cache = model.encode(torch.tensor([[3, EOS]]), torch.tensor([2]))
        model(torch.randint(V, (1, 12)), cache).features.sum().backward()
        unused = (model.decoder[1].get_parameter("weight_ih_l0").grad == 0).all(0)
        assert 0 < unused.sum() < D


# ---------------------------------------------------------------------------------- learning


def reversing(attention: Any) -> float:
    """The share of four letters that a model reverses after 150 batches of 32."""
    torch.manual_seed(1)
    model = GRUTranslator(RecurrentTranslatorConfig(10, width=32, attention=attention))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    end, lengths = torch.full((32, 1), EOS), torch.full((32,), 5)

    def pairs() -> tuple[Tensor, Tensor]:
        letters = torch.randint(2, 10, (32, 4))
        return torch.cat([letters, end], 1), torch.cat([letters.flip(1), end], 1)

    for _ in range(150):
        source, target = pairs()
        inputs = torch.cat([end, target[:, :-1]], 1)
        features, *_ = model(inputs, model.encode(source, lengths))
        optimizer.zero_grad()
        model.output_layer.loss(features, target).backward()
        optimizer.step()

    source, target = pairs()
    with torch.no_grad():
        state, outputs = model.start(source, lengths), []
        for _ in range(5):
            outputs.append(model.log_probs(state).argmax(1, keepdim=True))
            state = model.advance(state, outputs[-1])
    return (torch.cat(outputs, 1) == target).all(1).double().mean().item()


def test_attention_learns_to_reverse_what_a_fixed_vector_cannot_hold_yet() -> None:
    assert reversing("general") > 0.9
    assert reversing("none") < 0.5
