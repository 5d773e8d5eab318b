"""A folder of the `transformers` library as a model of seqlm: a GPT-2, a Llama or a Mamba.

The folder is read as it is on the disk: config.json, the weights in safetensors files (whole or in
several), and tokenizer.json. Nothing is fetched, no code is run and nothing is unpickled. Weights
of 16 bits are read as float32.

A line is a text of its own to such a model, and our `</s>` stands for the two tokens around it. As
an input it is the token with which a text begins, as an output the one with which it ends; the rows
of these two go into the embedding and into the output layer. `<unk>` is the library's where it has
one, and otherwise a token of probability 0. Rows beyond the vocabulary of tokenizer.json, which
some models have to round its size up, are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlm.errors import ModelError, UsageError, fault_of
from seqlm.models import model_class
from seqlm.models.base import SequenceModel
from seqlm.runs.huggingface.gpt2_format import GPT2
from seqlm.runs.huggingface.library_model import ConfigReader, LibraryModel, Tensors
from seqlm.runs.huggingface.llama_format import LLAMA
from seqlm.runs.huggingface.mamba_format import MAMBA
from seqlm.runs.tensor_files import read_tensors
from seqlm.text.pretrained_tokenizer import LibraryFile, PretrainedTokenizer

LIBRARY_MODELS = {model.model_type: model for model in (GPT2, LLAMA, MAMBA)}
TIED_BY_DEFAULT = {"gpt2": True, "llama": False, "mamba": True}
IMPOSSIBLE = -1e9
"""The logit of a token of probability 0."""


class LibraryConfig(NamedTuple):
    """What config.json says."""

    kind: LibraryModel
    settings: dict[str, Any]
    """Our options, without `vocab_size` and `tied`."""
    tied: bool
    bos: int | None
    """The id of the token with which a text begins."""
    eos: int | None
    """The id of the token with which it ends."""


def read_library_config(path: Path) -> LibraryConfig:
    """The config.json of the folder `path`. Errors: ModelError where seqlm has no such model."""
    file = path / "config.json"
    values = read_json(file)
    if not isinstance(values, dict):
        raise ModelError(f"{file} is not the configuration of a model")
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in LIBRARY_MODELS:
        raise ModelError(
            f"{file}: seqlm has no models of model_type {model_type!r:.60}; it reads"
            f" {', '.join(LIBRARY_MODELS)}"
        )
    kind, reader = LIBRARY_MODELS[model_type], ConfigReader(values, str(file))
    tied = reader.read(bool, "tie_word_embeddings", default=TIED_BY_DEFAULT[model_type])
    bos, eos = (token_id(reader, name) for name in ("bos_token_id", "eos_token_id"))
    return LibraryConfig(kind, kind.from_config(reader), tied, bos, eos)


def token_id(reader: ConfigReader, name: str) -> int | None:
    """The id of a special token, the first of several. Errors: ModelError where it is no id."""
    id = reader.values.get(name)
    if isinstance(id, list) and id:
        id = id[0]
    if id is None or (type(id) is int and id >= 0):
        return id
    raise ModelError(f"{reader.file}: {name} cannot be {id!r:.60}")


def read_json(file: Path) -> Any:
    """Errors: ModelError where the file is missing or no JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is no JSON{fault_of(error)}") from None


# ---------------------------------------------------------------------------------------- weights


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of the folder `path`. Errors: ModelError where there are none."""
    if (path / "model.safetensors").is_file():
        return [path / "model.safetensors"]
    index = path / "model.safetensors.index.json"
    if index.is_file():
        names = read_json(index)
        names = names.get("weight_map") if isinstance(names, dict) else None
        if not isinstance(names, dict) or not all(is_file_name(name) for name in names.values()):
            raise ModelError(f"{index} does not name the files of the weights")
        return [path / name for name in sorted(set(names.values()))]
    if any(path.glob("*.bin")):
        raise ModelError(
            f"{path} has its weights in a pickle, which seqlm does not read: save the model with"
            " safe_serialization=True"
        )
    raise ModelError(f"{path} has no model.safetensors")


def is_file_name(name: Any) -> bool:
    return isinstance(name, str) and Path(name).name == name and name.endswith(".safetensors")


def read_library_tensors(files: list[Path], prefix: str) -> Tensors:
    """The tensors of all files as float32, each with the `prefix` that older files lack.

    Errors: ModelError where a file cannot be read, or a tensor has no real numbers.
    """
    tensors: Tensors = {}
    for file in files:
        tensors |= read_tensors(file)
    named = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix) or name.startswith("lm_head."):
            named[name] = tensor
        else:
            named[prefix + name] = tensor
    return named


class VocabularyRows(NamedTuple):
    """Which rows of the library's matrices our types have."""

    unk: int | None
    bos: int
    eos: int
    others: list[int]
    """Those of our ids from 2 on."""

    def select(self, matrix: Tensor, end: int) -> Tensor:
        """(V', D) the library's -> (V, D) ours, in float32; `end` is the row of `</s>`."""
        selected = matrix[torch.tensor([self.unk or 0, end, *self.others])].float()
        if self.unk is None:
            selected[0] = 0
        return selected


