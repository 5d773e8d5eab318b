"""An interrupted run goes on, and ends as the unbroken one, bit for bit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqlm.cli.commands.train import Progress
from seqlm.errors import SeqlmError
from seqlm.runs.checkpoint import read_pointer
from seqlm.runs.own_files import remove_checkpoint
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder
from tests.command import COMMAND, Result, environment, seqlm_inside
from tests.conftest import Toy

SMALL = ["--width", "6", "--layers", "1", "--batch-size", "8", "--seq-length", "16"]
SMALL += ["--steps", "60", "--valid-every", "20"]  # an epoch has about 38 steps


class Crash(BaseException):
    """kill -9: nothing more is done. (A real one is below.)"""


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def crash() -> None:
    raise Crash


@pytest.fixture
def stopped(seqlm: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line, stopped by `how` after a step of training."""

    def run(step: int, how: Callable[[], None], *arguments: Any, **options: Any) -> Result:
        on_step = Progress.on_step

        def watched(self: Progress, trainer: Any, loss: float) -> None:
            on_step(self, trainer, loss)
            if trainer.progress.step == step:
                how()

        with monkeypatch.context() as patch:
            patch.setattr(Progress, "on_step", watched)
            return seqlm(*arguments, **options)

    return run


def outcome(path: Path) -> dict[str, Any]:
    """All that a run has come to, but for the times."""
    run = RunFolder(path)
    result: dict[str, Any] = {}
    for name in ("best", "latest"):
        result[name] = read_pointer(run, name)
        if result[name]:
            checkpoint = run / "steps" / result[name]
            result[f"{name} weights"] = (checkpoint / "model.safetensors").read_bytes()
            result[f"{name} moments"] = (checkpoint / "training.safetensors").read_bytes()
            state = json.loads((checkpoint / "training.json").read_text())
            state["progress"].pop("seconds")
            result[f"{name} state"] = state
    result["metrics"] = [timeless(row) for row in metrics(path)]
    config = run.read_config()
    assert config.finished
    timeless_result = timeless(config.result)
    result["config"] = replace(config, finished=None, command=None, result=timeless_result)
    assert (run / "README.md").exists()
    return result


def metrics(path: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in (path / "metrics.jsonl").read_text().splitlines()]


def timeless(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in ("seconds", "train_loss")}


# ---------------------------------------------------------------------------------------- exactness

