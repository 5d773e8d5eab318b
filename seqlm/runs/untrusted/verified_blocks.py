"""A file of which only the blocks that are read are verified, when they are first read.

The digest of a block of 256 KiB stands in the manifest (`file_digest.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqlm.errors import ModelError
from seqlm.runs.untrusted.file_digest import BLOCK


class VerifiedBlocks:
    """The blocks of a file, and which of them are known to be as they were written."""

    def __init__(self, path: Path, data: np.ndarray, digests: Sequence[str]) -> None:
        """`data` (bytes,) are those of the file at `path`, and `digests` those of its blocks."""
        self.path, self.data, self.digests = path, data, digests
        self.is_verified = np.zeros(len(digests), np.bool_)
        self.verify(0, 1)  # the first block has the header of the file

    def verify(self, begin: int, end: int) -> None:
        """Verifies the blocks of the bytes `begin` up to, and without, `end`.

        Errors: ModelError where one is damaged.
        """
        for block in range(begin // BLOCK, -(-end // BLOCK)):
            if not self.is_verified[block]:
                data = self.data[block * BLOCK : (block + 1) * BLOCK].data
                if hashlib.sha256(data).hexdigest() != self.digests[block]:
                    raise ModelError(
                        f"{self.path} is damaged: the digest of block {block} is not the one in"
                        " its manifest"
                    )
                self.is_verified[block] = True

    def verify_all(self) -> None:
        """Errors: those of `verify`."""
        self.verify(0, len(self.data))
