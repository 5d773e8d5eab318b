"""Positive pointwise mutual information against its formula, pair by pair."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch

from seqlm.counting.cooccurrences.cooccurrences import Cooccurrences
from seqlm.counting.cooccurrences.count_cooccurrences import count_cooccurrences
from seqlm.counting.cooccurrences.ppmi import WholeMatrix, ppmi
from seqlm.machine.memory import Memory
from seqlm.models.vectors.sparse_matrix import SparseMatrix
from seqlm.text.vocabulary import EOS

V = 30


@pytest.fixture(scope="module")
def counts() -> Cooccurrences:
    rng = np.random.default_rng(1)
    ids = (1 + (V - 2) * rng.random(2000) ** 2).astype(np.int32)  # the last word never occurs
    return count_cooccurrences(np.append(ids, EOS).astype(np.int32), V, 3, "dynamic")


def as_dense(matrix: SparseMatrix) -> np.ndarray:
    dense = np.zeros((V, V))
    rows = np.repeat(np.arange(V), matrix.first.diff().numpy())
    dense[rows, matrix.columns.numpy()] = matrix.values.numpy()
    return dense


@pytest.mark.parametrize("shift", [1.0, 2.5])
@pytest.mark.parametrize("smoothing", [1.0, 0.75, 0.0])
def test_numbers_are_the_formula_s(counts: Cooccurrences, shift: float, smoothing: float) -> None:
    x = np.zeros((V, V))
    for rows, columns, values in counts.blocks():
        x[rows, columns] = values
    n = x.sum()
    expected = np.zeros((V, V))
    contexts = [c**smoothing if c else 0 for c in x.sum(0)]
    for i in range(V):
        for j in range(V):
            if x[i, j]:
                by_chance = x[i].sum() / n * contexts[j] / sum(contexts)
                expected[i, j] = max(0, log(x[i, j] / n / by_chance) - log(shift))
    matrix, transpose = ppmi(counts, shift, smoothing)
    np.testing.assert_allclose(as_dense(matrix), expected, atol=1e-6)
    np.testing.assert_allclose(as_dense(transpose), expected.T, atol=1e-6)
    assert (matrix.values > 0).all()
    assert 0 < len(matrix.values) < len(counts.columns)


def test_a_matrix_on_disk_is_the_same(
    counts: Cooccurrences, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = ppmi(counts, 1.0, 0.75)
    monkeypatch.setattr("seqlm.counting.cooccurrences.cooccurrences.BLOCK", 20)
    on_disk = ppmi(counts, 1.0, 0.75, Memory(1 << 40))
    for one, other in zip(in_memory, on_disk, strict=True):
        assert all(map(torch.equal, one, other))


def test_an_epoch_is_the_whole_matrix(counts: Cooccurrences) -> None:
    matrix = ppmi(counts, 1.0, 0.75)
    batches = WholeMatrix(matrix)
    assert len(batches) == len(batches.epoch(3)) == 1
    assert batches.epoch(3)[0].num_targets == len(matrix.matrix.values)
