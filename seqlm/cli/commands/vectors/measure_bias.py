"""`seqlm vectors weat` and `seqlm vectors bias`: how word vectors are biased."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.console import flag, input_flag
from seqlm.cli.options.bias_options import DirectionOptions, VectorsOptions, with_options
from seqlm.cli.options.option_groups import make_group
from seqlm.cli.options.vector_options import FIRST_WORDS, load_named_vectors
from seqlm.cli.records import print_records
from seqlm.errors import DataError, UsageError
from seqlm.evaluation.bias.bias_settings import WeatSettings
from seqlm.settings import setting

if TYPE_CHECKING:
    from seqlm.evaluation.bias.association_tests import AssociationTest, FoundSets
    from seqlm.evaluation.bias.bias_direction import BiasDirection
    from seqlm.evaluation.bias.find_words import FoundWords
    from seqlm.runs.loading.load_vectors import LoadedVectors


# ------------------------------------------------------------------------------------------- weat


@dataclass(frozen=True)
class WeatOptions(WeatSettings):
    """The options of `weat` beside those of every command."""

    tests: Annotated[
        list[str] | None,
        typer.Argument(
            help="Published tests by name (weat1, weat2, weat6 to weat10), and files of sets X, Y,"
            " A and B, as YAML, JSON or lines of X: word word. [default: all published tests]",
            metavar="TEST",
            autocompletion=lambda: [f"weat{n}" for n in (1, 2, 6, 7, 8, 9, 10)],
            rich_help_panel="Input",
        ),
    ] = None
    associations: Annotated[
        bool,
        flag(
            "--associations",
            help="Print the association of every word of X and Y with A rather than B, and its"
            " effect size by itself (WEFAT).",
            rich_help_panel="Output",
        ),
    ] = False


@with_options(VectorsOptions, WeatOptions)
def print_weat(**values: Any) -> None:
    """Print how far the words of X are associated with those of A rather than B, compared with the
    words of Y: the word-embedding association test (WEAT) of Caliskan et al. (2017).

    The effect size is positive where X goes with A and Y with B, and at most about 2. p is the
    share of all ways to divide the words of X and Y that are as far apart. Published figures were
    made with several formulas; the signature, on standard error, says which ones these are.
    """
    options, common = make_group(WeatOptions, values), make_group(VectorsOptions, values)
    settings = make_group(WeatSettings, values)
    from seqlm.evaluation.bias.association_tests import (
        WordAssociation,
        run_tests,
        weat_signature,
        word_associations,
    )
    from seqlm.evaluation.bias.word_sets import published_word_sets, read_tests

    tests = [
        test for source in options.tests or published_word_sets() for test in read_tests(source)
    ]
    table = load_named_vectors(common.model)
    found = run_tests(table, tests, settings)
    signature = weat_signature(table, tests, settings)
    for test in found:
        warn_of_missing(test.name, test.sets)
    if options.associations:
        records = [each for test in found for each in word_associations(table, test, settings)]
        print_records(WordAssociation._fields, records, common.json)
    else:
        extra = {"signature": signature} if common.json else {}
        rows = [[*weat_row(test, common.json), *extra.values()] for test in found]
        print_records([*WEAT_COLUMNS, *extra], rows, common.json)
    console.say(signature)


WEAT_COLUMNS = (
    "test", "effect_size", "p", "statistic", "partitions", "exact", "x", "y", "a", "b", "missing",
)  # fmt: skip
"""x, y, a and b are the numbers of words that have vectors."""


def weat_row(test: AssociationTest, json: bool) -> list[Any]:
    """The row of a test; the words that are missing in JSON, and else how many."""
    sizes = [len(found.words) for found in test.sets]
    missing = test.sets.missing if json else len(test.sets.missing)
    if test.figures is None:
        return [test.name, *[None] * 5, *sizes, missing]
    return [test.name, *test.figures, *sizes, missing]


def warn_of_missing(name: str, sets: FoundSets) -> None:
    if sets.missing:
        what = "" if sets.is_complete else ", so that a set is empty and there is no figure"
        console.warn(f"{name}: no vectors of {', '.join(sets.missing)}{what}")


# ------------------------------------------------------------------------------------------- bias


@dataclass(frozen=True)
class BiasOptions:
    """The options of `bias` beside those of every command and the direction."""

    word_arguments: Annotated[
        list[str] | None,
        typer.Argument(
            help="Words to project. [default: those that lie farthest to each side]",
            metavar="WORD",
            rich_help_panel="Input",
        ),
    ] = None
    words: Annotated[
        str | None,
        input_flag("--words", "More words to project, with white space between them."),
    ] = None
    direct: Annotated[
        bool,
        flag(
            "--direct",
            help="Print the direct bias of the words, the mean of |projection|, in place of each"
            " projection. They should be neutral by their meaning, as names of occupations.",
            rich_help_panel="Output",
        ),
    ] = False
    strictness: float = setting(
        1.0, "Power of |projection| in the direct bias; large ones count only words that lie far"
        " along the direction.", above=0, section="Metrics",
    )  # fmt: skip
    num_words: Annotated[
        int,
        flag(
            "-k",
            "--num-words",
            help="Number of words to print of each side, where no words are named. [default: 10]",
            metavar="N",
            least=1,
            rich_help_panel="Output",
        ),
    ] = 10
    vocabulary: Annotated[int | None, FIRST_WORDS] = None


@with_options(VectorsOptions, BiasOptions, DirectionOptions)
def print_bias(**values: Any) -> None:
    """Print how far words lie along a direction of bias, as from he to she: the cosine of a word
    and the direction, from -1 to 1 (Bolukbasi et al. 2016). Without words, print those that lie
    farthest to each side."""
    options, common = make_group(BiasOptions, values), make_group(VectorsOptions, values)
    given = make_group(DirectionOptions, values)
    pairs, named = given.read_pairs(), words_to_project(options)
    table = load_named_vectors(common.model)
    from seqlm.evaluation.bias.bias_direction import Projection, farthest_words

    direction = given.find(table, pairs)
    if not named:
        rows = farthest_words(table, direction, options.num_words, options.vocabulary)
    else:
        found = find_named(table, named, options.word_arguments or [])
        vectors = found.unit_vectors(table)
        if options.direct:
            print_direct_bias(table, direction, found, options, common.json)
            return
        rows = [*map(Projection, found.words, (vectors @ direction.g).tolist())]
    print_records(Projection._fields, rows, common.json)
    console.say(direction.signature("projection", table))


def words_to_project(options: BiasOptions) -> list[str]:
    """Errors: UsageError where there are none and there must be; DataError."""
    from seqlm.evaluation.bias.word_sets import read_words

    words = list(options.word_arguments or [])
    if options.words is not None:
        words += read_words(options.words)
    if options.direct and not words:
        raise UsageError("`direct` is of words that should be neutral: name them, or give `words`")
    return words


def find_named(table: LoadedVectors, words: Sequence[str], arguments: Sequence[str]) -> FoundWords:
    """The words that have a vector; the others of a file are warned of.

    Errors: UsageError where an argument has none; DataError where no word has one.
    """
    from seqlm.evaluation.bias.find_words import find_words, some_of

    found = find_words(table, words)
    for word in arguments:
        if word in found.missing:
            raise UsageError(f"no vector of {word!r} in {table.path}{table.similar_spelling(word)}")
    if not found.words:
        raise DataError(f"{table.path} has none of the {len(words):,} words")
    if found.missing:
        lacking = console.counted(len(found.missing), "word")
        console.warn(f"no vector for {lacking}: {some_of(found.missing, 20)}")
    return found


def print_direct_bias(
    table: LoadedVectors,
    direction: BiasDirection,
    found: FoundWords,
    options: BiasOptions,
    json: bool,
) -> None:
    from seqlm.evaluation.bias.direct_bias import direct_bias

    value = direct_bias(found.unit_vectors(table), direction.g, options.strictness)
    signature = direction.signature(f"direct-bias.{options.strictness:g}", table)
    if json:
        figures = {
            "direct-bias": value, "words": len(found.words), "missing": found.missing,
            "signature": signature,
        }  # fmt: skip
        print(json_module.dumps(figures, ensure_ascii=False))
    else:
        console.print_figures({"direct-bias": value})
    console.say(console.counted(len(found.words), "word"))
    console.say(signature)
