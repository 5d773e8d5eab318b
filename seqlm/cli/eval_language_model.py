"""`seqlm eval TEXT`: the metrics of a language model, or of a mixture of several."""

from __future__ import annotations

import json as json_module
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seqlm.cli import console, eval_words
from seqlm.cli.console import flag
from seqlm.cli.options import adaptation_options, mixture_options
from seqlm.cli.options.eval_options import EvalOptions
from seqlm.cli.options.mixture_options import MixtureOptions
from seqlm.cli.options.option_groups import make_group, parameters_of
from seqlm.cli.options.word_options import WordOptions
from seqlm.cli.records import RecordWriter
from seqlm.errors import UsageError
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
from seqlm.settings import setting

if TYPE_CHECKING:
    from seqlm.evaluation.evaluate import LanguageModelEvaluation
    from seqlm.evaluation.metrics import Metric
    from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, ScoredBlock
    from seqlm.evaluation.perplexity import Tally
    from seqlm.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class LanguageModelOptions(MixtureOptions):
    """The options that are for language models only."""

    text: Annotated[
        list[str] | None,
        typer.Argument(
            help="Text files to evaluate on, compressed or not; - is standard input.",
            metavar="TEXT",
            rich_help_panel="Input",
        ),
    ] = None
    tune: str | None = setting(
        None, "Held-out text on which to tune every weight and constant not set by a flag.",
        metavar="FILE", section="Input",
    )  # fmt: skip
    stride: int | None = setting(
        None, "Stride of the sliding window; the window length itself gives non-overlapping"
        " blocks.", none_text="half the window", low=1, section="Context",
    )  # fmt: skip
    context: Literal["carried", "sentence", "window"] | None = setting(
        None, "Whether every line starts afresh (sentence), or lines see those before (carried, or"
        " window where the model has a context length). Every file starts afresh.",
        none_text="that of the run", section="Context",
    )  # fmt: skip
    per_line: Annotated[
        bool,
        flag(
            "--per-line",
            help="Print the log-probability (natural) of every line, and its numbers of tokens and"
            " OOVs, as it comes.",
            rich_help_panel="Output",
        ),
    ] = False
    per_file: Annotated[
        bool,
        flag(
            "--per-file",
            help="Print the metrics of every file, and of all files together.",
            rich_help_panel="Output",
        ),
    ] = False
    per_token: Annotated[
        bool,
        flag(
            "--per-token",
            help="Print the surprisal of every token, in bits, as a table of tab-separated values.",
            rich_help_panel="Output",
        ),
    ] = False


TOTAL = "total"
"""What stands for all files in the table of --per-file."""
PARAMETERS = [
    *parameters_of(LanguageModelOptions),
    *parameters_of(WordOptions),
    *parameters_of(Adaptation),
]


def evaluate(common: EvalOptions, values: Mapping[str, Any]) -> None:
    """Evaluates and prints. Errors: UsageError, DataError, ModelError."""
    from seqlm.evaluation.metrics import select_metrics
    from seqlm.runs.loading.locate import locate
    from seqlm.text.reading import check_files

    options, adaptation = make_group(LanguageModelOptions, values), make_group(Adaptation, values)
    words = make_group(WordOptions, values)
    eval_words.check_combination(words, common, not_with_each(options, adaptation))
    files = [] if words.table is not None else console.files_or_stdin(options.text)
    request = mixture_options.request_mixture(common.model, options)
    check_combination(common, options, words)
    metrics = select_metrics(common.metric, "lm", common.oracle is not None)
    check_files(files)
    oracle_path = None if common.oracle is None else locate(common.oracle, "lm")
    located = [*request.models, *([oracle_path] if oracle_path else [])]
    device = console.set_up_for(located, common.device, common.num_threads)
    if words.each:
        mixtures = eval_words.load_each(request.models, device)
        side_by_side = choose_context([*mixtures.values()], options, words)
        say_dependence(side_by_side)
        print_words(dict(zip(mixtures, side_by_side)), files, words, common, {})
        return

    from seqlm.evaluation.evaluate import evaluate_language_model
    from seqlm.runs.loading.load_model import load_model

    check_held_out_files(files, options, adaptation)
    (models,) = choose_context([request.load(device)], options, words)
    models = adaptation_options.adapt(models, adaptation, common.errors)
    if options.stride is not None:
        models = models.in_windows(options.stride)
    oracle = None
    if oracle_path is not None:
        oracle = load_model(oracle_path, device, console.Stages())
    if not words.per_word:
        check_probabilities(models, options)
    held_out = {}  # the digest of a text, and the setting that names it
    if models.adaptation.statistics_digest:
        held_out[models.adaptation.statistics_digest] = "dynamic_statistics"
    if options.tune is not None:
        models, digest = tune(models, options.tune, common)
        held_out[digest] = "tune"
    else:
        mixture_options.say_equal_weights(request, models, "; --tune finds better ones")
    if options.per_token or options.per_line or words.per_word:
        say_dependence([models])
    if options.per_token:
        print_surprisals(models, files, common, held_out)
        return
    if options.per_line:
        print_lines(models, files, common, held_out)
        return
    if options.per_file:
        print_files(models, files, metrics, common, held_out)
        return
    if words.per_word:
        print_words({"": models}, files, words, common, held_out)
        return
    evaluation = evaluate_language_model(
        models, files, metrics, oracle, common.seed, common.batch_size, common.errors, held_out
    )
    if common.json:
        print(json_module.dumps(as_object(evaluation, models)))
    else:
        console.print_figures(evaluation.values)
    say_figures(evaluation.values, evaluation.tally, models.tokenizer, evaluation.signature)


