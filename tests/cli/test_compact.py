"""Compact n-gram models from the shell: counted or exported, and used like any others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file, save_file

from tests.runs.untrusted.fuzzer import forge_manifest

ORDER = ["--order", "3", "--discount-fallback"]


def weights(run: str | Path) -> Path:
    return next(Path(run).glob("steps/*/model.safetensors"))


@pytest.fixture
def compact(ngram, seqlm) -> str:
    made = seqlm("export", "-m", ngram, "--to", "run", "--compact", "-o", "small")
    assert (made.code, made.out) == (0, "small\n")
    [said] = re.findall(r"log p is off by (0\.\d+) nats on average, and by (0\.\d+) at", made.err)
    assert 0 < float(said[0]) < float(said[1]) < 0.2
    return "small"


def test_counted_or_exported_is_the_same(compact, toy, seqlm):
    assert seqlm("count", toy.train, *ORDER, "--compact", "-o", "counted").code == 0
    assert weights("counted").read_bytes() == weights(compact).read_bytes()


def test_it_is_smaller_and_says_so(compact, ngram, toy, seqlm):
    assert weights(compact).stat().st_size < weights(ngram).stat().st_size
    model = yaml.safe_load((Path(compact) / "config.yaml").read_text())["model"]
    assert model["compact"]
    assert 0 < model["mean_error"] < model["largest_error"] < 0.2
    assert "Its probabilities have 8 bits" in (Path(compact) / "README.md").read_text()
    assert "|arch:ngram-compact|" in seqlm("eval", "-m", compact, toy.test).err
    assert "|arch:ngram|" in seqlm("eval", "-m", ngram, toy.test).err


def test_it_is_asked_like_any_other(compact, ngram, toy, seqlm):
    ours, theirs = (float(seqlm("eval", "-m", run, toy.test).out) for run in (compact, ngram))
    assert ours == pytest.approx(theirs, rel=0.01)
    assert ours != theirs
    rows = [
        seqlm("eval", "-m", run, "--per-token", toy.test).out.splitlines()
        for run in (compact, ngram)
    ]
    for our, their in zip(*(map(str.split, lines) for lines in rows), strict=True):
        assert our[0] == their[0]
    assert seqlm("next", "-m", compact, "the").code == 0
    assert seqlm("sample", "-m", compact, "-n", 3).code == 0
    mixed = seqlm("eval", "-m", compact, "-m", ngram, "--mix", "0.5,0.5", toy.test)
    assert min(ours, theirs) * 0.99 < float(mixed.out) < max(ours, theirs) * 1.01


def test_it_becomes_other_forms(compact, toy, seqlm):
    before = float(seqlm("eval", "-m", compact, toy.test).out)
    assert seqlm("export", "-m", compact, "--to", "arpa", "-o", "small.arpa").code == 0
    assert float(seqlm("eval", "-m", "small.arpa", toy.test).out) == pytest.approx(before, abs=0.01)
    assert seqlm("export", "-m", compact, "--to", "run", "--prune", "1e-3", "-o", "less").code == 0
    model = yaml.safe_load(Path("less/config.yaml").read_text())["model"]
    assert not model["compact"]
    assert seqlm("eval", "-m", "less", toy.test).code == 0
    again = seqlm("export", "-m", compact, "--to", "run", "--compact", "-o", "again")
    assert again.code == 0
    assert weights("again").read_bytes() == weights(compact).read_bytes()
    both = seqlm("export", "-m", compact, "-m", "less", "--to", "run", "-o", "both")
    assert both.code == 0


def test_it_is_a_form_of_runs(ngram, seqlm):
    refused = seqlm("export", "-m", ngram, "--to", "arpa", "--compact")
    assert (refused.code, refused.out) == (2, "")
    assert "--compact is a form of n-gram models in runs: --to run" in refused.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("orders.1.log_probs", "orders.1: log_prob holds NaN"),
        ("orders.1.high", "integers, not"),
        ("orders.1.samples", "orders.1: there are"),
        ("orders.0.records", "orders.0: log_prob holds NaN"),
    ],
)
def test_what_somebody_else_wrote_is_refused(name, message, compact, toy, seqlm):
    arrays = load_file(weights(compact))
    flat = arrays[name].reshape(-1).view("int32")
    flat[: len(flat) // 2] = -1
    save_file(arrays, weights(compact))
    damaged = seqlm("eval", "-q", "-m", compact, toy.test)
    assert damaged.code == 4
    assert "is damaged" in damaged.err
    forge_manifest(Path(compact))
    forged = seqlm("eval", "-q", "-m", compact, toy.test)
    assert forged.code == 4
    assert message in forged.err
    assert forged.err.count("\n") == 1
