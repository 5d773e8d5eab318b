"""The configuration of a training run: names, types and defaults, from flags and YAML.

    flags  >  SEQLM_* variables  >  --config YAML  >  the defaults below

A recipe is a YAML mapping from the names of these settings (- or _) to values; those that ship with
the package are named without a path. Model options (`width`, `layers`, …) are the fields of the
architecture's own configuration.
"""

from __future__ import annotations

import contextlib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from seqlm.errors import UsageError, did_you_mean
from seqlm.models import architectures, model_class
from seqlm.training.optim import DEFAULT_RATE

RECIPES = files("seqlm.training") / "recipes"


@dataclass(frozen=True)
class Settings:
    """What is not the model's own."""

    arch: str = "lstm"
    # text
    tokenizer: Literal["word", "char", "bpe"] = "word"
    vocab: str | None = None
    vocab_size: int | None = None
    min_count: int | None = None
    context: Literal["carried", "sentence"] = "carried"
    valid_fraction: float | None = None
    # optimisation
    epochs: int = 6
    steps: int | None = None
    batch_size: int = 32
    length: int = 35
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float | None = None
    schedule: Literal["constant", "cosine", "one-cycle", "plateau"] = "one-cycle"
    warmup: float = 0.0
    clip: float = 0.25
    weight_decay: float = 0.0
    # validation
    valid_every: int | None = None
    patience: int | None = 3
    tolerance: float = 0.0
    seed: int = 1

    @property
    def peak_rate(self) -> float:
        return self.lr if self.lr is not None else DEFAULT_RATE[self.optimizer]


SCHEDULE = frozenset({"epochs", "steps", "lr", "schedule", "warmup"})
"""Settings that begin a new phase of a resumed run."""
CHANGEABLE = SCHEDULE | {"clip", "weight_decay", "patience", "tolerance", "valid_every"}
"""Settings that a resumed run may change."""

DROPOUTS = ("dropout_input", "dropout_hidden", "dropout_output")
"""What `dropout` sets at once."""

MODEL_DEFAULTS: dict[str, Any] = {
    "dropout_input": 0.1,
    "dropout_hidden": 0.1,
    "dropout_output": 0.2,
}
"""Where `train` without flags departs from a model's own defaults, which are those of its paper."""

RANGES: dict[str, tuple[float, float]] = {
    "valid_fraction": (0.0, 0.5),
    "epochs": (1, 10**9),
    "steps": (1, 10**12),
    "batch_size": (1, 10**7),
    "length": (1, 10**7),
    "lr": (0.0, 10**6),
    "warmup": (0.0, 1.0),
    "clip": (0.0, 10**9),
    "weight_decay": (0.0, 10**3),
    "valid_every": (1, 10**12),
    "patience": (1, 10**9),
    "tolerance": (0.0, 10**3),
    "vocab_size": (3, 2**31),
    "min_count": (1, 2**31),
    "width": (1, 10**6),
    "layers": (1, 10**3),
    "embedding": (1, 10**6),
    "seed": (0, 2**63 - 1),
}


def resolve(*layers: Mapping[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Settings, and the model's own options without its vocabulary. Later layers win.

    `dropout` stands for all of DROPOUTS that its layer does not name.
    Errors: UsageError on a name no setting has (with the nearest), or a value that does not fit.
    """
    given: dict[str, Any] = {}
    for layer in layers:
        spread = dict.fromkeys(DROPOUTS, layer["dropout"]) if "dropout" in layer else {}
        given |= spread | {name: value for name, value in layer.items() if name != "dropout"}
    arch = checked("arch", given.get("arch", Settings.arch), str)
    options = model_options(arch)
    mine: dict[str, Any] = {}
    model: dict[str, Any] = {k: v for k, v in MODEL_DEFAULTS.items() if k in options}
    hints = typing.get_type_hints(Settings)
    for name, value in given.items():
        if name in hints:
            mine[name] = checked(name, value, hints[name])
        elif name in options:
            model[name] = checked(name, value, options[name])
        else:
            near = did_you_mean(name, [*hints, *options])
            raise UsageError(f"no setting {name!r} for --arch {arch}{near}")
    return Settings(**mine), model


def model_options(arch: str) -> dict[str, Any]:
    """The names and types of an architecture's options. Errors: UsageError."""
    if arch == "ngram":
        raise UsageError("an n-gram model is counted, not trained: seqlm count")
    if arch not in architectures():
        near = did_you_mean(str(arch), [a for a in architectures() if a != "ngram"])
        raise UsageError(f"no architecture {arch!r}{near}")
    hints = typing.get_type_hints(model_class("lm", arch).config_class)
    return {name: kind for name, kind in hints.items() if name != "vocab_size"}


def checked(name: str, value: Any, kind: Any) -> Any:
    """`value` as `kind`. Errors: UsageError that says what was expected."""
    choices = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        if value in choices:
            return value
        raise UsageError(f"{name} is {value!r}{did_you_mean(str(value), choices)}")
    allowed = choices if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in allowed:
        return None
    if type(value) in (int, str) and float in allowed:  # YAML 1.1 takes 1e-3 for a string
        with contextlib.suppress(ValueError):
            value = float(value)
    if not any(type(value) is a for a in allowed):
        wanted = " or ".join(a.__name__ for a in allowed if a is not type(None))
        raise UsageError(f"{name} is {value!r}; it takes {wanted}")
    low, high = RANGES.get(name, (-float("inf"), float("inf")))
    if name.startswith("dropout"):
        low, high = 0.0, 0.99
    if type(value) in (int, float) and not low <= value <= high:
        raise UsageError(f"{name} is {value}; it lies between {low:g} and {high:g}")
    return value


def recipe_names() -> list[str]:
    return sorted(
        p.name.removesuffix(".yaml") for p in RECIPES.iterdir() if p.name.endswith(".yaml")
    )


def read_recipe(name: str) -> dict[str, Any]:
    """A recipe by the name it ships under, or by path.

    Errors: UsageError where there is none, or it is not a plain YAML mapping.
    """
    path = Path(name)
    if path.is_file():
        text = path.read_bytes()
    elif name in recipe_names():
        text = (RECIPES / f"{name}.yaml").read_bytes()
    else:
        raise UsageError(f"no recipe {name!r}{did_you_mean(name, recipe_names())}")
    try:
        recipe = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{name} is no plain YAML: {' '.join(str(error).split())}") from None
    if not isinstance(recipe, dict) or not all(isinstance(key, str) for key in recipe):
        raise UsageError(f"{name} is not a mapping from settings to values")
    return {key.replace("-", "_"): value for key, value in recipe.items()}
