"""The LSTM's layer, and its variants: with peepholes, with coupled gates, or with both.

    x_t, h_t   the layer's input and output at step t      c_t   its cell      * works elementwise

    i_t = sigma(W_i x_t + U_i h_{t-1} + w_i * c_{t-1} + b_i)
    f_t = sigma(W_f x_t + U_f h_{t-1} + w_f * c_{t-1} + b_f)
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)
    c_t = f_t * c_{t-1} + i_t * g_t
    o_t = sigma(W_o x_t + U_o h_{t-1} + w_o * c_t + b_o)
    h_t = o_t * tanh(c_t)

*Peepholes* (Gers & Schmidhuber 2000) are the vectors w: gates see the cell they guard, which a
closed output gate hides from h; without them w = 0. *Coupled gates* (CIFG, Greff et al. 2015) write
as much as they forget: i_t = 1 - f_t, and W_i, U_i, w_i and b_i do not exist.

PyTorch has one kernel for the usual LSTM, in float32, and none for the variants: these, and wide
layers where products are rounded to bfloat16 (`linear.py`), run in an `autograd.Function`. All
W x_t are one product. In the backward pass so are the gradients of W, U and x; only dz_t U, the
gradient of h_{t-1}, is computed step by step. With z the sums inside sigma and tanh, all factors K
below are known before the first step of the backward pass:

    dc_t     += dh_t * K_t        K_t   = o_t - h_t * tanh(c_t) + w_o * K_o
    dz_o      = dh_t * K_o        K_o   = h_t * (1 - o_t)
    dz_i      = dc_t * K_i        K_i   = g_t * i_t * (1 - i_t)
    dz_f      = dc_t * K_f        K_f   = c_{t-1} * f_t * (1 - f_t),  coupled (c_{t-1} - g_t) * ..
    dz_g      = dc_t * K_g        K_g   = i_t * (1 - g_t^2)
    dc_{t-1}  = dc_t * K_c        K_c   = f_t + w_i * K_i + w_f * K_f
    dh_{t-1} += dz_t U

Shapes: B rows, T steps, D units, E wide inputs, G gates in `nn.LSTM`'s order (i), f, g, o.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqlm.models.layers.linear import (
    onednn_linear,
    repeated_linear,
    rounds_factors,
    weight_gradient,
)

LEAST_UNITS = 256
"""The width D from which products of bfloat16 save more time than PyTorch's kernel does."""


