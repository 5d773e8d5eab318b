"""Positive pointwise mutual information: how much more often than by chance two words are near.

    PMI_ij = log( P(i, j) / (P(i) P_a(j)) )         M_ij = max(0, PMI_ij - log k)

    P(i, j) = X_ij / N      N = sum_ij X_ij      X_ij   see `cooccurrences.py`
    P(i)    = X_i / N                            X_i    = sum_j X_ij
    P_a(j)  = X_j^a / sum_j' X_j'^a              a      the smoothing of contexts

Levy & Goldberg (2014) show that skip-gram with k negative samples factorizes PMI - log k. Levy,
Goldberg & Dagan (2015, section 3) bring a, 0.75, over from its noise words: without it the rarest
contexts have the highest PMI. Pairs that do not occur, whose PMI is minus infinity, are 0 in M.

V vocabulary · U pairs that occur
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from seqlm.counting.cooccurrences.cooccurrences import UNITS, Cooccurrences
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.models.ngram.ngram_order import segment_sum
from seqlm.models.vectors.sparse_matrix import MatrixAndTranspose, SparseMatrix


class WholeMatrix:
    """Batches of which there is one in each epoch: the matrix."""

    rows, unit = 1, "pairs"

    def __init__(self, matrix: MatrixAndTranspose) -> None:
        self.matrix = matrix

    def __len__(self) -> int:
        return 1

    def epoch(self, number: int) -> Sequence[MatrixAndTranspose]:
        return [self.matrix]


def ppmi(
    counts: Cooccurrences, shift: float, smoothing: float, memory: Memory = IN_MEMORY
) -> MatrixAndTranspose:
    """M, of co-occurrences in windows to both sides; `shift` is k, `smoothing` a."""
    x = segment_sum(counts.sums, counts.first) / UNITS  # (V,) X_i, which is X_j, too
    log_x = np.log(x, where=x > 0, out=np.zeros(len(x)))
    of_word = log_x + math.log(shift)
    of_context = smoothing * log_x - math.log(np.exp(smoothing * log_x[x > 0]).sum())
    return MatrixAndTranspose(
        positive_part(counts, of_word, of_context, memory),
        positive_part(counts, of_context, of_word, memory),
    )


def positive_part(
    counts: Cooccurrences, of_row: np.ndarray, of_column: np.ndarray, memory: Memory
) -> SparseMatrix:
    """max(0, log X_ij - of_row_i - of_column_j), with one number (V,) for each row and column."""
    size = len(counts.columns)
    columns, values = memory.empty(size, np.int32), memory.empty(size, np.float32)
    sizes, done = np.zeros(len(of_row), np.int64), 0
    for rows, block_columns, x in counts.blocks():
        i, j = rows.numpy(), block_columns.numpy()
        m = np.log(x.numpy()) - of_row[i] - of_column[j]
        is_positive = m > 0
        sizes += np.bincount(i[is_positive], minlength=len(sizes))
        part = slice(done, done + int(is_positive.sum()))
        columns[part], values[part] = j[is_positive], m[is_positive]
        done = part.stop
        memory.release_pages()
    first = np.append(0, sizes.cumsum())
    return SparseMatrix(*map(torch.from_numpy, (first, columns[:done], values[:done])))
