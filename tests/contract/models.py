"""A tiny random instance of everything in the registry. A new line there needs one here.

Small vocabularies let the laws enumerate; large weights and a short text make what was read matter.
A translator with its source in hand is a language model, and held to all that they are held to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.models import model_class
from seqlm.models.base import (
    LanguageModel,
    LanguageNetwork,
    NetworkOutput,
    SequenceModel,
    State,
    TranslationNetwork,
    Translator,
)
from seqlm.models.wrappers.ensemble import Ensemble
from seqlm.models.wrappers.mixture import Mixture
from seqlm.models.wrappers.neural_cache import NeuralCache, NeuralCacheConfig
from seqlm.models.wrappers.sliding_window import Windowed
from seqlm.models.wrappers.temperature import tempered
from seqlm.models.wrappers.unigram_cache import CacheConfig, UnigramCache
from seqlm.text.vocabulary import EOS

VOCAB_SIZE = 6
SOURCE = [4, 2, 5, 5, EOS]
"""What translators have before them when they are asked as language models."""


class Instance(NamedTuple):
    arch: str
    variant: str
    build: Callable[[], LanguageModel]
    is_network: bool = True
    is_saved: bool = True
    """Kept in runs, and so in the registry."""

    def __str__(self) -> str:
        return f"{self.arch} {self.variant}".strip()


def drawn(task: str, arch: str, settings: Any) -> SequenceModel:
    torch.manual_seed(1)
    model = model_class(task, arch).from_settings({"vocab_size": VOCAB_SIZE, **settings})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    return model.eval()


def network(arch: str, variant: str = "", **settings: Any) -> Instance:
    def build() -> LanguageModel:
        model = drawn("lm", arch, settings)
        assert isinstance(model, LanguageModel)
        return model

    return Instance(arch, variant, build)


def ngram(variant: str, order: int = 3, **options: Any) -> Instance:
    def build() -> LanguageModel:
        from seqlm.counting.estimation.estimate import estimate

        noise = torch.Generator().manual_seed(1)
        text: list[int] = []
        for length in torch.randint(0, 7, (60,), generator=noise).tolist():
            # Skewed, so that some contexts are seen often and some never.
            words = (torch.rand(length, generator=noise) ** 2 * (VOCAB_SIZE - 1)).long()
            text += [*(words + (words >= EOS)).tolist(), EOS]
        ids = np.array(text, dtype=np.int32)
        return estimate(ids, VOCAB_SIZE, order, discount_fallback=(0.5, 1, 1.5), **options)

    return Instance("ngram", variant, build, is_network=False)


def cache(variant: str, **settings: Any) -> Instance:
    def build() -> LanguageModel:
        return UnigramCache(CacheConfig(VOCAB_SIZE, **settings)).eval()

    return Instance("cache", variant, build, is_network=False, is_saved=False)


def windowed(part: Instance, stride: int) -> Instance:
    def build() -> LanguageModel:
        network = part.build()
        assert isinstance(network, LanguageNetwork)
        return Windowed(network, stride).eval()

    variant = f"{part} by {stride}"
    return Instance("windowed", variant, build, is_network=False, is_saved=False)


def neural_cache(variant: str, of: Instance, temperature: float = 1.0, **settings: Any) -> Instance:
    def build() -> LanguageModel:
        network = of.build()
        assert isinstance(network, LanguageNetwork)
        config = NeuralCacheConfig(**settings)
        return NeuralCache(tempered(network, temperature), config).eval()

    return Instance("neural-cache", variant, build, is_network=False, is_saved=False)


def mixture(*parts: Instance) -> Instance:
    """The second and later ones number the types in another way than the first."""

    def build() -> LanguageModel:
        here = torch.arange(VOCAB_SIZE)
        there = torch.cat([here[: EOS + 1], here[EOS + 1 :].flip(0)])
        ids = torch.stack([here, *[there] * (len(parts) - 1)])
        weights = [1 / len(parts)] * len(parts)
        return Mixture([part.build() for part in parts], weights, ids).eval()

    variant = "of " + " and ".join(part.arch for part in parts)
    return Instance("mixture", variant, build, is_network=False, is_saved=False)


class Translation(NamedTuple):
    arch: str
    variant: str
    build: Callable[[], Translator]
    is_saved: bool = True

    def __str__(self) -> str:
        return f"{self.arch} {self.variant}".strip()


def translation(arch: str, variant: str = "", **settings: Any) -> Translation:
    def build() -> Translator:
        model = drawn("translation", arch, settings)
        assert isinstance(model, Translator)
        return model

    return Translation(arch, variant, build)


def ensemble(*parts: Translation) -> Translation:
    def build() -> Translator:
        return Ensemble([part.build() for part in parts]).eval()

    variant = "of " + " and ".join(part.arch for part in parts)
    return Translation("ensemble", variant, build, is_saved=False)


class Translating(LanguageNetwork):
    """A translator of one sentence."""

    def __init__(self, of: TranslationNetwork) -> None:
        super().__init__(of.config)
        self.of, self.output_layer = of, of.output_layer
        self.register_buffer("source", torch.tensor([SOURCE]))

    def initial_cache(self, rows: int) -> State:
        source = self.get_buffer("source").expand(rows, -1)  # (B, S)
        return self.of.encode(source, source.new_full((rows,), source.shape[1]))

    def forward(self, tokens: Tensor, cache: State) -> NetworkOutput:
        output: NetworkOutput = self.of(tokens, cache)
        return output

    def alignment(self, state: State) -> Tensor | None:
        return self.of.alignment(state)


def translating(part: Translation) -> Instance:
    def build() -> LanguageModel:
        translator = part.build()
        assert isinstance(translator, TranslationNetwork)
        return Translating(translator).eval()

    return Instance("translating", str(part), build, is_saved=False)


TRANSLATORS = [
    translation("rnn", width=6, attention="none", dropout_output=0.5),
    translation("rnn", "dot", width=4, layers=2, attention="dot", bidirectional=False),
    translation("lstm", width=6, layers=2, attention="none", tied=False, embedding=5),
    translation("lstm", "general", width=6, embedding=5, attention="general", source_vocab_size=7),
    translation("lstm", "additive", width=6, layers=2, attention="additive", dropout_hidden=0.5),
    translation("lstm", "fed", width=6, layers=2, attention="general", input_feeding=True),
    translation("gru", "scaled-dot", width=6, attention="scaled-dot", share_embedding=False),
    translation("gru", "additive", width=6, attention="additive", tied=False, embedding=5),
    translation("gru", "fed", width=6, layers=2, attention="dot", input_feeding=True),
    translation("transformer", width=8, layers=2, heads=2, dropout_hidden=0.5),
    translation(
        "transformer",
        "norm last",
        width=8,
        layers=1,
        heads=2,
        horizon=40,
        norm_first=False,
        positions="learned",
        activation="relu",
        source_vocab_size=7,
    ),
    translation(
        "transformer",
        "like Llama",
        width=8,
        layers=3,
        heads=4,
        kv_heads=2,
        norm="rms",
        positions="rotary",
        activation="swiglu",
        bias=False,
        tied=False,
        share_embedding=False,
    ),
    ensemble(
        translation("transformer", width=8, layers=2, heads=2),
        translation("gru", width=6, attention="general"),
        translation("lstm", width=6, attention="none"),
    ),
]

LANGUAGE_MODELS = [
    ngram("modified-kneser-ney", smoothing="modified-kneser-ney"),
    ngram("modified-kneser-ney carried", smoothing="modified-kneser-ney", context="carried"),
    ngram("modified-kneser-ney unigram", order=1, smoothing="modified-kneser-ney"),
    ngram("witten-bell backoff", smoothing="witten-bell", backoff=True),
    ngram("absolute cut off", smoothing="absolute", cutoffs=(0, 0, 1)),
    ngram("jelinek-mercer", smoothing="jelinek-mercer", weights=((0.9,), (0.6, 0.8), (0.3, 0.5))),
    ngram("add-k", smoothing="add-k"),
    ngram("stupid-backoff", smoothing="stupid-backoff"),
    ngram("mle", smoothing="mle"),
    network("ffnn", width=5, order=3, direct=True, dropout_input=0.5),
    network("ffnn", "untied", width=5, order=4, embedding=3, tied=False, dropout_output=0.5),
    network("rnn", width=5, layers=1, dropout_output=0.5),
    network("lstm", width=5, layers=2, dropout_embedding=0.3, dropout_hidden=0.5),
    network("lstm", "untied", width=5, layers=2, embedding=3, tied=False, dropout_input=0.5),
    network("lstm", "adaptive softmax", width=5, softmax="adaptive", cutoffs=(2, 4)),
    network("lstm", "sampled softmax", width=5, softmax="sampled", samples=3),
    network("lstm", "weight-drop", width=5, dropout_weight=0.5, ar=1.0, tar=1.0),
    network("lstm", "peephole", width=5, layers=2, peephole=True),
    network("lstm", "coupled gates", width=5, peephole=True, coupled_gates=True),
    network("gru", width=5, layers=2, embedding=3),
    network("transformer", width=8, layers=2, heads=2, horizon=40, dropout_hidden=0.5),
    network(
        "transformer",
        "like Llama",
        width=8,
        layers=2,
        heads=4,
        kv_heads=2,
        horizon=40,
        norm="rms",
        positions="rotary",
        activation="swiglu",
        bias=False,
        tied=False,
    ),
    network(
        "transformer",
        "with experts",
        width=8,
        layers=1,
        heads=2,
        horizon=40,
        experts=3,
        norm_first=False,
        positions="sinusoidal",
        activation="relu",
    ),
    windowed(network("transformer", width=8, layers=1, heads=2, horizon=5), stride=2),
    windowed(network("transformer", width=8, layers=1, heads=2, horizon=4), stride=4),
    windowed(network("transformer", width=8, layers=2, heads=2, horizon=3), stride=1),
    network("s4d", width=5, layers=2, state=6, dropout_hidden=0.5),
    network("s4d", "untied", width=4, layers=1, state=2, tied=False, dropout_embedding=0.3),
    network("mamba", width=6, layers=2, state=4, dropout_hidden=0.5),
    network("mamba", "untied", width=5, layers=1, dt_rank=2, conv=2, tied=False),
    network("mamba2", width=6, layers=2, state=4, head_width=3, dropout_hidden=0.5),
    network("mamba2", "untied", width=5, layers=1, head_width=5, conv=2, tied=False),
    cache("", size=5, decay=0.3),
    cache("that forgets nothing", size=40, decay=0.0),
    cache("of one", size=1),
    neural_cache("", network("lstm", width=5), window=4, weight=0.5, flatness=1.0),
    neural_cache("of all", network("gru", width=5), window=50, weight=0.3, flatness=0.0),
    neural_cache("of one", network("lstm", width=5), temperature=1.7, window=1, weight=0.9),
    mixture(ngram("", smoothing="modified-kneser-ney"), network("lstm", width=5)),
    mixture(ngram("", smoothing="modified-kneser-ney"), cache("", size=5, decay=0.3)),
    mixture(network("gru", width=5), ngram("", smoothing="mle"), cache("", size=3)),
    *(translating(part) for part in TRANSLATORS if part.is_saved),
]
