"""Parallel text: line n of one side is the translation of line n of the other.

    source    Ein Hund läuft . </s> ...        read by the encoder, whole
    target    A dog runs . </s> ...            predicted, behind `</s>`

A pair is two lines. Each side is read once and kept, so that a pipe is as good as a file: a
vocabulary is learnt from the text, and the ids need it again. What cannot be trained on is left
out and counted: pairs with a side that is blank, pairs with a side that is too long.

Pairs of like length share a batch, and a batch has about as many *positions* as another, not as
many rows: B rows are as many as fit, B max(S, T) <= P, S and T being the lengths of its longest
sides. Both sides are padded on the right.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from seqlm.errors import DataError
from seqlm.memory import IN_MEMORY
from seqlm.text.batches import IGNORED, Batch, pad
from seqlm.text.corpus import LEARNERS, by_frequency, check_bpe, learn_bpe
from seqlm.text.reading import STDIN, Block, blocks
from seqlm.text.tokenizer import Kind, Tokenizer
from seqlm.text.vocabulary import EOS
from seqlm.threads import prefetch_map

# ------------------------------------------------------------------------------------------ reading


class Side(NamedTuple):
    """The text of one language."""

    blocks: list[Block]
    name: str

    @property
    def text(self) -> bytes:
        return b"".join(block.data for block in self.blocks)

    @property
    def lines(self) -> list[str]:
        return self.text.decode().split("\n")[:-1]

    @property
    def digest(self) -> str:
        """SHA-256 of the clean text."""
        seen = hashlib.sha256()
        for block in self.blocks:
            seen.update(block.data)
        return seen.hexdigest()


def read_side(sources: Sequence[str], errors: str = "strict") -> Side:
    """Errors: DataError where a file cannot be read, or there is no text."""
    name = ", ".join("<stdin>" if source == STDIN else source for source in sources)
    side = Side(list(blocks(sources, errors)), name)
    if not side.blocks:
        raise DataError(f"{name} is empty: no text to translate")
    return side


def learn_tokenizer(
    sides: Sequence[Side],
    kind: Kind,
    vocab_size: int | None = None,
    min_count: int | None = None,
    rare: int = 1,
) -> Tokenizer:
    """A vocabulary of all `sides` together: of both is a joint one.

    `vocab_size`, `min_count` and `rare` as in `corpus.read_corpus`. Errors: UsageError on a size.
    """
    text = [block for side in sides for block in side.blocks]
    if kind == "bpe":
        check_bpe(vocab_size)
        merged = learn_bpe(text, vocab_size, min_count or 1)
        return by_frequency(merged, encoded(text, merged))[0]
    learner = LEARNERS[kind]()
    ids = IN_MEMORY.concatenate(learner.encode(text))
    return learner.finish(ids, vocab_size, min_count, rare, held_out=0.0)


def encoded(text: Sequence[Block], tokenizer: Tokenizer) -> np.ndarray:
    """(N,) int32 ids."""
    return IN_MEMORY.concatenate(ids for _, ids in prefetch_map(tokenizer.encode, text))


class Parallel(NamedTuple):
    """Pairs as ids, and what became of the lines they were read from."""

    source: np.ndarray  # (N,) int32, every line ending in EOS
    target: np.ndarray  # (M,) int32, as many lines
    kept: np.ndarray  # (lines,) which of those read are in them
    blank: int
    """Pairs left out, for a side without text."""
    long: int
    """Pairs left out, for a side of too many tokens."""

    @property
    def pairs(self) -> int:
        return int(self.kept.sum())


def read_parallel(
    source: Side,
    target: Side,
    reads: Tokenizer,
    writes: Tokenizer,
    longest: int | None = None,
) -> Parallel:
    """The pairs of two sides; none with a side of more than `longest` tokens, `</s>` counted.

    Errors: DataError where the sides have not as many lines, or no pair is left.
    """
    check_pairs(source, target)
    sides = [(encoded(source.blocks, reads), reads), (encoded(target.blocks, writes), writes)]
    lengths = [line_lengths(ids) for ids, _ in sides]
    blank = np.logical_or(*(blank_lines(ids, tokenizer) for ids, tokenizer in sides))
    long = np.maximum(*lengths) > (longest or np.inf)
    kept = ~blank & ~long
    if not kept.any():
        raise DataError(
            f"no pair of {source.name} and {target.name} is left: {blank.sum():,} have a blank"
            f" side, {(long & ~blank).sum():,} one of more than {longest} tokens"
        )
    own, other = (ids[np.repeat(kept, each)] for (ids, _), each in zip(sides, lengths))
    return Parallel(own, other, kept, int(blank.sum()), int((long & ~blank).sum()))


def check_pairs(source: Side, target: Side) -> None:
    """Errors: DataError where the sides have not as many lines."""
    ours, theirs = (sum(b.data.count(b"\n") for b in side.blocks) for side in (source, target))
    if ours != theirs:
        raise DataError(
            f"{source.name} has {ours:,} lines, {target.name} has {theirs:,}:"
            " line n of one is the translation of line n of the other"
        )


def line_starts(ids: np.ndarray) -> np.ndarray:
    """(lines,) where each begins; every one ends in EOS."""
    return np.append(0, np.flatnonzero(ids == EOS)[:-1] + 1)


def line_lengths(ids: np.ndarray) -> np.ndarray:
    """(lines,) tokens of each, `</s>` counted."""
    return np.diff(line_starts(ids), append=len(ids))


def blank_lines(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """(lines,) which hold nothing but white space."""
    white = np.array([not type_.strip() for type_ in tokenizer.types])
    white[EOS] = True
    return np.logical_and.reduceat(white[ids], line_starts(ids))


# ---------------------------------------------------------------------------------------- batches


class PairBatches:
    """Pairs batched by length, in a new random order every epoch.

    Pairs are sorted by their longer side, among equals at random, and cut into batches. The cuts
    depend on nothing but those lengths, so that every epoch has as many batches.
    """

    def __init__(self, parallel: Parallel, positions: int, seed: int, device: torch.device) -> None:
        """`positions` is P, no less than the longest side. Sentences are moved to `device` batch by
        batch."""
        self.seed, self.device = seed, device
        self.sides = parallel.source, parallel.target
        self.starts = [line_starts(ids) for ids in self.sides]
        self.lengths = [line_lengths(ids) for ids in self.sides]
        self.longer = np.maximum(*self.lengths)
        self.cuts = cuts(np.sort(self.longer).tolist(), positions)
        self.rows = max(np.diff(self.cuts).tolist())

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def epoch(self, number: int) -> Sequence[Batch]:
        rng = np.random.default_rng([self.seed, number])
        shuffled = rng.permutation(len(self.longer))
        by_length = shuffled[np.argsort(self.longer[shuffled], kind="stable")]
        groups = np.split(by_length, self.cuts[1:-1])
        return PairEpoch(self, [groups[place] for place in rng.permutation(len(groups))])


def cuts(lengths: Sequence[int], positions: int) -> list[int]:
    """Where batches begin among pairs of rising `lengths`, and the end of the last."""
    found = [0]
    while (start := found[-1]) < len(lengths):
        assert lengths[start] <= positions, "a pair is longer than a batch"
        rows = range(1, len(lengths) - start + 1)
        fit = bisect_right(rows, positions, key=lambda n: n * lengths[start + n - 1])
        found.append(start + fit)
    return found


class PairEpoch(Sequence[Batch]):
    def __init__(self, pairs: PairBatches, groups: list[np.ndarray]) -> None:
        self.pairs, self.groups = pairs, groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        pairs, group = self.pairs, self.groups[index]
        (source, _), (targets, real) = (
            pad(ids, starts[group], lengths[group])
            for ids, starts, lengths in zip(pairs.sides, pairs.starts, pairs.lengths)
        )
        inputs = np.insert(targets[:, :-1], 0, EOS, axis=1)
        targets[~real] = IGNORED
        lengths = pairs.lengths[0][group]
        tensors = [torch.from_numpy(x).to(pairs.device) for x in (inputs, targets, source, lengths)]
        return Batch(
            tensors[0], tensors[1], fresh=True, tokens=int(real.sum()),
            source=tensors[2], lengths=tensors[3],
        )  # fmt: skip
