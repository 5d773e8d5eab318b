"""The configuration of a training run: names, types and defaults, from flags and YAML.

    flags  >  SEQLM_* variables  >  --config YAML  >  the defaults below

A recipe is a YAML mapping from the names of these settings (- or _) to values; those that ship with
the package are named without a path. Model options (`width`, `layers`, …) are the fields of the
architecture's own configuration.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from seqlm.errors import UsageError, did_you_mean
from seqlm.models import architectures, model_class
from seqlm.training.optim import DEFAULT_RATE
from seqlm.training.values import checked

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
    epsilon: float | None = None
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


SCHEDULE = frozenset(
    {
        *("epochs", "steps", "lr", "schedule", "warmup", "cooldown"),
        *("average", "average_decay", "average_wait", "average_last"),
    }
)
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
"""Settings and model options of an architecture that differ from those above and in `Settings`."""

OF_OPTIMIZER = ("lr", "weight_decay", "epsilon")
"""Those of them that are left out where another optimiser is chosen."""

RECURRENT = ("rnn", "lstm", "gru")
"""What SGD's usual rate is for."""

AVERAGED: dict[str, Any] = {"optimizer": "sgd", "schedule": "constant", "patience": None}
"""Defaults where `average` is nt-asgd: it waits for validations without a gain."""


def resolve(*layers: Mapping[str, Any], idle: bool = False) -> tuple[Settings, dict[str, Any]]:
    """Settings, and the model's own options without its vocabulary. Later layers win.

    `dropout` stands for all of DROPOUTS that its layer does not name. A model with a horizon reads
    segments of `length`. `idle` lets settings stand that have no use beside the others.
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
            raise unknown(name, arch, [*hints, *options])
    settings = Settings(**mine)
    if not idle:
        check_use(given, asdict(settings) | model)
    if "horizon" in options:
        if "length" not in given:
            shorter = min(settings.length, model.get("horizon", settings.length))
            settings = replace(settings, length=shorter)
        horizon = model.setdefault("horizon", settings.length)
        if settings.length > horizon:
            raise UsageError(
                f"length {settings.length} is beyond the model's horizon {horizon}; as long at most"
            )
    if settings.optimizer == "sgd" and settings.lr is None and arch not in RECURRENT:
        raise UsageError(f"--optimizer sgd has no usual rate for --arch {arch}: --lr gives one")
    return settings, model


def unknown(name: str, arch: str, known: list[str]) -> UsageError:
    """What is wrong with a setting that `arch` does not know."""
    owners = [a for a in architectures() if a != "ngram" and name in model_options(a)]
    if owners:
        return UsageError(f"{name} is an option of {', '.join(owners)}, and not of {arch}")
    return UsageError(f"no setting {name!r} for --arch {arch}{did_you_mean(name, known)}")


USES: dict[str, tuple[str, tuple[str, ...]]] = {
    "cooldown": ("schedule", ("wsd",)),
    "beta1": ("optimizer", ("adam", "adamw", "rmsprop")),
    "beta2": ("optimizer", ("adam", "adamw", "rmsprop")),
    "epsilon": ("optimizer", ("adam", "adamw", "rmsprop")),
    "beta1_lowest": ("optimizer", ("adam", "adamw")),
    "average_decay": ("average", ("ema",)),
    "average_wait": ("average", ("nt-asgd",)),
    "average_last": ("average", ("last",)),
    "scheduled_sampling_last": (
        "scheduled_sampling",
        ("linear", "exponential", "inverse-sigmoid"),
    ),
    "cutoffs": ("softmax", ("adaptive",)),
    "samples": ("softmax", ("sampled",)),
}
"""Settings that mean something beside some values of another."""


def check_use(given: Mapping[str, Any], all_: Mapping[str, Any]) -> None:
    """Errors: UsageError where one that is `given` has no use beside the others."""
    for name, (other, values) in USES.items():
        if given.get(name) is not None and all_.get(other) not in values:
            raise UsageError(f"{name} is for {other} {' or '.join(values)}")


def defaults(arch: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What holds where nothing is said otherwise, for `arch` and what is `given`."""
    own = DEFAULTS | ARCHITECTURE_DEFAULTS.get(arch, {})
    usual = own.get("optimizer", Settings.optimizer)
    if given.get("average") == "nt-asgd":
        own |= AVERAGED
    if given.get("optimizer", own.get("optimizer", usual)) != usual:
        own = {name: value for name, value in own.items() if name not in OF_OPTIMIZER}
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
