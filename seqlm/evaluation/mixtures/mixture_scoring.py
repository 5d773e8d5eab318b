"""Several models scored as one (Jelinek & Mercer 1980).

    l_i  =  ln Σ_m λ_m p_m(token i | the context that model m has)

All score the same N tokens, each in its own context convention: one model may start every line
afresh while another carries its state over lines. The models need the same types; where they number
them differently, ids are those of the first. A single model is a mixture of one.

`LoadedMixture` is to the model `Mixture` what a `LoadedModel` is to its model: it has the
tokenizer, the names and the digests of the weights as well. It also scores as no model can: in
several context conventions at once, and with networks that are adapted while they score
(`adaptation/`). All networks are adapted in the same way; n-gram models beside them stay as they
are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from seqlm.errors import ModelError, UsageError, did_you_mean
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
from seqlm.evaluation.adaptation.choose_scorer import check_adaptable, make_scorer, static_model
from seqlm.evaluation.mixtures.mixture_weights import check_weights
from seqlm.evaluation.scoring import Scores, in_windows
from seqlm.machine.threads import prefetch_map
from seqlm.models.verbs import LanguageVerbs
from seqlm.progress import Progress, silent
from seqlm.runs.loading.common_vocabulary import common_ids
from seqlm.runs.loading.load_model import LoadedModel, load_model, unigram_cache
from seqlm.runs.loading.locate import ModelPath
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS
from seqlm.text.word_index import TokenSpans

if TYPE_CHECKING:
    import torch

    from seqlm.evaluation.adaptation.dynamic_evaluation import RMSGradients

CONTEXTS = ("sentence", "carried", "window")


class LoadedMixture(NamedTuple):
    """M loaded models, their weights, and how they are to score."""

    models: Sequence[LoadedModel]
    weights: Sequence[float]  # (M,) λ, not negative, 1 in all
    id_maps: np.ndarray  # (M, V) the id that each model gives to type v of the first
    adaptation: Adaptation = Adaptation()
    rms_gradients: Sequence[RMSGradients | None] = ()
    """(M,), of the networks whose updates gradient statistics scale; () where none are scaled."""
    stride: int | None = None
    """The stride of the windows of models that have a context length; None is half of it."""

    @classmethod
    def of(cls, models: Sequence[LoadedModel], weights: Sequence[float] | None = None) -> Self:
        """The models with `weights`, or with equal weights.

        Errors: ModelError where the vocabularies differ, or one of several models gives no
        probabilities; UsageError where the weights do not fit.
        """
        for loaded in models if len(models) > 1 else ():
            if not loaded.model.normalized:
                raise ModelError(
                    f"{loaded.path} gives scores, not probabilities: it cannot be mixed"
                )
        if weights is None:
            weights = [1 / len(models)] * len(models)
        else:
            weights = check_weights(weights, len(models))
        return cls(models, weights, common_ids(models))

    # -- the same models, scoring in another way

    def adapted(
        self, adaptation: Adaptation, statistics: np.ndarray | None = None
    ) -> LoadedMixture:
        """The mixture whose networks are adapted by `adaptation`.

        `statistics` (N,) are the ids of the text whose gradients scale the updates.
        Errors: UsageError where these models cannot be adapted so.
        """
        check_adaptable(adaptation, self.models)
        rms_gradients: list[RMSGradients | None] = []
        if statistics is not None and adaptation.dynamic is not None:
            from seqlm.evaluation.adaptation.dynamic_evaluation import measure_rms_gradients

            for loaded, type_ids in zip(self.models, self.id_maps):
                rms_gradients.append(
                    measure_rms_gradients(loaded.network, type_ids[statistics], adaptation.dynamic)
                    if loaded.network is not None
                    else None
                )
        return self._replace(adaptation=adaptation, rms_gradients=rms_gradients)

    def in_windows(self, stride: int) -> LoadedMixture:
        """The mixture whose models of a context length W read windows that overlap by W - `stride`.

        Errors: UsageError where no model has a context length, where the stride is longer, or where
        the models are adapted.
        """
        lengths = [
            loaded.model.context_length
            for loaded in self.models
            if loaded.model.context_length is not None
        ]
        if not lengths:
            raise UsageError("`stride` is for models that read windows, as a Transformer does")
        if stride > min(lengths):
            raise UsageError(f"`stride={stride}` is longer than the window of {min(lengths)}")
        if self.adaptation.adapts:
            raise UsageError(
                "`stride` is for static evaluation: an adapted network reads half a window at once"
            )
        return self._replace(stride=stride)

    def line_by_line(self) -> LoadedMixture:
        """The mixture in which every line starts afresh, whatever the contexts of the runs."""
        return self.in_context("sentence")

    def in_context(self, context: str) -> LoadedMixture:
        """The mixture in which lines start afresh ('sentence') or see those before ('carried', or
        'window' where models have a context length), whatever the contexts of the runs.

        Errors: UsageError where no model can score so.
        """
        (mixture,) = in_context([self], context)
        return mixture

    # -- its properties

    @property
    def tokenizer(self) -> Tokenizer:
        return self.models[0].tokenizer

    @property
    def contexts(self) -> list[str]:
        """(M,) 'carried', 'sentence', or with the context length and the stride: 'window-64/32'."""
        contexts = []
        for loaded in self.models:
            context, length = loaded.config.context, loaded.model.context_length
            if length is not None:
                context += f"-{length}/{self.stride or max(1, length // 2)}"
            contexts.append(context)
        return contexts

    @property
    def lines_see_each_other(self) -> bool:
        """Whether the score of a line depends on the lines before it."""
        return self.adaptation.adapts or any(
            loaded.config.context != "sentence" and not loaded.model.resets_at_eos
            for loaded in self.models
        )

    @property
    def is_adaptive(self) -> bool:
        """Whether figures depend on more of the text than the models' own contexts."""
        caches = any(loaded.config.arch == "cache" for loaded in self.models)
        return caches or self.adaptation.adapts

    def members(self) -> Iterator[tuple[LoadedModel, np.ndarray, RMSGradients | None]]:
        """Every model, the ids (V,) it gives to the types of the first, and its gradient
        statistics."""
        return zip(self.models, self.id_maps, self.rms_gradients or [None] * len(self.models))

    def static_models(self) -> list[LanguageVerbs]:
        """The M models as they score where no network is updated: networks with their temperature,
        and those of a context length in windows."""
        constants = self.adaptation.with_defaults()
        return [in_windows(static_model(loaded, constants), self.stride) for loaded in self.models]

    def as_language_model(self) -> LanguageVerbs:
        """One model of the same probabilities: each part begins a line afresh or sees those before,
        as it does where it scores. A single n-gram model reads arrays of numpy; `in_tensors` makes
        it a module.

        Of the adaptation it has the temperature alone: a network that is updated is no model.
        """
        models, contexts = self.static_models(), [loaded.config.context for loaded in self.models]
        if len(models) == 1 and (models[0].resets_at_eos or contexts[0] != "sentence"):
            return models[0]
        return mix_models(models, contexts, self)


