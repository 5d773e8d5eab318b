"""From what a user gives to the configuration of a training run.

    flags  >  SEQLM_* variables  >  --config YAML  >  the defaults

The defaults depend on the task and the architecture (`defaults.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from seqlm.errors import ModelError, UsageError, did_you_mean
from seqlm.models import architectures
from seqlm.models.config.network_config import FULL_UP_TO
from seqlm.settings import Setting, check_needs, check_value
from seqlm.training.config.defaults import TRAINING, default_arch, options_of, special_defaults
from seqlm.training.config.training_settings import (
    DROPOUT,
    DROPOUTS,
    ENDS,
    TrainingSettings,
    end_of,
)

HAVE_SGD_LR = [("lm", arch) for arch in ("rnn", "lstm", "gru")]
"""The networks that the default learning rate of SGD suits."""


def resolve(
    *layers: Mapping[str, Any], allow_unused: bool = False
) -> tuple[TrainingSettings, dict[str, Any]]:
    """The settings, and the options of the model without its vocabulary. Later layers win.

    `dropout` stands for all of DROPOUTS that its layer does not name, and a layer that says when
    training ends replaces what those before it say. `allow_unused` permits settings that have no
    effect beside the others.
    Errors: UsageError on a name that no setting has (with the nearest), or a value that does not
    fit.
    """
    merged = {name: value for layer in layers for name, value in layer.items()}
    task = check_value(TRAINING["task"], merged.get("task", TrainingSettings.task))
    arch = check_value(TRAINING["arch"], merged.get("arch", default_arch(task)))
    options = trainable_options(task, arch)
    given = merge_layers(layers, options, arch)
    values: dict[str, Any] = {}
    for name, value in (special_defaults(task, arch, given) | given).items():
        if name not in TRAINING and name not in options:
            raise unknown_setting(name, task, arch)
        values[name] = check_value(TRAINING.get(name) or options[name], value)
    settings = TrainingSettings(**{name: values[name] for name in values if name in TRAINING})
    model = {name: value for name, value in values.items() if name not in TRAINING}
    if not allow_unused:
        for layer in layers:
            check_ends(layer)
        option_defaults = {name: option.default for name, option in options.items()}
        all_values = option_defaults | asdict(settings) | model
        check_needs([*TRAINING.values(), *options.values()], given, all_values)
    if settings.optimizer == "sgd" and settings.lr is None and (task, arch) not in HAVE_SGD_LR:
        raise UsageError(
            f"`optimizer=sgd` has no default learning rate for `arch={arch}`: set `lr`"
        )
    return fit_lengths(settings, model, given)


def merge_layers(
    layers: Iterable[Mapping[str, Any]], options: Mapping[str, Setting], arch: str
) -> dict[str, Any]:
    """What is given, with `dropout` spread over those of DROPOUTS that the model has.

    Errors: UsageError where `dropout` does not fit.
    """
    given: dict[str, Any] = {}
    for layer in layers:
        if end_of(layer):
            given = {name: value for name, value in given.items() if name not in ENDS}
        if "dropout" in layer:
            dropout = check_value(DROPOUT, layer["dropout"])
            names = [name for name in DROPOUTS if name in options]
            if not names:
                raise UsageError(f"`dropout`: a model of `arch={arch}` has none")
            given |= dict.fromkeys(names, dropout)
        given |= {name: value for name, value in layer.items() if name != "dropout"}
    return given


def check_ends(given: Mapping[str, Any]) -> None:
    """Errors: UsageError where `minutes` and another setting both say when training ends."""
    if given.get("minutes") is None:
        return
    for name in ("epochs", "steps"):
        if given.get(name) is not None:
            raise UsageError(f"`minutes` and `{name}` both say when training ends: give one")


def fit_lengths(
    settings: TrainingSettings, model: dict[str, Any], given: Mapping[str, Any]
) -> tuple[TrainingSettings, dict[str, Any]]:
    """Makes a segment (`seq_length`) or a sentence (`max_length`) as short as the batch and the
    model require, unless its length is `given`. Errors: UsageError where that is too long.
    """
    if settings.task not in ("lm", "translation"):
        return settings, model
    name = "seq_length" if settings.task == "lm" else "max_length"
    length = getattr(settings, name)
    bounds: dict[str, int] = {}
    if settings.task == "translation":
        bounds["batch_tokens"] = settings.batch_tokens
    options = options_of(settings.task, settings.arch)
    has_context_length = "context_length" in options and (
        settings.task == "lm" or model.get("positions") == "learned"
    )
    if has_context_length:
        bounds["context_length"] = model.get("context_length", length)
    if name not in given and bounds:
        length = min(length, *bounds.values())
    for bound_name, bound in bounds.items():
        if length > bound:
            raise UsageError(f"`{name}={length}` is longer than `{bound_name}={bound}`")
    if has_context_length:
        model = {"context_length": length, **model}
    return replace(settings, **{name: length}), model


SLOW_FROM = 10_000
"""Types from which a full softmax takes most of the time of training on a CPU."""


def choose_softmax(
    settings: TrainingSettings, model: Mapping[str, Any], vocab_size: int
) -> tuple[dict[str, Any], str]:
    """The options of the model with the output layer for `vocab_size` types, if they name none, and
    what there is to say about it, or ''.

    Label smoothing needs the full softmax.
    """
    if "softmax" in model or "softmax" not in options_of(settings.task, settings.arch):
        return dict(model), ""
    types = f"{vocab_size:,} types"
    if vocab_size > FULL_UP_TO and not settings.label_smoothing:
        said = f"softmax: adaptive, as there are {types}; `softmax=full` computes each of them"
        return {**model, "softmax": "adaptive"}, said
    if vocab_size >= SLOW_FROM:
        without = ", without `label_smoothing`," if settings.label_smoothing else ""
        return dict(model), (
            f"softmax: full, which is slow for {types}; `softmax=adaptive`{without} is several"
            " times faster, and so are fewer types (`vocab_size`, `min_count`)"
        )
    return dict(model), ""


def unknown_setting(name: str, task: str, arch: str) -> UsageError:
    """The error for a setting that the architecture does not have."""
    owners = owners_of(name, task)
    if owners:
        return UsageError(f"`{name}` is an option of {', '.join(owners)}, not of {arch}")
    for other_task in TRAINING["task"].choices:
        if owners_of(name, other_task):
            return UsageError(f"`{name}` needs `task={other_task}`")
    names = [*TRAINING, *options_of(task, arch)]
    return UsageError(f"`{name}` is no setting of {arch}{did_you_mean(name, names)}")


def owners_of(name: str, task: str) -> list[str]:
    """The architectures of `task` that have an option of this name."""
    owners = []
    for arch in trainable(task):
        with suppress(ModelError):  # another package's, which cannot be loaded
            if name in options_of(task, arch):
                owners.append(arch)
    return owners


def trainable_options(task: str, arch: str) -> dict[str, Setting]:
    """The options of an architecture that can be trained. Errors: UsageError."""
    if arch == "ngram":
        raise UsageError("an n-gram model is counted, not trained: seqlm count")
    if arch not in trainable(task):
        tasks = [other for other in TRAINING["task"].choices if arch in trainable(other)]
        if tasks:
            needed = " or ".join(f"`task={each}`" for each in tasks)
            raise UsageError(f"`arch={arch}` needs {needed}")
        raise UsageError(f"`arch` is {arch!r}{did_you_mean(arch, trainable(task))}")
    return options_of(task, arch)


def trainable(task: str) -> list[str]:
    """The names that `arch` takes in training."""
    return [arch for arch in architectures(task) if arch != "ngram"]
