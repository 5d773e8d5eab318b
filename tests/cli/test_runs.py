"""`seqlm runs` and `seqlm recipes`: what is listed, compared, made smaller and removed."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from seqlm.runs.management import slim_run
from seqlm.runs.run_folder import RunFolder
from seqlm.training.config.recipe import read_recipe, recipe_names
from tests.command import Result

Command = Callable[..., Result]


@pytest.fixture
def checkpoints(workplace: Path, ngram: Path, lstm: Path) -> Path:
    """./checkpoints with a counted and a trained run."""
    folder = workplace / "checkpoints"
    shutil.copytree(ngram, folder / "tri")
    shutil.copytree(lstm, folder / "net")
    return folder


def rows(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out), dialect=csv.excel_tab))


# ------------------------------------------------------------------------------------------- list


def test_a_row_says_what_a_run_is(checkpoints: Path, seqlm: Command) -> None:
    table = {row["name"]: row for row in rows(seqlm("runs"))}
    assert table.keys() == {"tri", "net"}
    config = yaml.safe_load((checkpoints / "net" / "config.yaml").read_text())
    metrics = (checkpoints / "net" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["valid_loss"] for line in metrics]
    net = table["net"]
    assert (net["task"], net["arch"], net["unit"]) == ("lm", "lstm", "word")
    assert int(net["vocabulary"]) == config["model"]["vocab_size"]
    assert (net["metric"], float(net["value"])) == ("ppl", pytest.approx(math.exp(min(losses))))
    assert (net["status"], net["date"]) == ("finished", config["finished"])
    sizes = [path.stat().st_size for path in (checkpoints / "net").rglob("*") if path.is_file()]
    assert int(net["bytes"]) == sum(sizes)
    assert table["tri"]["metric"] == table["tri"]["value"] == ""


def test_parameters_are_those_of_the_model(checkpoints: Path, seqlm: Command) -> None:
    import seqlm as package

    table = {row["name"]: int(row["parameters"]) for row in rows(seqlm("runs"))}
    weights = package.load(checkpoints / "net").model.state_dict()
    assert table["net"] == sum(tensor.numel() for tensor in weights.values())
    sizes = yaml.safe_load((checkpoints / "tri" / "config.yaml").read_text())["model"]["rows"]
    assert table["tri"] == sum(sizes)


def test_json_prints_an_object_for_each_run(checkpoints: Path, seqlm: Command) -> None:
    objects = [json.loads(line) for line in seqlm("runs", "--json").out.splitlines()]
    assert [set(each) for each in objects] == [set(rows(seqlm("runs"))[0])] * 2
    assert {each["name"]: each["value"] for each in objects}["tri"] is None


def test_the_table_is_sorted(checkpoints: Path, seqlm: Command) -> None:
    for column in ("name", "parameters", "bytes", "date", "arch"):
        values = [row[column] for row in rows(seqlm("runs", "--sort", column))]
        in_order = sorted(values, key=int if values[0].isdigit() else None)
        assert values == in_order, column
    assert rows(seqlm("runs", "--sort", "value"))[0]["name"] == "net"
    assert "name" in seqlm("runs", "--sort", "nome").error


def test_runs_of_another_folder(checkpoints: Path, workplace: Path, seqlm: Command) -> None:
    checkpoints.rename(workplace / "elsewhere")
    assert len(rows(seqlm("runs", "--folder", "elsewhere"))) == 2
    assert rows(seqlm("runs")) == []
    assert seqlm("runs", "--folder", "nowhere").code == 2


def test_a_damaged_run_is_left_out_and_named(checkpoints: Path, seqlm: Command) -> None:
    (checkpoints / "net" / "config.yaml").write_text("[1, 2")
    (checkpoints / "notes").mkdir()
    result = seqlm("runs")
    assert [row["name"] for row in rows(result)] == ["tri"]
    assert len(result.warnings) == 1
    assert "net" in result.warnings[0]


def test_a_run_that_is_being_written_is_running(checkpoints: Path, seqlm: Command) -> None:
    run = RunFolder(checkpoints / "net")
    run.lock()
    try:
        table = {row["name"]: row["status"] for row in rows(seqlm("runs"))}
    finally:
        run.unlock()
    assert table == {"net": "running", "tri": "finished"}


# ----------------------------------------------------------------------------------- show and diff


def test_show_prints_the_configuration(checkpoints: Path, seqlm: Command) -> None:
    config = yaml.safe_load((checkpoints / "net" / "config.yaml").read_text())
    shown = yaml.safe_load(seqlm("runs", "show", "net").out)
    assert {key: shown[key] for key in config} == config
    (name,) = shown["checkpoints"]
    assert (checkpoints / "net" / "steps" / name).is_dir()
    assert json.loads(seqlm("runs", "show", "net", "--json").out) == shown


def test_diff_prints_what_is_not_equal(checkpoints: Path, seqlm: Command) -> None:
    shutil.copytree(checkpoints / "net", checkpoints / "other")
    path = checkpoints / "other" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["settings"]["seed"] = 7
    config["settings"]["tied"] = "yes"
    path.write_text(yaml.safe_dump(config))
    assert rows(seqlm("runs", "diff", "net", "net")) == []
    differences = {row["key"]: row for row in rows(seqlm("runs", "diff", "net", "other"))}
    assert differences.keys() == {"settings.seed", "settings.tied"}
    assert differences["settings.seed"]["second"] == "7"
    assert differences["settings.tied"]["first"] == ""
    assert seqlm("runs", "diff", "net").code == 2


def test_a_name_that_is_no_run(checkpoints: Path, seqlm: Command) -> None:
    Path("text").write_text("some text\n")
    for command in (["show"], ["rm"], ["slim"], ["diff", "net"]):
        assert seqlm("runs", *command, "nat").code == 4
        assert seqlm("runs", *command, "text").code == 4
    assert {row["name"] for row in rows(seqlm("runs"))} == {"tri", "net"}


# ----------------------------------------------------------------------------------- rm and slim


def test_rm_removes_a_run_whole(checkpoints: Path, seqlm: Command) -> None:
    assert seqlm("runs", "rm", "net", "tri").out == "checkpoints/net\ncheckpoints/tri\n"
    assert list(checkpoints.iterdir()) == []


def test_rm_removes_a_run_that_is_named_twice_once(checkpoints: Path, seqlm: Command) -> None:
    name = sorted(path.name for path in checkpoints.iterdir())[0]
    result = seqlm("runs", "rm", name, checkpoints / name)
    assert (result.code, len(result.out.splitlines())) == (0, 1)
    assert not (checkpoints / name).exists()


def test_rm_keeps_what_seqlm_did_not_write(
    checkpoints: Path, workplace: Path, seqlm: Command
) -> None:
    run = checkpoints / "net"
    (run / "notes.txt").write_text("mine")
    (run / "steps" / "keep-me").mkdir()
    (run / "steps" / "keep-me" / "weights").write_text("mine")
    (workplace / "precious").mkdir()
    (workplace / "precious" / "model.safetensors").write_text("mine")
    (run / "steps" / "00000009").symlink_to(workplace / "precious")
    result = seqlm("runs", "rm", "net")
    assert result.code == 0
    assert "notes.txt, steps" in result.warnings[0]
    left = {path.name for path in run.rglob("*")}
    assert left == {"notes.txt", "steps", "keep-me", "weights", "00000009"}
    assert (workplace / "precious" / "model.safetensors").read_text() == "mine"


def test_rm_does_not_follow_links(checkpoints: Path, workplace: Path, seqlm: Command) -> None:
    (workplace / "link").symlink_to(checkpoints / "net")
    assert seqlm("runs", "rm", "link").code == 2
    assert (checkpoints / "net" / "config.yaml").exists()


def test_a_run_that_is_being_written_is_kept(checkpoints: Path, seqlm: Command) -> None:
    run = RunFolder(checkpoints / "net")
    run.lock()
    try:
        for command in ("rm", "slim"):
            assert seqlm("runs", command, "net").code == 2
    finally:
        run.unlock()
    assert (run / "config.yaml").exists()


def test_slim_keeps_the_model(checkpoints: Path, toy, seqlm: Command) -> None:
    before = seqlm("eval", "-m", "net", toy.test)
    size = int({row["name"]: row["bytes"] for row in rows(seqlm("runs"))}["net"])
    assert seqlm("runs", "slim", "net").code == 0
    after = seqlm("eval", "-m", "net", toy.test)
    assert (after.out, after.err) == (before.out, before.err)
    assert int({row["name"]: row["bytes"] for row in rows(seqlm("runs"))}["net"]) < size / 2
    assert not list(checkpoints.rglob("training.*"))
    resumed = seqlm("train", "--resume", "net", "--epochs", 50)
    assert resumed.code == 4
    assert "resume" in resumed.error


def test_a_slimming_that_is_interrupted_leaves_a_run_that_loads(
    checkpoints: Path, toy, seqlm: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seqlm("eval", "-m", "net", toy.test).out

    class Killed(BaseException):
        pass

    def kill(*_: object, **named: object) -> None:
        raise Killed

    for step in ("write_text", "update_pointers"):
        with monkeypatch.context() as patch:
            patch.setattr(slim_run, step, kill)
            with pytest.raises(Killed):
                slim_run.slim(RunFolder(checkpoints / "net"))
        assert seqlm("eval", "-m", "net", toy.test).out == before
    assert seqlm("runs", "slim", "net").code == 0


def test_a_run_that_has_not_finished_is_not_slimmed(checkpoints: Path, seqlm: Command) -> None:
    path = checkpoints / "net" / "config.yaml"
    path.write_text(path.read_text().replace("finished: '", "finished: null #'"))
    assert seqlm("runs", "slim", "net").code == 4
    assert list(checkpoints.rglob("training.safetensors"))


# ---------------------------------------------------------------------------------------- recipes


def test_recipes_are_listed_and_shown(workplace: Path, seqlm: Command) -> None:
    table = rows(seqlm("recipes"))
    assert [row["name"] for row in table] == recipe_names()
    for row in table:
        settings = read_recipe(row["name"])
        assert row["arch"] == settings["arch"]
        assert row["task"] == settings.get("task", "lm")
        assert row["description"].endswith(".")
        Path("mine.yaml").write_text(seqlm("recipes", "show", row["name"]).out)
        assert read_recipe("mine.yaml") == settings
    assert "char-lstm" in seqlm("recipes", "show", "char-lsmt").error