class LSTMLayer(nn.LSTM):
    """One layer of `nn.LSTM(batch_first=True)`, which may compute with products of bfloat16."""

    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, input_width: int, width: int) -> None:
        """`input_width` is E, `width` D."""
        super().__init__(input_width, width, batch_first=True)

    def forward(  # type: ignore[override]
        self, x: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, T, E) and h, c, each (1, B, D) -> (B, T, D) and the last h, c."""
        if self.has_rounded_products():
            x, h, c = self.run(x, state[0][0], state[1][0], self.weight_hh_l0)
            return x, (h[None], c[None])
        outputs: tuple[Tensor, tuple[Tensor, Tensor]] = super().forward(x, state)
        return outputs

    def has_rounded_products(self) -> bool:
        """Whether `run` is to be called."""
        return rounds_factors(self.weight_hh_l0) and self.hidden_size >= LEAST_UNITS

    def run(self, x: Tensor, h: Tensor, c: Tensor, weight_hh: Tensor) -> tuple[Tensor, ...]:
        """x (B, T, E) from h and c (B, D), with `weight_hh` (4 D, D) as U -> (B, T, D), h, c."""
        b = self.bias_ih_l0 + self.bias_hh_l0
        weights = self.weight_ih_l0, weight_hh, b
        output, c = LSTMFunction.apply(x, h, c, *weights, None, None)  # (T, B, D), (B, D)
        return output.transpose(0, 1), output[-1], c


class LSTMVariantLayer(nn.Module):
    """It is called, and its parameters are named, as one layer of `nn.LSTM(batch_first=True)`."""

    def __init__(self, input_width: int, width: int, peephole: bool, coupled: bool) -> None:
        """`input_width` is E, `width` D. Parameters are drawn from U(+-1/sqrt(D)), as PyTorch's."""
        super().__init__()
        self.peephole, self.coupled, self.hidden_size = peephole, coupled, width
        gates = (3 if coupled else 4) * width
        self.weight_ih_l0 = nn.Parameter(torch.empty(gates, input_width))
        self.weight_hh_l0 = nn.Parameter(torch.empty(gates, width))
        self.bias_ih_l0 = nn.Parameter(torch.empty(gates))
        self.bias_hh_l0 = nn.Parameter(torch.empty(gates))
        if peephole:
            if not coupled:
                self.peephole_i = nn.Parameter(torch.empty(width))
            self.peephole_f = nn.Parameter(torch.empty(width))
            self.peephole_o = nn.Parameter(torch.empty(width))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, T, E) and h, c, each (1, B, D) -> (B, T, D) and the last h, c."""
        x, h, c = self.run(x, state[0][0], state[1][0], self.weight_hh_l0)
        return x, (h[None], c[None])

    def run(self, x: Tensor, h: Tensor, c: Tensor, weight_hh: Tensor) -> tuple[Tensor, ...]:
        """x (B, T, E) from h and c (B, D), with `weight_hh` (G D, D) as U -> (B, T, D), h, c.

        It computes in float32 under autocast too, since a cell is a sum over the whole text.
        """
        with torch.autocast(x.device.type, enabled=False):
            output, c = LSTMFunction.apply(
                x.to(self.weight_ih_l0.dtype),
                h,
                c,
                self.weight_ih_l0,
                weight_hh,
                self.bias_ih_l0 + self.bias_hh_l0,
                *self.peepholes(),
            )  # (T, B, D), (B, D)
        return output.transpose(0, 1), output[-1], c

    def peepholes(self) -> tuple[Tensor | None, Tensor | None]:
        """w_i above w_f (2, D), or w_f alone (1, D) where gates are coupled; and w_o (D,)."""
        if not self.peephole:
            return None, None
        input_forget = (self.peephole_f,) if self.coupled else (self.peephole_i, self.peephole_f)
        return torch.stack(input_forget), self.peephole_o


class LSTMFunction(torch.autograd.Function):
    """x (B, T, E), h and c (B, D), W (G D, E), U (G D, D), b (G D,), and the peepholes or None
    -> h_t of all steps (T, B, D), the last c (B, D)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h: Tensor,
        c: Tensor,
        W: Tensor,
        U: Tensor,
        b: Tensor,
        peephole_if: Tensor | None,
        peephole_o: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        B, T, E = x.shape
        D = h.shape[1]
        x = x.transpose(0, 1).reshape(T * B, E)
        gates = onednn_linear(x, W, b).view(T, B, -1, D)  # z, which becomes i, f, g, o in place
        output, cells = x.new_empty(T, B, D), x.new_empty(T, B, D)
        first = h, c
        recurrent, coupled = repeated_linear(U, B), gates.shape[2] == 3
        parts = gates.flatten(2), gates[:, :, :-2], *(gates[:, :, k] for k in (0, -3, -2, -1))
        for z, input_forget, i, f, g, o, h_t, c_t in zip(*parts, output, cells):
            z.add_(recurrent(h))
            if peephole_if is not None:
                input_forget.addcmul_(c[:, None], peephole_if)
            input_forget.sigmoid_()  # i and f; f alone where they are coupled
            g.tanh_()
            if coupled:
                torch.lerp(g, c, f, out=c_t)
            else:
                torch.mul(f, c, out=c_t).addcmul_(i, g)
            if peephole_o is not None:
                o.addcmul_(c_t, peephole_o)
            torch.mul(o.sigmoid_(), c_t.tanh(), out=h_t)
            h, c = h_t, c_t
        ctx.save_for_backward(x, *first, W, U, peephole_if, peephole_o, gates, output, cells)
        return output, c.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor, dc: Tensor) -> Any:
        x, h, c, W, U, peephole_if, peephole_o, gates, output, cells = ctx.saved_tensors
        T, B, _, D = gates.shape
        h_before, c_before = torch.cat([h[None], output[:-1]]), torch.cat([c[None], cells[:-1]])
        *i, f, g, o = gates.unbind(2)  # (T, B, D) each
        coupled = not i
        K_o = torch.addcmul(output, output, o, value=-1)
        K = torch.addcmul(o, output, cells.tanh(), value=-1)
        if peephole_o is not None:
            K.addcmul_(K_o, peephole_o)
        input_gate = 1 - f if coupled else i[0]
        written, kept = input_gate * g, (c_before - g if coupled else c_before) * f
        K_ifg = torch.empty_like(gates[:, :, :-1])  # (T, B, G-1, D)
        if not coupled:
            torch.addcmul(written, written, input_gate, value=-1, out=K_ifg[:, :, 0])
        torch.addcmul(kept, kept, f, value=-1, out=K_ifg[:, :, -2])
        torch.addcmul(input_gate, written, g, value=-1, out=K_ifg[:, :, -1])
        K_c = f if peephole_if is None else f + (K_ifg[:, :, :-1] * peephole_if).sum(2)

        dz, dh, recurrent = torch.empty_like(gates), torch.zeros_like(h), repeated_linear(U.t(), B)
        parts = dz.flatten(2), dz[:, :, :-1], dz[:, :, -1], d_output, K, K_o, K_ifg, K_c
        for dz_t, dz_ifg, dz_o, *factors in zip(*(part.unbind()[::-1] for part in parts)):
            d_output_t, K_t, K_o_t, K_ifg_t, K_c_t = factors
            dh = dh + d_output_t
            dc = dc.addcmul(dh, K_t)
            torch.mul(dh, K_o_t, out=dz_o)
            torch.mul(dc[:, None], K_ifg_t, out=dz_ifg)
            dc = dc * K_c_t
            dh = recurrent(dz_t)

        flat = dz.view(T * B, -1)
        dx = onednn_linear(flat, W.t()).view(T, B, -1).transpose(0, 1)
        dW, dU = (weight_gradient(flat, y) for y in (x, h_before.view(T * B, D)))
        d_if = d_o = None
        if peephole_if is not None:
            d_if = (dz[:, :, :-2] * c_before[:, :, None]).sum((0, 1))
            d_o = (dz[:, :, -1] * cells).sum((0, 1))
        return dx, dh.to(x.dtype), dc, dW, dU, flat.sum(0), d_if, d_o
