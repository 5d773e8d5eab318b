"""`seqlm train`: where settings come from, what a run is made of, and what stops one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder
from tests.command import Result

QUICK = ["--width", "4", "--layers", "1", "--steps", "3"]


@pytest.fixture
def trained(seqlm: Callable[..., Result], toy: Any) -> Callable[..., dict]:
    """Trains for three steps and returns the configuration saved."""

    def train(*flags: Any, **options: Any) -> dict:
        result = seqlm("train", toy.train, *QUICK, "-o", "run", "--overwrite", *flags, **options)
        assert result.code == 0, result.err
        assert result.out == "run\n"
        return RunFolder(Path("run")).read_config()

    return train


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ----------------------------------------------------------------------------------- the run folder


def test_a_run_has_all_its_parts(trained, toy, workplace):
    config = trained("--valid", toy.valid)
    names = {path.name for path in (workplace / "run").iterdir()}
    assert names == {
        "config.yaml", "tokenizer.json", "metrics.jsonl", "README.md", "lock",
        "latest", "best", "steps",
    }  # fmt: skip
    assert (workplace / "run" / "latest").read_text() == "00000003\n"
    checkpoint = workplace / "run" / "steps" / "00000003"
    assert {path.name for path in checkpoint.iterdir()} == {
        "model.safetensors", "training.safetensors", "training.json", "manifest.json",
    }  # fmt: skip
    readme = (workplace / "run" / "README.md").read_text()
    assert config.command in readme
    assert str(toy.train) in readme
    assert config.data["texts"]["corpus"]["sha256"] in readme
    assert f"{config.result['valid_loss']:.4f}" in readme


def test_without_an_output_a_new_run_is_made_in_checkpoints(seqlm, toy):
    for name in ("lstm-train", "lstm-train-2"):
        assert seqlm("train", toy.train, *QUICK).out == f"checkpoints/{name}\n"


def test_a_run_is_refused_where_there_is_one_and_the_first_stays_intact(
    trained, seqlm, toy, workplace
):
    trained()
    before = contents(workplace / "run")
    result = seqlm("train", toy.train, *QUICK, "-o", "run", "--seed", "9")
    assert (result.code, result.out) == (2, "")
    assert (
        "run holds a run already; set --overwrite to replace it, or name another --output"
        in result.error
    )
    assert contents(workplace / "run") == before


def test_bad_text_does_not_cost_the_run_it_would_overwrite(trained, seqlm, workplace):
    trained()
    before = contents(workplace / "run")
    result = seqlm("train", *QUICK, "-o", "run", "--overwrite", stdin=b"")
    assert result.code == 3
    assert contents(workplace / "run") == before


def test_a_file_name_may_be_any_bytes(seqlm, toy, workplace):
    name = b"caf\xe9.txt".decode("utf-8", "surrogateescape")
    (workplace / name).write_bytes(toy.train.read_bytes())
    result = seqlm("train", name, *QUICK, "-o", "run")
    assert result.code == 0, result.err


# ------------------------------------------------------------------------- where settings come from


def test_flags_go_before_variables_before_recipes_before_defaults(trained, workplace):
    (workplace / "recipe.yaml").write_text("seed: 2\nseq_length: 12\nclip: 0.5\nlr: 1e-3\n")
    variables = {"SEQLM_SEED": "3", "SEQLM_SEQ_LENGTH": "13"}
    settings = trained("--config", "recipe.yaml", "--seed", "4", env=variables).settings
    assert (settings["seed"], settings["seq_length"], settings["clip"]) == (4, 13, 0.5)
    assert settings["lr"] == 1e-3
    assert settings["batch_size"] == 32
    assert trained().settings["seed"] == 1


def test_the_configuration_of_a_run_is_a_recipe(trained, workplace):
    first = trained("--seed", "7", "--dropout", "0.3", "--seq-length", "20")
    (workplace / "run").rename(workplace / "first")
    again = trained("--config", "first/config.yaml")
    assert (again.settings, again.model) == (first.settings, first.model)
    weights = contents(workplace / "run"), contents(workplace / "first")
    (name,) = [name for name in weights[0] if name.endswith("model.safetensors")]
    assert weights[0][name] == weights[1][name]
    assert trained("--config", "first/config.yaml", "--seed", "8").settings["seed"] == 8


def test_a_recipe_may_spell_its_keys_like_flags(trained, workplace):
    (workplace / "recipe.yaml").write_text("batch-size: 5\ndropout_input: 0\n")
    config = trained("--config", "recipe.yaml")
    assert config.settings["batch_size"] == 5
    assert config.model["dropout_input"] == 0.0


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            "seq_lenght: 3",
            "recipe.yaml: seq_lenght is no setting of lstm; did you mean 'seq_length'?",
        ),
        ("witdh: 3", "did you mean 'width'?"),
        ("width: wide", "width is 'wide'; it takes a whole number"),
        ("width: 3.5", "width is 3.5; it takes a whole number"),
        ("epochs: true", "epochs is True; it takes a whole number"),
        ("epochs:", "epochs is None; it takes a whole number"),
        ("tied: 1", "tied is 1; it takes true or false"),
        ("lr: fast", "lr is 'fast'; it takes a number"),
        ("lr: [1]", "lr is [1]; it takes a number"),
        ("lr: .nan", "lr is nan; it must be"),
        ("dropout_input: 1", "recipe.yaml: dropout_input is 1.0; it must be from 0 to 0.99"),
        ("optimizer: adamx", "optimizer is 'adamx'; did you mean 'adam'?"),
        ("schedule: cosin", "did you mean 'cosine'?"),
        ("arch: lstn", "recipe.yaml: arch is 'lstn'; did you mean 'lstm'?"),
        ("arch: ngram", "seqlm count"),
        ("arch: 5", "arch is 5; it takes a text"),
        ("- a list", "is not a mapping from settings to values"),
        ("3: 4", "has a key 3, which is no text"),
        ("just words", "is not a mapping from settings to values"),
        ("", "is not a mapping from settings to values"),
        ("a: [", "is no plain YAML"),
        ("a: \x01", "is no plain YAML"),
        ("when: 2026-99-99", "is no plain YAML"),
        ("lr: !!python/object/apply:os.mkdir [made]", "is not allowed"),
        ("lr: !!python/name:os.system", "is not allowed"),
    ],
)
def test_a_recipe_that_means_nothing_is_a_mistake_of_usage(recipe, message, seqlm, toy, workplace):
    (workplace / "recipe.yaml").write_text(recipe)
    result = seqlm("train", toy.train, "--config", "recipe.yaml", "-o", "run")
    assert (result.code, result.out) == (2, ""), result.err
    assert message in result.error
    assert {path.name for path in workplace.iterdir()} == {"recipe.yaml"}


def test_a_recipe_that_is_not_there_is_named(seqlm, toy):
    result = seqlm("train", toy.train, "--config", "nowhere.yaml")
    assert result.code == 2
    assert "no recipe 'nowhere.yaml'" in result.error


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--arch", "lstn"], "did you mean 'lstm'?"),
        (["--arch", "ngram"], "seqlm count"),
        (["--tokenizer", "words"], "did you mean 'word'?"),
        (["--context", "sentences"], "did you mean 'sentence'?"),
        (["--errors", "ignore"], "--errors 'ignore'"),
        (["--epochs", "0"], "--epochs is 0; it must be from 1 to"),
        (["--lr", "1e30"], "--lr is 1e+30; it must be from 0 to"),
        (["--lr", "-1"], "--lr is -1"),
        (["--lr", "nan"], "--lr is nan"),
        (["--dropout", "1"], "--dropout is 1.0; it must be from 0 to 0.99"),
        (["--batch-size", "0"], "--batch-size is 0"),
        (["--vocab-size", "2"], "--vocab-size is 2"),
        (["--width", "-4"], "--width is -4"),
        (["--valid-fraction", "0.9"], "--valid-fraction is 0.9"),
        (["--epochs", "many"], "--epochs is 'many'; it takes a whole number"),
        (["--seed", "-1", "--context", "sentence"], "--seed is -1"),
        (["--seed", "99999999999999999999999"], "--seed is 9"),
        (["--patience", "0"], "--patience is 0"),
        (["--valid", "VALID", "--valid-fraction", "0.1"], "--valid-fraction exclude each other"),
        (["--valid", "-", "-"], "can be read once"),
        (["-", "-"], "which can be read once"),
        (["--device", "abacus"], "no device 'abacus'"),
        (["--lernrate", "3"], "no option --lernrate"),
    ],
)  # fmt: skip
def test_flags_that_mean_nothing_are_a_mistake_of_usage(flags, message, seqlm, toy, workplace):
    flags = [str(toy.valid) if flag == "VALID" else flag for flag in flags]
    texts = [] if "-" in flags else [toy.train]
    result = seqlm("train", *texts, "--steps", "1", "--width", "4", "-o", "run", *flags)
    assert (result.code, result.out) == (2, ""), result.err
    assert message in result.error
    assert not (workplace / "run").exists()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SEQLM_EPOCHS", "many", "SEQLM_EPOCHS is 'many'; it takes a whole number"),
        ("SEQLM_LR", "abc", "SEQLM_LR is 'abc'; it takes a number"),
        ("SEQLM_LR", "-1", "SEQLM_LR is -1.0; it must be from 0 to 1000000"),
        ("SEQLM_SCHEDULE", "cosin", "SEQLM_SCHEDULE is 'cosin'; did you mean 'cosine'?"),
        ("SEQLM_TIED", "perhaps", "Invalid value for 'SEQLM_TIED'"),
        ("SEQLM_COOLDOWN", "0.2", "SEQLM_COOLDOWN needs --schedule wsd"),
        ("SEQLM_HEADS", "2", "SEQLM_HEADS is an option of transformer, not of lstm"),
    ],
)
def test_a_variable_that_means_nothing_is_blamed_by_its_name(variable, value, message, seqlm, toy):
    result = seqlm("train", toy.train, env={variable: value})
    assert result.code == 2
    assert message in result.error


def test_each_setting_is_blamed_where_it_was_written(seqlm, toy, workplace):
    def error(recipe: str, *flags: str, **env: str) -> str:
        (workplace / "my.yaml").write_text(recipe)
        return seqlm("train", toy.train, "--config", "my.yaml", *flags, env=env).error

    assert error("cooldown: 0.2") == "my.yaml: cooldown needs --schedule wsd"
    assert error("cooldown: 0.2\nschedule: cosine") == "my.yaml: cooldown needs schedule wsd"
    assert error("epochs: 0", "--lr", "2").startswith("my.yaml: epochs is 0;")
    assert error("epochs: 0", "--epochs", "-1").startswith("--epochs is -1;")
    assert error("epochs: 0", SEQLM_EPOCHS="-1").startswith("SEQLM_EPOCHS is -1;")


# --------------------------------------------------------------------------------------------- text


def test_a_run_can_take_the_vocabulary_of_another(trained, lstm, models, workplace):
    trained("--vocab", lstm)
    assert (workplace / "run" / "tokenizer.json").read_bytes() == (
        lstm / "tokenizer.json"
    ).read_bytes()
    (workplace / "types").write_text("the\nfrog\n")
    assert trained("--vocab", "types").model["vocab_size"] == 4


def test_words_are_rare_by_default_and_unk_is_trained(trained, seqlm, toy):
    some = trained().model["vocab_size"]
    every = trained("--min-count", "1").model["vocab_size"]
    assert some < every
    assert trained("--vocab-size", "20").model["vocab_size"] == 20


def test_several_validation_texts_are_one(trained, toy, workplace):
    (workplace / "both").write_bytes(toy.valid.read_bytes() + toy.test.read_bytes())
    two = trained("--valid", toy.valid, "--valid", toy.test).result["valid_loss"]
    one = trained("--valid", "both").result["valid_loss"]
    assert two == one


def test_a_part_of_the_corpus_can_validate(trained, toy):
    data = trained("--valid-fraction", "0.25").data
    assert data["valid_tokens"] / (data["tokens"] + data["valid_tokens"]) == pytest.approx(
        0.25, abs=0.01
    )


def test_one_line_cannot_be_split(seqlm):
    result = seqlm("train", *QUICK, "--valid-fraction", "0.1", stdin=b"a b a b\n")
    assert result.code == 3
    assert "one line cannot be split" in result.error


def test_a_corpus_of_one_token_trains(seqlm):
    assert seqlm("train", *QUICK, "-o", "run", stdin=b"a").code == 0


# --------------------------------------------------------------------------------- what stops a run


@pytest.mark.parametrize("valid", [True, False])
def test_a_loss_that_is_no_number_stops_with_its_step_and_is_not_the_best(
    valid, seqlm, toy, workplace
):
    wild = ["--lr", "1000000", "--weight-decay", "1000", "--valid-every", "1"]
    wild += ["--valid", str(toy.valid), "--patience", "99"] if valid else []
    result = seqlm("train", toy.train, "--width", "4", *wild, "-o", "run")
    assert (result.code, result.out) == (1, "")
    message = r"loss is (?:nan|inf) at step (\d+)" if valid else r"not finite after step (\d+)"
    found = re.search(message, result.error)
    assert found, result.err
    steps = {path.name for path in (workplace / "run" / "steps").iterdir()}
    assert max(map(int, steps)) < int(found[1])
    if valid:
        best = (workplace / "run" / "best").read_text().strip()
        assert best in steps
        entropy = ["--metric", "cross-entropy"]
        assert math.isfinite(float(seqlm("eval", "-m", "run", *entropy, toy.test).out))
    assert max(map(len, result.err.splitlines())) < 300


def test_training_stops_when_validation_no_longer_gains(seqlm, toy, workplace):
    flags = [
        "--width",
        "4",
        "--lr",
        "0",
        "--valid-every",
        "2",
        "--patience",
        "3",
        "--valid",
        toy.valid,
    ]
    result = seqlm("train", toy.train, *flags, "-o", "run")
    assert result.code == 0
    assert "no improvement in 3 validations (--patience): training ends at step 8 of" in result.err
    rows = (workplace / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 4
    assert (workplace / "run" / "best").read_text() == "00000002\n"


def test_a_full_disk_keeps_the_checkpoint_before_and_says_so(seqlm, toy, workplace, monkeypatch):
    from seqlm.runs import checkpoint

    write, count = checkpoint.write_tensors, [0]

    def full(*arguments: Any) -> None:
        count[0] += 1
        if count[0] > 5:  # in the third checkpoint
            raise OSError(28, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    result = seqlm(
        "train", toy.train, "--width", "4", "--valid-every", "5", "--steps", "30", "-o", "run"
    )
    assert result.code == 1
    assert "step 15 could not be saved: No space left on device; training goes on" in result.err
    assert "step 30 could not be saved: No space left on device" in result.error
    monkeypatch.undo()
    monkeypatch.chdir(workplace)
    assert seqlm("eval", "-m", "run", toy.test).code == 0
    assert seqlm("train", "--resume", "run").code == 0
    assert (workplace / "run" / "latest").read_text() == "00000030\n"


# ---------------------------------------------------------------------------- a damaged run, in use


def test_a_damaged_run_is_a_bad_model(spoilt, seqlm, toy):
    (checkpoint,) = (spoilt / "steps").iterdir()
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    for command in (["eval", toy.test], ["sample"]):
        result = seqlm(*command, "-m", spoilt)
        assert (result.code, result.out) == (4, "")
        assert f"{weights} is damaged" in result.error


def test_an_object_in_the_configuration_is_refused_and_not_made(spoilt, seqlm, workplace, toy):
    config = spoilt / "config.yaml"
    config.write_text(config.read_text() + "evil: !!python/object/apply:os.mkdir [made]\n")
    for command in (["eval", "-m", spoilt, toy.test], ["train", "--resume", spoilt]):
        result = seqlm(*command)
        assert result.code == 4
        assert re.search("config.yaml, line .*python/object.* is not allowed", result.error)
    assert not (workplace / "made").exists()


def test_a_missing_model_is_named_with_the_nearest(spoilt, seqlm, toy):
    result = seqlm("eval", "-m", str(spoilt)[:-1], toy.test)
    assert result.code == 4
    assert "did you mean 'run'?" in result.error


def test_the_configuration_saved_is_plain_and_complete(trained):
    config = trained("--valid-fraction", "0.1")
    assert (
        RunConfig.from_mapping(yaml.safe_load(yaml.safe_dump(config.to_mapping())), Path())
        == config
    )
    assert config.settings["optimizer"] == "adamw"
    assert config.threads == 1
