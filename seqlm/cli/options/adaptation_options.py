"""The options of `eval` that adapt networks while they score. Their settings are in
`evaluation/adaptation/adaptation_settings.py`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from seqlm.cli import console
from seqlm.cli.options.mixture_options import weights_text
from seqlm.cli.options.spelling import flag_of

if TYPE_CHECKING:
    from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
    from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture


def adapt(models: LoadedMixture, adaptation: Adaptation, errors: str) -> LoadedMixture:
    """The mixture whose networks are adapted so. Errors: UsageError, DataError."""
    adapted = models.adapted(adaptation)  # refuses before anything is read
    if adaptation.dynamic_statistics is None:
        return adapted
    from seqlm.evaluation.mixtures.tuning import read_held_out

    text = read_held_out(models.tokenizer, adaptation.dynamic_statistics, errors)
    console.say(f"gradient statistics of {text.name}")
    return models.adapted(replace(adaptation, statistics_digest=text.digest), text.ids)


def flags_of(models: LoadedMixture) -> str:
    """The flags that give the constants and weights of `models` again."""
    values = models.adaptation.given()
    flags = [shlex.join([flag_of(name), str(value)]) for name, value in values.items()]
    if len(models.models) > 1:
        flags.append(f"--mix {weights_text(models)}")
    return " ".join(flags)
