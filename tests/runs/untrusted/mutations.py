"""What can be done to a file: to its bytes, to the values of YAML and JSON, and to tensors."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import yaml

Random = random.Random


# ------------------------------------------------------------------------------------------- bytes


def mutate_bytes(data: bytes, other: bytes, rng: Random) -> bytes:
    """`data` with some bytes changed, lost, doubled, or taken from an `other` file."""
    changed, size = bytearray(data), len(data)
    start = rng.randrange(size + 1)
    stop = min(size, start + int(rng.paretovariate(0.5)))
    match rng.randrange(10):
        case 0:
            changed[start:stop] = rng.randbytes(stop - start)
        case 1:
            del changed[start:stop]
        case 2:
            changed[start:start] = data[start:stop]
        case 3:
            del changed[start:]
        case 4:
            at = rng.randrange(len(other) + 1)
            changed[start:stop] = other[at : at + stop - start]
        case 5:
            changed = bytearray(rng.randbytes(rng.randrange(64)))
        case 6:
            changed[start:stop] = rng.choice([b"\0", b"\xff", b"\n", b"9", b"-", b"[", b"{", b" "])
        case 7:
            changed = bytearray(other)
        case _:
            for _ in range(rng.choice([1, 1, 3])):
                if size:
                    changed[rng.randrange(size)] ^= 1 << rng.randrange(8)
    return bytes(changed)


# ------------------------------------------------------------------------------------------ values

DEEP = "[" * 10_000 + "]" * 10_000
ODD: list[Any] = [
    None, True, False, 0, 1, 2, 3, -1, 1.5, -0.0, 1e-3, 1e308, float("nan"), float("inf"), 10**6,
    10**9, 2**31, 2**63, 2**64, 10**40, "", "8", "x", "1e-3", "\0", "\ud800", "é" * 300, [], {},
    [1], [[]], {"a": 1}, [1, 2, 3], ["a", "b"], "</s>", "<unk>", "none", "gru", "lstm", "ngram",
    "transformer", "carried", "sentence", "window", "translation", "lm", "DEEP",
]  # fmt: skip
"""Values that stand where others should; "DEEP" is spelled as lists in one another."""


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything inside `value`."""
    found = []
    for key, inner in (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if type(value) is list
        else ()
    ):
        found.append((value, key))
        found += places(inner)
    return found


def mutate_value(value: Any, rng: Random) -> Any:
    """`value` with something inside it changed, removed, doubled or moved."""
    value = deepcopy(value)
    inside = places(value)
    if not inside or rng.random() < 0.03:
        return rng.choice(ODD)
    container, key = rng.choice(inside)
    old = container[key]
    match rng.randrange(8):
        case 0:
            del container[key]
        case 1:
            if isinstance(container, dict):
                container[rng.choice(["x", "", "width", "sha256", "a b"])] = old
            else:
                container.insert(key, old)
        case 2:
            other, other_key = rng.choice(inside)
            container[key] = deepcopy(other.get(other_key) if type(other) is dict else old)
        case 3 | 4 if isinstance(old, int | float) and not isinstance(old, bool):
            container[key] = rng.choice([old + 1, old - 1, old * 2, -old, old * 1000, old / 2])
        case 3 | 4 if isinstance(old, str) and old:
            at = rng.randrange(len(old))
            container[key] = old[:at] + rng.choice(["", "a", " ", "é", "\n"]) + old[at + 1 :]
        case 5 if isinstance(container, dict) and isinstance(key, str) and key:
            container[key[:-1] + rng.choice(["", "x"])] = container.pop(key)
        case _:
            container[key] = rng.choice(ODD)
    return value


def to_json(value: Any, rng: Random) -> bytes:
    return json.dumps(value).replace('"DEEP"', DEEP).encode("utf-8", "surrogatepass")


