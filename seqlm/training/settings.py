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
    context: Literal["carried", "sentence", "window"] | None = None
    """By default 'window' where the model reads no more than so many tokens, else 'carried'."""
    valid_fraction: float | None = None
    # segments
    epochs: int = 6
    steps: int | None = None
    batch_size: int = 32
    length: int = 35
    variable_length: bool = False
    accumulate: int = 1
    # optimisation
    optimizer: Literal["adamw", "adam", "rmsprop", "sgd"] = "adamw"
    lr: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    beta1_lowest: float | None = None
    schedule: Literal["constant", "cosine", "one-cycle", "plateau", "wsd"] = "one-cycle"
    warmup: float = 0.0
    cooldown: float = 0.1
    clip: float = 0.25
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    scheduled_sampling: Literal["none", "linear", "exponential", "inverse-sigmoid"] = "none"
    scheduled_sampling_last: float = 0.75
    average: Literal["none", "ema", "asgd", "nt-asgd", "last"] = "none"
    average_decay: float = 0.999
    average_wait: int = 5
    average_last: int = 5
    # machine
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    compile: bool = False
    tensorboard: bool = False
    # validation
    valid_every: int | None = None
    patience: int | None = 3
    tolerance: float = 0.0
    seed: int = 1

    @property
    def peak_rate(self) -> float:
        return self.lr if self.lr is not None else DEFAULT_RATE[self.optimizer]


SCHEDULE = frozenset({"epochs", "steps", "lr", "schedule", "warmup", "cooldown", "average"})
"""Settings that begin a new phase of a resumed run."""
CHANGEABLE = SCHEDULE | {
    *("clip", "weight_decay", "label_smoothing", "precision", "compile", "tensorboard"),
    *("patience", "tolerance", "valid_every"),
}
"""Settings that a resumed run may change."""

DROPOUTS = ("dropout_input", "dropout_hidden", "dropout_output", "dropout_attention")
"""What `dropout` sets at once, as far as the architecture has them."""

DEFAULTS: dict[str, Any] = {
    "dropout_input": 0.1,
    "dropout_hidden": 0.1,
    "dropout_output": 0.2,
}
"""Where `train` without flags departs from a model's own defaults, which are those of its paper."""

ARCHITECTURE_DEFAULTS: dict[str, dict[str, Any]] = {
    "transformer": {
        "length": 128, "lr": 1e-3, "clip": 1.0, "weight_decay": 0.1, "warmup": 0.05,
        "schedule": "cosine",
    },
    "s4d": {"length": 64, "lr": 8e-3, "clip": 1.0},
    "mamba": {"length": 64, "lr": 6e-3, "clip": 1.0},
}  # fmt: skip
"""Settings and model options of an architecture that differ from those above and in `Settings`. The
rate is one for its optimiser, and left out where another is chosen."""

AVERAGED: dict[str, Any] = {"optimizer": "sgd", "schedule": "constant", "patience": None}
"""Defaults where `average` is nt-asgd: it waits for validations without a gain."""

RANGES: dict[str, tuple[float, float]] = {
    "valid_fraction": (0.0, 0.5),
    "epochs": (1, 10**9),
    "steps": (1, 10**12),
    "batch_size": (1, 10**7),
    "length": (1, 10**7),
    "accumulate": (1, 10**6),
    "lr": (0.0, 10**6),
    "beta1": (0.0, 0.9999),
    "beta2": (0.0, 0.999999),
    "beta1_lowest": (0.0, 0.9999),
    "warmup": (0.0, 1.0),
    "cooldown": (0.0, 1.0),
    "clip": (0.0, 10**9),
    "weight_decay": (0.0, 10**3),
    "label_smoothing": (0.0, 0.99),
    "scheduled_sampling_last": (0.01, 0.98),
    "average_decay": (0.0, 0.9999999),
    "average_wait": (1, 10**6),
    "average_last": (1, 10**3),
    "valid_every": (1, 10**12),
    "patience": (1, 10**9),
    "tolerance": (0.0, 10**3),
    "vocab_size": (3, 2**31),
    "min_count": (1, 2**31),
    "width": (1, 10**6),
    "layers": (1, 10**3),
    "embedding": (1, 10**6),
    "order": (2, 10**4),
    "heads": (1, 10**4),
    "kv_heads": (1, 10**4),
    "feed_forward": (1, 10**6),
    "horizon": (1, 10**7),
    "experts": (0, 10**4),
    "experts_active": (1, 10**4),
    "experts_balance": (0.0, 10**3),
    "experts_z": (0.0, 10**3),
    "state": (1, 10**6),
    "expand": (1, 10**3),
    "head_width": (1, 10**6),
    "conv": (1, 10**4),
    "cutoffs": (1, 2**31),
    "samples": (1, 2**31),
    "ar": (0.0, 10**3),
    "tar": (0.0, 10**3),
    "seed": (0, 2**63 - 1),
}


