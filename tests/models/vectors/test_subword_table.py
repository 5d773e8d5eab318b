"""Vectors that are means over n-grams, against loops over the n-grams of each word."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import torch

from seqlm.models.config.vectors_config import FastTextConfig
from seqlm.models.vectors import subword_table
from seqlm.models.vectors.fasttext import FastText
from tests.models.vectors.test_character_ngrams import hash_slowly, ngrams_slowly

WORDS = ["<unk>", "</s>", "the", "frog", "frogs", "a", "café", "中文", "frog-pond"]
"""The first two are reserved, and have no n-grams."""
D = 3


class Made(NamedTuple):
    model: FastText
    bucket_of: dict[str, list[int]]
    """The buckets of the n-grams of each word, by the slow loops."""


@pytest.fixture(params=[5, 1000], ids=["5 buckets", "1000 buckets"])
def made(request: pytest.FixtureRequest) -> Made:
    buckets = request.param
    config = FastTextConfig(len(WORDS), width=D, buckets=buckets, ngram_min=3, ngram_max=5)
    model = FastText(config)
    model.learn_from(np.arange(1, len(WORDS) + 1), [word.encode() for word in WORDS])
    torch.manual_seed(1)
    with torch.no_grad():
        for table in model.parameters():
            table.uniform_(-1, 1)
    bucket_of = {word: slow_buckets(word, buckets) for word in WORDS[2:]}
    return Made(model.double(), {"<unk>": [], "</s>": [], **bucket_of})


def slow_buckets(word: str, buckets: int) -> list[int]:
    return [hash_slowly(ngram) % buckets for ngram in ngrams_slowly(word, 3, 5)]


def rows_of(made: Made, word: str) -> list[int]:
    """The rows of a word: its own, and one for each bucket of its n-grams, by rising buckets."""
    used = sorted({bucket for each in made.bucket_of.values() for bucket in each})
    number = {bucket: len(WORDS) + place for place, bucket in enumerate(used)}
    return [WORDS.index(word), *(number[bucket] for bucket in made.bucket_of[word])]


def test_a_bucket_has_a_row_where_a_word_has_an_ngram_in_it(made: Made) -> None:
    used = {bucket for each in made.bucket_of.values() for bucket in each}
    table = made.model.inputs.table
    assert table.shape == (len(WORDS) + len(used), D)
    is_used = made.model.inputs.row_of > 0
    assert is_used.nonzero()[:, 0].tolist() == sorted(used)


@pytest.mark.parametrize("at_once", [2, 100])
def test_a_vector_is_the_mean_over_a_word_and_its_ngrams(
    at_once: int, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subword_table, "WORDS_AT_ONCE", at_once)
    table = made.model.inputs.table.detach()
    expected = torch.stack([table[rows_of(made, word)].mean(0) for word in WORDS])
    torch.testing.assert_close(made.model.word_vectors(), expected)
    some = torch.tensor([3, 8, 5])
    torch.testing.assert_close(made.model.inputs.vectors(some), expected[some])


@pytest.mark.parametrize("words", [[3], [0, 2, 3, 4, 8], [5, 6], [1]], ids=str)
def test_each_row_gets_the_gradient_of_the_vector_as_it_is(words: list[int], made: Made) -> None:
    g, pairs = torch.randn(len(words), D).double(), torch.rand(len(words)).double()
    expected = torch.zeros_like(made.model.inputs.table)
    weights: Counter[int] = Counter()
    for word, slope, m in zip(words, g, pairs.tolist()):
        for row in rows_of(made, WORDS[word]):
            expected[row] += slope
            weights[row] += m
    found = made.model.inputs.gradient(torch.tensor(words), g, pairs)
    dense = torch.zeros_like(expected).index_add_(0, found.rows, found.values)
    torch.testing.assert_close(dense, expected)
    assert found.rows.tolist() == sorted(weights)
    assert found.pairs.tolist() == pytest.approx([weights[row] for row in sorted(weights)])


def test_a_word_that_was_never_seen_is_made_of_the_ngrams_that_were(made: Made) -> None:
    table, buckets = made.model.inputs.table.detach(), made.model.config.buckets
    used = {bucket: len(WORDS) + place for place, bucket in enumerate(
        sorted({bucket for each in made.bucket_of.values() for bucket in each}))}  # fmt: skip
    asked, expected = ["froggy", "", "zzzzzz", "frog", "frogs"], {}
    for word in asked:
        rows = [used[bucket] for bucket in slow_buckets(word, buckets) if bucket in used]
        if rows:
            expected[word] = table[rows].mean(0)
    words, vectors = made.model.compose(asked)
    assert words == list(expected)
    assert "froggy" in words
    assert "" not in words
    torch.testing.assert_close(torch.from_numpy(vectors), torch.stack([*expected.values()]))
    nothing, none = made.model.compose([""])
    assert (nothing, none.shape) == ([], (0, D))


def test_a_loaded_model_composes_the_same(made: Made) -> None:
    model = made.model.float()
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    loaded = FastText.from_tensors(model.settings(), tensors)
    loaded.check_tensors()
    assert torch.equal(loaded.word_vectors(), model.word_vectors())
    ours, theirs = (each.compose(["froggy", "tree"]) for each in (model, loaded))
    assert ours[0] == theirs[0]
    np.testing.assert_array_equal(ours[1], theirs[1])
