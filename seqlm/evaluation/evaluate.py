"""The metrics of a language model on a text, which is scored once, whatever their number."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError, ModelError
from seqlm.evaluation.metrics import Metric
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, MixtureScorer, ScoredBlock
from seqlm.evaluation.mixtures.tuning import not_held_out
from seqlm.evaluation.perplexity import Tally
from seqlm.evaluation.signature import language_model_signature, oracle_part
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.text.reading import read_blocks, source_name

NO_FORBIDDEN_TEXTS: Mapping[str, str] = MappingProxyType({})


class LanguageModelEvaluation(NamedTuple):
    """The metrics of a language model on a text, and the signature of them all."""

    values: dict[str, float]  # by metric
    tally: Tally
    signature: str


def evaluate_language_model(
    models: LoadedMixture,
    files: Sequence[str],
    metrics: Sequence[Metric],
    oracle: LoadedModel | None = None,
    seed: int = 1,
    batch_size: int = 64,
    errors: str = "strict",
    forbidden_texts: Mapping[str, str] = NO_FORBIDDEN_TEXTS,
) -> LanguageModelEvaluation:
    """The `metrics` of a model, or a mixture, on the text of `files`.

    Metrics that need an oracle are measured against `oracle`, on prefixes that the model samples
    from `seed`. `forbidden_texts` is that of `score_files`. Errors: those of `score_files` and of
    `measure_exposure`.
    """
    tally, ids = Tally(), []
    for scored in score_files(models, files, tally, batch_size, errors, forbidden_texts):
        if oracle is not None:
            ids.append(scored.ids)
    values = {metric.name: metric.of_tally(tally) for metric in metrics if metric.of_tally}
    signature = language_model_signature(models, len(files))
    if oracle is not None:
        from seqlm.evaluation.exposure import measure_exposure

        values |= measure_exposure(models, oracle, np.concatenate(ids), seed)
        signature += f"|{oracle_part(oracle, seed)}"
    ordered = {metric.name: values[metric.name] for metric in metrics}
    return LanguageModelEvaluation(ordered, tally, signature)


def check_normalized(models: LoadedMixture) -> None:
    """Errors: ModelError where a model gives scores, which have no metrics."""
    for loaded in models.models:
        if not loaded.model.normalized:
            raise ModelError(
                f"{loaded.path} gives scores, not probabilities: it has no perplexity"
                " (`per_token` prints its scores)"
            )


def evaluate_each_file(
    models: LoadedMixture,
    files: Sequence[str],
    metrics: Sequence[Metric],
    batch_size: int = 64,
    errors: str = "strict",
    forbidden_texts: Mapping[str, str] = NO_FORBIDDEN_TEXTS,
) -> Iterator[LanguageModelEvaluation]:
    """The `metrics` of each file, and at the end those of all of them as `evaluate_language_model`
    has them. Those of an empty file are NaN. Errors: those of `score_files`; UsageError for a
    metric that needs an oracle."""
    total = Tally()

    def figures(tally: Tally, num_files: int) -> LanguageModelEvaluation:
        values = {
            metric.name: metric.of_tally(tally) if tally.tokens else math.nan
            for metric in metrics
            if metric.of_tally
        }
        return LanguageModelEvaluation(values, tally, language_model_signature(models, num_files))

    for file in files:
        tally = Tally()
        for _ in score_texts(models, [file], tally, batch_size, errors, forbidden_texts):
            pass
        total.add(tally)
        yield figures(tally, 1)
    check_text(total, files)
    yield figures(total, len(files))


def score_files(
    models: LoadedMixture,
    files: Sequence[str],
    tally: Tally,
    batch_size: int = 64,
    errors: str = "strict",
    forbidden_texts: Mapping[str, str] = NO_FORBIDDEN_TEXTS,
    ngram_lengths: bool = False,
    eager: bool = False,
) -> Iterator[ScoredBlock]:
    """Scores `files`, each a text of its own, block by block, and adds them up in `tally`.

    `forbidden_texts` must not be scored, as constants come from them: it maps the SHA-256 of each
    to the setting that named it.
    `ngram_lengths` asks for the n-gram length of each token, where there is one model that has it.
    `eager` scores the lines of a pipe as they come.

    Errors: those of `score_texts`; DataError where no file has a line.
    """
    yield from score_texts(
        models, files, tally, batch_size, errors, forbidden_texts, ngram_lengths, eager
    )
    check_text(tally, files)


def score_texts(
    models: LoadedMixture,
    files: Sequence[str],
    tally: Tally,
    batch_size: int,
    errors: str,
    forbidden_texts: Mapping[str, str],
    ngram_lengths: bool = False,
    eager: bool = False,
) -> Iterator[ScoredBlock]:
    """As `score_files`, but files may be empty.

    Errors: DataError where a file cannot be read; UsageError where one is a forbidden text.
    """
    scorer = MixtureScorer(models, batch_size, ngram_lengths)
    for file in files:
        digest = hashlib.sha256()
        for scored in scorer.score_text(read_blocks([file], errors, eager=eager), not eager):
            if forbidden_texts:
                digest.update(scored.block.data)
            tally.add_text(models.tokenizer, scored.block, scored.ids, scored.spans)
            tally.add_scores(scored.ids, scored.scores.log_probs)
            yield scored
        if digest.hexdigest() in forbidden_texts:
            raise not_held_out(file, forbidden_texts[digest.hexdigest()])


def check_text(tally: Tally, files: Sequence[str]) -> None:
    """Errors: DataError where `tally`, that of `files`, has no line."""
    if not tally.tokens:
        raise DataError(
            f"there is no text to evaluate: {', '.join(map(source_name, files))} is empty"
        )
