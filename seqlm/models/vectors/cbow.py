"""The continuous bag of words: the words around a position predict the word there.

Mikolov, Chen, Corrado & Dean (2013), "Efficient estimation of word representations in vector
space", section 3.1, with negative sampling (Mikolov, Sutskever, Chen, Corrado & Dean 2013):

    h_t = mean of v_{x(t+d)} over 0 < |d| <= b_t
    J   = - sum_t ( log σ(u_{x(t)} · h_t) + k E_{n ~ P} log σ(-u_n · h_t) )

    x(t)   the word at position t        v_x, u_x   its input and its output vector, (D,)
    b_t    the radius, uniform in 1 .. w, drawn for each position
    k      the negatives of a word       P          the distribution of noise words

With hierarchical softmax instead (`path_gradients.py`), J = - sum_t log p(x(t) | h_t).

As in word2vec, each word around a position gets the gradient of h_t as it is, which the true one
would divide by their number. G words in a row share K noise words, each with the weight k / K. A
position that has no neighbor in its line predicts nothing.

    T words of a batch, or of a piece of it · B blocks of R words, C columns around each · D width
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.models.config.vectors_config import CBOWConfig
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

TOP = 64
"""Nodes at the top of the tree, for which a batch takes the least time."""


class CBOW(PredictionModel):
    config_class = CBOWConfig

    @torch.no_grad()
    def gradients(self: PredictionModel, batch: WordBatch) -> BatchGradients:
        window = Window(self.config.window)
        words, lines = Stretch.of(batch, window)  # (T + 2w,)
        size = len(window.inner(words))  # T
        radius = torch.randint(1, window.size + 1, (size,), device=self.device)  # b_t
        predict = along_paths if self.config.hierarchical_softmax else against_noise
        return predict(self, window, words, window.pairs_within(radius, lines))


def along_paths(
    model: PredictionModel, window: Window, words: Tensor, is_read: Tensor
) -> BatchGradients:
    """By hierarchical softmax: words (T + 2w,), the neighbors that positions read (B, R, C)."""
    middle, device = window.inner(words), model.device
    size = len(middle)  # T
    paths = model.made_of_counts(partial(WordPaths.of, top=TOP))
    around = Terms.of(words)
    v = model.inputs.vectors(around.words)
    a, share, predicted = means(window, is_read, v.dtype)
    h, d_x = v.new_empty(size, v.shape[1]), v.new_empty(*a.shape[::2], v.shape[1])

    def read(piece: slice) -> None:
        blocks = window.block_range(piece)
        x = v.index_select(0, around.word_of[window.with_around(piece)])
        torch.bmm(share[blocks], window.around(x), out=window.blocks(h)[blocks])

    def spread(piece: slice) -> None:
        blocks = window.block_range(piece)
        torch.bmm(a[blocks].transpose(1, 2), window.blocks(d_h)[blocks], out=d_x[blocks])

    in_pieces(read, size, unit_of(window), device)
    positions = window.blocks(torch.arange(size, device=device))
    alone = torch.diag_embed(window.blocks(predicted))  # h_t predicts the word at t, no other
    pairs = Pairs(window.blocks(middle), positions, alone)
    loss, (_, d_h, m), d_u = path_gradients(pairs, lambda _: h, model.outputs.detach(), paths)
    in_pieces(spread, size, unit_of(window), device)
    m = torch.bmm(window.blocks(m)[:, None, :], a)[:, 0]  # (B, C)
    return BatchGradients(loss, gradient_of_inputs(model, window, around, d_x, m), d_u)


def against_noise(
    model: PredictionModel, window: Window, words: Tensor, is_read: Tensor
) -> BatchGradients:
    """By negative sampling: words (T + 2w,), the neighbors that positions read (B, R, C)."""
    k, device = model.config.negatives, model.device
    middle = window.inner(words)
    size = len(middle)  # T
    # The uses of words: T with those around them as neighbors, T to predict, and the noise.
    around = Terms.of(words)
    targets = Terms.of(torch.cat([middle, model.noise_words(size // GROUP)]))
    v = model.inputs.vectors(around.words)
    u = model.outputs.index_select(0, targets.words)
    a, share, predicted = means(window, is_read, v.dtype)
    d_x = v.new_empty(*a.shape[::2], v.shape[1])
    d_u = v.new_empty(len(targets.word_of), v.shape[1])

    def compute(piece: slice) -> Tensor:
        blocks = window.block_range(piece)
        noise = noise_range(piece, size)
        neighbors = around.word_of[window.with_around(piece)]
        return Piece(
            v.index_select(0, neighbors),
            u.index_select(0, targets.word_of[piece]),
            u.index_select(0, targets.word_of[noise]),
            a[blocks],
            share[blocks],
            predicted[piece],
            k / NOISE_WORDS,
        ).gradients(window, d_x[blocks], d_u[piece], d_u[noise], piece.start == 0)

    losses = in_pieces(compute, size, unit_of(window), device)

    def of_inputs() -> SparseGradient:
        return gradient_of_inputs(model, window, around, d_x, a.sum(1) * (1 + k))

    def of_outputs() -> SparseGradient:
        of_noise = predicted.view(-1, GROUP).sum(1, True) * (k / NOISE_WORDS)
        m = torch.cat([predicted, of_noise.expand(-1, NOISE_WORDS).flatten()])
        return SparseGradient(targets.words, targets.add(d_u), targets.add(m))

    return BatchGradients(losses[0], *side_by_side([of_inputs, of_outputs], device))


def means(window: Window, is_read: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """(B, R, C) 1 for each neighbor that a position reads, (B, R, C) the share of each in the mean,
    and (T,) 1 for each position that has neighbors."""
    a = is_read.to(dtype)
    count = a.sum(2)
    return a, a / count.clamp(min=1)[:, :, None], count.flatten().clamp(max=1)


def gradient_of_inputs(
    model: PredictionModel, window: Window, around: Terms, d_x: Tensor, m: Tensor
) -> SparseGradient:
    """Of what the columns of all blocks got, d_x (B, C, D), and the pairs that they are in, m
    (B, C). It changes both."""
    window.fold(d_x)
    window.fold(m)
    place = window.own_places(len(d_x) * window.block, d_x.device)
    values = around.add(d_x.flatten(0, 1), place)
    return model.inputs.gradient(around.words, values, around.add(m.flatten(), place))


class Piece(NamedTuple):
    """What a stretch of T words needs, gathered."""

    x: Tensor  # (T + 2w, D) the words as neighbors, with those around
    u: Tensor  # (T, D) the words to predict
    n: Tensor  # (T / G · K, D) noise
    a: Tensor  # (B, R, C) 1 for each neighbor that a position reads
    share: Tensor  # (B, R, C) of each neighbor in the mean
    predicted: Tensor  # (T,) 1 for a position that has neighbors
    noise_weight: float  # k / K

    def gradients(
        self, window: Window, d_x: Tensor, d_u: Tensor, d_n: Tensor, needs_loss: bool
    ) -> Tensor:
        """Writes the gradients for x (B, C, D), dJ/du (T, D) and dJ/dn (as n), and returns J per
        word, (); 0 where it is not needed."""
        width, neighbors = self.u.shape[1], window.around(self.x)  # (B, C, D)
        noise = self.n.view(-1, NOISE_WORDS, width)
        h = torch.bmm(self.share, neighbors).view(-1, width)  # (T, D)
        groups = h.view(-1, GROUP, width)
        s: Tensor = torch.linalg.vecdot(h, self.u)  # (T,)
        s.sigmoid_()  # σ(u·h)
        z = torch.bmm(groups, noise.transpose(1, 2)).sigmoid_()  # (T / G, G, K), σ(u_n·h)
        weight = self.predicted.view(-1, GROUP, 1) * self.noise_weight
        loss = s.new_zeros(())
        if needs_loss:
            s_, predicted = s[:LOSS_WORDS], self.predicted[:LOSS_WORDS]
            z_, weight_ = z[: LOSS_WORDS // GROUP], weight[: LOSS_WORDS // GROUP]
            loss = -(sum_logs(s_, predicted) + sum_logs(1 - z_, weight_)) / predicted.sum().clamp(
                min=TINY
            )
        s.sub_(1).mul_(self.predicted)  # dJ/d(u·h)
        z.mul_(weight)  # dJ/d(u_n·h)
        torch.mul(h, s[:, None], out=d_u)
        torch.bmm(z.transpose(1, 2), groups, out=d_n.view_as(noise))
        d_h = torch.bmm(z, noise).view(-1, width).addcmul_(self.u, s[:, None])  # (T, D)
        torch.bmm(self.a.transpose(1, 2), window.blocks(d_h), out=d_x)
        return loss
