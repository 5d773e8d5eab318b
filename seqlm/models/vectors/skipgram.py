"""The skip-gram model: a word predicts each of the words around it.

Mikolov, Sutskever, Chen, Corrado & Dean (2013), "Distributed representations of words and phrases
and their compositionality", with negative sampling (equation 4):

    J = - sum_t sum_{0 < |d| <= w} a_d ( log σ(u_{x(t+d)} · v_{x(t)})
                                         + k E_{n ~ P} log σ(-u_n · v_{x(t)}) )

    x(t)   the word at position t        v_x, u_x   its input and its output vector, (D,)
    w      the window                    a_d        the share of windows that reach so far
    k      the negatives of a pair       P          the distribution of noise words

Where word2vec draws k noise words for each pair, here G words in a row share K of them, each with
the weight k m_t / K, and m_t = sum_d a_d over the neighbors in the line of x(t). The expectation is
the same, and all products are products of matrices: C of centers and X of neighbors (`window.py`),
and N of noise.

With hierarchical softmax (section 2.1) words are predicted along their paths (`path_gradients.py`):

    J = - sum_t sum_{0 < |d| <= w} a_d log p(x(t) | v_{x(t+d)})

As in word2vec, the neighbor predicts the word in the middle. Since a_d = a_{-d}, and each word is
in the middle once, this is the same sum as with the two exchanged.

    T words of a batch, or of a piece of it · B blocks of R words, C columns around each · D width
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.models.config.vectors_config import SkipGramConfig
from seqlm.models.vectors.hierarchical.path_gradients import Pairs, path_gradients
from seqlm.models.vectors.hierarchical.word_paths import WordPaths
from seqlm.models.vectors.prediction import (
    GROUP,
    LOSS_WORDS,
    NOISE_WORDS,
    TINY,
    BatchGradients,
    PredictionModel,
    Stretch,
    Terms,
    in_pieces,
    noise_range,
    side_by_side,
    sum_logs,
    unit_of,
)
from seqlm.models.vectors.window import Window
from seqlm.models.vectors.word_vector_model import SparseGradient
from seqlm.text.word_batches import WordBatch

TOP = 192
"""Nodes at the top of the tree, for which a batch takes the least time."""


class SkipGram(PredictionModel):
    config_class = SkipGramConfig

    @torch.no_grad()
    def gradients(self: PredictionModel, batch: WordBatch) -> BatchGradients:
        window = Window(self.config.window)
        words, lines = Stretch.of(batch, window)  # (T + 2w,)
        predict = along_paths if self.config.hierarchical_softmax else against_noise
        return predict(self, window, words, window.pair_weights(lines))


def along_paths(model: PredictionModel, window: Window, words: Tensor, a: Tensor) -> BatchGradients:
    """By hierarchical softmax: words (T + 2w,), the weights of pairs (B, R, C)."""
    paths = model.made_of_counts(partial(WordPaths.of, top=TOP))
    pairs = Pairs(window.blocks(window.inner(words)), window.around(words), a)
    loss, d_v, d_u = path_gradients(pairs, model.inputs.vectors, model.outputs.detach(), paths)
    return BatchGradients(loss, model.inputs.gradient(*d_v), d_u)


def against_noise(
    model: PredictionModel, window: Window, words: Tensor, a: Tensor
) -> BatchGradients:
    """By negative sampling: words (T + 2w,), the weights of pairs (B, R, C)."""
    k, device = model.config.negatives, model.device
    middle = window.inner(words)
    size = len(middle)  # T
    # The uses of words: T as centers, the same as neighbors, and the noise.
    centers = Terms.of(middle)
    others = Terms.of(torch.cat([words, model.noise_words(size // GROUP)]))
    v = model.inputs.vectors(centers.words)
    u = model.outputs.index_select(0, others.words)
    pairs = a.sum(2).flatten()  # (T,), m_t
    noise_weight = pairs * (k / NOISE_WORDS)
    num_columns, num_noise = len(a) * window.columns, len(others.word_of) - len(words)
    d_v = v.new_empty(size, v.shape[1])
    d_u = v.new_empty(num_columns + num_noise, v.shape[1])
    d_x, d_n = d_u[:num_columns], d_u[num_columns:]

    def compute(piece: slice) -> Tensor:
        blocks = window.block_range(piece)
        columns = slice(blocks.start * window.columns, blocks.stop * window.columns)
        noise = noise_range(piece)
        neighbors = others.word_of[window.with_around(piece)]
        return Piece(
            v.index_select(0, centers.word_of[piece]),
            u.index_select(0, neighbors),
            u.index_select(0, others.word_of[len(words) :][noise]),
            a[blocks],
            noise_weight[piece],
        ).gradients(window, d_v[piece], d_x[columns], d_n[noise], piece.start == 0)

    losses = in_pieces(compute, size, unit_of(window), device)

    def of_inputs() -> SparseGradient:
        m = centers.add(pairs) * (1 + k)
        return model.inputs.gradient(centers.words, centers.add(d_v), m)

    def of_outputs() -> SparseGradient:
        window.fold(d_x.view(*a.shape[::2], -1))
        of_noise = torch.arange(len(d_x), len(d_u), device=device)
        place = torch.cat([window.own_places(size, device), of_noise])
        m = pairs.new_zeros(len(place))
        window.inner(m[: len(words)])[:] = pairs
        m[len(words) :].view(-1, NOISE_WORDS)[:] = noise_weight.view(-1, GROUP).sum(1, True)
        return SparseGradient(others.words, others.add(d_u, place), others.add(m))

    return BatchGradients(losses[0], *side_by_side([of_inputs, of_outputs], device))


class Piece(NamedTuple):
    """What a stretch of T words needs, gathered."""

    v: Tensor  # (T, D) the words
    x: Tensor  # (T + 2w, D) the words as neighbors, with those around
    n: Tensor  # (T / G · K, D) noise
    a: Tensor  # (B, R, C) the weight of each pair
    noise_weight: Tensor  # (T,) k m_t / K

    def gradients(
        self, window: Window, d_v: Tensor, d_x: Tensor, d_n: Tensor, needs_loss: bool
    ) -> Tensor:
        """Writes dJ/dv (T, D), dJ/dx (B · C, D) and dJ/dn (as n), and returns J per pair, (); 0
        where it is not needed."""
        width, a = self.v.shape[1], self.a
        centers, neighbors = window.blocks(self.v), window.around(self.x)  # (B, R or C, D)
        groups, noise = self.v.view(-1, GROUP, width), self.n.view(-1, NOISE_WORDS, width)
        s = torch.bmm(centers, neighbors.transpose(1, 2)).sigmoid_()  # (B, R, C), σ(u·v)
        z = torch.bmm(groups, noise.transpose(1, 2)).sigmoid_()  # (T / G, G, K), σ(u_n·v)
        weight = self.noise_weight.view(-1, GROUP, 1)
        loss = s.new_zeros(())
        if needs_loss:
            blocks, first = -(-LOSS_WORDS // window.block), LOSS_WORDS // GROUP
            s_, a_, z_, weight_ = s[:blocks], a[:blocks], z[:first], weight[:first]
            loss = -(sum_logs(s_, a_) + sum_logs(1 - z_, weight_)) / a_.sum().clamp(min=TINY)
        s.sub_(1).mul_(a)  # dJ/d(u·v)
        z.mul_(weight)  # dJ/d(u_n·v)
        torch.bmm(z, noise, out=d_v.view_as(groups))
        d_v.view_as(centers).baddbmm_(s, neighbors)
        torch.bmm(s.transpose(1, 2), centers, out=d_x.view(*neighbors.shape))
        torch.bmm(z.transpose(1, 2), groups, out=d_n.view_as(noise))
        return loss
