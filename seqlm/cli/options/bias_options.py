"""The options of the commands that measure the bias of word vectors, or remove it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from seqlm.cli import console
from seqlm.cli.console import flag, input_flag
from seqlm.cli.options.option_groups import in_sections, parameters_of
from seqlm.cli.options.setting_options import with_parameters
from seqlm.cli.options.vector_options import FORMAT, SKIP, VECTORS
from seqlm.errors import UsageError
from seqlm.evaluation.bias.bias_settings import WeatSettings
from seqlm.settings import setting

if TYPE_CHECKING:
    from seqlm.evaluation.bias.bias_direction import BiasDirection
    from seqlm.runs.loading.load_vectors import LoadedVectors


def with_options(*groups: type) -> Callable[[Callable[..., None]], Callable[..., Any]]:
    """Gives a command the options of `groups`, which it takes as **values."""
    return with_parameters(in_sections(p for group in groups for p in parameters_of(group)))


@dataclass(frozen=True)
class VectorsOptions:
    """The options of every command."""

    model: Annotated[str | None, VECTORS] = None
    json: Annotated[bool, console.JSON_LINES] = False
    quiet: Annotated[bool, console.QUIET] = False
    debug: Annotated[bool, console.DEBUG] = False


@dataclass(frozen=True)
class DirectionOptions:
    """The direction of a bias."""

    pairs: Annotated[
        str | None,
        flag(
            "--pairs",
            help="Pairs of words that differ in the bias, two words a line; the name gender stands"
            " for ten pairs, as she and he.",
            metavar="FILE|gender",
            autocompletion=lambda: ["gender"],
            rich_help_panel="Input",
        ),
    ] = None
    direction: Annotated[
        str | None,
        flag(
            "--direction",
            help="One such pair, with a comma between the words, as she,he. The first word is on"
            " the positive side.",
            metavar="WORD,WORD",
            rich_help_panel="Input",
        ),
    ] = None
    method: Literal["pca", "difference"] = setting(
        "pca", "Direction of several pairs: what their differences have most in common (pca), or"
        " the difference of the means of both sides (difference).", section="Metrics",
    )  # fmt: skip

    @property
    def is_given(self) -> bool:
        return self.pairs is not None or self.direction is not None

    def read_pairs(self) -> list[tuple[str, str]]:
        """Errors: UsageError where there are none, or both options, or no such file; DataError."""
        from seqlm.evaluation.bias.word_sets import read_pairs

        if self.pairs is not None and self.direction is not None:
            raise UsageError("`pairs` and `direction` both give a direction: leave out one of them")
        if self.pairs is not None:
            return read_pairs(self.pairs)
        if self.direction is None:
            raise UsageError("a bias has a direction: give `pairs` or `direction`")
        words = [word.strip() for word in self.direction.split(",")]
        if len(words) != 2 or not all(words) or words[0] == words[1]:
            raise UsageError(
                f"`direction={self.direction}`: it takes two different words with a comma between"
                " them, as she,he"
            )
        return [(words[0], words[1])]

    def find(self, table: LoadedVectors, pairs: list[tuple[str, str]]) -> BiasDirection:
        """The direction of `pairs` in a table; says what it is of. Errors: DataError."""
        from seqlm.evaluation.bias.bias_direction import find_direction

        found = find_direction(table, pairs, self.method)
        if found.words.missing:
            console.warn(
                "pairs with a word that has no vector are left out:"
                f" {', '.join(found.words.missing)}"
            )
        number = len(found.words.pairs)
        if number > 1:
            console.say(
                f"direction: {number:,} pairs, {100 * found.share:.0f} % of whose differences lie"
                " along it"
            )
        return found


@dataclass(frozen=True)
class MostBiasedOptions:
    """The words that lie farthest along the direction."""

    most_biased: int | None = setting(
        None, "Number of words to each side of the direction, those that lie farthest.",
        none_text="500, or a tenth of the words if that is less", low=5, metavar="N",
        section="Metrics",
    )  # fmt: skip
    keep: Annotated[
        str | None,
        input_flag(
            "--keep",
            "Words that are biased by their meaning, as queen, with white space between them. They"
            " are not neutral, and neither are the words of the direction.",
        ),
    ] = None
    vocabulary: int = setting(
        50_000, "Take biased words from the first N words, which are the most frequent.", low=1,
        metavar="N", section="Model",
    )  # fmt: skip

    def words_to_keep(self) -> list[str]:
        """Errors: DataError where the file cannot be read, or has no words."""
        from seqlm.evaluation.bias.word_sets import read_words

        return [] if self.keep is None else read_words(self.keep)


@dataclass(frozen=True)
class WordLabelOptions:
    """Words with a label."""

    labels: Annotated[
        str | None,
        input_flag("--labels", "Words with labels: a word, a tab and its label a line."),
    ] = None
    lists: Annotated[
        str | None,
        flag(
            "--lists",
            help="Lists of words, two or more with commas between them, each in a file whose name"
            " is the label of its words.",
            metavar="FILE,FILE",
            rich_help_panel="Input",
        ),
    ] = None

    def read(self) -> dict[str, str] | None:
        """The label of each word, or None where there are none. Errors: UsageError where both
        options are given; DataError."""
        from seqlm.evaluation.bias.word_sets import labels_of_lists, read_labels

        if self.labels is not None and self.lists is not None:
            raise UsageError("`labels` and `lists` both give labels: leave out one of them")
        if self.labels is not None:
            return read_labels(self.labels)
        if self.lists is None:
            return None
        return labels_of_lists([name.strip() for name in self.lists.split(",")])


@dataclass(frozen=True)
class ComparisonOptions(WeatSettings):
    """The figures of before and after."""

    test: Annotated[
        list[str] | None,
        flag(
            "--test",
            help="Test of association to print before and after: a published one, as weat7, or a"
            " file of sets of words. Several are given with several such options. [default: weat6,"
            " weat7 and weat8 with --pairs gender]",
            metavar="NAME|FILE",
            rich_help_panel="Input",
        ),
    ] = None


@dataclass(frozen=True)
class FileOptions:
    """The file of new vectors."""

    output: Annotated[
        str | None,
        flag(
            "-o",
            "--output",
            help="File of the new vectors; .gz compresses it. [default: none, only figures are"
            " printed]",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None
    to: Annotated[str, FORMAT] = "word2vec"
    skip: Annotated[bool, SKIP] = False
    overwrite: Annotated[bool, console.OVERWRITE] = False
