"""Rows of n-grams are verified when one of their unit is read, alone and in runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import ModelError
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, score_lines
from seqlm.models.ngram.ngram_order import RECORD
from seqlm.runs import checkpoint
from seqlm.runs.loading import load_model as loading
from seqlm.runs.loading.load_model import load_model
from seqlm.runs.loading.locate import locate
from seqlm.runs.tensor_files import map_arrays
from seqlm.runs.untrusted import file_digest, verified_blocks, verified_rows
from seqlm.runs.untrusted.file_digest import digest
from seqlm.runs.untrusted.verified_blocks import VerifiedBlocks
from seqlm.runs.untrusted.verified_rows import VerifiedRows
from tests.command import seqlm_inside
from tests.conftest import Toy
from tests.runs.untrusted import fuzzer
from tests.runs.untrusted.fuzzer import forge_manifest

BLOCK, UNIT, UNIGRAMS = 64, 192, 64
SIZES = [70, 5 * UNIT, 7 * UNIT - 1]  # of which one order ends with a unit, and one before it does


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and units so small that tiny files have many, of which none are verified at once."""
    for module in (file_digest, verified_blocks, checkpoint, fuzzer):
        monkeypatch.setattr(module, "BLOCK", BLOCK)
    monkeypatch.setattr(verified_rows, "UNIT", UNIT)
    monkeypatch.setattr(verified_rows, "TOGETHER", 2 * UNIT)
    monkeypatch.setattr(verified_rows, "FEW", 2)
    monkeypatch.setattr(loading, "FEW", 0)


class Watched:
    """Rows whose verifications are remembered."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, int]] = []
        self.bad: set[tuple[int, int]] = set()  # order and row
        self.rows = VerifiedRows(SIZES, self.verify)

    def verify(self, k: int, start: int, stop: int) -> None:
        self.calls.append((k, start, stop))
        if any((k, row) in self.bad for row in range(start, stop + 1)):
            raise ModelError("a row is damaged")

    def verified(self, k: int) -> set[int]:
        """The rows of order k that were verified, of which the last ends each call."""
        spans = [range(start, stop + 1) for order, start, stop in self.calls if order == k]
        return {row for span in spans for row in span}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_units_of_the_rows_alone_are_verified_and_once(k: int) -> None:
    size, noise = SIZES[k - 1], np.random.default_rng(k)
    watched, units, unit_rows = Watched(), set(), UNIT if k > 1 else UNIGRAMS
    for _ in range(10):
        rows = noise.integers(0, size + 1, 2)
        watched.rows(k, rows)
        units |= set((rows // unit_rows).tolist())
        expected = {row for row in range(size + 1) if row // unit_rows in units}
        ends = {(unit + 1) * unit_rows for unit in units} & set(range(size + 1))
        assert watched.verified(k) == expected | ends
    watched.rows(k, np.array([], np.int64))
    starts = [start for _, start, stop in watched.calls]
    assert len(starts) == len(set(starts))
    assert all(stop - start <= 2 * UNIT for _, start, stop in watched.calls)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_more_rows_than_units_verify_all_from_the_lowest_to_the_highest(k: int) -> None:
    size, watched = SIZES[k - 1], Watched()
    low, high = size // 3, 2 * size // 3
    watched.rows(k, np.array([high, *[low] * 100]))
    assert set(range(low, high + 1)) <= watched.verified(k)
    assert len(watched.verified(k)) <= high - low + 2 * UNIT + 1
    for everything in (np.array([0, *[size] * 100]), None):
        again = Watched()
        for rows in (watched.rows, again.rows):
            rows(k, everything)
        assert again.verified(k) == watched.verified(k) == set(range(size + 1))


def test_damage_is_found_in_the_unit_that_is_read_and_again() -> None:
    watched = Watched()
    watched.bad = {(3, 3 * UNIT + 5)}
    watched.rows(2, np.arange(SIZES[1]))
    watched.rows(3, np.array([0, 6 * UNIT]))
    for rows in (np.array([3 * UNIT]), np.array([3 * UNIT]), np.arange(SIZES[2]), None):
        with pytest.raises(ModelError, match="a row is damaged"):
            watched.rows(3, rows)


# ------------------------------------------------------------------------------- n-grams of a run


@pytest.fixture(params=["plain", "compact"])
def run(request: pytest.FixtureRequest, toy: Toy, tmp_path: Path) -> Path:
    form = ["--compact"] if request.param == "compact" else []
    assert seqlm_inside("count", toy.train, "-n", 3, *form, "-o", tmp_path / "run").code == 0
    return tmp_path / "run"


def scores(run: Path, lines: list[str]) -> list[float]:
    return list(score_lines(LoadedMixture.of([load_model(locate(run))]), lines))


def test_a_line_reads_a_few_blocks_and_a_text_all(run: Path, toy: Toy, monkeypatch) -> None:
    opened: list[VerifiedBlocks] = []
    monkeypatch.setattr(
        loading, "VerifiedBlocks", lambda *file: opened.append(VerifiedBlocks(*file)) or opened[-1]
    )
    scores(run, ["the frog"])
    scores(run, toy.train.read_text().splitlines())
    line, text = (blocks.is_verified.mean() for blocks in opened)
    assert 0 < line < 0.4
    assert text > 0.9


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


def test_no_change_of_tables_is_a_fault_where_they_are_verified_as_they_are_read(
    workplace: Path,
) -> None:
    fuzzing = fuzzer.Fuzzer(workplace / "runs", names=("ngram", "compact", "stupid"))
    fuzzing.run(range(500))
    assert [fault[:4] for fault in fuzzing.faults] == [], fuzzing.faults[0].text
    assert fuzzing.outcomes["refused"] > 200
    assert fuzzing.outcomes["read"] > 100
    assert fuzzing.outcomes["told"] > 5


def test_words_out_of_order_are_refused_and_damage_is_called_damage(run: Path) -> None:
    """The last word of the context that has most becomes the first of all words; what is read is
    the context alone."""

    def read_context() -> None:
        load_model(locate(run)).model.order(1).first_at(np.array([context]))

    [path] = (run / "steps").glob("*/model.safetensors")
    model, arrays = load_model(locate(run)).model, map_arrays(path).arrays
    first = model.order(1).first
    context = int(np.diff(first).argmax())
    row = int(first[context + 1]) - 1
    if model.config.compact:
        offset, bits = arrays["orders.1.packed"].offset, model.order(2).layout.width
    else:
        offset, bits = arrays["orders.1.records"].offset, 8 * RECORD.itemsize
    data = bytearray(path.read_bytes())
    begin = offset + row * bits // 8
    data[begin : begin + 4] = bytes(4)
    read_context()
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged: the digest of block"):
        read_context()
    forge_manifest(run)
    with pytest.raises(ModelError, match=r"orders\.1: the words of a context are not in order"):
        read_context()
