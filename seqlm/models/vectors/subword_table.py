"""Input vectors that are means over the character n-grams of a word.

    v_x = 1 / (1 + |G_x|) (z_x + sum_{g in G_x} z_g)

    z_x    a row for each word x of the vocabulary     G_x   its character n-grams
    z_g    a row for each n-gram, by its hash          v_x   of a word that has no z_x: over G_x

As in the program fastText, each of these rows gets the gradient of v_x as it is, which the true one
would divide by their number: so v_x learns as quickly as a vector of its own.

Other than there, a bucket of hashes has a row only where an n-gram of the vocabulary is in it. What
no word has was never trained; a word that was never seen is made of the n-grams that were.

    V words · R rows, those of words first · F n-grams of all words · D width
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqlm.errors import ModelError
from seqlm.models.config.vectors_config import FastTextConfig
from seqlm.models.layers.sparse_rows import TermsByRow, bag_of_term, sum_rows
from seqlm.models.vectors.character_ngrams import ngrams_of
from seqlm.models.vectors.prediction import InputTable
from seqlm.models.vectors.word_vector_model import SparseGradient

WORDS_AT_ONCE = 1 << 12
"""Words whose vectors are computed together; it bounds memory and changes nothing."""


class SubwordTable(InputTable):
    """Rows of words and of n-grams. `learn_words` gives the n-grams their rows."""

    row_of: Tensor
    ngrams: Tensor
    ends: Tensor

    def __init__(self, config: FastTextConfig) -> None:
        super().__init__(config.vocab_size + config.ngram_rows, config.width)
        self.table.data *= 2  # U(±1 / D), as in fastText
        self.config = config
        # The row of the n-grams in each bucket, 0 for none.
        self.register_buffer("row_of", torch.zeros(config.buckets, dtype=torch.int32))
        # (F,) the rows of the n-grams of each word, and (V,) where those of each word end.
        self.register_buffer("ngrams", torch.zeros(config.ngram_terms, dtype=torch.int32))
        self.register_buffer("ends", torch.zeros(config.vocab_size, dtype=torch.int64))

    def learn_words(self, buckets: np.ndarray, sizes: np.ndarray) -> None:
        """Takes the buckets (F,) of the n-grams of all words, of which each has `sizes` (V,)."""
        used = np.unique(buckets)
        first = self.config.vocab_size
        self.row_of[torch.from_numpy(used)] = torch.arange(
            first, first + len(used), dtype=torch.int32
        )
        self.ngrams.copy_(self.row_of[torch.from_numpy(buckets)])
        self.ends.copy_(torch.from_numpy(sizes.cumsum()))

    def check_tensors(self) -> None:
        """Errors: ModelError where rows are named that there are not."""
        ends, rows = self.ends, len(self.table)
        is_rising = ends.numel() == 0 or ((ends[:1] >= 0).all() and (ends.diff() >= 0).all())
        in_table = all(((t >= 0) & (t < rows)).all() for t in (self.row_of, self.ngrams))
        if not (is_rising and in_table and ends[-1:].sum() == len(self.ngrams)):
            raise ModelError("the n-grams of words name rows that the table does not have")

    def rows_of(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """words (r,) -> (f,) the rows of each, its own and those of its n-grams; and (r,) how many
        each has."""
        ends = self.ends[words]
        counts = ends - torch.where(words > 0, self.ends[(words - 1).clamp(min=0)], 0)
        sizes = counts + 1
        last = sizes.cumsum(0)
        starts = last - sizes
        # The n-grams of a word stand in a row, and its own row is put in front.
        shift = (ends - counts - 1 - starts).repeat_interleave(sizes)
        place = torch.arange(len(shift), device=words.device) + shift
        rows = self.ngrams[place.clamp_(min=0)].long() if len(self.ngrams) else place
        rows[starts] = words
        return rows, sizes

    def all_vectors(self) -> Tensor:
        words = torch.arange(self.config.vocab_size, device=self.table.device)
        return torch.cat([self.vectors(some) for some in words.split(WORDS_AT_ONCE)])

    def vectors(self, words: Tensor) -> Tensor:
        rows, sizes = self.rows_of(words)
        return sum_rows(self.table.detach(), rows, sizes) / sizes[:, None]

    def gradient(self, words: Tensor, values: Tensor, pairs: Tensor) -> SparseGradient:
        rows, sizes = self.rows_of(words)
        by_row = TermsByRow.of(rows)
        source = bag_of_term(sizes).index_select(0, by_row.order)
        weights = sum_rows(pairs[:, None], source, by_row.sizes)[:, 0]
        return SparseGradient(by_row.rows, sum_rows(values, source, by_row.sizes), weights)

    def compose(self, words: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """(N,) bool, which of `words` have an n-gram with a row; and the vectors of these, (n, D)
        float32, each a mean over its n-grams."""
        buckets, sizes = ngram_buckets(words, self.config)
        rows = self.row_of[torch.from_numpy(buckets)].long()
        is_trained = rows > 0
        word = torch.from_numpy(np.repeat(np.arange(len(words)), sizes))[is_trained]
        trained = torch.bincount(word, minlength=len(words))
        found = trained > 0
        sums = sum_rows(self.table.detach(), rows[is_trained], trained[found])
        return found.numpy(), (sums / trained[found][:, None]).numpy()


def ngram_buckets(words: Sequence[bytes], config: FastTextConfig) -> tuple[np.ndarray, np.ndarray]:
    """(F,) int64 the buckets of the n-grams of `words`, and (N,) how many each word has."""
    ngrams = ngrams_of(words, config.ngram_min, config.ngram_max)
    return (ngrams.hashes % np.uint32(config.buckets)).astype(np.int64), ngrams.sizes
