"""A file of tables of which only the blocks that are read are verified, when they are first read.

The digest of a block of 256 KiB stands in the manifest. A file of a few blocks is verified when it
is opened. Of a large one, a look-up of a few words touches a few blocks of hundreds, and a long
text almost all of them: where more rows are asked for at once than a table has blocks, all blocks
from the lowest row to the highest are verified at once, in threads.

    R rows of a table · Q rows that are about to be read
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlm.errors import ModelError
from seqlm.machine.threads import parallel_map
from seqlm.runs.untrusted.file_digest import BLOCK

FEW = 8
"""Blocks of a file that is verified when it is opened, and blocks that are not worth threads."""


class MappedArray(NamedTuple):
    """An array in a memory-mapped file."""

    values: np.ndarray
    offset: int
    """Of its first byte in the file."""


class VerifiedBlocks:
    """The blocks of a file, and which of them are known to be as they were written."""

    def __init__(
        self,
        path: Path,
        data: np.ndarray,
        digests: Sequence[str],
        tables: Sequence[MappedArray],
        check: Callable[[int, slice], None],
    ) -> None:
        """`data` (bytes,) are those of the file at `path`, and `digests` those of its blocks.
        `check` raises ValueError where some rows of a table, which it is told by its number, hold
        what they cannot."""
        self.path, self.data, self.digests = path, data, digests
        self.tables, self.check = tables, check
        self.is_verified = np.zeros(len(digests), np.bool_)
        at_once = len(digests) if len(digests) <= FEW else 1  # the first has the header of the file
        for block in range(at_once):
            self.verify(block)

    def __call__(self, number: int, rows: np.ndarray) -> None:
        """Verifies the blocks that hold `rows` (Q,) of a table.

        Errors: ModelError where one is damaged, or holds what no table does.
        """
        table, offset = self.tables[number]
        row_bytes = table.strides[0]
        first, last = offset // BLOCK, (offset + table.nbytes - 1) // BLOCK
        of_table = self.is_verified[first : last + 1]  # a view
        if of_table.all():
            return
        wanted = np.zeros(len(of_table), np.bool_)
        are_many = len(rows) > len(of_table)
        ends = np.array([rows.min(), rows.max()]) if are_many else rows
        begins = offset + ends.astype(np.int64) * row_bytes
        begin, end = begins // BLOCK - first, (begins + row_bytes - 1) // BLOCK - first
        wanted[begin] = wanted[end] = True
        if are_many:
            wanted[begin[0] : end[1]] = True
        blocks = (first + np.flatnonzero(wanted & ~of_table)).tolist()
        if len(blocks) > FEW:
            parallel_map(self.verify, blocks)
        else:
            for block in blocks:
                self.verify(block)

    def verify(self, block: int) -> None:
        """Verifies a block, and the values of those of its rows that are of a table."""
        begin, end = block * BLOCK, (block + 1) * BLOCK
        if hashlib.sha256(self.data[begin:end].data).hexdigest() != self.digests[block]:
            raise ModelError(
                f"{self.path} is damaged: the digest of block {block} is not the one in its"
                " manifest"
            )
        for number, (table, offset) in enumerate(self.tables):
            row_bytes = table.strides[0]
            first = max(0, begin - offset) // row_bytes
            last = min(len(table), -(-(end - offset) // row_bytes))
            if first < last:
                try:
                    self.check(number, slice(first, last))
                except ValueError as error:
                    raise ModelError(f"{self.path}: {error}") from None
        self.is_verified[block] = True
