"""Lists of words: the published ones, and those of files.

    X: aster clover hyacinth        sets of a test of association, as YAML or JSON; a set is a list,
    Y: ant, caterpillar, flea       or words with white space or commas between them
    A: [caress, freedom]
    B: [abuse, crash]

    flowers: {X: .., Y: .., A: .., B: ..}       several tests in one file, each with its name

    woman man                       pairs: two words a line, white space or a comma between them
    programmer                      a list: words with white space between them
    nurse<TAB>female                labels: a word and its label a line

The tests `weat1`, .. of Caliskan et al. (2017) and the ten pairs `gender` of Bolukbasi et al.
(2016) are files of this kind, in `published/`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from seqlm.arguments import check_path, each_of, list_texts
from seqlm.errors import DataError, ModelError, UsageError, did_you_mean, shown
from seqlm.runs.untrusted.plain_files import check_events, fault_in_yaml
from seqlm.text.reading import read_lines, short_name

PUBLISHED = files("seqlm.evaluation.bias") / "published"
PUBLISHED_PAIRS = ("gender",)
SETS = ("X", "Y", "A", "B")
OPPOSITES = (("X", "Y"), ("A", "B"))
"""Sets that have no word in common."""
SEPARATOR = re.compile(r"[,\s]+")
LONGEST = 1 << 20
"""Bytes of a line; a longer one is no list of words."""


class WordSets(NamedTuple):
    """A test of association: the targets X and Y, and the attributes A and B."""

    name: str
    X: list[str]
    Y: list[str]
    A: list[str]
    B: list[str]


# ----------------------------------------------------------------------------- tests of association


@cache
def published_word_sets() -> dict[str, WordSets]:
    """The tests of Caliskan et al. (2017) by name."""
    text = (PUBLISHED / "weat.yaml").read_text(encoding="utf-8")
    return {sets.name: sets for sets in parse_word_sets(text, "weat.yaml")}


def read_tests(source: str) -> list[WordSets]:
    """The tests of a file, or the published one of that name.

    Errors: UsageError where there is neither; DataError where a file has no such sets.
    """
    if is_there(source):
        text = "\n".join(read_lines([source], "refuse", longest=LONGEST))
        return parse_word_sets(text, source)
    published = published_word_sets()
    if source in published:
        return [published[source]]
    raise UsageError(f"no file and no published test {source!r}{did_you_mean(source, published)}")


def as_word_sets(test: str | PathLike[str] | Mapping[str, Sequence[str]]) -> WordSets:
    """One test: the sets X, Y, A and B by letter, a file of them, or the name of a published test.

    Errors: those of `read_tests`; UsageError where a file has several.
    """
    if isinstance(test, Mapping):
        sets = {
            letter: words if isinstance(words, str) else list_texts(f"test[{letter!r}]", words)
            for letter, words in test.items()
        }
        return sets_of(sets, "test", "the test")
    source = check_path("test", test)
    tests = read_tests(source)
    if len(tests) > 1:
        names = ", ".join(each.name for each in tests)
        raise UsageError(f"{source} has several tests, {names}: give the sets of one of them")
    return tests[0]


def is_there(source: str) -> bool:
    """Whether `source` is a file, or a pipe, and no name."""
    path = Path(source)
    try:
        return path.exists() and not path.is_dir()
    except ValueError:  # a null byte
        return False


class WordLoader(yaml.BaseLoader):
    """YAML whose words are words: `no` and `1` too. A name that comes twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names: list[Any] = []
        for key, _ in node.value:
            if key.value in names:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: {shown(key.value)} comes twice")
            names.append(key.value)
        return super().construct_mapping(node, deep)


def parse_word_sets(text: str, source: str) -> list[WordSets]:
    """The tests that `text` spells. Errors: DataError naming `source` and what is wrong."""
    text = text.replace("\t", " ")  # which YAML does not allow everywhere
    try:
        check_events(yaml.parse(text, Loader=WordLoader), source)
        value = yaml.load(text, Loader=WordLoader)
    except ModelError as error:
        raise DataError(error.marked) from None
    except yaml.YAMLError as error:
        raise DataError(f"{source} has no sets of words{fault_in_yaml(error)}") from None
    if not isinstance(value, dict):
        raise DataError(
            f"{source} has no sets of words: these are lines as X: rose tulip, of X, Y, A and B"
        )
    if any(isinstance(part, dict) for part in value.values()):
        return [sets_of(part, name, f"{source}, test {name}") for name, part in value.items()]
    return [sets_of(value, short_name(source), source)]


