"""`seqlm export`: runs to ARPA files and back, pruned or not, whole or not at all."""

from __future__ import annotations

import errno
import gzip
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from seqlm.models.ngram.arpa import arpa_writer
from seqlm.runs import durable_files
from tests.command import COMMAND, environment


def ngrams(arpa: str | bytes) -> list[int]:
    """How many of each order."""
    text = arpa if isinstance(arpa, str) else arpa.decode()
    head = text.split("\n\n")[0].split("\n")
    return [int(line.split("=")[1]) for line in head[1:]]


# ------------------------------------------------------------------------------------ two formats


def test_a_run_is_an_arpa_file_is_a_run(ngram, toy, seqlm):
    made = seqlm("export", "-m", ngram, "--to", "arpa", "-o", "pond.arpa", "-q")
    assert (made.code, made.out, made.err) == (0, "pond.arpa\n", "")
    made = seqlm("export", "-m", "pond.arpa", "--to", "run", "-o", "again", "-q")
    assert (made.code, made.out, made.err) == (0, "again\n", "")
    places = [ngram, "pond.arpa", "again"]
    told = [seqlm("eval", "-m", place, "--per-token", toy.test, "-q").out for place in places]
    assert told[0].count("\n") > 100
    assert told[0] == told[1] == told[2]
    # Its own tables are those of the file, which come from the same.
    first, second = (seqlm("export", "-m", place, "--to", "arpa").out for place in places[::2])
    assert first == second == Path("pond.arpa").read_text()


def test_the_run_says_where_it_comes_from(ngram, seqlm):
    seqlm("export", "-m", ngram, "--to", "arpa", "-o", "pond.arpa")
    assert seqlm("export", "-m", "pond.arpa", "--to", "run").out == "checkpoints/pond\n"
    assert seqlm("export", "-m", "pond.arpa", "--to", "run").out == "checkpoints/pond-2\n"
    run = Path("checkpoints/pond")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["exported"] == str(Path("pond.arpa").absolute())
    assert config["command"] == "seqlm export -m pond.arpa --to run"
    assert (config["model"]["smoothing"], config["context"]) == ("arpa", "sentence")
    assert f"{config['model']['rows'][2]:,} n-grams of order 3" in (run / "README.md").read_text()
    assert seqlm("sample", "-n", 2).code == 0  # the latest run


def test_a_run_exported_to_a_run_keeps_its_history(ngram, seqlm):
    assert seqlm("export", "-m", ngram, "--to", "run", "-o", "copy").code == 0
    ours, theirs = (
        yaml.safe_load((Path(of) / "config.yaml").read_text()) for of in ("copy", ngram)
    )
    for key in ("model", "context", "settings", "data"):
        assert ours[key] == theirs[key]


def test_counting_writes_the_same_file(ngram, toy, seqlm):
    flags = ["--order", "3", "--discount-fallback", "-o", "run", "--arpa", "counted.arpa"]
    assert seqlm("count", toy.train, *flags).code == 0
    assert seqlm("export", "-m", ngram, "--to", "arpa").out == Path("counted.arpa").read_text()


def test_a_compressed_file(ngram, seqlm):
    plain = seqlm("export", "-m", ngram, "--to", "arpa", "-o", "-")
    assert plain.out.endswith("\n\\end\\\n")
    assert seqlm("export", "-m", ngram, "--to", "arpa", "-o", "pond.arpa.gz").code == 0
    packed = Path("pond.arpa.gz").read_bytes()
    assert gzip.decompress(packed).decode() == plain.out
    again = ["export", "-m", ngram, "--to", "arpa", "-o", "pond.arpa.gz", "--overwrite"]
    assert seqlm(*again).code == 0
    assert Path("pond.arpa.gz").read_bytes() == packed
    assert seqlm("export", "-m", "pond.arpa.gz", "--to", "arpa").out == plain.out


# ---------------------------------------------------------------------------------------- pruning


