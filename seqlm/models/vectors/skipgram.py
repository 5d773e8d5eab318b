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
and N of noise. With hierarchical softmax (Morin & Bengio 2005) a neighbor is instead a path of a
Huffman tree (`word_paths.py`).

    T words of a batch, or of a piece of it · B blocks of R words, C columns around each · D width
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.models.config.vectors_config import SkipGramConfig
from seqlm.models.vectors.prediction import (
    GROUP,
    NOISE_WORDS,
    TINY,
    PredictionModel,
    Stretch,
    Terms,
    in_pieces,
    side_by_side,
)
from seqlm.models.vectors.window import (
    BLOCK,
    band_weights,
    in_blocks,
    in_windows,
    radius_weights,
)
from seqlm.models.vectors.word_vector_model import SparseGradient, with_gradients
from seqlm.text.word_batches import WordBatch


class SkipGram(PredictionModel):
    config_class = SkipGramConfig

    def loss(self, batch: WordBatch) -> Tensor:
        w, k, device = self.config.window, self.config.negatives, self.device
        words, lines = Stretch.of(batch, w)  # (T + 2w,)
        size = len(words) - 2 * w  # T
        noise = self.noise_words(size // GROUP)  # (T / G · K,)
        # The uses of words: T as centers; B · C as neighbors, some of them in two blocks; noise.
        centers = Terms.of(words[w : w + size])
        neighbors = in_windows(words, w)  # (B, C)
        others = Terms.of(torch.cat([neighbors.flatten(), noise]))
        neighbor_of = others.word_of[: neighbors.numel()].view_as(neighbors)
        noise_of = others.word_of[neighbors.numel() :]
        v = self.inputs.vectors(centers.words)
        u = self.outputs.detach().index_select(0, others.words)

        d_v = v.new_empty(size, v.shape[1])
        d_u = v.new_empty(len(others.word_of), v.shape[1])
        d_x, d_n = d_u[: neighbors.numel()], d_u[neighbors.numel() :]
        pairs = v.new_empty(size)  # m_t
        weights = radius_weights(w, device)

        def compute(piece: slice) -> Tensor:
            blocks = slice(piece.start // BLOCK, piece.stop // BLOCK)
            of_noise = slice(*(at // GROUP * NOISE_WORDS for at in (piece.start, piece.stop)))
            columns = slice(blocks.start * neighbors.shape[1], blocks.stop * neighbors.shape[1])
            inner = neighbor_of[blocks, w : w + BLOCK].flatten()
            around = [neighbor_of[blocks][0, :w], inner, neighbor_of[blocks][-1, w + BLOCK :]]
            a = band_weights(lines[piece.start : piece.stop + 2 * w], w, weights)
            torch.sum(a, 2, out=pairs[piece].view(-1, BLOCK))
            return Piece(
                v.index_select(0, centers.word_of[piece]),
                u.index_select(0, torch.cat(around)),
                u.index_select(0, noise_of[of_noise]),
                a,
                pairs[piece] * (k / NOISE_WORDS),
            ).gradients(d_v[piece], d_x[columns], d_n[of_noise], needs_loss=piece.start == 0)

        losses = in_pieces(compute, size, device)

        def of_inputs() -> SparseGradient:
            m = centers.add(pairs) * (1 + k)
            return self.inputs.gradient(centers.words, centers.add(d_v), m)

        def of_outputs() -> SparseGradient:
            of_neighbors = pairs.new_zeros(neighbors.shape)
            of_neighbors[:, w : w + BLOCK] = in_blocks(pairs)
            of_groups = pairs.view(-1, GROUP).sum(1) * (k / NOISE_WORDS)
            of_noise = of_groups.repeat_interleave(NOISE_WORDS)
            m = others.add(torch.cat([of_neighbors.flatten(), of_noise]))
            return SparseGradient(others.words, others.add(d_u), m)

        d_inputs, d_outputs = side_by_side([of_inputs, of_outputs], device)
        return with_gradients(losses[0], (self.inputs.table, d_inputs), (self.outputs, d_outputs))


class Piece(NamedTuple):
    """What a stretch of T words needs, gathered."""

    v: Tensor  # (T, D) the words
    x: Tensor  # (T + 2w, D) the words as neighbors, with those around
    n: Tensor  # (T / G · K, D) noise
    a: Tensor  # (B, R, C) the weight of each pair
    noise_weight: Tensor  # (T,) k m_t / K

    def gradients(self, d_v: Tensor, d_x: Tensor, d_n: Tensor, needs_loss: bool) -> Tensor:
        """Writes dJ/dv (T, D), dJ/dx (B · C, D) and dJ/dn (as n), and returns J per pair, (); 0
        where it is not needed."""
        width, a = self.v.shape[1], self.a
        centers = in_blocks(self.v)  # (B, R, D)
        neighbors = in_windows(self.x, (a.shape[2] - BLOCK) // 2)  # (B, C, D)
        groups, noise = self.v.view(-1, GROUP, width), self.n.view(-1, NOISE_WORDS, width)
        s = torch.bmm(centers, neighbors.transpose(1, 2)).sigmoid_()  # (B, R, C), σ(u·v)
        z = torch.bmm(groups, noise.transpose(1, 2)).sigmoid_()  # (T / G, G, K), σ(u_n·v)
        weight = self.noise_weight.view(-1, GROUP, 1)
        loss = s.new_zeros(())
        if needs_loss:
            of_pairs = (s.clamp(min=TINY).log_() * a).sum()
            of_noise = ((1 - z).clamp_(min=TINY).log_() * weight).sum()
            loss = -(of_pairs + of_noise) / a.sum().clamp(min=TINY)
        s.sub_(1).mul_(a)  # dJ/d(u·v)
        z.mul_(weight)  # dJ/d(u_n·v)
        torch.bmm(z, noise, out=d_v.view_as(groups))
        d_v.view_as(centers).baddbmm_(s, neighbors)
        torch.bmm(s.transpose(1, 2), centers, out=d_x.view(*neighbors.shape))
        torch.bmm(z.transpose(1, 2), groups, out=d_n.view_as(noise))
        return loss