VALID = ["--valid", "VALID"]
KINDS = {
    "lstm": VALID,
    "no validation": [],
    "fraction": ["--valid-fraction", "0.2"],
    "gru, sentences": [*VALID, "--arch", "gru", "--context", "sentence"],
    "rnn, plateau": [
        *VALID, "--arch", "rnn", "--optimizer", "sgd", "--schedule", "plateau", "--lr", "9",
    ],
    "dropout": [*VALID, "--dropout", "0.4", "--dropout-embedding", "0.1", "--layers", "2"],
    "bpe": [*VALID, "--tokenizer", "bpe", "--vocab-size", "270", "--schedule", "cosine"],
    "transformer": [*VALID, "--arch", "transformer", "--heads", "2", "--average", "last"],
    "all at once": [
        *VALID, "--optimizer", "rmsprop", "--schedule", "wsd", "--average", "ema",
        "--grad-accumulation", "2", "--variable-length", "--label-smoothing", "0.1",
        "--scheduled-sampling", "linear",
        "--dropout-weight", "0.2", "--ar", "1", "--tar", "1", "--weight-decay", "0.01",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def training(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Arguments of each of KINDS, and what it comes to when nothing stops it."""
    folder = tmp_path_factory.mktemp("whole")
    outcomes: dict[str, Any] = {}

    def of(kind: str) -> Any:
        flags = [str(toy.valid) if flag == "VALID" else flag for flag in KINDS[kind]]
        arguments = ["train", toy.train, *SMALL, *flags]
        if kind not in outcomes:
            whole = seqlm_inside(*arguments, "-o", folder / kind)
            assert whole.code == 0, whole.err
            outcomes[kind] = outcome(folder / kind)
        return arguments, outcomes[kind]

    return of


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("how", "step", "code"),
    [(interrupt, 45, 130), (terminate, 3, 143), (terminate, 40, 143), (crash, 45, None)],
)
def test_a_stopped_run_ends_as_the_unbroken_one(
    kind, how, step, code, training, seqlm, stopped, workplace
):
    arguments, whole = training(kind)
    if how is crash:
        with pytest.raises(Crash):
            stopped(step, how, *arguments, "-o", "run")
    else:
        result = stopped(step, how, *arguments, "-o", "run")
        assert result.code == code
        assert f"stopped at step {step} of 60, which is saved" in result.error
        assert "continue with: seqlm train --resume run" in result.error
        assert result.out == ""
    resumed = seqlm("train", "--resume", "run")
    assert (resumed.code, resumed.out) == (0, "run\n"), resumed.err
    assert outcome(workplace / "run") == whole


def test_the_training_loss_goes_on_too(training, seqlm, stopped, workplace):
    arguments, _ = training("lstm")
    stopped(45, interrupt, *arguments, "-o", "run")
    assert seqlm("train", "--resume", "run").code == 0
    assert seqlm(*arguments, "-o", "whole").code == 0
    losses = [row["train_loss"] for row in metrics(workplace / "run")]
    assert losses == [row["train_loss"] for row in metrics(workplace / "whole")]


def test_the_same_seed_twice_gives_the_same_run_and_another_another(training, seqlm, workplace):
    arguments, whole = training("lstm")
    assert seqlm(*arguments, "-o", "again").code == 0
    assert outcome(workplace / "again") == whole
    assert seqlm(*arguments, "-o", "other", "--seed", "2").code == 0
    assert outcome(workplace / "other")["latest weights"] != whole["latest weights"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_stopped_for_real_ends_as_the_unbroken_one(number, toy, seqlm, workplace):
    arguments = ["train", toy.train, *SMALL, "--steps", "400", "--valid", toy.valid, "-o"]
    command = [*COMMAND, *map(str, arguments), "broken"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            if "step 60" in line:
                process.send_signal(number)
                break
        err, out = process.stderr.read(), process.stdout.read()
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert out == ""
    if number != signal.SIGKILL:
        assert re.search(r"\nseqlm: error: stopped at step \d+ .* --resume broken\n$", "\n" + err)
    assert seqlm("train", "--resume", "broken").code == 0
    assert seqlm(*arguments, "whole").code == 0
    assert outcome(workplace / "broken") == outcome(workplace / "whole")


# ------------------------------------------------------------------------------------- what is kept


def test_a_corpus_from_stdin_is_kept_for_resuming(training, toy, seqlm, stopped, workplace):
    arguments, whole = training("lstm")
    piped = ["-" if argument == toy.train else argument for argument in arguments]
    text = toy.train.read_bytes()
    stopped(45, interrupt, *piped, "-o", "run", stdin=text)
    assert seqlm("train", "--resume", "run").code == 0
    found = outcome(workplace / "run")
    for name in ("best weights", "latest weights", "latest moments", "metrics"):
        assert found[name] == whole[name]


@pytest.mark.parametrize("changed", ["train", "valid"])
def test_a_changed_text_is_refused(changed, toy, seqlm, stopped, workplace):
    texts = {name: Path(shutil.copy(getattr(toy, name), name)) for name in ("train", "valid")}
    arguments = ["train", "train", "--valid", "valid", *SMALL, "-o", "run"]
    assert stopped(25, interrupt, *arguments).code == 130
    before = texts[changed].read_bytes()
    texts[changed].write_bytes(before + b"more\n")
    result = seqlm("train", "--resume", "run")
    assert result.code == 3
    assert result.error == f"{workplace / changed} has changed since run was begun"
    texts[changed].unlink()
    assert seqlm("train", "--resume", "run").code == 3
    texts[changed].write_bytes(before.replace(b"\n", b"\r\n"))  # the same text
    assert seqlm("train", "--resume", "run").code == 0


# --------------------------------------------------------------------------------------- new phases


@pytest.mark.parametrize("flags", [["--steps", "80"], ["--steps", "70", "--lr", "0.001"]])
def test_a_flag_begins_a_new_phase_and_says_so(flags, training, seqlm, workplace):
    arguments, _ = training("lstm")
    assert seqlm(*arguments, "-o", "run").code == 0
    rows = metrics(workplace / "run")
    result = seqlm("train", "--resume", "run", *flags)
    assert result.code == 0, result.err
    assert "a new phase from step 60" in result.err
    after = metrics(workplace / "run")
    assert after[: len(rows)] == rows
    assert after[-1]["step"] == int(flags[1])
    config = RunFolder(workplace / "run").read_config()
    assert config.settings["steps"] == int(flags[1])
    assert config.finished


def test_finetuning_averages_all_steps_from_the_best_weights(training, seqlm, workplace):
    arguments, _ = training("lstm")
    flags = ["--average", "nt-asgd", "--average-patience", "1", "--lr", "5"]
    assert seqlm(*arguments, *flags, "-o", "run").code == 0
    run = RunFolder(workplace / "run")
    best = read_pointer(run, "best")
    result = seqlm("train", "--resume", "run", "--average", "asgd", "--steps", "100")
    assert result.code == 0, result.err
    assert f"the weights are those of step {int(best)}, averaged by asgd" in result.err
    assert "a new phase from step 60, from rate 5" in result.err
    losses = {row["step"]: row["valid_loss"] for row in metrics(workplace / "run")}
    assert list(losses) == [20, 40, 60, 80, 100]
    assert min(losses[80], losses[100]) < losses[int(best)]
    state = json.loads((run / "steps" / "00000100" / "training.json").read_text())
    assert state["average"] == {"kind": "asgd", "has_started": True, "count": 40}


def test_a_finished_run_is_not_resumed_without_more_to_do(training, seqlm):
    arguments, _ = training("lstm")
    assert seqlm(*arguments, "-o", "run").code == 0
    for flags in ([], ["--steps", "60"], ["--steps", "10"]):
        result = seqlm("train", "--resume", "run", *flags)
        assert result.code == 2
        assert (
            "run is finished; give more --epochs, --steps or --minutes to continue" in result.error
        )


@pytest.mark.parametrize(
    "flags",
    [["--seed", "2"], ["--width", "9"], ["--batch-size", "3"], ["--tokenizer", "char"]],
)
def test_a_setting_of_the_model_or_the_text_cannot_change(flags, training, seqlm, stopped):
    arguments, _ = training("lstm")
    stopped(3, interrupt, *arguments, "-o", "run")
    result = seqlm("train", "--resume", "run", *flags)
    assert result.code == 2
    assert f"{flags[0]} cannot change in a resumed run" in result.error


@pytest.mark.parametrize(
    "flags", [["text"], ["--valid", "text"], ["-o", "new"], ["--config", "x"], ["--overwrite"]]
)
def test_a_resumed_run_has_its_corpus_and_place(flags, training, seqlm, stopped):
    arguments, _ = training("lstm")
    stopped(3, interrupt, *arguments, "-o", "run")
    result = seqlm("train", "--resume", "run", *flags)
    assert result.code == 2
    assert "--resume continues with the text and the settings of its run" in result.error


def test_variables_for_new_runs_do_not_change_a_resumed_one(training, seqlm, stopped, workplace):
    arguments, whole = training("lstm")
    stopped(45, interrupt, *arguments, "-o", "run")
    variables = {"SEQLM_SEED": "5", "SEQLM_LR": "1", "SEQLM_VALID": "x", "SEQLM_OUTPUT": "y"}
    assert seqlm("train", "--resume", "run", env=variables).code == 0
    assert outcome(workplace / "run") == whole


# -------------------------------------------------------------------------------- nothing to resume


def test_what_cannot_be_resumed_is_said(seqlm, ngram, toy, stopped, workplace):
    result = seqlm("train", "--resume", "nowhere")
    assert (result.code, result.error) == (4, "no model nowhere")
    result = seqlm("train", "--resume", ngram)
    assert result.code == 2
    assert "was counted, not trained" in result.error
    # Killed before the first checkpoint.
    assert seqlm("train", toy.train, *SMALL, "-o", "run").code == 0
    remove_checkpoint(next(Path("run/steps").iterdir()))
    Path("run/latest").unlink()
    result = seqlm("train", "--resume", "run")
    assert (result.code, result.error) == (
        4,
        "run holds no checkpoint yet; set --overwrite to start its training again",
    )


def test_a_run_being_trained_cannot_be_resumed(training, seqlm, stopped):
    arguments, _ = training("lstm")
    stopped(3, interrupt, *arguments, "-o", "run")
    busy = RunFolder(Path("run"))
    busy.lock()
    result = seqlm("train", "--resume", "run")
    busy.unlock()
    assert (result.code, result.error) == (2, "run is being written by another run")


def test_a_run_killed_at_its_very_end_is_finished_by_resuming(
    training, seqlm, workplace, monkeypatch
):
    arguments, whole = training("lstm")
    write = RunFolder.write_config

    def killed(run: RunFolder, config: RunConfig) -> None:
        if config.finished:
            raise Crash
        write(run, config)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_config", killed)
        with pytest.raises(Crash):
            seqlm(*arguments, "-o", "run")
    assert seqlm("train", "--resume", "run").code == 0
    assert outcome(workplace / "run") == whole


def test_a_run_killed_between_a_checkpoint_and_its_metrics_measures_again(
    training, seqlm, workplace, monkeypatch
):
    arguments, whole = training("lstm")
    append = RunFolder.append_metrics

    def killed(run: RunFolder, rows: list[dict[str, Any]]) -> None:
        if rows[-1]["step"] == 40:
            raise Crash
        append(run, rows)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append_metrics", killed)
        with pytest.raises(Crash):
            seqlm(*arguments, "-o", "run")
    assert seqlm("train", "--resume", "run").code == 0
    assert outcome(workplace / "run") == whole


def test_a_validation_in_which_a_signal_arrives_is_given_up_and_done_again(
    training, seqlm, workplace, monkeypatch
):
    from seqlm.training.tasks import language_modeling

    arguments, whole = training("lstm")
    validate, calls = language_modeling.validation_loss, 0

    def interrupted(*given: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 2:
            terminate()
            raise AssertionError("validation goes on")
        return validate(*given)

    with monkeypatch.context() as patch:
        patch.setattr(language_modeling, "validation_loss", interrupted)
        result = seqlm(*arguments, "-o", "run")
    assert result.code == 143
    assert result.error.startswith("stopped at step 40 of")
    assert [row["step"] for row in metrics(workplace / "run")] == [20]
    assert seqlm("train", "--resume", "run").code == 0
    assert outcome(workplace / "run") == whole


# ----------------------------------------------- what is asked for is recorded before it is begun


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [(["--steps", 120], {"steps": 120}), (["--lr", 0.001, "--steps", 90], {"lr": 0.001})],
)
def test_a_resumption_that_dies_before_its_first_checkpoint_is_not_lost(
    asked, recorded, training, seqlm, stopped, workplace
):
    arguments, _ = training("lstm")
    assert seqlm(*arguments, "-o", "run").code == 0
    shutil.copytree("run", "unbroken")
    assert seqlm("train", "--resume", "unbroken", *asked).code == 0
    with pytest.raises(Crash):
        stopped(65, crash, "train", "--resume", "run", *asked)
    config = RunFolder(workplace / "run").read_config()
    assert config.finished is None
    assert {name: config.settings[name] for name in recorded} == recorded
    again = seqlm("train", "--resume", "run")
    assert again.code == 0, again.err
    assert "a new phase from step 60" in again.err
    assert outcome(workplace / "run") == outcome(workplace / "unbroken")


def test_an_interrupted_run_that_is_resumed_with_other_settings_has_them(
    training, seqlm, stopped, workplace
):
    arguments, _ = training("lstm")
    assert stopped(25, interrupt, *arguments, "-o", "run").code == 130
    with pytest.raises(Crash):
        stopped(27, crash, "train", "--resume", "run", "--lr", 0.001)
    resumed = seqlm("train", "--resume", "run")
    assert "a new phase from step 25, from rate 0.001" in resumed.err
    assert RunFolder(workplace / "run").read_config().settings["lr"] == 0.001


def test_a_setting_that_cannot_change_is_refused_in_the_configuration_too(training, seqlm):
    arguments, _ = training("lstm")
    assert seqlm(*arguments, "-o", "run").code == 0
    path = Path("run/config.yaml")
    path.write_text(re.sub(r"seq_length: \d+", "seq_length: 9", path.read_text()))
    result = seqlm("train", "--resume", "run", "--steps", 90)
    assert (result.code, "cannot change" in result.error) == (2, True)


# ----------------------------------------------------------------------------------- a full disk


def test_a_checkpoint_that_cannot_be_written_is_not_the_end(
    training, seqlm, workplace, monkeypatch
):
    from seqlm.runs import checkpoint

    arguments, whole = training("lstm")
    write, calls = checkpoint.write_tensors, []

    def full_at_first(path: Path, *more: Any) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        write(path, *more)

    monkeypatch.setattr(checkpoint, "write_tensors", full_at_first)
    result = seqlm(*arguments, "-o", "run")
    assert result.code == 0
    assert "could not be saved: No space left on device; training goes on" in result.err
    assert outcome(workplace / "run") == whole


def test_the_last_checkpoint_must_be_written(training, seqlm, workplace, monkeypatch):
    from seqlm.runs import checkpoint

    arguments, _ = training("lstm")
    write = checkpoint.write_tensors

    def full_at_last(path: Path, *more: Any) -> None:
        if "00000060" in str(path):
            raise OSError(28, "No space left on device")
        write(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_tensors", full_at_last)
        result = seqlm(*arguments, "-o", "run")
    assert (result.code, "step 60 could not be saved" in result.error) == (1, True)
    assert read_pointer(RunFolder(workplace / "run"), "latest") == "00000040"
    assert seqlm("train", "--resume", "run").code == 0


def test_figures_that_cannot_be_written_come_with_the_next(training, seqlm, workplace, monkeypatch):
    arguments, whole = training("lstm")
    append, calls = RunFolder.append_metrics, []

    def full_at_first(run: RunFolder, rows: list[dict[str, Any]]) -> None:
        calls.append(len(rows))
        if len(calls) == 1:
            raise SeqlmError("metrics.jsonl cannot be written: No space left on device")
        append(run, rows)

    monkeypatch.setattr(RunFolder, "append_metrics", full_at_first)
    result = seqlm(*arguments, "-o", "run")
    assert result.code == 0
    assert calls == [1, 2, 1]
    assert outcome(workplace / "run") == whole


def test_a_run_whose_best_was_before_it_stopped_is_finished(
    training, seqlm, stopped, workplace, monkeypatch
):
    from seqlm.training.tasks import language_modeling

    losses = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(language_modeling, "validation_loss", lambda *arguments: next(losses))
    arguments, _ = training("lstm")
    assert stopped(45, interrupt, *arguments, "-o", "run").code == 130
    result = seqlm("train", "--resume", "run")
    assert result.code == 0, result.err
    config = RunFolder(workplace / "run").read_config()
    assert config.result["valid_loss"] == 1.0
    assert read_pointer(RunFolder(workplace / "run"), "best") == "00000020"


@pytest.mark.parametrize("damage", [b"", b"\x80\x04\x95 a pickle", None])
def test_a_damaged_corpus_is_the_runs_fault(damage, training, toy, seqlm, stopped, workplace):
    arguments, _ = training("lstm")
    piped = ["-" if argument == toy.train else argument for argument in arguments]
    stopped(3, interrupt, *piped, "-o", "run", stdin=toy.train.read_bytes())
    path = workplace / "run" / "corpus.safetensors"
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    result = seqlm("train", "--resume", "run")
    assert result.code == 4
    assert "run/corpus.safetensors" in result.error
