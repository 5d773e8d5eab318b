"""GPT-2 (Radford et al. 2019) in the `transformers` library.

Its layers `Conv1D` hold transposed matrices (in, out), and always have biases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.runs.huggingface.library_model import (
    TRANSFORMER_OPTIONS,
    ConfigReader,
    LibraryModel,
    Tensors,
)

ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu-tanh": "gelu_new"}
LIBRARY_ACTIVATIONS = {library: ours for ours, library in ACTIVATIONS.items()}
LIBRARY_ACTIVATIONS["gelu_pytorch_tanh"] = "gelu-tanh"
LAYER = {
    "ln_1": "attention_norm",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "ln_2": "feed_forward_norm",
    "mlp.c_fc": "feed_forward.up",
    "mlp.c_proj": "feed_forward.down",
}
"""The modules of a layer there and here."""


def options(config: TransformerConfig) -> dict[str, Iterable[Any]]:
    return {
        **TRANSFORMER_OPTIONS,
        "norm": ["layer"],
        "positions": ["learned"],
        "activation": list(ACTIVATIONS),
        "kv_heads": [config.heads],
    }


def to_config(config: TransformerConfig) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_inner": config.feed_forward_width,
        "n_positions": config.context_length,
        "activation_function": ACTIVATIONS[config.activation],
        "layer_norm_epsilon": config.norm_epsilon,
        "embd_pdrop": config.dropout_input,
        "attn_pdrop": config.dropout_attention,
        "resid_pdrop": config.dropout_hidden,
    }


def from_config(values: ConfigReader) -> dict[str, Any]:
    values.require("activation_function", "gelu_new", *LIBRARY_ACTIVATIONS)
    values.require("scale_attn_weights", True, True)
    values.require("scale_attn_by_inverse_layer_idx", False, False)
    values.require("add_cross_attention", False, False)
    width = values.number("n_embd", "hidden_size")
    return {
        "width": width,
        "layers": values.number("n_layer", "num_hidden_layers"),
        "heads": values.number("n_head", "num_attention_heads"),
        "ffn_width": values.number("n_inner", default=4 * width),
        "context_length": values.number("n_positions", "max_position_embeddings"),
        "activation": LIBRARY_ACTIVATIONS[values.values.get("activation_function", "gelu_new")],
        "norm_epsilon": values.read(float, "layer_norm_epsilon", default=1e-5),
    }


def modules(layers: int) -> dict[str, str]:
    """The names of all modules with a weight and a bias, there and here."""
    names = {"transformer.ln_f": "norm"}
    for i in range(layers):
        names |= {f"transformer.h.{i}.{a}": f"blocks.{i}.{b}" for a, b in LAYER.items()}
    return names


def to_tensors(config: TransformerConfig, weights: Mapping[str, Tensor]) -> Tensors:
    tensors = {"transformer.wpe.weight": weights["positions"]}
    for library, ours in modules(config.layers).items():
        weight = weights[f"{ours}.weight"]
        bias = weights.get(f"{ours}.bias", weight.new_zeros(len(weight)))
        tensors |= {f"{library}.weight": weight.t(), f"{library}.bias": bias}
    return tensors


def from_tensors(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensors:
    weights = {"positions": tensors["transformer.wpe.weight"]}
    for library, ours in modules(settings["layers"]).items():
        weights[f"{ours}.weight"] = tensors[f"{library}.weight"].t().contiguous()
        weights[f"{ours}.bias"] = tensors[f"{library}.bias"]
    return weights


GPT2 = LibraryModel(
    "GPT-2", "gpt2", "transformer", "transformer.", options, to_config, to_tensors,
    from_config, from_tensors, embedding="wte.weight",
)  # fmt: skip