def mix_models(
    models: Sequence[LanguageVerbs], contexts: Sequence[str], mixture: LoadedMixture
) -> LanguageVerbs:
    """The `models` of a mixture as one module, on the device of the first network among them."""
    import torch

    from seqlm.models.ngram.ngram_language_model import in_tensors
    from seqlm.models.wrappers.fresh_lines import with_fresh_lines
    from seqlm.models.wrappers.mixture import Mixture

    modules = [
        with_fresh_lines(in_tensors(model), context) for model, context in zip(models, contexts)
    ]
    if len(modules) == 1:
        return modules[0]
    networks = [loaded.network for loaded in mixture.models if loaded.network is not None]
    device = networks[0].device if networks else modules[0].device
    mixed = Mixture(modules, mixture.weights, torch.from_numpy(mixture.id_maps))
    return mixed.to(device).eval()


def in_context(mixtures: Iterable[LoadedMixture], context: str) -> list[LoadedMixture]:
    """Mixtures that stand side by side, each as `LoadedMixture.in_context`.

    Errors: UsageError where none of their models can score in `context`.
    """
    mixtures = list(mixtures)
    check_context(context, [loaded for mixture in mixtures for loaded in mixture.models])
    return [
        mixture._replace(
            models=[
                loaded._replace(config=replace(loaded.config, context=context_of(loaded, context)))
                for loaded in mixture.models
            ]
        )
        for mixture in mixtures
    ]


def check_context(wanted: str, models: Sequence[LoadedModel]) -> None:
    """Errors: UsageError where none of `models` can score in the context `wanted`."""
    if wanted not in CONTEXTS:
        raise UsageError(f"`context` is {wanted!r}{did_you_mean(wanted, CONTEXTS)}")
    possible = {context_of(loaded, wanted): loaded.path for loaded in reversed(models)}
    if wanted in possible:
        return
    if "window" in possible:
        reason = f"{possible['window']} reads windows: `context=window`"
    elif "carried" in possible:
        reason = f"{possible['carried']} has no context length: `context=carried`"
    else:
        reason = f"{possible['sentence']} was counted line by line: no line sees those before"
    raise UsageError(f"`context={wanted}`: {reason}")


