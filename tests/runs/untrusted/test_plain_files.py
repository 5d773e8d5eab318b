"""Files that anybody may have written: read at once and whole, or refused in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seqlm.errors import ModelError, UsageError
from seqlm.runs.loading.locate import locate
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.untrusted.plain_files import parse_json, parse_yaml, read_bytes, read_json
from seqlm.training.config.recipe import read_recipe

# ------------------------------------------------------------------------------- what is no file


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def loop_of_links(path: Path) -> None:
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


NO_FILES = {
    pipe: "is a pipe, not a file",
    folder: "is a folder, not a file",
    link_to_nowhere: "is a symbolic link to nowhere, which does not exist",
    loop_of_links: "symbolic links",
    device: "is a device, not a file",
}


@pytest.mark.parametrize(("make", "message"), NO_FILES.items())
def test_what_is_no_file_is_said_and_not_waited_for(make, message, tmp_path):
    path = tmp_path / "it"
    make(path)
    with pytest.raises(ModelError, match=message):
        read_bytes(path)


@pytest.mark.parametrize("name", ["config.yaml", "tokenizer.json", "metrics.jsonl"])
@pytest.mark.parametrize(("make", "message"), NO_FILES.items())
def test_no_file_of_a_run_is_waited_for(make, message, name, finished):
    run = finished("one", "2026")
    (run / name).unlink(missing_ok=True)
    make(run / name)
    reads: dict[str, Callable[[], object]] = {
        "config.yaml": lambda: locate(run.path),
        "tokenizer.json": lambda: run.tokenizer,
        "metrics.jsonl": run.read_metrics,
    }
    with pytest.raises(ModelError, match=message):
        reads[name]()


def test_a_file_of_no_end_is_not_read(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelError, match="1,099,511,627,776 bytes, and such a file has at most"):
        read_bytes(tmp_path / "large")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "is a pipe, not a model"),
        (link_to_nowhere, "it is a symbolic link to nowhere, which does not exist"),
        (loop_of_links, "it is a symbolic link to it: .*symbolic links"),
    ],
)
def test_a_model_that_is_neither_file_nor_folder_is_said_for_what_it_is(make, message, workplace):
    make(workplace / "it")
    with pytest.raises(ModelError, match=message):
        locate("it")


@pytest.mark.parametrize("name", ["a" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_no_model(name, workplace):
    with pytest.raises(ModelError, match=r"^no model "):
        locate(name)


# ------------------------------------------------------------------------------------ what is plain

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{name}'] * 10)}]\n"
    for name, after in zip("abcdefgh", "bcdefghi")
)
"""A hundred million texts, in a few lines."""

DEEP_YAML = "[" * 10_000, "- " * 10_000 + "x", "{a: " * 10_000 + "1" + "}" * 10_000
NOT_PLAIN = {
    LAUGHS: "line 2: an alias, .*, is not allowed",
    **dict.fromkeys(DEEP_YAML, "nested too deeply"),
    "a: 2026-01-01": "holds '2026-01-01', a date",
    "? [a]\n: 1": r"is no plain YAML: a key is a list or a mapping \(line 1\)$",
    "1: 2": "a key 1, which is no text",
    f"a: 0x{'f' * 9999}": "holds a number of 39996 bits",
    "a: !!int ''": "a tag, .*, is not allowed",
    "a: !!binary eA==": "a tag, .*, is not allowed",
    "a: 2026-99-99": " is no plain YAML: a number or a date in it cannot be read$",
    f"a: {'9' * 9999}": " is no plain YAML: a number in it has too many digits$",
    "a: [": "is no plain YAML",
    "a: 1\nb: }\nc: 2": r" is no plain YAML: did not find expected node content \(line 2\)$",
}


@pytest.mark.parametrize(("text", "message"), NOT_PLAIN.items())
def test_yaml_that_is_not_plain_is_refused_in_a_line(text, message, tmp_path):
    with pytest.raises(ModelError, match=message) as caught:
        parse_yaml(text, "it")
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        RunConfig.read(path)
    with pytest.raises(UsageError, match=message):
        read_recipe(str(path))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 10_000 + "1" + "}" * 10_000, "9" * 9999,
                                  "1" * 30, "", "{", "\x80"])  # fmt: skip
def test_json_that_is_not_plain_is_refused_in_a_line(text, tmp_path):
    with pytest.raises(ModelError) as caught:
        parse_json(text, "it")
    assert str(caught.value).startswith("it ")
    assert len(str(caught.value)) < 200
    (tmp_path / "it").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=str(tmp_path / "it")):
        read_json(tmp_path / "it")


def test_a_number_of_too_many_digits_is_said_in_plain_words():
    with pytest.raises(
        ModelError, match=r"^it cannot be read: a number in it has too many digits$"
    ):
        parse_json("9" * 9999, "it")


def test_plain_values_are_what_they_were():
    text = "a: [1, 2.5, null, true, x, {b: {c: [[-3]]}}]\nd: 1e-3\n"
    value = {"a": [1, 2.5, None, True, "x", {"b": {"c": [[-3]]}}], "d": "1e-3"}
    assert parse_yaml(text, "it") == value
    assert parse_json('{"a": [1, 2.5, null, true, {"b": NaN}]}', "it")["a"][:4] == value["a"][:4]


# ------------------------------------------------------------------------------------ metrics.jsonl


@pytest.mark.parametrize(
    "line",
    ["1", "null", "[]", "{}", '{"step": "1"}', '{"step": 1, "lr": "x"}', '{"step": true}', "{",
     "[" * 9999, '{"step": 1, "lr": [1]}', ""],
)  # fmt: skip
def test_figures_that_are_none_are_refused_with_their_line(line, tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "lr": 0.5}\n' + line + "\n")
    for read in (RunFolder(tmp_path).read_metrics, lambda: RunFolder(tmp_path).truncate_metrics(1)):
        with pytest.raises(ModelError, match=r"metrics\.jsonl, line 2 "):
            read()


def test_a_message_is_one_line_whatever_it_quotes():
    error = ModelError("the type `width=a` is 'F\n3\r\n2\u2028' here")
    assert str(error) == "the type width a is 'F 3 2 ' here"
    assert error.marked == "the type `width=a` is 'F 3 2 ' here"
