"""Settings: precedence, types, and names that nearly exist."""

from __future__ import annotations

import pytest

from seqlm.errors import UsageError
from seqlm.training.settings import Settings, read_recipe, recipe_names, resolve


def test_defaults_are_complete():
    settings, model = resolve({})
    assert settings == Settings()
    assert set(model) <= {"dropout_input", "dropout_hidden", "dropout_output"}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_resolves(name):
    settings, model = resolve(read_recipe(name))
    assert settings.arch in ("rnn", "lstm", "gru")
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