def context_of(loaded: LoadedModel, wanted: str) -> str:
    """The context in which a model scores where 'sentence', 'carried' or 'window' is wanted.

    One that was counted line by line starts every line afresh all the same; of the others, those
    with a context length read windows, and those without carry their state on.
    """
    if wanted == "sentence" or loaded.model.resets_at_eos:
        return "sentence"
    return "carried" if loaded.model.context_length is None else "window"


def load_mixture(
    model_paths: Sequence[ModelPath],
    weights: Sequence[float] | None = None,
    cache: int | None = None,
    cache_decay: float | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> LoadedMixture:
    """The models at `model_paths`, and where `cache` is given a unigram cache of so many tokens as
    the last of them. The weights are equal by default.

    Errors: ModelError, DataError where a model cannot be read; those of `LoadedMixture.of`.
    """
    models = [load_model(model_path, device, progress) for model_path in model_paths]
    if cache is not None:
        models.append(unigram_cache(models[0], cache, cache_decay))
    return LoadedMixture.of(models, weights)


# -------------------------------------------------------------------------------------- scoring


class ScoredBlock(NamedTuple):
    """A block of text, encoded and scored."""

    block: Block
    ids: np.ndarray  # (N,)
    spans: TokenSpans  # where the tokens are in the block
    scores: Scores


class MixtureScorer:
    """Scores texts piece by piece, in order, under every model of a mixture."""

    def __init__(
        self, mixture: LoadedMixture, batch_size: int = 64, ngram_lengths: bool = False
    ) -> None:
        """`ngram_lengths` asks for them as well, where a single model has n-grams."""
        self.tokenizer = mixture.tokenizer
        self.id_maps, self.weights = mixture.id_maps, np.array(mixture.weights)
        constants = mixture.adaptation.with_defaults()
        self.scorers = [
            make_scorer(loaded, constants, rms_gradients, batch_size, ngram_lengths, mixture.stride)
            for loaded, _, rms_gradients in mixture.members()
        ]

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        for scorer in self.scorers:
            scorer.restart()

    def __call__(self, ids: np.ndarray) -> Scores:
        """`ids` (N,) -> their N scores under the mixture."""
        if len(self.scorers) == 1:
            return self.scorers[0](ids)
        with np.errstate(divide="ignore"):
            weighted = self.score_by_model(ids) + np.log(self.weights)
        return Scores(np.logaddexp.reduce(weighted, axis=1), None)

    def score_by_model(self, ids: np.ndarray) -> np.ndarray:
        """`ids` (N,) -> (N, M) float64 log-probabilities under every model."""
        log_probs = [
            scorer(type_ids[ids]).log_probs for scorer, type_ids in zip(self.scorers, self.id_maps)
        ]
        return np.stack(log_probs, 1)

    def score_text(self, blocks: Iterable[Block], ahead: bool = True) -> Iterator[ScoredBlock]:
        """Scores the blocks of one text, which starts afresh. `ahead` reads the next blocks while
        one is scored; without it, a block is scored before the next one is asked for."""

        def encode(block: Block) -> tuple[np.ndarray, TokenSpans]:
            ids = self.tokenizer.encode(block)
            return ids, self.tokenizer.token_spans(block, ids)

        self.restart()
        encoded = prefetch_map(encode, blocks) if ahead else ((b, encode(b)) for b in blocks)
        for block, (ids, spans) in encoded:
            yield ScoredBlock(block, ids, spans, self(ids))


def score_lines(
    mixture: LoadedMixture, lines: Iterable[str], batch_size: int = 64
) -> Iterator[float]:
    """The natural log-probability of each line, its `</s>` included. The lines are one text: a
    model whose context is carried sees those before."""
    text = "".join(f"{line}\n" for line in lines)
    scored = MixtureScorer(mixture, batch_size).score_text([Block(text.encode(), "the text", 1)])
    return sum_lines(scored)


def sum_lines(scored: Iterable[ScoredBlock]) -> Iterator[float]:
    """The log-probability of each line of scored blocks, which may cut a long line."""
    total = 0.0
    for block in scored:
        ends = np.flatnonzero(block.ids == EOS) + 1
        *lines, rest = np.split(block.scores.log_probs, ends)
        for line in lines:
            yield total + float(line.sum())
            total = 0.0
        total += float(rest.sum())
