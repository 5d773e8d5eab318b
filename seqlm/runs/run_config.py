"""What config.yaml holds: how a run was made, and its result.

    seqlm      version of seqlm that wrote the run       command   the command line
    task       lm or translation                         torch     version of PyTorch, of a training
    arch       the architecture                          device    cpu, cuda:0, …
    context    carried, window or sentence               threads   CPU threads
    model      options of the architecture               finished  UTC time, or null
    settings   of training or of counting                result    figures of the best validation
    data       files, their digests, numbers of tokens   exported  the model it was exported from

Under `data`, `texts` holds the `files` and the `sha256` of each role: of `corpus` and `valid`, or
of `source`, `target`, `valid_source` and `valid_target`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import yaml

from seqlm.errors import ModelError, nearest, shown
from seqlm.runs.durable_files import write_text
from seqlm.runs.untrusted.plain_files import parse_yaml, read_text
from seqlm.version import __version__

CONTEXTS = ("carried", "window", "sentence")
REQUIRED = ("seqlm", "task", "arch", "context", "model")
"""The keys without which a run cannot be loaded."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    seqlm: str = __version__
    task: str
    arch: str
    context: str
    model: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None
    torch: str | None = None
    device: str | None = None
    threads: int | None = None
    finished: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    exported: str | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The config.yaml at `path`.

        Errors: ModelError where it is missing, is no plain YAML, or is not what a run wrote.
        """
        try:
            text = read_text(path)
        except (FileNotFoundError, NotADirectoryError):
            raise ModelError(f"{path.parent} is not a run: it has no {path.name}") from None
        return cls.from_mapping(parse_yaml(text, str(path)), path)

    @classmethod
    def from_mapping(cls, values: Any, path: Path) -> Self:
        """The configuration that `values` spell out. `path` is the file that an error names.

        Errors: ModelError where keys are missing or unknown, or a value is of another type.
        """
        if not isinstance(values, dict):
            raise ModelError(f"{path} is not the configuration of a run")
        if missing := [name for name in REQUIRED if name not in values]:
            raise ModelError(
                f"{path} is not the configuration of a run: it has no {', '.join(missing)}"
            )
        for name, value in values.items():
            if name not in TYPES:
                near = nearest(str(name), TYPES)
                raise ModelError(f"{path} has a key {shown(name)}, which no run has{near}")
            if not fits(name, value):
                raise ModelError(f"{path}: {name} cannot be {shown(value)}")
        texts = (values.get("data") or {}).get("texts", {})
        if not (isinstance(texts, dict) and all(map(is_text, texts.values()))):
            raise ModelError(f"{path}: data.texts does not hold files and sha256 for each role")
        return cls(**{name: value for name, value in values.items() if value is not None})

    def write(self, path: Path) -> None:
        """Replaces the file at `path` in one step. Errors: SeqlmError where the disk refuses."""
        write_text(path, yaml.safe_dump(self.to_mapping(), sort_keys=False, allow_unicode=True))

    def to_mapping(self) -> dict[str, Any]:
        """Keys and plain values as YAML holds them; what is empty is left out, but `finished`."""
        values = {each.name: plain(getattr(self, each.name)) for each in fields(self)}
        left_out = [name for name, value in values.items() if value is None or value == {}]
        return {
            name: value
            for name, value in values.items()
            if name not in left_out or name in (*REQUIRED, "finished")
        }


TYPES: dict[str, type] = {
    **dict.fromkeys(("seqlm", "task", "arch", "context"), str),
    **dict.fromkeys(("command", "torch", "device", "finished", "exported"), str),
    **dict.fromkeys(("model", "settings", "data", "result"), dict),
    "threads": int,
}
"""What each key of config.yaml holds."""


def fits(name: str, value: Any) -> bool:
    """Whether `value` is what a run has under `name`, one of TYPES."""
    if value is None:
        return name not in REQUIRED
    if name == "context":
        return value in CONTEXTS
    if name in ("task", "arch"):
        return type(value) is str and value.isprintable()
    if name == "threads":
        return type(value) is int and value > 0
    return type(value) is TYPES[name]


def is_text(value: Any) -> bool:
    """Whether `value` is what `data.texts` holds for a role."""
    return (
        isinstance(value, dict)
        and value.keys() == {"files", "sha256"}
        and isinstance(value["files"], list)
        and all(isinstance(file, str) for file in value["files"])
        and isinstance(value["sha256"], str | None)
    )


def plain(value: Any) -> Any:
    """`value` as YAML holds it: tuples become lists, and paths text."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value
