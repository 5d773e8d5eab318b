"""Lists of words in files, whole and broken."""

from __future__ import annotations

import json

import pytest

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.bias.word_sets import (
    WordSets,
    labels_of_lists,
    published_word_sets,
    read_labels,
    read_pairs,
    read_tests,
    read_words,
)

FLOWERS = {"X": ["rose", "no"], "Y": ["ant", "1"], "A": ["love"], "B": ["jail", "ugly"]}


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "flowers.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


# ------------------------------------------------------------------------------------------- tests

SPELLED = [
    "X: rose no\nY: ant 1\nA: love\nB: jail ugly\n",
    "X: rose, no\nY: ant,1\n\nA: love # a comment\nB:\n  jail\n  ugly\n",
    "X:\t[rose, no]\nY: [ant, 1]\r\nA: [love]\nB: [jail, ugly]",
    "B: [jail, ugly]\nA: [love, love]\nY: ['ant', '1']\nX:\n- rose\n- 'no'\n",
    json.dumps(FLOWERS),
    json.dumps(FLOWERS, indent="\t"),
]


@pytest.mark.parametrize("text", SPELLED)
def test_a_test_in_every_spelling(text, write) -> None:
    """`no` and `1` are words, which YAML takes for other things."""
    assert read_tests(write(text)) == [WordSets("flowers", *FLOWERS.values())]


def test_several_tests_in_a_file(write) -> None:
    text = "".join(
        f"{name}:\n" + "".join(f"  {k}: {' '.join(v)}\n" for k, v in FLOWERS.items())
        for name in ("first", "2")
    )
    for spelled in (text, json.dumps({"first": FLOWERS, "2": FLOWERS})):
        assert [test.name for test in read_tests(write(spelled))] == ["first", "2"]
        assert read_tests(write(spelled))[1][1:] == (*FLOWERS.values(),)


def test_a_word_of_a_list_may_have_spaces(write) -> None:
    [test] = read_tests(write("X: [New York, Paris]\nY: [a b]\nA: c\nB: d\n"))
    assert (test.X, test.Y) == (["New York", "Paris"], ["a b"])


def test_the_published_tests() -> None:
    """The numbers of words of Caliskan et al. (2017), table 1, and some of the words."""
    sizes = {name: [*map(len, sets[1:])] for name, sets in published_word_sets().items()}
    assert sizes == {
        "weat1": [25] * 4, "weat2": [25] * 4, "weat6": [8] * 4, "weat7": [8] * 4,
        "weat8": [8] * 4, "weat9": [6, 6, 7, 7], "weat10": [8] * 4,
    }  # fmt: skip
    [test] = read_tests("weat8")
    assert test.X[4:6] == ["Einstein", "NASA"]
    assert test.B[:3] == ["sister", "mother", "aunt"]


def test_a_file_is_preferred_to_a_published_test(write, tmp_path, monkeypatch) -> None:
    write(SPELLED[0], "weat1")
    monkeypatch.chdir(tmp_path)
    assert read_tests("weat1")[0].X == ["rose", "no"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no sets of words: these are"),
        ("rose tulip\n", "has no sets of words: these are"),
        ("- X\n- Y\n", "has no sets of words: these are"),
        ("X: a\nY: b\nA: c\n", "flowers.yaml: the sets are X, Y, A; they must be X, Y, A and B"),
        ("X: a\nY: b\nA: c\nB: d\nC: e\n", "the sets are X, Y, A, B, C; they must be"),
        ("X: a\nY: b\nA: c\nB: ''\n", "flowers.yaml: B has no words"),
        ("X: a\nY: b\nA: c\nB:\n", "flowers.yaml: B has no words"),
        ("X: a\nY: b\nA: c\nB: []\n", "flowers.yaml: B has no words"),
        ("X: a\nY: b\nA: c\nB: [[d]]\n", r"B is \[\['d'\]\]; it must be a list of words"),
        ("X: a b\nY: c b\nA: c\nB: d\n", "X and Y share 'b', which can be on one side"),
        ("X: a\nY: b\nA: c d\nB: d\n", "A and B share 'd', which can be on one side"),
        ("X: a\nY: b\nA: c\nX: e\n", "line 4: 'X' comes twice"),
        ("one: {X: a}\n", "test one: the sets are X; they must be"),
        ("one: {X: a, Y: b, A: c, B: d}\ntwo: x\n", "test two: the sets are 'x'; they must be"),
        ("X: &x [a]\nY: *x\n", "line 2: an alias, .x, is not allowed"),
        ("X: !!python/object:os.system a\n", "line 1: a tag"),
        ("X: [a\n", "has no sets of words: .*expected"),
        ("X: a\x07\n", "has no sets of words: "),
        ("[" * 100, "nested too deeply"),
        ("? [X]\n: a\n", "has no sets of words: "),
    ],
)
def test_what_is_wrong_is_one_line(text, message, write) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_tests(write(text))
    assert "\n" not in str(error.value)
    assert "flowers.yaml" in str(error.value)


