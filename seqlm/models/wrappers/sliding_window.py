"""A model with a horizon as one without: windows of W tokens, S of them new in each.

    x_0 x_1 ... the tokens read, x_0 = </s> · W the model's horizon · S the stride, 1 <= S <= W

The first window reads x_0 .. x_{W-1} one after the other. Before token x_W is read, the model
starts again on the last W - S tokens, and so after every S tokens from there on: window k reads
x_{kS} .. x_{kS+W-1}, and its last S features are used. So at least W - S + 1 tokens stand before
whatever is predicted; a small stride sees more, and costs W / S times as much.

S = W gives the cold, non-overlapping blocks that a Transformer is trained on: each begins with one
token of context, the last of the block before. The default, W / 2, is what most toolkits report.

To score a long text, all its windows are rows of one batch. Read token by token, the model goes on
with its state between two restarts.
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
    network: NetworkState
    read: Tensor  # (B, n) the tokens of the window so far, 1 <= n <= W


class Windowed(LanguageModel):
    """A network with a horizon, made to read on."""

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
        opening = torch.full((rows, 1), EOS, device=self.device)
        return WindowState(self.network.start(rows), opening)

    def log_probs(self, state: WindowState) -> Tensor:
        return self.network.log_probs(state.network)

    def advance(self, state: WindowState, tokens: Tensor) -> WindowState:
        seen = torch.cat([state.read, tokens], 1)  # (B, n + T)
        skipped = self.restart(seen.shape[1])
        if skipped == 0:
            return WindowState(self.network.advance(state.network, tokens), seen)
        _, after = self.cold(seen[:, skipped:])
        return after

    def score(self, state: WindowState, tokens: Tensor) -> tuple[Tensor, WindowState]:
        window, stride, output_layer = self.window, self.stride, self.network.output_layer
        rows, n = state.read.shape
        first = tokens[:, : window - n]  # (B, <= W - n), what this window still takes
        scores, inside = self.network.score(state.network, first)
        seen = torch.cat([state.read, tokens], 1)  # (B, n + T)
        skipped = self.restart(seen.shape[1])
        if skipped == 0:
            return scores, WindowState(inside, seen)
        parts = [
            scores,
            output_layer.score(inside.last_features[:, None], seen[:, window : window + 1]),
        ]
        # All windows but the last are full: their new parts, side by side, are the text. (B, K W')
        together = stride * max(1, POSITIONS // (rows * window))
        for begin in range(stride, skipped, together):
            end = min(begin + together, skipped)
            full = seen[:, begin : end + window - stride].unfold(1, window, stride)  # (B, K, W)
            features, _ = self.features(full.flatten(0, 1))  # (B K, W, D)
            new = features[:, -stride:].reshape(rows, end - begin, -1)  # (B, K S, D)
            targets = seen[:, begin + window - stride + 1 : end + window - stride + 1]
            parts.append(output_layer.score(new, targets))
        features, after = self.cold(seen[:, skipped:])
        parts.append(
            output_layer.score(
                features[:, window - stride : -1], seen[:, skipped + window - stride + 1 :]
            )
        )
        return torch.cat(parts, 1), after

    def restart(self, length: int) -> int:
        """Where the last window begins in a text of `length` tokens that begins with a window."""
        return -(-max(0, length - self.window) // self.stride) * self.stride

    def features(self, tokens: Tensor) -> tuple[Tensor, NetworkState]:
        features, cache, *_ = self.network(tokens, self.network.initial_cache(tokens.shape[0]))
        return features, NetworkState(features[:, -1], cache)

    def cold(self, tokens: Tensor) -> tuple[Tensor, WindowState]:
        """A window that begins with `tokens` (B, n): features (B, n, D), and the state after it."""
        features, state = self.features(tokens)
        return features, WindowState(state, tokens)


def unbounded(model: LanguageModel, stride: int | None = None) -> LanguageModel:
    """A model that reads texts of any length: `model`, in windows where it has a horizon."""
    if model.context_length is None:
        return model
    assert isinstance(model, LanguageNetwork)
    return Windowed(model, stride)
