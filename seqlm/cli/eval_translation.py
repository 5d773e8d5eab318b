"""`seqlm eval --source FILE --target FILE`: the metrics of a translator, or of an ensemble."""

from __future__ import annotations

import json as json_module
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from seqlm.cli import console
from seqlm.cli.options.eval_options import EvalOptions
from seqlm.cli.options.option_groups import make_group, parameters_of
from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.evaluation.translation_quality import BLEU_TOKENIZE_HELP
from seqlm.settings import setting, settings_of

if TYPE_CHECKING:
    from seqlm.evaluation.evaluate_translator import TranslatorEvaluation
    from seqlm.runs.loading.load_model import LoadedModel


@dataclass(frozen=True)
class TranslatorOptions:
    """The options that are for translators only, beside those of the search."""

    source: Annotated[list[str] | None, console.SOURCE] = None
    target: Annotated[list[str] | None, console.TARGET] = None
    reference: Annotated[
        list[str] | None,
        console.input_flag(
            "--reference",
            "Another translation of the whole source, which BLEU and chrF compare with as well; may"
            " be given several times.",
        ),
    ] = None
    bleu_tokenize: Literal["13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "none"] = setting(
        "13a", BLEU_TOKENIZE_HELP, section="Metrics"
    )


SEARCH = [
    name
    for name, setting in settings_of(TranslationSettings).items()
    if setting.section in ("Search", "Translation") and name != "nbest"  # the best is evaluated
]
PARAMETERS = [
    *parameters_of(TranslatorOptions),
    *(parameter for parameter in parameters_of(TranslationSettings) if parameter.name in SEARCH),
]


def evaluate(common: EvalOptions, values: Mapping[str, Any]) -> None:
    """Translates, scores and prints. Errors: UsageError, DataError, ModelError."""
    options = make_group(TranslatorOptions, values)
    settings = make_group(TranslationSettings, {name: values[name] for name in SEARCH})
    sources, targets = options.source or [], options.target or []
    references = options.reference or []
    console.files_or_stdin([*sources, *targets, *references])
    device = console.set_up_torch(common.device, common.num_threads, float64=True)

    from seqlm.evaluation.evaluate_translator import evaluate_translator
    from seqlm.evaluation.metrics import select_metrics, tokenized
    from seqlm.evaluation.unknown_words import warn_of_unknown
    from seqlm.runs.loading.load_model import load_model
    from seqlm.runs.loading.load_translators import combine_translators
    from seqlm.runs.loading.locate import locate
    from seqlm.text.bitext import read_side

    metrics = select_metrics(common.metric, "translation", common.oracle is not None)
    metrics = tokenized(metrics, options.bleu_tokenize)
    paths = console.locate_models(common.model, "translation")
    models = [load_model(path, device) for path in paths]
    evaluation = evaluate_translator(
        models,
        read_side(sources, common.errors),
        read_side(targets, common.errors),
        metrics,
        settings,
        load_model(locate(common.oracle, "translation"), device) if common.oracle else None,
        common.seed,
        common.batch_size,
        console.Stages(),
        [read_side([file], common.errors) for file in references],
    )
    values = {name: score.value for name, score in evaluation.scores.items()}
    if common.json:
        scored = any(metric.of_tally for metric in metrics)
        print(json_module.dumps(as_object(values, evaluation, models, scored)))
    else:
        console.print_figures(values)
    if any(math.isinf(value) for value in values.values()):
        console.warn("a token has probability 0 under this model")
    tally, source_tally = evaluation.tally, evaluation.source_tally
    console.say(
        f"{tally.lines} lines; {source_tally.tokens} tokens of the source"
        f" ({source_tally.oov} out of vocabulary), {tally.tokens} of the target"
        f" ({tally.oov} out of vocabulary)"
    )
    translator = combine_translators(models)
    warn_of_unknown(source_tally, translator.source_tokenizer, "the source")
    warn_of_unknown(tally, translator.target_tokenizer, "the target")
    for name, score in evaluation.scores.items():
        console.say(f"{name}: {score.signature}")


def as_object(
    values: Mapping[str, float],
    evaluation: TranslatorEvaluation,
    models: Sequence[LoadedModel],
    scored: bool,
) -> dict[str, Any]:
    """The object of --json; it has a log-probability where the targets were `scored`."""
    tally, source_tally = evaluation.tally, evaluation.source_tally
    paths = [str(loaded.path) for loaded in models]
    return {
        **{name: value if math.isfinite(value) else None for name, value in values.items()},
        "lines": tally.lines,
        "tokens": tally.tokens,
        "oov": tally.oov,
        "source_tokens": source_tally.tokens,
        "source_oov": source_tally.oov,
        **({"log_prob": tally.log_prob} if scored and math.isfinite(tally.log_prob) else {}),
        **({"model": paths[0]} if len(paths) == 1 else {"models": paths}),
        "signatures": {name: score.signature for name, score in evaluation.scores.items()},
    }
