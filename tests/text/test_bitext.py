"""Pairs of lines: read once, counted, and batched by length without losing one."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlm.errors import DataError, UsageError
from seqlm.text.batches import IGNORE_INDEX
from seqlm.text.bitext import (
    EncodedBitext,
    PairBatches,
    Side,
    batch_boundaries,
    blank_lines,
    check_line_counts,
    encode_bitext,
    learn_tokenizer,
    line_lengths,
    read_side,
)
from seqlm.text.reading import Block
from seqlm.text.vocabulary import EOS

CPU = torch.device("cpu")
SOURCE = "ein Hund\n\nzwei  Hunde laufen\n \t \nein ein ein ein ein\nHund\u00a0Hund"
TARGET = "a dog\nb\ntwo dogs run\nc\none\ndog"


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "de").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "en").write_bytes(b"\xef\xbb\xbf" + TARGET.replace("\n", "\r\n").encode())
    return str(tmp_path / "de"), str(tmp_path / "en")


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_pairs_left_out_are_counted_and_the_others_are_the_text(files, kind) -> None:
    source, target = (read_side([file]) for file in files)
    tokenizer = learn_tokenizer([source, target], kind)
    all_pairs = encode_bitext(source, target, tokenizer, tokenizer)
    assert all_pairs.is_kept.tolist() == [True, False, True, False, True, True]
    assert (all_pairs.num_pairs, all_pairs.num_blank, all_pairs.num_long) == (4, 2, 0)
    expected = [line for n, line in enumerate(SOURCE.split("\n")) if all_pairs.is_kept[n]]
    if kind == "word":
        expected = [" ".join(line.split(" ")).replace("  ", " ") for line in expected]
    assert tokenizer.decode(all_pairs.source).decode() == "\n".join(expected) + "\n"
    assert tokenizer.decode(all_pairs.target).decode() == "a dog\ntwo dogs run\none\ndog\n"

    lengths = np.maximum(line_lengths(all_pairs.source), line_lengths(all_pairs.target))
    longest = int(np.sort(lengths)[-2])
    short_pairs = encode_bitext(source, target, tokenizer, tokenizer, longest)
    assert (short_pairs.num_pairs, short_pairs.num_blank, short_pairs.num_long) == (3, 2, 1)
    assert np.delete(lengths, lengths.argmax()).max() == longest
    assert len(line_lengths(short_pairs.source)) == len(line_lengths(short_pairs.target)) == 3


def test_a_side_is_read_as_it_stands(files, tmp_path) -> None:
    source, target = (read_side([file]) for file in files)
    assert source.lines == SOURCE.split("\n")
    assert target.lines == TARGET.split("\n")
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(SOURCE.encode()))
    assert read_side([str(packed)]).digest == source.digest
    both = read_side([str(packed), files[1]])
    assert both.lines == source.lines + target.lines
    assert both.name == f"{packed}, {files[1]}"


def test_blank_is_what_strips_to_nothing() -> None:
    lines = ["a b", "", " ", "\t\x0b ", "\u00a0", " a"]
    side = side_of(lines)
    for kind in ("word", "char", "bpe"):
        tokenizer = learn_tokenizer([side], kind)
        ids = tokenizer.encode(side.blocks[0])
        assert blank_lines(ids, tokenizer).tolist() == [not x.encode().strip() for x in lines], kind


def side_of(lines: list[str]) -> Side:
    return Side([Block("".join(f"{line}\n" for line in lines).encode(), "lines", 1)], "lines")


def test_a_joint_vocabulary_is_that_of_both_sides(files) -> None:
    source, target = (read_side([file]) for file in files)
    joint = set(learn_tokenizer([source, target], "word").types)
    separate = [set(learn_tokenizer([side], "word").types) for side in (source, target)]
    assert joint == separate[0] | separate[1]
    assert separate[0] != separate[1]


def test_refusals_name_the_files(files, tmp_path) -> None:
    source, target = (read_side([file]) for file in files)
    tokenizer = learn_tokenizer([source, target], "word")
    longer = read_side([files[0], files[0]])
    for name, number in (("three", 3), ("nine", 9), ("twelve", 12)):
        (tmp_path / name).write_text("a\n" * number)
    with pytest.raises(DataError) as error:
        encode_bitext(longer, target, tokenizer, tokenizer)
    assert str(error.value) == (
        f"{files[0]}, {files[0]} has 12 lines, {files[1]} has 6:"
        " line n of one is the translation of line n of the other"
    )
    with pytest.raises(DataError) as error:  # as many lines in all
        check_line_counts(longer, read_side([str(tmp_path / "three"), str(tmp_path / "nine")]))
    assert str(error.value).startswith(f"{files[0]} has 6 lines, {tmp_path / 'three'} has 3:")
    check_line_counts(longer, read_side([str(tmp_path / "twelve")]))
    with pytest.raises(DataError, match="2 have a blank side, 4 have a side of more than 1 tok"):
        encode_bitext(source, target, tokenizer, tokenizer, 1)
    (tmp_path / "blank").write_text("\n")
    blank = read_side([str(tmp_path / "blank")])
    with pytest.raises(DataError, match=r"left: 1 have a blank side$"):
        encode_bitext(blank, blank, tokenizer, tokenizer)
    (tmp_path / "empty").touch()
    with pytest.raises(DataError, match="empty is empty"):
        read_side([str(tmp_path / "empty")])
    with pytest.raises(UsageError, match="vocab_size 200: a BPE vocabulary begins"):
        learn_tokenizer([source], "bpe", 200)


# ---------------------------------------------------------------------------------------- batches


def pairs(count: int = 97) -> EncodedBitext:
    """Line n of both sides is n + 10, some 2s and `</s>`."""
    rng = np.random.default_rng(1)
    sides = []
    for _ in range(2):
        lines = [[n + 10, *[2] * rng.integers(0, 12), EOS] for n in range(count)]
        sides.append(np.array([id for line in lines for id in line], np.int32))
    return EncodedBitext(*sides, np.ones(count, bool), 0, 0)


def test_an_epoch_has_every_pair_once_side_by_side() -> None:
    bitext = pairs()
    batches = PairBatches(bitext, 40, 1, CPU)
    seen = []
    for batch in batches.epoch(3):
        rows, longest = batch.source.shape[0], max(batch.source.shape[1], batch.targets.shape[1])
        assert rows * longest <= 40
        assert batch.starts_afresh
        assert batch.num_targets == int((batch.targets != IGNORE_INDEX).sum())
        for row in range(rows):
            source = batch.source[row, : batch.source_lengths[row]].tolist()
            target = [id for id in batch.targets[row].tolist() if id != IGNORE_INDEX]
            assert batch.inputs[row, : len(target)].tolist() == [EOS, *target[:-1]]
            assert source[0] == target[0]
            seen.append((source, target))
    seen.sort()
    assert [id for source, _ in seen for id in source] == bitext.source.tolist()
    assert [id for _, target in seen for id in target] == bitext.target.tolist()


def test_epochs_differ_in_order_and_company_and_not_in_number() -> None:
    batches = PairBatches(pairs(), 40, 1, CPU)
    epochs = [[batch.source[:, 0].tolist() for batch in batches.epoch(n)] for n in range(3)]
    assert [len(epoch) for epoch in epochs] == [len(batches)] * 3
    together = [{frozenset(batch) for batch in epoch} for epoch in epochs]
    assert together[0] != together[1]
    again = PairBatches(pairs(), 40, 1, CPU)
    assert [batch.source[:, 0].tolist() for batch in again.epoch(1)] == epochs[1]
    other = PairBatches(pairs(), 40, 2, CPU)
    assert [batch.source[:, 0].tolist() for batch in other.epoch(1)] != epochs[1]


def test_batches_are_as_full_as_they_can_be() -> None:
    lengths = sorted(np.random.default_rng(2).integers(1, 30, 200).tolist())
    boundaries = batch_boundaries(lengths, 64)
    assert (boundaries[0], boundaries[-1]) == (0, len(lengths))
    for start, end in pairwise(boundaries):
        assert (end - start) * lengths[end - 1] <= 64
        assert end == len(lengths) or (end + 1 - start) * lengths[end] > 64
