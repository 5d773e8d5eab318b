"""The flags of `seqlm train`: one for each setting of training and each option of an architecture.

They are made from their definitions (`training/config/training_settings.py`, `models/config/`). An
option of several architectures is one flag, whose help says which have it and what each takes by
default.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from seqlm.cli.console import warn
from seqlm.cli.options.setting_options import help_of, parameter_of
from seqlm.errors import ModelError
from seqlm.settings import Setting
from seqlm.training.config.defaults import TRAINING, default_arch, options_of
from seqlm.training.config.resolve import resolve, trainable
from seqlm.training.config.training_settings import DROPOUT, SECTIONS

Network = tuple[str, str]
"""A task, and an architecture for it."""

TASK_NAMES = {"lm": "language modeling", "translation": "translation"}


@dataclass(frozen=True)
class TrainingFlag:
    setting: Setting
    """With the choices and the range of all architectures together."""
    architectures: str
    """Those that have it; "" for all."""
    default: str
    """What each architecture takes where the flag is not given."""

    @property
    def needs(self) -> str:
        """The values of another setting that it needs; a task is among the `architectures`."""
        of_task = self.setting.needs is not None and self.setting.needs[0] == "task"
        return "" if of_task else self.setting.needs_text()

    @property
    def help(self) -> str:
        return help_of(self.setting, self.architectures, self.default, self.needs)


def training_parameters() -> list[inspect.Parameter]:
    """The parameters of `seqlm train` that are settings, in the order of its help."""
    return [parameter_of(flag.setting, help=flag.help, check=False) for flag in training_flags()]


def training_flags() -> list[TrainingFlag]:
    """All settings that `seqlm train` takes, section by section."""
    networks = trainable_networks()
    archs = tuple(dict.fromkeys(arch for _, arch in networks))
    settings = TRAINING | {
        "arch": replace(TRAINING["arch"], choices=archs, metavar="|".join(archs))
    }
    definitions: dict[str, dict[Network, Setting]] = {
        name: {network: setting for network in networks if has_task(setting, network)}
        for name, setting in settings.items()
    }
    for network in networks:
        for name, option in options_of(*network).items():
            definitions.setdefault(name, {})[network] = option
    defaults = {network: defaults_of(network) for network in networks}
    flags = [
        TrainingFlag(merge(each, networks), listing(each, networks), default_text(each, defaults))
        for each in definitions.values()
    ]
    first = next(at for at, flag in enumerate(flags) if flag.setting.name.startswith("dropout_"))
    flags.insert(first, TrainingFlag(DROPOUT, "", ""))
    sections = list(dict.fromkeys([*SECTIONS, *(flag.setting.section for flag in flags)]))
    return sorted(flags, key=lambda flag: sections.index(flag.setting.section))


def trainable_networks() -> list[Network]:
    """All that can be trained. One of another package that cannot be loaded is left out with a
    warning."""
    networks = []
    for network in [(task, arch) for task in TASK_NAMES for arch in trainable(task)]:
        try:
            options_of(*network)
        except ModelError as error:
            warn(str(error))
        else:
            networks.append(network)
    return networks


def has_task(setting: Setting, network: Network) -> bool:
    """Whether a setting of training has an effect for the task of `network`."""
    name, values = setting.needs or ("", ())
    return name != "task" or network[0] in values


def defaults_of(network: Network) -> dict[str, object]:
    """The value of each setting and option of a network where nothing else is given."""
    task, arch = network
    settings, model = resolve({"task": task, "arch": arch})
    options = {name: option.default for name, option in options_of(task, arch).items()}
    return options | model | asdict(settings)


def merge(definitions: Mapping[Network, Setting], networks: list[Network]) -> Setting:
    """One setting for all `definitions`; a value is checked later, by that of its architecture."""
    first, *others = definitions.values()
    if not others:
        return first
    choices = tuple(
        dict.fromkeys(choice for each in definitions.values() for choice in each.choices)
    )
    helps: dict[str, list[Network]] = {}
    for network, each in definitions.items():
        helps.setdefault(each.help, []).append(network)
    by_network = [f"{listing(of, networks)}: {help}" for help, of in helps.items()]
    needs = {each.needs for each in definitions.values()}
    return replace(
        first,
        help=first.help if len(helps) == 1 else " ".join(by_network),
        choices=choices,
        metavar="|".join(choices) or first.metavar,
        low=min(each.low for each in definitions.values()),
        high=max(each.high for each in definitions.values()),
        needs=first.needs if len(needs) == 1 else None,
    )


def listing(some: Iterable[Network], networks: list[Network]) -> str:
    """The architectures of `some` networks, with their task where it matters; "" for all."""
    chosen = [network for network in networks if network in set(some)]
    if chosen == networks:
        return ""
    if not any(network in networks for network in namesakes(chosen, networks)):
        return ", ".join(dict.fromkeys(arch for _, arch in chosen))
    texts = []
    for task, name in TASK_NAMES.items():
        archs = [arch for of, arch in chosen if of == task]
        if archs == [arch for of, arch in networks if of == task]:
            texts.append(name)
        elif archs:
            texts.append(f"{', '.join(archs)} for {name}")
    return "; ".join(texts)


def namesakes(chosen: list[Network], networks: list[Network]) -> list[Network]:
    """The networks that are not `chosen`, but share an architecture's name with one that is."""
    archs = {arch for _, arch in chosen}
    return [network for network in networks if network[1] in archs and network not in chosen]


def default_text(
    definitions: Mapping[Network, Setting],
    defaults: Mapping[Network, Mapping[str, object]],
) -> str:
    """The default, then the architectures and tasks that have another."""
    first = next(iter(definitions.values()))
    if first.name in ("task", "arch"):
        return first.default_text()
    texts = {
        network: setting.default_help or setting.text_of(defaults[network][setting.name])
        for network, setting in definitions.items()
    }
    if first.kind is bool and not any(defaults[network][first.name] for network in definitions):
        return ""
    if first.tuned_for is None:
        usual = usual_text("lm", texts) or usual_text("translation", texts)
        parts = [usual, *exceptions(texts, usual)]
    else:
        usual, (other, values) = first.text_of(first.default), first.tuned_for
        special = "; ".join(exceptions(texts, usual))
        parts = [usual, f"with `{other}={values[0]}`, {special}" if special else ""]
    return "; ".join(filter(None, [*parts, *first.other_defaults()]))


def usual_text(task: str, texts: Mapping[Network, str]) -> str:
    """The default for the default architecture of `task`, or if that has no such option, for most;
    "" where none has."""
    of_task = {arch: text for (of, arch), text in texts.items() if of == task}
    most = Counter(of_task.values()).most_common(1)
    return of_task.get(default_arch(task)) or (most[0][0] if most else "")


def exceptions(texts: Mapping[Network, str], usual: str) -> list[str]:
    """The defaults other than the usual one: ['transformer: 128', 'translation by gru: 0.3']."""
    parts = []
    for task in dict.fromkeys(task for task, _ in texts):
        of_task = {arch: text for (of, arch), text in texts.items() if of == task}
        is_first = task == next(iter(texts))[0]
        has_usual = is_first or usual in of_task.values()
        expected = usual if has_usual else usual_text(task, texts)
        if expected != usual:
            parts.append(f"{task}: {expected}")
        for text in dict.fromkeys(of_task.values()):
            if text != expected:
                archs = ", ".join(arch for arch, other in of_task.items() if other == text)
                parts.append(f"{archs}: {text}" if is_first else f"{task} by {archs}: {text}")
    return parts
