"""The metrics of a translator on pairs of lines.

Its perplexity, and every other metric of a tally, is that of a language model whose context is the
source as well:

    ppl  =  exp(-1/N sum_i ln p(token i | source, target before))      N tokens, `</s>` included
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.translation.forced_decoding import score_targets
from seqlm.decoding.translation.sentence_batches import is_blank
from seqlm.decoding.translation.translation_search import translate
from seqlm.errors import DataError
from seqlm.evaluation.exposure import measure_translator_exposure
from seqlm.evaluation.metrics import Metric
from seqlm.evaluation.perplexity import Tally, tally_text
from seqlm.evaluation.signature import conditional_units, model_part, oracle_part, search_part
from seqlm.evaluation.translation_quality import Score
from seqlm.progress import Progress, silent
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.runs.loading.load_translators import LoadedTranslator, combine_translators
from seqlm.text.bitext import Side, check_line_counts
from seqlm.text.vocabulary import EOS


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
