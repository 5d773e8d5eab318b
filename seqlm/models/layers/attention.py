"""Attention: scores, a softmax that makes them weights, and the mix of values by these.

With many heads, and a memory of what was read (Vaswani et al. 2017):

    q_t, k_t, v_t = W_{q,k,v} x_t                      of each of H heads, d wide
    a_ts = softmax_s(q_t k_s / sqrt(d))                over the s that t may see: scores -> weights
    y_t  = W_o [sum_s a_ts v_s]                        the heads side by side: weights -> mix

B rows · T new positions · L positions before them · S = L + T · D width, H d = D

*Grouped* heads (Ainslie et al. 2023) share keys and values: G of them, each for H / G heads of
queries. *Rotary* positions (Su et al. 2021) turn q_t and k_s by their place, pair by pair, so that
their product depends on t - s alone: of a head's d numbers, number i and number i + d/2 are the
real and the imaginary part of one that is multiplied by

    e^{i t θ_i},   θ_i = 10000^{-2i/d}                 (the pairing of Llama's weights)

The keys and values of what was read are a value, `Past`. While nothing is differentiated they are
views of buffers with room to grow, which `remember` fills in place: see `Room`.

Recurrent decoders look at their source with one head and scores of their own: `SourceAttention`.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention

from seqlm.models.layers.linear import Linear

# ------------------------------------------------------------------------------------- the equation


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Scaled dot products as scores, a softmax as weights, the mix of the values.

    queries (B, H, T, d), keys and values (B, G, S, d) -> (B, H, T, d); G divides H.
    mask (T, S), or (B, 1, 1, S) for all t, is True where t sees s; `causal` is the same for a
    triangle, S = T, and faster.
    dropout: the share of weights that are zeroed.
    """
    grouped = queries.shape[1] != keys.shape[1]
    return scaled_dot_product_attention(
        queries, keys, values, mask, dropout, is_causal=causal, enable_gqa=grouped
    )


def lower_right(new: int, before: int, device: torch.device) -> Tensor:
    """(T, L + T) causal mask: position t sees the L before and the new ones up to itself."""
    return torch.ones(new, before + new, dtype=torch.bool, device=device).tril(before)


# ---------------------------------------------------------------------------------------- positions

BASE = 10000.0


class Turns(NamedTuple):
    """By what positions are rotated: cos and sin of t θ_i."""

    cos: Tensor  # (T, d/2)
    sin: Tensor


def turns(new: int, before: int, width: int, device: torch.device) -> Turns:
    """For positions L .. L + T - 1 and heads `width` wide, in float32."""
    places = torch.arange(before, before + new, device=device, dtype=torch.float32)
    pairs = torch.arange(0, width, 2, device=device, dtype=torch.float32)
    angles = places[:, None] * BASE ** (-pairs / width)  # (T, d/2)
    return Turns(angles.cos(), angles.sin())


def rotate(x: Tensor, by: Turns) -> Tensor:
    """x (B, T, .., d) turned by its place."""
    cos, sin = (part[:, None] for part in by)  # (T, 1, d/2)
    real, imaginary = x.chunk(2, -1)  # (B, T, h, d/2), in 16 bits raised to the float32 of cos
    turned = torch.cat([real * cos - imaginary * sin, imaginary * cos + real * sin], -1)
    return turned.to(x.dtype)


# ------------------------------------------------------------------------------------- what is read


class Past(NamedTuple):
    """Keys and values of the L positions read."""

    keys: Tensor  # (B, G, L, d)
    values: Tensor  # (B, G, L, d)
    room: Room | None = None


class Room:
    """Buffers (B, G, C, d) whose first `filled` positions are written.

    States that come from one another share a room, each a view of as much of it as it has read.
    The one that has read all that is filled may write the next positions; an older one sees that
    others went on from it and moves to a room of its own. So does a state whose tensors are views
    of something else, as `select` leaves them. Such a room has no position to spare: a beam would
    leave it at the next step. What fills a room moves to a larger one, C from 64 by doubling.
    """

    def __init__(self, past: Past, capacity: int) -> None:
        """A copy of `past` with room for `capacity` positions."""
        rows, heads, self.filled, width = past.keys.shape
        self.keys, self.values = (
            x.new_empty(rows, heads, capacity, width) for x in (past.keys, past.values)
        )
        self.keys[:, :, : self.filled] = past.keys
        self.values[:, :, : self.filled] = past.values

    def ends(self, past: Past) -> bool:
        """Whether `past` has read all that is filled, and may write what follows."""
        return (
            past.keys.shape[2] == self.filled
            and past.keys.data_ptr() == self.keys.data_ptr()
            and past.keys.shape[0] == self.keys.shape[0]
            and (torch.is_inference_mode_enabled() or not self.keys.is_inference())
        )


