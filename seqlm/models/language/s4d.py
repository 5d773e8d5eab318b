"""S4D: diagonal state-space layers (Gu, Gupta, Goel & Ré 2022), stacked as a language model.

Each of H channels has a linear system of its own, with a diagonal A, discretized with a step of its
own (zero-order hold; B = 1 as in the paper):

    x'(t) = A x(t) + B u(t)                A̅ = e^{ΔA}
    y(t)  = 2 Re(C x(t)) + D u(t)          C̅ = C (e^{ΔA} - 1) / A        which holds B̅ too

    x_t = A̅ x_{t-1} + u_t                  one step
    y_t = 2 Re(C̅ x_t) + D u_t

Unrolled from a state x_0 over u_1 .. u_L, the outputs are a convolution and what is left of x_0:

    K_l = 2 Re(sum_n C̅_n A̅_n^l)                                          l = 0 .. L-1
    y_t = sum_l K_l u_{t-l} + 2 Re(sum_n C̅_n A̅_n^t x_0) + D u_t
    x_L = A̅^L x_0 + sum_t A̅^{L-t} u_t

All three are products with the Vandermonde matrix V = (A̅_n^l); the convolution is computed by an
FFT of length 2L. Longer segments are cut into chunks, whose outputs are computed at once and whose
states one after the other.

    B rows · T tokens · H channels · N = 2n numbers of a state: n complex, for n conjugate pairs
    A (H, n) = -e^a + ib, at first -1/2 + i pi n (S4D-Lin) · Δ (H), log-uniform in [.001, .1]

Complex numbers are pairs of real numbers along axis -2, since PyTorch computes products of real
tensors faster and in more cases. The layer (ibid., as in S4):

    layer(u) = W_1 z * sigma(W_2 z),    z = GELU(y(u))

Δ and A are trained at a rate of 0.001 at most, without weight decay, as by the authors.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, glu

from seqlm.models.config.state_space_config import S4DConfig
from seqlm.models.language.state_space import (
    StateSpaceLayer,
    StateSpaceModel,
    full_precision,
    move_parameters,
)
from seqlm.models.layers.linear import Linear
from seqlm.models.stored_model import ParameterGroup

CHUNK = 128
"""Tokens of one convolution: V grows with it, and so does the cost of a token."""
MAX_LR = 1e-3
"""The highest learning rate of Δ and A."""


class S4DLayer(StateSpaceLayer):
    def __init__(self, width: int, state: int) -> None:
        super().__init__()
        pairs = state // 2
        low, high = math.log(1e-3), math.log(1e-1)
        self.log_step = nn.Parameter(torch.empty(width).uniform_(low, high))  # ln Δ
        self.log_decay = nn.Parameter(torch.full((width, pairs), math.log(0.5)))  # a
        self.frequency = nn.Parameter(math.pi * torch.arange(pairs).float().repeat(width, 1))  # b
        self.C = nn.Parameter(torch.randn(width, 2, pairs) * math.sqrt(0.5))
        self.D = nn.Parameter(torch.randn(width))
        self.output = Linear(width, 2 * width)  # W_1, W_2

    def slow_parameters(self) -> list[nn.Parameter]:
        """Those of Δ and A."""
        return [self.log_step, self.log_decay, self.frequency]

    def initial_state(self, rows: int) -> Tensor:
        return self.C.new_zeros(rows, *self.C.shape)

    def forward(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """`state` (B, H, 2, n)."""
        with full_precision(u):
            u = u.to(self.C.dtype)
            y, state = (self.step if u.shape[1] == 1 else self.convolve)(u, state)
        return glu(self.output(gelu(y)), -1), state

    def discretize(self) -> tuple[Tensor, Tensor, Tensor]:
        """ΔA, A̅ and 2 C̅, (H, 2, n) each."""
        decay, step = -self.log_decay.exp(), self.log_step.exp()[:, None]
        A = torch.stack([decay, self.frequency], -2)
        inverse = torch.stack([decay, -self.frequency], -2) / A.square().sum(-2, keepdim=True)
        exponent = step[:, None] * A
        A_bar = power(exponent, 1)
        A_bar_minus_1 = torch.stack([A_bar[:, 0] - 1, A_bar[:, 1]], 1)
        return exponent, A_bar, 2 * product(self.C, product(A_bar_minus_1, inverse))

    def step(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """One token: (B, 1, H) -> (B, 1, H), and the next state."""
        _, A_bar, C = self.discretize()
        x = product(A_bar, x)
        x[:, :, 0] += u[:, 0, :, None]
        (C_real, C_imaginary), (real, imaginary) = C.unbind(1), x.unbind(2)
        y = (C_real * real).addcmul(C_imaginary, imaginary, value=-1).sum(2)[:, None]  # (B, 1, H)
        return torch.addcmul(y, self.D, u), x

    def convolve(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, H) -> (B, T, H), and the state after T tokens."""
        exponent, A_bar, C = self.discretize()
        T = u.shape[1]
        L = min(T, CHUNK)
        V: Tensor = Vandermonde.apply(exponent, L)  # (H, N, L)
        outputs = []
        for part in u.split(T - T % L, 1):  # the whole chunks, then the rest
            y, x = self.convolve_chunks(part, x, V[..., : part.shape[1]], exponent, A_bar, C)
            outputs.append(y)
        return torch.cat(outputs, 1), x

    def convolve_chunks(
        self, u: Tensor, x: Tensor, V: Tensor, exponent: Tensor, A_bar: Tensor, C: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, c L, H) -> (B, c L, H), and the state after c chunks."""
        B, _, H = u.shape
        L, n = V.shape[-1], exponent.shape[-1]
        u = u.view(B, -1, L, H).permute(3, 0, 1, 2).contiguous()  # (H, B, c, L)
        # What each chunk adds to the state at its end, and the states at the chunks' beginnings.
        added = u.flip(-1).flatten(1, 2) @ V.mT  # (H, B c, N)
        added = added.view(H, B, -1, 2, n).permute(2, 1, 0, 3, 4)  # (c, B, H, 2, n)
        decay, states = power(exponent, L), [x]
        for added_by_chunk in added:
            states.append(product(decay, states[-1]) + added_by_chunk)
        before = torch.stack(states[:-1])
        # What these states add to the outputs. K is what a state of 1 would add.
        before = conjugate(before).permute(2, 1, 0, 3, 4).reshape(H, -1, 2, n)
        weights = product(conjugate(product(C, A_bar))[:, None], before)
        weights = torch.cat([conjugate(C)[:, None], weights], 1)  # (H, 1 + B c, 2, n)
        K, from_states = (weights.flatten(2) @ V).split([1, before.shape[1]], 1)  # (H, .., L)
        K = torch.cat([K[..., :1] + self.D[:, None, None], K[..., 1:]], -1)  # D u_t belongs to K_0
        y = convolution(u, K[:, None]) + from_states.view(u.shape)
        return y.permute(1, 2, 3, 0).reshape(B, -1, H), states[-1]


def convolution(u: Tensor, K: Tensor) -> Tensor:
    """(.., L) * (.., L) -> (.., L), causal: y_t = sum_l K_l u_{t-l}."""
    L = u.shape[-1]
    length = 2 * L + -2 * L % 16  # a large prime factor would cost more than the padding
    spectrum = torch.fft.rfft(u, length) * torch.fft.rfft(K, length)
    y: Tensor = torch.fft.irfft(spectrum, length)
    return y[..., :L]


def product(p: Tensor, q: Tensor) -> Tensor:
    """p q for complex numbers as pairs (.., 2, n)."""
    (a, b), (c, d) = p.unbind(-2), q.unbind(-2)
    return torch.stack([(a * c).addcmul(b, d, value=-1), (a * d).addcmul(b, c)], -2)


def conjugate(p: Tensor) -> Tensor:
    """p* for complex numbers as pairs (.., 2, n)."""
    return torch.stack([p.select(-2, 0), -p.select(-2, 1)], -2)


def power(exponent: Tensor, steps: int) -> Tensor:
    """e^{l p} for l = `steps` and complex p as pairs (.., 2, n)."""
    decay, angle = (exponent * steps).unbind(-2)
    size = decay.exp()
    return torch.stack([size * angle.cos(), size * angle.sin()], -2)


class Vandermonde(torch.autograd.Function):
    """V (H, N, L), which holds e^{l p} for l < L and p as pairs (H, 2, n), the real parts first.

    Since d e^{l p} / dp = l e^{l p}, the backward pass is two sums, where autograd would go through
    V a dozen times.
    """

    @staticmethod
    def forward(ctx: Any, exponent: Tensor, L: int) -> Tensor:
        steps = torch.arange(L, device=exponent.device, dtype=exponent.dtype)
        decay, angle = (exponent[..., None] * steps).unbind(1)  # (H, n, L)
        size = decay.exp_()
        V = torch.cat([angle.cos().mul_(size), angle.sin_().mul_(size)], 1)
        ctx.save_for_backward(V, steps)
        return V

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dV: Tensor) -> tuple[Tensor, None]:
        V, steps = ctx.saved_tensors
        (real, imaginary), (d_real, d_imaginary) = V.chunk(2, 1), dV.chunk(2, 1)  # (H, n, L)
        d_decay = (real * d_real).addcmul_(imaginary, d_imaginary) @ steps
        d_angle = (real * d_imaginary).addcmul_(imaginary, d_real, value=-1) @ steps
        return torch.stack([d_decay, d_angle], 1), None


class S4D(StateSpaceModel):
    config_class = S4DConfig

    def __init__(self, config: S4DConfig) -> None:
        layers = (S4DLayer(config.width, config.state_size) for _ in range(config.layers))
        super().__init__(config, layers, nn.LayerNorm)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Δ and A have a bounded learning rate and no weight decay."""
        layers = cast(list[S4DLayer], list(self.layers))
        slow = [p for layer in layers for p in layer.slow_parameters()]
        slow_group = ParameterGroup(slow, max_lr=MAX_LR, weight_decay=False)
        return move_parameters(super().parameter_groups(), slow_group)
