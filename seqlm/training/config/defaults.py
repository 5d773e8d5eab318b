"""The defaults of training: in general, of a task, of an architecture, beside other settings.

The general ones are those of the dataclasses. Those of a task and beside other settings are in the
definition of a setting (`by`), and those of an architecture in its configuration
(`training_defaults`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqlm.models import config_class
from seqlm.settings import Setting, settings_of
from seqlm.training.config.training_settings import TrainingSettings

TRAINING = settings_of(TrainingSettings)
"""The settings of training by name."""


def options_of(task: str, arch: str) -> dict[str, Setting]:
    """The options of an architecture by name, without its vocabulary. Errors: UsageError."""
    return settings_of(config_class(task, arch))


def default_arch(task: str) -> str:
    arch = TRAINING["arch"]
    return str(arch.default_by["task"].get(task, arch.default))


def special_defaults(task: str, arch: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that differ from the general ones, beside what is `given`.

    Those beside other settings go before the architecture's, and these before the task's.
    """
    settings = [*TRAINING.values(), *options_of(task, arch).values()]
    general = {setting.name: setting.default for setting in settings}
    defaults = {
        setting.name: setting.default_by["task"][task]
        for setting in settings
        if task in setting.default_by.get("task", {})
    }
    defaults |= {"arch": arch, **getattr(config_class(task, arch), "training_defaults", {})}
    usual = general | defaults

    def value(name: str) -> Any:
        return given.get(name, defaults.get(name, general.get(name)))

    for setting in settings:
        for other, by_value in setting.default_by.items():
            for wanted, default in by_value.items():
                if other != "task" and value(other) == wanted:
                    defaults[setting.name] = default
    for setting in settings:
        if setting.tuned_for is not None:
            other, values = setting.tuned_for
            if value(other) not in (*values, usual.get(other)):
                defaults.pop(setting.name, None)
    return defaults
