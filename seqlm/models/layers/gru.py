"""The GRU's layer on a CPU, in twice the speed of torch's own.

    x_t, h_t   what the layer reads and gives at t      * works elementwise

    r_t = sigma(W_r x_t + U_r h_{t-1} + b_r)
    z_t = sigma(W_z x_t + U_z h_{t-1} + b_z)
    u_t = U_n h_{t-1} + b_u
    n_t = tanh(W_n x_t + b_n + r_t * u_t)
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}

Torch's own GRU multiplies with MKL (see `linear.py`), and step by step backwards too. Here one
`autograd.Function` holds the recurrence, as in `gated.py`: all W x_t are one product, and so are,
backwards, the gradients of W, U and x. Below, d is of the sums inside sigma and tanh:

    dn_t = dh_t * K_n      K_n = (1 - z_t) * (1 - n_t^2)
    dz_t = dh_t * K_z      K_z = (h_{t-1} - n_t) * z_t * (1 - z_t)
    dr_t = dn_t * K_r      K_r = u_t * r_t * (1 - r_t)
    du_t = dn_t * r_t
    dh_{t-1} += dh_t * z_t + [dr_t; dz_t; du_t] U

Shapes: B rows, T steps, D units, E wide inputs; gates in torch's order r, z, n.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqlm.models.layers.linear import linear


class GRULayer(nn.GRU):
    """One layer of `nn.GRU(batch_first=True)`, which it is on other devices, under autocast and
    `torch.compile`."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size, width, batch_first=True)

    def forward(  # type: ignore[override]
        self, x: Tensor, h: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, T, E) and h (1, B, D), by default 0 -> (B, T, D) and the last h (1, B, D)."""
        if (
            x.device.type != "cpu"
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
        ):
            torchs: tuple[Tensor, Tensor] = super().forward(x, h)
            return torchs
        before = x.new_zeros(len(x), self.hidden_size) if h is None else h[0]
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        output: Tensor = Recurrence.apply(x, before, *weights)  # (T, B, D)
        return output.transpose(0, 1), output[-1:]


class Recurrence(torch.autograd.Function):
    """x (B, T, E), h (B, D), W (3 D, E), U (3 D, D), b_{r,z,n} and b_u, each (3 D,), the last with
    two parts that add to b_r and b_z -> h_t of all steps (T, B, D)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, b_u: Tensor
    ) -> Tensor:
        B, T, E = x.shape
        D = h.shape[1]
        x = x.transpose(0, 1).reshape(T * B, E)
        gates = linear(x, W, b).view(T, B, 3, D)  # W x + b, which becomes r, z, n in place
        output, inner, first = x.new_empty(T, B, D), x.new_empty(T, B, D), h
        for gate, h_t, u in zip(gates, output, inner):
            back = linear(h, U, b_u).view(B, 3, D)
            r, z = gate[:, :2].add_(back[:, :2]).sigmoid_().unbind(1)
            u.copy_(back[:, 2])
            n = gate[:, 2].addcmul_(r, u).tanh_()
            h = torch.lerp(n, h, z, out=h_t)
        ctx.save_for_backward(x, first, W, U, gates, inner, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor) -> Any:
        x, h, W, U, gates, u, output = ctx.saved_tensors
        T, B, _, D = gates.shape
        h_before = torch.cat([h[None], output[:-1]])
        r, z, n = gates.unbind(2)  # (T, B, D) each
        K_n = (1 - z) * (1 - n.square())
        K_z = (h_before - n) * z * (1 - z)
        K_r = u * r * (1 - r)

        into, back = torch.empty_like(gates), torch.empty_like(gates)  # dr, dz and dn, or du
        dh = torch.zeros_like(h)
        for t in reversed(range(T)):
            dh = dh + d_output[t]
            dn = torch.mul(dh, K_n[t], out=into[t, :, 2])
            torch.mul(dn, K_r[t], out=back[t, :, 0])
            torch.mul(dh, K_z[t], out=back[t, :, 1])
            torch.mul(dn, r[t], out=back[t, :, 2])
            dh = linear(back[t].view(B, -1), U.t()).addcmul_(dh, z[t])
        into[:, :, :2] = back[:, :, :2]

        into, back = into.view(T * B, -1), back.view(T * B, -1)
        dx = linear(into, W.t()).view(T, B, -1).transpose(0, 1)
        dW, dU = linear(into.t(), x.t()), linear(back.t(), h_before.view(T * B, D).t())
        return dx, dh, dW, dU, into.sum(0), back.sum(0)
