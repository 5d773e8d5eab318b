"""What is done with n-grams alone does not import torch, which takes longer than all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import environment
from tests.conftest import Toy

SCRIPT = """
import json, sys
from seqlm.cli import app

for arguments in json.loads(sys.argv[1]):
    sys.argv = ["seqlm", *arguments]
    try:
        app.main()
    except SystemExit as end:
        assert not end.code, arguments
    assert "torch" not in sys.modules, arguments
"""


def run_without_torch(folder: Path, *commands: list[str]) -> None:
    """Runs the commands in one process, which must not import torch."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with texts, n-best lists, a run and an ARPA file."""
    folder = tmp_path_factory.mktemp("ngrams")
    for name, path in toy._asdict().items():
        (folder / name).write_bytes(path.read_bytes())
    hypotheses = ["0 ||| the old frog ||| TM= -2 ||| -2", "0 ||| the frog ||| TM= -1 ||| -1"]
    (folder / "lists").write_text("".join(f"{line}\n" for line in hypotheses))
    run_without_torch(
        folder,
        ["count", "train", "-n", "3", "-o", "run"],
        ["count", "train", "-n", "2", "-o", "other", "--arpa", "file.arpa", "--prune", "1e-6"],
    )
    return folder


@pytest.mark.parametrize("model", ["run", "file.arpa"])
def test_a_model_of_ngrams_is_asked_without_torch(model: str, folder: Path) -> None:
    tables = [["--per-token"], ["--per-line"], ["--per-file"], ["--per-word"],
              ["--per-word", "--no-entropy"], ["--json"], ["--context", "sentence"]]  # fmt: skip
    run_without_torch(
        folder,
        ["eval", "-m", model, "test"],
        *(["eval", "-m", model, "test", *options] for options in tables),
        ["rescore", "-m", model, "lists", "--feature-weights", "lm=0.5", "--rerank"],
    )


def test_models_of_ngrams_are_mixed_without_torch(folder: Path) -> None:
    both = ["-m", "run", "-m", "other"]
    run_without_torch(
        folder,
        ["eval", *both, "test", "--mix", "0.3,0.7"],
        ["eval", *both, "test", "--tune", "valid"],
        ["eval", *both, "test", "--per-word"],
        ["eval", *both, "test", "--per-word", "--each"],
        ["rescore", *both, "lists"],
    )


@pytest.mark.parametrize("model", ["run", "file.arpa"])
def test_ngrams_are_exported_without_torch(model: str, folder: Path) -> None:
    forms = [
        ["--to", "arpa"],
        ["--to", "run"],
        ["--to", "words"],
        ["--to", "lexicon"],
        ["--to", "arpa", "--prune", "1e-5"],
        ["--to", "run", "--tune", "valid", "-m", "other"],
    ]
    run_without_torch(
        folder,
        *(
            ["export", "-m", model, *form, "-o", f"out-{model}-{number}"]
            for number, form in enumerate(forms)
        ),
    )


def run_script(script: str, folder: Path) -> str:
    """What a script prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_library_call_imports_no_torch(folder: Path) -> None:
    script = (
        "import sys, seqlm; lm = seqlm.load('run'); lm.score('the old frog'); lm.perplexity('test')"
        "; lm.surprisal('the frog'); lm.word_surprisal('the frog')"
        "; seqlm.mix([lm, seqlm.load('file.arpa')]).score('the frog')"
        "; seqlm.count('train', order=2, output='counted')"
        "; print('torch' in sys.modules)"
    )
    assert run_script(script, folder) == "False\n"


def test_the_module_of_an_ngram_model_is_made_when_it_is_asked_for(folder: Path) -> None:
    script = (
        "import sys, seqlm; lm = seqlm.load('run'); before = 'torch' in sys.modules"
        "; import torch; module = lm.model"
        "; scores, _ = module.score(module.start(1), torch.tensor([[2, 3, 1]]))"
        "; print(before, isinstance(module, torch.nn.Module), tuple(scores.shape))"
    )
    assert run_script(script, folder) == "False True (1, 3)\n"
