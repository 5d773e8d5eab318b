"""Blocks of a file are verified when they are read, once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import ModelError
from seqlm.runs.untrusted import verified_blocks
from seqlm.runs.untrusted.file_digest import digest, piece_digests, root_digest
from seqlm.runs.untrusted.verified_blocks import VerifiedBlocks

BLOCK, SIZE = 64, 1000
BLOCKS = -(-SIZE // BLOCK)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(verified_blocks, "BLOCK", BLOCK)
    noise = np.random.default_rng(1)
    (tmp_path / "file").write_bytes(noise.bytes(SIZE))
    return tmp_path / "file"


def blocks_of(path: Path) -> VerifiedBlocks:
    return VerifiedBlocks(path, np.fromfile(path, np.uint8), piece_digests(path, BLOCK))


def test_the_blocks_of_the_bytes_alone_are_verified(path: Path) -> None:
    noise = np.random.default_rng(2)
    for begin, end in np.sort(noise.integers(0, SIZE + 1, (100, 2))).tolist():
        blocks = blocks_of(path)
        blocks.verify(begin, end)
        expected = {0} | {at // BLOCK for at in range(begin, end)}
        if begin < end:
            assert set(np.flatnonzero(blocks.is_verified).tolist()) == expected
    blocks.verify_all()
    assert blocks.is_verified.all()


@pytest.mark.parametrize("block", [0, 1, 7, BLOCKS - 1])
def test_damage_is_found_in_the_block_that_is_read(path: Path, block: int) -> None:
    digests = piece_digests(path, BLOCK)
    damaged = np.fromfile(path, np.uint8)
    damaged[min(block * BLOCK + 20, SIZE - 1)] ^= 1
    message = rf"file is damaged: the digest of block {block} is not the one in its manifest"
    if block == 0:
        with pytest.raises(ModelError, match=message):
            VerifiedBlocks(path, damaged, digests)
        return
    blocks = VerifiedBlocks(path, damaged, digests)
    blocks.verify(0, block * BLOCK)
    for _ in range(2):  # and again
        with pytest.raises(ModelError, match=message):
            blocks.verify(block * BLOCK - 1, block * BLOCK + 1)
        with pytest.raises(ModelError, match=message):
            blocks.verify_all()


def test_a_block_is_verified_once(path: Path) -> None:
    blocks = blocks_of(path)
    blocks.verify_all()
    blocks.data = np.zeros(SIZE, np.uint8)
    blocks.verify_all()


def test_the_root_digest_is_that_of_the_file(path: Path) -> None:
    data = path.read_bytes()
    pieces = [hashlib.sha256(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    assert piece_digests(path, BLOCK) == [piece.hexdigest() for piece in pieces]
    root = hashlib.sha256(b"".join(piece.digest() for piece in pieces)).hexdigest()
    assert root_digest(piece_digests(path, BLOCK)) == root
    assert digest(path) == hashlib.sha256(data).hexdigest()  # a file below 64 MiB
