"""The language models that a labeler reads features from, as runs inside of its own run.

    RUN/language-models/1, 2, …      in the order in which `features_from` names them

They are copies: the run stays whole when the originals are removed, moved or trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from seqlm.errors import ModelError, shown
from seqlm.runs.checkpoint import write_checkpoint
from seqlm.runs.loading.load_model import LoadedModel, load_run
from seqlm.runs.own_files import LANGUAGE_MODELS
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder, as_seqlm_error


def write_language_models(run: RunFolder, models: Sequence[LoadedModel]) -> None:
    """Copies `models` into a run. Errors: SeqlmError where the disk refuses."""
    for number, loaded in enumerate(models, 1):
        copy = RunFolder(run / LANGUAGE_MODELS / str(number))
        with as_seqlm_error(copy.path):
            copy.path.mkdir(parents=True)
        copy.write_tokenizer(loaded.tokenizer)
        copy.write_config(replace(loaded.config, exported=str(loaded.path)))
        write_checkpoint(copy, 0, loaded.model, best=True)


def read_language_models(
    run: RunFolder, config: RunConfig, device: torch.device | str = "cpu"
) -> tuple[LoadedModel, ...]:
    """The language models of a run, whose `config` names their digests.

    Errors: ModelError where they are not there, cannot be read, or are others.
    """
    folder, digests = run / LANGUAGE_MODELS, config.data.get("language_models", [])
    widths = config.model.get("contextual_widths", [])
    if not isinstance(digests, list) or 2 * len(digests) != len(widths):
        raise ModelError(f"{run / 'config.yaml'}: data.language_models cannot be {shown(digests)}")
    copies = [RunFolder(folder / str(number)) for number in range(1, len(digests) + 1)]
    models = tuple(load_run(copy, copy.read_config(), None, device) for copy in copies)
    for loaded, digest in zip(models, digests):
        if loaded.weights_digest != digest:
            raise ModelError(f"{loaded.path} is not the language model that {run.path} has read")
    return models
