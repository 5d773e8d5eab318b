"""Attention: scores of keys for a query, a softmax that turns them into weights, and the sum of the
values with these weights.

With several heads, and a cache of the keys and values read before (Vaswani et al. 2017):

    q_t, k_t, v_t = W_{q,k,v} x_t                      for each of H heads, d wide
    a_ts = softmax_s(q_t k_s / sqrt(d))                over the s that t may see
    y_t  = W_o [sum_s a_ts v_s]                        the heads side by side

B rows · T new positions · L positions before them · S = L + T · D width, H d = D

*Grouped* heads (Ainslie et al. 2023) share keys and values: there are G heads of these, each for
H / G heads of queries.

The keys and values read so far are a value, `KVCache`. While nothing is differentiated, they are
views of buffers with free positions, which `append` fills in place: see `KVBuffer`.

Recurrent decoders attend to their source with one head and with scores of their own:
`SourceAttention`.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention

from seqlm.models.layers.linear import Linear
from seqlm.models.layers.rotary import RotaryAngles, rotate

# ---------------------------------------------------------------------------------- the equation


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """sum_s a_ts v_s for scaled dot products as scores.

    queries (B, H, T, d), keys and values (B, G, S, d) -> (B, H, T, d); G divides H.
    mask: (T, S), or (B, 1, 1, S) for all t; True where t sees s.
    causal: t sees s <= t, where S = T; faster than the mask that says so.
    dropout: the share of weights that are zeroed.
    """
    grouped = queries.shape[1] != keys.shape[1]
    return scaled_dot_product_attention(
        queries, keys, values, mask, dropout, is_causal=causal, enable_gqa=grouped
    )


def causal_mask(length: int, offset: int, device: torch.device) -> Tensor:
    """(T, L + T), with T = `length` and L = `offset`: each new position sees the L positions before
    them all, and the new ones up to itself."""
    mask = torch.ones(length, offset + length, dtype=torch.bool, device=device)
    return mask.tril(offset)


# ------------------------------------------------------------------------------ keys and values


class KVCache(NamedTuple):
    """Keys and values of the L positions read."""

    keys: Tensor  # (B, G, L, d)
    values: Tensor  # (B, G, L, d)
    buffer: KVBuffer | None = None


class KVBuffer:
    """Buffers (B, G, C, d) for keys and values, whose first `filled` positions are written.

    The buffer owns the memory. Caches that come from one another share a buffer: each is a view of
    the positions that it has read. A cache that has read all the filled positions may write the
    next ones. A cache that another one has already extended copies its positions to a new buffer.
    So does a cache after `select`; its new buffer gets no free positions, because beam search
    reorders it again at the next step. A full buffer is copied to one of twice its size; the first
    has C = 64.
    """

    def __init__(self, cache: KVCache, capacity: int) -> None:
        """A copy of `cache` in buffers of `capacity` positions."""
        rows, heads, self.filled, width = cache.keys.shape
        self.keys, self.values = (
            x.new_empty(rows, heads, capacity, width) for x in (cache.keys, cache.values)
        )
        self.keys[:, :, : self.filled] = cache.keys
        self.values[:, :, : self.filled] = cache.values

    def owns_end(self, cache: KVCache) -> bool:
        """Whether `cache` has read all the filled positions, and so may write the next."""
        return (
            cache.keys.shape[2] == self.filled
            and cache.keys.data_ptr() == self.keys.data_ptr()
            and cache.keys.shape[0] == self.keys.shape[0]
            and (torch.is_inference_mode_enabled() or not self.keys.is_inference())
        )


def append(cache: KVCache, keys: Tensor, values: Tensor) -> KVCache:
    """A cache of the positions in `cache` and of T more, whose keys and values are (B, G, T, d)."""
    offset = cache.keys.shape[2]
    if offset == 0:
        return KVCache(keys, values)
    if torch.is_grad_enabled():
        return KVCache(torch.cat([cache.keys, keys], 2), torch.cat([cache.values, values], 2))
    length, buffer = offset + keys.shape[2], cache.buffer
    if buffer is None or not buffer.owns_end(cache):
        buffer = KVBuffer(cache, length)
    elif length > buffer.keys.shape[2]:
        buffer = KVBuffer(cache, max(64, 1 << (length - 1).bit_length()))
    buffer.keys[:, :, offset:length] = keys
    buffer.values[:, :, offset:length] = values
    buffer.filled = length
    return KVCache(buffer.keys[:, :, :length], buffer.values[:, :, :length], buffer)


# ------------------------------------------------------------------------------- self-attention


class SelfAttention(nn.Module):
    """Attention of a text to itself, causal where no mask says otherwise.

    `qkv` holds W_q, W_k and W_v one below the other, head by head: H d, G d and G d rows.
    """

    def __init__(self, width: int, heads: int, kv_heads: int, bias: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.dropout = heads, kv_heads, dropout
        self.head_width = width // heads
        self.qkv = Linear(width, (heads + 2 * kv_heads) * self.head_width, bias=bias)
        self.out = Linear(width, width, bias=bias)

    def empty_cache(self, rows: int) -> KVCache:
        """The cache before anything is read."""
        empty = self.qkv.weight.new_zeros(rows, self.kv_heads, 0, self.head_width)
        return KVCache(empty, empty)

    def forward(
        self, x: Tensor, cache: KVCache, mask: Tensor | None, angles: RotaryAngles | None
    ) -> tuple[Tensor, KVCache]:
        """x (B, T, D) after the positions in `cache` -> y (B, T, D), and the cache with x.

        mask: as `attend` takes it; None where attention is causal and L = 0, or T = 1.
        """
        rows, length, width = x.shape
        heads = self.qkv(x).view(rows, length, -1, self.head_width)  # (B, T, H + 2 G, d)
        kv_heads = self.kv_heads
        if angles is not None:
            queries_keys, values = heads.split([self.heads + kv_heads, kv_heads], 2)
            queries, keys = rotate(queries_keys, angles).split([self.heads, kv_heads], 2)
        else:
            queries, keys, values = heads.split([self.heads, kv_heads, kv_heads], 2)
        cache = append(cache, keys.transpose(1, 2), values.transpose(1, 2))
        dropout = self.dropout if self.training else 0.0
        causal = mask is None and length > 1
        attended = attend(queries.transpose(1, 2), cache.keys, cache.values, mask, causal, dropout)
        y: Tensor = self.out(
            attended.transpose(1, 2).reshape(rows, length, width)
        )  # from (B, H, T, d)
        return y, cache

    def step(
        self, x: Tensor, cache: KVCache, angles: RotaryAngles | None
    ) -> tuple[Tensor, KVCache]:
        """What `forward` computes of one position, in fewer operations: x (B, D) -> y (B, D)."""
        heads = self.qkv(x).view(len(x), -1, self.head_width)  # (B, H + 2 G, d)
        kv_heads = self.kv_heads
        queries_keys, values = heads.split([self.heads + kv_heads, kv_heads], 1)
        if angles is not None:
            queries_keys = rotate(queries_keys, angles)
        queries, keys = queries_keys.split([self.heads, kv_heads], 1)
        cache = append(cache, keys[:, :, None], values[:, :, None])
        attended = attend(queries[:, :, None], cache.keys, cache.values)  # (B, H, 1, d)
        y: Tensor = self.out(attended.view(x.shape))
        return y, cache


# ------------------------------------------------------------ attention of a decoder to a source


AttentionScore = Literal["additive", "dot", "general", "scaled-dot"]


class SourceAttention(nn.Module):
    """Attention with one head, by the scores of recurrent decoders, that returns its weights.

    The query q_t attends to the states h_s of the source: sum_s a_ts h_s, a_ts = softmax_s(score):

        dot          q_t h_s                       Luong, Pham & Manning 2015
        general      q_t W h_s                     ibid.
        scaled-dot   q_t h_s / sqrt(D)             Vaswani et al. 2017
        additive     v tanh(W q_t + U h_s + b)     Bahdanau, Cho & Bengio 2015

    The part made from h alone, W h or U h + b, is the *keys*: computed once for all queries.
    """

    def __init__(self, score: AttentionScore, width: int, dropout: float) -> None:
        super().__init__()
        self.score, self.dropout = score, dropout
        if score in ("general", "additive"):
            self.key = Linear(width, width, bias=score == "additive")
        if score == "additive":
            self.query = Linear(width, width, bias=False)
            self.v = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))

    def keys(self, h: Tensor) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        if self.score in ("general", "additive"):
            h = self.key(h)
        return h

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Queries (B, T, D), keys and values (B, S, D) -> the sums of values (B, T, D), and the
        weights (B, T, S) before dropout, whose rows sum to 1. `mask` (B, S) is False on padding."""
        if self.score == "additive":
            sums = self.query(queries)[:, :, None] + keys[:, None]  # (B, T, S, D)
            scores = sums.tanh_() @ self.v
        else:
            scores = queries @ keys.transpose(1, 2)
        if self.score == "scaled-dot":
            scores = scores * queries.shape[2] ** -0.5
        weights = scores.masked_fill(~mask[:, None], -math.inf).softmax(-1)
        return functional.dropout(weights, self.dropout, self.training) @ values, weights
