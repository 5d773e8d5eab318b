"""The figures of labels: the options of `eval` that say where gold labels are and what is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from seqlm.cli.console import flag
from seqlm.settings import setting


@dataclass(frozen=True)
class LabelOptions:
    """The options that are for taggers and classifiers only."""

    format: Literal[
        "conllu", "columns", "word-tag", "label-text", "fasttext", "csv", "tsv", "jsonl"
    ] | None = setting(
        None, "Format of the labeled text.",
        none_text="recognized by its content", section="Input",
    )  # fmt: skip
    label_column: str | None = setting(
        None, "Column of the gold labels; of several that the model predicts, all with commas"
        " between them.",
        none_text="that of the model", metavar="NAME,...", section="Input",
    )  # fmt: skip
    samples: int = setting(
        1000, "Bootstrap samples of the sentences, for the 95 % interval of each figure of labels"
        " and the p of a difference; 0 leaves them out.", low=0, high=10**6, section="Metrics",
    )  # fmt: skip
    per_class: Annotated[
        bool,
        flag(
            "--per-class",
            help="Print gold, predicted and correct numbers, precision, recall and F1 of every"
            " class or kind of spans, as a table of tab-separated values.",
            rich_help_panel="Output",
        ),
    ] = False
    confusion: Annotated[
        bool,
        flag(
            "--confusion",
            help="Print the confusion matrix of the labels as a table of the cells that are not 0:"
            " the errors, the most frequent first, and then the labels that are right.",
            rich_help_panel="Output",
        ),
    ] = False
    first_errors: int | None = setting(
        None, "Print the first N wrong labels, each with the words around it, as a table.",
        none_text="none", low=1, metavar="N", section="Output",
    )  # fmt: skip
