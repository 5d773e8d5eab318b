"""The configuration of a training run: names, types and defaults, from flags and YAML.

    flags  >  SEQLM_* variables  >  --config YAML  >  the defaults below

A recipe is a YAML mapping from the names of these settings (- or _) to values; those that ship with
the package are named without a path. Model options (`width`, `layers`, …) are the fields of the
architecture's own configuration. What holds by default depends on the task and the architecture
(`defaults.py`).
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
from seqlm.training.config.defaults import OF_TASK, defaults
from seqlm.training.config.ranges import checked
from seqlm.training.optimization.optimizer import DEFAULT_LR

RECIPES = files("seqlm.training") / "recipes"


Task = Literal["lm", "translation"]


@dataclass(frozen=True)
class Settings:
    """What is not the model's own."""

    task: Task = "lm"
    arch: str = "lstm"
    # text
    tokenizer: Literal["word", "char", "bpe"] = "word"
    vocab: str | None = None
    vocab_size: int | None = None
    min_count: int | None = None
    separate: bool = False
    """A vocabulary for each side of a translation, instead of a joint one."""
    context: Literal["carried", "sentence", "window"] | None = None
    """By default 'window' where the model reads no more than so many tokens, else 'carried'."""
    valid_fraction: float | None = None
    # segments
    epochs: int = 6
    steps: int | None = None
    batch_size: int = 32
    batch_tokens: int = 2048
    length: int = 35
    max_length: int = 100
    """Tokens of either side of a pair, `</s>` counted; longer ones are left out of training."""
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
    valid_metric: Literal["loss", "bleu", "chrf"] = "loss"
    patience: int | None = 3
    tolerance: float = 0.0
    seed: int = 1

    @property
    def peak_rate(self) -> float:
        return self.lr if self.lr is not None else DEFAULT_LR[self.optimizer]


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

SGD = [("lm", arch) for arch in ("rnn", "lstm", "gru")]
"""What SGD's usual rate is for."""

OF_VOCABULARY = ("vocab_size", "source_vocab_size")
"""Options of a model that its text decides."""


def resolve(*layers: Mapping[str, Any], idle: bool = False) -> tuple[Settings, dict[str, Any]]:
    """Settings, and the model's own options without its vocabulary. Later layers win.

    `dropout` stands for all of DROPOUTS that its layer does not name. `idle` lets settings stand
    that have no use beside the others.
    Errors: UsageError on a name no setting has (with the nearest), or a value that does not fit.
    """
    named = {name: value for layer in layers for name, value in layer.items()}
    hints = typing.get_type_hints(Settings)
    task = checked("task", named.get("task", Settings.task), hints["task"])
    usual = OF_TASK[task].get("arch", Settings.arch)
    arch = checked("arch", named.get("arch", usual), str)
    options = model_options(task, arch)
    given: dict[str, Any] = {}
    for layer in layers:
        spread = dict.fromkeys(DROPOUTS, layer["dropout"]) if "dropout" in layer else {}
        given |= {name: value for name, value in spread.items() if name in options}
        given |= {name: value for name, value in layer.items() if name != "dropout"}
    mine: dict[str, Any] = {}
    model: dict[str, Any] = {}
    for name, value in (defaults(task, arch, given) | given).items():
        if name in hints:
            mine[name] = checked(name, value, hints[name])
        elif name in options:
            model[name] = checked(name, value, options[name])
        elif name in given:
            raise unknown(name, task, arch, [*hints, *options])
    settings = Settings(**mine)
    if not idle:
        check_use(given, asdict(settings) | model)
        check_task(settings, model, given)
    if settings.optimizer == "sgd" and settings.lr is None and (task, arch) not in SGD:
        raise UsageError(f"--optimizer sgd has no usual rate for --arch {arch}: --lr gives one")
    return within_bounds(settings, model, options, given)


def within_bounds(
    settings: Settings, model: dict[str, Any], options: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[Settings, dict[str, Any]]:
    """The `length` of a segment, or the `max_length` of a sentence, is no more than what reads it
    takes: shortened where it is not `given`. Errors: UsageError where it is."""
    span = "length" if settings.task == "lm" else "max_length"
    longest = getattr(settings, span)
    bounds: dict[str, int] = {}
    if settings.task == "translation":
        bounds["batch_tokens"] = settings.batch_tokens
    bounded = "horizon" in options and (settings.task == "lm" or learned(model))
    if bounded:
        bounds["the model's horizon"] = model.get("horizon", longest)
    if span not in given:
        longest = min(longest, *bounds.values()) if bounds else longest
    for name, bound in bounds.items():
        if longest > bound:
            raise UsageError(f"{span} {longest} is beyond {name} {bound}; as long at most")
    if bounded:
        model = {"horizon": longest, **model}
    return replace(settings, **{span: longest}), model


def learned(model: Mapping[str, Any]) -> bool:
    """Whether a Transformer has learnt positions, of which there are so many."""
    return model.get("positions") == "learned"


def unknown(name: str, task: str, arch: str, known: list[str]) -> UsageError:
    """What is wrong with a setting that an architecture of `task` does not know."""
    owners = {of: owners_of(name, of) for of in OF_TASK}
    if owners[task]:
        return UsageError(f"{name} is an option of {', '.join(owners[task])}, and not of {arch}")
    for other, archs in owners.items():
        if archs:
            return UsageError(f"{name} is for task {other}")
    return UsageError(f"no setting {name!r} for --arch {arch}{did_you_mean(name, known)}")


def owners_of(name: str, task: str) -> list[str]:
    """The architectures of `task` that have an option of this name."""
    return [arch for arch in trainable(task) if name in model_options(task, arch)]


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
    **dict.fromkeys(("context", "valid_fraction", "batch_size", "length"), ("task", ("lm",))),
    "variable_length": ("task", ("lm",)),
    **dict.fromkeys(("separate", "batch_tokens", "max_length"), ("task", ("translation",))),
    "valid_metric": ("task", ("translation",)),
}
"""Settings that mean something beside some values of another."""

INSTEAD = {
    "batch_size": "batch_tokens",
    "batch_tokens": "batch_size",
    "length": "max_length",
    "max_length": "length",
}
"""What does for one task about the same as each of these for another."""


def check_use(given: Mapping[str, Any], all_: Mapping[str, Any]) -> None:
    """Errors: UsageError where one that is `given` has no use beside the others."""
    for name, (other, values) in USES.items():
        if given.get(name) is not None and all_.get(other) not in values:
            instead = f"; here it is {INSTEAD[name]}" if name in INSTEAD else ""
            raise UsageError(f"{name} is for {other} {' or '.join(values)}{instead}")


def check_task(settings: Settings, model: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Errors: UsageError where one that is `given` has no use in a translator of this kind."""
    if settings.task == "translation":
        if "horizon" in given and not learned(model):
            raise UsageError("horizon is for positions learned")
        if settings.separate and given.get("share_embedding"):
            raise UsageError("share_embedding is for a joint vocabulary: no --separate")


def model_options(task: str, arch: str) -> dict[str, Any]:
    """The names and types of an architecture's options. Errors: UsageError."""
    if arch == "ngram":
        raise UsageError("an n-gram model is counted, not trained: seqlm count")
    if arch not in trainable(task):
        raise UsageError(f"no architecture {arch!r}{did_you_mean(str(arch), trainable(task))}")
    hints = typing.get_type_hints(model_class(task, arch).config_class)
    return {name: kind for name, kind in hints.items() if name not in OF_VOCABULARY}


def trainable(task: str) -> list[str]:
    """The names that `train --arch` takes."""
    return [arch for arch in architectures(task) if arch != "ngram"]


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
