"""A Transformer as a folder that the `transformers` library opens, if it is a GPT-2 or a Llama.

    AutoModelForCausalLM.from_pretrained(FOLDER)      gives the same logits
    AutoTokenizer.from_pretrained(FOLDER)             gives the same ids

The weights are renamed to those of GPT-2 (Radford et al. 2019) or Llama (Touvron et al. 2023). A
model with an option that neither has is refused, and the message names the option. Layers without
biases become layers of GPT-2 with biases of 0.

`</s>` is spelled as the newline that it stands for. It is the first token of every text, as it is
the first that the model reads: the ids of "a text" are those of `</s> a text`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import tokenizers
from tokenizers import decoders, processors
from torch import Tensor

from seqlm.errors import ModelError, SeqlmError, UsageError
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.transformer import Transformer
from seqlm.models.layers.rotary import ROPE_BASE
from seqlm.models.layers.transformer_layers import NORM_EPSILON
from seqlm.runs.durable_files import write_pieces, write_text
from seqlm.runs.load_model import LoadedModel
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS
from seqlm.version import __version__

NEWLINE = "\n"


class Architecture(NamedTuple):
    """An architecture of the `transformers` library, and how a Transformer becomes one."""

    name: str
    options: Callable[[TransformerConfig], Mapping[str, Iterable[Any]]]
    """The values of our options that it can have; an option that is not named may have any."""
    config: Callable[[TransformerConfig], dict[str, Any]]
    """The content of its config.json."""
    tensors: Callable[[Transformer], dict[str, Tensor]]
    """The weights under their names there."""


def architecture_for(config: TransformerConfig) -> Architecture:
    """The one that can have all options of `config`. Errors: ModelError naming the others."""
    values = asdict(config) | {"kv_heads": config.num_kv_heads}
    reasons = []
    for architecture in (GPT2, LLAMA):
        wrong = [
            f"{name} {' or '.join(map(str, allowed))}, not {values[name]}"
            for name, allowed in architecture.options(config).items()
            if values[name] not in allowed
        ]
        if not wrong:
            return architecture
        reasons.append(f"{architecture.name} has {', '.join(wrong)}")
    raise ModelError(f"transformers has no model of this shape: {'; '.join(reasons)}")


# ------------------------------------------------------------------------------------ architectures

COMMON_OPTIONS: dict[str, Iterable[Any]] = {
    "pre_norm": [True],
    "experts": [0],
    "softmax": ["full"],
}
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu-tanh": "gelu_new"}


def gpt2_options(config: TransformerConfig) -> dict[str, Iterable[Any]]:
    shape = {"norm": ["layer"], "positions": ["learned"], "activation": list(ACTIVATIONS)}
    return {**COMMON_OPTIONS, **shape, "kv_heads": [config.heads]}


def gpt2_config(config: TransformerConfig) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_inner": config.feed_forward_width,
        "n_positions": config.context_length,
        "activation_function": ACTIVATIONS[config.activation],
        "layer_norm_epsilon": NORM_EPSILON,
        "embd_pdrop": config.dropout_input,
        "attn_pdrop": config.dropout_attention,
        "resid_pdrop": config.dropout_hidden,
    }


GPT2_LAYER = {
    "ln_1": "attention_norm",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "ln_2": "feed_forward_norm",
    "mlp.c_fc": "feed_forward.up",
    "mlp.c_proj": "feed_forward.down",
}


def gpt2_tensors(model: Transformer) -> dict[str, Tensor]:
    weights = model.state_dict()
    modules = {"transformer.ln_f": "norm"}
    for i in range(model.config.layers):
        modules |= {f"transformer.h.{i}.{a}": f"blocks.{i}.{b}" for a, b in GPT2_LAYER.items()}
    exported = {
        "transformer.wte.weight": model.input_embedding().detach(),
        "transformer.wpe.weight": weights["positions"],
        "lm_head.weight": weights["output_layer.weight"],
    }
    for target, name in modules.items():
        weight = weights[f"{name}.weight"]
        bias = weights.get(f"{name}.bias", weight.new_zeros(len(weight)))
        exported |= {f"{target}.weight": weight.t(), f"{target}.bias": bias}  # (in, out)
    return exported


def llama_options(config: TransformerConfig) -> dict[str, Iterable[Any]]:
    return {**COMMON_OPTIONS, "norm": ["rms"], "positions": ["rotary"], "activation": ["swiglu"]}


def llama_config(config: TransformerConfig) -> dict[str, Any]:
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
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_BASE,
        "attention_bias": config.bias,
        "mlp_bias": config.bias,
        "attention_dropout": config.dropout_attention,
    }


def llama_tensors(model: Transformer) -> dict[str, Tensor]:
    config, weights = model.config, model.state_dict()
    q_width = config.width
    kv_width = config.width // config.heads * config.num_kv_heads
    exported = {
        "model.embed_tokens.weight": model.input_embedding().detach(),
        "model.norm.weight": weights["norm.weight"],
        "lm_head.weight": weights["output_layer.weight"],
    }
    for i in range(config.layers):
        block, layer = f"blocks.{i}", f"model.layers.{i}"
        attention_norm = weights[f"{block}.attention_norm.weight"]
        feed_forward_norm = weights[f"{block}.feed_forward_norm.weight"]
        exported[f"{layer}.input_layernorm.weight"] = attention_norm
        exported[f"{layer}.post_attention_layernorm.weight"] = feed_forward_norm
        for kind in ("weight", "bias") if config.bias else ("weight",):
            qkv = weights[f"{block}.attention.qkv.{kind}"]
            q, k, v = qkv.split([q_width, kv_width, kv_width])
            gate, up = weights[f"{block}.feed_forward.up.{kind}"].chunk(2)
            exported |= {
                f"{layer}.self_attn.q_proj.{kind}": q,
                f"{layer}.self_attn.k_proj.{kind}": k,
                f"{layer}.self_attn.v_proj.{kind}": v,
                f"{layer}.self_attn.o_proj.{kind}": weights[f"{block}.attention.out.{kind}"],
                f"{layer}.mlp.gate_proj.{kind}": gate,
                f"{layer}.mlp.up_proj.{kind}": up,
                f"{layer}.mlp.down_proj.{kind}": weights[f"{block}.feed_forward.down.{kind}"],
            }
    return exported


GPT2 = Architecture("GPT-2", gpt2_options, gpt2_config, gpt2_tensors)
LLAMA = Architecture("Llama", llama_options, llama_config, llama_tensors)


# ------------------------------------------------------------------------------------ the tokenizer


def library_tokenizer(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """The tokenizer as one of the `tokenizers` library, for whole texts: lines end in id 1.

    A literal `<s>` or `</s>` among words, which seqlm refuses, becomes `<unk>`.
    """
    stored = json.loads(tokenizer.to_json())
    vocabulary = stored["model"]["vocab"]
    (eos_type,) = (type_ for type_, id in vocabulary.items() if id == EOS)
    del vocabulary[eos_type]
    vocabulary[NEWLINE] = EOS
    library = tokenizers.Tokenizer.from_str(json.dumps(stored))
    library.add_special_tokens([tokenizers.AddedToken(NEWLINE, normalized=False)])
    library.post_processor = processors.TemplateProcessing(
        single=[NEWLINE, "$A"], special_tokens=[(NEWLINE, EOS)]
    )
    if tokenizer.kind == "char":
        library.decoder = decoders.Fuse()
    elif tokenizer.kind == "word":
        # A space goes before each token; those at the start and beside a newline are taken out.
        superfluous = tokenizers.Regex("^ | (?=\n)|(?<=\n) ")
        library.decoder = decoders.Sequence(
            [
                decoders.Replace(tokenizers.Regex("^"), " "),
                decoders.Fuse(),
                decoders.Replace(superfluous, ""),
            ]
        )
    return library


# ------------------------------------------------------------------------------------------ writing

FILES = {
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "config.json",
}


def write_huggingface(loaded: LoadedModel, path: Path, overwrite: bool = False) -> None:
    """Writes the folder `path`; config.json comes last.

    Errors: those of `architecture_for` and `check_output`; ModelError where the model is no
    Transformer; SeqlmError where the disk refuses.
    """
    check_output(path, overwrite)
    model = loaded.model
    if not isinstance(model, Transformer):
        raise ModelError(
            f"{loaded.path} is a model of arch {loaded.config.arch}: only a transformer can become"
            " one of the transformers library"
        )
    architecture = architecture_for(model.config)
    tensors = {name: x.contiguous() for name, x in architecture.tensors(model).items()}
    if model.config.tied:
        del tensors["lm_head.weight"]
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").unlink(missing_ok=True)
    except OSError as error:
        raise SeqlmError(f"{path} cannot be made: {error.strerror}") from None
    weights = safetensors.torch.save(tensors, metadata={"format": "pt"})
    write_pieces(path / "model.safetensors", [weights])
    write_text(path / "tokenizer.json", library_tokenizer(loaded.tokenizer).to_str(pretty=True))
    for file, content in json_files(model.config, architecture).items():
        write_text(path / file, json.dumps(content, indent=2) + "\n")


def json_files(config: TransformerConfig, architecture: Architecture) -> dict[str, dict[str, Any]]:
    """The contents of the JSON files beside the weights and the vocabulary, by name."""
    special_ids = {"bos_token_id": EOS, "eos_token_id": EOS}
    return {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": NEWLINE,
            "eos_token": NEWLINE,
            "model_max_length": config.context_length,
            "clean_up_tokenization_spaces": False,
        },
        "generation_config.json": special_ids,
        "config.json": {
            **architecture.config(config),
            "vocab_size": config.vocab_size,
            "tie_word_embeddings": config.tied,
            **special_ids,
            "torch_dtype": "float32",
            "seqlm": __version__,
        },
    }


def check_output(path: Path, overwrite: bool) -> None:
    """Refuses, before a model is loaded, a `path` that cannot be written.

    Errors: UsageError where it is a file, or holds other files than an export, or holds an export
    and `overwrite` is False.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder")
    names = {file.name for file in path.iterdir()} if path.is_dir() else set()
    if names - FILES:
        raise UsageError(f"{path} is a folder with other things in it; name another `output`")
    if names and not overwrite:
        raise UsageError(f"{path} holds a model already; set `overwrite` to replace it")