def test_a_model_is_pruned_on_the_way(ngram, toy, seqlm):
    export = ["export", "-m", ngram, "--to", "arpa"]
    whole = ngrams(seqlm(*export).out)
    pruned = seqlm(*export, "--prune", "1e-4", "-o", "small.arpa")
    assert pruned.code == 0
    smaller = ngrams(Path("small.arpa").read_text())
    assert smaller[0] == whole[0]
    assert whole[0] < sum(smaller) < sum(whole)
    assert sum(ngrams(seqlm(*export, "--prune-to", str(whole[0] + 100)).out)) <= whole[0] + 101
    flags = ["--order", "3", "--discount-fallback", "--prune", "1e-4"]
    assert seqlm("count", toy.train, *flags, "-o", "run").code == 0
    assert seqlm("export", "-m", "run", "--to", "arpa").out == Path("small.arpa").read_text()


def test_an_arpa_file_is_pruned_to_a_run(ngram, seqlm):
    seqlm("export", "-m", ngram, "--to", "arpa", "-o", "pond.arpa")
    flags = ["--prune", "1e-4", "--to"]
    assert seqlm("export", "-m", "pond.arpa", *flags, "run", "-o", "small").code == 0
    expected = seqlm("export", "-m", ngram, *flags, "arpa").out
    assert seqlm("export", "-m", "small", "--to", "arpa").out == expected


def test_thresholds_that_are_none(ngram, seqlm):
    result = seqlm("export", "-m", ngram, "--to", "arpa", "--prune", "0")
    assert (result.code, result.out) == (2, "")
    assert result.error == "--prune is 0.0; it must be above 0"
    result = seqlm("export", "-m", ngram, "--to", "arpa", "--prune-to", "3")
    assert (result.code, result.out) == (2, "")


# --------------------------------------------------------------------------------------- refusals


def test_what_has_no_arpa_form_is_refused(models, toy, seqlm):
    result = seqlm("export", "-m", models("lstm-word"), "--to", "arpa", "-o", "no.arpa")
    assert (result.code, result.out) == (4, "")
    assert "is a network (lstm), and only an n-gram model can become" in result.error
    result = seqlm("export", "-m", models("lstm-word"), "--to", "hf", "-o", "no")
    assert (result.code, result.out) == (4, "")
    assert result.error.endswith("only a transformer can become one of the transformers library")
    result = seqlm("export", "-m", models("ngram-char"), "--to", "arpa", "-o", "no.arpa")
    assert (result.code, result.out) == (4, "")
    assert result.error.endswith("this model has char tokens: count with tokenizer word")
    carried = ["--order", "2", "--smoothing", "witten-bell", "--context", "carried"]
    assert seqlm("count", toy.train, *carried, "-o", "carried").code == 0
    result = seqlm("export", "-m", "carried", "--to", "arpa", "-o", "no.arpa")
    assert (result.code, result.out) == (4, "")
    assert result.error.endswith("carried over lines: count with context sentence")
    scores = ["--order", "2", "--smoothing", "stupid-backoff"]
    assert seqlm("count", toy.train, *scores, "-o", "scores").code == 0
    result = seqlm("export", "-m", "scores", "--to", "run", "--prune", "1e-6", "-o", "no")
    assert (result.code, result.out) == (2, "")
    assert result.error == "scores gives scores, and --prune weighs probabilities"
    assert not [path for path in Path().iterdir() if "no" in path.name]


def test_flags_that_mean_nothing(ngram, seqlm, workplace):
    for flags, message in {
        ("--to", "onnx"): "--to is 'onnx'; there are arpa, run, hf, words, lexicon",
        ("--to", "run", "-o", "-"): "a run is a folder: -o names one",
        ("--to", "hf"): "--to hf writes a folder: -o names it",
        ("--to", "hf", "-o", "-"): "--to hf writes a folder: -o names it",
        ("--to", "hf", "-o", "new", "--prune", "1e-4"): "--prune is for n-gram models",
        ("--to", "hf", "-o", ngram): f"{ngram} is a folder with other things in it",
        ("--to", "arpa", "-o", "."): ". is a folder, not a file",
        ("--to", "arpa", "-o", "no/pond.arpa"): "no/pond.arpa: there is no folder no",
        ("--to", "run", "-o", ngram): f"{ngram} holds a run already; set --overwrite to replace it",
        (
            "--to",
            "run",
            "-o",
            ngram,
            "--overwrite",
        ): f"{ngram} is the model that is read",
        (): "Missing option '--to'",
    }.items():
        result = seqlm("export", "-m", ngram, *flags)
        assert (result.code, result.out) == (2, ""), flags
        assert message in result.error


