"""Files of labeled text to records, in any format, and back.

A record is there as soon as its last line has been read, so that a pipe can be labeled while it is
written. Only where the format is to be recognized are a few lines read before the first record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from seqlm.errors import DataError, UsageError, did_you_mean
from seqlm.text.labeled.formats.conllu import ConlluFormat
from seqlm.text.labeled.formats.label_lines import FastTextFormat, LabelTextFormat, TextsFormat
from seqlm.text.labeled.formats.labeled_objects import ObjectsFormat
from seqlm.text.labeled.formats.labeled_table import TableFormat, TabTableFormat
from seqlm.text.labeled.formats.token_columns import ColumnsFormat
from seqlm.text.labeled.formats.word_tag import SentencesFormat, WordTagFormat
from seqlm.text.labeled.recognition import recognize_format, take_first_lines
from seqlm.text.labeled.record import SPACE, Format, FormatOptions, Record, TaskName
from seqlm.text.reading import read_blocks, source_name

FORMATS: dict[TaskName, dict[str, type[Format]]] = {
    "tagging": {
        format.name: format
        for format in (ConlluFormat, ColumnsFormat, WordTagFormat, SentencesFormat)
    },
    "classification": {
        format.name: format
        for format in (
            LabelTextFormat, FastTextFormat, TableFormat, TabTableFormat, ObjectsFormat, TextsFormat
        )
    },
}  # fmt: skip


def read_records(
    sources: Sequence[str],
    task: TaskName,
    options: FormatOptions,
    errors: str = "strict",
    labels_needed: bool = True,
) -> Iterator[Record]:
    """The records of all `sources` ('-' is standard input), which have one format.

    `errors` is what `read_blocks` takes. With `labels_needed`, a record without a label is refused.
    Lines between records are records that are blank, and a text may have no words.
    Errors: UsageError on an option that does not fit the file; DataError naming file and line, or
    with `labels_needed` a file that has no records.
    """
    first: Format | None = None
    for source in sources:
        lines, file = read_plain_lines(source, errors), source_name(source)
        for record in parse_records(lines, file, task, options, labels_needed):
            first = first or record.format
            if record.format.name != first.name:
                raise DataError(
                    f"{first.file} is {first.name} and {file} is {record.format.name}; files that"
                    " are read together have one format, and `format` says which"
                )
            yield record


def parse_records(
    lines: Iterator[str],
    file: str,
    task: TaskName,
    options: FormatOptions,
    labels_needed: bool = True,
) -> Iterator[Record]:
    """The records in the `lines` of one file. Errors: those of `read_records`."""
    name = options.format
    if name is not None and name not in FORMATS[task]:
        near = did_you_mean(name, FORMATS[task])
        raise UsageError(f"`format={name}` is no format of {task}{near}")
    if name is None:
        start = take_first_lines(lines, task)
        if labels_needed and not any(line.strip(SPACE) for line in start):
            raise no_records(file)
        name = recognize_format(start, task, labels_needed, file)
        lines = chain(start, lines)
    is_empty = True
    for record in FORMATS[task][name](file, options, labels_needed).read(lines):
        is_empty = is_empty and record.is_blank
        yield record
    if is_empty and labels_needed:
        raise no_records(file)


def write_record(record: Record, predicted: Mapping[str, list[str]]) -> str:
    """The text of `record` with the values of `predicted` in its columns, and its last newline.

    The column of a label is `record.format.label_column`. Where the record has no such column, one
    is added if the format allows it; no column at all gives the text that was read. Errors:
    UsageError on a column that CoNLL-U does not have; DataError on a label that the format cannot
    hold.
    """
    return record.format.write(record, predicted)


def read_plain_lines(source: str, errors: str) -> Iterator[str]:
    """The lines of a file, as `read_lines`, but many at a time where they are there."""
    rest = ""
    for block in read_blocks([source], errors, eager=True):
        *lines, rest = (rest + block.data.decode()).split("\n")
        yield from lines


def no_records(file: str) -> DataError:
    return DataError(f"{file} is empty: it has no labeled text")
