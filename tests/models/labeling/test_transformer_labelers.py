"""The Transformer's encoder against its equations, one sentence at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seqlm.models.labeling.transformer_labelers import TransformerEncoder, TransformerTagger
from tests.models.language.test_transformer import affine, feed_forward, norm
from tests.models.translation.test_transformer_seq2seq import D, H, embedded, self_attention

E = 5
LENGTHS = [6, 1, 4]
SHAPES: dict[str, dict[str, Any]] = {
    "as by default": {},
    "vaswani": {"pre_norm": False, "activation": "relu"},
    "llama": {
        "norm": "rms", "positions": "rotary", "activation": "swiglu", "bias": False, "kv_heads": 2,
    },
    "without positions": {"positions": "none", "layers": 1},
}  # fmt: skip


@torch.no_grad()
def slowly(encoder: TransformerEncoder, x: Tensor) -> Tensor:
    """x (T, E) of one sentence -> h (T, D)."""
    config: Any = encoder.config

    def normed(layer: Any, rows: Tensor) -> Tensor:
        return torch.stack([norm(layer, row) for row in rows])

    def residual(layer: Any, rows: Tensor, sublayer: Any) -> Tensor:
        if config.pre_norm:
            return rows + sublayer(normed(layer, rows))
        return normed(layer, rows + sublayer(rows))

    projected = torch.stack([affine(encoder.projection, row) for row in x])
    e = embedded(config, projected, None, torch.arange(len(x)))
    everything = lambda _: range(len(x))  # noqa: E731
    for layer in encoder.layers:
        e = residual(
            layer.attention_norm, e,
            lambda rows, of=layer: self_attention(config, of.attention, rows, everything),
        )  # fmt: skip
        e = residual(
            layer.feed_forward_norm, e,
            lambda rows, of=layer: torch.stack(
                [feed_forward(of.feed_forward, config, row) for row in rows]
            ),
        )  # fmt: skip
    return normed(encoder.norm, e) if config.pre_norm else e


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_the_features_are_the_equations(shape: str) -> None:
    torch.manual_seed(1)
    sizes = {"vocab_size": 5, "label_types": (2,), "character_types": 5, "affix_types": ()}
    config = TransformerTagger.config_class(
        **sizes, column_types=(), contextual_widths=(), width=D, heads=H, **SHAPES[shape]
    )
    encoder = TransformerEncoder(config, E).double().eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.uniform_(-1, 1)
    x = torch.randn(len(LENGTHS), max(LENGTHS), E).double()
    h, last = encoder(x, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        expected = slowly(encoder, x[row, :length])
        torch.testing.assert_close(h[row, :length], expected)
        torch.testing.assert_close(last[row], expected[-1])
