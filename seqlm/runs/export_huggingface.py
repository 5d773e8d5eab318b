"""A Transformer as a folder that the `transformers` library opens, where it has a twin there.

    AutoModelForCausalLM.from_pretrained(FOLDER)      the same logits
    AutoTokenizer.from_pretrained(FOLDER)             the same ids

The twins are GPT-2 (Radford et al. 2019) and Llama (Touvron et al. 2023); `models.transformer` says
which tensors are which. A model with any option that neither has is refused, by its name. Layers
without biases become GPT-2's with biases of 0.

`</s>` is spelt as the newline it stands for, and is the first token of every text, as it is the
first that the model reads: the ids of "a text" are those of `</s> a text`.
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

from seqlm import __version__
from seqlm.errors import ModelError, SeqlmError, UsageError
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.transformer import Transformer
from seqlm.models.layers.rotary import ROPE_BASE
from seqlm.models.layers.transformer_layers import NORM_EPSILON
from seqlm.runs.durable_files import write_pieces, write_text
from seqlm.runs.load_model import LoadedModel
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS

NEWLINE = "\n"


class Twin(NamedTuple):
    """An architecture of `transformers`, beside ours."""

    name: str
    options: Callable[[TransformerConfig], Mapping[str, Iterable[Any]]]
    """The values that it has of our options; of others it has all."""
    config: Callable[[TransformerConfig], dict[str, Any]]
    tensors: Callable[[Transformer], dict[str, Tensor]]


def twin_of(config: TransformerConfig) -> Twin:
    """Errors: ModelError naming the options that have no twin."""
    given = asdict(config) | {"kv_heads": config.num_kv_heads}
    lacking = []
    for twin in (GPT2, LLAMA):
        wrong = [
            f"{name} {' or '.join(map(str, known))}, not {given[name]}"
            for name, known in twin.options(config).items()
            if given[name] not in known
        ]
        if not wrong:
            return twin
        lacking.append(f"{twin.name} has {', '.join(wrong)}")
    raise ModelError(f"transformers has no model of this shape: {'; '.join(lacking)}")


# ---------------------------------------------------------------------------------------- the twins

COMMON: dict[str, Iterable[Any]] = {"norm_first": [True], "experts": [0], "softmax": ["full"]}
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu-tanh": "gelu_new"}


def gpt2_options(config: TransformerConfig) -> dict[str, Iterable[Any]]:
    shape = {"norm": ["layer"], "positions": ["learned"], "activation": list(ACTIVATIONS)}
    return {**COMMON, **shape, "kv_heads": [config.heads]}


def gpt2_config(config: TransformerConfig) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_inner": config.feed_forward_width,
        "n_positions": config.horizon,
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
    ours = model.state_dict()
    modules = {"transformer.ln_f": "norm"}
    for i in range(model.config.layers):
        modules |= {f"transformer.h.{i}.{a}": f"blocks.{i}.{b}" for a, b in GPT2_LAYER.items()}
    theirs = {
        "transformer.wte.weight": model.input_embedding().detach(),
        "transformer.wpe.weight": ours["positions"],
        "lm_head.weight": ours["output_layer.weight"],
    }
    for there, here in modules.items():
        weight = ours[f"{here}.weight"]
        bias = ours.get(f"{here}.bias", weight.new_zeros(len(weight)))
        theirs |= {f"{there}.weight": weight.t(), f"{there}.bias": bias}  # (in, out)
    return theirs


def llama_options(config: TransformerConfig) -> dict[str, Iterable[Any]]:
    return {**COMMON, "norm": ["rms"], "positions": ["rotary"], "activation": ["swiglu"]}


def llama_config(config: TransformerConfig) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.num_kv_heads,
        "intermediate_size": config.feed_forward_width,
        "max_position_embeddings": config.horizon,
        "hidden_act": "silu",
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_BASE,
        "attention_bias": config.bias,
        "mlp_bias": config.bias,
        "attention_dropout": config.dropout_attention,
    }


def llama_tensors(model: Transformer) -> dict[str, Tensor]:
    config, ours = model.config, model.state_dict()
    queries, shared = config.width, config.width // config.heads * config.num_kv_heads
    theirs = {
        "model.embed_tokens.weight": model.input_embedding().detach(),
        "model.norm.weight": ours["norm.weight"],
        "lm_head.weight": ours["output_layer.weight"],
    }
    for i in range(config.layers):
        here, there = f"blocks.{i}", f"model.layers.{i}"
        theirs[f"{there}.input_layernorm.weight"] = ours[f"{here}.attention_norm.weight"]
        theirs[f"{there}.post_attention_layernorm.weight"] = ours[
            f"{here}.feed_forward_norm.weight"
        ]
        for kind in ("weight", "bias") if config.bias else ("weight",):
            q, k, v = ours[f"{here}.attention.qkv.{kind}"].split([queries, shared, shared])
            gate, up = ours[f"{here}.feed_forward.up.{kind}"].chunk(2)
            theirs |= {
                f"{there}.self_attn.q_proj.{kind}": q,
                f"{there}.self_attn.k_proj.{kind}": k,
                f"{there}.self_attn.v_proj.{kind}": v,
                f"{there}.self_attn.o_proj.{kind}": ours[f"{here}.attention.out.{kind}"],
                f"{there}.mlp.gate_proj.{kind}": gate,
                f"{there}.mlp.up_proj.{kind}": up,
                f"{there}.mlp.down_proj.{kind}": ours[f"{here}.feed_forward.down.{kind}"],
            }
    return theirs


GPT2 = Twin("GPT-2", gpt2_options, gpt2_config, gpt2_tensors)
LLAMA = Twin("Llama", llama_options, llama_config, llama_tensors)


# ------------------------------------------------------------------------------------ the tokeniser


def library_of(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """Our tokeniser in the `tokenizers` library, for whole texts: lines end in id 1.

    A literal `<s>` or `</s>` among words, which we refuse, is unknown.
    """
    stored = json.loads(tokenizer.to_json())
    vocabulary = stored["model"]["vocab"]
    (spelt,) = (type_ for type_, id in vocabulary.items() if id == EOS)
    del vocabulary[spelt]
    vocabulary[NEWLINE] = EOS
    library = tokenizers.Tokenizer.from_str(json.dumps(stored))
    library.add_special_tokens([tokenizers.AddedToken(NEWLINE, normalized=False)])
    library.post_processor = processors.TemplateProcessing(
        single=[NEWLINE, "$A"], special_tokens=[(NEWLINE, EOS)]
    )
    if tokenizer.kind == "char":
        library.decoder = decoders.Fuse()
    elif tokenizer.kind == "word":  # a space before each, and then none beside a newline
        beside = tokenizers.Regex("^ | (?=\n)|(?<=\n) ")
        library.decoder = decoders.Sequence(
            [
                decoders.Replace(tokenizers.Regex("^"), " "),
                decoders.Fuse(),
                decoders.Replace(beside, ""),
            ]
        )
    return library


# ------------------------------------------------------------------------------------------- export

FILES = {
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "config.json",
}


def write_huggingface(loaded: LoadedModel, path: Path, overwrite: bool = False) -> None:
    """Writes the folder `path`; config.json last.

    Errors: those of `twin_of` and `check_output`; ModelError where the model is no Transformer;
    SeqlmError where the disk refuses.
    """
    check_output(path, overwrite)
    model = loaded.model
    if not isinstance(model, Transformer):
        raise ModelError(
            f"{loaded.path} is a model of arch {loaded.config.arch}: only transformer has a twin"
        )
    twin = twin_of(model.config)
    tensors = {name: x.contiguous() for name, x in twin.tensors(model).items()}
    if model.config.tied:
        del tensors["lm_head.weight"]
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").unlink(missing_ok=True)
    except OSError as error:
        raise SeqlmError(f"{path} cannot be made: {error.strerror}") from None
    weights = safetensors.torch.save(tensors, metadata={"format": "pt"})
    write_pieces(path / "model.safetensors", [weights])
    write_text(path / "tokenizer.json", library_of(loaded.tokenizer).to_str(pretty=True))
    for file, content in descriptions(model.config, twin).items():
        write_text(path / file, json.dumps(content, indent=2) + "\n")


def descriptions(config: TransformerConfig, twin: Twin) -> dict[str, dict[str, Any]]:
    """The contents of the JSON files that the library reads beside the tensors, by name."""
    ends = {"bos_token_id": EOS, "eos_token_id": EOS}
    return {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": NEWLINE,
            "eos_token": NEWLINE,
            "model_max_length": config.horizon,
            "clean_up_tokenization_spaces": False,
        },
        "generation_config.json": ends,
        "config.json": {
            **twin.config(config),
            "vocab_size": config.vocab_size,
            "tie_word_embeddings": config.tied,
            **ends,
            "torch_dtype": "float32",
            "seqlm": __version__,
        },
    }


def check_output(path: Path, overwrite: bool) -> None:
    """Refuses, before a model is loaded, a `path` that cannot be written.

    Errors: UsageError where it is a file, or holds something else, or an earlier export and not
    `overwrite`.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder")
    names = {file.name for file in path.iterdir()} if path.is_dir() else set()
    if names - FILES:
        raise UsageError(f"{path} is a folder with other things in it; name another output")
    if names and not overwrite:
        raise UsageError(f"{path} holds a model already; set overwrite to replace it")
