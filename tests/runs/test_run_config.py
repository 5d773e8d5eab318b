"""config.yaml: what is written is read again, and nothing in it is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from seqlm.errors import ModelError
from seqlm.runs.run_config import RunConfig
from tests.python_process import imports_torch

MINIMAL = {"seqlm": "1", "task": "lm", "arch": "lstm", "context": "carried", "model": {}}


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "config.yaml"
    config = RunConfig(
        task="lm",
        arch="ngram",
        context="sentence",
        model={"order": 2, "rows": [3, 4]},
        settings={"memory": None, "smoothing": {"method": "mle"}},
        data={"texts": {"corpus": {"files": ["/a", "/ä"], "sha256": "0"}}, "tokens": 7},
        command="seqlm count /a /ä",
        threads=2,
        finished="2026-11-26T21:00:00+00:00",
    )
    config.write(path)
    assert RunConfig.read(path) == config


def test_values_are_written_as_yaml_holds_them(tmp_path):
    model = {"rows": (3, 4), "arpa": Path("/a")}
    config = RunConfig(task="lm", arch="ngram", context="sentence", model=model)
    config.write(tmp_path / "config.yaml")
    values = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert values["model"] == {"rows": [3, 4], "arpa": "/a"}
    assert list(values) == ["seqlm", "task", "arch", "context", "model", "finished"]


def test_the_least_that_a_run_needs(tmp_path):
    config = RunConfig.from_mapping(MINIMAL, tmp_path)
    assert (config.settings, config.finished, config.threads) == ({}, None, None)


@pytest.mark.parametrize("name", MINIMAL)
def test_a_missing_key_is_named(name):
    values = {key: value for key, value in MINIMAL.items() if key != name}
    with pytest.raises(ModelError, match=f"^here is not the configuration of a run.*no {name}$"):
        RunConfig.from_mapping(values, Path("here"))


def test_an_unknown_key_is_named_with_the_nearest():
    with pytest.raises(ModelError, match=r"here has a key 'setings', .*mean 'settings'"):
        RunConfig.from_mapping({**MINIMAL, "setings": {}}, Path("here"))
    with pytest.raises(ModelError, match="here has a key 3, which no run has"):
        RunConfig.from_mapping({**MINIMAL, 3: {}}, Path("here"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("arch", None), ("arch", 3), ("arch", "a\nb"), ("task", "l\nm"),
        ("task", ["lm"]), ("model", None), ("model", [1]),
        ("settings", "x"), ("threads", "two"), ("finished", 2026), ("result", 1.5),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(name: str, value: Any):
    with pytest.raises(ModelError, match=f"^here: {name} cannot be "):
        RunConfig.from_mapping({**MINIMAL, name: value}, Path("here"))


@pytest.mark.parametrize(
    "texts",
    [
        [], {"corpus": "/a"}, {"corpus": {"files": ["/a"]}},
        {"corpus": {"files": "/a", "sha256": ""}}, {"corpus": {"files": [1], "sha256": ""}},
        {"corpus": {"files": [], "sha256": 0}},
    ],
)  # fmt: skip
def test_texts_have_files_and_a_digest(texts: Any):
    with pytest.raises(ModelError, match=r"^here: data\.texts does not hold files and sha256"):
        RunConfig.from_mapping({**MINIMAL, "data": {"texts": texts}}, Path("here"))


def test_a_tagged_object_is_refused_and_not_made(finished, tmp_path):
    run = finished("one", "2026")
    text = f"task: !!python/object/apply:os.mkdir [{tmp_path / 'made'}]\n"
    (run / "config.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"config\.yaml, line 1: a tag, .*python/object"):
        run.read_config()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[1, 2]", b"just words", b"task: lm\n", b"a: [1", b"\x80\x04\x95", b"\0\0\0",
        b"finished: 2026-99-99\n", b"task: lm\narch: lstm\nmodel: {}\n",
    ],
)  # fmt: skip
def test_what_is_no_configuration_of_a_run_is_refused_by_name(text, finished):
    run = finished("one", "2026")
    (run / "config.yaml").write_bytes(text)
    with pytest.raises(ModelError, match=r"config\.yaml"):
        run.read_config()


def test_runs_are_listed_and_read_without_an_import_of_torch():
    assert not imports_torch("seqlm.runs.loading.locate", "seqlm.runs.loading.borrowed_vocabulary")
