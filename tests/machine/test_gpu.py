"""Every command on a GPU, against the same command on the CPU: `pytest -m gpu`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import Result
from tests.conftest import Toy

pytestmark = pytest.mark.gpu

DEVICES = {"cpu": "cpu", "gpu": "cuda"}
"""What a device is called in PyTorch, by the name of the run that it trains."""
SMALL = ["--width", 16, "--lr", 0.01, "--dropout", 0, "--batch-size", 4]
LANGUAGE_MODELS: dict[str, list[Any]] = {
    "ffnn": [],
    "rnn": [],
    "lstm": [],
    "lstm by its lengths": ["--variable-length", "--average", "ema", "--ar", 1, "--tar", 1],
    "gru in sentences": ["--context", "sentence"],
    "transformer": ["--heads", 2, "--context-length", 32],
    "transformer of experts": ["--heads", 2, "--context-length", 32, "--experts", 3],
    "s4d": [],
    "mamba": [],
    "mamba2": [],
    "lstm by an adaptive softmax": ["--softmax", "adaptive", "--softmax-cutoffs", 20],
    "lstm by a sampled softmax": ["--softmax", "sampled", "--softmax-samples", 50],
}
"""Flags of language models; the first word of a name is the architecture."""
NEAR = 2e-3
"""How far apart losses (nats) of equal trainings may be: rounding errors grow with every update."""

Command = Callable[..., Result]


def flags_of(name: str) -> list[Any]:
    arch, *_ = name.split()
    layers = [] if arch == "ffnn" else ["--layers", 1 if arch == "rnn" else 2]
    return ["--arch", arch, *SMALL, *layers, *LANGUAGE_MODELS[name]]


def valid_loss(run: str) -> float:
    """The validation loss at the end of a run."""
    rows = Path(run, "metrics.jsonl").read_text().splitlines()
    return float(json.loads(rows[-1])["valid_loss"])


def done(result: Result) -> Result:
    assert result.code == 0, result.err
    return result


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_a_language_model_learns_as_on_the_cpu(name: str, toy: Toy, seqlm: Command) -> None:
    for run, device in DEVICES.items():
        result = done(seqlm(
            "train", toy.train, "--valid", toy.valid, *flags_of(name), "--steps", 30,
            "--precision", "float32", "--device", device, "-o", run,
        ))  # fmt: skip
        assert f"device: {device}" in result.err
    if "sampled" not in name:  # whose noise is drawn on the device
        assert valid_loss("gpu") == pytest.approx(valid_loss("cpu"), abs=NEAR)
    figures = [
        float(done(seqlm("eval", "-m", "gpu", toy.test, "--device", device)).out.split()[-1])
        for device in DEVICES.values()
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-4)
    texts = [
        done(seqlm("sample", "-m", "gpu", "--temperature", 0, "--device", device)).out
        for device in DEVICES.values()
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("precision", ["tf32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["lstm by its lengths", "transformer", "mamba2"])
def test_rounded_products_are_near(name: str, precision: str, toy: Toy, seqlm: Command) -> None:
    for each in ("float32", precision):
        done(seqlm(
            "train", toy.train, "--valid", toy.valid, *flags_of(name), "--steps", 30,
            "--precision", each, "--device", "cuda", "-o", each,
        ))  # fmt: skip
    assert valid_loss(precision) == pytest.approx(valid_loss("float32"), abs=0.1)


def test_tf32_is_the_default(toy: Toy, seqlm: Command) -> None:
    result = done(seqlm("train", toy.train, *SMALL, "--steps", 2, "-o", "run"))
    assert "device: cuda" in result.err
    assert "products of tf32" in result.err


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the compiler's own
@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_a_compiled_model_learns_alike(name: str, toy: Toy, seqlm: Command) -> None:
    for flag in ("--compile", "--no-compile"):
        result = done(seqlm(
            "train", toy.train, "--valid", toy.valid, *flags_of(name), "--steps", 30,
            "--precision", "float32", "--device", "cuda", flag, "-o", flag.strip("-"),
        ))  # fmt: skip
        assert not result.warnings
    assert valid_loss("compile") == pytest.approx(valid_loss("no-compile"), abs=NEAR)


@pytest.mark.parametrize("name", ["lstm by its lengths", "transformer"])
def test_a_resumed_run_goes_on(name: str, toy: Toy, seqlm: Command) -> None:
    train = (
        "train", toy.train, "--valid", toy.valid, *flags_of(name), "--schedule", "constant",
        "--warmup", 0, "--precision", "float32", "--device", "cuda",
    )  # fmt: skip
    done(seqlm(*train, "--steps", 30, "-o", "whole"))
    done(seqlm(*train, "--steps", 10, "-o", "broken"))
    done(seqlm("train", "--resume", "broken", "--steps", 30))
    assert valid_loss("broken") == pytest.approx(valid_loss("whole"), abs=NEAR)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_a_model_adapts_as_on_the_cpu(name: str, toy: Toy, seqlm: Command) -> None:
    done(seqlm("train", toy.train, *flags_of(name), "--steps", 30, "--device", "cpu", "-o", "run"))
    adapted = (
        "eval", "-m", "run", toy.test, "--dynamic", 5, "--dynamic-lr", 0.01,
        "--dynamic-statistics", toy.train, "--neural-cache", 50,
    )  # fmt: skip
    figures = [
        float(done(seqlm(*adapted, "--device", device)).out.split()[-1])
        for device in DEVICES.values()
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-3)


@pytest.mark.parametrize("arch", ["gru", "lstm", "transformer"])
def test_a_translator_learns_as_on_the_cpu(arch: str, workplace: Path, seqlm: Command) -> None:
    noise = random.Random(1)
    lines = [" ".join(noise.choices("abcdefgh", k=noise.randrange(1, 7))) for _ in range(80)]
    Path("source").write_text("".join(f"{line}\n" for line in lines))
    Path("target").write_text("".join(f"{line[::-1]}\n" for line in lines))
    texts = ["--source", "source", "--target", "target"]
    for run, device in DEVICES.items():
        done(seqlm(
            "train", *texts, "--valid-source", "source", "--valid-target", "target",
            "--arch", arch, "--width", 16, "--layers", 1, "--dropout", 0, "--tokenizer", "word",
            "--batch-tokens", 200, "--lr", 0.01, "--steps", 40, "--precision", "float32",
            "--device", device, "-o", run,
        ))  # fmt: skip
    assert valid_loss("gpu") == pytest.approx(valid_loss("cpu"), abs=NEAR)
    for beam in (1, 4):
        found = [
            done(seqlm("translate", "-m", "gpu", "source", "--beam", beam, "--device", device)).out
            for device in DEVICES.values()
        ]
        same = sum(a == b for a, b in zip(*(text.splitlines() for text in found)))
        assert same >= 78  # two scores may be as good as equal


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_a_tagger_learns_as_on_the_cpu(arch: str, workplace: Path, seqlm: Command) -> None:
    noise = random.Random(1)
    lines = [noise.choices("abcdefgh", k=noise.randrange(1, 9)) for _ in range(60)]
    tagged = "\n".join("".join(f"{w}\t{w in 'aeiou'}\n" for w in line) for line in lines)
    Path("tags").write_text(tagged)
    for run, device in DEVICES.items():
        done(seqlm(
            "train", "tags", "--task", "tagging", "--valid", "tags", "--arch", arch, "--width", 16,
            "--steps", 40, "--lr", 0.01, "--dropout", 0, "--dropout-word", 0, "--min-count", 1,
            "--precision", "float32", "--device", device, "-o", run,
        ))  # fmt: skip
    assert valid_loss("gpu") == pytest.approx(valid_loss("cpu"), abs=NEAR)
    Path("text").write_text("".join(" ".join(line) + "\n" for line in lines))
    found = [done(seqlm("tag", "-m", "gpu", "text", "--device", d)).out for d in DEVICES.values()]
    assert found[0] == found[1]


@pytest.mark.parametrize("arch", ["skipgram", "cbow", "fasttext", "glove", "ppmi-svd"])
def test_word_vectors_are_learned(arch: str, toy: Toy, seqlm: Command) -> None:
    done(seqlm(
        "train", toy.train, "--task", "vectors", "--arch", arch, "--width", 16, "--min-count", 1,
        "--device", "cuda", "-o", "vectors",
    ))  # fmt: skip
    found = done(seqlm("vectors", "nearest", "-m", "vectors", "frog")).out
    assert len(found.splitlines()) > 3
