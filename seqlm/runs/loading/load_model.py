"""Language models in memory: of a run, of one checkpoint of it, or of an ARPA file.

An n-gram model is arrays of numpy, which are memory-mapped where it is a run: only what is asked
for is read, and verified when it is. Nothing here imports torch for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from seqlm.errors import ModelError, UsageError, fault_of
from seqlm.models import LABELERS, config_class, model_class
from seqlm.models.config.stored_options import check_options
from seqlm.models.ngram.arpa.arpa_reader import read_arpa
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.table_checks import check_rows
from seqlm.progress import Progress, silent
from seqlm.runs.checkpoint import find_checkpoint, read_manifest, read_pointer
from seqlm.runs.loading.locate import ModelPath, WrongTask
from seqlm.runs.run_config import RunConfig, plain
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.tensor_files import MappedFile, map_arrays, read_tensors
from seqlm.runs.untrusted.file_digest import digest
from seqlm.runs.untrusted.verified_blocks import VerifiedBlocks
from seqlm.runs.untrusted.verified_rows import VerifiedRows
from seqlm.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from seqlm.models.base import LanguageNetwork, SequenceModel
    from seqlm.models.stored_model import StoredModel

Weights = TypeVar("Weights")

FEW = 8
"""Blocks of a file of n-grams that is verified as a whole when it is opened."""


class LoadedModel(NamedTuple):
    """A model, a network in eval mode, and what belongs to it."""

    model: NGramModel | SequenceModel
    tokenizer: Tokenizer
    """The tokenizer of the text, or of a translator's target."""
    config: RunConfig
    path: Path
    """The run folder, or the file."""
    weights_digest: str
    """12 digits that name what was read: for a run, `weights_digest`; for a file, the first of its
    SHA-256."""
    source_tokenizer: Tokenizer | None = None
    """The tokenizer of a translator's source where it is another one."""

    @property
    def network(self) -> LanguageNetwork | None:
        """The model where it is a neural language model, else None."""
        if isinstance(self.model, NGramModel):
            return None
        from seqlm.models.base import LanguageNetwork

        return self.model if isinstance(self.model, LanguageNetwork) else None


def load_model(
    model_path: ModelPath, device: torch.device | str = "cpu", progress: Progress = silent
) -> LoadedModel:
    """The model at `model_path`: of a run, the named checkpoint, else the best, else the latest.

    If the default checkpoint is damaged, the newest intact one is loaded with a warning. An n-gram
    model is on the CPU, whatever the device.
    `progress` is called with the stages of reading an ARPA file.
    Errors: ModelError where nothing can be read, or the weights do not fit the configuration.
    """
    if model_path.huggingface is not None:
        return load_huggingface(model_path, device)
    if model_path.vectors is not None:
        raise WrongTask(model_path.path, "vectors", "lm")
    if model_path.run is None:
        return load_arpa(model_path.path, progress)
    return load_run(model_path.run, model_path.config, model_path.checkpoint, device)


def load_run(
    run: RunFolder, config: RunConfig, checkpoint: str | None, device: torch.device | str
) -> LoadedModel:
    options = check_config(run, config)
    model: NGramModel | SequenceModel
    if (config.task, config.arch) == ("lm", "ngram"):
        folder, file, entry = read_weights(run, checkpoint, map_arrays)
        model = build_ngram_model(run, options, file, folder / "model.safetensors", entry)
    else:
        folder, tensors, entry = read_weights(run, checkpoint, read_tensors)
        model = build_sequence_model(run, config, options, tensors, folder, device)
    return LoadedModel(
        model,
        run.tokenizer,
        config,
        run.path,
        weights_digest(entry["sha256"], model.settings()),
        run.source_tokenizer,
    )


def check_config(run: RunFolder, config: RunConfig) -> dict[str, Any]:
    """The options of the model of a run. Errors: ModelError where one is not what the architecture
    takes, or fits neither the tokenizers nor the context."""
    path = run / "config.yaml"
    try:
        options_class = config_class(config.task, config.arch)
        options = check_options(options_class, config.model)
        options_class(**options)  # which fails where they do not fit together
    except UsageError as error:
        raise ModelError(f"{path}: {error}") from None
    sides = {"vocab_size": run.tokenizer, "source_vocab_size": run.source_tokenizer}
    for name, tokenizer in sides.items():
        if options.get(name) != (len(tokenizer) if tokenizer else None):
            raise ModelError(
                f"{run.path}: {name} is {options.get(name)}, and the tokenizer has"
                f" {len(tokenizer) if tokenizer else 'no'} types"
            )
    if config.task in LABELERS:
        check_labels(run, config, options)
    needed = "sentence" if config.task != "lm" else options.get("context", config.context)
    if config.context != needed:
        raise ModelError(f"{path}: the context is {config.context}, and this model has {needed}")
    return options


def check_labels(run: RunFolder, config: RunConfig, options: Mapping[str, Any]) -> None:
    """Errors: ModelError where a labeler has other labels, characters or columns than its run."""
    if run.labels is None or run.labels.task != config.task:
        raise ModelError(f"{run.path} has no labels.json of {config.task}")
    for name, size in run.labels.sizes().items():
        if options.get(name) != size:
            raise ModelError(
                f"{run.path}: {name} is {plain(options.get(name))}, and labels.json has"
                f" {plain(size)}"
            )


