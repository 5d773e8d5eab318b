"""Sentences in groups of bounded size, and the vectors of tables and of sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.decoding import embed_sentences as module
from seqlm.decoding.embed_sentences import embed_sentences, split_by_words


class Lengths:
    """Gives each word its length, and remembers how many words it was asked for at once."""

    width = 1

    def __init__(self) -> None:
        self.asked: list[int] = []

    def embed(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        self.asked.append(sum(map(len, sentences)))
        return [
            np.array([[len(word)] for word in words], np.float32).reshape(-1, 1)
            for words in sentences
        ]


@given(st.lists(st.lists(st.just("w"), max_size=5), max_size=12), st.integers(1, 7))
def test_parts_are_bounded_and_whole(sentences: list[list[str]], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WORDS_AT_ONCE", most)
        parts = list(split_by_words(sentences))
    assert [sentence for part in parts for sentence in part] == sentences
    for part in parts:
        assert part
        assert len(part) == 1 or sum(map(len, part)) <= most
    for part, following in pairwise(parts):
        assert sum(map(len, part)) + len(following[0]) > most


def test_sentences_are_read_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORDS_AT_ONCE", 4)
    embedder, groups_read = Lengths(), []

    def groups() -> Iterator[list[list[str]]]:
        for number in range(3):
            groups_read.append(number)
            yield [["a", "bcd"]] * 5

    embedded = embed_sentences([embedder, embedder], groups())
    first = next(embedded)
    assert first.words == ["a", "bcd"]
    assert first.vectors.tolist() == [[1, 1], [3, 3]]
    assert first.mean().tolist() == [2, 2]
    assert groups_read == [0]
    assert embedder.asked == [4, 4]
    assert len(list(embedded)) == 14
    assert max(embedder.asked) == 4


def test_a_sentence_without_words_has_zeros() -> None:
    (embedded,) = embed_sentences([Lengths()], [[[]]])
    assert embedded.vectors.shape == (0, 1)
    assert embedded.mean().tolist() == [0]
