"""Blocks of a file are verified when they are read, and so are the values in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import ModelError
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, score_lines
from seqlm.runs import checkpoint
from seqlm.runs.loading.load_model import load_model
from seqlm.runs.loading.locate import locate
from seqlm.runs.tensor_files import map_arrays, write_tensors
from seqlm.runs.untrusted import file_digest, verified_blocks
from seqlm.runs.untrusted.file_digest import digest, piece_digests, root_digest
from seqlm.runs.untrusted.verified_blocks import VerifiedBlocks
from tests.command import seqlm_inside
from tests.conftest import Toy
from tests.runs.untrusted import fuzzer
from tests.runs.untrusted.fuzzer import forge_manifest

BLOCK = 64
ROWS = {"a": (70, 2), "b": (33, 1), "c": (5, 2)}  # of 8, 4 and 8 bytes


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that tiny files have many, of which none are verified at once."""
    for module in (file_digest, verified_blocks, checkpoint, fuzzer):
        monkeypatch.setattr(module, "BLOCK", BLOCK)
    monkeypatch.setattr(verified_blocks, "FEW", 0)


class Watched:
    """Blocks of a file whose checks are remembered."""

    def __init__(self, path: Path) -> None:
        self.checked: list[tuple[int, int]] = []  # table and row
        self.bad: set[tuple[int, int]] = set()
        data, arrays = map_arrays(path)
        tables = [arrays[name] for name in ROWS]
        digests = piece_digests(path, BLOCK)
        self.blocks = VerifiedBlocks(path, data, digests, tables, self.check)

    def check(self, number: int, rows: slice) -> None:
        read = [(number, row) for row in range(rows.start, rows.stop)]
        self.checked += read
        if self.bad & set(read):
            raise ValueError("a row holds what it cannot")

    def rows_of(self, number: int) -> set[int]:
        return {row for table, row in self.checked if table == number}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    arrays = {name: rng.integers(0, 99, shape, dtype=np.int32) for name, shape in ROWS.items()}
    write_tensors(tmp_path / "file", arrays)
    return tmp_path / "file"