def choose_context(
    mixtures: Sequence[LoadedMixture], options: LanguageModelOptions, words: WordOptions
) -> list[LoadedMixture]:
    """The mixtures in the context that the options name; items of a table start afresh by default.

    Errors: UsageError where no model has it.
    """
    from seqlm.evaluation.mixtures.mixture_scoring import in_context

    context = options.context or (None if words.table is None else "sentence")
    return list(mixtures) if context is None else in_context(mixtures, context)


def check_combination(
    common: EvalOptions, options: LanguageModelOptions, words: WordOptions
) -> None:
    """Errors: UsageError where options do not go together."""
    tables = {
        "per_token": options.per_token,
        "per_word": words.per_word,
        "per_line": options.per_line,
        "per_file": options.per_file,
    }
    chosen = [name for name, is_chosen in tables.items() if is_chosen]
    if len(chosen) > 1:
        first, second, *_ = chosen
        raise UsageError(f"`{first}` and `{second}` print a table each: leave out one of them")
    for name in chosen:
        if common.metric and name != "per_file":
            raise UsageError(f"`{name}` prints a table of its own: leave out `metric`")
        if common.oracle is not None:
            raise UsageError(f"`{name}` prints a table of its own: leave out `oracle`")
    if words.table is not None and options.text:
        raise UsageError("TEXT and `table` are both texts to score: leave out one of them")
    if options.tune is not None and options.mix is not None:
        raise UsageError("`tune` finds the weights that `mix` gives: leave out one of them")
    if options.tune is not None and options.stride is not None:
        raise UsageError(
            "`tune` reads windows with a stride of half their length: leave out `stride`"
        )


def not_with_each(options: LanguageModelOptions, adaptation: Adaptation) -> dict[str, Any]:
    """The values of the options that change or mix models, None where they are not given."""
    names = ("per_token", "per_line", "per_file", "mix", "cache", "cache_decay", "tune", "stride")
    return {**{name: getattr(options, name) for name in names}, **asdict(adaptation)}


def check_held_out_files(
    files: Sequence[str], options: LanguageModelOptions, adaptation: Adaptation
) -> None:
    """Errors: UsageError where a text is evaluated that constants come from."""
    from seqlm.evaluation.mixtures.tuning import check_held_out

    sources = {"tune": options.tune, "dynamic_statistics": adaptation.dynamic_statistics}
    for setting_name, file in sources.items():
        if file is not None:
            check_held_out(file, files, setting_name)


def tune(models: LoadedMixture, file: str, common: EvalOptions) -> tuple[LoadedMixture, str]:
    """The tuned models, and the SHA-256 of the text in `file`."""
    from seqlm.evaluation.mixtures import tuning

    tuning.check_tunable(models)
    text = tuning.read_held_out(models.tokenizer, file, common.errors)
    tuned = tuning.tune(models, text, common.batch_size, console.Stages())
    console.say(
        f"tuned on {len(text.ids):,} tokens of {file}: {adaptation_options.flags_of(tuned)}"
    )
    return tuned, text.digest


def check_probabilities(models: LoadedMixture, options: LanguageModelOptions) -> None:
    """A model of scores has no metrics, but tables print its scores. Errors: ModelError."""
    from seqlm.evaluation.evaluate import check_normalized

    if not options.per_token and not options.per_line:
        check_normalized(models)
    printed = (
        "-log2 of them, and no surprisal"
        if options.per_token
        else "their natural logarithm, and no log-probability"
    )
    for loaded in models.models:
        if not loaded.model.normalized:
            console.warn(
                f"{loaded.path} gives scores, not probabilities: what is printed is {printed}"
            )


def say_dependence(mixtures: Sequence[LoadedMixture]) -> None:
    """On stderr, once: where a line's score depends on where it stands."""
    dependent = [models for models in mixtures if models.lines_see_each_other]
    if dependent:
        adapts = any(models.adaptation.adapts for models in dependent)
        console.say(
            "note: lines see those before them, so that a line's score depends on where it stands"
            + ("" if adapts else "; --context sentence scores each alone")
        )


# ------------------------------------------------------------------------------- what is printed


def print_surprisals(
    models: LoadedMixture, files: list[str], common: EvalOptions, held_out: Mapping[str, str]
) -> None:
    """The table of --per-token."""
    from seqlm.evaluation.surprisal import TokenSurprisal, token_surprisals

    columns = TokenSurprisal._fields
    print_rows(models, files, common, held_out, columns, token_surprisals, ngram_lengths=True)


