"""Contextual vectors: the states of a language model as features of the words of a sentence.

    x_0 = </s>, x_1 .. x_T    a sentence, in the order in which the model reads it
    h_t^k                     what layer k makes of x_t after x_0 .. x_{t-1}; h^0 is the embedding
    v_w^k = h_t^k             the vector of word w, of which x_t is the piece that is read last;
                              or that of the first piece, or the mean over its pieces

A forward model knows of a word and what is before it, a backward model of a word and what comes
after. The two side by side are the features of ELMo (Peters et al. 2018) and, where they read
characters, those of Akbik et al. (2018).

Every sentence is read afresh, its words with one space between them. A model with a context length
W reads a longer one in windows that overlap by half, as `models/wrappers/sliding_window.py` does.

    B rows · T tokens of the longest · R words · K layers · D_k width of layer k
    M tokens of all sentences · N tokens whose vectors are wanted · P windows
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
import torch

from seqlm.errors import DataError, ModelError
from seqlm.models.base import LanguageNetwork
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.text.bitext import batch_boundaries
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED, UNK

Pieces = Literal["last", "first", "mean"]
"""Which pieces of a word make its vector, in the order in which they are read."""
POSITIONS = 1 << 11
"""Tokens that are read at once, in all rows together: bounds memory, changes nothing."""


class ContextualVectors:
    """Makes the vectors of words by one language model."""

    def __init__(self, loaded: LoadedModel, pieces: Pieces = "last") -> None:
        """Errors: ModelError where the model is no network."""
        if not isinstance(loaded.model, LanguageNetwork):
            raise ModelError(f"{loaded.path} has no vectors: it is no neural language model")
        self.network, self.tokenizer, self.pieces = loaded.model, loaded.tokenizer, pieces

    @cached_property
    def layer_widths(self) -> list[int]:
        """(K,) the widths D_k, that of the embedding first."""
        eos = torch.full((1, 1), EOS, device=self.network.device)
        with torch.inference_mode():
            outputs = self.network.layer_outputs(eos, self.network.initial_cache(1))
        return [output.shape[2] for output in outputs]

    @torch.inference_mode()
    def embed(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """(words, K, D) float32 for each sentence, which is a list of words: the vectors of all
        layers, those narrower than the widest, D, filled up with zeros.

        A word that the model cannot read, such as `</s>` among words, is read as `<unk>`, and one
        of which no piece is left, such as an empty one, has the vector of what was read before it.
        """
        if not sentences:
            return []
        tokens, words = encode_sentences(self.tokenizer, sentences)
        if self.pieces == "mean":
            vectors = mean_over_words(self.read(tokens, words.all()), words)
        else:
            vectors = self.read(tokens, words.first if self.pieces == "first" else words.last)
        return np.split(vectors, np.cumsum([len(sentence) for sentence in sentences])[:-1])

    def read(self, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """(N, K, D) float32, what the layers make of those of the tokens (M,) at `place` (N,)."""
        windows = find_windows(tokens, self.network.context_length)
        window_of = np.searchsorted(windows.first, place, side="right") - 1  # (N,)
        wanted_of = split_by(window_of, len(windows.start))
        widths = self.layer_widths
        vectors = np.zeros((len(place), len(widths), max(widths)), np.float32)  # (N, K, D)
        for group in windows.batches():
            wanted = np.concatenate([wanted_of[number] for number in group])
            rows = np.repeat(np.arange(len(group)), [len(wanted_of[number]) for number in group])
            columns = place[wanted] - windows.start[window_of[wanted]]
            batch = torch.from_numpy(windows.rows(tokens, group)).to(self.network.device)
            cache = self.network.initial_cache(len(group))
            for layer, output in enumerate(self.network.layer_outputs(batch, cache)):
                chosen = output[rows, columns]  # (those of the batch, D_k)
                vectors[wanted, layer, : widths[layer]] = chosen.float().cpu().numpy()
        return vectors


def split_by(number: np.ndarray, count: int) -> list[np.ndarray]:
    """The positions in `number` (N,) of each of the numbers 0, .., `count` - 1."""
    order = np.argsort(number, kind="stable")
    return np.split(order, np.searchsorted(number[order], np.arange(1, count)))


# ------------------------------------------------------------------------------ words and pieces


class WordPlaces(NamedTuple):
    """The places of the pieces of each word among the tokens."""

    first: np.ndarray  # (R,) int64, of the piece that is read first
    last: np.ndarray  # (R,)

    @property
    def counts(self) -> np.ndarray:
        """(R,) how many pieces each word has."""
        return np.asarray(self.last - self.first + 1)

    def all(self) -> np.ndarray:
        """(N,) the places of all pieces, those of one word after those of the word before it."""
        within = np.arange(self.counts.sum()) - np.repeat(starts_of(self.counts), self.counts)
        return np.asarray(np.repeat(self.first, self.counts) + within)


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Where each part begins of a sequence of parts that have so many elements."""
    return np.asarray(np.cumsum(counts) - counts)