def test_the_blocks_of_the_rows_alone_are_verified(path: Path) -> None:
    watched = Watched(path)
    watched.checked.clear()
    watched.blocks(0, np.array([30, 31]))
    assert {30, 31} <= watched.rows_of(0) < set(range(70))
    assert len(watched.checked) <= 2 * (BLOCK // 8)
    before = len(watched.checked)
    watched.blocks(0, np.array([31, 30, 30]))
    assert len(watched.checked) == before  # once


def test_every_row_is_checked_whatever_is_read(path: Path) -> None:
    """Against all rows, one by one, and at once; a block at the edge of two tables is of both."""
    for order in (range(3), range(2, -1, -1)):
        watched = Watched(path)
        for number in order:
            for row in range(list(ROWS.values())[number][0]):
                watched.blocks(number, np.array([row]))
                assert row in watched.rows_of(number)
        at_once = Watched(path)
        for number in order:
            at_once.blocks(number, np.arange(list(ROWS.values())[number][0]))
        assert sorted(set(watched.checked)) == sorted(set(at_once.checked))
        header = watched.blocks.tables[0].offset // BLOCK  # blocks of it alone
        assert watched.blocks.is_verified[header:].all()


def test_more_rows_than_blocks_verify_all_from_the_lowest_to_the_highest(path: Path) -> None:
    watched = Watched(path)
    watched.checked.clear()
    watched.blocks(0, np.array([25, 44, *[40] * 100, 20]))
    assert set(range(20, 45)) <= watched.rows_of(0)
    assert len(watched.rows_of(0)) <= 25 + 2 * (BLOCK // 8)
    watched.blocks(0, np.array([69, *[0] * 100]))
    assert watched.rows_of(0) == set(range(70))
    assert not watched.blocks.is_verified.all()


def test_damage_is_found_in_the_block_that_is_read(path: Path) -> None:
    data = path.read_bytes()
    offset = map_arrays(path).arrays["a"].offset
    damaged = bytearray(data)
    damaged[offset + 8 * 40] ^= 1
    watched = Watched(path)
    path.write_bytes(damaged)
    again = VerifiedBlocks(
        path, np.frombuffer(bytes(damaged), np.uint8), watched.blocks.digests,
        watched.blocks.tables, watched.check,
    )  # fmt: skip
    again(0, np.array([0, 69]))
    for _ in range(2):  # and again
        with pytest.raises(ModelError, match="file is damaged: the digest of block"):
            again(0, np.array([40]))


def test_bad_values_are_found_in_the_block_that_is_read(path: Path) -> None:
    watched = Watched(path)
    watched.bad = {(1, 20)}
    watched.blocks(1, np.array([0]))
    with pytest.raises(ModelError, match="file: a row holds what it cannot"):
        watched.blocks(1, np.array([20]))


def test_the_root_digest_is_that_of_the_file(path: Path) -> None:
    data = path.read_bytes()
    pieces = [hashlib.sha256(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    assert piece_digests(path, BLOCK) == [piece.hexdigest() for piece in pieces]
    root = hashlib.sha256(b"".join(piece.digest() for piece in pieces)).hexdigest()
    assert root_digest(piece_digests(path, BLOCK)) == root
    assert digest(path) == hashlib.sha256(data).hexdigest()  # a file below 64 MiB


# ------------------------------------------------------------------------------- n-grams of a run


@pytest.fixture
def run(toy: Toy, tmp_path: Path) -> Path:
    assert seqlm_inside("count", toy.train, "-n", 3, "-o", tmp_path / "run").code == 0
    return tmp_path / "run"


def scores(run: Path, lines: list[str]) -> list[float]:
    return list(score_lines(LoadedMixture.of([load_model(locate(run))]), lines))


def test_a_line_reads_a_few_blocks_and_a_text_all(run: Path, toy: Toy, monkeypatch) -> None:
    count = [0]
    verify = VerifiedBlocks.verify

    def counted(self: VerifiedBlocks, block: int) -> None:
        count[0] += 1
        verify(self, block)

    monkeypatch.setattr(VerifiedBlocks, "verify", counted)
    size = (run / "steps").glob("*/model.safetensors").__next__().stat().st_size
    blocks = -(-size // BLOCK)
    scores(run, ["the frog"])
    assert 1 < count[0] < blocks / 10
    count[0] = 0
    scores(run, toy.train.read_text().splitlines())
    assert blocks / 2 < count[0] <= blocks


@pytest.mark.parametrize("forged", [False, True])
def test_no_changed_byte_changes_a_score_in_silence(run: Path, tmp_path: Path, forged) -> None:
    """Whatever byte of the tables is changed, the same scores are given, or none; where the digests
    are made anew, also others."""
    lines = ["the frog", "a pond ."]
    expected = scores(run, lines)
    [path] = (run / "steps").glob("*/model.safetensors")
    data, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for at in [*range(8, 40), *rng.integers(40, len(data), 60).tolist()]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        if forged:
            forge_manifest(run)
        try:
            found = scores(run, lines)
        except ModelError:
            refused += 1
            continue
        assert forged or found == expected
    assert refused > 10


def test_a_manifest_without_all_blocks_is_refused(run: Path) -> None:
    [path] = (run / "steps").glob("*/manifest.json")
    manifest = json.loads(path.read_text())
    blocks = manifest["model.safetensors"]["blocks"]
    for changed, message in (
        (blocks[1:], r"does not have all blocks of model\.safetensors"),
        (["0" * 64, *blocks[1:]], "is damaged: its digest is not the one"),
        ([0, *blocks[1:]], "is damaged"),
        ("0" * len(blocks), "is damaged"),
        (None, "is damaged"),
    ):
        manifest["model.safetensors"]["blocks"] = changed
        path.write_text(json.dumps(manifest))
        with pytest.raises(ModelError, match=message):
            load_model(locate(run))


def test_a_run_of_an_earlier_version_says_to_count_again(run: Path) -> None:
    [path] = (run / "steps").glob("*/manifest.json")
    manifest = json.loads(path.read_text())
    [weights] = (run / "steps").glob("*/model.safetensors")
    manifest[weights.name] = {"sha256": digest(weights), "bytes": weights.stat().st_size}
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"by an earlier version of seqlm.*: count it again"):
        load_model(locate(run))