def to_yaml(value: Any, rng: Random) -> bytes:
    text = json.dumps(value)
    if rng.random() < 0.9 or "\\ud8" in text:  # JSON is YAML, and fast to write
        text = text.replace("NaN", ".nan").replace("Infinity", ".inf")
    else:
        text = yaml.dump(value, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    return text.replace('"DEEP"', DEEP).encode("utf-8", "surrogatepass")


def mutate_json(data: bytes, other: bytes, rng: Random) -> bytes:
    return to_json(mutate_value(json.loads(data), rng), rng)


def mutate_yaml(data: bytes, other: bytes, rng: Random) -> bytes:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return to_yaml(mutate_value(yaml.load(data, loader), rng), rng)


def mutate_lines(data: bytes, other: bytes, rng: Random) -> bytes:
    """JSON in lines."""
    rows = mutate_value([json.loads(line) for line in data.splitlines()], rng)
    rows = rows if isinstance(rows, list) else [rows]
    return b"".join(to_json(row, rng) + b"\n" for row in rows)


# ----------------------------------------------------------------------------------------- tensors

DTYPES = ["F32", "F16", "F64", "BF16", "I32", "I64", "U8", "BOOL", "C64", "X9"]


def mutate_tensors(data: bytes, other: bytes, rng: Random) -> bytes:
    """A safetensors file with another header, or other numbers."""
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    entry = header[name]
    start, stop = entry["data_offsets"]
    match rng.randrange(12):
        case 0:
            header = mutate_value(header, rng)
        case 1:
            entry["dtype"] = rng.choice(DTYPES)
        case 2:
            entry["shape"] = rng.choice(
                [entry["shape"][::-1], [*entry["shape"], 1], [stop - start], [], [-1], [2**40]]
            )
        case 3:
            one, two = header[name], header[rng.choice(names)]
            one["data_offsets"], two["data_offsets"] = two["data_offsets"], one["data_offsets"]
        case 4:
            other_name = rng.choice(names)
            header[name], header[other_name] = header[other_name], header[name]
        case 5:
            del header[name]
            if rng.random() < 0.7:  # and its bytes
                del body[start:stop]
                for each in header.values():
                    first, last = each["data_offsets"]
                    if first >= stop:
                        each["data_offsets"] = [first - stop + start, last - stop + start]
        case 6:
            header[rng.choice(["x", name + ".x"])] = {**entry, "data_offsets": [len(body)] * 2,
                                                     "shape": [0]}  # fmt: skip
        case _:
            body[start:stop] = mutate_numbers(bytes(body[start:stop]), entry, rng)
    head = json.dumps(header).replace('"DEEP"', DEEP).encode("utf-8", "surrogatepass")
    length = len(head) if rng.random() < 0.97 else rng.choice([0, 1, 2**63, 10**8, len(head) + 1])
    return length.to_bytes(8, "little") + head + bytes(body)


def mutate_numbers(data: bytes, entry: dict[str, Any], rng: Random) -> bytes:
    """The numbers of a tensor with some of them changed."""
    kinds: dict[str, Any] = {"F32": np.float32, "I32": np.int32, "I64": np.int64}
    numbers = np.frombuffer(data, kinds.get(entry["dtype"], np.uint8)).copy()
    if len(numbers) == 0:
        return data
    at = rng.randrange(len(numbers))
    end = rng.choice([at + 1, at + 1, len(numbers)])
    odd: list[float] = [0, 1, -1, 2]
    if numbers.dtype == np.float32:
        odd += [np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-40, 100, -100]
    elif numbers.dtype != np.uint8:
        odd += [2**31 - 1, -(2**31), len(numbers), 1000]
    else:
        odd[2] = 255
    match rng.randrange(6):
        case 0:
            numbers[:] = numbers[::-1].copy()
        case 1:
            numbers[:] = np.roll(numbers, 1)
        case 2 if numbers.dtype == np.float32:
            with np.errstate(all="ignore"):
                numbers[at:end] *= rng.choice([-1, 2, 1e20, 0.5])
        case 3 if numbers.dtype == np.int32:
            numbers[at:end] += np.int32(rng.choice([1, -1]))
        case _:
            numbers[at:end] = rng.choice(odd)
    return numbers.tobytes()


Mutation = Callable[[bytes, bytes, Random], bytes]
STRUCTURED: dict[str, Mutation] = {
    ".yaml": mutate_yaml,
    ".json": mutate_json,
    ".jsonl": mutate_lines,
    ".safetensors": mutate_tensors,
}
"""What knows the values of a file, by the ending of its name."""


def mutate(name: str, data: bytes, other: bytes, rng: Random) -> bytes:
    """The bytes of the file `name`, changed in some way; `other` is another run's file."""
    known = next((mutation for end, mutation in STRUCTURED.items() if name.endswith(end)), None)
    if known is None or rng.random() < 0.35:
        return mutate_bytes(data, other, rng)
    return known(data, other, rng)
