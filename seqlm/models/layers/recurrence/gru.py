"""The GRU's layer on a CPU, twice as fast as PyTorch's own.

    x_t, h_t   the layer's input and output at step t      * works elementwise

    r_t = sigma(W_r x_t + U_r h_{t-1} + b_r)
    z_t = sigma(W_z x_t + U_z h_{t-1} + b_z)
    u_t = U_n h_{t-1} + b_u
    n_t = tanh(W_n x_t + b_n + r_t * u_t)
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}

PyTorch's GRU computes its products with MKL (see `linear.py`), in the backward pass too step by
step. Here one `autograd.Function` holds the recurrence, as in `lstm_variants.py`: all W x_t are one
product, and so are, in the backward pass, the gradients of W, U and x. Below, d is the gradient of
the sums inside sigma and tanh:

    dn_t = dh_t * K_n      K_n = (1 - z_t) * (1 - n_t^2)
    dz_t = dh_t * K_z      K_z = (h_{t-1} - n_t) * z_t * (1 - z_t)
    dr_t = dn_t * K_r      K_r = u_t * r_t * (1 - r_t)
    du_t = dn_t * r_t
    dh_{t-1} += dh_t * z_t + [dr_t; dz_t; du_t] U

Shapes: B rows, T steps, D units, E wide inputs; gates in PyTorch's order r, z, n.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqlm.models.layers.linear import onednn_linear, repeated_linear, weight_gradient


class GRULayer(nn.GRU):
    """One layer of `nn.GRU(batch_first=True)`. On other devices, under autocast and under
    `torch.compile` it runs PyTorch's code."""

    def __init__(self, input_width: int, width: int) -> None:
        """`input_width` is E, `width` D."""
        super().__init__(input_width, width, batch_first=True)

    def forward(  # type: ignore[override]
        self, x: Tensor, h: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, T, E) and h (1, B, D), by default 0 -> (B, T, D) and the last h (1, B, D)."""
        if (
            x.device.type != "cpu"
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
        ):
            outputs: tuple[Tensor, Tensor] = super().forward(x, h)
            return outputs
        before = x.new_zeros(len(x), self.hidden_size) if h is None else h[0]
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        output: Tensor = GRUFunction.apply(x, before, *weights)  # (T, B, D)
        return output.transpose(0, 1), output[-1:]


class GRUFunction(torch.autograd.Function):
    """x (B, T, E), h (B, D), W (3 D, E), U (3 D, D), two biases (3 D,) -> all h_t (T, B, D).

    The first bias is b_r, b_z and b_n. The second adds to b_r and b_z, and its last part is b_u.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, b_u: Tensor
    ) -> Tensor:
        B, T, E = x.shape
        D = h.shape[1]
        x = x.transpose(0, 1).reshape(T * B, E)
        gates = onednn_linear(x, W, b).view(T, B, 3, D)  # W x + b, which becomes r, z, n in place
        output, u, first = x.new_empty(T, B, D), x.new_empty(T, B, D), h
        recurrent = repeated_linear(U, B, b_u)
        for gate, h_t, u_t in zip(gates, output, u):
            gate_h = recurrent(h).view(B, 3, D)
            r, z = gate[:, :2].add_(gate_h[:, :2]).sigmoid_().unbind(1)
            u_t.copy_(gate_h[:, 2])
            n = gate[:, 2].addcmul_(r, u_t).tanh_()
            h = torch.lerp(n, h, z, out=h_t)
        ctx.save_for_backward(x, first, W, U, gates, u, output)
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

        # dr, dz and dn of what comes from x; dr, dz and du of what comes from h_{t-1}.
        d_gates_x, d_gates_h = torch.empty_like(gates), torch.empty_like(gates)
        dh, recurrent = torch.zeros_like(h), repeated_linear(U.t(), B)
        for t in reversed(range(T)):
            dh = dh + d_output[t]
            dn = torch.mul(dh, K_n[t], out=d_gates_x[t, :, 2])
            torch.mul(dn, K_r[t], out=d_gates_h[t, :, 0])
            torch.mul(dh, K_z[t], out=d_gates_h[t, :, 1])
            torch.mul(dn, r[t], out=d_gates_h[t, :, 2])
            dh = torch.addcmul(recurrent(d_gates_h[t].view(B, -1)), dh, z[t])
        d_gates_x[:, :, :2] = d_gates_h[:, :, :2]

        d_gates_x, d_gates_h = d_gates_x.view(T * B, -1), d_gates_h.view(T * B, -1)
        dx = onednn_linear(d_gates_x, W.t()).view(T, B, -1).transpose(0, 1)
        dW = weight_gradient(d_gates_x, x)
        dU = weight_gradient(d_gates_h, h_before.view(T * B, D))
        return dx, dh, dW, dU, d_gates_x.sum(0), d_gates_h.sum(0)