def mean_over_words(vectors: np.ndarray, words: WordPlaces) -> np.ndarray:
    """(R, K, D) the means of the vectors (N, K, D) of all pieces of each word."""
    if not len(vectors):
        return vectors
    sums = np.add.reduceat(vectors, starts_of(words.counts))
    return np.asarray(sums / words.counts[:, None, None].astype(np.float32))


def encode_sentences(
    tokenizer: Tokenizer, sentences: Sequence[Sequence[str]]
) -> tuple[np.ndarray, WordPlaces]:
    """(M,) int64, the tokens of all sentences, each after a `</s>`; and where the words are."""
    # A word is one part of one line, whatever it holds, and half a surrogate pair is no character.
    spelled = [
        [word.encode(errors="replace").replace(b"\n", b" ") for word in sentence]
        for sentence in sentences
    ]
    try:
        return lay_out(tokenizer, spelled)
    except DataError:
        words = set(chain.from_iterable(spelled))
        unreadable = {word for word in words if not is_readable(tokenizer, word)}
        known = [
            [RESERVED[UNK] if word in unreadable else word for word in sentence]
            for sentence in spelled
        ]
        return lay_out(tokenizer, known)


def is_readable(tokenizer: Tokenizer, word: bytes) -> bool:
    try:
        tokenizer.encode(Block(word + b"\n", "the words", 1))
        return True
    except DataError:
        return False


def lay_out(
    tokenizer: Tokenizer, sentences: Sequence[Sequence[bytes]]
) -> tuple[np.ndarray, WordPlaces]:
    """As `encode_sentences`. Errors: DataError where the tokenizer refuses a word."""
    data = b"".join(b" ".join(sentence) + b"\n" for sentence in sentences)
    block = Block(data, "the words", 1)
    ids = tokenizer.encode(block)
    spans = tokenizer.token_spans(block, ids)
    # Every word has a byte of white space after it, and an empty sentence has nothing but that.
    counts = np.array([len(sentence) for sentence in sentences], np.int64)
    lengths = np.array([len(word) for sentence in sentences for word in sentence], np.int64)
    ends = np.cumsum(lengths + 1) - 1 + np.repeat(np.cumsum(counts == 0), counts)  # (R,)
    word_of = np.searchsorted(ends, spans.start, side="right")  # (N,) of each token
    starts = np.append(ends - lengths, len(data))[word_of]
    in_word = np.flatnonzero((ids != EOS) & (spans.start + spans.length > starts))

    tokens = np.insert(ids[:-1], 0, EOS).astype(np.int64)  # each `</s>` precedes the next sentence
    bos = np.flatnonzero(tokens == EOS)
    last = np.repeat(bos, counts)  # (R,)
    first = np.full_like(last, len(tokens))
    np.maximum.at(last, word_of[in_word], in_word + 1)
    np.minimum.at(first, word_of[in_word], in_word + 1)
    # A word without pieces has the place of the word that is read before it.
    order = np.arange(len(last))
    if tokenizer.is_backward:
        order = np.repeat(2 * starts_of(counts) + counts - 1, counts) - order
    last[order] = np.maximum.accumulate(last[order])
    return tokens, WordPlaces(np.minimum(first, last), last)


# ---------------------------------------------------------------------------------------- windows


class Windows(NamedTuple):
    """Parts of the tokens that are read each on its own: sentences, or windows of long ones."""

    start: np.ndarray  # (P,)
    end: np.ndarray  # (P,)
    first: np.ndarray  # (P,) rising: the first token whose vectors come from this window

    def batches(self) -> list[np.ndarray]:
        """The numbers of the windows of each batch, which are of similar lengths."""
        lengths = self.end - self.start
        by_length = np.argsort(lengths, kind="stable")
        positions = max(POSITIONS, int(lengths.max()))
        cuts = batch_boundaries(lengths[by_length].tolist(), positions)
        return np.split(by_length, cuts[1:-1])

    def rows(self, tokens: np.ndarray, group: np.ndarray) -> np.ndarray:
        """(B, T) the tokens of the windows `group` (B,), and anything after the end of each."""
        width = int((self.end - self.start)[group].max())
        columns = self.start[group][:, None] + np.arange(width)  # (B, T)
        rows: np.ndarray = tokens[np.minimum(columns, len(tokens) - 1)]
        return rows


def find_windows(tokens: np.ndarray, context_length: int | None) -> Windows:
    """The windows of `tokens` (M,), which begin with `</s>` and have one before each sentence."""
    start = np.flatnonzero(tokens == EOS)
    end = np.append(start[1:], len(tokens))
    if context_length is None or (end - start).max() <= context_length:
        return Windows(start, end, start)
    stride = max(1, context_length // 2)
    windows = []
    for sentence_start, sentence_end in zip(start.tolist(), end.tolist()):
        at = sentence_start
        windows.append((at, min(at + context_length, sentence_end), at))
        while at + context_length < sentence_end:
            at += stride
            before = at + context_length - stride  # what the window before it has reached
            windows.append((at, min(at + context_length, sentence_end), before))
    return Windows(*np.array(windows, np.int64).reshape(-1, 3).T)
