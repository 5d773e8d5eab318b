"""Ids to the segments a network trains on.

Inputs are the targets shifted right behind `</s>`:

    text      the cat sat </s> on ...
    inputs   </s> the cat sat </s> ...
    targets   the cat sat </s> on ...

*Carried* context cuts one long stream into B rows that run in parallel, and walks along them in
segments of T tokens whose state is carried from one to the next (truncated back-propagation through
time, Williams & Peng 1990). *Sentence* context gives every line a fresh state; lines of like length
share a batch, padded on the right with targets that count for nothing.

An epoch is a sequence indexed by position, so that a run can be resumed anywhere in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from seqlm.text.vocabulary import EOS

IGNORED = -1
"""The target of a padded position."""


LONGEST = 1024
"""Tokens of a line that the gradient goes back through where every line is a sequence."""


class Batch(NamedTuple):
    inputs: Tensor  # (B, T) int64
    targets: Tensor  # (B, T) int64, IGNORED where padded
    fresh: bool
    """The rows begin here: the state before them is the initial one."""
    tokens: int
    """Targets that count."""


class Batches(Protocol):
    """What the training loop asks of its data."""

    rows: int

    def __len__(self) -> int:
        """Batches of an epoch."""

    def epoch(self, number: int) -> Sequence[Batch]:
        """The batches of epoch `number`, in order; each is made when it is asked for."""


class StreamBatches(Sequence[Batch]):
    """Carried context: B rows of one stream, T tokens at a time. Every epoch is the same."""

    def __init__(self, ids: np.ndarray, rows: int, length: int, device: torch.device) -> None:
        """`ids` (N,) int32. The last N mod B tokens, fewer than B, are left out."""
        self.rows, self.length = min(rows, len(ids)), length
        each = len(ids) // self.rows
        own = ids[: each * self.rows].reshape(self.rows, each)
        before = np.append(EOS, own[:-1, -1])[:, None]
        # Row b holds its own tokens and, in front, the one before them.
        stream = np.concatenate([before, own], 1).astype(np.int32)
        self.stream = torch.from_numpy(stream).to(device)

    def epoch(self, number: int) -> StreamBatches:
        return self

    def __len__(self) -> int:
        return -(-(self.stream.shape[1] - 1) // self.length)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        segment = self.stream[:, index * self.length : (index + 1) * self.length + 1].long()
        inputs, targets = segment[:, :-1], segment[:, 1:].contiguous()
        return Batch(inputs, targets, fresh=index == 0, tokens=targets.numel())


class LineBatches:
    """Sentence context: whole lines, batched by length, in a new random order every epoch."""

    def __init__(self, ids: np.ndarray, rows: int, seed: int, device: torch.device) -> None:
        """`ids` (N,) int32, every line ending in `</s>`. Lines above LONGEST go in pieces."""
        self.rows, self.seed, self.device, self.ids = rows, seed, device, ids
        begins = np.concatenate([[True], ids[:-1] == EOS])
        starts = np.flatnonzero(begins)
        into = np.arange(len(ids)) - np.repeat(starts, np.diff(starts, append=len(ids)))
        self.starts = np.flatnonzero(into % LONGEST == 0)
        self.lengths = np.diff(self.starts, append=len(ids))

    def __len__(self) -> int:
        return -(-len(self.starts) // self.rows)

    def epoch(self, number: int) -> Sequence[Batch]:
        rng = np.random.default_rng([self.seed, number])
        shuffled = rng.permutation(len(self.starts))
        by_length = shuffled[np.argsort(self.lengths[shuffled], kind="stable")]
        groups = [by_length[at : at + self.rows] for at in range(0, len(by_length), self.rows)]
        return LineEpoch(self, [groups[place] for place in rng.permutation(len(groups))])


class LineEpoch(Sequence[Batch]):
    def __init__(self, lines: LineBatches, groups: list[np.ndarray]) -> None:
        self.lines, self.groups = lines, groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        lines, group = self.lines, self.groups[index]
        lengths = lines.lengths[group]
        targets, real = pad(lines.ids, lines.starts[group], lengths)
        before = np.where(lines.starts[group] > 0, lines.ids[lines.starts[group] - 1], EOS)
        inputs = np.concatenate([before[:, None], targets[:, :-1]], 1)
        targets[~real] = IGNORED
        there, wanted = (torch.from_numpy(x).to(lines.device) for x in (inputs, targets))
        return Batch(there, wanted, fresh=True, tokens=int(lengths.sum()))


def pad(ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, T) int64 rows ids[start : start + length], and where they are real; 0 elsewhere."""
    steps = np.arange(lengths.max())
    real = steps < lengths[:, None]
    rows = np.where(real, starts[:, None] + steps, 0)
    return np.where(real, ids[rows], 0).astype(np.int64), real
