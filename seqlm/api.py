"""What `import seqlm` offers: count, train, load, mix, and the model that these return.

    import seqlm

    lm = seqlm.load("lstm")                     # a run, a checkpoint, an ARPA file
    lm.score("the old man came in .")           # natural logarithm of its probability
    lm.perplexity("test.txt")
    seqlm.load("french").translate(["a dog runs ."])

A setting has the name of its flag, with _ for -. Nothing here imports torch before it is needed, so
that `import seqlm` is quick.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from seqlm.errors import ModelError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from seqlm.decoding.next_token import NextToken
    from seqlm.decoding.text_generation import Continuation
    from seqlm.decoding.translation.translation_search import TranslatedLine
    from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
    from seqlm.evaluation.surprisal import TokenSurprisal
    from seqlm.models.base import SequenceModel
    from seqlm.progress import Progress
    from seqlm.runs.load_model import LoadedModel, LoadedTranslator
    from seqlm.text.tokenizer import Tokenizer

__all__ = ["Evaluation", "Model", "count", "load", "mix", "resume", "train"]

StrPath = str | os.PathLike[str]
Callback = Callable[[Mapping[str, Any]], None]
"""Called after each validation with what `metrics.jsonl` records: step, epoch, train_loss,
valid_loss, seconds, …"""


class Evaluation(NamedTuple):
    """Figures of a model on a text, and what they depend on."""

    figures: dict[str, float]
    """The value of each metric."""
    signature: str
    """What the figures depend on: two can be compared where all but the model agrees."""
    tokens: int
    """The number of tokens, `</s>` included."""
    lines: int
    """The number of lines."""
    oov: int
    """The number of tokens outside the vocabulary."""


# ----------------------------------------------------------------------------------- making models


def load(name: StrPath | None = None, *, device: str | None = None) -> Model:
    """The model that `name` means: a run folder, the name of a run in ./checkpoints, a checkpoint
    of a run, or an ARPA file; None is the run in ./checkpoints that finished last.

    `device` is cpu, cuda, cuda:N or mps; by default the best there is.
    Errors: ModelError where there is no such model, or it cannot be read; UsageError.
    """
    from seqlm.runs.load_model import load_model
    from seqlm.runs.locate import locate

    model_path = locate(None if name is None else os.fspath(name))
    return Model([load_model(model_path, set_up(device))])


def mix(
    models: Sequence[Model],
    weights: Sequence[float] | None = None,
    *,
    tune: StrPath | None = None,
    cache: int | None = None,
) -> Model:
    """Several models of one vocabulary as one: p = sum of weight x p (Jelinek & Mercer 1980).

    `weights` sum to 1; by default they are equal, or with `tune` those under which this held-out
    text is most probable. `cache` adds a unigram cache of so many tokens as the last model.
    Translators become an ensemble, whose weights are equal.
    Errors: ModelError where the vocabularies differ; UsageError; DataError.
    """
    loaded = [loaded_model for model in models for loaded_model in model.loaded]
    if loaded and loaded[0].config.task == "translation":
        if weights is not None or tune is not None or cache is not None:
            raise UsageError("an ensemble of translators has equal weights")
        return Model(loaded)
    from seqlm.evaluation.mixtures import tuning
    from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
    from seqlm.runs.load_model import unigram_cache

    if weights is not None and tune is not None:
        raise UsageError("`tune` finds the weights: leave out one of them")
    if cache is not None:
        loaded.append(unigram_cache(loaded[0], cache))
    mixture = LoadedMixture.of(loaded, weights)
    if tune is not None:
        text = tuning.read_held_out(mixture.tokenizer, os.fspath(tune))
        mixture = tuning.tune(mixture, text)
    return Model(loaded, mixture)


def count(
    files: StrPath | Sequence[StrPath],
    *,
    output: StrPath | None = None,
    overwrite: bool = False,
    device: str | None = "cpu",
    progress: Progress | None = None,
    **settings: Any,
) -> Model:
    """Counts the n-grams of a corpus, smooths them, and returns the model of the finished run.

    `settings` are those of `seqlm count`: `order`, `smoothing`, `vocab`, … `output` is the run
    folder, by default a new one in ./checkpoints. `progress` is called with each stage and its
    share done. Errors: UsageError for a setting, DataError for the text.
    """
    from seqlm.counting.counting_run import count as count_corpus
    from seqlm.counting.counting_settings import CountingSettings
    from seqlm.progress import silent
    from seqlm.settings import make_settings

    run = count_corpus(
        paths(files),
        make_settings(CountingSettings, settings),
        output=None if output is None else Path(output),
        overwrite=overwrite,
        device=set_up(device),
        progress=progress or silent,
        command=["seqlm.count"],
    )
    return load(run.path, device=device)


def train(
    corpus: StrPath | Sequence[StrPath] = (),
    *,
    valid: StrPath | Sequence[StrPath] = (),
    source: StrPath | Sequence[StrPath] = (),
    target: StrPath | Sequence[StrPath] = (),
    valid_source: StrPath | Sequence[StrPath] = (),
    valid_target: StrPath | Sequence[StrPath] = (),
    config: StrPath | None = None,
    output: StrPath | None = None,
    overwrite: bool = False,
    errors: str = "strict",
    device: str | None = None,
    callback: Callback | None = None,
    **settings: Any,
) -> Model:
    """Trains a network, and returns the model of the finished run.

    A language model learns from the files of `corpus`, a translator from those of `source` and
    `target`, line by line. `settings` are those of `seqlm train`: `arch`, `width`, `epochs`, `lr`,
    …; `config` is a recipe or a YAML file of more of them. `callback` is called after each
    validation with what `metrics.jsonl` records. `output` is the run folder, by default a new one
    in ./checkpoints. Errors: UsageError for a setting, DataError for a text, SeqlmError where the
    loss is not finite.
    """
    from seqlm.training.config.recipe import read_recipe
    from seqlm.training.config.resolve import resolve
    from seqlm.training.tasks.files_by_role import files_by_role
    from seqlm.training.training_run import train as train_run

    texts = {
        "corpus": corpus, "valid": valid, "source": source, "target": target,
        "valid_source": valid_source, "valid_target": valid_target,
    }  # fmt: skip
    files = {role: paths(names) for role, names in texts.items()}
    recipe = read_recipe(os.fspath(config)) if config is not None else {}
    implied = {"task": "translation"} if files["source"] or files["target"] else {}
    resolved, options = resolve(recipe, implied, settings)
    run = train_run(
        files_by_role(resolved, files),
        resolved,
        options,
        output=None if output is None else Path(output),
        overwrite=overwrite,
        errors=errors,
        device=set_up(device),
        watcher=make_watcher(callback),
        command=["seqlm.train"],
    )
    return load(run.path, device=device)


def resume(
    name: StrPath, *, device: str | None = None, callback: Callback | None = None, **settings: Any
) -> Model:
    """Resumes a training that was interrupted, or trains on with more `epochs` or `steps`.

    Errors: those of `train`; UsageError where a setting cannot change.
    """
    from seqlm.runs.locate import locate
    from seqlm.training.training_run import resume as resume_run

    run = resume_run(
        locate(os.fspath(name)), settings, device=set_up(device), watcher=make_watcher(callback)
    )
    return load(run.path, device=device)


def set_up(device: str | None) -> torch.device:
    """The device that is named, or the best there is. Errors: UsageError where it is not there."""
    from seqlm.device import set_up_device

    return set_up_device(device)


def paths(files: StrPath | Sequence[StrPath]) -> list[str]:
    return [
        os.fspath(file) for file in ([files] if isinstance(files, str | os.PathLike) else files)
    ]


def make_watcher(callback: Callback | None) -> Any:
    """A watcher that calls `callback` after each validation."""
    from seqlm.training.watchers import SilentWatcher

    class CallbackWatcher(SilentWatcher):
        def on_validation(self, trainer: Any, figures: Mapping[str, Any], is_best: bool) -> None:
            if callback is not None:
                callback(figures)

    return CallbackWatcher()


# ------------------------------------------------------------------------------------------- models


class Model:
    """A language model, a mixture of several, or a translator, ready for use.

    Made by `load`, `count`, `train` and `mix`. A method that the model does not have, such as
    `translate` of a language model, raises ModelError.
    """

    def __init__(self, loaded: Sequence[LoadedModel], mixture: LoadedMixture | None = None) -> None:
        self.loaded = list(loaded)
        """The models that it consists of: one, or those of a mixture or an ensemble."""
        self._mixture = mixture

    def __repr__(self) -> str:
        return f"seqlm.Model({', '.join(str(loaded.path) for loaded in self.loaded)})"

    # -- what it is

    @property
    def task(self) -> str:
        """'lm' or 'translation'."""
        return self.loaded[0].config.task

    @property
    def arch(self) -> str:
        """The architecture, such as 'ngram' or 'lstm'; of a mixture, that of the first model."""
        return self.loaded[0].config.arch

    @property
    def context(self) -> str:
        """What the model sees before a line: 'sentence', 'carried' or 'window'."""
        return self.loaded[0].config.context

    @property
    def path(self) -> Path:
        """The run folder or the ARPA file; of a mixture, that of the first model."""
        return self.loaded[0].path

    @property
    def tokenizer(self) -> Tokenizer:
        """Text <-> ids; of a translator, that of the target."""
        return self.loaded[0].tokenizer

    @property
    def weights(self) -> list[float]:
        """The weights of a mixture; [1.0] of one model."""
        return list(self.mixture.weights)

    @property
    def signature(self) -> str:
        """What the figures of this language model depend on."""
        from seqlm.evaluation.signature import language_model_signature

        return language_model_signature(self.mixture)

    @property
    def mixture(self) -> LoadedMixture:
        """The language model as `seqlm.evaluation` takes it. Errors: ModelError of a translator."""
        if self.task != "lm":
            raise ModelError(f"{self.path} is a translator, and this needs a language model")
        if self._mixture is None:
            from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture

            self._mixture = LoadedMixture.of(self.loaded)
        return self._mixture

    @property
    def model(self) -> SequenceModel:
        """The PyTorch module underneath; of a mixture or an ensemble, one that combines them."""
        if len(self.loaded) == 1:
            return self.loaded[0].model
        return self.translator.model if self.task == "translation" else self.decoder

    @property
    def decoder(self) -> Any:
        """The language model as decoders take it: it reads on past its context length."""
        return self.mixture.as_language_model()

    @property
    def translator(self) -> LoadedTranslator:
        """Errors: ModelError where this is a language model."""
        from seqlm.runs.load_model import combine_translators

        return combine_translators(self.loaded)

    # -- scores

    @overload
    def score(self, text: str) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def score(self, text: Sequence[str]) -> list[float]: ...
    def score(self, text: str | Iterable[str]) -> float | list[float]:
        """The natural logarithm of the probability of a text, or of each of several.

        The end of a line is part of it, and every line starts afresh.
        Errors: DataError on a literal `<s>` or `</s>` among words.
        """
        from seqlm.evaluation.mixtures.mixture_scoring import score_lines

        texts = [text] if isinstance(text, str) else list(text)
        lines_of_texts = [text.removesuffix("\n").split("\n") for text in texts]
        scores = iter(
            score_lines(self.line_by_line(), (line for lines in lines_of_texts for line in lines))
        )
        sums = [sum(next(scores) for _ in lines) for lines in lines_of_texts]
        return sums[0] if isinstance(text, str) else sums

    def surprisal(self, texts: str | Iterable[str]) -> list[TokenSurprisal]:
        """A row for each token of the texts: sentence_id, token_id, token, surprisal (bits), oov,
        start, end, order. Every line is a sentence, and starts afresh.

        Errors: DataError on a literal `<s>` or `</s>` among words.
        """
        from seqlm.evaluation.surprisal import line_surprisals

        texts = [texts] if isinstance(texts, str) else texts
        lines = (line for text in texts for line in text.removesuffix("\n").split("\n"))
        return list(line_surprisals(self.line_by_line(), lines))

    def line_by_line(self) -> LoadedMixture:
        """The models with every line starting afresh, whatever the context of their runs."""
        return self.mixture.line_by_line()

    def perplexity(self, files: StrPath | Sequence[StrPath]) -> float:
        """The perplexity of a text in files, OOVs and `</s>` included, as `seqlm eval` prints it.

        The text is read in the context of the run. Errors: DataError, ModelError.
        """
        return self.evaluate(files).figures["ppl"]

    def evaluate(
        self, files: StrPath | Sequence[StrPath], metrics: Sequence[str] = ("ppl",)
    ) -> Evaluation:
        """The `metrics` of a text in files, in the context of the run, as `seqlm eval` has them.

        Errors: UsageError for a metric; DataError for the text; ModelError where the model gives
        scores instead of probabilities.
        """
        from seqlm.evaluation.evaluate import evaluate_language_model
        from seqlm.evaluation.metrics import select_metrics

        chosen = select_metrics(metrics, "lm", has_oracle=False)
        for loaded in self.mixture.models:
            if not loaded.model.normalized:
                raise ModelError(f"{loaded.path} gives scores, not probabilities")
        result = evaluate_language_model(self.mixture, paths(files), chosen)
        tally = result.tally
        return Evaluation(result.values, result.signature, tally.tokens, tally.lines, tally.oov)

    # -- text

    def next(self, prefix: str = "", k: int = 10) -> list[NextToken]:
        """The `k` most probable tokens after `prefix`, most probable first.

        Errors: DataError on a literal `<s>` or `</s>` among words.
        """
        from seqlm.decoding.next_token import next_tokens

        return next_tokens(self.decoder, self.tokenizer, prefix, k)

    def sample(self, n: int = 1, prompt: str = "", **settings: Any) -> list[str]:
        """`n` samples that go on from `prompt`.

        `settings` are those of `seqlm sample`: `temperature`, `top_k`, `top_p`, `min_p`, `seed`,
        `max_tokens`, … Equal seeds give equal samples. Errors: UsageError, DataError.
        """
        from seqlm.decoding.decoding_settings import GenerationSettings
        from seqlm.decoding.text_generation import sample_texts
        from seqlm.settings import make_settings

        chosen = make_settings(GenerationSettings, {"num_samples": n, **settings})
        texts = sample_texts(self.decoder, self.tokenizer, [prompt], chosen)
        return [text.removesuffix("\n") for text in texts]

    def search(
        self, prompt: str = "", beam: int = 5, nbest: int = 1, **settings: Any
    ) -> list[Continuation]:
        """The `nbest` most probable continuations of `prompt` that a beam finds, best first, each
        with its text, log_prob and score.

        `settings` are those of `seqlm sample --beam`. Errors: UsageError, DataError.
        """
        from seqlm.decoding.decoding_settings import GenerationSettings
        from seqlm.decoding.text_generation import search_continuations
        from seqlm.settings import make_settings

        chosen = make_settings(GenerationSettings, {"beam": beam, "nbest": nbest, **settings})
        (continuations,) = search_continuations(self.decoder, self.tokenizer, [prompt], chosen)
        return [
            continuation._replace(text=continuation.text.removesuffix("\n"))
            for continuation in continuations
        ]

    def embed(self, text: str) -> np.ndarray:
        """(T, D) float32, the features of a network after each of the T tokens of `text`.

        Errors: ModelError where the model is no network, or reads no more than so many tokens.
        """
        from seqlm.evaluation.features import token_features

        if len(self.loaded) > 1:
            raise ModelError("a mixture has no features of its own: embed with one of its models")
        return token_features(self.loaded[0], text)

    # -- translations

    @overload
    def translate(self, text: str, **settings: Any) -> str: ...
    @overload
    def translate(self, text: Iterable[str], **settings: Any) -> list[str]: ...
    def translate(self, text: str | Iterable[str], **settings: Any) -> str | list[str]:
        """The best translation of a line, or of each of several.

        `settings` are those of `seqlm translate`: `beam`, `length_penalty`, …
        Errors: ModelError where this is a language model; UsageError.
        """
        lines = [text] if isinstance(text, str) else text
        best = [translated.best.text for translated in self.translations(lines, **settings)]
        return best[0] if isinstance(text, str) else best

    def translations(self, lines: Iterable[str], **settings: Any) -> Iterator[TranslatedLine]:
        """The `nbest` translations of each line, each with its text, log_prob, score and, with
        `align=True`, its attention. Lines are read ahead in batches.

        Errors: as `translate`.
        """
        from seqlm.decoding.decoding_settings import TranslationSettings
        from seqlm.decoding.translation.translation_search import translate
        from seqlm.settings import make_settings

        chosen = make_settings(TranslationSettings, settings)
        return translate(*self.translator, lines, chosen)
