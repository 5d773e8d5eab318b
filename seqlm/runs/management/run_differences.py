"""In what two runs differ: each setting, text and figure of their config.yaml that is not equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from seqlm.runs.run_folder import RunFolder


class Difference(NamedTuple):
    key: str
    """The path of a value in config.yaml: settings.lr, data.texts.corpus.sha256."""
    first: Any
    """The value in the first run; None where it has none."""
    second: Any


def diff_runs(first: RunFolder, second: RunFolder) -> list[Difference]:
    """Errors: ModelError where a config.yaml cannot be read."""
    mine, others = (dict(flatten(run.read_config().to_mapping())) for run in (first, second))
    return [
        Difference(key, mine.get(key), others.get(key))
        for key in dict.fromkeys([*mine, *others])
        if mine.get(key) != others.get(key)
    ]


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings, each with its path."""
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
