"""The bag of n-grams against plain indexing and autograd, text by text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.config.bag_of_ngrams_config import BagOfNgramsConfig
from seqlm.models.labeling.bag_of_ngrams import BagOfNgrams
from seqlm.models.labeling.outputs.hierarchical_softmax import HierarchicalSoftmax
from seqlm.text.labeled.labeled_batches import EncodedSentences, LabeledBatch, batch_at
from seqlm.text.labeled.ngram_hashing import bags_of_ngrams
from seqlm.text.labeled.word_forms import FormTable

V, BUCKETS, D = 6, 10**5, 3
CONFIG = BagOfNgramsConfig(
    vocab_size=V, label_types=(3,), character_types=0, affix_types=(), column_types=(),
    contextual_widths=(), width=D, ngrams=3, ngram_min_count=2, buckets=BUCKETS,
)  # fmt: skip
TRAIN = [[1, 2, 3], [1, 2], [2, 3, 1, 2], [5], [2, 3, 5, 5]]
FREQUENT = {(1, 2), (2, 3)}
"""The n-grams of 2 and 3 words that occur there twice or more often."""
TEXTS = st.lists(st.lists(st.integers(0, V - 1), min_size=1, max_size=6), min_size=1, max_size=5)


def encoded(texts: list[list[int]], labels: list[int] | None = None) -> EncodedSentences:
    """Texts whose forms are their words."""
    nothing = np.zeros((V, 0), np.int64)
    table = FormTable(np.arange(V), nothing, np.zeros(V, np.int64), nothing, np.zeros(V, np.int64))
    words = np.array([word for text in texts for word in text])
    lengths = np.array([len(text) for text in texts])
    columns = np.zeros((len(words), 0), np.int64)
    return EncodedSentences(
        table, words, lengths, columns, np.array(labels or [0] * len(texts))[:, None]
    )


def batch(texts: list[list[int]], labels: list[int] | None = None) -> LabeledBatch:
    sentences = encoded(texts, labels)
    rows = np.arange(len(texts))
    return batch_at(sentences, rows, sentences.starts, sentences.lengths, "cpu")


def make(config: BagOfNgramsConfig = CONFIG) -> BagOfNgrams:
    torch.manual_seed(1)
    model = BagOfNgrams(config)
    model.learn_from(encoded(TRAIN, [0, 0, 0, 1, 2]))
    return model.double()


def rows_of(text: list[int], frequent: list[tuple[int, ...]]) -> list[int]:
    ngrams = [tuple(text[i : i + n]) for n in (2, 3) for i in range(len(text) - n + 1)]
    return text + [
        V + (frequent.index(ngram) if ngram in frequent else len(frequent)) for ngram in ngrams
    ]


def bucket_of(ngram: tuple[int, ...]) -> int:
    features = bags_of_ngrams(np.array(ngram), np.array([len(ngram)]), V, 3, BUCKETS).features
    return int(features[-1])


@given(TEXTS)
def test_features_and_gradient_are_those_of_a_slow_loop(texts):
    model = make()
    frequent = sorted(FREQUENT, key=bucket_of)
    weight = torch.randn(len(texts), D, dtype=torch.float64)
    found = model.encode(batch(texts))[:, 0]
    expected = torch.stack([model.embedding[rows_of(text, frequent)].mean(0) for text in texts])
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad((found * weight).sum(), model.embedding)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), model.embedding)
    torch.testing.assert_close(gradient.to_dense(), expected_gradient)


def test_there_is_a_row_for_each_word_and_frequent_ngram_and_one_for_others():
    assert make().config.ngram_types == len(FREQUENT)
    assert len(make().embedding) == V + len(FREQUENT) + 1
    once = make(replace(CONFIG, ngram_min_count=1))
    different = {tuple(t[i : i + n]) for t in TRAIN for n in (2, 3) for i in range(len(t) - n + 1)}
    assert once.config.ngram_types == len(different)


def test_the_gradient_has_the_rows_of_the_batch_alone():
    model = make()
    model.loss(batch([[1, 2, 1], [4, 4]])).backward()
    gradient = model.embedding.grad
    assert gradient.is_sparse
    first = V + sorted(FREQUENT, key=bucket_of).index((1, 2))
    assert gradient._indices().tolist() == [[1, 2, 4, first, V + 2]]


def test_a_text_changes_nothing_of_another():
    model = make()
    texts = [[1, 2, 3], [4], [4, 4, 0, 1]]
    together = model.encode(batch(texts))
    for text, features in zip(texts, together):
        assert torch.equal(model.encode(batch([text]))[0], features)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_a_model_of_its_settings_and_tensors_is_the_same(hierarchical):
    model = make(replace(CONFIG, hierarchical_softmax=hierarchical)).float()
    again = BagOfNgrams.from_tensors(model.settings(), model.state_dict())
    again.check_tensors()
    (a,), (b,) = model(batch(TRAIN)), again(batch(TRAIN))
    assert torch.equal(a.marginals(), b.marginals())


def test_the_tree_has_the_frequent_label_at_the_root():
    (output,) = make(replace(CONFIG, hierarchical_softmax=True)).outputs
    assert isinstance(output, HierarchicalSoftmax)
    assert [len(output.paths(torch.tensor([label]))[0][0]) for label in range(3)] == [1, 2, 2]


def test_tensors_that_no_model_has_are_refused():
    model = make(replace(CONFIG, hierarchical_softmax=True))
    model.check_tensors()
    model.row_of[3] = len(model.embedding)
    with pytest.raises(ValueError, match="row_of"):
        model.check_tensors()
    model = make(replace(CONFIG, hierarchical_softmax=True))
    model.outputs[0].parent[0] = 0
    with pytest.raises(ValueError, match="tree"):
        model.check_tensors()
