"""The flags of `seqlm train`: one for each setting of training and each option of an architecture.

They are made from their definitions (`training/config/training_settings.py`, `models/config/`). An
option of several architectures is one flag, whose help names them and the default of each.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace

from seqlm.cli.console import warn
from seqlm.cli.options.setting_options import help_of, parameter_of
from seqlm.errors import ModelError
from seqlm.settings import Setting
from seqlm.training.config.defaults import TRAINING, default_arch, options_of
from seqlm.training.config.resolve import resolve, trainable
from seqlm.training.config.training_settings import DROPOUT, SECTIONS

TaskArch = tuple[str, str]
"""A task, and an architecture for it."""

TASK_TITLES = {
    "lm": "language modeling",
    "translation": "translation",
    "tagging": "tagging",
    "classification": "classification",
    "vectors": "word vectors",
}


@dataclass(frozen=True)
class TrainingFlag:
    setting: Setting
    """With the choices and the range of all architectures together."""
    architectures: str
    """The names of those that have it; "" for all."""
    default: str
    """The default, and the architectures that have another one."""

    @property
    def needs(self) -> str:
        """The values of another setting that it needs; a task is among the `architectures`."""
        needs_task = self.setting.needs is not None and self.setting.needs[0] == "task"
        return "" if needs_task else self.setting.needs_text()

    @property
    def help(self) -> str:
        return help_of(self.setting, self.architectures, self.default, self.needs)


def training_parameters() -> list[inspect.Parameter]:
    """The parameters of `seqlm train` that are settings, in the order of its help."""
    return [parameter_of(flag.setting, help=flag.help, check=False) for flag in training_flags()]


def training_flags() -> list[TrainingFlag]:
    """All settings that `seqlm train` takes, section by section."""
    networks = trainable_networks()
    defaults = {network: defaults_of(network) for network in networks}
    flags = [
        TrainingFlag(
            merge(definitions, networks),
            name_architectures(definitions, networks),
            default_text(definitions, defaults),
        )
        for definitions in definitions_by_name(networks).values()
    ]
    names = [flag.setting.name for flag in flags]
    first_dropout = next(i for i, name in enumerate(names) if name.startswith("dropout_"))
    flags.insert(first_dropout, TrainingFlag(DROPOUT, "", ""))
    sections = list(dict.fromkeys([*SECTIONS, *(flag.setting.section for flag in flags)]))
    return sorted(flags, key=lambda flag: sections.index(flag.setting.section))


def trainable_networks() -> list[TaskArch]:
    """All that can be trained. One of another package that cannot be loaded is left out, with a
    warning."""
    networks = []
    for network in [(task, arch) for task in TASK_TITLES for arch in trainable(task)]:
        try:
            options_of(*network)
        except ModelError as error:
            warn(str(error))
        else:
            networks.append(network)
    return networks


def definitions_by_name(networks: list[TaskArch]) -> dict[str, dict[TaskArch, Setting]]:
    """The definition of each setting and option, for every network that has it."""
    archs = tuple(dict.fromkeys(arch for _, arch in networks))
    arch = replace(
        TRAINING["arch"], choices=archs, metavar="ARCH", help=f"Architecture: {', '.join(archs)}."
    )
    definitions: dict[str, dict[TaskArch, Setting]] = {
        name: {network: setting for network in networks if has_task(setting, network)}
        for name, setting in (TRAINING | {"arch": arch}).items()
    }
    for network in networks:
        for name, option in options_of(*network).items():
            definitions.setdefault(name, {})[network] = option
    return definitions


def has_task(setting: Setting, network: TaskArch) -> bool:
    """Whether a setting of training has an effect for the task of `network`."""
    name, values = setting.needs or ("", ())
    return name != "task" or network[0] in values


def merge(definitions: Mapping[TaskArch, Setting], networks: list[TaskArch]) -> Setting:
    """One setting for all `definitions`; a value is checked later, by that of its architecture."""
    settings = list(definitions.values())
    first = settings[0]
    choices = tuple(dict.fromkeys(choice for setting in settings for choice in setting.choices))
    networks_by_help: dict[str, list[TaskArch]] = {}
    for network, setting in definitions.items():
        networks_by_help.setdefault(setting.help, []).append(network)
    helps = [
        f"{name_architectures(group, networks)}: {help}" for help, group in networks_by_help.items()
    ]
    return replace(
        first,
        help=first.help if len(networks_by_help) == 1 else " ".join(helps),
        choices=choices,
        metavar=first.metavar if first.name == "arch" or not choices else "|".join(choices),
        low=min(setting.low for setting in settings),
        high=max(setting.high for setting in settings),
        needs=first.needs if len({setting.needs for setting in settings}) == 1 else None,
    )


# ---------------------------------------------------------------------------------- architectures


def name_architectures(selected: Collection[TaskArch], networks: list[TaskArch]) -> str:
    """The architectures of the `selected` networks, with their task if it matters; "" for all."""
    if len(selected) == len(networks):
        return ""
    names = {arch for _, arch in selected}
    if all(network in selected for network in networks if network[1] in names):
        return ", ".join(dict.fromkeys(arch for _, arch in networks if arch in names))
    texts = []
    for task, task_name in TASK_TITLES.items():
        all_archs = [arch for other_task, arch in networks if other_task == task]
        archs = [arch for arch in all_archs if (task, arch) in selected]
        if archs == all_archs:
            texts.append(task_name)
        elif archs:
            texts.append(f"{', '.join(archs)} for {task_name}")
    return "; ".join(texts)


# --------------------------------------------------------------------------------------- defaults


def defaults_of(network: TaskArch) -> dict[str, object]:
    """The value of each setting and option of a network where nothing else is given."""
    task, arch = network
    settings, model = resolve({"task": task, "arch": arch})
    options = {name: option.default for name, option in options_of(task, arch).items()}
    return options | model | asdict(settings)


def default_text(
    definitions: Mapping[TaskArch, Setting], defaults: Mapping[TaskArch, Mapping[str, object]]
) -> str:
    """The default of a setting, then the architectures and tasks that have another one."""
    first = next(iter(definitions.values()))
    if first.name in ("task", "arch"):
        return first.default_text()
    if first.kind is bool and not any(defaults[network][first.name] for network in definitions):
        return ""
    texts = {
        network: setting.default_help or setting.text_of(defaults[network][setting.name])
        for network, setting in definitions.items()
    }
    if first.tuned_for is None:
        usual = next(filter(None, (usual_text(task, texts) for task in TASK_TITLES)), "")
        parts = [usual, *unusual_defaults(texts, usual)]
    else:
        usual, (other, values) = first.text_of(first.default), first.tuned_for
        tuned = "; ".join(unusual_defaults(texts, usual))
        # Architectures have optimizers of their own, which their learning rates suit.
        suited = "the default `optimizer`" if other == "optimizer" else f"`{other}={values[0]}`"
        parts = [usual, f"with {suited}, {tuned}" if tuned else ""]
    return "; ".join(filter(None, [*parts, *first.other_defaults()]))


def usual_text(task: str, texts: Mapping[TaskArch, str]) -> str:
    """The default for the default architecture of `task`, else for most; "" where none has it."""
    by_arch = texts_of_task(task, texts)
    most_common = Counter(by_arch.values()).most_common(1)
    return by_arch.get(default_arch(task)) or (most_common[0][0] if most_common else "")


def unusual_defaults(texts: Mapping[TaskArch, str], usual: str) -> list[str]:
    """The defaults other than the usual one: ['transformer: 128', 'translation by gru: 0.3']."""
    parts = []
    first_task = next(iter(texts))[0]
    for task in dict.fromkeys(task for task, _ in texts):
        by_arch = texts_of_task(task, texts)
        expected = usual
        if task != first_task and usual not in by_arch.values():
            expected = usual_text(task, texts)
            parts.append(f"{task}: {expected}")
        for text in dict.fromkeys(by_arch.values()):
            if text != expected:
                archs = ", ".join(arch for arch in by_arch if by_arch[arch] == text)
                parts.append(
                    f"{archs}: {text}" if task == first_task else f"{task} by {archs}: {text}"
                )
    return parts


def texts_of_task(task: str, texts: Mapping[TaskArch, str]) -> dict[str, str]:
    """The defaults for `task` by architecture."""
    return {arch: text for (other_task, arch), text in texts.items() if other_task == task}
