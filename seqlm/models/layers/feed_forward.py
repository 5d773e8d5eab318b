"""The feed-forward sublayer of a Transformer, the same at every position.

    f(x) = W_2 σ(W_1 x)                       σ: ReLU (Vaswani et al. 2017) or GELU (GPT)
    f(x) = W_2 (SiLU(W_g x) * W_1 x)          gated: SwiGLU (Shazeer 2020)

D width · F hidden width · W_g, W_1 (F, D) · W_2 (D, F)
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from seqlm.models.layers.linear import Linear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu-tanh": lambda x: functional.gelu(x, approximate="tanh"),
}


class FeedForward(nn.Module):
    """D -> F -> D. `up` holds W_1, in a gated sublayer W_g above W_1; `down` holds W_2."""

    def __init__(
        self, width: int, hidden: int, activation: str, bias: bool, varying_sizes: bool = False
    ) -> None:
        """`varying_sizes`: batches differ in size, as those of experts do. PyTorch's own product is
        then faster, since oneDNN prepares itself anew for every size."""
        super().__init__()
        self.activation, gated = activation, activation == "swiglu"
        linear = nn.Linear if varying_sizes else Linear
        self.up = linear(width, 2 * hidden if gated else hidden, bias=bias)
        self.down = linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(.., D) -> (.., D)."""
        hidden = self.up(x)  # (.., F), gated (.., 2 F)
        if self.activation == "swiglu":
            gate, up = hidden.chunk(2, -1)
            hidden = functional.silu(gate) * up
        else:
            hidden = ACTIVATIONS[self.activation](hidden)
        y: Tensor = self.down(hidden)
        return y
