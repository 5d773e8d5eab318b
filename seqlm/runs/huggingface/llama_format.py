"""Llama (Touvron et al. 2023) in the `transformers` library.

Queries, keys and values are three matrices there, and the two halves of SwiGLU are two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from seqlm.errors import ModelError
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.layers.rotary import ROPE_BASE
from seqlm.runs.huggingface.library_model import (
    TRANSFORMER_OPTIONS,
    ConfigReader,
    LibraryModel,
    Tensors,
)


def options(config: TransformerConfig) -> dict[str, Iterable[Any]]:
    return {
        **TRANSFORMER_OPTIONS,
        "norm": ["rms"],
        "positions": ["rotary"],
        "activation": ["swiglu"],
    }


def to_config(config: TransformerConfig) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.num_kv_heads,
        "intermediate_size": config.feed_forward_width,
        "max_position_embeddings": config.context_length,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rope_base,
        "attention_bias": config.bias,
        "mlp_bias": config.bias,
        "attention_dropout": config.dropout_attention,
    }


def from_config(values: ConfigReader) -> dict[str, Any]:
    values.require("hidden_act", "silu", "silu", "swish")
    values.require("attention_bias", False, False, True)
    values.require("mlp_bias", False, values.values.get("attention_bias", False))
    width, heads = values.number("hidden_size"), values.number("num_attention_heads")
    values.require("head_dim", None, None, width // heads)
    return {
        "width": width,
        "layers": values.number("num_hidden_layers"),
        "heads": heads,
        "kv_heads": values.number("num_key_value_heads", default=heads),
        "ffn_width": values.number("intermediate_size"),
        "context_length": values.number("max_position_embeddings"),
        "bias": values.values.get("attention_bias", False),
        "norm": "rms",
        "norm_epsilon": values.read(float, "rms_norm_eps", default=1e-6),
        "positions": "rotary",
        "rope_base": rope_base(values),
        "activation": "swiglu",
    }


def rope_base(values: ConfigReader) -> float:
    """Errors: ModelError where angles are scaled, as in the later Llamas."""
    parameters: dict[str, Any] = {}
    for name in ("rope_scaling", "rope_parameters"):  # of versions 4 and 5 of the library
        stored = values.values.get(name) or {}
        if not isinstance(stored, dict):
            raise ModelError(f"{values.file}: {name} cannot be {stored!r:.60}")
        parameters |= stored
    kind = parameters.get("rope_type", parameters.get("type", "default"))
    if kind != "default":
        raise ModelError(f"{values.file}: seqlm has no rotary positions of type {kind!r:.60}")
    scope = ConfigReader({**values.values, **parameters}, values.file)
    base: float = scope.read(float, "rope_theta", default=ROPE_BASE)
    return base


def layer_names(layers: int) -> list[tuple[str, str]]:
    """The names of each layer, there and here."""
    return [(f"model.layers.{i}", f"blocks.{i}") for i in range(layers)]


def to_tensors(config: TransformerConfig, weights: Mapping[str, Tensor]) -> Tensors:
    kv_width = config.width // config.heads * config.num_kv_heads
    tensors = {"model.norm.weight": weights["norm.weight"]}
    for layer, block in layer_names(config.layers):
        tensors |= {
            f"{layer}.input_layernorm.weight": weights[f"{block}.attention_norm.weight"],
            f"{layer}.post_attention_layernorm.weight": weights[
                f"{block}.feed_forward_norm.weight"
            ],
        }
        for kind in kinds(config.bias):
            qkv = weights[f"{block}.attention.qkv.{kind}"]
            q, k, v = qkv.split([config.width, kv_width, kv_width])
            gate, up = weights[f"{block}.feed_forward.up.{kind}"].chunk(2)
            tensors |= {
                f"{layer}.self_attn.q_proj.{kind}": q,
                f"{layer}.self_attn.k_proj.{kind}": k,
                f"{layer}.self_attn.v_proj.{kind}": v,
                f"{layer}.self_attn.o_proj.{kind}": weights[f"{block}.attention.out.{kind}"],
                f"{layer}.mlp.gate_proj.{kind}": gate,
                f"{layer}.mlp.up_proj.{kind}": up,
                f"{layer}.mlp.down_proj.{kind}": weights[f"{block}.feed_forward.down.{kind}"],
            }
    return tensors


def from_tensors(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensors:
    weights = {"norm.weight": tensors["model.norm.weight"]}
    for layer, block in layer_names(settings["layers"]):
        weights |= {
            f"{block}.attention_norm.weight": tensors[f"{layer}.input_layernorm.weight"],
            f"{block}.feed_forward_norm.weight": tensors[
                f"{layer}.post_attention_layernorm.weight"
            ],
        }
        for kind in kinds(settings["bias"]):
            qkv = [tensors[f"{layer}.self_attn.{name}_proj.{kind}"] for name in "qkv"]
            up = [tensors[f"{layer}.mlp.{name}_proj.{kind}"] for name in ("gate", "up")]
            weights |= {
                f"{block}.attention.qkv.{kind}": torch.cat(qkv),
                f"{block}.attention.out.{kind}": tensors[f"{layer}.self_attn.o_proj.{kind}"],
                f"{block}.feed_forward.up.{kind}": torch.cat(up),
                f"{block}.feed_forward.down.{kind}": tensors[f"{layer}.mlp.down_proj.{kind}"],
            }
    return weights


def kinds(bias: bool) -> tuple[str, ...]:
    """The parameters of a linear layer."""
    return ("weight", "bias") if bias else ("weight",)


LLAMA = LibraryModel(
    "Llama", "llama", "transformer", "model.", options, to_config, to_tensors,
    from_config, from_tensors, embedding="embed_tokens.weight",
)  # fmt: skip