def sets_of(value: Any, name: str, where: str) -> WordSets:
    """Errors: DataError where the sets are not X, Y, A and B, or one has no words, or two share a
    word that has to be on one side."""
    if not isinstance(value, dict) or set(value) != set(SETS):
        found = ", ".join(map(str, value)) if isinstance(value, dict) else shown(value)
        raise DataError(f"{where}: the sets are {found or 'missing'}; they must be X, Y, A and B")
    sets = WordSets(name, *(words_of(value[letter], letter, where) for letter in SETS))
    for one, other in OPPOSITES:
        others = set(getattr(sets, other))
        for word in getattr(sets, one):
            if word in others:
                raise DataError(
                    f"{where}: {one} and {other} share {shown(word)}, which can be on one side"
                )
    return sets


def words_of(value: Any, letter: str, where: str) -> list[str]:
    """The words of a set, each once."""
    if isinstance(value, str):
        value = split_words(value)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise DataError(f"{where}: {letter} is {shown(value)}; it must be a list of words")
    words = list(dict.fromkeys(word for word in value if word))
    if not words:
        raise DataError(f"{where}: {letter} has no words")
    return words


def split_words(text: str) -> list[str]:
    """
    >>> split_words("rose, tulip  daisy")
    ['rose', 'tulip', 'daisy']
    """
    return [word for word in SEPARATOR.split(text) if word]


# -------------------------------------------------------------------------- pairs, lists and labels


def read_pairs(source: str) -> list[tuple[str, str]]:
    """The pairs of a file, or the published ones of that name.

    Errors: UsageError where there is neither; DataError naming the line that is no pair.
    """
    if is_there(source):
        lines = read_lines([source], "refuse", longest=LONGEST)
    elif source in PUBLISHED_PAIRS:
        lines = iter((PUBLISHED / f"{source}.txt").read_text(encoding="utf-8").splitlines())
    else:
        near = did_you_mean(source, PUBLISHED_PAIRS)
        raise UsageError(f"no file and no published pairs {source!r}{near}")
    pairs = []
    for number, line in enumerate(lines, 1):
        words = split_words(line)
        if len(words) == 2 and words[0] != words[1]:
            pairs.append((words[0], words[1]))
        elif words:
            raise DataError(
                f"{source}, line {number}: {shown(line)} is no pair of two different words"
            )
    if not pairs:
        raise DataError(f"{source} has no pairs")
    return pairs


def as_pairs(pairs: str | PathLike[str] | Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of words, or those of `read_pairs`. Errors: those; UsageError on what is no pair."""
    if isinstance(pairs, str | PathLike):
        return read_pairs(check_path("pairs", pairs))
    given = each_of("pairs", pairs, (), "the name of a file, or pairs of words")
    found = [tuple(list_texts(place, pair)) for place, pair in given]
    for pair in found:
        if len(pair) != 2 or pair[0] == pair[1]:
            raise UsageError(f"{shown(pair)} is no pair of two different words")
    if not found:
        raise UsageError("there are no pairs")
    return [(first, second) for first, second in found]


def read_words(source: str) -> list[str]:
    """The words of a file, each once. Errors: DataError where there are none, or no file."""
    lines = read_lines([source], "refuse", longest=LONGEST)
    words = list(dict.fromkeys(word for line in lines for word in line.split()))
    if not words:
        raise DataError(f"{source} has no words")
    return words


def read_labels(source: str) -> dict[str, str]:
    """The label of each word of a file.

    Errors: DataError naming the line that is no word and label, or gives a word a second label.
    """
    labels: dict[str, str] = {}
    for number, line in enumerate(read_lines([source], "refuse", longest=LONGEST), 1):
        if not line.strip():
            continue
        word, label = word_and_label(line, f"{source}, line {number}")
        if labels.setdefault(word, label) != label:
            raise DataError(
                f"{source}, line {number}: {shown(word)} is {label} here and {labels[word]} before"
            )
    return labels


def word_and_label(line: str, where: str) -> tuple[str, str]:
    """Errors: DataError."""
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) != 2 or not all(fields):
        raise DataError(f"{where}: {shown(line)} is no word and label with a tab between them")
    return fields[0], fields[1]


def labels_of_lists(sources: Sequence[str]) -> dict[str, str]:
    """The label of each word of several lists is the name of its file.

    Errors: those of `read_words`; UsageError where two files have one name; DataError where two
    share a word.
    """
    labels: dict[str, str] = {}
    names = [short_name(source) for source in sources]
    for source, name in zip(sources, names):
        if names.count(name) > 1:
            raise UsageError(f"two lists are called {name}, which would be the label of both")
        for word in read_words(source):
            if labels.setdefault(word, name) != name:
                raise DataError(f"{source} and {labels[word]} share the word {shown(word)}")
    return labels
