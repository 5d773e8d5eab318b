"""`seqlm train --minutes`, in every task, with a recipe, and resumed.

That it ends on time is tested with a clock of our own, in tests/training/test_timed_trainer.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqlm.runs.run_folder import RunFolder
from tests.command import Result
from tests.conftest import Toy
from tests.contract.word_vectors import text_of_topics
from tests.training.labeled_toy import tagged_text

SMALL = ["--width", "4", "--minutes", "0.01"]


@pytest.fixture
def timed(seqlm: Callable[..., Result], toy: Toy, workplace: Path) -> Callable[..., Result]:
    """`seqlm train` of the toy for 0.6 seconds, into `run`."""

    def train(*arguments: Any) -> Result:
        result = seqlm("train", toy.train, *SMALL, "--layers", "1", *arguments, "-o", "run")
        assert result.code == 0, result.err
        return result

    return train


def result_of(run: str) -> Any:
    return RunFolder(Path(run)).read_config().result


def more_minutes(run: str) -> str:
    """Half a second more than the run has had."""
    return str((RunFolder(Path(run)).read_metrics()[-1]["seconds"] + 0.5) / 60)


@pytest.mark.parametrize("task", ["lm", "translation", "tagging", "vectors"])
def test_every_task_is_trained_for_a_time(task, seqlm, toy, workplace) -> None:
    texts = {"lm": toy.train.read_text(), "tagging": tagged_text(40), "vectors": text_of_topics()}
    texts |= {"source": "one two\nthree\n" * 9, "target": "eins zwei\ndrei\n" * 9}
    for name, text in texts.items():
        Path(name).write_text(text)
    flags = ["--task", task, task, "--valid", task]
    if task == "translation":
        flags = ["--source", "source", "--target", "target", "--tokenizer", "word"]
        flags += ["--valid-source", "source", "--valid-target", "target", "--heads", "2"]
    result = seqlm("train", *flags, *SMALL, "-o", "run")
    assert result.code == 0, result.err
    found = result_of("run")
    assert 1 <= found["step"] <= found["planned_steps"]
    assert f"--steps {found['planned_steps']} " in result.err
    assert "valid_loss" in found


def test_the_flag_goes_before_the_end_that_a_recipe_sets(timed, workplace) -> None:
    (workplace / "my.yaml").write_text("epochs: 7\n")
    timed("--config", "my.yaml")
    assert "planned_steps" in result_of("run")


@pytest.mark.parametrize(("flag", "value"), [("--epochs", "2"), ("--steps", "5")])
def test_a_flag_goes_before_the_minutes_of_a_recipe(flag, value, seqlm, toy, workplace) -> None:
    (workplace / "my.yaml").write_text("minutes: 9\nwidth: 4\nlayers: 1\n")
    result = seqlm("train", toy.train, "--config", "my.yaml", flag, value, "-o", "run")
    assert result.code == 0, result.err
    settings = RunFolder(Path("run")).read_config().settings
    assert settings["minutes"] is None
    assert "planned_steps" not in result_of("run")


def test_a_timed_run_is_repeated_by_its_steps(timed, seqlm, toy, workplace) -> None:
    timed()
    flags = ["--config", "run/config.yaml", "--steps", str(result_of("run")["planned_steps"])]
    result = seqlm("train", toy.train, *flags, "-o", "again")
    assert result.code == 0, result.err
    assert result_of("again")["step"] == result_of("run")["planned_steps"]
    assert RunFolder(Path("again")).read_config().settings["minutes"] is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "2"], "--minutes and --epochs both say when training ends: give one"),
        (["--steps", "2"], "--minutes and --steps both say when training ends: give one"),
        (["--minutes", "0"], "--minutes is 0.0; it must be above 0"),
        (["--minutes", "-3"], "--minutes is -3.0; it must be above 0"),
        (["--minutes", "nan"], "--minutes is nan; it must be above 0"),
        (["--minutes", "soon"], "--minutes is 'soon'; it takes a number"),
    ],
)
def test_what_is_no_time_is_a_mistake_of_usage(flags, message, seqlm, toy, workplace) -> None:
    result = seqlm("train", toy.train, *SMALL, *flags, "-o", "run")
    assert (result.code, result.out) == (2, "")
    assert message in result.error
    assert not (workplace / "run").exists()


def test_two_ends_in_a_recipe_are_blamed_on_it(seqlm, toy, workplace) -> None:
    (workplace / "my.yaml").write_text("minutes: 9\nsteps: 4\n")
    result = seqlm("train", toy.train, "--config", "my.yaml")
    assert result.error.startswith("my.yaml: minutes and steps both say when training ends")


# ----------------------------------------------------------------------------------------- resuming


def test_a_finished_run_is_resumed_for_longer(timed, seqlm, workplace) -> None:
    timed()
    before = result_of("run")["step"]
    finished = seqlm("train", "--resume", "run")
    assert finished.code == 2
    assert "is finished; give more --epochs, --steps or --minutes to continue" in finished.error
    result = seqlm("train", "--resume", "run", "--minutes", more_minutes("run"))
    assert result.code == 0, result.err
    assert result_of("run")["planned_steps"] > before
    result = seqlm("train", "--resume", "run", "--minutes", "2", "--epochs", "500")
    assert "--minutes and --epochs both say when training ends" in result.error
    result = seqlm("train", "--resume", "run", "--minutes", "0.001")
    assert result.code == 2
    assert "minutes; give more --minutes to continue" in result.error


def test_a_timed_run_is_resumed_to_a_number_of_steps(timed, seqlm, workplace) -> None:
    timed()
    steps = result_of("run")["planned_steps"] + 3
    result = seqlm("train", "--resume", "run", "--steps", steps)
    assert result.code == 0, result.err
    assert result_of("run")["step"] == steps
    assert RunFolder(Path("run")).read_config().settings["minutes"] is None


def test_a_run_of_epochs_is_resumed_for_a_time(seqlm, toy, workplace) -> None:
    flags = ["--width", "4", "--layers", "1", "--epochs", "1", "-o", "run"]
    assert seqlm("train", toy.train, *flags).code == 0
    result = seqlm("train", "--resume", "run", "--minutes", more_minutes("run"), "--lr", "0.01")
    assert result.code == 0, result.err
    assert "a new phase from step" in result.err
    assert "planned_steps" in result_of("run")
