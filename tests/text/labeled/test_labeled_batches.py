"""Batches of sentences against a slow way that makes each row by itself."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text.labeled.labeled_batches import (
    EncodedSentences,
    LabeledBatch,
    LabeledBatches,
    batch_at,
)
from seqlm.text.labeled.word_forms import FormTable

FORMS, CPU = 20, torch.device("cpu")
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=30)


def encoded(lengths: list[int], of_texts: bool = False, columns: int = 2) -> EncodedSentences:
    """Sentences of which each token and each label is another number, so that they can be told
    apart."""
    rng = np.random.default_rng(1)
    tokens = sum(lengths)
    spelled = rng.integers(2, 8, FORMS)
    characters = np.where(np.arange(7) < spelled[:, None], 4 + np.arange(FORMS)[:, None], 0)
    table = FormTable(
        words=100 + np.arange(FORMS),
        characters=characters,
        spelled=spelled,
        affixes=200 + np.arange(FORMS)[:, None] * [1, 2],
        casing=np.arange(FORMS) % 7,
    )
    rows = len(lengths) if of_texts else tokens
    return EncodedSentences(
        table,
        form_of=rng.integers(0, FORMS, tokens),
        lengths=np.array(lengths),
        columns=np.arange(tokens)[:, None] * np.arange(1, columns + 1),
        labels=np.arange(rows)[:, None] + [1000, 2000],
        contextual=(rng.normal(size=(tokens, 3, 4)), rng.normal(size=(tokens, 1, 2))),
    )


def check_row(sentences: EncodedSentences, batch: LabeledBatch, row: int, number: int) -> None:
    """A row of a batch is the sentence with this number, token by token."""
    start, length = sentences.starts[number], sentences.lengths[number]
    table = sentences.table
    assert batch.lengths[row] == length
    for t in range(length):
        token = start + t
        form, in_batch = sentences.form_of[token], batch.form_of[row, t]
        assert batch.words[in_batch] == table.words[form]
        spelling = batch.characters[in_batch]
        assert (
            spelling[spelling > 0].tolist()
            == table.characters[form][: table.spelled[form]].tolist()
        )
        assert batch.affixes[in_batch].tolist() == table.affixes[form].tolist()
        assert batch.casing[in_batch] == table.casing[form]
        assert batch.columns[row, t].tolist() == sentences.columns[token].tolist()
        for vectors, all_vectors in zip(batch.contextual, sentences.contextual, strict=True):
            assert np.array_equal(vectors[row, t].numpy(), all_vectors[token])
        if not sentences.labels_texts:
            assert batch.labels[row, t].tolist() == sentences.labels[token].tolist()
    if sentences.labels_texts:
        assert batch.labels[row].tolist() == [sentences.labels[number].tolist()]
    else:
        assert (batch.labels[row, length:] == -1).all()


def check(sentences: EncodedSentences, batch: LabeledBatch, rows: list[int]) -> None:
    longest = max(sentences.lengths[row] for row in rows)
    assert batch.form_of.shape == batch.columns.shape[:2] == (len(rows), longest)
    assert batch.labels.shape == (len(rows), 1 if sentences.labels_texts else longest, 2)
    targets = len(rows) if sentences.labels_texts else sum(sentences.lengths[rows])
    assert batch.num_targets == targets
    for row, number in enumerate(rows):
        check_row(sentences, batch, row, number)
    # Each form is there once, and none that no token has; the table is as wide as the longest.
    assert len(set(batch.words.tolist())) == len(batch.words)
    used = {int(form) for of_row, n in zip(batch.form_of, batch.lengths) for form in of_row[:n]}
    assert used == set(range(len(batch.words)))
    assert (batch.characters > 0).sum(1).max() == batch.characters.shape[1]


@pytest.mark.parametrize("of_texts", [False, True])
@given(lengths=LENGTHS, data=st.data())
def test_a_batch_has_its_sentences(of_texts: bool, lengths: list[int], data: Any) -> None:
    lengths = lengths if not of_texts else [*lengths, 2]  # so that some text has two words
    sentences = encoded(lengths, of_texts)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6))
    index = np.array(rows)
    batch = batch_at(sentences, index, sentences.starts[index], sentences.lengths[index], "cpu")
    check(sentences, batch, rows)


@given(lengths=LENGTHS, size=st.integers(1, 7), seed=st.integers(0, 2**63 - 1))
def test_an_epoch_has_every_sentence_once(lengths: list[int], size: int, seed: int) -> None:
    sentences = encoded(lengths)
    batches = LabeledBatches(sentences, size, seed, CPU)
    for number in range(2):
        epoch = batches.epoch(number)
        assert len(epoch) == len(batches) == -(-len(lengths) // size)
        rows = [group.tolist() for group in epoch.groups]  # type: ignore[attr-defined]
        assert sorted(chain.from_iterable(rows)) == list(range(len(lengths)))
        assert sorted(map(len, rows), reverse=True)[:-1] == [size] * (len(rows) - 1)
        for batch, of_batch in zip(epoch, rows):
            check(sentences, batch, of_batch)
        # Of similar length: no batch has a sentence between the lengths of another's.
        spans = sorted((min(part), max(part)) for part in ([lengths[r] for r in g] for g in rows))
        assert all(longest <= shortest for (_, longest), (shortest, _) in pairwise(spans))


def test_the_order_is_of_the_seed_and_the_epoch() -> None:
    sentences = encoded([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5] * 5)

    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = LabeledBatches(sentences, 4, seed, CPU)
        return [group.tolist() for group in batches.epoch(epoch).groups]  # type: ignore[attr-defined]

    assert order(1, 0) == order(1, 0)
    assert len({str(order(seed, epoch)) for seed in (0, 1, 2) for epoch in range(3)}) == 9
    lengths = [sentences.lengths[group].max() for group in order(1, 0)]
    assert lengths != sorted(lengths)


def test_texts_of_one_word_are_texts() -> None:
    """Then there are as many labels as tokens, whatever they belong to."""
    sentences = encoded([1, 1, 1], of_texts=True)
    batch = LabeledBatches(sentences, 3, 1, CPU).epoch(0)[0]
    assert batch.labels.shape == (3, 1, 2)
    assert batch.num_targets == 3
