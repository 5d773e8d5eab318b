"""Sliding windows against the network run from scratch for every token."""

from __future__ import annotations

import pytest
import torch

from seqlm.errors import UsageError
from seqlm.models import model_class
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.transformer import Transformer
from seqlm.models.tree import pack
from seqlm.models.wrappers import sliding_window
from seqlm.models.wrappers.sliding_window import SlidingWindow, with_sliding_window
from seqlm.text.vocabulary import EOS

V = 7


def network(context_length: int) -> Transformer:
    torch.manual_seed(1)
    config = TransformerConfig(V, width=8, layers=2, heads=2, context_length=context_length)
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    return model


def context(tokens: list[int], i: int, window: int, stride: int) -> list[int]:
    """What precedes tokens[i] in its window, by the docstring of `sliding_window.py`."""
    read = [EOS, *tokens[:i]]  # x_0 .. x_i
    begin = 0
    while len(read) - begin > window:
        begin += stride
    return read[begin:]


def slow(model: Transformer, tokens: list[int], stride: int) -> list[float]:
    log_probs = []
    for i, token in enumerate(tokens):
        before = torch.tensor([context(tokens, i, model.context_length, stride)])
        features = model(before, model.initial_cache(1)).features
        log_probs.append(float(model.output_layer.log_probs(features[0, -1])[token]))
    return log_probs


@torch.no_grad()
@pytest.mark.parametrize("together", [1, 40, 1 << 13])
@pytest.mark.parametrize(
    ("window", "stride"), [(1, 1), (2, 1), (2, 2), (5, 1), (5, 2), (5, 3), (5, 5), (8, 4), (40, 7)]
)
def test_a_score_is_that_of_the_network_run_for_every_token(window, stride, together, monkeypatch):
    monkeypatch.setattr(sliding_window, "POSITIONS", together)
    model = network(window)
    tokens = torch.randint(V, (3, 29), generator=torch.Generator().manual_seed(2))
    expected = torch.tensor([slow(model, row, stride) for row in tokens.tolist()])
    reader = SlidingWindow(model, stride)
    for cut in (0, 1, window - 1, window, window + stride, 29):
        first, state = reader.score(reader.start(3), tokens[:, :cut])
        second, _ = reader.score(state, tokens[:, cut:])
        torch.testing.assert_close(torch.cat([first, second], 1), expected, atol=1e-5, rtol=1e-5)
        if 0 < cut < 29:  # the features that predict the tokens give the same scores
            first, state = reader.read(reader.start(3), tokens[:, :cut])
            second, state = reader.read(state, tokens[:, cut:])
            scores = reader.output_layer.score(torch.cat([first, second], 1), tokens)
            torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)
            _, after = reader.score(reader.start(3), tokens)
            torch.testing.assert_close(pack(state), pack(after), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_tokens_one_by_one_or_at_once_lead_to_the_same_state():
    reader = SlidingWindow(network(5), 2)
    tokens = torch.randint(V, (2, 23))
    state = reader.start(2)
    for length, token in enumerate(tokens.split(1, 1), 1):
        state = reader.advance(state, token)
        at_once = reader.advance(reader.start(2), tokens[:, :length])
        torch.testing.assert_close(pack(state), pack(at_once), atol=1e-5, rtol=1e-5)
        assert 5 - 2 < state.tokens.shape[1] <= 5 or length < 4


def test_a_stride_of_the_window_length_makes_blocks_that_do_not_overlap():
    tokens = list(range(2, 12))
    contexts = [context(tokens, i, 4, 4) for i in range(10)]
    assert contexts[3:6] == [[EOS, 2, 3, 4], [5], [5, 6]]


@torch.no_grad()
def test_a_shorter_stride_gives_more_context():
    lengths = [len(context(list(range(2, 42)), i, 8, 2)) for i in range(20, 40)]
    assert set(lengths) == {7, 8}


@pytest.mark.parametrize("stride", [0, 6, -1])
def test_a_stride_beyond_the_window_is_refused(stride):
    with pytest.raises(UsageError, match=f"a stride of {stride} does not fit .* 1 to 5 do"):
        SlidingWindow(network(5), stride)


def test_only_models_with_a_context_length_are_wrapped():
    lstm = model_class("lm", "lstm").from_settings({"vocab_size": V, "width": 4})
    assert with_sliding_window(lstm) is lstm
    reader = with_sliding_window(network(9))
    assert isinstance(reader, SlidingWindow)
    assert (reader.window, reader.stride, reader.context_length) == (9, 4, None)
    assert with_sliding_window(network(9), 9).stride == 9
