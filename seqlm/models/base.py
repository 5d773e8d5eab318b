"""The one interface every sequence model speaks, and the state that carries it.

    B rows (sentences x beams) · T new tokens · V vocabulary · D feature width

A model answers three questions about a *state*, the value that stands for everything read so far:
what comes next (`log_probs`), what the state is after reading more (`advance`), and how probable a
given continuation was (`score`). Decoders and evaluators know these verbs and no class.

State is a value. It is passed in and returned, never hung on a module; after
`t = model.advance(s, x)`, `s` still means what it meant. A state is a nest of tuples whose tensors
all have the rows as axis 0, so that `select`, `detach` and `pack` work on any of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from seqlm.models.output.output_layer import OutputLayer
from seqlm.text.vocabulary import EOS as EOS
from seqlm.text.vocabulary import UNK as UNK

State = Any  # nested NamedTuples of tensors (axis 0 is B), ints and None; see tree.py


# ---------------------------------------------------------------------------------------- models


class SequenceModel(nn.Module, ABC):
    """What every model of sequences can be asked, whatever it is made of."""

    normalized: bool = True
    """False where the numbers are scores and not probabilities."""
    resets_at_eos: bool = False
    """True where the state after `</s>` is the start state, so that lines never see each other."""
    context_length: int | None = None
    """The most tokens a state may have consumed, or None."""

    config_class: ClassVar[type]
    """The family's frozen dataclass of options."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def log_probs(self, state: State) -> Tensor:
        """(B, V) natural-log probabilities of the next token."""

    @abstractmethod
    def advance(self, state: State, tokens: Tensor) -> State:
        """The state after consuming `tokens` (B, T)."""

    def score(self, state: State, tokens: Tensor) -> tuple[Tensor, State]:
        """(B, T) log p(tokens[:, t] | state, tokens[:, :t]), and the state after them.

        This slow loop defines the meaning; every model overrides it and is tested against it.
        """
        scores = []
        for token in tokens.split(1, dim=1):  # (B, 1)
            scores.append(self.log_probs(state).gather(1, token))
            state = self.advance(state, token)
        return torch.cat(scores, 1), state

    def alignment(self, state: State) -> Tensor | None:
        """(B, S) attention over the source behind the next token, where there is one."""
        return None

    def ngram_length(self, state: State, tokens: Tensor) -> Tensor | None:
        """(B, T) order of the n-gram each token was scored with, where there is one."""
        return None

    # -- a model <-> named tensors

    def settings(self) -> dict[str, Any]:
        """The configuration as plain names and values, ready for YAML."""
        return asdict(self.config)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """A model with fresh parameters. Errors: TypeError on an unknown name."""
        return cls(cls.config_class(**settings))

    @classmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """A model that holds exactly `tensors`, in eval mode. Errors: RuntimeError on a misfit."""
        with torch.device("meta"):
            model = cls.from_settings(settings)
        model.load_state_dict(tensors, strict=True, assign=True)
        return model.eval()

    @property
    def device(self) -> torch.device:
        for tensor in self.tensors():
            return tensor.device
        raise AssertionError("a model without tensors")

    def tensors(self) -> Iterator[Tensor]:
        yield from self.parameters()
        yield from self.buffers()


class LanguageModel(SequenceModel):
    """A sequence model that needs nothing but the text before."""

    @abstractmethod
    def start(self, rows: int) -> State:
        """The state of `rows` rows that stand at the beginning of a text."""


class Translator(SequenceModel):
    """A sequence model of what a source says in another language."""

    @abstractmethod
    def start(self, source: Tensor, lengths: Tensor) -> State:
        """The state before the first target token. `source` (B, S) ids, each sentence ending in
        `</s>`, padded on the right with anything; `lengths` (B,) tells how much of it is real."""


# -------------------------------------------------------------------------------------- networks


class NetworkOutput(NamedTuple):
    """What a network makes of one segment of text."""

    features: Tensor  # (B, T, D), as the output layer takes them
    cache: State
    penalty: Tensor | None = None  # training only: computed where the activations are
    report: Mapping[str, Tensor] = MappingProxyType({})  # named figures; empty at inference


SEGMENT = 1 << 11
"""Positions of a row that a network reads at once to score them: bounds memory, changes nothing."""


class NetworkState(NamedTuple):
    last_features: Tensor  # (B, D), the feature that predicts the next token
    cache: State


class ParameterGroup(NamedTuple):
    """Parameters that are trained alike."""

    parameters: list[nn.Parameter]
    lr_scale: float = 1.0
    """Of the learning rate."""
    max_lr: float | None = None
    """Their rate is never above this."""
    weight_decay: bool = True
    """Whether weight decay pulls at them."""


class Network(SequenceModel):
    """A neural model: subclasses say `forward`, and how a text begins; the verbs follow.

    The token read at position t gives the feature that predicts position t+1, so a state keeps the
    last feature; a text is entered by reading one `</s>`.
    """

    output_layer: OutputLayer
    embedding: nn.Parameter
    """(V, E), where it is not the output layer's matrix."""

    @abstractmethod
    def forward(self, tokens: Tensor, cache: State) -> NetworkOutput:
        """Features (B, T, D) of `tokens` (B, T) read from `cache`."""

    def input_embedding(self) -> nn.Parameter:
        """(V, E), what tokens are read as: the output layer's matrix where the two are tied."""
        return self.output_layer.weight if self.config.tied else self.embedding

    def parameter_groups(self) -> list[ParameterGroup]:
        """All parameters, each once, by how they are trained. Here: matrices decay, vectors not."""
        matrices = [p for p in self.parameters() if p.ndim > 1]
        vectors = [p for p in self.parameters() if p.ndim < 2]
        return [ParameterGroup(matrices), ParameterGroup(vectors, weight_decay=False)]

    def state_after_bos(self, rows: int, cache: State) -> NetworkState:
        """The state of `rows` texts that begin in `cache`."""
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
            before, state = self.read(state, segment)
            scores.append(self.output_layer.score(before, segment))
        return torch.cat(scores, 1), state

    def read(self, state: NetworkState, tokens: Tensor) -> tuple[Tensor, NetworkState]:
        """The features (B, T, D) that predict `tokens` (B, T), each from what was read before it,
        and the state after them."""
        features, cache, *_ = self(tokens, state.cache)
        before = torch.cat([state.last_features[:, None], features[:, :-1]], 1)
        return before, NetworkState(features[:, -1], cache)


class LanguageNetwork(Network, LanguageModel):
    """A neural language model: what it has read before anything is `initial`."""

    @abstractmethod
    def initial_cache(self, rows: int) -> State:
        """The cache before anything is read."""

    def start(self, rows: int) -> NetworkState:
        return self.state_after_bos(rows, self.initial_cache(rows))


class TranslationNetwork(Network, Translator):
    """A neural translator: an encoder reads the source, a decoder goes on from what it made."""

    source_embedding: nn.Parameter
    """(V_s, E), where the source is not read as the target is."""

    @abstractmethod
    def encode(self, source: Tensor, lengths: Tensor) -> State:
        """The decoder's cache before anything is read, given `source` (B, S), padded on the
        right, of `lengths` (B,)."""

    def source_embedding_matrix(self) -> nn.Parameter:
        """(V_s, E), what the source is read as: as the target is, where they share that."""
        return (
            self.input_embedding() if self.config.shares_source_embedding else self.source_embedding
        )

    def start(self, source: Tensor, lengths: Tensor) -> NetworkState:
        return self.state_after_bos(len(source), self.encode(source, lengths))
