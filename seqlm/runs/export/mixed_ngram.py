"""Several n-gram models as one: their types are united, then their n-grams, and then they are mixed
(`static_mixture.py`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlm.errors import ModelError
from seqlm.models.ngram.derived.static_mixture import mix_united, unite
from seqlm.progress import Progress, silent
from seqlm.runs.export.export_ngram import Exported, ngram_model
from seqlm.runs.loading.common_vocabulary import united_tokenizer
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.runs.run_config import RunConfig
from seqlm.text.reading import absolute_path


def unite_models(models: Sequence[LoadedModel], progress: Progress = silent) -> list[LoadedModel]:
    """The models, each over the types and the n-grams of all, with the probabilities that it had.

    Errors: ModelError where one is a network or gives scores, or they read text differently.
    """
    first = models[0]
    for loaded in models:
        if not ngram_model(loaded).normalized:
            raise ModelError(f"{loaded.path} gives scores, not probabilities: it cannot be mixed")
        if loaded.config.context != first.config.context:
            raise ModelError(
                f"{first.path} and {loaded.path} cannot be mixed: the context of one is"
                f" {first.config.context}, of the other {loaded.config.context}"
            )
    tokenizer = united_tokenizer(models)
    type_ids = [
        np.array([tokenizer.id_of_type[type_] for type_ in loaded.tokenizer.types])
        for loaded in models
    ]
    ngram_models = [ngram_model(loaded) for loaded in models]
    united = unite(ngram_models, type_ids, len(tokenizer), progress)
    return [
        loaded._replace(model=model, tokenizer=tokenizer) for loaded, model in zip(models, united)
    ]


def mix_models(
    united: Sequence[LoadedModel], weights: Sequence[float], progress: Progress = silent
) -> Exported:
    """One model of several that `unite_models` has made."""
    model = mix_united([ngram_model(loaded) for loaded in united], weights, progress)
    parts = (
        f"{weight:g} of {absolute_path(str(loaded.path))}"
        for weight, loaded in zip(weights, united)
    )
    config = RunConfig(
        task="lm",
        arch="ngram",
        context=united[0].config.context,
        model=model.settings(),
        exported=", ".join(parts),
    )
    return Exported(model, united[0].tokenizer, config, "mixture")
