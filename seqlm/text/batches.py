"""Ids to the segments a network trains on.

Inputs are the targets shifted right behind `</s>`:

    text      the cat sat </s> on ...
    inputs   </s> the cat sat </s> ...
    targets   the cat sat </s> on ...

*Carried* context cuts one long stream into B rows that run in parallel, and walks along them in
segments of T tokens whose state is carried from one to the next (truncated back-propagation through
time, Williams & Peng 1990). *Window* context cuts it into blocks that a model with a horizon reads
from nothing. *Sentence* context gives every line a fresh state; lines of like length
share a batch, padded on the right with targets that count for nothing.

An epoch is a sequence indexed by position, so that a run can be resumed anywhere in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
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
    source: Tensor | None = None  # (B, S) int64, of a translation
    lengths: Tensor | None = None  # (B,) how much of each source is no padding


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
        self.cuts = np.append(np.arange(0, each, length), each)
        """Where the segments begin, and the end of the last: segment i is cuts[i] : cuts[i + 1]."""

    def epoch(self, number: int) -> StreamBatches:
        return self

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, end = self.cuts[index : index + 2].tolist()
        segment = self.stream[:, start : end + 1].long()
        inputs, targets = segment[:, :-1], segment[:, 1:].contiguous()
        return Batch(inputs, targets, fresh=index == 0, tokens=targets.numel())


SPREAD = 5
"""Standard deviation of the length of a segment, its least, and what it is a multiple of."""
HALVED = 0.05
"""How often it is drawn around half the length."""


class VariableBatches(StreamBatches):
    """Carried context in segments of random length (Merity, Keskar & Socher 2018, section 5).

        T ~ N(L, 5), of every twentieth N(L / 2, 5)

    so that the same tokens are not always the first of a segment, to which no gradient comes. The
    lengths are drawn once, as many as fill a row, and come in a new order every epoch: each epoch
    has all tokens once, and all have the same number of segments. They are rounded to multiples of
    5, which leaves a dozen shapes: oneDNN and cuDNN prepare for each of them.
    """

    def __init__(
        self, ids: np.ndarray, rows: int, length: int, seed: int, device: torch.device
    ) -> None:
        super().__init__(ids, rows, length, device)
        self.seed, each = seed, self.stream.shape[1] - 1
        rng = np.random.default_rng(seed)
        most = each // SPREAD + 1
        around = np.where(rng.random(most) < HALVED, length / 2, length)
        drawn = np.maximum(1, np.rint(rng.normal(around, SPREAD) / SPREAD).astype(int)) * SPREAD
        ends = np.minimum(drawn.cumsum(), each)
        self.lengths = np.diff(np.unique(ends), prepend=0)  # the last is what is left of the row

    def epoch(self, number: int) -> StreamBatches:
        one = copy(self)
        lengths = np.random.default_rng([self.seed, number]).permutation(self.lengths)
        one.cuts = np.append(0, lengths.cumsum())
        return one

    def __len__(self) -> int:
        return len(self.lengths)


class LineBatches:
    """Sentence context: whole lines, batched by length, in a new random order every epoch."""

    def __init__(
        self,
        ids: np.ndarray,
        rows: int,
        seed: int,
        device: torch.device,
        longest: int | None = None,
    ) -> None:
        """`ids` (N,) int32, every line ending in `</s>`. Lines above `longest` go in pieces.

        By default that is LONGEST; a model that reads no more than W tokens needs W.
        """
        longest = longest or LONGEST
        self.rows, self.seed, self.device, self.ids = rows, seed, device, ids
        begins = np.concatenate([[True], ids[:-1] == EOS])
        starts = np.flatnonzero(begins)
        into = np.arange(len(ids)) - np.repeat(starts, np.diff(starts, append=len(ids)))
        self.starts = np.flatnonzero(into % longest == 0)
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


class WindowBatches:
    """Blocks of T tokens, each with a state of its own, in a new random order every epoch.

    For models that read T tokens at most. The blocks tile the text from an offset that is drawn
    for each epoch, so that each token is seen behind more and less context; what is left over at
    the two ends, less than two blocks, is another every time.
    """

    def __init__(
        self, ids: np.ndarray, rows: int, length: int, seed: int, device: torch.device
    ) -> None:
        """`ids` (N,) int32; a text shorter than `length` is one block."""
        self.rows, self.length, self.seed = rows, min(length, len(ids)), seed
        self.blocks = max(1, (len(ids) - self.length + 1) // self.length)
        self.spare = len(ids) - self.blocks * self.length
        stream = torch.from_numpy(np.append(EOS, ids).astype(np.int32)).to(device)
        self.windows = stream.unfold(0, self.length + 1, 1)  # (N - T + 1, T + 1), a view

    def __len__(self) -> int:
        return -(-self.blocks // self.rows)

    def epoch(self, number: int) -> Sequence[Batch]:
        rng = np.random.default_rng([self.seed, number])
        offset = rng.integers(self.spare, endpoint=True)
        starts = offset + self.length * rng.permutation(self.blocks)
        return WindowEpoch(self, torch.from_numpy(starts).to(self.windows.device))


class WindowEpoch(Sequence[Batch]):
    def __init__(self, batches: WindowBatches, starts: Tensor) -> None:
        self.batches, self.starts = batches, starts

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self.batches.rows
        block = self.batches.windows[self.starts[index * rows : (index + 1) * rows]].long()
        inputs, targets = block[:, :-1], block[:, 1:].contiguous()  # (B, T)
        return Batch(inputs, targets, fresh=True, tokens=targets.numel())


def pad(ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, T) int64 rows ids[start : start + length], and where they are real; 0 elsewhere."""
    steps = np.arange(lengths.max())
    real = steps < lengths[:, None]
    rows = np.where(real, starts[:, None] + steps, 0)
    return np.where(real, ids[rows], 0).astype(np.int64), real
