"""The feed-forward language model of Bengio, Ducharme, Vincent & Jauvin (2003).

    x_t = [C(w_{t-n+2}); ..; C(w_t)]      the embeddings of the last n-1 words, side by side
    a_t = tanh(d + H x_t)                 the hidden layer
    y_t = b + W x_t + U a_t               logits of w_{t+1}; the direct connections W are optional

C (V, E) embeddings · H (D, (n-1) E) · U (V, D) · W (V, (n-1) E)

It is an n-gram model whose words are points: a context never seen has neighbours that were. U and W
stand side by side as the one matrix of the output layer, and [a_t; x_t] is its feature. Tied, that
matrix is C, so that both factor through it,

    y_t = b + C Q [a_t; x_t],             [U W] = C Q,    Q (E, D + (n-1) E)

which has fewer parameters by far: W alone would be n-1 times the embeddings.

The state is the last n-1 words themselves, all `</s>` before a text. The positions of a segment are
computed at once, however the text is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqlm.errors import UsageError
from seqlm.models.base import EOS, LanguageNetwork, Output
from seqlm.models.config import HeadConfig, make_head
from seqlm.models.layers.dropout import embed, locked
from seqlm.models.layers.linear import Linear
from seqlm.models.output.softmax import drawn

READ = 10.0
"""What an embedding, drawn from U(+-0.1), is multiplied by when it is read: n-1 of them then reach
the hidden units with a variance that tanh passes on."""


@dataclass(frozen=True)
class FeedForwardConfig(HeadConfig):
    order: int = 5
    """n: a word is predicted from the n-1 before."""
    width: int = 256
    """Hidden units."""
    embedding: int | None = None
    """Width of the embedding; by default that of the hidden layer."""
    direct: bool = False
    """The embeddings reach the output layer past the hidden one, too."""
    dropout_embedding: float = 0.0
    """Share of word types dropped from a segment."""
    dropout_input: float = 0.0
    """Of the embeddings side by side."""
    dropout_output: float = 0.0
    """Of what the output layer takes."""


class FeedForward(LanguageNetwork):
    config_class = FeedForwardConfig
    config: FeedForwardConfig

    def __init__(self, config: FeedForwardConfig) -> None:
        """Errors: UsageError where there is no word before."""
        super().__init__(config)
        if config.order < 2:
            raise UsageError(f"order {config.order} reads no words; a feed-forward model has 2 up")
        embedding = config.embedding or config.width
        window = (config.order - 1) * embedding
        self.hidden = Linear(window, config.width)  # H and d
        features = config.width + (window if config.direct else 0)
        if config.tied:
            self.projection = Linear(features, embedding, bias=False)  # Q
            self.head = make_head(config, embedding)
        else:
            self.head = make_head(config, features)
            self.embedding = drawn(config.vocab_size, embedding)

    def initial(self, rows: int) -> Tensor:
        return torch.full((rows, self.config.order - 1), EOS, device=self.device)

    def forward(self, tokens: Tensor, inner: Tensor) -> Output:
        """`inner` (B, n-1): the words before."""
        config, before = self.config, self.config.order - 1
        words = torch.cat([inner, tokens], 1)  # (B, n-1 + T)
        embedded = READ * embed(words, self.embedded(), config.dropout_embedding, self.training)
        # The window that ends with the token read at t begins n-2 words before it.
        windows = [embedded[:, k : k + tokens.shape[1]] for k in range(1, before + 1)]
        x = torch.cat(windows, 2)  # (B, T, (n-1) E)
        x = locked(x, config.dropout_input, self.training)
        features = torch.tanh(self.hidden(x))  # (B, T, D)
        if config.direct:
            features = torch.cat([features, x], 2)
        if config.tied:
            features = self.projection(features)  # (B, T, E)
        features = locked(features, config.dropout_output, self.training)
        return Output(features, words[:, words.shape[1] - before :])
