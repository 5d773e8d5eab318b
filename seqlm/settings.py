"""The definition of a setting: one line of a dataclass from which everything else is made.

    @dataclass(frozen=True)
    class TrainingSettings:
        cooldown: float = setting(
            0.1, "Share of the updates over which the learning rate falls at the end.",
            low=0, high=1, section="Optimization", needs=("schedule", ("wsd",)),
        )

The field has the name, the type (a `Literal` has choices) and the default; `setting` adds what the
type does not say. The flag, the SEQLM_* variable, the check of a YAML value, the line of `--help`
and the row of docs/reference/settings.md are all made from the `Setting` that `settings_of` reads
back.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Literal, TypeVar

from seqlm.errors import UsageError, did_you_mean, mark, shown

INF = float("inf")
T = TypeVar("T")
KEY = "seqlm.setting"
"""Where a field's metadata holds what `setting` was given."""


@dataclass(frozen=True)
class Setting:
    """The definition of one setting."""

    name: str
    help: str
    kind: type
    """bool, int, float, str (also for choices and paths), or tuple (of whole numbers)."""
    default: Any
    optional: bool = False
    """Whether None is a value."""
    none_text: str = ""
    """What None stands for, such as "never"."""
    default_help: str = ""
    """What the default is where it is computed, as "4 x `width`"."""
    choices: tuple[str, ...] = ()
    low: float = -INF
    high: float = INF
    above: float = -INF
    """A number that the value exceeds."""
    below: float = INF
    """A number that the value stays below."""
    section: str = ""
    """The heading of `--help` and of the reference page that it stands under."""
    needs: tuple[str, tuple[Any, ...]] | None = None
    """Another setting, and its values with which this one has an effect."""
    use_instead: str = ""
    """The setting to use in its place where this one has no effect."""
    negative: str | None = None
    """The name that switches it off, as "untied" does for "tied"."""
    metavar: str = ""
    """What stands for the value in `--help`."""
    default_by: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    """Other defaults beside values of other settings: {"task": {"translation": 15}}."""
    tuned_for: tuple[str, tuple[Any, ...]] | None = None
    """Another setting, and its values for which the defaults by task and architecture were chosen;
    beside other values of it the general default holds."""

    def text_of(self, value: Any) -> str:
        """`value` as a person writes it: '0.5', 'wsd', '2000,6000', or what None stands for.

        A switch is the setting that turns it so, marked as errors.py marks settings: '`untied`'.
        """
        if value is None:
            return self.none_text
        if isinstance(value, bool):
            return f"`{self.name if value else self.negative_name}`"
        if isinstance(value, float):
            return number(value)
        return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)

    @property
    def negative_name(self) -> str:
        return self.negative or f"no_{self.name}"

    def default_text(self) -> str:
        """The default, and those beside other settings: '6; translation: 15'. '' for a switch that
        is off."""
        if self.default is False and not self.default_by:
            return ""
        usual = self.default_help or self.text_of(self.default)
        by_task = [
            f"{task}: {self.text_of(value)}"
            for task, value in self.default_by.get("task", {}).items()
        ]
        return "; ".join(filter(None, [usual, *by_task, *self.other_defaults()]))

    def other_defaults(self) -> list[str]:
        """The defaults beside settings other than the task: ['with `average=nt-asgd`: sgd']."""
        return [
            f"with `{other}={key}`: {self.text_of(value)}"
            for other, defaults in self.default_by.items()
            if other != "task"
            for key, value in defaults.items()
        ]

    def needs_text(self) -> str:
        """'needs `schedule=wsd`', the values of another setting beside which it has an effect."""
        if self.needs is None:
            return ""
        other, (first, *more) = self.needs
        return "needs " + any_of([f"`{other}={first}`", *map(str, more)])

    def range_text(self, brief: bool = False) -> str:
        """'at least 2', 'from 0 to 0.99', 'above 0'; '' where every number is allowed.

        `brief` leaves out bounds that go without saying: large ones, and 0 or 1 alone.
        """
        low, high = self.low, self.high
        if brief:
            high = INF if high >= 1000 else high
            low = -INF if high == INF and low in (0, 1) else low
        at_least = f"at least {number(low)}" if low > -INF else ""
        at_most = f"at most {number(high)}" if high < INF else ""
        if at_least and at_most:
            at_least, at_most = f"from {number(low)} to {number(high)}", ""
        above = f"above {number(self.above)}" if self.above > -INF else ""
        below = f"below {number(self.below)}" if self.below < INF else ""
        return " and ".join(filter(None, [above, at_least, at_most, below]))


