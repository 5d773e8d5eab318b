"""What is read of a word, put together token by token."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from seqlm.models.labeling.word_features import LayerMix, WordFeatures
from seqlm.text.labeled.labeled_batches import LabeledBatch
from seqlm.text.vocabulary import UNK
from tests.contract.labelers import EVERYTHING, LENGTHS, batch_of, random_sentences, tagger

ROWS = list(range(len(LENGTHS)))


def build(**options: Any) -> tuple[WordFeatures, LabeledBatch]:
    """The features of a random tagger, and a batch of all its sentences."""
    labeler = tagger("ffnn", width=4, **options).build().double()
    return labeler.word_features, batch_of(random_sentences(labeler, LENGTHS), ROWS)


def slowly(features: WordFeatures, batch: LabeledBatch, row: int, t: int) -> Tensor:
    """x_t of one token."""
    form = batch.form_of[row, t]
    parts = [features.embedding[batch.words[form]]]
    if features.characters is not None:
        parts.append(features.characters(batch.characters[form : form + 1])[0])
    parts += [table[batch.affixes[form, k]] for k, table in enumerate(features.affixes)]
    if features.casing is not None:
        parts.append(features.casing[batch.casing[form]])
    parts += [table[batch.columns[row, t, k]] for k, table in enumerate(features.columns)]
    for mix, vectors in zip(features.mixes, batch.contextual):
        assert isinstance(mix, LayerMix)
        weights = [math.exp(m.item()) for m in mix.weights]
        layers = zip(weights, vectors[row, t])
        zeros = torch.zeros(vectors.shape[3]).double()
        parts.append(mix.scale * sum((m / sum(weights) * v for m, v in layers), zeros))
    return torch.cat(parts)


@pytest.mark.parametrize(
    "options",
    [
        {"characters": "none", "casing": False},
        {"characters": "none"},
        {"characters": "cnn", "casing": False},
        {"affix_types": (5, 4), "characters": "lstm"},
        {"column_types": (3, 4), "characters": "none", "casing": False},
        {"contextual_widths": (1, 5)},
        EVERYTHING,
    ],
    ids=lambda options: " ".join(options),
)
def test_the_vector_of_a_token_has_all_of_it(options: dict[str, Any]) -> None:
    features, batch = build(**options)
    x = features(batch)
    assert x.shape == (len(LENGTHS), max(LENGTHS), features.width)
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            torch.testing.assert_close(x[row, t], slowly(features, batch, row, t))


def test_a_mix_begins_as_the_mean_of_the_layers() -> None:
    vectors = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(LayerMix(4)(vectors), vectors.mean(2))


def test_dropped_words_are_unknown_and_spelled_as_before() -> None:
    """Each token by itself, not each form; and only in training."""
    features, batch = build(dropout_word=0.5)
    assert torch.equal(features(batch), features(batch))
    whole = features(batch)
    features.train()
    torch.manual_seed(1)
    x = features(batch)
    E = features.embedding.shape[1]
    assert torch.equal(x[..., E:], whole[..., E:])
    is_unknown = (x[..., :E] == features.embedding[UNK]).all(2)
    is_whole = (x[..., :E] == whole[..., :E]).all(2)
    assert (is_unknown | is_whole).all()
    was_known = batch.words[batch.form_of] != UNK
    dropped = is_unknown[was_known]
    assert 0.3 < dropped.double().mean() < 0.7
    forms = batch.form_of[was_known]
    assert any(len(set(dropped[forms == form].tolist())) == 2 for form in forms)


def test_frozen_vectors_have_no_gradient() -> None:
    features, batch = build(vectors_training="frozen")
    features(batch).sum().backward()
    assert features.embedding.grad is None
    assert not features.embedding.requires_grad
    assert features.casing is not None
    assert features.casing.grad is not None
