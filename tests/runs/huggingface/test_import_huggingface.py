"""Folders of the transformers library, read: the same probabilities, or one clear refusal."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import seqlm
from seqlm.errors import ModelError
from seqlm.models.config.state_space_config import MambaConfig
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.mamba import Mamba
from seqlm.models.language.transformer import Transformer
from seqlm.runs.huggingface import gpt2_format, llama_format, mamba_format
from seqlm.runs.huggingface.export_huggingface import write_huggingface
from seqlm.runs.huggingface.library_model import LibraryModel
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED

TYPES = [*RESERVED, b"the", b"frog", b"sees", b"no", "älteste".encode()]
LLAMA = {"norm": "rms", "positions": "rotary", "activation": "swiglu", "bias": False}
SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {"activation": "gelu-tanh"},
    "gpt2, untied": {"tied": False, "ffn_width": 12, "norm_epsilon": 1e-3},
    "llama": {**LLAMA, "rope_base": 500.0, "norm_epsilon": 1e-6},
    "llama, grouped, untied, biases": {**LLAMA, "kv_heads": 2, "tied": False, "bias": True},
}
LINES = ["the frog sees the älteste frog", "", "no no"]


def build(**options: Any) -> Transformer:
    torch.manual_seed(1)
    sizes = {"width": 16, "layers": 2, "heads": 4, "context_length": 12}
    model = Transformer(TransformerConfig(len(TYPES), **{**sizes, **options})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.3)
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A GPT-2 of the library."""
    write_huggingface(build(**SHAPES["gpt2"]), Tokenizer("word", TYPES), tmp_path / "hf")
    return tmp_path / "hf"


def change(folder: Path, **values: Any) -> None:
    """Changes values of config.json; None removes one."""
    config = json.loads((folder / "config.json").read_text()) | values
    kept = {name: value for name, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


# ----------------------------------------------------------------------------- equal probabilities


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_exported_is_read_again(shape: str, tmp_path: Path) -> None:
    model, tokenizer = build(**SHAPES[shape]), Tokenizer("word", TYPES)
    write_huggingface(model, tokenizer, tmp_path / "hf")
    again = seqlm.load(tmp_path / "hf")
    for line in LINES:
        ids = torch.tensor([[*(tokenizer.id_of_type[word.encode()] for word in line.split()), 1]])
        scores, _ = model.score(model.start(1), ids)
        expected = float(scores.detach().double().sum())
        assert again.score(line) == pytest.approx(expected, abs=1e-5)
    assert again.score("the unheard") == pytest.approx(again.score("the <unk>"))


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (gpt2_format.GPT2, build(**SHAPES["gpt2"])),
        (llama_format.LLAMA, build(**SHAPES["llama, grouped, untied, biases"])),
    ],
)
def test_tensors_go_there_and_back(kind: LibraryModel, model: Transformer) -> None:
    weights = model.state_dict()
    assert kind.to_tensors is not None
    back = kind.from_tensors(model.settings(), kind.to_tensors(model.config, weights))
    vocabulary = {"embedding", "output_layer.weight", "output_layer.bias"}
    assert back.keys() == weights.keys() - vocabulary
    assert all(torch.equal(tensor, weights[name]) for name, tensor in back.items())


TRANSFORMERS_REASON = "transformers is not installed"
FIGURES = ["gpt2", "gpt2, untied", "llama", "llama, tied", "mamba"]


