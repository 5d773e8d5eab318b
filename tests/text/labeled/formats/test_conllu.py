"""CoNLL-U: the words and their columns, what is no word, and what is refused."""

from __future__ import annotations

import pytest

from seqlm.errors import SeqlmError, UsageError
from seqlm.text.labeled.formats.conllu import COLUMNS
from tests.text.labeled.examples import CONLLU, read, sentences, tabs, written


def read_slowly(text: str) -> list[dict[str, list[str]]]:
    """The columns of each sentence, line by line."""
    found: list[dict[str, list[str]]] = []
    for block in text.split("\n\n"):
        columns: dict[str, list[str]] = {}
        for line in block.strip("\n").split("\n"):
            if line[:1].isdigit() and line.split("\t")[0].isdigit():
                for name, cell in zip(COLUMNS, line.split("\t")):
                    columns.setdefault(name, []).append(cell)
        found += [columns] if columns else []
    return found


def test_words_have_ten_columns() -> None:
    first, second = sentences("tagging", "conllu", CONLLU, labels_needed=True)
    assert [first.columns, second.columns] == read_slowly(CONLLU)
    assert first.tokens == ["Herons", "do", "n't", "eat", "10 000", "frogs"]
    assert first.columns["upos"] == ["NOUN", "AUX", "PART", "VERB", "NUM", "NOUN"]
    assert [first.lines[place].split("\t")[1] for place in first.places] == first.tokens
    assert second.tokens == ["Réeds\u00a0"]
    assert (first.line, second.line) == (1, 13)
    assert first.format.label_column == "upos"


def test_long_sentences_are_numbered_too() -> None:
    text = "".join(f"{n}\ta{n}" + "\tX" * 8 + "\n" for n in range(1, 1500)) + "\n"
    assert len(sentences("tagging", "conllu", text)[0].tokens) == 1499


def test_only_the_cells_of_the_words_change() -> None:
    records = read("tagging", "conllu", CONLLU, label_column="xpos")
    assert records[0].format.label_column == "xpos"
    text = written(
        records, xpos=[["X1", "X2", "X3", "X4", "X5", "X6"], ["X7"]], misc=[["m"] * 6, ["m"]]
    )
    for old, new in zip(CONLLU.split("\n"), text.split("\n"), strict=True):
        old_cells, new_cells = old.split("\t"), new.split("\t")
        if old_cells[0].isdigit():
            assert new_cells == [*old_cells[:4], new_cells[4], *old_cells[5:9], "m"]
            assert new_cells[4].startswith("X")
        else:
            assert new == old
    with pytest.raises(
        UsageError, match=r"no column 'tag' \(label_column\); there are id, form, lemma"
    ):
        written(records, tag=[["X"] * 6, ["X"]])


def test_columns_of_conllu_plus_have_their_own_names() -> None:
    text = "# global.columns = ID FORM UPOS PARSEME:MWE\n" + tabs("1 eats VERB *\n\n")
    (record,) = sentences("tagging", "conllu", text, labels_needed=True, label_column="parseme:mwe")
    assert record.columns == {
        "id": ["1"], "form": ["eats"], "upos": ["VERB"], "parseme:mwe": ["*"]
    }  # fmt: skip
    assert written([record], upos=[["X"]]) == text.replace("VERB", "X")


ROW = tabs("1 frog frog NOUN NN _ 0 root _ _\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{ROW}2 sings\n", "line 2: 1 columns, where conllu has 10 separated by tabs"),
        (f"{ROW}\t\x1c\n", "line 2: 2 columns, where"),
        (f"{ROW}{ROW}", "line 2: the id is '1', and that of the next word of the sentence is 2;"),
        (
            f"# a\n\nx{ROW}",
            "line 3: the id is 'x1', and that of the next word of the sentence is 1",
        ),
        (f"٣{ROW[1:]}", "line 1: the id is '٣'"),
        (ROW.replace("1\tfrog", "1\t"), "line 1: the form is empty"),
        (ROW.replace("NOUN", "_"), "line 1: the word has no upos; leave the sentence out, or name"),
        (ROW.replace("NOUN", ""), "line 1: the word has no upos"),
        ("# global.columns = ID FORM\n1\ta\n", "no column 'upos' (label_column); there are id, fo"),
        ("# global.columns = FORM UPOS\na\tX\n", "line 1: global.columns begins with ID"),
        ("# global.columns = ID UPOS\n1\tX\n", "line 1: global.columns names no column FORM"),
        ("# global.columns = ID FORM FORM\n", "line 1: global.columns begins with ID, and names n"),
    ],
)
def test_what_is_no_conllu_is_refused_by_its_line(text: str, message: str) -> None:
    with pytest.raises(SeqlmError) as error:
        read("tagging", "conllu", text, labels_needed=True)
    assert message in str(error.value)


def test_a_column_that_may_be_empty_has_the_label_of_nothing() -> None:
    (record,) = sentences("tagging", "conllu", ROW, labels_needed=True, label_column="feats")
    assert record.columns["feats"] == ["_"]
    (record,) = sentences("tagging", "conllu", ROW.replace("NOUN", "_"))
    assert record.columns["upos"] == ["_"]
