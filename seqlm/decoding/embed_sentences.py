"""Sentences to the vectors of their words, from one model or from several side by side.

    e_w = [e_w^1; e_w^2; ..]      of each model (`word_embedders.py`)
    e   = mean of e_w             of a sentence

Sentences are read in groups of those that are there. What a word is given does not depend on the
sentences beside its own.

    W words of a sentence · D width of e
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.decoding.word_embedders import WordEmbedder
from seqlm.errors import DataError
from seqlm.text.labeled.record import words_of
from seqlm.text.reading import read_blocks

WORDS_AT_ONCE = 1 << 12
"""Words of the sentences that are read together; it bounds memory and changes nothing."""


class EmbeddedSentence(NamedTuple):
    """A sentence, and the vectors of its words."""

    words: Sequence[str]
    vectors: np.ndarray  # (W, D) float32

    def mean(self) -> np.ndarray:
        """(D,) the vector of the sentence; zeros if it has no words."""
        return np.asarray(self.vectors.sum(0) / np.float32(max(1, len(self.words))))


def read_sentences(sources: Sequence[str], errors: str = "strict") -> Iterator[list[list[str]]]:
    """The words of the lines of all `sources`: lists of the sentences that are there, without
    waiting for more. Errors: as `read_blocks`; DataError on a line that is no sentence any more."""
    for block in read_blocks(sources, errors, eager=True):
        if not block.data.endswith(b"\n"):
            raise DataError(f"{block.file}, line {block.line}: the line is too long for a sentence")
        yield [words_of(line) for line in block.data[:-1].decode().split("\n")]


def split_sentences(sentences: Iterable[str | Sequence[str]]) -> list[list[str]]:
    """The words of each sentence, which is a text, or a list of words already."""
    return [words_of(each) if isinstance(each, str) else list(each) for each in sentences]


def embed_sentences(
    embedders: Sequence[WordEmbedder], groups: Iterable[Sequence[Sequence[str]]]
) -> Iterator[EmbeddedSentence]:
    """One for each sentence of the `groups`, in order, as soon as its group is read."""
    for group in groups:
        for part in split_by_words(group):
            of_models = [embedder.embed(part) for embedder in embedders]
            for words, *arrays in zip(part, *of_models):
                yield EmbeddedSentence(words, np.concatenate(arrays, 1))


def split_by_words(sentences: Sequence[Sequence[str]]) -> Iterator[Sequence[Sequence[str]]]:
    """Parts with at most WORDS_AT_ONCE words, or with one sentence."""
    start, words = 0, 0
    for number, sentence in enumerate(sentences):
        if words + len(sentence) > WORDS_AT_ONCE and number > start:
            yield sentences[start:number]
            start, words = number, 0
        words += len(sentence)
    if start < len(sentences):
        yield sentences[start:]
