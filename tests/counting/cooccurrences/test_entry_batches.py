"""Batches of co-occurrences: every pair is in one, the same in every epoch and on disk."""

import numpy as np
import pytest
import torch

from seqlm.counting.cooccurrences.cooccurrences import Cooccurrences
from seqlm.counting.cooccurrences.count_cooccurrences import count_cooccurrences
from seqlm.counting.cooccurrences.entry_batches import EntryBatches
from seqlm.machine.memory import Memory
from seqlm.models.vectors.sparse_matrix import Entries
from seqlm.text.vocabulary import EOS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def counts() -> Cooccurrences:
    rng = np.random.default_rng(1)
    return count_cooccurrences(np.append(rng.integers(1, 60, 3000), EOS).astype(np.int32), 60, 4)


def triples(batches: list[Entries]) -> list[tuple[int, int, float]]:
    return [tuple(entry) for batch in batches for entry in zip(*(x.tolist() for x in batch))]


def test_every_pair_is_in_one_batch(counts: Cooccurrences) -> None:
    batches = EntryBatches(counts, 100, seed=1, device=CPU)
    epoch = list(batches.epoch(0))
    assert len(batches) == len(epoch) == round(len(counts.columns) / 100)
    expected = [(i, j, float(np.float32(x))) for i, j, x in triples(list(counts.blocks()))]
    assert sorted(triples(epoch)) == expected
    assert all(triples([batch]) == sorted(triples([batch])) for batch in epoch)
    assert sum(batch.num_targets for batch in epoch) == len(counts.columns)
    assert min(batch.num_targets for batch in epoch) > 50


def test_epochs_have_the_same_batches_in_other_orders(counts: Cooccurrences) -> None:
    batches = EntryBatches(counts, 100, seed=1, device=CPU)
    one, other = (list(map(triples, zip(batches.epoch(number)))) for number in (0, 1))
    assert one != other
    assert sorted(one) == sorted(other)
    assert one == list(map(triples, zip(batches.epoch(0))))


def test_the_seed_decides_and_the_place_does_not(
    counts: Cooccurrences, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqlm.counting.cooccurrences.cooccurrences.BLOCK", 64)
    one = triples(list(EntryBatches(counts, 100, 1, CPU).epoch(0)))
    on_disk = triples(list(EntryBatches(counts, 100, 1, CPU, Memory(1 << 40)).epoch(0)))
    assert one == on_disk
    assert one != triples(list(EntryBatches(counts, 100, 2, CPU).epoch(0)))


def test_no_batch_is_empty(counts: Cooccurrences) -> None:
    batches = EntryBatches(counts, 1, seed=1, device=CPU)
    epoch = list(batches.epoch(0))
    assert len(batches) == len(epoch) < len(counts.columns)
    assert min(batch.num_targets for batch in epoch) == 1
    assert sorted(triples(epoch)) == sorted(
        triples(list(EntryBatches(counts, 100, 1, CPU).epoch(0)))
    )


def test_one_batch_holds_few_pairs(counts: Cooccurrences) -> None:
    assert len(EntryBatches(counts, 10**9, 1, CPU)) == 1
    with pytest.raises(IndexError):
        EntryBatches(counts, 10**9, 1, CPU).epoch(0)[1]
