"""Mamba-2: selective state spaces (Gu & Dao 2023) as products of matrices (Dao & Gu 2024).

What is read decides what is kept: B, C and the step Δ are functions of the input. A is one number a
head, as in Mamba-2, where Mamba-1 has N for each channel; the recurrence is then a product of
matrices ("state-space duality"), many times faster in plain PyTorch. A head has P channels X and a
state h (P, N):

    a_t = Δ_t A                              Δ_t = softplus(.. + bias),  A = -e^{A_log}
    h_t = e^{a_t} h_{t-1} + Δ_t X_t B_t'     (2a; zero-order hold for A, Euler for B)
    Y_t = h_t C_t + D X_t                    (2b)

The parallel form (§6, listing 1) cuts a segment into chunks of L steps. With the decay from s to t

    L_ts = exp(a_{s+1} + .. + a_t) for s <= t, else 0

the outputs of a chunk that begins in the state h_0 are

    Y_t = sum_{s<=t} L_ts (C_t · B_s) Δ_s X_s  +  exp(a_1 + .. + a_t) h_0 C_t
    h_L = exp(a_1 + .. + a_L) h_0  +  sum_s L_Ls Δ_s X_s B_s'

four products of matrices over all chunks at once; only h goes from chunk to chunk. Sums of a are
never differences of longer sums, which lose precision.

The layer (figure 6): one projection gives gate z, X, B, C and Δ; X, B, C pass a short causal
convolution, one filter a channel; the output is normalised behind the gate.

    z, x, B, C, δ = W u
    X, B, C       = silu(conv(x, B, C))
    layer(u)      = W_o RMSNorm(Y * silu(z))

    B rows · T tokens · D width · I = expand D inner channels · H = I / P heads · K filter width

A begins uniform in [-16, -1], Δ log-uniform in [.001, .1]; both, and D, do not decay.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from seqlm.models.config.state_space_config import Mamba2Config
from seqlm.models.language.state_space import Layer, StateSpace, exactly
from seqlm.models.layers.linear import Linear

CHUNK = 64
"""The most steps of a chunk: what is quadratic in it then costs about as much as the rest."""


class Selective(NamedTuple):
    """The state of a layer."""

    tail: Tensor  # (B, K-1, I + 2N), what the convolution saw last
    h: Tensor  # (B, H, P, N)


def norm(width: int) -> nn.Module:
    return nn.RMSNorm(width, eps=1e-5)


class Mamba2Layer(Layer):
    def __init__(self, config: Mamba2Config) -> None:
        super().__init__()
        self.sizes = [config.inner, config.state, config.state]  # X, B, C
        self.head_width = config.channels
        inner, heads, mixed = config.inner, config.inner // config.channels, sum(self.sizes)
        self.input = Linear(config.width, inner + mixed + heads, bias=False)
        bound = 1 / math.sqrt(config.conv)
        self.filters = nn.Parameter(torch.empty(mixed, config.conv).uniform_(-bound, bound))
        self.filters_bias = nn.Parameter(torch.zeros(mixed))
        step = torch.empty(heads).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        self.step_bias = nn.Parameter(step + (-(-step).expm1()).log())  # softplus, inverted
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(heads))
        self.norm = norm(inner)
        self.output = Linear(inner, config.width, bias=False)

    def initial_state(self, rows: int) -> Selective:
        (inner, N, _), P = self.sizes, self.head_width
        zeros = self.A_log.new_zeros
        tail = zeros(rows, self.filters.shape[1] - 1, sum(self.sizes))
        return Selective(tail, zeros(rows, inner // P, P, N))

    def forward(self, u: Tensor, state: Selective) -> tuple[Tensor, Selective]:
        inner, mixed = self.sizes[0], sum(self.sizes)
        z, mix, step = self.input(u).split([inner, mixed, self.A_log.shape[0]], -1)
        with exactly(u):
            mix = torch.cat([state.tail, mix.to(state.tail.dtype)], 1)  # (B, K-1 + T, I + 2N)
            tail = mix[:, u.shape[1] :].clone()
            mixed_now = silu(DepthwiseConv.apply(mix, self.filters, self.filters_bias))
            x, B, C = mixed_now.split(self.sizes, -1)
            X = x.unflatten(-1, (-1, self.head_width))  # (B, T, H, P)
            delta = softplus(step.to(X.dtype) + self.step_bias)  # (B, T, H)
            scan = recurrence if u.shape[1] == 1 else chunked
            Y, h = scan(delta[..., None] * X, -delta * self.A_log.exp(), B, C, state.h)
            Y = Y + self.D[:, None] * X
        return self.output(self.norm(Y.flatten(2) * silu(z))), Selective(tail, h)


def recurrence(X: Tensor, a: Tensor, B: Tensor, C: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, H, P), (B, T, H), (B, T, N) twice, (B, H, P, N) -> Y (B, T, H, P), h. X has its Δ."""
    outputs = []
    for t in range(X.shape[1]):
        kept = a[:, t, :, None, None].exp() * h
        h = kept.addcmul(X[:, t, :, :, None], B[:, t, None, None])
        outputs.append(h @ C[:, t, None, :, None])  # (B, H, P, 1)
    return torch.stack(outputs, 1)[..., 0], h


