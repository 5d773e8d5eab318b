"""The metrics of a language model on a text, and of a translator on pairs of lines.

A text is scored once, whatever the number of metrics. A translator's perplexity, and every other
metric of a tally, is that of a language model whose context is the source as well:

    ppl  =  exp(-1/N sum_i ln p(token i | source, target before))      N tokens, `</s>` included
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.translation.forced_decoding import score_targets
from seqlm.decoding.translation.sentence_batches import is_blank
from seqlm.decoding.translation.translation_search import translate
from seqlm.errors import DataError, ModelError
from seqlm.evaluation.exposure import measure_exposure, measure_translator_exposure
from seqlm.evaluation.metrics import Metric
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, MixtureScorer, ScoredBlock
from seqlm.evaluation.mixtures.tuning import not_held_out
from seqlm.evaluation.perplexity import Tally, tally_text
from seqlm.evaluation.signature import (
    conditional_units,
    language_model_signature,
    model_part,
    oracle_part,
    search_part,
)
from seqlm.evaluation.translation_quality import Score
from seqlm.progress import Progress, silent
from seqlm.runs.loading.load_model import LoadedModel, LoadedTranslator, combine_translators
from seqlm.text.bitext import Side, check_line_counts
from seqlm.text.reading import read_blocks, source_name
from seqlm.text.vocabulary import EOS

NO_FORBIDDEN_TEXTS: Mapping[str, str] = MappingProxyType({})


# -------------------------------------------------------------------------------- language models


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


# ------------------------------------------------------------------------------------ translators


class TranslatorEvaluation(NamedTuple):
    """The metrics of a translator on pairs of lines, each with its signature."""

    scores: dict[str, Score]  # by metric
    tally: Tally  # of the target
    source_tally: Tally  # without scores: the source is not predicted


def evaluate_translator(
    models: Sequence[LoadedModel],
    source: Side,
    target: Side,
    metrics: Sequence[Metric],
    settings: TranslationSettings,
    oracle: LoadedModel | None = None,
    seed: int = 1,
    batch_size: int = 64,
    progress: Progress = silent,
    more_references: Sequence[Side] = (),
) -> TranslatorEvaluation:
    """The `metrics` of a translator, or of an ensemble, on all pairs of lines, blank ones too.

    BLEU and chrF are those of the best translation of each source line, found as the `settings`
    say, beside the target and `more_references`, other translations of the source. Metrics that
    need an oracle are measured against `oracle`, on targets that the model samples from `seed`.
    Errors: DataError where the sides differ in their number of lines, or are nothing but empty
    lines; ModelError where a model does not translate, or has other vocabularies.
    """
    translator = combine_translators(models)
    if oracle is not None:
        combine_translators([*models, oracle])  # refuses another vocabulary
    lines, references = check_sides(source, target)
    all_references = [references, *(check_sides(source, side)[1] for side in more_references)]
    tally, target_ids = tally_text(translator.target_tokenizer, target.blocks)
    source_tally, source_ids = tally_text(translator.source_tokenizer, source.blocks)
    units = conditional_units(translator.source_tokenizer, translator.target_tokenizer)
    model = model_part(models)
    scores: dict[str, Score] = {}
    if any(metric.of_tally for metric in metrics):
        pairs = list(zip(lines, references))
        log_probs = score_pairs(translator, pairs, settings, batch_size, progress)
        tally.add_scores(target_ids, log_probs)
        for metric in metrics:
            if metric.of_tally:
                scores[metric.name] = Score(metric.of_tally(tally), f"{units}|{model}")
    if any(metric.of_translations for metric in metrics):
        hypotheses = translate_lines(translator, lines, settings, batch_size, progress)
        for metric in metrics:
            if metric.of_translations:
                value, signature = metric.of_translations(hypotheses, *all_references)
                signature = f"{signature}|{search_part(settings)}|{model}"
                scores[metric.name] = Score(value, signature)
    if oracle is not None:
        progress("drawing translations, and asking the oracle")
        nonblank = [number for number, line in enumerate(lines) if not is_blank(line)]
        sources, targets = (
            [sentences[number] for number in nonblank]
            for sentences in (split_sentences(source_ids), split_sentences(target_ids))
        )
        judge = combine_translators([oracle]).model
        figures = measure_translator_exposure(translator.model, judge, sources, targets, seed)
        signature = f"{units}|{model}|{oracle_part(oracle, seed)}"
        scores |= {name: Score(value, signature) for name, value in figures.items()}
    ordered = {metric.name: scores[metric.name] for metric in metrics}
    return TranslatorEvaluation(ordered, tally, source_tally)


def check_sides(source: Side, target: Side) -> tuple[list[str], list[str]]:
    """The lines of both. Errors: DataError where their numbers differ, or a side has no text."""
    check_line_counts(source, target)
    lines, references = source.lines, target.lines
    for side, side_lines in ((source, lines), (target, references)):
        if all(is_blank(line) for line in side_lines):
            raise DataError(f"no text to evaluate in {side.name}: nothing but empty lines")
    return lines, references


def score_pairs(
    translator: LoadedTranslator,
    pairs: Sequence[tuple[str, str]],
    settings: TranslationSettings,
    batch_size: int,
    progress: Progress,
) -> np.ndarray:
    """(N,) log-probabilities of the tokens of all targets."""
    log_probs: list[float] = []
    scored = score_targets(
        *translator, pairs, batch_size, max_input_length=settings.max_input_length
    )
    for done, pair in enumerate(scored, 1):
        log_probs += pair.log_probs
        progress("scoring the target", done / len(pairs))
    return np.array(log_probs)


def translate_lines(
    translator: LoadedTranslator,
    lines: Sequence[str],
    settings: TranslationSettings,
    batch_size: int,
    progress: Progress,
) -> list[str]:
    """The text of the best translation of each line."""
    hypotheses: list[str] = []
    for translated in translate(*translator, lines, settings, batch_size):
        hypotheses.append(translated.best.text)
        progress("translating", len(hypotheses) / len(lines))
    return hypotheses


def split_sentences(ids: np.ndarray) -> list[list[int]]:
    """The sentences of `ids` (N,), each with its `</s>`."""
    return [line.tolist() for line in np.split(ids, np.flatnonzero(ids == EOS)[:-1] + 1)]
