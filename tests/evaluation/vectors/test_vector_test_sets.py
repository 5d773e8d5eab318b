"""Files of analogies and of pairs of words: their formats, and what is none of them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from seqlm.errors import DataError
from seqlm.evaluation.vectors.vector_test_sets import (
    Analogy,
    Pair,
    VectorTestSet,
    read_test_set,
)

Read = Callable[[str | bytes], VectorTestSet]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str | bytes) -> VectorTestSet:
        path = tmp_path / "file"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_test_set(str(path))

    return read_text


def test_analogies_have_sections(read: Read) -> None:
    text = "\ufeffa b c d\r\n: family \r\n\r\nking queen man\twoman\n:gram1\n 1 2 3 4\n"
    assert read(text).analogies == [
        Analogy("", "a", "b", "c", "d"),
        Analogy("family", "king", "queen", "man", "woman"),
        Analogy("gram1", "1", "2", "3", "4"),
    ]
    assert read(text).pairs == []


def test_analogies_without_sections(read: Read) -> None:
    assert read("a b c d\ne f g h").analogies[1] == Analogy("", "e", "f", "g", "h")


@pytest.mark.parametrize(
    "text",
    [
        "tiger\tcat\t7.35\nold new\told\t-1e1\n",
        "# comment\n# Word 1\tWord 2\tHuman\ntiger\tcat\t7.35\n\nold new\told\t-10\n",
        "Word 1,Word 2,Human (mean)\ntiger,cat,7.35\nold new,old,-10\n",
        "word1\tword2\tPOS\tSimLex999\nold new\told\tA\t-10\ntiger\tcat\tN\t7.35\t1\t9.9\n",
        gzip.compress(b"tiger, cat, 7.35, 1, 2\r\nold new, old, -10\r\n"),
    ],
)
def test_pairs_of_many_formats(text: str | bytes, read: Read) -> None:
    found = read(text)
    assert found.analogies == []
    assert sorted(found.pairs) == [Pair("old new", "old", -10), Pair("tiger", "cat", 7.35)]


def test_pairs_with_spaces(read: Read) -> None:
    """Lines of four fields, as analogies have them, but one is a number; so has RW, and MEN."""
    assert read("sun-n  light-n 50.0\n").pairs == [Pair("sun-n", "light-n", 50)]
    assert read("word1 word2 POS mean\nold new A 1.58\n").pairs == [Pair("old", "new", 1.58)]
    assert read("old new A 1.58\n").pairs == [Pair("old", "new", 1.58)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file has neither analogies nor pairs of words: it is empty"),
        ("\n \n# x\n", "it is empty"),
        (": a\n: b\n", "file has sections and no analogies in them"),
        (
            ": a\nking queen man\n",
            "line 2: an analogy has four words, and 'king queen man' has 3",
        ),
        ("a b c d\n: x\na b c d e\n", "file, line 3: an analogy has four words"),
        ("king queen man\nking queen man\n", "file, line 2: .* is neither an analogy"),
        ("Call me Ishmael.\nSome years ago\n", "file, line 2: 'Some years ago' is neither"),
        ("one\n", "file, line 1: 'one' is neither"),
        ("a\tb\tc\n", "file has neither analogies nor pairs of words and their similarity"),
        ("a\tb\t1\na\tb\n", "file, line 2: .* is neither"),
        ("a\tb\tnan\na\tb\tnan\n", "file, line 2: .* is neither"),
        ("a\tb\t1\n\tb\t1\n", "file, line 2: .* is neither"),
        (b"a b c d\n\xff b c d\n", "file, line 2: invalid UTF-8 at byte 8"),
        (b"\xff\xfea\0", "is UTF-16LE text"),
        (b"\x1f\x8b\x08", "is truncated"),
    ],
)
def test_what_is_neither_is_said(text: str | bytes, message: str, read: Read) -> None:
    with pytest.raises(DataError, match=message):
        read(text)


def test_the_published_files(data: Path) -> None:
    folder = data / "vectors"
    analogies = read_test_set(str(folder / "questions-words.txt")).analogies
    assert len(analogies) == 19544
    assert len({analogy.section for analogy in analogies}) == 14
    assert sum(analogy.section.startswith("gram") for analogy in analogies) == 10675
    assert analogies[0][1:] == ("Athens", "Greece", "Baghdad", "Iraq")
    assert len(read_test_set(str(folder / "wordsim353.tsv")).pairs) == 353
    simlex = read_test_set(str(folder / "simlex999.txt")).pairs
    assert (len(simlex), simlex[0]) == (999, Pair("old", "new", 1.58))
