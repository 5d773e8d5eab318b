"""What all models share that learn word vectors by predicting the words nearby.

A batch is a stretch of text. Its words are few different ones, whose vectors are gathered once:

    tables     (V, D)  ->  the rows of the different words  (r, D)
    rows       (r, D)  ->  a row for each term              (F, D)   in pieces that fit the cache
    rows       (F, D)  ->  gradient of each term            (F, D)
    gradients  (F, D)  ->  those of the different words     (r, D)   `Terms.add`

A term is a use of a word: as a center, as a neighbor, as noise. Pieces are computed side by side,
each in one thread, and do not depend on how many threads there are; sums are taken in the order of
the terms. So the weights have the same bits with any number of threads.

    T words, in groups of G · w window · V vocabulary · D width
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.machine.threads import lasting_pool, one_thread
from seqlm.models.config.vectors_config import PredictionConfig
from seqlm.models.layers.sparse_rows import TermsByRow, sum_rows
from seqlm.models.vectors.noise import Noise
from seqlm.models.vectors.window import Window
from seqlm.models.vectors.word_vector_model import (
    SparseGradient,
    WordVectorModel,
    with_gradients,
)
from seqlm.text.vocabulary import RESERVED, UNK
from seqlm.text.word_batches import WordBatch

R = TypeVar("R")

PIECE = 1 << 11
"""Rows of a piece, about: those whose vectors fit into a core's cache."""
LOSS_WORDS = 1 << 9
"""Words of a batch, its first, whose loss is reported: logarithms would take long."""
FEWEST_THREADS = 3
"""Two threads lose more by waiting for each other, and for Python's lock, than they gain."""
GROUP = 64
"""G, words in a row that share their noise."""
NOISE_WORDS = 32
"""K, noise words that they share."""
TINY = 1e-37
"""Keeps the logarithm of a probability finite."""