@pytest.mark.parametrize("name", FIGURES)
def test_probabilities_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason=TRANSFORMERS_REASON)
    from tests.text.test_pretrained_tokenizer import library

    tokenizer = library("unigram" if name.startswith("llama") else "byte-level")
    size = tokenizer.get_vocab_size()
    bos, eos = (1, 2) if name.startswith("llama") else (0, 0)
    ids = {"bos_token_id": bos, "eos_token_id": eos, "vocab_size": size}
    torch.manual_seed(1)
    if name.startswith("gpt2"):
        untied = {"tie_word_embeddings": False, "activation_function": "gelu", "n_inner": 48}
        config = transformers.GPT2Config(
            n_embd=32, n_layer=2, n_head=4, n_positions=64, **ids,
            **(untied if "untied" in name else {}),
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config)
    elif name.startswith("llama"):
        config = transformers.LlamaConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=40, max_position_embeddings=64, rms_norm_eps=1e-6, rope_theta=5e4,
            tie_word_embeddings="tied" in name, **ids,
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config)
    else:
        config = transformers.MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=8, **ids)
        model = transformers.MambaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.eval().parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "hf")
    tokenizer.save(str(tmp_path / "hf" / "tokenizer.json"))
    line = "the old women saw frogs"
    tokens = tokenizer.encode(line, add_special_tokens=False).ids
    with torch.no_grad():
        logits = model(torch.tensor([[bos, *tokens]])).logits[0].double()
    expected = logits.log_softmax(-1)[range(len(tokens) + 1), [*tokens, eos]]
    rows = seqlm.load(tmp_path / "hf").surprisal(line)
    log_probs = [-row.surprisal * math.log(2) for row in rows]
    assert log_probs == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_mamba_is_read(tmp_path: Path) -> None:
    """The names and layouts of the library, written out; the embedding has another scale here."""
    torch.manual_seed(1)
    model = Mamba(MambaConfig(len(TYPES), width=16, layers=2, state_size=4)).eval()
    weights = model.state_dict()
    tensors = {"backbone.norm_f.weight": weights["norm.weight"]}
    for i in range(2):
        layer = f"backbone.layers.{i}"
        tensors[f"{layer}.norm.weight"] = weights[f"norms.{i}.weight"]
        for theirs, name in mamba_format.MIXER.items():
            tensors[f"{layer}.mixer.{theirs}"] = weights[f"layers.{i}.{name}"]
        tensors[f"{layer}.mixer.conv1d.weight"] = weights[f"layers.{i}.conv_weight"][:, None]
    tensors["backbone.embeddings.weight"] = weights["output_layer.weight"]
    write_huggingface(build(**SHAPES["gpt2"]), Tokenizer("word", TYPES), tmp_path / "hf")
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        tmp_path / "hf" / "model.safetensors",
    )
    config = {
        "model_type": "mamba", "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4,
        "vocab_size": len(TYPES), "bos_token_id": 1, "eos_token_id": 1,
    }  # fmt: skip
    (tmp_path / "hf" / "config.json").write_text(json.dumps(config))
    again = seqlm.load(tmp_path / "hf")
    expected = dict(weights)
    assert again.arch == "mamba"
    theirs = again.model.state_dict()
    scaled = theirs.pop("embedding") * 0.3
    torch.testing.assert_close(scaled[2:], expected["output_layer.weight"][2:])
    assert all(torch.equal(tensor, expected[name]) for name, tensor in theirs.items())


# ------------------------------------------------------------------------------- forms of a folder


def score(folder: Path) -> float:
    return seqlm.load(folder).score(LINES[0])


def test_weights_may_be_in_several_files(folder: Path) -> None:
    expected = score(folder)
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, its_names in parts.items():
        save_file({name: tensors[name] for name in its_names}, folder / file)
    index = {name: file for file, its_names in parts.items() for name in its_names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (folder / "model.safetensors").unlink()
    assert score(folder) == expected
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"x": "../a.safetensors"}})
    )
    with pytest.raises(ModelError, match="does not name"):
        score(folder)


def test_names_without_a_prefix_and_buffers_are_read(folder: Path) -> None:
    expected = score(folder)
    tensors = load_file(folder / "model.safetensors")
    older = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    older["h.0.attn.bias"] = torch.ones(1, 1, 12, 12)
    save_file(older, folder / "model.safetensors")
    assert score(folder) == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_read(folder: Path, dtype: torch.dtype) -> None:
    expected = score(folder)
    tensors = load_file(folder / "model.safetensors")
    save_file({n: x.to(dtype) for n, x in tensors.items()}, folder / "model.safetensors")
    assert score(folder) == pytest.approx(expected, abs=0.2)


