"""The options of a model as a file holds them: each is checked before anything is built of them."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from seqlm.errors import UsageError, did_you_mean, shown
from seqlm.settings import KEY, Setting, check_value, make_setting, setting, settings_of

PLAIN = setting(None, "", low=0).metadata[KEY]
"""What is known of a field that is no setting, such as `vocab_size`."""


def check_options(config_class: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The options `stored`, in the types of a dataclass of options.

    Errors: UsageError where one is missing or unknown, of another type, or out of range.
    """
    known = {**plain_fields(config_class), **settings_of(config_class)}
    for each in fields(config_class):
        if each.default is MISSING and each.name not in stored:
            raise UsageError(f"`{each.name}` is missing")
    for name in stored:
        if name not in known:
            raise UsageError(f"no option {shown(name)}{did_you_mean(str(name), known)}")
    return {name: check_value(known[name], value) for name, value in stored.items()}


@cache
def plain_fields(config_class: type) -> Mapping[str, Setting]:
    """The fields of a dataclass that are no settings, as if they were."""
    hints = typing.get_type_hints(config_class)
    return {
        each.name: make_setting(each.name, hints[each.name], None, PLAIN)
        for each in fields(config_class)
        if KEY not in each.metadata
    }
