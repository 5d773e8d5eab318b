"""Several n-gram models made one, with weights that are given, equal, or tuned on held-out text."""

from __future__ import annotations

from collections.abc import Sequence

from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.evaluation.mixtures.mixture_weights import check_weights
from seqlm.evaluation.mixtures.tuning import read_held_out, tune
from seqlm.progress import Progress, silent
from seqlm.runs.export.export_ngram import Exported, exported
from seqlm.runs.export.mixed_ngram import mix_models, unite_models
from seqlm.runs.loading.load_model import LoadedModel


def mix_statically(
    models: Sequence[LoadedModel],
    weights: Sequence[float] | None = None,
    held_out: str | None = None,
    progress: Progress = silent,
) -> tuple[Exported, list[float]]:
    """One n-gram model of several, or the only one as it is, and the weights.

    `held_out` is a text on which weights are tuned that are not given; without it they are equal.
    Errors: those of `unite_models` and `tune`; UsageError where the weights do not fit.
    """
    if len(models) == 1:
        return exported(models[0]), [1.0]
    if weights is not None:
        chosen = check_weights(weights, len(models))
    united = unite_models(models, progress)
    if weights is None:
        mixture = LoadedMixture.of(united)
        if held_out is not None:
            text = read_held_out(mixture.tokenizer, held_out)
            mixture = tune(mixture, text, progress=progress)
        chosen = list(mixture.weights)
    return mix_models(united, chosen, progress), chosen
