"""Translators in memory: of one run, or of several that work as an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from seqlm.errors import ModelError
from seqlm.models.base import Translator
from seqlm.models.wrappers.ensemble import Ensemble
from seqlm.runs.loading.load_model import LoadedModel, load_model
from seqlm.runs.loading.locate import ModelPath, WrongTask
from seqlm.text.tokenizer import Tokenizer, have_equal_ids


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
