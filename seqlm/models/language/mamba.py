"""Mamba: selective state spaces (Gu & Dao 2023).

The input selects what a state keeps: B, C and the step Δ are functions of it (algorithm 2). Each of
I inner channels has a state h of N numbers and a diagonal matrix A of its own:

    A̅_t = exp(Δ_t A)                       zero-order hold (4),  A = -e^{A_log}
    h_t = A̅_t h_{t-1} + Δ_t x_t B_t        (2a), with Euler's rule for B
    y_t = C_t · h_t + D x_t                (2b)

The layer (figure 3; section 3.6 for the rank R of Δ):

    x, z     = W_in u
    x        = silu(conv(x))               causal, a filter of width K for each channel
    δ, B, C  = W_x x                       of width R, N and N
    Δ        = softplus(W_Δ δ + b_Δ)
    layer(u) = W_out (y * silu(z))

The output of a fresh layer is small, as a product of x and z without a norm. Embeddings therefore
begin with a standard deviation of about .02, as in the authors' code: if they are larger, the first
steps of training make up for it with weights so large that the layers' outputs explode (Penn
Treebank, 120 steps: 6.44 nats a token with the scale sqrt(D) of the other models, 5.96 with .3).

A begins as -(1 .. N) in each channel (S4D-Real), b_Δ so that softplus(b_Δ) is log-uniform in
[.001, .1]. A_log, D and b_Δ have no weight decay.

Two steps h -> a h + b in a row are one step of the same form, so that the recurrence is a scan with
the associative operation

    (a_1, b_1) then (a_2, b_2)  =  (a_2 a_1, a_2 b_1 + b_2)

All factors a lie between 0 and 1, so that nothing overflows in any order of computation. As in
section 3.3.2, the states of all tokens are never in memory together: the scan saves every eighth of
them, and its backward pass computes the others again. It is parallel over the rows, channels and
numbers of a state, which keeps a CPU busy. A GPU has room for more: there, `parallel_scan` cuts the
segment into chunks, which are scanned at the same time.

B rows · T tokens · D width · I = expand D inner channels · N numbers a channel · R rank of Δ
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from seqlm.models.config.state_space_config import MambaConfig
from seqlm.models.language.state_space import (
    StateSpaceLayer,
    StateSpaceModel,
    full_precision,
    move_parameters,
)
from seqlm.models.layers.depthwise_conv import depthwise_conv
from seqlm.models.layers.linear import Linear
from seqlm.models.stored_model import ParameterGroup

EMBEDDING_SCALE = 0.3
"""What embeddings, which are drawn from U(+-0.1), are multiplied by."""
SAVE_EVERY = 8
"""Steps from one state that the scan keeps for its backward pass to the next."""
NUMBERS_AT_ONCE = 1 << 22
"""The most numbers, in the states of all rows and chunks, that a GPU computes in one step."""


class MambaState(NamedTuple):
    """The state of a layer."""

    conv_tail: Tensor  # (B, K-1, I), the last inputs of the convolution
    h: Tensor  # (B, N, I)


class MambaLayer(StateSpaceLayer):
    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        inner, N, R = config.inner_width, config.state_size, config.rank
        self.sizes = [R, N, N]  # δ, B, C
        self.in_proj = Linear(config.width, 2 * inner, bias=False)  # x, z
        self.conv_weight, self.conv_bias = init_conv(inner, config.conv_kernel)
        self.x_proj = Linear(inner, sum(self.sizes), bias=False)
        self.dt_proj = Linear(R, inner)
        self.dt_proj.bias = init_dt_bias(inner)
        self.A_log = nn.Parameter(torch.arange(1.0, N + 1).log().repeat(inner, 1))  # (I, N)
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = Linear(inner, config.width, bias=False)

    def initial_state(self, rows: int) -> MambaState:
        (inner, N), K = self.A_log.shape, self.conv_weight.shape[1]
        zeros = self.A_log.new_zeros
        return MambaState(zeros(rows, K - 1, inner), zeros(rows, N, inner))

    def forward(self, u: Tensor, state: MambaState) -> tuple[Tensor, MambaState]:
        x, z = self.in_proj(u).chunk(2, -1)  # (B, T, I) each
        with full_precision(u):
            x = torch.cat([state.conv_tail, x.to(state.h.dtype)], 1)  # (B, K-1 + T, I)
            conv_tail = x[:, u.shape[1] :].clone()
            x = silu(depthwise_conv(x, self.conv_weight, self.conv_bias))  # (B, T, I)
            delta, B, C = self.x_proj(x).split(self.sizes, -1)  # (B, T, R), (B, T, N) twice
            # oneDNN is a thousand times slower on the gradient of a view.
            delta = softplus(self.dt_proj(delta.contiguous()))  # (B, T, I)
            A = -self.A_log.exp().T  # (N, I)
            scan = step if u.shape[1] == 1 else parallel_scan
            y, h = scan(delta * x, delta, A, B, C, state.h)
            y = y + self.D * x
        return self.out_proj(y * silu(z)), MambaState(conv_tail, h)


# ----------------------------------------------------------- also used by Mamba-2 (`mamba2.py`)


def rms_norm(width: int) -> nn.Module:
    return nn.RMSNorm(width, eps=1e-5)


def init_conv(channels: int, kernel: int) -> tuple[nn.Parameter, nn.Parameter]:
    """The weight (C, K) and bias (C,) of a depthwise convolution."""
    bound = 1 / math.sqrt(kernel)
    weight = nn.Parameter(torch.empty(channels, kernel).uniform_(-bound, bound))
    return weight, nn.Parameter(torch.zeros(channels))


def init_dt_bias(size: int) -> nn.Parameter:
    """(size,) b such that softplus(b), the step Δ at first, is log-uniform in [.001, .1]."""
    delta = torch.empty(size).uniform_(math.log(1e-3), math.log(1e-1)).exp()
    return nn.Parameter(delta + (-(-delta).expm1()).log())  # the inverse of softplus


# ------------------------------------------------------------------------------------- recurrence

# Both forms take Δx and Δ (B, T, I), A (N, I), B and C (B, T, N), h_0 (B, N, I), and return
# y (B, T, I), still without D x, and h_T (B, N, I).


def step(
    delta_x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, h: Tensor
) -> tuple[Tensor, Tensor]:
    """One token, T = 1."""
    h = (delta * A).exp() * h + delta_x * B.mT
    return C @ h, h


def parallel_scan(
    delta_x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    h: Tensor,
    chunks: int | None = None,
) -> tuple[Tensor, Tensor]:
    """T tokens, in as many chunks as suit the device, or in `chunks`."""
    T = delta_x.shape[1]
    chunks = chunks or best_number_of_chunks(delta_x, len(A))
    if chunks == 1:
        y, h = SelectiveScan.apply(delta_x, delta, A, B, C, h)
        return y, h
    L = -(-T // chunks)
    padding = (0, 0, 0, chunks * L - T)  # steps that read nothing and forget nothing
    delta_x, delta, B, C = (
        pad(x, padding).unflatten(1, (chunks, L)).flatten(0, 1) for x in (delta_x, delta, B, C)
    )  # (B c, L, ..)
    # The state that each chunk ends with if it begins with 0, and the product of its A̅.
    _, added = SelectiveScan.apply(delta_x, delta, A, B, C, h.new_zeros(len(delta_x), *A.shape))
    added = added.unflatten(0, (-1, chunks))  # (B, c, N, I)
    decay = (delta.sum(1, keepdim=True) * A).exp().unflatten(0, (-1, chunks))
    # The state that each chunk really begins with, and from there its outputs.
    states = [h]
    for k in range(chunks):
        states.append(decay[:, k] * states[-1] + added[:, k])
    starts = torch.stack(states[:-1], 1).flatten(0, 1)  # (B c, N, I)
    y, _ = SelectiveScan.apply(delta_x, delta, A, B, C, starts)
    return y.unflatten(0, (-1, chunks)).flatten(1, 2)[:, :T], states[-1]


def best_number_of_chunks(delta_x: Tensor, N: int) -> int:
    """How many to scan at the same time: 1 on a CPU, where more of them are slower.

    c chunks take 2 T / c + c steps one after the other, the fewest for c = sqrt(2 T).
    """
    if not delta_x.is_cuda:
        return 1
    rows, T, inner = delta_x.shape
    return max(1, min(math.isqrt(2 * T), NUMBERS_AT_ONCE // (rows * N * inner)))


class SelectiveScan(torch.autograd.Function):
    """The recurrence in place, step by step.

    With k_t = A̅_t h_{t-1} and the gradient g_t of h_t, which gathers from the end:

        g_t     = C_t dy_t + A̅_{t+1} g_{t+1}
        d(Δx)_t = sum_n g_t B_t            dB_t = sum_i g_t Δ_t x_t
        dΔ_t    = sum_n g_t k_t A          dC_t = sum_i dy_t h_t
        dA      = sum_t g_t k_t Δ_t        dh_0 = A̅_1 g_1
    """

    @staticmethod
    def forward(
        ctx: Any, delta_x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, h: Tensor
    ) -> tuple[Tensor, Tensor]:
        h = h.clone()
        y, decay, saved = torch.empty_like(delta_x), torch.empty_like(h), []
        for t in range(delta_x.shape[1]):
            if t % SAVE_EVERY == 0:
                saved.append(h.clone())
            torch.mul(delta[:, t, None], A, out=decay).exp_()
            h.mul_(decay).addcmul_(delta_x[:, t, None], B[:, t, :, None])
            y[:, t, None] = torch.bmm(C[:, t, None], h)
        ctx.save_for_backward(delta_x, delta, A, B, C, *saved)
        return y, h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor, dh: Tensor) -> tuple[Tensor, ...]:
        delta_x, delta, A, B, C, *saved = ctx.saved_tensors
        d_delta_x, d_delta, dB, dC = (torch.empty_like(x) for x in (delta_x, delta, B, C))
        g, h, gk, dA = dh.clone(), torch.empty_like(dh), torch.empty_like(dh), torch.zeros_like(dh)
        decay, k = (dh.new_empty(SAVE_EVERY, *dh.shape) for _ in range(2))
        T = delta_x.shape[1]
        for first in reversed(range(0, T, SAVE_EVERY)):
            # The states after the saved one, again; then the gradients, from the last of them.
            h.copy_(saved[first // SAVE_EVERY])
            steps = list(zip(range(first, min(first + SAVE_EVERY, T)), decay, k))
            for t, decay_t, k_t in steps:
                torch.mul(delta[:, t, None], A, out=decay_t).exp_()
                torch.mul(decay_t, h, out=k_t)
                torch.addcmul(k_t, delta_x[:, t, None], B[:, t, :, None], out=h)
                dC[:, t, None] = torch.bmm(dy[:, t, None], h.mT)
            for t, decay_t, k_t in reversed(steps):
                g.addcmul_(dy[:, t, None], C[:, t, :, None])
                d_delta_x[:, t, None] = torch.bmm(B[:, t, None], g)
                dB[:, t, None] = torch.bmm(delta_x[:, t, None], g.mT)
                torch.mul(g, k_t, out=gk)
                dA.addcmul_(gk, delta[:, t, None])
                d_delta[:, t] = gk.mul_(A).sum(1)
                g.mul_(decay_t)
        return d_delta_x, d_delta, dA.sum(0), dB, dC, g


class Mamba(StateSpaceModel):
    config_class = MambaConfig

    def __init__(self, config: MambaConfig) -> None:
        layers = (MambaLayer(config) for _ in range(config.layers))
        super().__init__(config, layers, rms_norm)

    def embedding_scale(self) -> float:
        return EMBEDDING_SCALE

    def parameter_groups(self) -> list[ParameterGroup]:
        """A_log is a matrix that does not decay."""
        A_logs = [layer.A_log for layer in cast(Iterable[MambaLayer], self.layers)]
        return move_parameters(
            super().parameter_groups(), ParameterGroup(A_logs, weight_decay=False)
        )
