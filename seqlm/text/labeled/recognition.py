"""Which format a labeled text has, by its first lines.

A format is recognized by what makes it different from the others: the ten columns of CoNLL-U, the
same number of columns on most lines, a tag at every word, a mark of fastText, an object of JSON, a
header that names a column `text` or `label`, or a tab on each line.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from seqlm.errors import DataError
from seqlm.text.labeled.formats.conllu import COLUMNS, GLOBAL_COLUMNS
from seqlm.text.labeled.formats.label_lines import PREFIX
from seqlm.text.labeled.formats.token_columns import DOCUMENT_START, cells_of
from seqlm.text.labeled.record import SPACE, TaskName, words_of

FIRST_LINES = {"tagging": 200, "classification": 20}
"""At most so many lines are looked at, without blank ones."""
FEW_LINES, MANY_LINES = 3, 10
"""So many lines have the same number of words by their format, and not by chance: with a blank line
behind them, and without."""
ID = re.compile(r"[0-9]+([-.][0-9]+)?")
COMMENT = re.compile(r"# *(sent_id|text|newdoc|newpar)\b")
COLUMN_NAME = re.compile(r"\w[\w .:/-]{,40}")
LOOKS = {
    "tagging": "conllu (ten columns with tabs between them), columns (a token and its tags on a"
    " line, and a blank line after each sentence), word-tag (The_DT dog_NN, a sentence on a line)",
    "classification": "label-text (the label, a tab and the text), fasttext (__label__x, then"
    " the text), csv and tsv (with a header that names a text and a label), jsonl (an object on a"
    " line)",
}


def take_first_lines(lines: Iterator[str], task: TaskName) -> list[str]:
    """The first of `lines`, as many as it takes to recognize their format.

    Of tagged text that is up to the end of a sentence, behind a few lines.
    """
    taken, content = [], 0
    for line in lines:
        taken.append(line)
        if line.strip(SPACE):
            content += 1
        elif task == "tagging" and content >= FEW_LINES:
            break
        if content == FIRST_LINES[task]:
            break
    return taken


def recognize_format(
    first_lines: Sequence[str], task: TaskName, labels_needed: bool = True, file: str = "the text"
) -> str:
    """The name of the format that a text with these first lines has.

    Lines of no other format are `text`, unless labels are needed. Errors: DataError.
    """
    content = [line for line in first_lines if line.strip(SPACE)]
    if not content:
        name = "text"
    elif task == "tagging":
        name = recognize_tagged(content, len(content) < len(first_lines), labels_needed)
    else:
        name = recognize_classified(content)
    if name == "text" and labels_needed:
        raise DataError(
            f"{file} has labels in no format that is recognized: {LOOKS[task]}; say which by"
            " `format`"
        )
    return name


def recognize_tagged(lines: list[str], has_blank_line: bool, labels_needed: bool) -> str:
    """Sentences can have the same number of words by chance, so that more has to speak for columns
    where they may be without labels."""
    if is_conllu(lines):
        return "conllu"
    if all(has_tag(word) for line in lines for word in words_of(line)):
        return "word-tag"
    has_tabs = sum("\t" in line for line in lines) > len(lines) / 2
    if has_tabs or lines[0].startswith(DOCUMENT_START):
        return "columns"
    widths = Counter(len(cells_of(line)) for line in lines)
    share = max(widths.values()) / len(lines)
    is_long = len(lines) >= (FEW_LINES if has_blank_line else MANY_LINES)
    if labels_needed:
        is_columns = share > 0.5 and (has_blank_line or is_long)
    else:
        is_columns = share == 1 and is_long
    return "columns" if is_columns else "text"


def is_conllu(lines: list[str]) -> bool:
    if any(map(COMMENT.match, lines)) or GLOBAL_COLUMNS.match(lines[0]):
        return True
    cells = next((line.split("\t") for line in lines if not line.startswith("#")), [""])
    return len(cells) == len(COLUMNS) and ID.fullmatch(cells[0]) is not None


def has_tag(word: str) -> bool:
    token, _, tag = word.rpartition("_")
    return bool(token and tag)


def recognize_classified(lines: list[str]) -> str:
    if any(line.lstrip(SPACE).startswith(PREFIX) for line in lines):
        return "fasttext"
    if lines[0].lstrip(SPACE).startswith(("{", "[")) and lines[0].rstrip(SPACE).endswith(
        ("}", "]")
    ):
        return "jsonl"
    if is_table(lines, "\t", 3):
        return "tsv"
    if is_table(lines, ",", 2):
        return "csv"
    return "label-text" if sum("\t" in line for line in lines) > len(lines) / 2 else "text"


def is_table(lines: list[str], separator: str, least: int) -> bool:
    """Whether the first line is a header: it names `text` or `label`, or at least so many columns
    as all rows have."""
    try:
        header, *rows = csv.reader([f"{line}\n" for line in lines], delimiter=separator)
    except csv.Error:
        return False
    if len(header) < 2 or not all(map(COLUMN_NAME.fullmatch, header)):
        return False
    complete = rows[:-1] or rows  # lines may end inside the last
    is_regular = bool(rows) and all(len(row) == len(header) for row in complete)
    return bool({"text", "label"} & {*header}) or (len(header) >= least and is_regular)