def test_a_bad_file_is_one_line(seqlm, workplace):
    (workplace / "bad.arpa").write_text("\\data\\\nngram 1=1\n\n\\1-grams:\n0.5\tfrog\n\n\\end\\\n")
    for command in (["export", "--to", "run"], ["eval", "--per-token"], ["sample"]):
        result = seqlm(*command, "-m", "bad.arpa", stdin=b"frog\n")
        assert (result.code, result.out) == (4, "")
        message = "bad.arpa, line 5, \\1-grams: the log10 probability '0.5' is above 0"
        assert result.error == message
    assert not (workplace / "checkpoints").exists()


def test_help(seqlm):
    assert "export" in seqlm("--help").out
    result = seqlm("export", "--help")
    assert result.code == 0
    assert all(flag in result.out for flag in ("--to", "--prune", "--prune-to", "--overwrite"))


# -------------------------------------------------------------------------------- whole or nothing


@pytest.mark.parametrize("name", ["pond.arpa", "pond.arpa.gz"])
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_full_disk_leaves_what_was_there(name, before, ngram, seqlm, workplace, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable_files.os, "fsync", full)
    if before:
        Path(name).write_bytes(before)
    result = seqlm("export", "-m", ngram, "--to", "arpa", "-o", name, "--overwrite")
    assert (result.code, result.out) == (1, "")
    assert result.error == f"{name} cannot be written: No space left on device"
    there = {path.name: path.read_bytes() for path in workplace.iterdir()}
    assert there == ({name: before} if before else {})


def test_ctrl_c_leaves_nothing_behind(ngram, seqlm, workplace, monkeypatch):
    made = arpa_writer.format_lines

    def interrupted(numbers, orders, *rest):
        if len(orders) == 3:  # the trigrams
            raise KeyboardInterrupt
        return made(numbers, orders, *rest)

    monkeypatch.setattr(arpa_writer, "format_lines", interrupted)
    result = seqlm("export", "-m", ngram, "--to", "arpa", "-o", "pond.arpa")
    assert (result.code, result.out) == (130, "")
    assert list(workplace.iterdir()) == []


def test_a_device_is_written_to_and_not_replaced(ngram, seqlm, workplace):
    (workplace / "full").symlink_to("/dev/full")
    result = seqlm("export", "-m", ngram, "--to", "arpa", "-o", "full")
    assert (result.code, result.out) == (1, "")
    assert result.error == "full cannot be written: No space left on device"
    assert (workplace / "full").is_symlink()


def test_a_reader_that_has_enough(ngram):
    command = [*COMMAND, "export", "-m", str(ngram), "--to", "arpa", "-q"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout.readline() == b"\\data\\\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_an_arpa_file_is_not_written_over_itself(ngram, seqlm):
    assert seqlm("export", "-m", ngram, "--to", "arpa", "-o", "pond.arpa").code == 0
    before = Path("pond.arpa").read_bytes()
    result = seqlm("export", "-m", "pond.arpa", "--to", "arpa", "--prune-to", 50, "-o", "pond.arpa")
    assert (result.code, result.out) == (2, "")
    assert Path("pond.arpa").read_bytes() == before


# ----------------------------------------------------------------------------- files that are there


def test_a_file_that_exists_is_replaced_only_when_asked(ngram, toy, seqlm):
    Path("mine").write_text("precious\n")
    commands = [
        ["export", "-m", ngram, "--to", "arpa", "-o", "mine"],
        ["export", "-m", ngram, "--to", "words", "-o", "mine"],
        ["count", toy.train, "-n", 2, "-o", "run", "--arpa", "mine"],
        ["count", toy.train, "-n", 2, "-o", "other", "--write-counts", "mine"],
    ]
    for command in commands:
        result = seqlm(*command)
        assert (result.code, "--overwrite" in result.error) == (2, True)
        assert Path("mine").read_text() == "precious\n"
        assert seqlm(*command, "--overwrite").code == 0
        assert Path("mine").read_text() != "precious\n"
        Path("mine").write_text("precious\n")