def remember(past: Past, keys: Tensor, values: Tensor) -> Past:
    """`past` and the T positions after it, whose keys and values are (B, G, T, d)."""
    before = past.keys.shape[2]
    if before == 0:
        return Past(keys, values)
    if torch.is_grad_enabled():
        return Past(torch.cat([past.keys, keys], 2), torch.cat([past.values, values], 2))
    length, room = before + keys.shape[2], past.room
    if room is None or not room.ends(past):
        room = Room(past, length)
    elif length > room.keys.shape[2]:
        room = Room(past, max(64, 1 << (length - 1).bit_length()))
    room.keys[:, :, before:length] = keys
    room.values[:, :, before:length] = values
    room.filled = length
    return Past(room.keys[:, :, :length], room.values[:, :, :length], room)


# ---------------------------------------------------------------------------------------- the layer


class SelfAttention(nn.Module):
    """Attention of a text to itself, causal unless a mask says otherwise.

    `qkv` holds W_q, W_k and W_v one below the other, head by head: H d, G d and G d rows.
    """

    def __init__(self, width: int, heads: int, kv_heads: int, bias: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.dropout = heads, kv_heads, dropout
        self.head_width = width // heads
        self.qkv = Linear(width, (heads + 2 * kv_heads) * self.head_width, bias=bias)
        self.out = Linear(width, width, bias=bias)

    def empty_cache(self, rows: int) -> Past:
        """Nothing read."""
        nothing = self.qkv.weight.new_zeros(rows, self.kv_heads, 0, self.head_width)
        return Past(nothing, nothing)

    def forward(
        self, x: Tensor, past: Past, mask: Tensor | None, by: Turns | None
    ) -> tuple[Tensor, Past]:
        """x (B, T, D) after `past` -> y (B, T, D) and what has been read then.

        mask, as `attend` takes it, may be None where a triangle says it (L = 0), or all is seen
        (T = 1).
        """
        rows, new, width = x.shape
        heads = self.qkv(x).view(rows, new, -1, self.head_width)  # (B, T, H + 2 G, d)
        shared = self.kv_heads
        if by is not None:
            turned, values = heads.split([self.heads + shared, shared], 2)
            queries, keys = rotate(turned, by).split([self.heads, shared], 2)
        else:
            queries, keys, values = heads.split([self.heads, shared, shared], 2)
        past = remember(past, keys.transpose(1, 2), values.transpose(1, 2))
        dropout = self.dropout if self.training else 0.0
        causal = mask is None and new > 1
        mix = attend(queries.transpose(1, 2), past.keys, past.values, mask, causal, dropout)
        y: Tensor = self.out(mix.transpose(1, 2).reshape(rows, new, width))  # (B, H, T, d) -> D
        return y, past


# ------------------------------------------------------------------------- of a decoder to a source


Score = Literal["additive", "dot", "general", "scaled-dot"]


class SourceAttention(nn.Module):
    """One head, with the scores of recurrent decoders, that shows its weights.

    q_t asks about the h_s of the source, and gets sum_s a_ts h_s, a_ts = softmax_s(score):

        dot          q_t h_s                       Luong, Pham & Manning 2015
        general      q_t W h_s                     ibid.
        scaled-dot   q_t h_s / sqrt(D)             Vaswani et al. 2017
        additive     v tanh(W q_t + U h_s + b)     Bahdanau, Cho & Bengio 2015

    The part that is made of h alone, W h or U h + b, are its *keys*: computed once for all queries.
    """

    def __init__(self, score: Score, width: int, dropout: float) -> None:
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
        self, queries: Tensor, keys: Tensor, values: Tensor, real: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, T, D) queries, (B, S, D) keys and values, `real` (B, S) False on padding
        -> the mix (B, T, D), and the weights (B, T, S) before dropout: rows sum to 1."""
        if self.score == "additive":
            asked = self.query(queries)[:, :, None] + keys[:, None]  # (B, T, S, D)
            scores = asked.tanh() @ self.v
        else:
            scores = queries @ keys.transpose(1, 2)
        if self.score == "scaled-dot":
            scores = scores * queries.shape[2] ** -0.5
        weights = scores.masked_fill(~real[:, None], -math.inf).softmax(-1)
        return functional.dropout(weights, self.dropout, self.training) @ values, weights