def vocabulary_rows(config: LibraryConfig, tokenizer: PretrainedTokenizer) -> VocabularyRows:
    """Errors: ModelError where neither config.json nor the tokenizer says how a text ends."""
    eos = tokenizer.eos
    bos = eos if config.bos is None else config.bos
    if eos is None or bos is None:
        raise ModelError("config.json has no eos_token_id, and the tokenizer has no </s>")
    return VocabularyRows(tokenizer.library.unk, bos, eos, tokenizer.library_ids)


def make_tensors(
    config: LibraryConfig, tensors: Mapping[str, Tensor], rows: VocabularyRows
) -> tuple[dict[str, Any], Tensors]:
    """Our options, `vocab_size` and `tied` among them, and our tensors.

    Errors: ModelError where a tensor is missing, or the matrices have too few rows.
    """
    kind, settings = config.kind, config.settings
    if settings["layers"] > len(tensors):  # before the names of so many are made
        raise ModelError(f"there are {len(tensors)} tensors for {settings['layers']} layers")
    try:
        weights = kind.from_tensors(settings, tensors)
        embedding = tensors[f"{kind.prefix}{kind.embedding}"]
        output = embedding if config.tied else tensors["lm_head.weight"]
    except KeyError as error:
        raise ModelError(f"the weights lack {error}") from None
    weights = {name: tensor.float() for name, tensor in weights.items()}
    largest = max(rows.bos, rows.eos, rows.unk or 0, *rows.others)
    for matrix in (embedding, output):
        if matrix.ndim != 2 or len(matrix) <= largest:
            raise ModelError(
                f"a matrix of the vocabulary has the shape {tuple(matrix.shape)}, and the"
                f" tokenizer has the id {largest}"
            )
    tied = config.tied and rows.bos == rows.eos and kind.embedding_scale == 1
    weights["output_layer.weight"] = rows.select(output, rows.eos)
    if not tied:
        weights["embedding"] = rows.select(embedding, rows.bos) / kind.embedding_scale
    bias = torch.zeros(2 + len(rows.others))
    if rows.unk is None:
        bias[0] = IMPOSSIBLE
    weights["output_layer.bias"] = bias
    return {**settings, "vocab_size": len(bias), "tied": tied}, weights


# ------------------------------------------------------------------------------- the whole folder


class LibraryFolder(NamedTuple):
    """A folder of the `transformers` library as a model of seqlm."""

    model: SequenceModel
    tokenizer: PretrainedTokenizer
    digest: str
    """The SHA-256 of the weights."""


def read_huggingface(path: Path) -> LibraryFolder:
    """The model, in eval mode, and its tokenizer. Errors: ModelError where they cannot be read."""
    config = read_library_config(path)
    try:
        library = LibraryFile((path / "tokenizer.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{path / 'tokenizer.json'} cannot be read: {error.strerror}; save the tokenizer with"
            " AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained"
        ) from None
    except (ModelError, UnicodeDecodeError) as error:
        raise ModelError(f"{path / 'tokenizer.json'} cannot be read{fault_of(error)}") from None
    files = weight_files(path)
    tensors = read_library_tensors(files, config.kind.prefix)
    try:
        tokenizer = PretrainedTokenizer(library, config.eos)
        settings, weights = make_tensors(config, tensors, vocabulary_rows(config, tokenizer))
        model = model_class("lm", config.kind.arch).from_tensors(settings, weights)
        assert isinstance(model, SequenceModel)
    except (ModelError, RuntimeError, UsageError, ValueError) as error:
        raise ModelError(f"{path}: the weights do not fit config.json{fault_of(error)}") from None
    sha256 = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            sha256.update(hashlib.file_digest(opened, "sha256").digest())
    return LibraryFolder(model, tokenizer, sha256.hexdigest())
