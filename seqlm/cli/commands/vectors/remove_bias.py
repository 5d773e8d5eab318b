"""`seqlm vectors debias` and `seqlm vectors erase`: vectors without a bias, and figures of before
and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from seqlm.cli import console
from seqlm.cli.commands.vectors.measure_bias import warn_of_missing
from seqlm.cli.console import flag
from seqlm.cli.options.bias_options import (
    ComparisonOptions,
    DirectionOptions,
    FileOptions,
    MostBiasedOptions,
    VectorsOptions,
    WordLabelOptions,
    with_options,
)
from seqlm.cli.options.option_groups import make_group
from seqlm.cli.records import print_records
from seqlm.errors import UsageError
from seqlm.evaluation.bias.bias_settings import WeatSettings
from seqlm.runs.vector_files.vector_formats import check_format
from seqlm.settings import setting

if TYPE_CHECKING:
    import numpy as np

    from seqlm.evaluation.bias.association_tests import FoundTest
    from seqlm.evaluation.bias.bias_settings import Whitening
    from seqlm.evaluation.bias.find_words import LabeledWords
    from seqlm.evaluation.bias.word_sets import WordSets
    from seqlm.runs.loading.load_vectors import LoadedVectors
    from seqlm.runs.loading.locate import ModelPath

USUAL_TESTS = ("weat6", "weat7", "weat8")
"""The published tests of gender."""


# ----------------------------------------------------------------------------------------- debias


@dataclass(frozen=True)
class DebiasOptions:
    """The options of `debias` beside those that it shares."""

    equalize: Annotated[
        str | None,
        flag(
            "--equalize",
            help="Pairs of words that are to differ in nothing but their side, two words a line."
            " [default: those of the direction]",
            metavar="FILE|gender",
            autocompletion=lambda: ["gender"],
            rich_help_panel="Input",
        ),
    ] = None


@with_options(
    VectorsOptions, DirectionOptions, DebiasOptions, WordLabelOptions, MostBiasedOptions,
    ComparisonOptions, FileOptions,
)  # fmt: skip
def debias(**values: Any) -> None:
    """Write vectors without their part along a direction of bias, and print figures of the bias
    before and after: hard debiasing (Bolukbasi et al. 2016).

    Every word becomes neutral, but for those of the direction and of --keep; the words of a pair
    are then as near as each other to every neutral word. All new vectors have length 1. The probe
    is trained to tell the words of --labels or --lists, or those that lie farthest to each side of
    the direction: what it still finds was not removed (Gonen & Goldberg 2019).
    """
    given, own = make_group(DirectionOptions, values), make_group(DebiasOptions, values)
    most, labels = make_group(MostBiasedOptions, values), make_group(WordLabelOptions, values)
    pairs, keep, label_of = given.read_pairs(), most.words_to_keep(), labels.read()
    from seqlm.evaluation.bias.bias_direction import biased_words
    from seqlm.evaluation.bias.find_words import label_words
    from seqlm.evaluation.bias.hard_debiasing import debias_words
    from seqlm.evaluation.bias.word_sets import read_pairs

    equalize = None if own.equalize is None else read_pairs(own.equalize)
    prepared = prepare(given, values)
    table = prepared.load()
    direction = given.find(table, pairs)
    if label_of is None:
        labeled = biased_words(table, direction, most.most_biased, most.vocabulary, keep)
    else:
        labeled = label_words(table, label_of)
    after = debias_words(table, direction, keep, equalize)
    report(prepared, f"hard-debiasing|{direction.made_of}", table, after, labeled, direction.g)


# ------------------------------------------------------------------------------------------ erase


@dataclass(frozen=True)
class EraseOptions:
    """The options of `erase` beside those that it shares."""

    whitening: Literal["all", "labeled"] = setting(
        "all", "Words whose mean change is kept smallest: all words, or those with a label, as in"
        " the paper.", section="Metrics",
    )  # fmt: skip


@with_options(
    VectorsOptions, DirectionOptions, WordLabelOptions, MostBiasedOptions, EraseOptions,
    ComparisonOptions, FileOptions,
)  # fmt: skip
def erase(**values: Any) -> None:
    """Write vectors from which no linear classifier can learn a label of words, and print figures
    of the bias before and after: least-squares concept erasure (LEACE, Belrose et al. 2023).

    The words with a label are those of --labels or --lists, or those that lie farthest to each side
    of a direction. Of all linear maps that leave no covariance of vectors and labels, this one
    changes the vectors least.
    """
    given, own = make_group(DirectionOptions, values), make_group(EraseOptions, values)
    most, labels = make_group(MostBiasedOptions, values), make_group(WordLabelOptions, values)
    label_of, keep = labels.read(), most.words_to_keep()
    if label_of is None and not given.is_given:
        raise UsageError("there are no labels to erase: give `labels`, `lists`, or `pairs`")
    pairs = given.read_pairs() if given.is_given else None
    from seqlm.evaluation.bias.bias_direction import biased_words, direction_of_labels
    from seqlm.evaluation.bias.find_words import label_words
    from seqlm.evaluation.bias.leace import erase_labels

    prepared = prepare(given, values)
    table = prepared.load()
    direction = None if pairs is None else given.find(table, pairs)
    if label_of is None:
        assert direction is not None
        labeled = biased_words(table, direction, most.most_biased, most.vocabulary, keep)
    else:
        labeled = label_words(table, label_of)
    g = direction_of_labels(table, labeled) if direction is None else direction.g
    after = erase_labels(table, labeled, own.whitening)
    report(prepared, f"leace.{own.whitening}", table, after, labeled, g, own.whitening)


# ---------------------------------------------------------------------------- what both have to do


class Given(NamedTuple):
    """What both commands are told, checked before the vectors are read."""

    common: VectorsOptions
    file: FileOptions
    settings: WeatSettings
    model: ModelPath
    tests: list[WordSets]
    tests_are_named: bool

    def load(self) -> LoadedVectors:
        """Errors: ModelError."""
        from seqlm.runs.loading.load_vectors import load_vectors

        return load_vectors(self.model)


def prepare(direction: DirectionOptions, values: Mapping[str, Any]) -> Given:
    """Errors: UsageError, DataError, ModelError, where something cannot be read or written."""
    from seqlm.evaluation.bias.word_sets import read_tests
    from seqlm.runs.durable_files import check_not_read, check_writable

    common, file = make_group(VectorsOptions, values), make_group(FileOptions, values)
    named = make_group(ComparisonOptions, values).test
    usual = USUAL_TESTS if direction.pairs == "gender" else ()
    tests = [test for source in named or usual for test in read_tests(source)]
    check_format(file.to)
    model = console.locate_model(common.model, "vectors")
    if file.output is not None:
        check_not_read(Path(file.output), [model.path])
        check_writable(Path(file.output), file.overwrite)
    settings = make_group(WeatSettings, values)
    return Given(common, file, settings, model, tests, named is not None)


def report(
    given: Given,
    change: str,
    before: LoadedVectors,
    after: LoadedVectors,
    labeled: LabeledWords,
    g: np.ndarray | None,
    whitening: Whitening | None = None,
) -> None:
    """Prints the figures of before and after, and writes the vectors where a file is named.

    Errors: those of `find_complete` and `write`.
    """
    from seqlm.evaluation.bias.association_tests import weat_signature
    from seqlm.evaluation.bias.before_and_after import (
        BiasFigure,
        WhatToMeasure,
        change_signature,
        compare_bias,
    )
    from seqlm.evaluation.bias.find_words import some_of
    from seqlm.evaluation.bias.linear_probe import FOLDS

    if labeled.missing:
        console.warn(
            f"no vector for {console.counted(len(labeled.missing), 'word')} with a label:"
            f" {some_of(labeled.missing, 20)}"
        )
    if labeled.fewest < FOLDS:
        console.warn(
            f"a label has {console.counted(labeled.fewest, 'word')}, and a probe needs {FOLDS}: it"
            " is left out"
        )
    tests = find_complete(given, before)
    what = WhatToMeasure(labeled, g, tests, given.settings)
    figures = compare_bias(before, after, what, whitening)
    write(given.file, after)
    print_records(BiasFigure._fields, figures, given.common.json)
    console.say(change_signature(change, what, before))
    if tests:
        console.say(weat_signature(before, given.tests, given.settings))


def find_complete(given: Given, table: LoadedVectors) -> list[FoundTest]:
    """The tests of which every set has words.

    Errors: DataError where tests are named and none is complete; those of `find_tests`.
    """
    from seqlm.evaluation.bias.association_tests import check_complete, find_tests

    found = find_tests(table, given.tests, given.settings)
    if given.tests_are_named:
        check_complete(table, found)
    for name, sets in found:
        warn_of_missing(name, sets)
    return [test for test in found if test.sets.is_complete]


def write(file: FileOptions, table: LoadedVectors) -> None:
    """Writes the vectors of a table where a file is named. Errors: ModelError, SeqlmError."""
    if file.output is None:
        return
    from seqlm.runs.vector_files.write_vectors import write_vectors

    left_out = write_vectors(Path(file.output), table.words, table.vectors, file.to, file.skip)
    if left_out:
        lacking = console.counted(left_out, "word")
        console.warn(f"left out, as the format cannot hold them: {lacking}")
    console.say(f"vectors: {file.output}")
