"""Token ids to the segments that a network trains on.

Inputs are the targets shifted right, with `</s>` in front:

    text      the cat sat </s> on ...
    inputs   </s> the cat sat </s> ...
    targets   the cat sat </s> on ...

*Carried* context cuts one long stream into B rows that run in parallel, and reads them in segments
of T tokens, each of which starts from the state at the end of the last (truncated back-propagation
through time, Williams & Peng 1990). *Window* context cuts the stream into blocks of T tokens, each
of which starts from an empty context. *Sentence* context starts every line from an empty context;
lines of similar length share a batch, padded on the right with targets that are ignored.

An epoch is a sequence indexed by position, so that a run can be resumed anywhere in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from seqlm.text.pad_rows import pad_rows
from seqlm.text.vocabulary import EOS

IGNORE_INDEX = -1
"""The target of a padded position."""


MAX_LINE_TOKENS = 1024
"""Tokens of a line through which the gradient goes back, where every line is a sequence."""


class Batch(NamedTuple):
    inputs: Tensor  # (B, T) int64
    targets: Tensor  # (B, T) int64, IGNORE_INDEX where padded
    starts_afresh: bool
    """Whether the rows start from the initial state, instead of the state that is carried on."""
    num_targets: int
    """Number of targets that are not padding."""
    source: Tensor | None = None  # (B, S) int64, of a translation
    source_lengths: Tensor | None = None  # (B,) number of tokens of each source, without padding


class Batches(Protocol):
    """The training data of a trainer."""

    rows: int
    """The largest number of rows in a batch."""
    unit: str
    """What a batch counts in its `num_targets`: tokens, texts, words or pairs."""

    def __len__(self) -> int:
        """Number of batches in an epoch."""

    def epoch(self, number: int) -> Sequence[Any]:
        """The batches of epoch `number`, in order; each is made when it is indexed, and has its
        `num_targets`."""


class StreamBatches(Sequence[Batch]):
    """Carried context: B rows of one stream, T tokens at a time. Every epoch is the same."""

    unit = "tokens"

    def __init__(self, ids: np.ndarray, rows: int, length: int, device: torch.device) -> None:
        """`ids` (N,) int32. The last N mod B tokens, fewer than B, are left out."""
        self.rows, self.length = min(rows, len(ids)), length
        row_length = len(ids) // self.rows
        targets = ids[: row_length * self.rows].reshape(self.rows, row_length)
        before = np.append(EOS, targets[:-1, -1])[:, None]
        # Row b holds its targets and, in front, the token before them.
        stream = np.concatenate([before, targets], 1).astype(np.int32)
        self.stream = torch.from_numpy(stream).to(device)
        self.cuts = np.append(np.arange(0, row_length, length), row_length)
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
        return Batch(inputs, targets, starts_afresh=index == 0, num_targets=targets.numel())


LENGTH_STD = 5
"""Standard deviation of the length of a segment; lengths are multiples of it."""
HALF_LENGTH_RATE = 0.05
"""Share of segments whose length is drawn around half the usual length."""


class VariableBatches(StreamBatches):
    """Carried context in segments of random length (Merity, Keskar & Socher 2018, section 5).

        T ~ N(L, 5), one in twenty N(L / 2, 5)

    so that it is not always the same tokens that come first in a segment and get no gradient from
    the tokens before. The lengths are drawn once, as many as fill a row, and shuffled for every
    epoch: each epoch has all tokens once, and all have the same number of segments. Lengths are
    rounded to multiples of 5, which leaves a dozen shapes, as oneDNN and cuDNN prepare for each.
    """

    def __init__(
        self, ids: np.ndarray, rows: int, length: int, seed: int, device: torch.device
    ) -> None:
        super().__init__(ids, rows, length, device)
        self.seed, row_length = seed, self.stream.shape[1] - 1
        rng = np.random.default_rng(seed)
        max_segments = row_length // LENGTH_STD + 1
        mean = np.where(rng.random(max_segments) < HALF_LENGTH_RATE, length / 2, length)
        multiples = np.rint(rng.normal(mean, LENGTH_STD) / LENGTH_STD).astype(int)
        ends = np.minimum((np.maximum(1, multiples) * LENGTH_STD).cumsum(), row_length)
        self.lengths = np.diff(np.unique(ends), prepend=0)  # the last is what is left of the row

    def epoch(self, number: int) -> StreamBatches:
        batches = copy(self)
        lengths = np.random.default_rng([self.seed, number]).permutation(self.lengths)
        batches.cuts = np.append(0, lengths.cumsum())
        return batches

    def __len__(self) -> int:
        return len(self.lengths)


class LineBatches:
    """Sentence context: whole lines, batched by length, in a new random order every epoch."""

    unit = "tokens"

    def __init__(
        self,
        ids: np.ndarray,
        rows: int,
        seed: int,
        device: torch.device,
        max_length: int | None = None,
    ) -> None:
        """`ids` (N,) int32, every line ending in `</s>`. Longer lines than `max_length` are cut.

        By default that is MAX_LINE_TOKENS; a model with a context length needs that.
        """
        max_length = max_length or MAX_LINE_TOKENS
        self.rows, self.seed, self.device, self.ids = rows, seed, device, ids
        starts_line = np.concatenate([[True], ids[:-1] == EOS])
        line_starts = np.flatnonzero(starts_line)
        line_lengths = np.diff(line_starts, append=len(ids))
        position_in_line = np.arange(len(ids)) - np.repeat(line_starts, line_lengths)
        self.starts = np.flatnonzero(position_in_line % max_length == 0)
        self.lengths = np.diff(self.starts, append=len(ids))

    def __len__(self) -> int:
        return -(-len(self.starts) // self.rows)

    def epoch(self, number: int) -> Sequence[Batch]:
        rng = np.random.default_rng([self.seed, number])
        shuffled = rng.permutation(len(self.starts))
        by_length = shuffled[np.argsort(self.lengths[shuffled], kind="stable")]
        groups = [by_length[at : at + self.rows] for at in range(0, len(by_length), self.rows)]
        return LineEpoch(self, [groups[index] for index in rng.permutation(len(groups))])


class LineEpoch(Sequence[Batch]):
    """One epoch of LineBatches; `groups` are the lines of each batch."""

    def __init__(self, lines: LineBatches, groups: list[np.ndarray]) -> None:
        self.lines, self.groups = lines, groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        lines, group = self.lines, self.groups[index]
        starts, lengths = lines.starts[group], lines.lengths[group]
        targets, is_real = pad_rows(lines.ids, starts, lengths)
        before = np.where(starts > 0, lines.ids[starts - 1], EOS)
        inputs = np.concatenate([before[:, None], targets[:, :-1]], 1)
        targets[~is_real] = IGNORE_INDEX
        return Batch(
            torch.from_numpy(inputs).to(lines.device),
            torch.from_numpy(targets).to(lines.device),
            starts_afresh=True,
            num_targets=int(lengths.sum()),
        )


class WindowBatches:
    """Window context: blocks of T tokens from an empty context, in a new random order every epoch.

    For models that read at most T tokens. The blocks tile the text from an offset that is drawn for
    each epoch, so that each token is predicted from more context in one epoch and less in another.
    The tokens left over at the two ends, fewer than two blocks, differ from epoch to epoch.
    """

    unit = "tokens"

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
    """One epoch of WindowBatches; `starts` are the positions of the blocks in the text."""

    def __init__(self, batches: WindowBatches, starts: Tensor) -> None:
        self.batches, self.starts = batches, starts

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self.batches.rows
        blocks = self.batches.windows[self.starts[index * rows : (index + 1) * rows]].long()
        inputs, targets = blocks[:, :-1], blocks[:, 1:].contiguous()  # (B, T)
        return Batch(inputs, targets, starts_afresh=True, num_targets=targets.numel())
