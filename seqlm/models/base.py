"""The interface of all sequence models, and the state that they pass along.

    B rows (sentences x beams) · T new tokens · S source positions · V vocabulary
    D feature width · E embedding width

A *state* stands for everything read so far. A model answers three questions about it: what comes
next (`log_probs`), what the state is after reading more (`advance`), and how probable a given
continuation is (`score`). Decoders and evaluators use these methods alone, for models of any class.

A state is a value. It is passed in and returned, and never stored on a module; after
`t = model.advance(s, x)`, `s` still means what it meant. It is a nest of tuples whose tensors all
have the rows as axis 0, so that the functions of `tree.py` work on the state of any model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlm.models.output.output_layer import OutputLayer
from seqlm.models.stored_model import StoredModel
from seqlm.models.verbs import Drawing
from seqlm.text.vocabulary import EOS

State = Any
"""A nest of NamedTuples of tensors (axis 0 is B), ints and None; see `tree.py`."""


# ---------------------------------------------------------------------------------------- models


class SequenceModel(StoredModel, ABC):
    """What every model of sequences offers, whatever it is made of."""

    normalized: bool = True
    """False where the model gives scores that are not probabilities."""
    resets_at_eos: bool = False
    """True where the state after `</s>` is the start state, so that lines never see each other."""
    context_length: int | None = None
    """The most tokens that a state may have consumed, or None where any number may be."""

    @abstractmethod
    def log_probs(self, state: State) -> Tensor:
        """(B, V) natural-log probabilities of the next token."""

    @abstractmethod
    def advance(self, state: State, tokens: Tensor) -> State:
        """The state after consuming `tokens` (B, T)."""

    def score(self, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """(B, T) log p(tokens[:, t] | state, tokens[:, :t]), and the state after them.

        This slow loop defines what a score is; every model overrides it and is tested against it.
        """
        scores = []
        for token in tokens.split(1, dim=1):  # (B, 1)
            scores.append(self.log_probs(state).gather(1, token))
            state = self.advance(state, token)
        return torch.cat(scores, 1), state

    def alignment(self, state: State) -> Tensor | None:
        """(B, S) attention over the source when the next token is predicted, or None."""
        return None

    def ngram_length(self, state: State, tokens: Tensor) -> Tensor | None:
        """(B, T) order of the n-gram that each token is scored with, or None."""
        return None

    def score_and_length(self, state: State, tokens: Tensor) -> tuple[Tensor, Tensor | None, State]:
        """The answers of `score` and `ngram_length` at once."""
        scores, after = self.score(state, tokens)
        return scores, self.ngram_length(state, tokens), after

    def drawing(self) -> Drawing | None:
        """A way to draw the next token without all its log-probabilities, or None."""
        return None


class LanguageModel(SequenceModel):
    """A sequence model that predicts a text from what was read of it."""

    @abstractmethod
    def start(self, rows: int) -> State:
        """The state of `rows` rows, each at the beginning of a text."""


class Translator(SequenceModel):
    """A sequence model of the translations of a source text."""

    @abstractmethod
    def start(self, source: Tensor, lengths: Tensor) -> State:
        """The state before the first target token.

        source: (B, S) ids; each sentence ends in `</s>`, with any ids after it as padding.
        lengths: (B,) the tokens of each sentence, its `</s>` included.
        """


# -------------------------------------------------------------------------------------- networks


class NetworkOutput(NamedTuple):
    """What a network computes of one segment of text."""

    features: Tensor
    """(B, T, D), the input of the output layer."""
    cache: State
    """The states of the layers, or their keys and values, after the segment."""
    penalty: Tensor | None = None
    """(), in training what the network adds to the loss, such as AR and TAR."""
    report: Mapping[str, Tensor] = MappingProxyType({})
    """Named figures about a training step, each (), for the log."""


SEGMENT = 1 << 11
"""Positions of a row that a network scores at once. It bounds memory and changes no score."""


class NetworkState(NamedTuple):
    last_features: Tensor  # (B, D), those that predict the next token
    cache: State


class Network(SequenceModel):
    """A neural model. A subclass defines `forward` and how a text begins; all else follows.

    The token read at position t gives the features that predict position t+1, so a state keeps the
    last features. Before the first token of a text the network reads one `</s>`, which serves as
    its beginning-of-sequence token.
    """

    output_layer: OutputLayer
    embedding: nn.Parameter
    """(V, E), where it is a matrix of its own; see `input_embedding`."""

    @abstractmethod
    def forward(self, tokens: Tensor, cache: State) -> NetworkOutput:
        """The features (B, T, D) of `tokens` (B, T), read after what `cache` holds."""

    def input_embedding(self) -> nn.Parameter:
        """(V, E), the embedding of tokens: the output layer's matrix where the two are tied."""
        return self.output_layer.weight if self.config.tied else self.embedding

    def state_after_bos(self, rows: int, cache: State) -> NetworkState:
        """The state of `rows` texts before their first token, given the cache before `</s>`."""
        features, cache, *_ = self(torch.full((rows, 1), EOS, device=self.device), cache)
        return NetworkState(features[:, -1], cache)

    def log_probs(self, state: NetworkState) -> Tensor:
        return self.output_layer.log_probs(state.last_features)

    def advance(self, state: NetworkState, tokens: Tensor) -> NetworkState:
        if tokens.shape[1] == 0:
            return state
        features, cache, *_ = self(tokens, state.cache)
        return NetworkState(features[:, -1], cache)

    def score(self, state: NetworkState, tokens: Tensor) -> tuple[Tensor, NetworkState]:
        scores = [tokens.new_zeros((tokens.shape[0], 0), dtype=state.last_features.dtype)]
        for segment in tokens.split(SEGMENT, dim=1) if tokens.shape[1] else ():
            features, state = self.read(state, segment)
            scores.append(self.output_layer.score(features, segment))
        return torch.cat(scores, 1), state

    def read(self, state: NetworkState, tokens: Tensor) -> tuple[Tensor, NetworkState]:
        """The features (B, T, D) that predict `tokens` (B, T), and the state after them.

        The features at t are those of position t-1, at t = 0 the last of `state`.
        """
        features, cache, *_ = self(tokens, state.cache)
        predicting = torch.cat([state.last_features[:, None], features[:, :-1]], 1)
        return predicting, NetworkState(features[:, -1], cache)


