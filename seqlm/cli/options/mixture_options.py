"""Several models as one: the flags that name and weigh them, the same in `eval` and `sample`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.errors import UsageError

if TYPE_CHECKING:
    import torch

    from seqlm.evaluation.mixture_scoring import Mix
    from seqlm.runs.locate import ModelPath

MODELS = flag(
    "-m",
    "--model",
    envvar=None,  # a list would be split at the spaces that the one name in SEQLM_MODEL may have
    help="A run folder, one checkpoint in it, or an ARPA file; several are mixed."
    " [default: the latest run]",
)
MIX = flag("--mix", help="The weights of several models, as 0.4,0.6. [default: equal]")
CACHE = flag(
    "--cache",
    help="Mix in, as the last model, a unigram cache of the last SIZE tokens.",
    min=1,
    max=10**6,
)
CACHE_DECAY = flag(
    "--cache-decay",
    help="Nats by which the cache forgets a token with every one after it. [default: 0.008]",
)


class Request(NamedTuple):
    """What a command line asks to be mixed."""

    models: list[ModelPath]
    cache: int | None  # the tokens of a cache that comes last
    decay: float | None
    weights: list[float] | None  # 1 in all

    @property
    def size(self) -> int:
        """How many models are mixed."""
        return len(self.models) + (self.cache is not None)


def requested(
    models: list[str] | None, mix: str | None, cache: int | None, decay: float | None
) -> Request:
    """Checked, and the models found, before anything heavy is imported.

    Errors: ModelError, UsageError.
    """
    if decay is not None and cache is None:
        raise UsageError("--cache-decay is how a --cache forgets")
    if decay is not None and not 0 <= decay < math.inf:
        raise UsageError(f"--cache-decay must be 0 or more, not {decay}")
    request = Request(console.locate_models(models, "lm"), cache, decay, None)
    return request._replace(weights=None if mix is None else weights_of(mix, request.size))


def weights_of(mix: str, models: int) -> list[float]:
    """Those of --mix. Errors: UsageError where they are no weights of so many models."""
    if models == 1:
        raise UsageError("--mix weighs several models: -m names another, --cache adds one")
    try:
        weights = [float(weight) for weight in mix.split(",")]
    except ValueError:
        raise UsageError(f"--mix {mix} is not a list of numbers, as 0.4,0.6 is") from None
    if len(weights) != models:
        raise UsageError(f"--mix {mix}: {models} models take {models} weights, not {len(weights)}")
    if not all(0 <= weight < math.inf for weight in weights):
        raise UsageError(f"--mix {mix}: no weight can be below 0, or no number")
    total = sum(weights)
    if abs(total - 1) > 1e-3:
        raise UsageError(f"--mix {mix}: the weights sum to {total:g} instead of 1")
    return [weight / total for weight in weights]


def open_mix(request: Request, device: torch.device) -> Mix:
    """Errors: ModelError, DataError."""
    from seqlm.evaluation.mixture_scoring import Mix
    from seqlm.runs.load_model import load_model, unigram_cache

    models = [load_model(path, device, console.Stages()) for path in request.models]
    if request.cache is not None:
        models.append(unigram_cache(models[0], request.cache, request.decay))
    return Mix.of(models, request.weights)


def listed(mix: Mix) -> str:
    """The weights, as --mix takes them."""
    return ",".join(f"{weight:.6g}" for weight in mix.weights)
