"""The vectors of sentences on standard output: tab-separated values, or an object a sentence.

    sentence  word  x1   x2 …         of each word; without the column `word`, of each sentence
    1         the   0.5  -0.25 …

A number is the shortest decimal that reads back as the same float32.
"""

from __future__ import annotations

import csv
import io
import json as json_module
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from seqlm.runs.vector_files.shortest_decimals import spell_rows

if TYPE_CHECKING:
    from seqlm.decoding.embed_sentences import EmbeddedSentence


def table_of_words(embedded: Iterable[EmbeddedSentence], width: int) -> Iterator[str]:
    """The header, and the lines of each sentence."""
    yield header(["sentence", "word"], width)
    for number, sentence in enumerate(embedded, 1):
        rows = zip(sentence.words, spell_rows(sentence.vectors))
        yield "".join(f"{number}\t{quote(word)}{tabs(row)}\n" for word, row in rows)


def table_of_sentences(embedded: Iterable[EmbeddedSentence], width: int) -> Iterator[str]:
    """The header, and the line of each sentence."""
    yield header(["sentence"], width)
    for number, sentence in enumerate(embedded, 1):
        (row,) = spell_rows(sentence.mean()[None])
        yield f"{number}{tabs(row)}\n"


def objects(embedded: Iterable[EmbeddedSentence], by_word: bool) -> Iterator[str]:
    """The object of each sentence: its number, its words and the vectors of these, or its own."""
    for number, sentence in enumerate(embedded, 1):
        start = json_module.dumps(
            {"sentence": number, "words": list(sentence.words)}, ensure_ascii=False
        )
        vectors = sentence.vectors if by_word else sentence.mean()[None]
        lists = [f"[{row[1:].decode().replace(' ', ', ')}]" for row in spell_rows(vectors)]
        end = f'"vectors": [{", ".join(lists)}]' if by_word else f'"vector": {lists[0]}'
        yield f"{start[:-1]}, {end}}}\n"


def header(columns: list[str], width: int) -> str:
    return "\t".join([*columns, *(f"x{number + 1}" for number in range(width))]) + "\n"


def tabs(row: bytes) -> str:
    return row.decode().replace(" ", "\t")


def quote(word: str) -> str:
    """A word as a cell of the tables that `records.py` prints."""
    if '"' not in word:
        return word
    cell = io.StringIO()
    csv.writer(cell, csv.excel_tab, lineterminator="").writerow([word])
    return cell.getvalue()
