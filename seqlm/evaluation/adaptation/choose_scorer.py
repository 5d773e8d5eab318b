"""What scores a text under a model: the model as it is, or a network that is adapted.

Nothing here imports torch for an n-gram model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqlm.errors import UsageError
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation, require
from seqlm.evaluation.scoring import Scorer
from seqlm.runs.loading.load_model import LoadedModel

if TYPE_CHECKING:
    from seqlm.evaluation.adaptation.dynamic_evaluation import AdaptiveScorer, RMSGradients
    from seqlm.models.base import LanguageNetwork
    from seqlm.models.verbs import LanguageVerbs


def make_scorer(
    loaded: LoadedModel,
    constants: Adaptation,
    rms_gradients: RMSGradients | None = None,
    batch_size: int = 64,
    ngram_lengths: bool = False,
    stride: int | None = None,
) -> Scorer | AdaptiveScorer:
    """A scorer of texts under a language model; a network is adapted by `constants`, which have
    defaults."""
    if loaded.network is not None and constants.adapts:
        from seqlm.evaluation.adaptation.dynamic_evaluation import (
            AdaptiveScorer,
            neural_cache_config,
            update_rule,
        )

        network = at_temperature(loaded.network, constants)
        rule = update_rule(constants, rms_gradients)
        return AdaptiveScorer(network, rule, neural_cache_config(constants))
    model = static_model(loaded, constants)
    return Scorer(model, loaded.config.context, batch_size, ngram_lengths, stride)


def static_model(loaded: LoadedModel, constants: Adaptation) -> LanguageVerbs:
    """The language model as it scores where it is not updated: a network has its temperature."""
    if loaded.network is not None:
        return at_temperature(loaded.network, constants)
    model: LanguageVerbs = loaded.model  # type: ignore[assignment]
    return model


def at_temperature(network: LanguageNetwork, constants: Adaptation) -> LanguageNetwork:
    """The network at the temperature of `constants`, which have defaults."""
    from seqlm.models.wrappers.temperature import with_temperature

    return with_temperature(network, require(constants.softmax_temperature))


def check_adaptable(constants: Adaptation, models: Sequence[LoadedModel]) -> None:
    """Errors: UsageError where no model is a network, or a network cannot be adapted so."""
    networks = [loaded for loaded in models if loaded.network is not None]
    if constants != Adaptation() and not networks:
        raise UsageError(
            f"{models[0].path} is no network: it has no temperature, cache or gradient"
        )
    for loaded in networks if constants.adapts else ():
        if loaded.config.context == "sentence":
            raise UsageError(
                f"{loaded.path} starts every line afresh (context sentence), so that no line can"
                " learn from another: `neural_cache` and `dynamic` are for the other contexts"
            )
        context_length = loaded.model.context_length
        if context_length is not None and (constants.dynamic or 1) > context_length // 2:
            raise UsageError(
                f"{loaded.path} reads {context_length} tokens at once: `dynamic` takes 1 to"
                f" {context_length // 2}"
            )