def build_ngram_model(
    run: RunFolder,
    options: Mapping[str, Any],
    file: MappedFile,
    path: Path,
    entry: Mapping[str, Any],
) -> NGramModel:
    """The n-gram model of checked `options` in the `file` at `path`, whose rows are verified when
    they are first read; `entry` is that of the file in the manifest.

    Errors: ModelError where the arrays do not fit.
    """
    if "blocks" not in entry:
        raise ModelError(
            f"{run.path} was counted by an earlier version of seqlm, whose tables were others:"
            " count it again"
        )
    try:
        arrays = {name: array.values for name, array in file.arrays.items()}
        model = NGramModel.from_arrays(options, arrays)
    except (TypeError, KeyError, ValueError) as error:
        raise not_fitting(path, error) from None
    blocks = VerifiedBlocks(path, file.data, entry["blocks"])

    def verify(k: int, start: int, stop: int) -> None:
        for name, part in model.order(k).stored_at(start, stop):
            blocks.verify(*file.arrays[f"orders.{k - 1}.{name}"].bytes_of(part))
        try:
            check_rows(model.orders, k, start, stop, model.config.vocab_size)
        except ValueError as error:
            blocks.verify_all()  # what continues the rows may be damaged, where nobody has read it
            raise ModelError(f"{path}: {error}") from None

    model.verify = VerifiedRows([len(order) for order in model.orders], verify)
    if len(entry["blocks"]) <= FEW:
        for order in model.orders:
            order.verify_all()
    return model


def build_sequence_model(
    run: RunFolder,
    config: RunConfig,
    options: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    folder: Path,
    device: torch.device | str,
) -> SequenceModel:
    """`build_model` of one that predicts tokens, on `device`."""
    from seqlm.models.base import SequenceModel

    model = build_model(config, options, tensors, folder / "model.safetensors")
    if not isinstance(model, SequenceModel):
        raise WrongTask(run.path, config.task, "lm")
    return model.to(device)


def build_model(
    config: RunConfig, options: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path
) -> StoredModel:
    """The model of checked `options` with the `tensors` of the file at `path`, in eval mode.

    Errors: ModelError where they do not fit, or hold what no such model does.
    """
    try:
        model = model_class(config.task, config.arch).from_tensors(options, tensors)
        model.check_tensors()
    except (RuntimeError, TypeError, KeyError, ValueError, OverflowError) as error:
        raise not_fitting(path, error) from None
    return model


def not_fitting(path: Path, error: Exception) -> ModelError:
    """The error where the weights in the file at `path` are not those of config.yaml."""
    return ModelError(f"{path}: the weights do not fit config.yaml{fault_of(error)}")


def weights_digest(sha256: str, options: Mapping[str, Any]) -> str:
    """12 digits that name what was read of a run: the file of the weights, and the options that say
    what they mean, such as the number of heads."""
    text = json.dumps([sha256, plain(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_weights(
    run: RunFolder, checkpoint: str | None, read: Callable[[Path], Weights]
) -> tuple[Path, Weights, dict[str, Any]]:
    """The folder of the named checkpoint, or else of the best or latest, what is `read` of the file
    of its weights, and the entry of that file in the manifest.

    A run that is being trained deletes its old checkpoints: one that vanishes while it is read is
    followed by the next. Errors: ModelError.
    """
    while True:
        wanted = checkpoint or read_pointer(run, "best") or read_pointer(run, "latest")
        folder = find_checkpoint(run, wanted, exact=checkpoint is not None)
        try:
            weights = read(folder / "model.safetensors")
            return folder, weights, read_manifest(folder)["model.safetensors"]
        except (ModelError, FileNotFoundError):
            if folder.exists():
                raise


def load_arpa(path: Path, progress: Progress = silent) -> LoadedModel:
    """The n-gram model in an ARPA file. Errors: ModelError."""
    model, tokenizer = read_arpa(path, progress)
    config = RunConfig(
        task="lm", arch="ngram", context=model.config.context, model=model.settings()
    )
    return LoadedModel(model, tokenizer, config, path, digest(path)[:12])


def load_huggingface(model_path: ModelPath, device: torch.device | str) -> LoadedModel:
    """The model in a folder of the `transformers` library. Errors: ModelError."""
    from seqlm.runs.huggingface.import_huggingface import read_huggingface

    model, tokenizer, sha256 = read_huggingface(model_path.path)
    config = replace(model_path.config, model=model.settings())
    return LoadedModel(model.to(device), tokenizer, config, model_path.path, sha256[:12])


def unigram_cache(vocabulary_of: LoadedModel, size: int, decay: float | None = None) -> LoadedModel:
    """A cache of the last `size` tokens over the vocabulary of another model. It has no file."""
    from seqlm.models.wrappers.unigram_cache import DEFAULT_DECAY, UnigramCache, UnigramCacheConfig

    decay = DEFAULT_DECAY if decay is None else decay
    options = UnigramCacheConfig(len(vocabulary_of.tokenizer), size, decay)
    model = UnigramCache(options).eval()
    config = RunConfig(task="lm", arch="cache", context="carried", model=model.settings())
    name = f"{size},{options.decay:g}"
    return LoadedModel(model, vocabulary_of.tokenizer, config, Path("cache"), name)