def resolve(*layers: Mapping[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Settings, and the model's own options without its vocabulary. Later layers win.

    `dropout` stands for all of DROPOUTS that its layer does not name. A model with a horizon reads
    segments of `length`.
    Errors: UsageError on a name no setting has (with the nearest), or a value that does not fit.
    """
    arch = next((layer["arch"] for layer in reversed(layers) if "arch" in layer), Settings.arch)
    options = model_options(checked("arch", arch, str))
    given: dict[str, Any] = {}
    for layer in layers:
        spread = dict.fromkeys(DROPOUTS, layer["dropout"]) if "dropout" in layer else {}
        given |= {name: value for name, value in spread.items() if name in options}
        given |= {name: value for name, value in layer.items() if name != "dropout"}
    hints = typing.get_type_hints(Settings)
    mine: dict[str, Any] = {}
    model: dict[str, Any] = {}
    for name, value in (defaults(arch, given) | given).items():
        if name in hints:
            mine[name] = checked(name, value, hints[name])
        elif name in options:
            model[name] = checked(name, value, options[name])
        elif name in given:
            near = did_you_mean(name, [*hints, *options])
            raise UsageError(f"no setting {name!r} for --arch {arch}{near}")
    settings = Settings(**mine)
    if "horizon" in options:
        horizon = model.setdefault("horizon", settings.length)
        if settings.length > horizon:
            raise UsageError(f"length {settings.length} goes beyond the model's horizon {horizon}")
    if settings.beta1_lowest is not None and settings.optimizer not in ("adam", "adamw"):
        raise UsageError("beta1_lowest is for adam and adamw")
    return settings, model


def defaults(arch: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What holds where nothing is said otherwise, for `arch` and what is `given`."""
    own = DEFAULTS | ARCHITECTURE_DEFAULTS.get(arch, {})
    usual = own.get("optimizer", Settings.optimizer)
    if given.get("average") == "nt-asgd":
        own |= AVERAGED
    if given.get("optimizer", own.get("optimizer", usual)) != usual:
        own.pop("lr", None)
    return own


def model_options(arch: str) -> dict[str, Any]:
    """The names and types of an architecture's options. Errors: UsageError."""
    if arch == "ngram":
        raise UsageError("an n-gram model is counted, not trained: seqlm count")
    if arch not in architectures():
        near = did_you_mean(str(arch), [a for a in architectures() if a != "ngram"])
        raise UsageError(f"no architecture {arch!r}{near}")
    hints = typing.get_type_hints(model_class("lm", arch).config_class)
    return {name: kind for name, kind in hints.items() if name != "vocab_size"}


# ------------------------------------------------------------------------------------------ values


def checked(name: str, value: Any, kind: Any) -> Any:
    """`value` as `kind`: bool, int, float, str, Literal[...], tuple[int, ...], or several with |.

    Errors: UsageError that says what was expected.
    """
    union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    kinds = typing.get_args(kind) if union else (kind,)
    if value is None and types.NoneType in kinds:
        return None
    for each in kinds:
        if typing.get_origin(each) is Literal:
            choices = typing.get_args(each)
            if value in choices:
                return value
            raise UsageError(f"{name} is {value!r}{did_you_mean(str(value), choices)}")
        if typing.get_origin(each) is tuple:
            return whole_numbers(name, value)
    if type(value) in (int, str) and float in kinds:  # YAML 1.1 takes 1e-3 for a string
        with contextlib.suppress(ValueError):
            value = float(value)
    if not any(type(value) is each for each in kinds):
        wanted = " or ".join(each.__name__ for each in kinds if each is not types.NoneType)
        raise UsageError(f"{name} is {value!r}; it takes {wanted}")
    check_range(name, value)
    return value


def whole_numbers(name: str, value: Any) -> tuple[int, ...]:
    """A YAML list, or '2000,6000' as a flag has it."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        numbers = tuple(int(str(part)) for part in parts)
    except (TypeError, ValueError):
        raise UsageError(f"{name} is {value!r}; it takes numbers like 2000,6000") from None
    for number in numbers:
        check_range(name, number)
    return numbers


def check_range(name: str, value: Any) -> None:
    low, high = RANGES.get(name, (-float("inf"), float("inf")))
    if name.startswith("dropout"):
        low, high = 0.0, 0.99
    if type(value) in (int, float) and not low <= value <= high:
        raise UsageError(f"{name} is {value}; it lies between {low:g} and {high:g}")


# ----------------------------------------------------------------------------------------- recipes


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
