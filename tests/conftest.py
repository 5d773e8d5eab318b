"""What every test may use: text, tiny models, and the command line."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hypothesis import settings

from seqlm.machine import compilation
from tests.command import Result, seqlm_inside

# The same examples every time, however slow the machine: a check that fails, fails for a reason.
# HYPOTHESIS_PROFILE=default looks for new ones.
settings.register_profile("seqlm", derandomize=True, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "seqlm"))

REPOSITORY = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """All is computed on the CPU, except where `-m gpu` asks for the tests of a GPU. Ctrl-C stops
    commands also where the tests are a job of a script in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no GPU here, or not asked for: pytest -m gpu")
    torch.backends.cudnn.allow_tf32 = False  # as `set_up_device` sets it


@pytest.fixture(scope="session")
def data() -> Path:
    """Real text, which is no part of the project: ../shared/data, or $SEQLM_DATA."""
    place = Path(os.environ.get("SEQLM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not place.is_dir():
        pytest.skip(f"no text in {place}; $SEQLM_DATA names another folder")
    return place


@pytest.fixture(autouse=True)
def smallest_numbers() -> Iterator[None]:
    """Training lets the processor take the smallest numbers for 0; the next test has them again."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def no_large_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test before this one may have read a large text, for which loops are compiled."""
    monkeypatch.setattr(compilation, "_expected", 0)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# --------------------------------------------------------------------------------------------- text


class Toy(NamedTuple):
    train: Path
    valid: Path
    test: Path


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A few hundred lines about ponds and what lives there."""
    folder = tmp_path_factory.mktemp("toy")
    rng = random.Random(1)
    sizes = {"train": 600, "valid": 60, "test": 60}
    for name, lines in sizes.items():
        text = "".join(sentence(rng) + "\n" for _ in range(lines))
        (folder / name).write_text(text, encoding="utf-8")
    return Toy(*(folder / name for name in sizes))


def sentence(rng: random.Random) -> str:
    """A few words are frequent and most are rare, as Kneser-Ney expects of a language."""

    def word(kind: str) -> str:
        rank = int(rng.paretovariate(0.6)) - 1
        return WORDS[kind][rank] if rank < len(WORDS[kind]) else f"{kind}-{min(rank, 500)}"

    def phrase(depth: int = 0) -> list[str]:
        words = [
            word("article"),
            *(word("adjective") for _ in range(rng.randrange(3))),
            word("noun"),
        ]
        if depth < 2 and rng.random() < 0.25:
            words += [rng.choice(["near", "under", "beside"]), *phrase(depth + 1)]
        return words

    if rng.random() < 0.03:
        return ""
    return " ".join([*phrase(), word("verb"), *phrase(), rng.choice([".", ".", "!", "?"])])


WORDS = {
    "article": ["the", "a", "every", "no"],
    "adjective": ["old", "green", "älteste", "quick", "—naïve—"],
    "noun": ["frog", "heron", "pike", "reed", "dragonfly", "otter", "toad", "willow"],
    "verb": ["sees", "follows", "hears", "waits for", "forgets"],
}


# ----------------------------------------------------------------------------------------- commands


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and none of the caller's SEQLM_ variables."""
    for name in os.environ:
        if name.startswith("SEQLM_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def seqlm(workplace: Path) -> Callable[..., Result]:
    """The command line in this process: `seqlm("eval", path, stdin=b"...")`."""
    return seqlm_inside


# -------------------------------------------------------------------------------------- tiny models

FAMILIES = {
    "lstm-word": ["train", "--arch", "lstm", "--epochs", "3"],
    "gru-word-sentence": ["train", "--arch", "gru", "--epochs", "1", "--context", "sentence"],
    "rnn-char": ["train", "--arch", "rnn", "--steps", "40", "--tokenizer", "char"],
    "lstm-bpe": ["train", "--steps", "40", "--tokenizer", "bpe", "--vocab-size", "300"],
    "transformer-char": ["train", "--arch", "transformer", "--steps", "40", "--tokenizer", "char"],
    "ngram-word": ["count", "--order", "3"],
    "ngram-char": ["count", "--order", "4", "--tokenizer", "char"],
}
"""Commands that make a model of each family, unit and context."""


@pytest.fixture(scope="session")
def models(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of each of FAMILIES, made when it is first asked for; not to be changed."""
    folder = tmp_path_factory.mktemp("models")

    def run_of(family: str) -> Path:
        path = folder / family
        if not path.exists():
            command, *flags = FAMILIES[family]
            small = ["--width", "8", "--layers", "1", "--lr", "0.02", "--valid", str(toy.valid)]
            flags += small if command == "train" else ["--discount-fallback"]
            result = seqlm_inside(command, str(toy.train), "-o", str(path), *flags)
            assert result.code == 0, result.err
        return path

    return run_of


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, models: Callable[[str], Path]) -> Path:
    """Each tiny run in turn."""
    return models(request.param)


@pytest.fixture
def lstm(models: Callable[[str], Path]) -> Path:
    return models("lstm-word")


@pytest.fixture
def ngram(models: Callable[[str], Path]) -> Path:
    return models("ngram-word")


@pytest.fixture
def spoilt(lstm: Path, tmp_path: Path) -> Path:
    """A copy of a trained run, to be damaged."""
    return Path(shutil.copytree(lstm, tmp_path / "run"))
