"""Settings: precedence, types, and names that nearly exist."""

from __future__ import annotations

import pytest

from seqlm.errors import UsageError
from seqlm.models import architectures
from seqlm.training.config.defaults import ARCHITECTURES
from seqlm.training.config.training_settings import (
    Settings,
    read_recipe,
    recipe_names,
    resolve,
)
from seqlm.training.optimization.optimizer import DEFAULT_LR


def test_defaults_are_complete():
    settings, model = resolve({})
    assert settings == Settings(**ARCHITECTURES["lm", "lstm"])
    assert set(model) <= {"dropout_input", "dropout_hidden", "dropout_output"}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_resolves(name):
    settings, model = resolve(read_recipe(name))
    assert settings.arch in architectures(settings.task)
    assert model


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rate": 1.0}, "no setting 'learning_rate'"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"widht": 3}, "did you mean 'width'"),
        ({"epochs": "three"}, "epochs is 'three'; it takes int"),
        ({"epochs": 2.5}, "epochs is 2.5; it takes int"),
        ({"epochs": True}, "epochs is True"),
        ({"tied": 1}, "tied is 1; it takes bool"),
        ({"schedule": "onecycle"}, "did you mean 'one-cycle'"),
        ({"arch": "lstn"}, "did you mean 'lstm'"),
        ({"arch": "ngram"}, "seqlm count"),
        ({"dropout_input": 1.5}, "dropout_input is 1.5; it lies between"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"context": "lines"}, "context is 'lines'; there are carried, sentence, window"),
        ({"cutoffs": "2000,many"}, "cutoffs is '2000,many'; it takes numbers like 2000,6000"),
        ({"cutoffs": [2000, 2.5]}, "cutoffs is [2000, 2.5]"),
        ({"cutoffs": "0"}, "cutoffs is 0; it lies between"),
        ({"arch": "transformer", "norm": "batch"}, "norm is 'batch'; there are"),
        ({"arch": "transformer", "length": 70, "horizon": 64}, "beyond the model's horizon 64"),
        (
            {"optimizer": "sgd", "beta1_lowest": 0.7},
            "beta1_lowest is for optimizer adam or adamw",
        ),
        ({"cooldown": 0.3}, "cooldown is for schedule wsd"),
        ({"cutoffs": "7"}, "cutoffs is for softmax adaptive"),
        ({"heads": 4}, "heads is an option of transformer, and not of lstm"),
        ({"arch": "transformer", "optimizer": "sgd"}, "has no usual rate for --arch transformer"),
        (
            {"arch": "transformer", "length": 9, "horizon": 5},
            "length 9 is beyond the model's horizon 5",
        ),
    ],
)
def test_refusals_name_the_setting(given, message):
    with pytest.raises(UsageError) as error:
        resolve(given)
    assert message in str(error.value)


def test_yaml_reads_an_exponent_without_a_point_as_a_string_and_we_do_not(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("lr: 5e-3\nbatch-size: 7\n")
    settings, _ = resolve(read_recipe(str(recipe)))
    assert (settings.lr, settings.batch_size) == (0.005, 7)


@pytest.mark.parametrize(
    "text",
    ["- a\n- b\n", "3\n", "a: [1\n", "x: !!python/object/apply:os.system ['true']\n", "1: 2\n"],
)
def test_what_is_no_plain_mapping_is_refused(tmp_path, text):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(text)
    with pytest.raises(UsageError):
        read_recipe(str(recipe))


@pytest.mark.parametrize("value", ["2000,6000", [2000, 6000], (2000, 6000), "2000, 6000"])
def test_several_numbers_are_a_flag_or_a_list(value):
    given = {"softmax": "adaptive", "cutoffs": value}
    assert resolve(given)[1]["cutoffs"] == (2000, 6000)
    assert resolve(given, {"cutoffs": None})[1]["cutoffs"] is None


def test_dropout_is_all_that_the_architecture_has():
    both = {"dropout": 0.4, "dropout_hidden": 0.1}
    _, lstm = resolve(both)
    assert {k: v for k, v in lstm.items() if k.startswith("dropout")} == {
        "dropout_input": 0.4,
        "dropout_hidden": 0.1,
        "dropout_output": 0.4,
    }
    _, transformer = resolve({"arch": "transformer", **both})
    assert (transformer["dropout_attention"], transformer["dropout_hidden"]) == (0.4, 0.1)
    _, later = resolve({"arch": "lstm", "dropout_input": 0.2}, {"dropout": 0.3})
    assert later["dropout_input"] == 0.3


def test_an_architecture_has_defaults_of_its_own():
    own = ARCHITECTURES["lm", "transformer"]
    settings, model = resolve({"arch": "transformer"})
    assert (settings.length, settings.lr) == (own["length"], own["lr"])
    assert model["horizon"] == settings.length
    assert resolve({"arch": "transformer", "length": 32})[1]["horizon"] == 32
    given, _ = resolve({"arch": "transformer", "lr": 0.5, "clip": 3.0}, {"clip": 2.0})
    assert (given.lr, given.clip) == (0.5, 2.0)
    # A rate and a decay are those of an optimiser.
    adam, _ = resolve({"arch": "transformer", "optimizer": "adam"})
    assert (adam.peak_rate, adam.weight_decay) == (DEFAULT_LR["adam"], 0)
    short, model = resolve({"arch": "transformer", "horizon": 5})
    assert (short.length, model["horizon"]) == (5, 5)


@pytest.mark.parametrize(("task", "arch"), ARCHITECTURES)
def test_defaults_are_settings_of_their_architecture(task, arch):
    settings, model = resolve({"task": task, "arch": arch})
    for name, value in ARCHITECTURES[task, arch].items():
        assert (model | vars(settings))[name] == value


def test_input_feeding_takes_an_attention_that_has_it():
    given = {"task": "translation", "arch": "gru", "input_feeding": True}
    assert resolve(given)[1]["attention"] == "general"
    assert resolve(given | {"attention": "dot"})[1]["attention"] == "dot"


def test_averaging_on_a_trigger_waits_for_it():
    settings, _ = resolve({"average": "nt-asgd"})
    assert (settings.optimizer, settings.schedule, settings.patience) == ("sgd", "constant", None)
    assert settings.peak_rate == DEFAULT_LR["sgd"]
    settings, _ = resolve({"average": "nt-asgd", "patience": 20, "optimizer": "adam"})
    assert (settings.patience, settings.peak_rate) == (20, DEFAULT_LR["adam"])
