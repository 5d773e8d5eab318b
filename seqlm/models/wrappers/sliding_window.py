"""A window that slides over a text longer than a model's context length.

    x_0 x_1 ... the tokens read, x_0 = </s> · W the context length · S the stride, 1 <= S <= W

The first window reads x_0 .. x_{W-1} one after the other. Before token x_W is read, the model
starts again on the last W - S tokens, and then again after every S tokens: window k reads
x_{kS} .. x_{kS+W-1}, and its last S features are used. Every prediction but the first ones thus has
a context of at least W - S + 1 tokens. A smaller stride gives more context and costs W / S times as
much.

S = W gives non-overlapping blocks as a Transformer is trained on: each begins with one token of
context, the last of the block before. The default is W / 2, which is what most toolkits report.

When a long text is scored, its windows are rows of one batch. When tokens are read one by one, the
model goes on from its state until the window is full.

    B rows · T new tokens · n tokens in the window · K windows · D feature width
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.errors import UsageError
from seqlm.models.base import LanguageModel, LanguageNetwork, NetworkState
from seqlm.text.vocabulary import EOS

POSITIONS = 1 << 13
"""Tokens that are scored at once, all windows together: bounds memory, changes nothing."""


class WindowState(NamedTuple):
    network_state: NetworkState
    tokens: Tensor  # (B, n) the tokens of the window so far, 1 <= n <= W


class SlidingWindow(LanguageModel):
    """A network with a context length as a model of texts of any length."""

    def __init__(self, network: LanguageNetwork, stride: int | None = None) -> None:
        """`stride` is S, by default W / 2. Errors: UsageError where it is not from 1 to W."""
        assert network.context_length is not None
        super().__init__(network.config)
        self.network, self.window = network, network.context_length
        self.stride = max(1, self.window // 2) if stride is None else stride
        if not 1 <= self.stride <= self.window:
            raise UsageError(
                f"a stride of {self.stride} does not fit the model, which reads {self.window}"
                f" tokens at once; 1 to {self.window} do"
            )

    def start(self, rows: int) -> WindowState:
        eos = torch.full((rows, 1), EOS, device=self.device)
        return WindowState(self.network.start(rows), eos)

    def log_probs(self, state: WindowState) -> Tensor:
        return self.network.log_probs(state.network_state)

    def advance(self, state: WindowState, tokens: Tensor) -> WindowState:
        text = torch.cat([state.tokens, tokens], 1)  # (B, n + T)
        begin = self.last_window_start(text.shape[1])
        if begin == 0:
            return WindowState(self.network.advance(state.network_state, tokens), text)
        _, new_state = self.from_scratch(text[:, begin:])
        return new_state

    def score(self, state: WindowState, tokens: Tensor) -> tuple[Tensor, WindowState]:
        window, stride, output_layer = self.window, self.stride, self.network.output_layer
        rows, n = state.tokens.shape
        fitting = tokens[:, : window - n]  # (B, <= W - n), those that the window has room for
        scores, network_state = self.network.score(state.network_state, fitting)
        text = torch.cat([state.tokens, tokens], 1)  # (B, n + T)
        last_begin = self.last_window_start(text.shape[1])
        if last_begin == 0:
            return scores, WindowState(network_state, text)
        next_token = text[:, window : window + 1]
        parts = [scores, output_layer.score(network_state.last_features[:, None], next_token)]
        # All windows but the last are full, and the last S features of each, side by side, are
        # those of the text. K windows at a time bound the memory.
        step = stride * max(1, POSITIONS // (rows * window))
        for begin in range(stride, last_begin, step):
            end = min(begin + step, last_begin)
            full = text[:, begin : end + window - stride].unfold(1, window, stride)  # (B, K, W)
            features, _ = self.features(full.flatten(0, 1))  # (B K, W, D)
            new = features[:, -stride:].reshape(rows, end - begin, -1)  # (B, K S, D)
            targets = text[:, begin + window - stride + 1 : end + window - stride + 1]
            parts.append(output_layer.score(new, targets))
        features, new_state = self.from_scratch(text[:, last_begin:])
        targets = text[:, last_begin + window - stride + 1 :]
        parts.append(output_layer.score(features[:, window - stride : -1], targets))
        return torch.cat(parts, 1), new_state

    def last_window_start(self, length: int) -> int:
        """Where the last window begins in `length` tokens whose first window begins at 0."""
        return -(-max(0, length - self.window) // self.stride) * self.stride

    def features(self, tokens: Tensor) -> tuple[Tensor, NetworkState]:
        """The features (B, n, D) of `tokens` (B, n), read from the beginning, and the state after
        them."""
        features, cache, *_ = self.network(tokens, self.network.initial_cache(tokens.shape[0]))
        return features, NetworkState(features[:, -1], cache)

    def from_scratch(self, tokens: Tensor) -> tuple[Tensor, WindowState]:
        """The features (B, n, D) of a window that begins with `tokens` (B, n), and its state."""
        features, network_state = self.features(tokens)
        return features, WindowState(network_state, tokens)


def with_sliding_window(model: LanguageModel, stride: int | None = None) -> LanguageModel:
    """A model that reads texts of any length: `model` itself where it has no context length."""
    if model.context_length is None:
        return model
    assert isinstance(model, LanguageNetwork)
    return SlidingWindow(model, stride)