def test_a_target_may_be_an_attribute_of_another_test(write) -> None:
    """Only the two sides of a set are opposites."""
    assert read_tests(write("X: a\nY: b\nA: a c\nB: b\n"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weat11", "no file and no published test 'weat11'; did you mean 'weat1"),
        ("x\0y", "no file and no published test"),
        (".", "no file and no published test '.'; there are weat1, weat2, weat6"),
    ],
)
def test_there_is_no_such_test(name, message) -> None:
    with pytest.raises(UsageError, match=message):
        read_tests(name)


# --------------------------------------------------------------------------- pairs, lists, labels


def test_pairs(write) -> None:
    assert read_pairs(write("she he\n\nher,his\r\n  a\tb  \n")) == [
        ("she", "he"), ("her", "his"), ("a", "b"),
    ]  # fmt: skip
    published = read_pairs("gender")
    assert len(published) == 10
    assert {("she", "he"), ("Mary", "John")} < set(published)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("she he\nshe he it\n", "line 2: 'she he it' is no pair of two different words"),
        ("she\n", "line 1: 'she' is no pair"),
        ("she she\n", "line 1: 'she she' is no pair"),
        ("\n \n", "has no pairs"),
    ],
)
def test_what_is_no_pair(text, message, write) -> None:
    with pytest.raises(DataError, match=message):
        read_pairs(write(text))


def test_there_are_no_such_pairs() -> None:
    with pytest.raises(UsageError, match="no published pairs 'sex'; there are gender"):
        read_pairs("sex")


def test_words(write) -> None:
    assert read_words(write("nurse\ndoctor nurse\n\n")) == ["nurse", "doctor"]
    with pytest.raises(DataError, match="has no words"):
        read_words(write("\n \n"))
    with pytest.raises(DataError, match=r"no file nurses\.txt"):
        read_words("nurses.txt")


def test_labels(write) -> None:
    assert read_labels(write("she\tf\nhe\tm\n\nshe\tf\nNew York\tcity\n")) == {
        "she": "f", "he": "m", "New York": "city",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("she f\n", "line 1: 'she f' is no word and label with a tab between them"),
        ("she\tf\tm\n", "line 1: 'she.tf.tm' is no word and label"),
        ("she\tf\nhe\t\n", "line 2: 'he.t' is no word and label"),
        ("she\tf\nhe\tm\nshe\tm\n", "line 3: 'she' is m here and f before"),
    ],
)
def test_what_is_no_label(text, message, write) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(write(text))


def test_labels_of_lists_are_the_names_of_files(write) -> None:
    first, second = write("she her", "female.txt"), write("he", "male.txt")
    assert labels_of_lists([first, second]) == {"she": "female", "her": "female", "he": "male"}
    with pytest.raises(UsageError, match="two lists are called male"):
        labels_of_lists([second, write("him", "male.list")])
    with pytest.raises(DataError, match="share the word 'he'"):
        labels_of_lists([second, write("he", "both.txt")])
