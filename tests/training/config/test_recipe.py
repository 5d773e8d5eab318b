"""Recipes: those that ship, one's own, and the config.yaml of a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import yaml

from seqlm.errors import UsageError
from seqlm.models import architectures
from seqlm.runs.run_config import plain
from seqlm.training.config.defaults import options_of
from seqlm.training.config.recipe import read_recipe, recipe_names
from seqlm.training.config.resolve import resolve


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_resolves(name):
    settings, model = resolve(read_recipe(name))
    assert settings.arch in architectures(settings.task)
    assert model


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


# ----------------------------------------------------------------------------- config.yaml of a run


def config_of(**given: Any) -> dict[str, Any]:
    """config.yaml of a run that was trained so, as far as a recipe is read from it."""
    settings, model = resolve(given)
    options = options_of(settings.task, settings.arch)
    defaults = {name: option.default for name, option in options.items()}
    return {
        "seqlm": "1", "task": settings.task, "arch": settings.arch, "context": "carried",
        "settings": asdict(settings), "model": plain({"vocab_size": 9, **defaults, **model}),
        "data": {"texts": {}}, "command": "seqlm train a.txt",
    }  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"arch": "transformer", "seq_length": 40, "dropout": 0.3},
        {"average": "nt-asgd", "patience": 7},
        {"softmax": "adaptive", "softmax_cutoffs": (3, 5), "variable_length": True},
        {"task": "translation", "arch": "gru", "separate_vocab": True, "input_feeding": True},
        {"task": "translation", "positions": "learned", "max_length": 20},
    ],
)
def test_the_configuration_of_a_run_trains_it_again(given, tmp_path):
    config = config_of(**given)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    settings, model = resolve(read_recipe(str(path)))
    assert settings == resolve(given)[0]
    assert all(config["model"][name] == plain(value) for name, value in model.items())
    assert config["model"].keys() - model.keys() <= {"vocab_size", "softmax_cutoffs",
                                                     "softmax_samples", "context_length",
                                                     "rope_base",
                                                     "share_embeddings"}  # fmt: skip


def test_its_values_are_not_in_the_way_of_others(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config_of(lr=0.1)))
    settings, model = resolve(read_recipe(str(path)), {"schedule": "wsd", "softmax": "sampled"})
    assert (settings.schedule, settings.cooldown, settings.lr) == ("wsd", 0.1, 0.1)
    assert model["softmax"] == "sampled"


def test_a_counted_run_is_no_recipe(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("seqlm: '1'\ntask: lm\narch: ngram\ncontext: carried\nmodel: {order: 3}\n")
    with pytest.raises(UsageError, match="was counted, not trained"):
        read_recipe(str(path))
