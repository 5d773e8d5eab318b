"""The feed-forward language model of Bengio, Ducharme, Vincent & Jauvin (2003).

    x_t = [C(w_{t-n+2}); ..; C(w_t)]      the embeddings of the last n-1 words, side by side
    a_t = tanh(d + H x_t)                 the hidden layer
    y_t = b + W x_t + U a_t               logits of w_{t+1}; the direct connections W are optional

C (V, E) embeddings · H (D, (n-1) E) · U (V, D) · W (V, (n-1) E)

It is an n-gram model whose words are points in a space: a context that was never seen has neighbors
that were. U and W are side by side in the one matrix of the output layer, whose features are
[a_t; x_t]. Where weights are tied, that matrix is C, and both factor through it,

    y_t = b + C Q [a_t; x_t],             [U W] = C Q,    Q (E, D + (n-1) E)

which has far fewer parameters: W alone would have n-1 times those of the embeddings.

The state is the last n-1 words themselves, all `</s>` before a text. The positions of a segment are
computed at once, wherever the text is cut into segments.

B rows · T tokens
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlm.models.base import LanguageNetwork, NetworkOutput
from seqlm.models.config.ffnn_config import FFNNConfig
from seqlm.models.layers.dropout import embed, locked_dropout
from seqlm.models.layers.linear import Linear
from seqlm.models.output import make_output_layer
from seqlm.models.output.output_layer import init_embedding
from seqlm.text.vocabulary import EOS

EMBEDDING_SCALE = 10.0
"""The factor of an embedding, drawn from U(+-0.1), that the hidden layer reads: n-1 of them then
give the hidden units a variance that tanh does not flatten."""


class FFNN(LanguageNetwork):
    config_class = FFNNConfig
    config: FFNNConfig

    def __init__(self, config: FFNNConfig) -> None:
        super().__init__(config)
        embedding = config.embedding or config.width
        window = (config.order - 1) * embedding
        self.hidden = Linear(window, config.width)  # H and d
        features = config.width + (window if config.direct else 0)
        if config.tied:
            self.projection = Linear(features, embedding, bias=False)  # Q
            self.output_layer = make_output_layer(config, embedding)
        else:
            self.output_layer = make_output_layer(config, features)
            self.embedding = init_embedding(config.vocab_size, embedding)

    def initial_cache(self, rows: int) -> Tensor:
        return torch.full((rows, self.config.order - 1), EOS, device=self.device)

    def forward(self, tokens: Tensor, cache: Tensor) -> NetworkOutput:
        """`cache` (B, n-1): the words before `tokens` (B, T)."""
        config, before = self.config, self.config.order - 1
        words = torch.cat([cache, tokens], 1)  # (B, n-1 + T)
        embedded = embed(words, self.input_embedding(), config.dropout_embedding, self.training)
        embedded = EMBEDDING_SCALE * embedded
        x = self.windows(embedded, tokens.shape[1])  # (B, T, (n-1) E)
        x = locked_dropout(x, config.dropout_input, self.training)
        features = torch.tanh(self.hidden(x))  # (B, T, D)
        if config.direct:
            features = torch.cat([features, x], 2)
        if config.tied:
            features = self.projection(features)  # (B, T, E)
        features = locked_dropout(features, config.dropout_output, self.training)
        return NetworkOutput(features, words[:, words.shape[1] - before :])

    def layer_outputs(self, tokens: Tensor, cache: Tensor) -> list[Tensor]:
        words = torch.cat([cache, tokens], 1)  # (B, n-1 + T)
        embedded = EMBEDDING_SCALE * self.input_embedding()[words]  # (B, n-1 + T, E)
        x = self.windows(embedded, tokens.shape[1])  # (B, T, (n-1) E)
        return [embedded[:, cache.shape[1] :], torch.tanh(self.hidden(x))]

    def windows(self, embedded: Tensor, length: int) -> Tensor:
        """x (B, T, (n-1) E) of the last T = `length` words of `embedded` (B, n-1 + T, E).

        The window that ends with the token read at t begins n-2 words before it.
        """
        starts = range(1, self.config.order)
        return torch.cat([embedded[:, k : k + length] for k in starts], 2)
