"""Mamba-2 (Dao & Gu 2024): selective state spaces as products of matrices.

As in Mamba (`mamba.py`), B, C and the step Δ are functions of the input, but A is one number for
the P channels of a head instead of N for each channel. The recurrence is then a product of matrices
("state-space duality"), which is faster in plain PyTorch. A head reads X (P) and has a state h
(P, N):

    a_t = Δ_t A                              Δ_t = softplus(.. + bias),  A = -e^{A_log}
    h_t = e^{a_t} h_{t-1} + Δ_t X_t B_t'     (2a; zero-order hold for A, Euler for B)
    Y_t = h_t C_t + D X_t                    (2b)

The parallel form (section 6, listing 1) cuts a segment into chunks of L steps. With the decay from
s to t

    L_ts = exp(a_{s+1} + .. + a_t) for s <= t, else 0

the outputs of a chunk that begins in the state h_0 are

    Y_t = sum_{s<=t} L_ts (C_t · B_s) Δ_s X_s  +  exp(a_1 + .. + a_t) h_0 C_t
    h_L = exp(a_1 + .. + a_L) h_0  +  sum_s L_Ls Δ_s X_s B_s'

which are four products of matrices over all chunks at once; only h goes from chunk to chunk. Sums
of a are never differences of longer sums, which would lose precision.

The layer (figure 6): one projection gives the gate z, X, B, C and Δ; X, B and C pass through a
short causal convolution, one filter for each channel; the output is normalized after the gate.

    z, x, B, C, δ = W u
    X, B, C       = silu(conv(x, B, C))
    layer(u)      = W_o RMSNorm(Y * silu(z))

    B rows · T tokens · D width · I = expand D inner channels · H = I / P heads · K filter width

A begins uniform in [-16, -1], Δ log-uniform in [.001, .1]; neither they nor D have weight decay.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from seqlm.models.config.state_space_config import Mamba2Config
from seqlm.models.language.mamba import init_conv, init_dt_bias, rms_norm
from seqlm.models.language.state_space import StateSpaceLayer, StateSpaceModel, full_precision
from seqlm.models.layers.depthwise_conv import depthwise_conv
from seqlm.models.layers.linear import Linear

CHUNK = 64
"""The most steps of a chunk: its quadratic part then costs about as much as the rest."""


class Mamba2State(NamedTuple):
    """The state of a layer."""

    conv_tail: Tensor  # (B, K-1, I + 2N), the last inputs of the convolution
    h: Tensor  # (B, H, P, N)


class Mamba2Layer(StateSpaceLayer):
    def __init__(self, config: Mamba2Config) -> None:
        super().__init__()
        inner, heads = config.inner_width, config.inner_width // config.channels_per_head
        self.sizes = [inner, config.state_size, config.state_size]  # X, B, C
        self.head_width = config.channels_per_head
        self.in_proj = Linear(config.width, inner + sum(self.sizes) + heads, bias=False)
        self.conv_weight, self.conv_bias = init_conv(sum(self.sizes), config.conv_kernel)
        self.dt_bias = init_dt_bias(heads)
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(heads))
        self.norm = rms_norm(inner)
        self.out_proj = Linear(inner, config.width, bias=False)

    def initial_state(self, rows: int) -> Mamba2State:
        (inner, N, _), P = self.sizes, self.head_width
        zeros = self.A_log.new_zeros
        conv_tail = zeros(rows, self.conv_weight.shape[1] - 1, sum(self.sizes))
        return Mamba2State(conv_tail, zeros(rows, inner // P, P, N))

    def forward(self, u: Tensor, state: Mamba2State) -> tuple[Tensor, Mamba2State]:
        sizes = [self.sizes[0], sum(self.sizes), self.A_log.shape[0]]
        z, xBC, delta = self.in_proj(u).split(sizes, -1)
        with full_precision(u):
            xBC = torch.cat([state.conv_tail, xBC.to(state.h.dtype)], 1)  # (B, K-1 + T, I + 2N)
            conv_tail = xBC[:, u.shape[1] :].clone()
            xBC = silu(depthwise_conv(xBC, self.conv_weight, self.conv_bias))
            x, B, C = xBC.split(self.sizes, -1)
            X = x.unflatten(-1, (-1, self.head_width))  # (B, T, H, P)
            delta = softplus(delta.to(X.dtype) + self.dt_bias)  # (B, T, H)
            scan = recurrence if u.shape[1] == 1 else chunked
            Y, h = scan(delta[..., None] * X, -delta * self.A_log.exp(), B, C, state.h)
            Y = Y + self.D[:, None] * X
        return self.out_proj(self.norm(Y.flatten(2) * silu(z))), Mamba2State(conv_tail, h)


def recurrence(dX: Tensor, a: Tensor, B: Tensor, C: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """ΔX (B, T, H, P), a (B, T, H), B and C (B, T, N), h_0 (B, H, P, N) -> Y (B, T, H, P), h_T.

    Y is still without D X.
    """
    outputs = []
    for t in range(dX.shape[1]):
        decayed = a[:, t, :, None, None].exp() * h
        h = decayed.addcmul(dX[:, t, :, :, None], B[:, t, None, None])
        outputs.append(h.flatten(1, 2) @ C[:, t, :, None])  # (B, H P, 1)
    return torch.stack(outputs, 1).view_as(dX), h


def chunked(dX: Tensor, a: Tensor, B: Tensor, C: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """What `recurrence` computes, all chunks at once."""
    _, T, H, P = dX.shape
    chunks = -(-T // CHUNK)
    L = -(-T // chunks)
    if padding := chunks * L - T:  # steps that read nothing and forget nothing
        dX, a = pad(dX, (0, 0, 0, 0, 0, padding)), pad(a, (0, 0, 0, padding))
        B, C = pad(B, (0, 0, 0, padding)), pad(C, (0, 0, 0, padding))
    dX, a = dX.unflatten(1, (chunks, L)), a.unflatten(1, (chunks, L))  # (B, c, L, H, ..)
    B, C = B.unflatten(1, (chunks, L)), C.unflatten(1, (chunks, L))  # (B, c, L, N)
    a = a.transpose(2, 3)  # (B, c, H, L)
    decay = decays(a)  # (B, c, H, L, L)
    # What the inputs of a chunk add to its outputs, and to the state at its end.
    within = decay * (C @ B.mT)[:, :, None]  # (B, c, H, t, s)
    Y = (within @ dX.transpose(2, 3)).transpose(2, 3)  # (B, c, L, H, P)
    decayed = (dX * decay[..., -1, :].transpose(2, 3)[..., None]).flatten(3)  # (B, c, L, H P)
    added = (decayed.mT @ B).unflatten(2, (H, P))  # (B, c, H, P, N)
    # The state before each chunk, and what it adds to the outputs.
    chunk_decay, states = a.sum(-1).exp(), [h]  # (B, c, H)
    for k in range(chunks):
        states.append(chunk_decay[:, k, :, None, None] * states[-1] + added[:, k])
    before = torch.stack(states[:-1], 1).flatten(2, 3)  # (B, c, H P, N)
    decay_from_start = a.cumsum(-1).exp().transpose(2, 3)  # (B, c, L, H)
    Y = Y + decay_from_start[..., None] * (C @ before.mT).unflatten(-1, (H, P))
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


class Mamba2(StateSpaceModel):
    config_class = Mamba2Config

    def __init__(self, config: Mamba2Config) -> None:
        layers = (Mamba2Layer(config) for _ in range(config.layers))
        super().__init__(config, layers, rms_norm)
