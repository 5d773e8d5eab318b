"""Labelers in memory: a run, with the vocabulary of its labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from seqlm.errors import ModelError
from seqlm.models import LABELERS
from seqlm.models.labeling.labeler import Labeler
from seqlm.runs.loading.language_models import read_language_models
from seqlm.runs.loading.load_model import (
    LoadedModel,
    build_model,
    check_config,
    read_weights,
    weights_digest,
)
from seqlm.runs.loading.locate import ModelPath, WrongTask
from seqlm.runs.run_config import RunConfig
from seqlm.runs.tensor_files import read_tensors
from seqlm.text.labeled.label_vocabulary import LabelVocabulary
from seqlm.text.labeled.word_forms import FormReader
from seqlm.text.tokenizer import Tokenizer


class LoadedLabeler(NamedTuple):
    """A labeler in evaluation mode, and what belongs to it."""

    model: Labeler
    tokenizer: Tokenizer
    labels: LabelVocabulary
    reader: FormReader
    """What reads the words of a text for it."""
    config: RunConfig
    path: Path
    weights_digest: str
    """12 digits that name the weights, and those of the language models."""
    language_models: tuple[LoadedModel, ...] = ()
    """Those that it reads features from."""


def load_labeler(model_path: ModelPath, device: torch.device | str = "cpu") -> LoadedLabeler:
    """The tagger or classifier at `model_path`: the named checkpoint, else the best, else the
    latest. Errors: ModelError where it is none, or cannot be read."""
    run, config = model_path.run, model_path.config
    if run is None or run.labels is None:
        raise WrongTask(model_path.path, config.task, LABELERS)
    options = check_config(run, config)
    folder, tensors, entry = read_weights(run, model_path.checkpoint, read_tensors)
    model = build_model(config, options, tensors, folder / "model.safetensors")
    if not isinstance(model, Labeler):
        raise ModelError(f"{run / 'labels.json'}: a {config.task} model has no labels")
    language_models = read_language_models(run, config, device)
    digests = [entry["sha256"], *(loaded.weights_digest for loaded in language_models)]
    return LoadedLabeler(
        model.to(device),
        run.tokenizer,
        run.labels,
        FormReader(run.tokenizer, run.labels),
        config,
        run.path,
        weights_digest(" ".join(digests), model.settings()),
        language_models,
    )