def setting(
    default: Any,
    help: str,
    *,
    none_text: str = "",
    default_help: str = "",
    low: float = -INF,
    high: float = INF,
    above: float = -INF,
    below: float = INF,
    section: str = "",
    needs: tuple[str, tuple[Any, ...]] | None = None,
    use_instead: str = "",
    negative: str | None = None,
    metavar: str = "",
    default_by: Mapping[str, Mapping[Any, Any]] | None = None,
    tuned_for: tuple[str, tuple[Any, ...]] | None = None,
) -> Any:
    """A dataclass field that is a setting; the arguments are those of `Setting`."""
    metadata = {
        "help": help, "none_text": none_text, "default_help": default_help,
        "low": low, "high": high, "above": above, "below": below,
        "section": section, "needs": needs, "use_instead": use_instead, "negative": negative,
        "metavar": metavar, "default_by": default_by or {}, "tuned_for": tuned_for,
    }  # fmt: skip
    return field(default=default, metadata={KEY: metadata})


def settings_of(settings_class: type) -> dict[str, Setting]:
    """The settings that the fields of a dataclass define, by name, in their order."""
    if settings_class not in KNOWN:
        KNOWN[settings_class] = find_settings(settings_class)
    return KNOWN[settings_class]


KNOWN: dict[type, dict[str, Setting]] = {}
"""What `settings_of` has found so far."""


def find_settings(settings_class: type) -> dict[str, Setting]:
    hints = typing.get_type_hints(settings_class)
    return {
        defined.name: make_setting(
            defined.name, hints[defined.name], defined.default, defined.metadata[KEY]
        )
        for defined in fields(settings_class)
        if KEY in defined.metadata
    }


def number(value: float) -> str:
    """'0.25', '5', '1e-8'."""
    return f"{value:.10g}".replace("e-0", "e-").replace("e+0", "e")


