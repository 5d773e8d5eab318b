"""Models in memory: of a run, of one checkpoint of it, or of an ARPA file; and translators that
work as an ensemble."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlm.errors import ModelError, UsageError
from seqlm.models import LABELERS, config_class, model_class
from seqlm.models.base import SequenceModel, Translator
from seqlm.models.config.stored_options import check_options
from seqlm.models.ngram.arpa.arpa_reader import read_arpa
from seqlm.models.ngram.ngram_language_model import NGramLanguageModel
from seqlm.models.stored_model import StoredModel
from seqlm.models.wrappers.ensemble import Ensemble
from seqlm.models.wrappers.unigram_cache import DEFAULT_DECAY, UnigramCache, UnigramCacheConfig
from seqlm.progress import Progress, silent
from seqlm.runs.checkpoint import find_checkpoint, read_manifest, read_pointer, read_tensors
from seqlm.runs.huggingface.import_huggingface import read_huggingface
from seqlm.runs.loading.locate import ModelPath, WrongTask
from seqlm.runs.run_config import RunConfig, plain
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.untrusted.file_digest import digest
from seqlm.text.tokenizer import Tokenizer, have_equal_ids


class LoadedModel(NamedTuple):
    """A model in eval mode, and what belongs to it."""

    model: SequenceModel
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


def load_model(
    model_path: ModelPath, device: torch.device | str = "cpu", progress: Progress = silent
) -> LoadedModel:
    """The model at `model_path`: of a run, the named checkpoint, else the best, else the latest.

    If the default checkpoint is damaged, the newest intact one is loaded with a warning.
    `progress` is called with the stages of reading an ARPA file.
    Errors: ModelError where nothing can be read, or the weights do not fit the configuration.
    """
    if model_path.huggingface is not None:
        return load_huggingface(model_path, device)
    if model_path.vectors is not None:
        raise WrongTask(model_path.path, "vectors", "lm")
    if model_path.run is None:
        return load_arpa(model_path.path, device, progress)
    return load_run(model_path.run, model_path.config, model_path.checkpoint, device)


def load_run(
    run: RunFolder, config: RunConfig, checkpoint: str | None, device: torch.device | str
) -> LoadedModel:
    options = check_config(run, config)
    folder, tensors, sha256 = read_weights(run, checkpoint)
    model = build_model(config, options, tensors, folder / "model.safetensors")
    if not isinstance(model, SequenceModel):
        raise WrongTask(run.path, config.task, "lm")
    return LoadedModel(
        model.to(device),
        run.tokenizer,
        config,
        run.path,
        weights_digest(sha256, model.settings()),
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
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path}: the weights do not fit config.yaml: {reason}") from None
    return model


def weights_digest(sha256: str, options: Mapping[str, Any]) -> str:
    """12 digits that name what was read of a run: the file of the weights, and the options that say
    what they mean, such as the number of heads."""
    text = json.dumps([sha256, plain(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_weights(run: RunFolder, checkpoint: str | None) -> tuple[Path, dict[str, Tensor], str]:
    """The folder of the named checkpoint, or else of the best or latest, its tensors and the digest
    of their file.

    A run that is being trained deletes its old checkpoints: one that vanishes while it is read is
    followed by the next. Errors: ModelError.
    """
    while True:
        wanted = checkpoint or read_pointer(run, "best") or read_pointer(run, "latest")
        folder = find_checkpoint(run, wanted, exact=checkpoint is not None)
        try:
            tensors = read_tensors(folder / "model.safetensors")
            return folder, tensors, read_manifest(folder)["model.safetensors"]["sha256"]
        except (ModelError, FileNotFoundError):
            if folder.exists():
                raise


def load_arpa(path: Path, device: torch.device | str, progress: Progress = silent) -> LoadedModel:
    """The n-gram model in an ARPA file. Errors: ModelError."""
    ngrams, tokenizer = read_arpa(path, progress)
    model = NGramLanguageModel(ngrams)
    config = RunConfig(
        task="lm", arch="ngram", context=model.config.context, model=model.settings()
    )
    return LoadedModel(model.to(device), tokenizer, config, path, digest(path)[:12])


def load_huggingface(model_path: ModelPath, device: torch.device | str) -> LoadedModel:
    """The model in a folder of the `transformers` library. Errors: ModelError."""
    model, tokenizer, sha256 = read_huggingface(model_path.path)
    config = replace(model_path.config, model=model.settings())
    return LoadedModel(model.to(device), tokenizer, config, model_path.path, sha256[:12])


def unigram_cache(vocabulary_of: LoadedModel, size: int, decay: float | None = None) -> LoadedModel:
    """A cache of the last `size` tokens over the vocabulary of another model. It has no file."""
    decay = DEFAULT_DECAY if decay is None else decay
    options = UnigramCacheConfig(len(vocabulary_of.tokenizer), size, decay)
    model = UnigramCache(options).eval()
    config = RunConfig(task="lm", arch="cache", context="carried", model=model.settings())
    name = f"{size},{options.decay:g}"
    return LoadedModel(model, vocabulary_of.tokenizer, config, Path("cache"), name)


# ------------------------------------------------------------------------------------- translators


class LoadedTranslator(NamedTuple):
    """A translator, of one run or of several, with the tokenizers of both sides."""

    model: Translator
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer


def load_translators(
    model_paths: Sequence[ModelPath], device: torch.device | str = "cpu"
) -> LoadedTranslator:
    """The translator of one run, or the ensemble of several. Errors: ModelError."""
    return combine_translators([load_model(model_path, device) for model_path in model_paths])


def combine_translators(models: Sequence[LoadedModel]) -> LoadedTranslator:
    """One translator as it is, or several as an ensemble.

    Errors: ModelError where one does not translate, or their vocabularies differ.
    """
    first, translators = models[0], []
    for loaded in models:
        if not isinstance(loaded.model, Translator):
            raise WrongTask(loaded.path, loaded.config.task, "translation")
        if not (
            have_equal_ids(loaded.tokenizer, first.tokenizer)
            and have_equal_ids(tokenizer_of_source(loaded), tokenizer_of_source(first))
        ):
            raise ModelError(
                f"{first.path} and {loaded.path} cannot translate together: they do not have the"
                f" same vocabularies (a model trained with `vocab={first.path}` has those of the"
                " first)"
            )
        translators.append(loaded.model)
    if len(translators) == 1:
        model = translators[0]
    else:
        model = Ensemble(translators).to(translators[0].device).eval()
    return LoadedTranslator(model, tokenizer_of_source(first), first.tokenizer)


def tokenizer_of_source(loaded: LoadedModel) -> Tokenizer:
    return loaded.source_tokenizer or loaded.tokenizer
