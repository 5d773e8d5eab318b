"""Mamba and Mamba-2 against `transformers`, which has its own code for them, with equal weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqlm.models.config.state_space_config import Mamba2Config, MambaConfig
from seqlm.models.language.mamba import Mamba
from seqlm.models.language.mamba2 import Mamba2
from seqlm.models.language.state_space import StateSpaceModel

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

V, D, LAYERS, N, K = 37, 24, 3, 5, 4
SHARED = {"vocab_size": V, "hidden_size": D, "num_hidden_layers": LAYERS, "state_size": N,
          "conv_kernel": K, "expand": 2, "use_cache": False}  # fmt: skip


def randomized(model: StateSpaceModel) -> StateSpaceModel:
    """Weights that let every term matter; only the output layer has no bias in transformers."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith(("A_log", "dt_bias", "dt_proj.bias")):
                parameter.uniform_(-1, 1)
        model.output_layer.bias.zero_()
    return model.eval()


def shared_weights(model: StateSpaceModel) -> dict[str, Tensor]:
    """What both forms of Mamba have, under the names of transformers."""
    weights = {
        "backbone.embeddings.weight": model.embedding_scale() * model.embedding,
        "backbone.norm_f.weight": model.norm.weight,
        "lm_head.weight": model.output_layer.weight,
    }
    for number, (layer, norm) in enumerate(zip(model.layers, model.norms, strict=True)):
        weights |= {
            f"backbone.layers.{number}.{name}": weight
            for name, weight in {
                "norm.weight": norm.weight,
                "mixer.conv1d.weight": layer.conv_weight[:, None],
                "mixer.conv1d.bias": layer.conv_bias,
                "mixer.in_proj.weight": layer.in_proj.weight,
                "mixer.out_proj.weight": layer.out_proj.weight,
                "mixer.A_log": layer.A_log,
                "mixer.D": layer.D,
            }.items()
        }
    return weights


def assert_equal_logits(model: StateSpaceModel, other: torch.nn.Module, layer_names: dict) -> None:
    """`layer_names`: transformers' name of a weight of each layer -> ours."""
    weights = shared_weights(model)
    for number, layer in enumerate(model.layers):
        for name, ours in layer_names.items():
            weights[f"backbone.layers.{number}.mixer.{name}"] = layer.get_parameter(ours)
    other.load_state_dict(weights, strict=True)
    tokens = torch.randint(V, (2, 50), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = model(tokens, model.initial_cache(2)).features
        log_probs = model.output_layer.log_probs(features)
        expected = other.eval()(tokens).logits.log_softmax(-1)
    assert expected.std() > 0.5
    torch.testing.assert_close(log_probs, expected, atol=1e-4, rtol=0)


def test_mamba():
    torch.manual_seed(1)
    config = MambaConfig(
        V, tied=False, width=D, layers=LAYERS, state_size=N, conv_kernel=K, dt_rank=3
    )
    other = transformers.MambaForCausalLM(
        transformers.MambaConfig(**SHARED, time_step_rank=3, tie_word_embeddings=False)
    )
    names = {"x_proj.weight": "x_proj.weight", "dt_proj.weight": "dt_proj.weight",
             "dt_proj.bias": "dt_proj.bias"}  # fmt: skip
    assert_equal_logits(randomized(Mamba(config)), other, names)


def test_mamba2():
    torch.manual_seed(1)
    config = Mamba2Config(
        V, tied=False, width=D, layers=LAYERS, state_size=N, conv_kernel=K, head_width=8
    )
    other = transformers.Mamba2ForCausalLM(
        transformers.Mamba2Config(
            **SHARED, head_dim=8, num_heads=6, n_groups=1, chunk_size=16, tie_word_embeddings=False
        )
    )
    names = {"dt_bias": "dt_bias", "norm.weight": "norm.weight"}
    assert_equal_logits(randomized(Mamba2(config)), other, names)