def bytes_of(name: str, size: str) -> int:
    """The bytes of a size. Errors: UsageError, which calls it `name`.

    >>> bytes_of("memory", "1.5K")
    1536
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])i?B?", size.strip(), re.IGNORECASE)
    if not match:
        raise UsageError(f"`{name}` is {size!r}; it takes a number and K, M, G or T, as 1G")
    return int(float(match[1]) * 1024 ** (" KMGT".index(match[2].upper())))


def any_of(texts: list[str]) -> str:
    """'a, b or c'."""
    return " or ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


METAVARS: dict[type, str] = {int: "N", float: "X", str: "NAME", tuple: "N,N,..."}


def make_setting(name: str, hint: Any, default: Any, metadata: Mapping[str, Any]) -> Setting:
    """The setting `name` of type `hint`: X, X | None, Literal[...] or tuple[int, ...]."""
    assert default is not MISSING, f"{name} has no default"
    kinds = typing.get_args(hint) if is_union(hint) else (hint,)
    optional = types.NoneType in kinds
    (kind,) = (kind for kind in kinds if kind is not types.NoneType)
    choices: tuple[str, ...] = ()
    if typing.get_origin(kind) is Literal:
        kind, choices = str, typing.get_args(kind)
    kind = typing.get_origin(kind) or kind
    metavar = metadata["metavar"] or "|".join(choices) or METAVARS.get(kind, "")
    return Setting(
        name=name, kind=kind, default=default, optional=optional, choices=choices,
        **{**metadata, "metavar": metavar},
    )  # fmt: skip


def is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (types.UnionType, typing.Union)


# ------------------------------------------------------------------------------- values of settings


def parse_value(setting: Setting, text: str, name: str | None = None) -> Any:
    """The value that the `text` of a flag or a variable stands for; its range is not checked.

    `name` is what an error calls the setting. Errors: UsageError where the type does not fit.
    """
    if setting.kind in (int, float):
        try:
            return setting.kind(text)
        except ValueError:
            raise wrong_type(setting, text, name) from None
    if setting.kind is tuple:
        return whole_numbers(setting, text, name)
    return text


def check_value(setting: Setting, value: Any, name: str | None = None) -> Any:
    """`value`, which is from a flag, a variable or YAML, in the type of the setting.

    `name` is what an error calls the setting. Errors: UsageError where the type does not fit, the
    value is no choice (with the nearest one), or lies out of range.
    """
    if value is None and setting.optional:
        return None
    if setting.choices:
        if isinstance(value, str) and value in setting.choices:
            return value
        near = did_you_mean(shown(value) if type(value) is not str else value, setting.choices)
        raise UsageError(f"{name or mark(setting.name)} is {shown(value)}{near}")
    if setting.kind is tuple:
        numbers = whole_numbers(setting, value, name)
        for number in numbers:
            check_range(setting, number, name)
        return numbers
    if type(value) is not bool and isinstance(value, NUMBERS.get(setting.kind, ())):
        try:
            value = setting.kind(value)
        except (ValueError, OverflowError):
            raise wrong_type(setting, value, name) from None
    if type(value) is not setting.kind:
        raise wrong_type(setting, value, name)
    check_range(setting, value, name)
    return value


NUMBERS: dict[type, tuple[type, ...]] = {int: (Integral,), float: (Real, str)}
"""The types whose values become those of a setting: numbers of numpy, too; and a text, as YAML 1.1
reads 1e-3."""


def make_settings(settings_class: type[T], given: Mapping[str, Any]) -> T:
    """An instance of a dataclass of settings with the values `given` to some of them by name.

    Errors: UsageError on a name that no setting has, with the nearest, or a value that does not
    fit.
    """
    settings = settings_of(settings_class)
    for name in given:
        if name not in settings:
            raise UsageError(f"no setting {shown(name)}{did_you_mean(str(name), settings)}")
    return settings_class(
        **{name: check_value(settings[name], value) for name, value in given.items()}
    )


def check_fields(settings: Any) -> None:
    """Checks every setting of `settings`, an instance of a dataclass. Errors: UsageError."""
    for name, setting in settings_of(type(settings)).items():
        check_value(setting, getattr(settings, name))


def whole_numbers(setting: Setting, value: Any, name: str | None = None) -> tuple[int, ...]:
    """A YAML list, or '2000,6000' or '2000 6000' as a flag has it. Errors: UsageError."""
    parts = re.split("[, ]+", value) if isinstance(value, str) else value
    try:
        return tuple(int(str(part)) for part in parts)
    except (TypeError, ValueError):
        raise wrong_type(setting, value, name) from None


def check_range(setting: Setting, value: Any, name: str | None = None) -> None:
    """Errors: UsageError where a number is out of range or not finite."""
    if type(value) not in (int, float):
        return
    inside = setting.low <= value <= setting.high and setting.above < value < setting.below
    if not inside or (type(value) is float and not math.isfinite(value)):
        wanted = setting.range_text() or "a finite number"
        raise UsageError(f"{name or mark(setting.name)} is {shown(value)}; it must be {wanted}")


WANTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "whole numbers, as 2000,6000",
}


def wrong_type(setting: Setting, value: Any, name: str | None) -> UsageError:
    return UsageError(
        f"{name or mark(setting.name)} is {shown(value)}; it takes {WANTED[setting.kind]}"
    )


# --------------------------------------------------------------------- settings beside one another


def check_needs(
    settings: Iterable[Setting], given: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Errors: UsageError where a setting that is `given` has no effect beside the others.

    `values` has all of them. A switch that is given as off asks for nothing.
    """
    by_name = {setting.name: setting for setting in settings}
    for setting in by_name.values():
        value = given.get(setting.name)
        if value is None or value is False or has_effect(setting, values):
            continue
        other = by_name.get(setting.use_instead)
        instead = f"; here it is `{other.name}`" if other and has_effect(other, values) else ""
        raise UsageError(f"{mark(setting.name)} {setting.needs_text()}{instead}")


def has_effect(setting: Setting, values: Mapping[str, Any]) -> bool:
    """Whether `values` has what the setting needs."""
    return setting.needs is None or values.get(setting.needs[0]) in setting.needs[1]
