"""The exported folder against GPT-2 and Llama written out from their papers, and the library's."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from seqlm.errors import ModelError, SeqlmError, UsageError
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.transformer import Transformer
from seqlm.runs.checkpoint import write_checkpoint
from seqlm.runs.huggingface import export_huggingface
from seqlm.runs.loading.load_model import load_model
from seqlm.runs.loading.locate import locate
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED

T, D, LAYERS, HEADS, HORIZON = 9, 16, 2, 4, 12
TYPES = [*RESERVED, b"the", b"frog", b"sees", b"no", "älteste".encode()]
V = len(TYPES)
LLAMA = {"norm": "rms", "positions": "rotary", "activation": "swiglu", "bias": False}
SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {"activation": "gelu-tanh"},
    "gpt2 untied, exact gelu": {"tied": False},
    "gpt2 narrow, relu": {"activation": "relu", "ffn_width": 12},
    "gpt2 without biases": {"bias": False},
    "llama": LLAMA,
    "llama grouped, untied": {**LLAMA, "kv_heads": 2, "tied": False},
    "llama with biases, narrow": {**LLAMA, "bias": True, "ffn_width": 24},
}


def build(**options: Any) -> Transformer:
    torch.manual_seed(1)
    sizes = {"width": D, "layers": LAYERS, "heads": HEADS, "context_length": HORIZON}
    model = Transformer(TransformerConfig(V, **{**sizes, **options})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.3)
    return model


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """A run that holds `model`, exported."""

    def exported(model: Transformer, **options: Any) -> Path:
        run = RunFolder.create(tmp_path / "run", overwrite=True)
        run.write_tokenizer(Tokenizer("word", TYPES))
        write_checkpoint(run, 1, model, best=True)
        settings = model.settings()
        run.write_config(RunConfig(task="lm", arch="transformer", context="window", model=settings))
        run.publish()
        run.unlock()
        loaded = load_model(locate(run.path))
        export_huggingface.write_huggingface(
            loaded.model, loaded.tokenizer, tmp_path / "hf", **options
        )
        return tmp_path / "hf"

    return exported


@pytest.fixture(params=SHAPES)
def model(request: pytest.FixtureRequest) -> Transformer:
    return build(**SHAPES[request.param])


# ---------------------------------------------------------------- GPT-2 and Llama, written out


def attended(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """(T, H d) each -> (T, H d), head by head."""
    mixed = []
    for q_h, k_h, v_h in zip(*(x.chunk(heads, 1) for x in (q, k, v)), strict=True):
        scores = q_h @ k_h.T / math.sqrt(q_h.shape[1])
        future = torch.ones_like(scores).triu(1).bool()
        mixed.append(scores.masked_fill(future, -math.inf).softmax(1) @ v_h)
    return torch.cat(mixed, 1)


def gpt2(t: dict[str, Tensor], config: dict[str, Any], ids: Tensor) -> Tensor:
    """(T,) -> logits (T, V). Radford et al. 2019, with the names of its published weights."""
    act = {"gelu_new": lambda x: F.gelu(x, approximate="tanh"), "gelu": F.gelu, "relu": F.relu}

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(
            x, (x.shape[-1],), t[f"{name}.weight"], t[f"{name}.bias"], config["layer_norm_epsilon"]
        )

    def conv(x: Tensor, name: str) -> Tensor:
        return x @ t[f"{name}.weight"] + t[f"{name}.bias"]

    x = t["transformer.wte.weight"][ids] + t["transformer.wpe.weight"][: len(ids)]
    for i in range(config["n_layer"]):
        h = f"transformer.h.{i}"
        q, k, v = conv(norm(x, f"{h}.ln_1"), f"{h}.attn.c_attn").chunk(3, 1)
        x = x + conv(attended(q, k, v, config["n_head"]), f"{h}.attn.c_proj")
        hidden = act[config["activation_function"]](conv(norm(x, f"{h}.ln_2"), f"{h}.mlp.c_fc"))
        x = x + conv(hidden, f"{h}.mlp.c_proj")
    return norm(x, "transformer.ln_f") @ t.get("lm_head.weight", t["transformer.wte.weight"]).T


def llama(t: dict[str, Tensor], config: dict[str, Any], ids: Tensor) -> Tensor:
    """(T,) -> logits (T, V). Touvron et al. 2023; rotation as a complex number."""
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]

    def norm(x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(1, True) + config["rms_norm_eps"]).sqrt() * t[f"{name}.weight"]

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, t[f"{name}.weight"], t.get(f"{name}.bias"))

    def turned(x: Tensor, heads: int) -> Tensor:
        x = x.view(len(x), heads, -1)
        half = x.shape[2] // 2
        theta = config["rope_theta"] ** (-torch.arange(half) / half)
        angles = torch.arange(len(x))[:, None, None] * theta
        z = torch.complex(x[..., :half], x[..., half:]) * torch.exp(1j * angles)
        return torch.cat([z.real, z.imag], 2)

    x = t["model.embed_tokens.weight"][ids]
    for i in range(config["num_hidden_layers"]):
        h = f"model.layers.{i}"
        y = norm(x, f"{h}.input_layernorm")
        q = turned(linear(y, f"{h}.self_attn.q_proj"), heads)
        k = turned(linear(y, f"{h}.self_attn.k_proj"), shared)
        v = linear(y, f"{h}.self_attn.v_proj").view(len(x), shared, -1)
        k, v = (each.repeat_interleave(heads // shared, 1) for each in (k, v))
        mix = attended(q.flatten(1), k.flatten(1), v.flatten(1), heads)
        x = x + linear(mix, f"{h}.self_attn.o_proj")
        y = norm(x, f"{h}.post_attention_layernorm")
        gate = F.silu(linear(y, f"{h}.mlp.gate_proj"))
        x = x + linear(gate * linear(y, f"{h}.mlp.up_proj"), f"{h}.mlp.down_proj")
    output = t.get("lm_head.weight", t["model.embed_tokens.weight"])
    return norm(x, "model.norm") @ output.T


@torch.no_grad()
def test_the_exported_weights_in_the_published_equations_give_our_logits(model, export):
    folder = export(model)
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    ids = torch.randint(V, (T,))
    published = {"gpt2": gpt2, "llama": llama}[config["model_type"]]
    found = published(tensors, config, ids).log_softmax(1)
    expected = model.output_layer.log_probs(model(ids[None], model.initial_cache(1)).features[0])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_library_gives_our_logits_and_our_ids(model, export):
    transformers = pytest.importorskip("transformers")
    folder = export(model)
    twin, loaded = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(loaded.values())  # no tensor missing, none left over
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = "the frog sees zz\n\nno  älteste"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert ids.tolist() == [[1, 2, 3, 4, 0, 1, 1, 5, 6]]
    assert tokenizer.decode(ids[0, 1:]) == "the frog sees <unk>\n\nno älteste"
    expected = model.output_layer.log_probs(model(ids, model.initial_cache(1)).features)
    found = twin(ids).logits.log_softmax(-1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert twin.generate(ids, max_new_tokens=2, do_sample=False).shape[1] > ids.shape[1]


# --------------------------------------------------------------------------------------- the folder


def test_what_is_in_the_folder(export):
    folder = export(build(**SHAPES["gpt2"]))
    assert {file.name for file in folder.iterdir()} == export_huggingface.FILES
    config = json.loads((folder / "config.json").read_text())
    expected = {"model_type": "gpt2", "vocab_size": V, "n_embd": D, "n_inner": 4 * D,
                "n_layer": LAYERS, "n_head": HEADS, "n_positions": HORIZON, "eos_token_id": 1,
                "activation_function": "gelu_new", "tie_word_embeddings": True}  # fmt: skip
    assert expected.items() <= config.items()
    shapes = {name: tuple(x.shape) for name, x in load_file(folder / "model.safetensors").items()}
    assert shapes["transformer.h.1.attn.c_attn.weight"] == (D, 3 * D)
    assert shapes["transformer.h.0.mlp.c_fc.weight"] == (D, 4 * D)
    assert shapes["transformer.wpe.weight"] == (HORIZON, D)
    assert "lm_head.weight" not in shapes
    assert len(shapes) == 2 + 2 + LAYERS * 12


def test_the_shape_of_a_llama(export):
    folder = export(build(**SHAPES["llama grouped, untied"]))
    config = json.loads((folder / "config.json").read_text())
    expected = {"model_type": "llama", "num_key_value_heads": 2, "attention_bias": False,
                "max_position_embeddings": HORIZON, "tie_word_embeddings": False,
                "rope_theta": 10000.0, "intermediate_size": 40}  # fmt: skip
    assert expected.items() <= config.items()
    shapes = {name: tuple(x.shape) for name, x in load_file(folder / "model.safetensors").items()}
    assert shapes["model.layers.1.self_attn.k_proj.weight"] == (D // 2, D)
    assert shapes["model.layers.0.mlp.down_proj.weight"] == (D, 40)
    assert shapes["lm_head.weight"] == (V, D)
    assert len(shapes) == 3 + LAYERS * 9


@pytest.mark.parametrize(
    ("options", "lacking"),
    [
        ({"pre_norm": False}, ["pre_norm True, not False"]),
        ({"positions": "sinusoidal"}, ["GPT-2 has positions learned, not sinusoidal"]),
        ({"positions": "none"}, ["positions rotary, not none"]),
        ({"positions": "rotary"}, ["positions learned, not rotary; Llama has norm rms, not layer"]),
        ({"experts": 4}, ["GPT-2 has experts 0, not 4", "Llama has experts 0, not 4"]),
        ({"kv_heads": 2}, ["GPT-2 has kv_heads 4, not 2"]),
        ({"softmax": "adaptive"}, ["softmax full, not adaptive"]),
        ({**LLAMA, "activation": "gelu"}, ["activation swiglu, not gelu"]),
    ],
    ids=str,
)
def test_what_no_architecture_has_is_refused_by_name(options, lacking):
    config = TransformerConfig(V, width=D, heads=HEADS, **options)
    with pytest.raises(ModelError) as raised:
        export_huggingface.library_model_for(config)
    assert all(each in str(raised.value) for each in lacking)
    assert "\n" not in str(raised.value)


def test_what_is_there_is_replaced_only_when_asked(export, tmp_path):
    folder = export(build())
    with pytest.raises(UsageError, match="holds a model already; set overwrite"):
        export(build())
    before = (folder / "model.safetensors").read_bytes()
    export(build(width=8), overwrite=True)
    assert (folder / "model.safetensors").read_bytes() != before
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="a folder with other things in it"):
        export(build(), overwrite=True)
    with pytest.raises(UsageError, match="is a file"):
        export_huggingface.check_output(folder / "notes.txt", overwrite=True)


def test_a_full_disk_leaves_no_half_model(export, tmp_path, monkeypatch):
    export(build())

    def full(path: Path, pieces: Any) -> None:
        raise SeqlmError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr(export_huggingface, "write_pieces", full)
    with pytest.raises(SeqlmError, match="No space left"):
        export(build(width=8), overwrite=True)
    assert not (tmp_path / "hf" / "config.json").exists()


# ------------------------------------------------------------------------------------ the tokenizer

WORDS = Tokenizer("word", TYPES)
CHARS = Tokenizer("char", [*RESERVED, *(c.encode() for c in "abo <>/s\tÿĊ")])


def merged() -> Tokenizer:
    """A BPE over all bytes and a few merges, of spaces too."""
    singles = [bytes([byte]) for byte in range(256) if byte not in (0x0A, 0xFF)]
    merges = [["Ġ", "Ġ"], ["a", "b"], ["Ġ", "ab"], ["Ã", "¤"]]
    return Tokenizer("bpe", [*RESERVED, *singles, b"  ", b"ab", b" ab", "ä".encode()], merges)


@pytest.mark.parametrize("tokenizer", [WORDS, CHARS, merged()], ids=["word", "char", "bpe"])
@given(text=st.text("ab o\t\n\rä</>sÿĊ ", max_size=12).map(lambda text: text.replace("s>", "s")))
def test_the_tokenizer_gives_our_ids_for_texts_of_many_lines(tokenizer: Tokenizer, text: str):
    library = tokenizers.Tokenizer.from_str(
        export_huggingface.library_tokenizer(tokenizer).to_str()
    )
    text = "the frog" + text if tokenizer.kind == "word" else text
    expected = tokenizer.encode(Block(text.encode(), "text", 1)).tolist()
    assert library.encode(text).ids == [1, *expected]
    decoded = library.decode(expected, skip_special_tokens=False)
    assert decoded.encode() == tokenizer.decode(expected)
