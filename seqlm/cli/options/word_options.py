"""The surprisal of words: the options of `eval` that choose the table, its items and its models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from seqlm.cli.console import flag
from seqlm.settings import setting

DEFAULT_TEXT_COLUMN = "sentence"


@dataclass(frozen=True)
class WordOptions:
    """The options of the table of words."""

    table: str | None = setting(
        None, "Table of items to score, each row on its own: tab-separated, or with commas where"
        " the name ends in .csv. The other columns are printed before each word (`per_word`).",
        metavar="FILE", section="Input",
    )  # fmt: skip
    text_column: str | None = setting(
        None, "Column of the table that holds the text of an item, or a text with a label.",
        none_text=f"{DEFAULT_TEXT_COLUMN}, or text", metavar="NAME", section="Input",
    )  # fmt: skip
    per_word: Annotated[
        bool,
        flag(
            "--per-word",
            help="Print the surprisal of every word, in bits, whatever the tokens of the model, as"
            " a table of tab-separated values.",
            rich_help_panel="Output",
        ),
    ] = False
    each: Annotated[
        bool,
        flag(
            "--each",
            help="Do not mix several models: with --per-word, print columns for each of them,"
            " whatever their vocabularies.",
            rich_help_panel="Output",
        ),
    ] = False
    entropy: bool = setting(
        True, "Print the entropy of the distribution before each word, and the word's rank in it"
        " (`per_word`).", section="Output",
    )  # fmt: skip
