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

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.errors import UsageError
from seqlm.models.base import LanguageModel, LanguageNetwork, NetworkState
from seqlm.models.output.output_layer import OutputLayer
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

    @property
    def output_layer(self) -> OutputLayer:
        return self.network.output_layer

    def score(self, state: WindowState, tokens: Tensor) -> tuple[Tensor, WindowState]:
        fitting, text = self.split(state, tokens)
        scores, network_state = self.network.score(state.network_state, fitting)
        if self.last_window_start(text.shape[1]) == 0:
            return scores, WindowState(network_state, text)
        later_features, new_state = self.read_on(network_state, text)
        parts, at = [scores], fitting.shape[1]
        for features in later_features:
            targets = tokens[:, at : at + features.shape[1]]
            parts.append(self.output_layer.score(features, targets))
            at += features.shape[1]
        return torch.cat(parts, 1), new_state

    def read(self, state: WindowState, tokens: Tensor) -> tuple[Tensor, WindowState]:
        """The features (B, T, D) that predict `tokens` (B, T), and the state after them."""
        fitting, text = self.split(state, tokens)
        parts, network_state = [], state.network_state
        if fitting.shape[1]:
            features, network_state = self.network.read(network_state, fitting)
            parts.append(features)
        if self.last_window_start(text.shape[1]) == 0:
            return parts[0], WindowState(network_state, text)
        later_features, new_state = self.read_on(network_state, text)
        return torch.cat([*parts, *later_features], 1), new_state

    def split(self, state: WindowState, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Those of `tokens` (B, T) that the window has room for, (B, <= W - n), and the window with
        all of them, (B, n + T)."""
        room = self.window - state.tokens.shape[1]
        return tokens[:, :room], torch.cat([state.tokens, tokens], 1)

    def read_on(
        self, network_state: NetworkState, text: Tensor
    ) -> tuple[Iterator[Tensor], WindowState]:
        """Slides the window over `text` (B, L), L > W, after whose first W tokens the network is in
        `network_state`: the features (B, t, D) that predict text[:, W:], in parts, and the state
        after the text."""
        window, stride, rows = self.window, self.stride, text.shape[0]
        last_begin = self.last_window_start(text.shape[1])
        last_features, new_state = self.from_scratch(text[:, last_begin:])

        def parts() -> Iterator[Tensor]:
            yield network_state.last_features[:, None]
            # All windows but the last are full, and the last S features of each, side by side, are
            # those of the text. K windows at a time bound the memory.
            step = stride * max(1, POSITIONS // (rows * window))
            for begin in range(stride, last_begin, step):
                end = min(begin + step, last_begin)
                full = text[:, begin : end + window - stride].unfold(1, window, stride)
                features, _ = self.features(full.flatten(0, 1))  # (B, K, W) -> (B K, W, D)
                yield features[:, -stride:].reshape(rows, end - begin, -1)  # (B, K S, D)
            yield last_features[:, window - stride : -1]

        return parts(), new_state

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
