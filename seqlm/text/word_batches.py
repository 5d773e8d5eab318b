"""Token ids to batches of words, for word vectors.

Other than a language model, word vectors do not read `<unk>` and `</s>`: both are taken out, and
the words around them become neighbors, except that no line sees another. Frequent words are taken
out at random, too (Mikolov, Sutskever, Chen, Corrado & Dean 2013, section 2.3). An occurrence of
the word x is kept with the probability that the program word2vec has, other than the paper:

    p(x) = min(1, (sqrt(f_x / t) + 1) t / f_x)

    f_x    the share of x among the words of the text       t    the setting `subsample`

A batch is a stretch of the text of B tokens, before any are taken out. The random numbers are a
function of the seed, the epoch and the batch, so that training can be resumed at any batch.

    N tokens of the text · V vocabulary · T words that are left of a batch
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.text.vocabulary import EOS, RESERVED


class WordBatch(NamedTuple):
    words: Tensor  # (T,) int64, none of them reserved
    lines: Tensor  # (T,) int32, equal for words of one line
    num_targets: int
    """The words of the stretch, before any were left out at random."""


class WordBatches:
    """The stretches of a text in their order, the same in every epoch but for what is left out."""

    rows, unit = 1, "words"

    def __init__(
        self,
        ids: np.ndarray,
        counts: np.ndarray,
        sample: float,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """`ids` (N,) int32, `counts` (V,) of each of them in the whole text."""
        self.ids, self.batch_size, self.seed, self.device = ids, batch_size, seed, device
        self.keep = keep_probabilities(counts, sample)

    def __len__(self) -> int:
        return max(1, -(-len(self.ids) // self.batch_size))

    def epoch(self, number: int) -> WordEpoch:
        return WordEpoch(self, number)


class WordEpoch(Sequence[WordBatch]):
    """One epoch of WordBatches."""

    def __init__(self, batches: WordBatches, number: int) -> None:
        self.batches, self.number = batches, number

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> WordBatch:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        batches = self.batches
        ids = batches.ids[index * batches.batch_size : (index + 1) * batches.batch_size]
        rng = np.random.default_rng([batches.seed, self.number, index])
        kept = np.flatnonzero(rng.random(len(ids), np.float32) < batches.keep.take(ids))
        lines = np.cumsum(ids == EOS, dtype=np.int32)
        return WordBatch(
            torch.from_numpy(ids.take(kept).astype(np.int64)).to(batches.device),
            torch.from_numpy(lines.take(kept)).to(batches.device),
            num_targets=max(1, int(np.count_nonzero(ids >= len(RESERVED)))),
        )


def keep_probabilities(counts: np.ndarray, sample: float) -> np.ndarray:
    """counts (V,) -> (V,) float32, p of each word, 1 for all where `sample` is 0; and 0 for
    the reserved entries."""
    first = len(RESERVED)
    p = np.ones(len(counts), np.float32)
    if sample:
        f = np.maximum(counts, 1) / max(1, counts[first:].sum()) / sample
        p = np.minimum(1, (np.sqrt(f) + 1) / f).astype(np.float32)
    p[:first] = 0
    return p
