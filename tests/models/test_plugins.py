"""An architecture of another package: one class of options, one model, one entry point."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest

from seqlm.errors import ModelError, UsageError
from seqlm.models import architectures, config_class, model_class, plugins
from seqlm.models.config.recurrent_config import RecurrentConfig
from seqlm.models.language.recurrent import GRU
from seqlm.runs.run_folder import RunFolder
from seqlm.settings import setting
from seqlm.training.config.recipe import read_recipe
from seqlm.training.config.resolve import resolve
from tests.command import Result


@dataclass(frozen=True)
class ToyConfig(RecurrentConfig):
    model_path: ClassVar[str] = f"{__name__}:Toy"
    training_defaults: ClassVar = {"lr": 0.25, "zoneout": 0.5}

    zoneout: float = setting(0.125, "Share of units that keep their state.", low=0, high=0.99)
    gate: Literal["hard", "soft"] = setting("soft", "Kind of gate.", section="Gates")


class Toy(GRU):
    config_class = ToyConfig


def register(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """As if packages were installed that have these entry points."""
    found = [
        importlib.metadata.EntryPoint(name.replace("__", ":"), value, "seqlm.architectures")
        for name, value in values.items()
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
    plugins.cache_clear()


@pytest.fixture
def toy_arch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    register(monkeypatch, toy=f"{__name__}:ToyConfig")
    yield
    plugins.cache_clear()


def test_it_is_one_of_the_architectures(toy_arch: None) -> None:
    assert architectures("lm")[-1] == "toy"
    assert config_class("lm", "toy") is ToyConfig
    assert model_class("lm", "toy") is Toy
    with pytest.raises(UsageError, match="did you mean 'toy'"):
        model_class("lm", "toyy")


def test_an_option_of_one_line_is_a_flag_with_help_range_and_default(
    toy_arch: None, seqlm: Callable[..., Result], toy: Any
) -> None:
    help = " ".join(seqlm("train", "--help").out.split())
    assert (
        "--zoneout X Share of units that keep their state. [toy; from 0 to 0.99; default: 0.5]"
        in help
    )
    assert "Gates: --gate hard|soft Kind of gate. [toy; default: soft]" in help
    assert "mamba2, toy," in help  # of --arch
    assert "toy: 0.25" in help  # of --lr

    def error(*flags: str, **env: str) -> str:
        result = seqlm("train", toy.train, "--arch", "toy", *flags, env=env)
        assert (result.code, result.out) == (2, "")
        return result.error

    assert error("--zoneout", "7") == "--zoneout is 7.0; it must be from 0 to 0.99"
    assert error(SEQLM_ZONEOUT="x") == "SEQLM_ZONEOUT is 'x'; it takes a number"
    assert error("--gate", "hrd") == "--gate is 'hrd'; did you mean 'hard'?"
    result = seqlm("train", toy.train, "--arch", "gru", "--zoneout", "0.1")
    assert result.error == "--zoneout is an option of toy, not of gru"


def test_it_is_a_key_of_a_recipe(toy_arch: None, tmp_path: Any) -> None:
    recipe = tmp_path / "toy.yaml"
    recipe.write_text("arch: toy\ngate: hard\nlr: 0.5\n")
    settings, model = resolve(read_recipe(str(recipe)))
    assert (settings.lr, model) == (0.5, {"zoneout": 0.5, "gate": "hard"})


def test_it_trains_and_is_loaded_again(
    toy_arch: None, seqlm: Callable[..., Result], toy: Any, workplace: Any
) -> None:
    flags = ["--arch", "toy", "--width", "4", "--layers", "1", "--steps", "2", "-o", "run"]
    assert seqlm("train", toy.train, *flags).code == 0
    assert RunFolder(workplace / "run").read_config().model["zoneout"] == 0.5
    assert seqlm("eval", "-m", "run", toy.test).code == 0


def test_one_that_cannot_be_loaded_is_left_out_of_help(
    monkeypatch: pytest.MonkeyPatch, seqlm: Callable[..., Result]
) -> None:
    register(monkeypatch, broken="no_such_package:Config", translation__broken="x:Y")
    try:
        result = seqlm("train", "--help")
        assert result.code == 0
        assert "broken" not in result.out
        assert len(result.warnings) == 2
        assert "the architecture broken cannot be loaded from no_such_package:Config" in result.err
        with pytest.raises(ModelError, match="cannot be loaded"):
            model_class("translation", "broken")
    finally:
        plugins.cache_clear()
