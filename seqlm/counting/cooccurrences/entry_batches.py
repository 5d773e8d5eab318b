"""Co-occurrences in random batches, for a network that learns to predict them.

A batch is drawn for each pair of words, once, as GloVe shuffles its pairs once: every epoch has the
same batches, in an order of its own. The pairs of a batch stay sorted. Under a limit of memory they
are in files, and a batch is read from one place.

U pairs · M those of a block, or of a batch · K batches
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from seqlm.counting.cooccurrences.cooccurrences import Cooccurrences
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.models.vectors.sparse_matrix import Entries


class EntryBatches:
    """All co-occurrences, in batches of about `size`. The `seed` decides which is in which."""

    rows, unit = 1, "pairs"

    def __init__(
        self,
        counts: Cooccurrences,
        size: int,
        seed: int,
        device: torch.device,
        memory: Memory = IN_MEMORY,
    ) -> None:
        pairs = len(counts.columns)
        self.seed, self.device, self.number = seed, device, max(1, round(pairs / size))
        sizes = sum(self.count(batch) for _, batch in self.drawn(counts))
        self.first = np.append(0, np.cumsum(sizes))  # (K + 1,), where each batch begins
        self.drawn_numbers = np.flatnonzero(np.diff(self.first))
        """Those of the batches that have a pair; of few pairs there may be others."""
        stored = [memory.empty(pairs, dtype) for dtype in (np.int32, np.int32, np.float32)]
        self.row, self.column, self.x = map(torch.from_numpy, stored)
        free = self.first[:-1].copy()  # the place of the next pair of each batch
        for block, batch in self.drawn(counts):
            sizes = self.count(batch)
            place = np.arange(len(batch)) + (free - sizes.cumsum() + sizes).repeat(sizes)
            order, at = torch.from_numpy(np.argsort(batch, kind="stable")), torch.from_numpy(place)
            for column, values in zip((self.row, self.column, self.x), block):
                column[at] = values[order].to(column.dtype)
            free += sizes
            memory.release_pages()

    def count(self, batch: np.ndarray) -> np.ndarray:
        """(K,) how many of the pairs (M,) are in each batch."""
        return np.bincount(batch, minlength=self.number)

    def drawn(self, counts: Cooccurrences) -> Iterator[tuple[Entries, np.ndarray]]:
        """Each block of pairs, with the batch of each (M,)."""
        for number, block in enumerate(counts.blocks()):
            rng = np.random.default_rng([self.seed, number])
            yield block, rng.integers(self.number, size=len(block.x))

    def __len__(self) -> int:
        return len(self.drawn_numbers)

    def epoch(self, number: int) -> Sequence[Entries]:
        rng = np.random.default_rng([self.seed, self.number, number])
        return EntryEpoch(self, rng.permutation(self.drawn_numbers))


class EntryEpoch(Sequence[Entries]):
    """One epoch of EntryBatches, in the `order` (K,) of its batches."""

    def __init__(self, batches: EntryBatches, order: np.ndarray) -> None:
        self.batches, self.order = batches, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Entries:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        batches, number = self.batches, self.order[index]
        part = slice(*batches.first[number : number + 2].tolist())
        device = batches.device
        return Entries(
            batches.row[part].to(device).long(),
            batches.column[part].to(device).long(),
            batches.x[part].to(device),
        )
