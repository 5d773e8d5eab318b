"""Mamba (Gu & Dao 2023) in the `transformers` library, for reading only.

The output layer has no bias there, and a Mamba that is trained here has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from seqlm.errors import ModelError
from seqlm.models.language.mamba import EMBEDDING_SCALE
from seqlm.runs.huggingface.library_model import ConfigReader, LibraryModel, Tensors

MIXER = {
    "A_log": "A_log",
    "D": "D",
    "in_proj.weight": "in_proj.weight",
    "conv1d.bias": "conv_bias",
    "x_proj.weight": "x_proj.weight",
    "dt_proj.weight": "dt_proj.weight",
    "dt_proj.bias": "dt_proj.bias",
    "out_proj.weight": "out_proj.weight",
}
"""The tensors of a layer there and here, but the filters of its convolution."""


def from_config(values: ConfigReader) -> dict[str, Any]:
    values.require("hidden_act", "silu", "silu", "swish")
    values.require("use_bias", False, False)
    values.require("use_conv_bias", True, True)
    values.require("layer_norm_epsilon", 1e-5, 1e-5)
    width, expand = values.number("hidden_size", "d_model"), values.number("expand", default=2)
    if values.number("intermediate_size", default=expand * width) != expand * width:
        raise ModelError(f"{values.file}: intermediate_size is not expand x hidden_size")
    rank = {"auto": None}.get(values.values.get("time_step_rank", "auto"), 0)
    return {
        "width": width,
        "layers": values.number("num_hidden_layers", "n_layer"),
        "state_size": values.number("state_size", default=16),
        "expand": expand,
        "conv_kernel": values.number("conv_kernel", default=4),
        "dt_rank": rank if rank is None else values.number("time_step_rank"),
    }


def from_tensors(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensors:
    weights = {"norm.weight": tensors["backbone.norm_f.weight"]}
    for i in range(settings["layers"]):
        layer = f"backbone.layers.{i}"
        weights[f"norms.{i}.weight"] = tensors[f"{layer}.norm.weight"]
        for library, ours in MIXER.items():
            weights[f"layers.{i}.{ours}"] = tensors[f"{layer}.mixer.{library}"]
        filters = tensors[f"{layer}.mixer.conv1d.weight"]  # (I, 1, K)
        weights[f"layers.{i}.conv_weight"] = filters.squeeze(1).contiguous()
    return weights


MAMBA = LibraryModel(
    "Mamba", "mamba", "mamba", "backbone.", None, None, None,
    from_config, from_tensors, embedding="embeddings.weight", embedding_scale=EMBEDDING_SCALE,
)  # fmt: skip