def print_lines(
    models: LoadedMixture, files: list[str], common: EvalOptions, held_out: Mapping[str, str]
) -> None:
    """The table of --per-line."""
    from seqlm.evaluation.line_scores import LineScore, line_scores

    print_rows(models, files, common, held_out, LineScore._fields, line_scores)


def print_rows(
    models: LoadedMixture,
    files: list[str],
    common: EvalOptions,
    held_out: Mapping[str, str],
    columns: Sequence[str],
    rows_of: Callable[[Iterable[ScoredBlock], Tokenizer], Iterable[Sequence[Any]]],
    ngram_lengths: bool = False,
) -> None:
    """A table with the rows of scored blocks, printed as the text is scored; in a pipe, every line
    is answered before the next one is read."""
    from seqlm.evaluation.evaluate import score_files
    from seqlm.evaluation.perplexity import Tally, perplexity
    from seqlm.evaluation.signature import language_model_signature

    tally, eager = Tally(), reads_pipe(files)
    scored = score_files(
        models, files, tally, common.batch_size, common.errors, held_out, ngram_lengths, eager
    )
    table = RecordWriter(columns, common.json, flush=eager)
    for row in rows_of(scored, models.tokenizer):
        table.write(row)
    signature = language_model_signature(models, len(files))
    say_figures({"ppl": perplexity(tally)}, tally, models.tokenizer, signature)


def print_files(
    models: LoadedMixture,
    files: list[str],
    metrics: Sequence[Metric],
    common: EvalOptions,
    held_out: Mapping[str, str],
) -> None:
    """The table of --per-file: a row for each file, and one for all of them."""
    from seqlm.evaluation.evaluate import evaluate_each_file

    names = [metric.name for metric in metrics]
    table = RecordWriter(["file", *names, "tokens", "lines", "oov"], common.json)
    evaluations = evaluate_each_file(
        models, files, metrics, common.batch_size, common.errors, held_out
    )
    for file, evaluation in zip([*files, TOTAL], evaluations):
        values, tally, _ = evaluation
        cells = [None if math.isnan(value) else value for value in values.values()]  # of no text
        table.write([file, *cells, tally.tokens, tally.lines, tally.oov])
    say_figures(values, tally, models.tokenizer, evaluation.signature)


def reads_pipe(files: Sequence[str]) -> bool:
    """Whether a file is standard input or a pipe, whose writer may wait for answers."""
    return any(file == "-" or Path(file).is_fifo() for file in files)


def print_words(
    models: Mapping[str, LoadedMixture],
    files: list[str],
    words: WordOptions,
    common: EvalOptions,
    held_out: Mapping[str, str],
) -> None:
    """The table of --per-word, with columns for each of `models`, printed as the text is scored."""
    from seqlm.evaluation.perplexity import perplexity
    from seqlm.evaluation.words.word_surprisal import word_signature

    for scorer in eval_words.print_words(models, files, words, common, held_out):
        ppl = {"ppl": perplexity(scorer.tally)}
        say_figures(ppl, scorer.tally, scorer.tokenizer, word_signature(scorer.models))


def say_figures(
    values: Mapping[str, float], tally: Tally, tokenizer: Tokenizer, signature: str
) -> None:
    """On stderr: what the figures count and what they depend on."""
    from seqlm.evaluation.unknown_words import warn_of_unknown

    warn_of_unknown(tally, tokenizer)
    if tally.literal_unk and {"bits-per-char", "bits-per-byte"} & set(values):
        console.warn(f"{tally.literal_unk} literal <unk> in the text: rates are lower bounds")
    if any(math.isinf(value) for value in values.values()):
        console.warn("a token has probability 0 under this model; smoothing gives it some")
    console.say(
        f"{tally.tokens} tokens, {tally.lines} of them </s>; {tally.oov} out of vocabulary,"
        f" {tally.literal_unk} literal <unk>"
    )
    console.say(signature)


def as_object(evaluation: LanguageModelEvaluation, models: LoadedMixture) -> dict[str, Any]:
    """The object of --json."""
    values, tally, signature = evaluation
    paths = [str(loaded.path) for loaded in models.models]
    constants = models.adaptation.with_defaults().active()
    return {
        **{name: finite_or_none(value) for name, value in values.items()},
        "tokens": tally.tokens,
        "lines": tally.lines,
        "oov": tally.oov,
        "literal_unk": tally.literal_unk,
        "bytes": tally.bytes,
        "characters": tally.characters,
        "log_prob": finite_or_none(tally.log_prob),
        "lower_bound": bool(tally.literal_unk),
        **(
            {"model": paths[0]} if len(paths) == 1 else {"models": paths, "weights": models.weights}
        ),
        "mode": "adaptive" if models.is_adaptive else "static",
        **({"constants": constants} if constants else {}),
        "signature": signature,
    }


def finite_or_none(value: float) -> float | None:
    """The value, or None for what JSON cannot hold."""
    return value if math.isfinite(value) else None