class LanguageNetwork(Network, LanguageModel):
    """A neural language model."""

    @abstractmethod
    def initial_cache(self, rows: int) -> State:
        """The cache of `rows` rows before anything is read."""

    def start(self, rows: int) -> NetworkState:
        return self.state_after_bos(rows, self.initial_cache(rows))

    def layer_outputs(self, tokens: Tensor, cache: State) -> list[Tensor]:
        """(B, T, D_k) of each layer k: what it makes of `tokens` (B, T), read after what `cache`
        holds, without dropout.

        The first is the embedding as the first layer reads it; the last comes after the last norm,
        where there is one. A network that does not define its layers has its features alone.
        """
        return [self(tokens, cache).features]


class TranslationNetwork(Network, Translator):
    """A neural translator: an encoder reads the source, and a decoder predicts the target."""

    source_embedding: nn.Parameter
    """(V_s, E), where it is a matrix of its own; see `source_embedding_matrix`."""

    @abstractmethod
    def encode(self, source: Tensor, lengths: Tensor) -> State:
        """The decoder's cache before it reads anything; `source` and `lengths` as for `start`."""

    def source_embedding_matrix(self) -> nn.Parameter:
        """(V_s, E), the embedding of source tokens: that of the target where they share it."""
        if self.config.shares_source_embedding:
            return self.input_embedding()
        return self.source_embedding

    def start(self, source: Tensor, lengths: Tensor) -> NetworkState:
        return self.state_after_bos(len(source), self.encode(source, lengths))
