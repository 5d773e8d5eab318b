"""Tiny random models of every architecture in the registry, on which the contract tests run.

A new line in the registry needs an instance here. The vocabulary is small, so that tests can
enumerate texts; weights are large, so that what was read makes a difference. A translator of one
given source is a language model, and has to satisfy the contract of these too.
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
from seqlm.models.wrappers.fresh_lines import FreshLines
from seqlm.models.wrappers.mixture import Mixture
from seqlm.models.wrappers.neural_cache import NeuralCache, NeuralCacheConfig
from seqlm.models.wrappers.sliding_window import SlidingWindow
from seqlm.models.wrappers.temperature import with_temperature
from seqlm.models.wrappers.unigram_cache import UnigramCache, UnigramCacheConfig
from seqlm.text.vocabulary import EOS

VOCAB_SIZE = 6
SOURCE = [4, 2, 5, 5, EOS]
"""The source of translators that are tested as language models."""


FROZEN = {"output_layer.bias": "the full softmax of a Transformer has no bias, as in GPT-2"}
"""Parameters that are never trained, and why."""


class LanguageModelInstance(NamedTuple):
    """How to build one model, and what the contract expects of it."""

    arch: str
    variant: str
    build: Callable[[], LanguageModel]
    is_network: bool = True
    is_saved: bool = True
    """Whether runs hold such models, so that the registry has to name them."""
    is_normalized: bool = True
    is_rounded: bool = False  # probabilities have few bits, and their sum is 1 but nearly
    resets_at_eos: bool = False

    def __str__(self) -> str:
        return f"{self.arch} {self.variant}".strip()


class TranslatorInstance(NamedTuple):
    """How to build one translator, and what the contract expects of it."""

    arch: str
    variant: str
    build: Callable[[], Translator]
    has_attention: bool = True
    is_saved: bool = True

    def __str__(self) -> str:
        return f"{self.arch} {self.variant}".strip()


def random_model(task: str, arch: str, settings: Any) -> SequenceModel:
    torch.manual_seed(1)
    model = model_class(task, arch).from_settings({"vocab_size": VOCAB_SIZE, **settings})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    return model.eval()


def lm(arch: str, variant: str = "", **settings: Any) -> LanguageModelInstance:
    def build() -> LanguageModel:
        model = random_model("lm", arch, settings)
        assert isinstance(model, LanguageModel)
        return model

    return LanguageModelInstance(arch, variant, build)


def ngram(
    variant: str, order: int = 3, is_compact: bool = False, **options: Any
) -> LanguageModelInstance:
    def build() -> LanguageModel:
        from seqlm.counting.estimation.estimate import estimate
        from seqlm.models.ngram.derived.compact_ngrams import compact
        from seqlm.models.ngram.ngram_language_model import NGramLanguageModel

        noise = torch.Generator().manual_seed(1)
        text: list[int] = []
        for length in torch.randint(0, 7, (60,), generator=noise).tolist():
            # Skewed, so that some contexts are seen often and some never.
            words = (torch.rand(length, generator=noise) ** 2 * (VOCAB_SIZE - 1)).long()
            text += [*(words + (words >= EOS)).tolist(), EOS]
        ids = np.array(text, dtype=np.int32)
        model = estimate(ids, VOCAB_SIZE, order, discount_fallback=(0.5, 1, 1.5), **options)
        return NGramLanguageModel(compact(model) if is_compact else model)

    return LanguageModelInstance(
        "ngram",
        variant,
        build,
        is_network=False,
        is_normalized=options["smoothing"] != "stupid-backoff",
        is_rounded=is_compact,
        resets_at_eos=options.get("context") != "carried",
    )


def cache(variant: str, **settings: Any) -> LanguageModelInstance:
    def build() -> LanguageModel:
        return UnigramCache(UnigramCacheConfig(VOCAB_SIZE, **settings)).eval()

    return LanguageModelInstance("cache", variant, build, is_network=False, is_saved=False)


def sliding_window(part: LanguageModelInstance, stride: int) -> LanguageModelInstance:
    def build() -> LanguageModel:
        network = part.build()
        assert isinstance(network, LanguageNetwork)
        return SlidingWindow(network, stride).eval()

    variant = f"{part} by {stride}"
    return LanguageModelInstance("sliding window", variant, build, is_network=False, is_saved=False)


def fresh_lines(part: LanguageModelInstance) -> LanguageModelInstance:
    """`part` has states of one shape; others are tested in test_fresh_lines.py."""

    def build() -> LanguageModel:
        return FreshLines(part.build()).eval()

    return LanguageModelInstance(
        "fresh lines", f"of {part}", build, is_network=False, is_saved=False, resets_at_eos=True
    )


def neural_cache(
    variant: str, part: LanguageModelInstance, temperature: float = 1.0, **settings: Any
) -> LanguageModelInstance:
    def build() -> LanguageModel:
        network = part.build()
        assert isinstance(network, LanguageNetwork)
        config = NeuralCacheConfig(**settings)
        return NeuralCache(with_temperature(network, temperature), config).eval()

    return LanguageModelInstance("neural-cache", variant, build, is_network=False, is_saved=False)


def mixture(*parts: LanguageModelInstance) -> LanguageModelInstance:
    """All parts but the first number the types in another way than the first."""

    def build() -> LanguageModel:
        in_order = torch.arange(VOCAB_SIZE)
        reversed_words = torch.cat([in_order[: EOS + 1], in_order[EOS + 1 :].flip(0)])
        ids = torch.stack([in_order, *[reversed_words] * (len(parts) - 1)])
        weights = [1 / len(parts)] * len(parts)
        return Mixture([part.build() for part in parts], weights, ids).eval()

    variant = "of " + " and ".join(part.arch for part in parts)
    return LanguageModelInstance("mixture", variant, build, is_network=False, is_saved=False)


def seq2seq(arch: str, variant: str = "", **settings: Any) -> TranslatorInstance:
    def build() -> Translator:
        model = random_model("translation", arch, settings)
        assert isinstance(model, Translator)
        return model

    return TranslatorInstance(
        arch, variant, build, has_attention=settings.get("attention") != "none"
    )


def ensemble(*parts: TranslatorInstance) -> TranslatorInstance:
    def build() -> Translator:
        return Ensemble([part.build() for part in parts]).eval()

    variant = "of " + " and ".join(part.arch for part in parts)
    has_attention = any(part.has_attention for part in parts)
    return TranslatorInstance("ensemble", variant, build, has_attention, is_saved=False)


class TranslatorOfOneSource(LanguageNetwork):
    """A translator with the source given, which makes it a language model."""

    def __init__(self, translator: TranslationNetwork) -> None:
        super().__init__(translator.config)
        self.translator, self.output_layer = translator, translator.output_layer
        self.register_buffer("source", torch.tensor([SOURCE]))

    def initial_cache(self, rows: int) -> State:
        source = self.get_buffer("source").expand(rows, -1)  # (B, S)
        return self.translator.encode(source, source.new_full((rows,), source.shape[1]))

    def forward(self, tokens: Tensor, cache: State) -> NetworkOutput:
        output: NetworkOutput = self.translator(tokens, cache)
        return output

    def alignment(self, state: State) -> Tensor | None:
        return self.translator.alignment(state)


def one_source(part: TranslatorInstance) -> LanguageModelInstance:
    def build() -> LanguageModel:
        translator = part.build()
        assert isinstance(translator, TranslationNetwork)
        return TranslatorOfOneSource(translator).eval()

    return LanguageModelInstance("translator of one source", str(part), build, is_saved=False)


TRANSLATORS = [
    seq2seq("rnn", width=6, attention="none", dropout_output=0.5),
    seq2seq("rnn", "dot", width=4, layers=2, attention="dot", bidirectional=False),
    seq2seq("lstm", width=6, layers=2, attention="none", tied=False, embedding=5),
    seq2seq("lstm", "general", width=6, embedding=5, attention="general", source_vocab_size=7),
    seq2seq("lstm", "additive", width=6, layers=2, attention="additive", dropout_hidden=0.5),
    seq2seq("lstm", "input feeding", width=6, layers=2, attention="general", input_feeding=True),
    seq2seq("gru", "scaled-dot", width=6, attention="scaled-dot", share_embeddings=False),
    seq2seq("gru", "additive", width=6, attention="additive", tied=False, embedding=5),
    seq2seq("gru", "input feeding", width=6, layers=2, attention="dot", input_feeding=True),
    seq2seq("transformer", width=8, layers=2, heads=2, dropout_hidden=0.5),
    seq2seq(
        "transformer",
        "post-norm",
        width=8,
        layers=1,
        heads=2,
        context_length=40,
        pre_norm=False,
        positions="learned",
        activation="relu",
        source_vocab_size=7,
    ),
    seq2seq(
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
        share_embeddings=False,
    ),
    ensemble(
        seq2seq("transformer", width=8, layers=2, heads=2),
        seq2seq("gru", width=6, attention="general"),
        seq2seq("lstm", width=6, attention="none"),
    ),
]

LANGUAGE_MODELS = [
    ngram("modified-kneser-ney", smoothing="modified-kneser-ney"),
    ngram("modified-kneser-ney compact", 4, is_compact=True, smoothing="modified-kneser-ney"),
    ngram("modified-kneser-ney carried", smoothing="modified-kneser-ney", context="carried"),
    ngram("modified-kneser-ney unigram", order=1, smoothing="modified-kneser-ney"),
    ngram("witten-bell backoff", smoothing="witten-bell", backoff=True),
    ngram("absolute cut off", smoothing="absolute", cutoffs=(0, 0, 1)),
    ngram("jelinek-mercer", smoothing="jelinek-mercer", weights=((0.9,), (0.6, 0.8), (0.3, 0.5))),
    ngram("add-k", smoothing="add-k"),
    ngram("stupid-backoff", smoothing="stupid-backoff"),
    ngram("mle", smoothing="mle"),
    lm("ffnn", width=5, order=3, direct=True, dropout_input=0.5),
    lm("ffnn", "untied", width=5, order=4, embedding=3, tied=False, dropout_output=0.5),
    lm("rnn", width=5, layers=1, dropout_output=0.5),
    lm("lstm", width=5, layers=2, dropout_embedding=0.3, dropout_hidden=0.5),
    lm("lstm", "untied", width=5, layers=2, embedding=3, tied=False, dropout_input=0.5),
    lm("lstm", "adaptive softmax", width=5, softmax="adaptive", softmax_cutoffs=(2, 4)),
    lm("lstm", "sampled softmax", width=5, softmax="sampled", softmax_samples=3),
    lm("lstm", "weight-drop", width=5, dropout_weight=0.5, ar=1.0, tar=1.0),
    lm("lstm", "peephole", width=5, layers=2, peephole=True),
    lm("lstm", "coupled gates", width=5, peephole=True, coupled_gates=True),
    lm("gru", width=5, layers=2, embedding=3),
    lm("transformer", width=8, layers=2, heads=2, context_length=40, dropout_hidden=0.5),
    lm(
        "transformer",
        "like Llama",
        width=8,
        layers=2,
        heads=4,
        kv_heads=2,
        context_length=40,
        norm="rms",
        positions="rotary",
        activation="swiglu",
        bias=False,
        tied=False,
    ),
    lm(
        "transformer",
        "with experts",
        width=8,
        layers=1,
        heads=2,
        context_length=40,
        experts=3,
        pre_norm=False,
        positions="sinusoidal",
        activation="relu",
    ),
    sliding_window(lm("transformer", width=8, layers=1, heads=2, context_length=5), stride=2),
    sliding_window(lm("transformer", width=8, layers=1, heads=2, context_length=4), stride=4),
    sliding_window(lm("transformer", width=8, layers=2, heads=2, context_length=3), stride=1),
    fresh_lines(lm("gru", width=5, layers=2)),
    fresh_lines(lm("mamba", width=6, layers=1, state_size=4)),
    fresh_lines(ngram("carried", smoothing="witten-bell", context="carried")),
    lm("s4d", width=5, layers=2, state_size=6, dropout_hidden=0.5),
    lm("s4d", "untied", width=4, layers=1, state_size=2, tied=False, dropout_embedding=0.3),
    lm("mamba", width=6, layers=2, state_size=4, dropout_hidden=0.5),
    lm("mamba", "untied", width=5, layers=1, dt_rank=2, conv_kernel=2, tied=False),
    lm("mamba2", width=6, layers=2, state_size=4, head_width=3, dropout_hidden=0.5),
    lm("mamba2", "untied", width=5, layers=1, head_width=5, conv_kernel=2, tied=False),
    cache("", size=5, decay=0.3),
    cache("that forgets nothing", size=40, decay=0.0),
    cache("of one", size=1),
    neural_cache("", lm("lstm", width=5), window=4, weight=0.5, theta=1.0),
    neural_cache("of all", lm("gru", width=5), window=50, weight=0.3, theta=0.0),
    neural_cache("of one", lm("lstm", width=5), temperature=1.7, window=1, weight=0.9),
    mixture(ngram("", smoothing="modified-kneser-ney"), lm("lstm", width=5)),
    mixture(ngram("", smoothing="modified-kneser-ney"), cache("", size=5, decay=0.3)),
    mixture(lm("gru", width=5), ngram("", smoothing="mle"), cache("", size=3)),
    *(one_source(part) for part in TRANSLATORS if part.is_saved),
]
