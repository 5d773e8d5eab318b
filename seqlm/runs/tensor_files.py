"""Files of tensors, those of torch and arrays of numpy alike: the format safetensors.

    8 bytes    the length of the header, little-endian
    header     JSON, {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}, and
               spaces up to a multiple of 8 bytes
    data       the tensors, one after the other in the order of their offsets, without gaps

A file is written a piece at a time. Tensors are read by the library safetensors, and arrays are
views of the memory-mapped file, of which only what is used is ever read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seqlm.errors import WRONG_VALUES, ModelError, fault_of, shown
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.runs.durable_files import replacing
from seqlm.runs.untrusted.plain_files import check_plain
from seqlm.text.reading import reason

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32",
    "int32": "I32", "bfloat16": "BF16", "float16": "F16", "uint16": "U16", "int16": "I16",
    "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
"""The name that the format has for a type of torch and numpy, in the order in which the library
safetensors writes tensors."""
NUMPY_TYPES = {stored: np.dtype(name) for name, stored in DTYPES.items() if name != "bfloat16"}
MAX_HEADER = 1 << 26
"""Bytes of a header; the format allows 100 MB, and ours are far smaller."""
PIECE = 1 << 24
"""Bytes that are written at once."""
DAMAGED = ": its header is damaged, or its end is cut off"
"""What is wrong where a library says it to programmers only."""
ALIGNMENT, ARRAY_ALIGNMENT = 8, 64
"""The data begins at a multiple of so many bytes: arrays at the beginning of a cache line."""


# ---------------------------------------------------------------------------------------- writing


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor | np.ndarray], memory: Memory = IN_MEMORY
) -> None:
    """A file of `tensors`, which are all of torch or all of numpy; `memory` is where they are.

    Errors: OSError.
    """
    order = list(DTYPES)
    ordered = sorted(tensors.items(), key=lambda item: (order.index(type_of(item[1])), item[0]))
    layout, end = {}, 0
    for name, tensor in ordered:
        start, end = end, end + tensor.nbytes
        layout[name] = {
            "dtype": DTYPES[type_of(tensor)],
            "shape": [*tensor.shape],
            "data_offsets": [start, end],
        }
    header = json.dumps(layout, separators=(",", ":")).encode()
    of_numpy = any(isinstance(tensor, np.ndarray) for tensor in tensors.values())
    header += b" " * (-(8 + len(header)) % (ARRAY_ALIGNMENT if of_numpy else ALIGNMENT))
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _, tensor in ordered:
            data = bytes_of(tensor)
            for at in range(0, len(data), PIECE):
                file.write(data[at : at + PIECE].data)
                memory.release_pages()


def type_of(tensor: Tensor | np.ndarray) -> str:
    """'float32': the name of its type, the same for torch and numpy."""
    return str(tensor.dtype).removeprefix("torch.")


def bytes_of(tensor: Tensor | np.ndarray) -> np.ndarray:
    """(bytes,) uint8 of a tensor on any device."""
    if isinstance(tensor, np.ndarray):
        return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
    import torch

    data: np.ndarray = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return data


def replace_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A file that replaces `path` in one step. Errors: SeqlmError."""
    with replacing(path) as file:
        write_tensors(Path(file.name), tensors)


# ---------------------------------------------------------------------------------------- reading


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Memory-mapped. Errors: ModelError where it is no safetensors file (a pickle is never run)."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with readable_name(path) as name:
            return load_file(name)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {reason(error)}") from None
    except SafetensorError:
        raise ModelError(f"{path} is not a safetensors file{DAMAGED}") from None


@contextmanager
def readable_name(path: Path) -> Iterator[str]:
    """A name of the file for the library safetensors, which takes UTF-8 only."""
    try:
        str(path).encode()
        yield str(path)
    except UnicodeEncodeError:
        with path.open("rb") as file:
            yield f"/dev/fd/{file.fileno()}"


class MappedArray(NamedTuple):
    """An array in a memory-mapped file."""

    values: np.ndarray
    offset: int
    """Of its first byte in the file."""

    def bytes_of(self, rows: slice) -> tuple[int, int]:
        """Where some rows begin in the file, and where they end."""
        row_bytes = self.values.strides[0]
        return self.offset + rows.start * row_bytes, self.offset + rows.stop * row_bytes


class MappedFile(NamedTuple):
    """A memory-mapped file, which cannot be written to."""

    data: np.ndarray  # (bytes,) uint8
    arrays: dict[str, MappedArray]


def map_arrays(path: Path) -> MappedFile:
    """The arrays of a file.

    Errors: ModelError where it is no safetensors file; FileNotFoundError where there is none.
    """
    try:
        header, begin = read_header(path)
        data = np.memmap(path, np.uint8, "r").view(np.ndarray)
        arrays, end = {}, 0
        in_order = sorted(header.items(), key=lambda item: item[1]["data_offsets"][0])
        for name, entry in in_order:
            start, stop = entry["data_offsets"]
            dtype, shape = NUMPY_TYPES[entry["dtype"]], entry["shape"]
            is_shape = all(type(size) is int and size >= 0 for size in shape)
            is_here = start == end and stop - start == dtype.itemsize * math.prod(shape)
            if not is_shape or not is_here or (begin + start) % dtype.itemsize:
                raise ModelError(f"{shown(name)} is not where its header says")
            part = data[begin + start : begin + stop]
            arrays[name] = MappedArray(part.view(dtype).reshape(shape), begin + start)
            end = stop
        if begin + end != len(data):
            raise ModelError("its header does not describe the whole of it")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {reason(error)}") from None
    except WRONG_VALUES as error:
        raise ModelError(f"{path} is not a safetensors file{fault_of(error) or DAMAGED}") from None
    return MappedFile(data, arrays)


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a file, and where the data begins. Errors: OSError, ModelError, ValueError."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            raise ModelError("its header is too long")
        header = json.loads(file.read(length))
    check_plain(header, str(path))
    if not isinstance(header, dict):
        raise ModelError("its header is no object")
    header.pop("__metadata__", None)
    return header, 8 + length
