"""Parallel text: line n of one side is the translation of line n of the other.

    source    Ein Hund läuft . </s> ...        read by the encoder, whole
    target    A dog runs . </s> ...            predicted, with `</s>` in front

A pair is two lines. Each side is read once and kept in memory, as a pipe cannot be read twice and
the text is needed twice, to learn a vocabulary and to encode it. Pairs that cannot be trained on
are left out and counted: those with a blank side, and those with a side that is too long.

Pairs of similar length share a batch, and all batches have about as many *positions*, not as many
rows: B is the largest number with B max(S, T) <= P, S and T being the lengths of the longest source
and target of the batch. Both sides are padded on the right.

With BPE-dropout a pair has other tokens in every epoch, some more than without. Batches have as
many rows as they would have without it, so that every epoch has the same number of them.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from seqlm.errors import DataError
from seqlm.machine.memory import IN_MEMORY
from seqlm.machine.threads import prefetch_map
from seqlm.text.batches import IGNORE_INDEX, Batch
from seqlm.text.bpe.bpe_learning import check_bpe_size, learn_bpe, order_by_frequency
from seqlm.text.corpus import LEARNERS
from seqlm.text.normalization import NO_STEPS, Normalizer
from seqlm.text.pad_rows import pad_rows
from seqlm.text.reading import Block, read_blocks, source_name
from seqlm.text.tokenizer import Tokenizer, TokenizerKind, check_normalizer
from seqlm.text.vocabulary import EOS

# ------------------------------------------------------------------------------------------ reading


class Side(NamedTuple):
    """The text of one language."""

    blocks: list[Block]
    name: str
    """The names of its files, for messages."""
    lines_by_file: tuple[tuple[str, int], ...] = ()
    """The name of each of its files, and how many lines it has."""

    @property
    def text(self) -> bytes:
        return b"".join(block.data for block in self.blocks)

    @property
    def lines(self) -> list[str]:
        return self.text.decode().split("\n")[:-1]

    @property
    def digest(self) -> str:
        """SHA-256 of the clean text."""
        sha256 = hashlib.sha256()
        for block in self.blocks:
            sha256.update(block.data)
        return sha256.hexdigest()


def read_side(sources: Sequence[str], errors: str = "strict") -> Side:
    """Errors: DataError if a file cannot be read, or there is no text."""
    names = [source_name(source) for source in sources]
    files = [list(read_blocks([source], errors)) for source in sources]
    name, blocks = ", ".join(names), [block for file in files for block in file]
    side = Side(blocks, name, tuple(zip(names, map(count_lines, files))))
    if not side.blocks:
        raise DataError(f"{name} is empty: no text to translate")
    return side


def count_lines(blocks: Iterable[Block]) -> int:
    return sum(block.data.count(b"\n") for block in blocks)


def learn_tokenizer(
    sides: Sequence[Side],
    kind: TokenizerKind,
    vocab_size: int | None = None,
    min_count: int | None = None,
    default_min_count: int = 1,
    normalizer: Normalizer = NO_STEPS,
) -> Tokenizer:
    """A tokenizer with one vocabulary for all `sides`; that of both sides is a joint vocabulary.

    `vocab_size`, `min_count`, `default_min_count` and `normalizer` as in `corpus.read_corpus`.
    Errors: UsageError on a size.
    """
    check_normalizer(normalizer, kind)
    text = [block for side in sides for block in side.blocks]
    if kind == "bpe":
        check_bpe_size(vocab_size)
        tokenizer = learn_bpe(text, vocab_size, min_count or 1, normalizer)
        return order_by_frequency(tokenizer, encode_blocks(text, tokenizer))[0]
    learner = LEARNERS[kind](normalizer)
    ids = IN_MEMORY.concatenate(learner.encode(text))
    return learner.finish(ids, vocab_size, min_count, default_min_count, held_out_fraction=0.0)


def encode_blocks(text: Sequence[Block], tokenizer: Tokenizer) -> np.ndarray:
    """(N,) int32 ids."""
    return IN_MEMORY.concatenate(ids for _, ids in prefetch_map(tokenizer.encode, text))


class EncodedBitext(NamedTuple):
    """Pairs as ids, and how many lines of the text were left out."""

    source: np.ndarray  # (N,) int32, every line ending in EOS
    target: np.ndarray  # (M,) int32, as many lines
    is_kept: np.ndarray  # (lines,) bool, which lines of the text are among the pairs
    num_blank: int
    """Pairs left out because a side has no text."""
    num_long: int
    """Pairs left out because a side has too many tokens."""

    @property
    def num_pairs(self) -> int:
        return int(self.is_kept.sum())


def encode_bitext(
    source: Side,
    target: Side,
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
    max_length: int | None = None,
) -> EncodedBitext:
    """The pairs of two sides, without those with a side of more than `max_length` tokens, `</s>`
    included.

    Errors: DataError if the sides differ in their number of lines, or no pair is left.
    """
    check_line_counts(source, target)
    source_ids = encode_blocks(source.blocks, source_tokenizer)
    target_ids = encode_blocks(target.blocks, target_tokenizer)
    source_lengths, target_lengths = line_lengths(source_ids), line_lengths(target_ids)
    is_blank = blank_lines(source_ids, source_tokenizer) | blank_lines(target_ids, target_tokenizer)
    is_long = np.maximum(source_lengths, target_lengths) > (max_length or np.inf)
    is_kept = ~is_blank & ~is_long
    num_blank, num_long = int(is_blank.sum()), int((is_long & ~is_blank).sum())
    if not is_kept.any():
        reasons = [f"{num_blank:,} have a blank side"]
        if max_length is not None:
            reasons.append(f"{num_long:,} have a side of more than {max_length} tokens")
        raise DataError(f"no pair of {source.name} and {target.name} is left: {', '.join(reasons)}")
    return EncodedBitext(
        source_ids[np.repeat(is_kept, source_lengths)],
        target_ids[np.repeat(is_kept, target_lengths)],
        is_kept, num_blank, num_long,
    )  # fmt: skip


def check_line_counts(source: Side, target: Side) -> None:
    """Errors: DataError if the sides differ in their number of lines, as a whole or, if they have
    as many files, file by file."""
    counts = [(side.name, count_lines(side.blocks)) for side in (source, target)]
    pairs = [(counts[0], counts[1])]
    if len(source.lines_by_file) == len(target.lines_by_file):
        pairs = [*zip(source.lines_by_file, target.lines_by_file), *pairs]
    for (source_file, num_source), (target_file, num_target) in pairs:
        if num_source != num_target:
            raise DataError(
                f"{source_file} has {num_source:,} lines, {target_file} has {num_target:,}:"
                " line n of one is the translation of line n of the other"
            )


def line_starts(ids: np.ndarray) -> np.ndarray:
    """(lines,) the position at which each line begins; every line ends in EOS."""
    return np.append(0, np.flatnonzero(ids == EOS)[:-1] + 1)


def line_lengths(ids: np.ndarray) -> np.ndarray:
    """(lines,) the number of tokens of each line, `</s>` included."""
    return np.diff(line_starts(ids), append=len(ids))


def blank_lines(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """(lines,) bool, True for lines that have nothing but white space."""
    is_space = np.array([not type_.strip() for type_ in tokenizer.types])
    is_space[EOS] = True
    return np.logical_and.reduceat(is_space[ids], line_starts(ids))


# ---------------------------------------------------------------------------------------- batches


class Lines(NamedTuple):
    """The lines of one side, in the order of the pairs."""

    ids: np.ndarray  # (N,) int32
    starts: np.ndarray  # (pairs,), where each line begins
    lengths: np.ndarray  # (pairs,), `</s>` included

    @classmethod
    def of(cls, ids: np.ndarray, is_kept: np.ndarray | None = None) -> Lines:
        """All lines of `ids`, or those that `is_kept` (lines,) selects."""
        starts, lengths = line_starts(ids), line_lengths(ids)
        if is_kept is None:
            return cls(ids, starts, lengths)
        return cls(ids, starts[is_kept], lengths[is_kept])


def longer_side(sides: Sequence[Lines]) -> np.ndarray:
    """(pairs,) the tokens of the longer side of each pair."""
    lengths: np.ndarray = np.maximum(*(side.lengths for side in sides))
    return lengths


Sampler = Callable[[np.random.Generator], np.ndarray]
"""Gives the ids (N,) of all lines of a side anew."""


class PairBatches:
    """Pairs batched by length, in a new random order every epoch.

    Pairs are sorted by their longer side, equal ones in random order, and cut into batches. The
    cuts depend only on the lengths of `bitext`, so that every epoch has the same number of batches.
    """

    unit = "tokens"

    def __init__(
        self,
        bitext: EncodedBitext,
        positions: int,
        seed: int,
        device: torch.device,
        samplers: Sequence[Sampler] = (),
    ) -> None:
        """`positions` is P, at least the longest side. Each batch is moved to `device` when it is
        made. `samplers`, one for each side, give the ids of every epoch, those of the lines that
        were left out among them."""
        self.seed, self.device, self.samplers = seed, device, samplers
        self.is_kept = bitext.is_kept
        self.sides = [Lines.of(bitext.source), Lines.of(bitext.target)]
        self.cuts = batch_boundaries(np.sort(longer_side(self.sides)).tolist(), positions)
        self.rows = max(np.diff(self.cuts).tolist())

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def epoch(self, number: int) -> Sequence[Batch]:
        rng = np.random.default_rng([self.seed, number])
        sampled = [Lines.of(sample(rng), self.is_kept) for sample in self.samplers]
        sides = sampled or self.sides
        lengths = longer_side(sides)
        shuffled = rng.permutation(len(lengths))
        by_length = shuffled[np.argsort(lengths[shuffled], kind="stable")]
        groups = np.split(by_length, self.cuts[1:-1])
        order = rng.permutation(len(groups))
        return PairEpoch(sides, [groups[index] for index in order], self.device)


def batch_boundaries(lengths: Sequence[int], positions: int) -> list[int]:
    """Where batches begin among pairs of rising `lengths`, and the end of the last."""
    boundaries = [0]
    while (start := boundaries[-1]) < len(lengths):
        assert lengths[start] <= positions, "a pair is longer than a batch"
        rows = range(1, len(lengths) - start + 1)
        fitting = bisect_right(rows, positions, key=lambda n: n * lengths[start + n - 1])
        boundaries.append(start + fitting)
    return boundaries


class PairEpoch(Sequence[Batch]):
    """One epoch of PairBatches: the lines of both sides, and the pairs of each batch."""

    def __init__(
        self, sides: Sequence[Lines], groups: list[np.ndarray], device: torch.device
    ) -> None:
        self.sides, self.groups, self.device = sides, groups, device

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        group = self.groups[index]
        (source, _), (targets, is_real) = (
            pad_rows(side.ids, side.starts[group], side.lengths[group]) for side in self.sides
        )
        inputs = np.insert(targets[:, :-1], 0, EOS, axis=1)
        targets[~is_real] = IGNORE_INDEX
        lengths = self.sides[0].lengths[group]
        tensors = [torch.from_numpy(x).to(self.device) for x in (inputs, targets, source, lengths)]
        return Batch(
            tensors[0], tensors[1], starts_afresh=True, num_targets=int(is_real.sum()),
            source=tensors[2], source_lengths=tensors[3],
        )  # fmt: skip
