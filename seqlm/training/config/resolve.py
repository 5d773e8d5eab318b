"""From what a user gives to the configuration of a training run.

    flags  >  SEQLM_* variables  >  --config YAML  >  the defaults

The defaults depend on the task and the architecture (`defaults.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from seqlm.errors import UsageError, did_you_mean
from seqlm.models import architectures
from seqlm.settings import check_needs, check_value
from seqlm.training.config.defaults import TRAINING, default_arch, options_of, special_defaults
from seqlm.training.config.training_settings import DROPOUT, DROPOUTS, TrainingSettings

SGD = [("lm", arch) for arch in ("rnn", "lstm", "gru")]
"""The architectures that SGD's default learning rate is for."""


def resolve(
    *layers: Mapping[str, Any], allow_unused: bool = False
) -> tuple[TrainingSettings, dict[str, Any]]:
    """The settings, and the options of the model without its vocabulary. Later layers win.

    `dropout` stands for all of DROPOUTS that its layer does not name. `allow_unused` permits
    settings that have no effect beside the others.
    Errors: UsageError on a name that no setting has (with the nearest), or a value that does not
    fit.
    """
    merged = {name: value for layer in layers for name, value in layer.items()}
    task = check_value(TRAINING["task"], merged.get("task", TrainingSettings.task))
    arch = check_value(TRAINING["arch"], merged.get("arch", default_arch(task)))
    options = trainable_options(task, arch)
    given: dict[str, Any] = {}
    for layer in layers:
        if "dropout" in layer:
            dropout = check_value(DROPOUT, layer["dropout"])
            given |= {name: dropout for name in DROPOUTS if name in options}
        given |= {name: value for name, value in layer.items() if name != "dropout"}
    values: dict[str, Any] = {}
    for name, value in (special_defaults(task, arch, given) | given).items():
        if name not in TRAINING and name not in options:
            raise unknown(name, task, arch)
        values[name] = check_value(TRAINING.get(name) or options[name], value)
    settings = TrainingSettings(**{name: values[name] for name in values if name in TRAINING})
    model = {name: value for name, value in values.items() if name not in TRAINING}
    if not allow_unused:
        defaults = {name: option.default for name, option in options.items()}
        all_values = defaults | asdict(settings) | model
        check_needs([*TRAINING.values(), *options.values()], given, all_values)
    if settings.optimizer == "sgd" and settings.lr is None and (task, arch) not in SGD:
        raise UsageError(f"`optimizer=sgd` has no usual rate for `arch={arch}`: `lr` gives one")
    return fit_lengths(settings, model, given)


def fit_lengths(
    settings: TrainingSettings, model: dict[str, Any], given: Mapping[str, Any]
) -> tuple[TrainingSettings, dict[str, Any]]:
    """Holds a segment (`seq_length`) or a sentence (`max_length`) to what its reader takes at most.

    It is shortened where it is not `given`. Errors: UsageError where it is, and longer.
    """
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


def unknown(name: str, task: str, arch: str) -> UsageError:
    """What is wrong with a setting that an architecture of `task` does not have."""
    owners = {each: owners_of(name, each) for each in ("lm", "translation")}
    if owners[task]:
        return UsageError(f"`{name}` is an option of {', '.join(owners[task])}, not of {arch}")
    for other, archs in owners.items():
        if archs:
            return UsageError(f"`{name}` needs `task={other}`")
    names = [*TRAINING, *options_of(task, arch)]
    return UsageError(f"`{name}` is no setting of {arch}{did_you_mean(name, names)}")


def owners_of(name: str, task: str) -> list[str]:
    """The architectures of `task` that have an option of this name."""
    return [arch for arch in trainable(task) if name in options_of(task, arch)]


def trainable_options(task: str, arch: str) -> Any:
    """The options of an architecture that can be trained. Errors: UsageError."""
    if arch == "ngram":
        raise UsageError("an n-gram model is counted, not trained: seqlm count")
    if arch not in trainable(task):
        raise UsageError(f"`arch` is {arch!r}{did_you_mean(arch, trainable(task))}")
    return options_of(task, arch)


def trainable(task: str) -> list[str]:
    """The names that `arch` takes in training."""
    return [arch for arch in architectures(task) if arch != "ngram"]
