"""`seqlm rescore`: n-best lists with the score of a language model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options import mixture_options
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.mixture_options import MODELS, MixtureOptions
from seqlm.cli.options.option_groups import in_sections, make_group, parameters_of
from seqlm.cli.options.setting_options import with_parameters
from seqlm.errors import UsageError
from seqlm.settings import setting

if TYPE_CHECKING:
    from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
    from seqlm.evaluation.rescoring.log_linear import Scored
    from seqlm.evaluation.rescoring.nbest_formats import Columns, NBestFormat


@dataclass(frozen=True)
class RescoreOptions(MixtureOptions):
    """The options of `rescore`."""

    lists: Annotated[
        str | None,
        typer.Argument(
            help="File with n-best lists, compressed or not; - is standard input. [default: -]",
            metavar="LISTS",
            rich_help_panel="Input",
        ),
    ] = None
    format: Literal["moses", "tsv", "json"] | None = setting(
        None, "Format of the lists: Moses (list ||| text ||| features ||| score), a table with a"
        " header, or a JSON object on each line.", none_text="that of the first line",
        section="Input",
    )  # fmt: skip
    id_column: str = setting(
        "id", "Column of a table, or key of an object, with the name of the list.",
        metavar="NAME", section="Input",
    )  # fmt: skip
    text_column: str = setting(
        "text", "Column or key with the text of the hypothesis.", metavar="NAME", section="Input"
    )
    score_column: str = setting(
        "score", "Column or key with the list's own score.", metavar="NAME", section="Input"
    )
    tune: str | None = setting(
        None, "Lists on which to tune the weights, of the same format.", metavar="FILE",
        section="Input",
    )  # fmt: skip
    tune_reference: str | None = setting(
        None, "Right text of each list of `tune`, one a line.", metavar="FILE", section="Input"
    )
    model: Annotated[list[str] | None, MODELS] = None
    feature_weights: str | None = setting(
        None, "Weights of features whose sum is the new score, e.g. lm=0.8,words=-0.5. The list's"
        " own score has the weight 1 unless score=X is given, and all others 0.",
        metavar="WEIGHTS", section="Combination",
    )  # fmt: skip
    tune_metric: Literal["wer", "bleu"] = setting(
        "wer", "What `tune` improves: word error rate, or BLEU over white-space words.",
        section="Combination",
    )  # fmt: skip
    seed: int = setting(1, "Seed of the tuning.", section="Combination")
    name: str = setting(
        "lm", "Name of the new feature, column or key.", metavar="NAME", section="Output"
    )
    total_name: str = setting(
        "total", "Name of the new column or key with the weighted sum.", metavar="NAME",
        section="Output",
    )  # fmt: skip
    rerank: Annotated[
        bool,
        flag(
            "--rerank",
            help="Print each list by its new score, the best hypothesis first.",
            rich_help_panel="Output",
        ),
    ] = False
    best: Annotated[
        bool,
        flag(
            "--best",
            help="Print the text of the best hypothesis of each list, and nothing else.",
            rich_help_panel="Output",
        ),
    ] = False
    quiet: Annotated[bool, console.QUIET] = False
    debug: Annotated[bool, console.DEBUG] = False
    batch_size: int = setting(
        64, "Number of lines to compute together; it changes no result.", low=1, section="Machine"
    )
    device: Annotated[str | None, console.DEVICE] = None
    num_threads: Annotated[int | None, console.THREADS] = None


PARAMETERS = in_sections(parameters_of(RescoreOptions))

EXAMPLES = [
    Example(
        "Add the score of a model to each hypothesis of a Moses list",
        "printf '0 ||| the old man ||| TM= -1.5 ||| -1.5\\n' | seqlm rescore -m trigram",
    ),
    Example(
        "Sort the list by a weighted sum",
        "printf '0 ||| the old man ||| TM= -2 ||| -2\\n0 ||| the odd man ||| TM= -1 ||| -1\\n' |"
        " seqlm rescore -m trigram --feature-weights lm=0.5 --rerank",
    ),
    Example(
        "Print the best hypotheses of a recognizer, with given weights",
        "printf 'id\\ttext\\tscore\\na\\tthe old man\\t-7\\na\\tthe cold man\\t-6.9\\n' |"
        " seqlm rescore -m trigram --feature-weights lm=0.8,words=0.2 --best",
    ),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(PARAMETERS)(rescore)


def rescore(flags: typer.Context, **values: Any) -> None:
    """Score the hypotheses of n-best lists by a language model, and print the lists with the score
    as one more field, all else byte for byte as it was.

    The score is the natural logarithm of the probability of the text, the end of its line included;
    every hypothesis starts afresh. With --feature-weights, or with weights tuned by --tune, the
    weighted sum of a hypothesis becomes its score in a Moses list, and its field total elsewhere.
    Features are the numbers of a line by their name, its own score as score, the language model as
    lm, and the number of words as words.
    """
    options = make_group(RescoreOptions, values)
    check_combination(options)
    source = options.lists or "-"
    files = [file for file in (source, options.tune, options.tune_reference) if file is not None]
    if source == "-":
        console.files_or_stdin(None)
    console.check_stdin(files)
    request = mixture_options.request_mixture(options.model, options)

    from seqlm.text.reading import check_files

    check_files(files)
    device = console.set_up_for(request.models, options.device, options.num_threads)

    from seqlm.evaluation.rescoring.log_linear import parse_weights, score_lists
    from seqlm.evaluation.rescoring.nbest_formats import Columns, open_nbest

    weights = None
    if options.feature_weights is not None:
        weights = parse_weights(options.feature_weights, options.name)
    mixture = request.load(device)
    mixture_options.say_equal_weights(request, mixture)
    columns = Columns(
        options.id_column, options.text_column, options.score_column, options.total_name
    )
    if options.tune is not None:
        weights = tune(options, mixture, columns, weights)
    lists = open_nbest(source, options.format, columns)
    scored = score_lists(mixture, lists.lists(), options.name, options.batch_size)
    print_lists(lists.format, scored, weights, options)


def check_combination(options: RescoreOptions) -> None:
    """Errors: UsageError where options do not go together."""
    if (options.tune is None) != (options.tune_reference is None):
        raise UsageError("`tune` needs `tune_reference`, and `tune_reference` needs `tune`")
    combines = options.feature_weights is not None or options.tune is not None
    for name in ("rerank", "best"):
        if getattr(options, name) and not combines:
            raise UsageError(f"`{name}` needs weights: give `feature_weights`, or `tune` them")
    if options.rerank and options.best:
        raise UsageError("`best` prints no lists: leave out `rerank`")
    for name, reserved in {
        "name": ("score", "words", options.total_name),
        "total_name": ("score", "words"),
    }.items():
        value = getattr(options, name)
        if value in reserved or not value.isidentifier():
            raise UsageError(f"`{name}={value}` cannot be the name of the new field")


def tune(
    options: RescoreOptions,
    mixture: LoadedMixture,
    columns: Columns,
    start: Mapping[str, float] | None,
) -> dict[str, float]:
    """The tuned weights, which are printed."""
    from seqlm.evaluation.rescoring.log_linear import score_lists, weights_text
    from seqlm.evaluation.rescoring.nbest_formats import open_nbest
    from seqlm.evaluation.rescoring.tune_lists import tune_on_lists
    from seqlm.text.reading import read_lines

    assert options.tune is not None
    assert options.tune_reference is not None
    lists = open_nbest(options.tune, options.format, columns).lists()
    scored = score_lists(mixture, with_ids(lists), options.name, options.batch_size)
    references = list(read_lines([options.tune_reference], "refuse"))
    tuned = tune_on_lists(
        scored, references, options.tune_metric, start, options.name, options.seed
    )
    if options.tune_metric == "wer":
        figures = f"WER {100 * tuned.before:.4g} % -> {100 * tuned.after:.4g} %"
    else:
        figures = f"BLEU {100 * (1 - tuned.before):.4g} -> {100 * (1 - tuned.after):.4g}"
    console.say(f"tuned on {tuned.lists} lists of {options.tune}: {figures}")
    console.say(f"--feature-weights {weights_text(tuned.weights)}")
    return tuned.weights


def with_ids(lists: Iterable[list[Any]]) -> Iterable[list[Any]]:
    """The lists. Errors: UsageError where the lines have no ids, so that there are no lists."""
    for candidates in lists:
        if candidates[0].list_id is None:
            raise UsageError(
                f"{candidates[0].line.place}: no id says which list a line belongs to (`id_column`"
                " names the column)"
            )
        yield candidates


def print_lists(
    format: NBestFormat,
    lists: Iterable[list[Scored]],
    weights: Mapping[str, float] | None,
    options: RescoreOptions,
) -> None:
    from seqlm.evaluation.rescoring.log_linear import total, used_weights

    output, header = sys.stdout.buffer, False
    needs_ids = options.rerank or options.best
    for scored in lists:
        first = scored[0].candidate
        if needs_ids:
            next(iter(with_ids([[first]])))
        new_names = {"name": options.name}
        if weights is not None and not format.replaces_score:
            new_names["total_name"] = options.total_name
        for each in [] if options.best else scored:
            for setting_name, name in new_names.items():
                format.check_new(name, each.candidate, setting_name)
        if not header and not options.best:
            names = new_names.values()
            output.write(format.with_header(names))
            header = True
        totals = None
        if weights is not None:
            totals = [total(used_weights(weights, each), each) for each in scored]
        order = list(range(len(scored)))
        if needs_ids and totals is not None:
            order.sort(key=lambda place: -totals[place])  # stable: of equals, the first
        if options.best:
            output.write(scored[order[0]].candidate.text.encode() + b"\n")
        for place in [] if options.best else order:
            each = scored[place]
            new = None if totals is None else totals[place]
            output.write(format.with_fields(each.candidate.line, {options.name: each.lm}, new))
        output.flush()
