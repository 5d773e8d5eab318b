"""The format of a text by its first lines."""

from __future__ import annotations

from typing import Any

import pytest

from seqlm.errors import DataError
from seqlm.text.labeled.recognition import FIRST_LINES, recognize_format, take_first_lines
from tests.text.labeled.examples import EXAMPLES, tabs

SENTENCES = "The heron waits .\nThe heron waits .\nFrogs sing .\n"
ROWS = "\n".join(f"{n},Pond {n} is deep,pos" for n in range(30))


def recognize(text: str, task: Any, needed: bool = True) -> str:
    lines = iter(text.removesuffix("\n").split("\n"))
    return recognize_format(take_first_lines(lines, task), task, needed)


@pytest.mark.parametrize(("task", "name"), EXAMPLES)
def test_each_example_is_recognized(task: Any, name: str) -> None:
    assert recognize(EXAMPLES[task, name], task, needed=False) == name
    if name == "text":
        with pytest.raises(DataError, match="the text has labels in no format"):
            recognize(EXAMPLES[task, name], task)
    else:
        assert recognize(EXAMPLES[task, name], task) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        # A broken line shows only once its format is known.
        ("# sent_id = 1\n1\tThe\n\n", "conllu"),
        (tabs("1 a a DET DT _ 2 det _ _\n2 frog\n\n"), "conllu"),
        ("# global.columns = ID FORM UPOS\n1\tfrog\tNOUN\n\n", "conllu"),
        ("-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n", "columns"),
        ("SOCCER NN O\n\nEU NNP B\nrejects VBZ O\n\n", "columns"),
        ("The\tDT", "columns"),
        ("New York\tPLACE\nis\tO\n", "columns"),
        ("word DT\n" * 12, "columns"),
        ("a_DT", "word-tag"),
        ("The_DT dog_NN\n\nIt_PRP barks_VBZ ._.\n", "word-tag"),
        ("The_DT dog_NN\nIt_PRP barks ._.\n", "text"),
        ("The\nfrog\n\nA\n\n", "columns"),
        ("The\nfrog\n\n", "text"),
        ("The heron waits .\nA frog sings .\n\n", "text"),
        ("word\n" * 9, "text"),
        ("word\n" * 10, "columns"),
        ("word\n" * 10 + "two words\n", "text"),
        ("-DOCSTART- -X- O\n", "columns"),
        (SENTENCES, "text"),
        (SENTENCES * 10, "text"),
        ("The heron waits .\n\nA frog .\n", "text"),
        ("_", "text"),
        ("", "text"),
    ],
)
def test_tagged_text(text: str, name: str) -> None:
    assert recognize(text, "tagging", needed=False) == name


def test_more_is_taken_for_columns_where_there_must_be_labels() -> None:
    for text in ("The DT\nfrog NN NN\nsings VB\n\n", "The DT\n\n", "a X\nb Y\nc\n" * 4):
        assert recognize(text, "tagging") == "columns"
        assert recognize(text, "tagging", needed=False) == "text"
    for text in (SENTENCES, "a X\nb\n\n"):
        with pytest.raises(DataError, match="no format that is recognized"):
            recognize(text, "tagging")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1\tA warm film .\n0\tNot much\n", "label-text"),
        ("pos\tA film\tin two parts\npos\tAnother\nneg\tNo\n", "label-text"),
        ("pos\tA film\nneg no tab\nneg\tNo\n", "label-text"),
        ("A film __label__pos is never seen first\n__label__neg No\n", "fasttext"),
        ('{"text": "a"}', "jsonl"),
        ('{"text": }', "jsonl"),
        ("text,label\nA warm film,pos\n", "csv"),
        ("review,sentiment\n" + "A warm film,pos\n" * 3, "csv"),
        (f"id,sentence,sentiment\n{ROWS}", "csv"),
        ("sentence\tlabel\nA warm film\t1\n", "tsv"),
        ("id\tsentence\tclass\n1\tA warm film\tpos\n2\tNo\tneg\n", "tsv"),
        ('label,text\npos,"a film\n' + "in many lines\n" * 30, "csv"),
        ("Yes, I do\nNo, I do not\n", "text"),
        ("A warm , funny film .\nNot much\n", "text"),
        (SENTENCES, "text"),
        ("\n\n", "text"),
    ],
)
def test_classified_text(text: str, name: str) -> None:
    assert recognize(text, "classification", needed=False) == name


def test_no_more_lines_are_read_than_are_needed() -> None:
    lines = iter(["", "a X", "", "b Y", "c Z", "", "d", "e"])
    assert take_first_lines(lines, "tagging") == ["", "a X", "", "b Y", "c Z", ""]
    assert list(lines) == ["d", "e"]
    for task, most in FIRST_LINES.items():
        assert len(take_first_lines(iter(["", *["word"] * 999]), task)) == 1 + most