def test_a_padded_vocabulary_is_cut(folder: Path) -> None:
    expected = score(folder)
    tensors = load_file(folder / "model.safetensors")
    embedding = tensors["transformer.wte.weight"]
    tensors["transformer.wte.weight"] = torch.cat([embedding, embedding[:3]])
    save_file(tensors, folder / "model.safetensors")
    assert score(folder) == expected


def test_every_command_takes_a_folder(
    folder: Path, tmp_path: Path, seqlm: Callable[..., Any]
) -> None:
    text = tmp_path / "text"
    text.write_text("the frog sees no frog\n\nno the\n")
    assert float(seqlm("eval", "-m", folder, text).out) > 1
    assert "transformer" in seqlm("eval", "-m", folder, text).err
    assert seqlm("eval", "-m", folder, "--per-token", text).out.count("\n") == 11
    assert seqlm("sample", "-m", folder, "--max-tokens", 5, "-n", 2).out.count("\n") >= 2
    assert seqlm("train", "--resume", folder).code == 2
    assert seqlm("runs", "show", folder).code == 4


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "opt"}, "reads gpt2, llama, mamba"),
        ({"model_type": None}, "reads gpt2, llama, mamba"),
        ({"n_embd": None}, "has no n_embd"),
        ({"n_embd": "16"}, "n_embd cannot be '16'"),
        ({"n_embd": 15}, "heads"),
        ({"n_layer": 10**9}, "layers"),
        ({"n_layer": 3}, "lack"),
        ({"n_layer": 0}, "n_layer cannot be 0"),
        ({"n_head": -4}, "n_head cannot be -4"),
        ({"n_positions": 10**12}, "do not fit"),
        ({"activation_function": "silu"}, "activation_function is 'silu'"),
        ({"scale_attn_weights": False}, "scale_attn_weights"),
        ({"eos_token_id": -1}, "eos_token_id cannot be -1"),
        ({"eos_token_id": 10**6}, "do not fit"),
        ({"bos_token_id": [1.5]}, "bos_token_id cannot be"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings cannot be"),
        ({"tie_word_embeddings": False}, "lack"),
    ],
)
def test_a_config_that_is_wrong(folder: Path, values: dict[str, Any], message: str) -> None:
    change(folder, **values)
    with pytest.raises(ModelError, match=message):
        score(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4}},
        {"rope_scaling": 3},
        {"head_dim": 5},
        {"hidden_act": "gelu"},
        {"mlp_bias": True},
    ],
)
def test_a_llama_that_is_another(tmp_path: Path, values: dict[str, Any]) -> None:
    write_huggingface(build(**SHAPES["llama"]), Tokenizer("word", TYPES), tmp_path / "hf")
    change(tmp_path / "hf", **values)
    with pytest.raises(ModelError, match=f"{next(iter(values))}|rotary positions of type"):
        score(tmp_path / "hf")


def test_a_folder_without_its_files(folder: Path) -> None:
    missing = {"model.safetensors": "has no model.safetensors", "tokenizer.json": "use_fast"}
    for name, message in missing.items():
        copy = folder.parent / name
        shutil.copytree(folder, copy)
        (copy / name).unlink()
        with pytest.raises(ModelError, match=message):
            score(copy)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickle"):
        score(folder)


def test_damaged_files_are_refused(folder: Path) -> None:
    """Every file cut short and overwritten, and every value of config.json replaced."""
    expected = score(folder)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        whole = (folder / name).read_bytes()
        for content in (b"", whole[:50], whole[: len(whole) // 2], b"\xff" * 40, b"[" * 10_000):
            (folder / name).write_bytes(content)
            with pytest.raises(ModelError):
                score(folder)
        (folder / name).write_bytes(whole)
    config = json.loads((folder / "config.json").read_text())
    for name, value in itertools.product(config, (0, -1, 1.5, 2**70, "x", True, [], {}, [None])):
        (folder / "config.json").write_text(json.dumps({**config, name: value}))
        try:
            changed = score(folder)
        except ModelError:
            continue
        assert math.isfinite(changed)
        if name not in ("layer_norm_epsilon", "bos_token_id", "eos_token_id", "n_head"):
            assert changed == expected, (name, value)
