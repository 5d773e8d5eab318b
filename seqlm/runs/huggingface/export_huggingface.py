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
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import tokenizers
from tokenizers import decoders, processors

from seqlm.errors import ModelError, SeqlmError, UsageError
from seqlm.models.base import SequenceModel
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.transformer import Transformer
from seqlm.runs.durable_files import write_pieces, write_text
from seqlm.runs.huggingface.gpt2_format import GPT2
from seqlm.runs.huggingface.library_model import LibraryModel, Tensors
from seqlm.runs.huggingface.llama_format import LLAMA
from seqlm.text.tokenizer import Tokenizer, check_forward
from seqlm.text.vocabulary import EOS
from seqlm.version import __version__

NEWLINE = "\n"


EXPORTED = (GPT2, LLAMA)
"""The kinds of model that are written."""


def library_model_for(config: TransformerConfig) -> LibraryModel:
    """The one that can have all options of `config`. Errors: ModelError naming the others."""
    values = asdict(config) | {"kv_heads": config.num_kv_heads}
    reasons = []
    for library_model in EXPORTED:
        assert library_model.options is not None
        wrong = [
            f"{name} {' or '.join(map(str, allowed))}, not {values[name]}"
            for name, allowed in library_model.options(config).items()
            if values[name] not in allowed
        ]
        if not wrong:
            return library_model
        reasons.append(f"{library_model.name} has {', '.join(wrong)}")
    raise ModelError(f"transformers has no model of this shape: {'; '.join(reasons)}")


def library_tensors(model: Transformer, library_model: LibraryModel) -> Tensors:
    """The weights under their names there."""
    weights = model.state_dict()
    assert library_model.to_tensors is not None
    tensors = library_model.to_tensors(model.config, weights)
    embedding = f"{library_model.prefix}{library_model.embedding}"
    tensors[embedding] = model.input_embedding().detach()
    if not model.config.tied:
        tensors["lm_head.weight"] = weights["output_layer.weight"]
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


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


def write_huggingface(
    model: SequenceModel, tokenizer: Tokenizer, path: Path, overwrite: bool = False
) -> None:
    """Writes the folder `path`; config.json comes last.

    Errors: those of `library_model_for` and `check_output`; ModelError where the model is no
    Transformer; UsageError where it reads backward; SeqlmError where the disk refuses.
    """
    check_output(path, overwrite)
    check_forward(tokenizer, "a model of the transformers library")
    if not isinstance(model, Transformer):
        raise ModelError(
            f"this is a model of class {type(model).__name__}: only a transformer can become one of"
            " the transformers library"
        )
    library_model = library_model_for(model.config)
    tensors = library_tensors(model, library_model)
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").unlink(missing_ok=True)
    except OSError as error:
        raise SeqlmError(f"{path} cannot be made: {error.strerror}") from None
    weights = safetensors.torch.save(tensors, metadata={"format": "pt"})
    write_pieces(path / "model.safetensors", [weights])
    write_text(path / "tokenizer.json", library_tokenizer(tokenizer).to_str(pretty=True))
    for file, content in json_files(model.config, library_model).items():
        write_text(path / file, json.dumps(content, indent=2) + "\n")


def json_files(config: TransformerConfig, library_model: LibraryModel) -> dict[str, dict[str, Any]]:
    """The contents of the JSON files beside the weights and the vocabulary, by name."""
    assert library_model.to_config is not None
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
            **library_model.to_config(config),
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
