"""`seqlm check`: what is in labeled text, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

from seqlm.cli import console
from seqlm.cli.console import input_flag
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.setting_options import parameter_of, with_parameters
from seqlm.cli.records import RecordWriter
from seqlm.errors import UsageError
from seqlm.training.config.defaults import TRAINING

TASK = replace(
    TRAINING["task"],
    help="Tagging, a label for each word, or classification, one for each text.",
    choices=("tagging", "classification"),
    metavar="tagging|classification",
    default=None,
    optional=True,
    none_text="recognized by the first file",
)
SETTINGS = [TASK, *(TRAINING[name] for name in ("format", "label_column", "text_column"))]

EXAMPLES = [
    Example(
        "Print what is in a text whose words have tags",
        "printf 'The_DT frog_NN sings_VBZ\\nFrogs_NNS sing_VBP\\n' | seqlm check",
    ),
    Example(
        "Find texts that occur twice, with one label or with two",
        "printf 'good\\ta warm film\\nbad\\ta cold film\\nbad\\ta warm film\\n' |"
        " seqlm check --task classification",
    ),
    Example(
        "Hold the text to validate on against the training text",
        "seqlm check train.conllu --valid dev.conllu --label-column upos,xpos",
    ),
]


def make_command() -> Callable[..., Any]:
    settings = [replace(setting, needs=None, section="Input") for setting in SETTINGS]
    return with_parameters([parameter_of(setting) for setting in settings])(check)


def check(
    corpus: Annotated[list[str] | None, console.CORPUS] = None,
    valid: Annotated[
        list[str] | None,
        input_flag("--valid", "Labeled text to hold against CORPUS, each file for itself."),
    ] = None,
    errors: Annotated[str, console.ERRORS] = "strict",
    json: Annotated[bool, console.JSON_LINES] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
    **settings: Any,
) -> None:
    """Check labeled text for what makes training or evaluation wrong, before a tagger or a
    classifier is trained on it.

    The table on standard output has the numbers of CORPUS, which is called train, and of each
    --valid: sentences or texts, tokens, types, the longest, duplicates and conflicts, and how often
    each label occurs. A duplicate has the same words as an earlier record, or, in --valid, as one
    of CORPUS; a conflict has other labels, too. Words and labels that CORPUS does not have are
    oov-tokens, oov-types and new-labels. Shares are from 0 to 1.

    What is likely to be wrong is a warning on standard error, with the first place of it, and what
    may be is a note there. The exit status is 0 if the text could be read.
    """
    files = console.files_or_stdin(corpus)
    console.check_stdin([*files, *(valid or [])])
    console.check_choice("errors", errors, ("strict", "replace"))
    check_names(valid or [])

    from seqlm.evaluation.labeling.checked_texts import read_labeled_texts
    from seqlm.evaluation.labeling.text_check import check_text
    from seqlm.evaluation.labeling.text_findings import figures_of, findings_of
    from seqlm.text.labeled.record import FormatOptions, names_in
    from seqlm.text.reading import check_files

    check_files([*files, *(valid or [])])
    columns = list(dict.fromkeys(names_in(settings["label_column"])))
    options = FormatOptions(
        settings["format"], settings["text_column"], columns[0] if columns else None
    )
    texts = read_labeled_texts(files, valid or [], settings["task"], options, errors)
    columns = columns or [texts.train[0].format.label_column]
    train = check_text("training text", texts.train, texts.task, columns)
    checks = {"train": train} | {
        file: check_text(file, records, texts.task, columns, train)
        for file, records in texts.held_out.items()
    }
    table = RecordWriter(("text", "figure", "column", "label", "value"), json)
    for name, text in checks.items():
        for figure in figures_of(text):
            table.write([name, *figure])
    for text in checks.values():
        for finding in findings_of(text):
            (console.warn if finding.is_serious else console.say)(finding.message)


def check_names(valid: Sequence[str]) -> None:
    """Errors: UsageError where two texts of the table have one name."""
    for at, file in enumerate(valid):
        if file == "train":
            raise UsageError("`valid=train`: the table calls CORPUS train; write ./train")
        if file in valid[:at]:
            raise UsageError(f"`valid={file}` is given twice")