def chunked(X: Tensor, a: Tensor, B: Tensor, C: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The same as `recurrence`, all chunks at once."""
    _, T, H, P = X.shape
    chunks = -(-T // CHUNK)
    L = -(-T // chunks)
    if over := chunks * L - T:  # steps that read nothing and forget nothing
        X, a = pad(X, (0, 0, 0, 0, 0, over)), pad(a, (0, 0, 0, over))
        B, C = pad(B, (0, 0, 0, over)), pad(C, (0, 0, 0, over))
    X, a = X.unflatten(1, (chunks, L)), a.unflatten(1, (chunks, L))  # (B, c, L, H, ..)
    B, C = B.unflatten(1, (chunks, L)), C.unflatten(1, (chunks, L))  # (B, c, L, N)
    a = a.transpose(2, 3)  # (B, c, H, L)
    decay = decays(a)  # (B, c, H, L, L)
    # What a chunk's inputs give its outputs, and the state behind it.
    within = decay * (C @ B.mT)[:, :, None]  # (B, c, H, t, s)
    Y = (within @ X.transpose(2, 3)).transpose(2, 3)  # (B, c, L, H, P)
    left = (X * decay[..., -1, :].transpose(2, 3)[..., None]).flatten(3)  # (B, c, L, H P)
    own = (left.mT @ B).unflatten(2, (H, P))  # (B, c, H, P, N)
    # The state before each chunk, and what it gives the outputs.
    whole, states = a.sum(-1).exp(), [h]  # (B, c, H)
    for k in range(chunks):
        states.append(whole[:, k, :, None, None] * states[-1] + own[:, k])
    before = torch.stack(states[:-1], 1).flatten(2, 3)  # (B, c, H P, N)
    kept = a.cumsum(-1).exp().transpose(2, 3)  # (B, c, L, H)
    Y = Y + kept[..., None] * (C @ before.mT).unflatten(-1, (H, P))
    return Y.flatten(1, 2)[:, :T], states[-1]


def decays(a: Tensor) -> Tensor:
    """(.., L) -> (.., L, L): exp(a_{s+1} + .. + a_t) at (t, s), 0 above the diagonal."""
    result: Tensor = Decays.apply(a)
    return result


class Decays(torch.autograd.Function):
    """Each sum is made of its own terms; the gradient of a_r is a sum over s < r <= t."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        L = a.shape[-1]
        terms = a[..., :, None].expand(*a.shape, L).tril(-1)  # a_t at (t, s), s < t
        decay = terms.cumsum_(-2).exp_().tril_()
        ctx.save_for_backward(decay)
        return decay

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_decay: Tensor) -> Tensor:
        [decay] = ctx.saved_tensors
        d_sums: Tensor = d_decay * decay  # (.., t, s)
        # A sum from s to t holds the terms s+1 .. t: those up to t, without those up to s.
        ends = d_sums.sum(-1) - d_sums.sum(-2)
        return ends.flip(-1).cumsum(-1).flip(-1)


class DepthwiseConv(torch.autograd.Function):
    """(B, T + K-1, C), (C, K), (C) -> (B, T, C), a filter a channel.

    Torch's own backward pass takes several times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, filters: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, filters)
        return depthwise(x, filters, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, filters = ctx.saved_tensors
        K, T = filters.shape[1], dy.shape[1]
        dx = depthwise(pad(dy, (0, 0, K - 1, K - 1)), filters.flip(1))
        d_filters = [(x[:, k : k + T] * dy).sum((0, 1)) for k in range(K)]
        return dx, torch.stack(d_filters, 1), dy.sum((0, 1))


def depthwise(x: Tensor, filters: Tensor, bias: Tensor | None = None) -> Tensor:
    y: Tensor = nn.functional.conv1d(x.mT, filters[:, None], bias, groups=len(filters))
    return y.mT


class Mamba2(StateSpace):
    config_class = Mamba2Config

    def __init__(self, config: Mamba2Config) -> None:
        layers = (Mamba2Layer(config) for _ in range(config.layers))
        super().__init__(config, layers, norm)
