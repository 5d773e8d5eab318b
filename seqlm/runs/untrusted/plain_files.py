"""Small files of text, JSON and YAML that anybody may have written.

Only regular files are read: a pipe would be waited for, and a device may have no end. A file is
read up to a size that its kind has at most. What it holds are *plain* values: numbers, texts, true,
false, null, and lists and mappings of them, nested no deeper than MAX_DEPTH.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from seqlm.errors import ModelError, fault_of, shown
from seqlm.text.reading import reason, where_link_leads

MAX_BYTES = 1 << 26
"""The most that a file may have: 64 MiB."""
MAX_DEPTH = 32
"""Lists and mappings inside one another; a run's own files have up to five."""
PLAIN_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C, ten times as fast, where PyYAML has it."""


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Errors: FileNotFoundError and NotADirectoryError where there is no file, and no link either;
    ModelError where it is no regular file, larger than `limit`, or cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise ModelError(f"{path} {where_link_leads(path)}") from None
        raise
    except (OSError, ValueError) as error:  # a ValueError: a path with a null byte
        raise ModelError(f"{path} cannot be read: {reason(error)}") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is {kind_of_file(status.st_mode)}, not a file")
        if status.st_size > limit:
            raise ModelError(
                f"{path} has {status.st_size:,} bytes, and such a file has at most {limit:,}"
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {reason(error)}") from None
    finally:
        os.close(handle)


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """Errors: those of `read_bytes`; ModelError where it is not UTF-8."""
    try:
        return read_bytes(path, limit).decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} cannot be read{fault_of(error)}") from None


def read_json(path: Path, limit: int = MAX_BYTES) -> Any:
    """A plain value. Errors: those of `read_text`; ModelError where it is no plain JSON."""
    return parse_json(read_text(path, limit), str(path))


def parse_json(text: str, name: str) -> Any:
    """The plain value that `text` spells; `name` is what an error calls it. Errors: ModelError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name} cannot be read{fault_of(error)}") from None
    check_plain(value, name)
    return value


def parse_yaml(text: str | bytes, name: str) -> Any:
    """The plain value that `text` spells; `name` is what an error calls it.

    YAML can say more than that: aliases, which make a large value of a short text, and tags, which
    make objects. Both are refused. Errors: ModelError.
    """
    try:
        check_events(yaml.parse(text, Loader=PLAIN_LOADER), name)
        value = yaml.load(text, Loader=PLAIN_LOADER)
    except ModelError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ModelError(f"{name} is no plain YAML{fault_in_yaml(error)}") from None
    check_plain(value, name)
    return value


def fault_in_yaml(error: Exception) -> str:
    """As `fault_of`, with what the parser says, and the line of it."""
    if not isinstance(error, yaml.YAMLError):
        return fault_of(error) or ": a number or a date in it cannot be read"
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if problem == "found unhashable key":
        problem = "a key is a list or a mapping"
    mark = getattr(error, "problem_mark", None)
    place = f" (line {mark.line + 1})" if mark else ""
    return f": {' '.join(problem.split())}{place}"


def check_events(events: Iterator[Any], name: str) -> None:
    """Errors: ModelError where YAML is nested too deeply, or has an alias or a tag."""
    depth = 0
    for event in events:
        line = f"{name}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ModelError(f"{line}, is nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            raise ModelError(f"{line}: an alias, *{event.anchor:.40}, is not allowed")
        if tag := getattr(event, "tag", None):
            raise ModelError(f"{line}: a tag, {tag:.60}, is not allowed")


def check_plain(value: Any, name: str, depth: int = 0) -> None:
    """Errors: ModelError where `value` holds a date, a key that is no text, a whole number of more
    than 64 bits, or too deep a nest."""
    if depth > MAX_DEPTH:
        raise ModelError(f"{name} is nested too deeply")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ModelError(f"{name} has a key {shown(key)}, which is no text")
            check_plain(inner, name, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            check_plain(inner, name, depth + 1)
    elif isinstance(value, int) and abs(value) >= 1 << 64:
        raise ModelError(f"{name} holds a number of {value.bit_length()} bits")
    elif not isinstance(value, str | int | float | None):
        raise ModelError(f"{name} holds {shown(str(value))}, a {type(value).__name__}")


# ------------------------------------------------------------------------------------ what is there


def kind_of_file(mode: int) -> str:
    """'a pipe', for a message."""
    kinds = {
        stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder",
        stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "something else")