class Stretch(NamedTuple):
    """The words of a batch, filled up to whole groups and blocks with words that are of no line."""

    words: Tensor  # (T + 2w,) int64, with w words to fill up on each side
    lines: Tensor  # (T + 2w,) int32

    @classmethod
    def of(cls, batch: WordBatch, window: Window) -> Stretch:
        number, unit = len(batch.words), unit_of(window)
        size = max(1, -(-number // unit)) * unit + 2 * window.size
        inner = slice(window.size, window.size + number)
        words = batch.words.new_full((size,), UNK)
        words[inner] = batch.words
        # Each is of a line of its own, so that it is nobody's neighbor.
        lines = torch.arange(-size, 0, dtype=torch.int32, device=batch.lines.device)
        lines[inner] = batch.lines
        return cls(words, lines)


def unit_of(window: Window) -> int:
    """The words that a batch and its pieces have a multiple of: whole groups and blocks."""
    return max(GROUP, window.block)


def noise_range(piece: slice, before: int = 0) -> slice:
    """Where the noise of a piece, which has whole groups, is among the noise words of a batch with
    so many other terms `before` them."""
    start, stop = (before + at // GROUP * NOISE_WORDS for at in (piece.start, piece.stop))
    return slice(start, stop)


def sum_logs(p: Tensor, weights: Tensor) -> Tensor:
    """(), the sum of weight · log p."""
    return (p.clamp(min=TINY).log_() * weights).sum()


class Terms(NamedTuple):
    """Uses of words, and the different words among them."""

    by_word: TermsByRow
    word_of: Tensor  # (F,) int64, for each term the place of its word among the different ones

    @classmethod
    def of(cls, words: Tensor) -> Terms:
        by_word = TermsByRow.of(words)
        begins = torch.zeros_like(words)
        begins[by_word.sizes[:-1].cumsum(0)] = 1
        word_of = torch.empty_like(words).scatter_(0, by_word.order, begins.cumsum(0))
        return cls(by_word, word_of)

    @property
    def words(self) -> Tensor:
        """(r,) the different words, rising."""
        return self.by_word.rows

    def add(self, values: Tensor, place: Tensor | None = None) -> Tensor:
        """(r, ..) the sums over the terms of each word; the value of term i is values[i], or
        values[place[i]]."""
        by_word = self.by_word
        rows = by_word.order if place is None else place.index_select(0, by_word.order)
        table = values if values.ndim > 1 else values[:, None]
        return sum_rows(table, rows, by_word.sizes).view(-1, *values.shape[1:])


class BatchGradients(NamedTuple):
    loss: Tensor  # (), the mean of the pairs of the first LOSS_WORDS
    inputs: SparseGradient
    outputs: SparseGradient


class PredictionModel(WordVectorModel):
    """Word vectors learned from the words nearby."""

    config: PredictionConfig
    outputs: nn.Parameter

    def __init__(self, config: PredictionConfig) -> None:
        super().__init__(config)
        self.inputs = self.make_inputs()
        rows = config.vocab_size
        if config.hierarchical_softmax:  # inner nodes of a tree, one fewer than words
            rows = max(1, rows - len(RESERVED) - 1)
        self.outputs = nn.Parameter(torch.zeros(rows, config.width))
        self._made_of_counts: tuple[torch.device, Any] | None = None

    def make_inputs(self) -> InputTable:
        """The table of input vectors, at its start."""
        return InputTable(self.config.vocab_size, self.config.width)

    def word_vectors(self) -> Tensor:
        return self.inputs.all_vectors()

    def learn_from(self, counts: np.ndarray, words: Sequence[bytes]) -> None:
        super().learn_from(counts, words)
        self._made_of_counts = None

    def made_of_counts(self, make: Callable[[Tensor], R]) -> R:
        """What `make` gives of the counts of words, which is kept."""
        if self._made_of_counts is None or self._made_of_counts[0] != self.device:
            self._made_of_counts = self.device, make(self.counts)
        made: R = self._made_of_counts[1]
        return made

    def noise_words(self, groups: int) -> Tensor:
        """(groups · K,) int64, the noise of each group."""
        noise = self.made_of_counts(lambda counts: Noise.of(counts, self.config.noise_exponent))
        return noise.draw(groups * NOISE_WORDS)

    def loss(self, batch: WordBatch) -> Tensor:
        with one_thread() if torch.get_num_threads() < FEWEST_THREADS else nullcontext():
            loss, d_inputs, d_outputs = self.gradients(batch)
        return with_gradients(loss, (self.inputs.table, d_inputs), (self.outputs, d_outputs))

    @abstractmethod
    def gradients(self, batch: WordBatch) -> BatchGradients:
        """Those of J over a batch."""


class InputTable(nn.Module):
    """The vectors of words, a row of a table for each: U(±1 / 2D) at first, as in word2vec."""

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        start = torch.empty(vocab_size, width).uniform_(-0.5 / width, 0.5 / width)
        self.table = nn.Parameter(start)

    def all_vectors(self) -> Tensor:
        """(V, D)"""
        return self.table.detach()

    def vectors(self, words: Tensor) -> Tensor:
        """words (r,) -> (r, D)"""
        return self.table.detach().index_select(0, words)

    def gradient(self, words: Tensor, values: Tensor, pairs: Tensor) -> SparseGradient:
        """That of the table, of different `words` (r,) whose vectors have the gradients `values`
        (r, D) and are in so many `pairs` (r,)."""
        return SparseGradient(words, values, pairs)


def in_pieces(compute: Callable[[slice], R], size: int, unit: int, device: torch.device) -> list[R]:
    """The results of `compute` for the pieces of `size` words, in whole units, in threads."""
    pieces = pieces_of(size, device, unit=unit)
    return side_by_side([partial(compute, piece) for piece in pieces], device)


def pieces_of(size: int, device: torch.device, *, unit: int = 1, rows: int = 1) -> list[slice]:
    """Slices of `size` things in whole units, as `size` is; on a GPU all at once.

    Each has about PIECE rows, where a thing has so many `rows`.
    """
    units, number = size // unit, max(1, round(size * rows / PIECE))
    if device.type != "cpu":
        number = 1
    cuts = [unit * (units * piece // number) for piece in range(number + 1)]
    return [slice(start, stop) for start, stop in pairwise(cuts) if start < stop]


def side_by_side(tasks: Iterable[Callable[[], Any]], device: torch.device) -> list[Any]:
    """The results of a few tasks, computed in threads, unless there is one or a GPU."""

    @torch.no_grad()  # which each thread has to be told
    def run(task: Callable[[], Any]) -> Any:
        return task()

    if device.type != "cpu" or torch.get_num_threads() == 1:
        return [run(task) for task in tasks]
    return list(lasting_pool().map(run, tasks))
