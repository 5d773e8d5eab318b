"""Several models as one: the options that name and weigh them, which `eval` and `sample` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.errors import UsageError
from seqlm.settings import setting

if TYPE_CHECKING:
    import torch

    from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
    from seqlm.runs.loading.locate import ModelPath


def model_option(several: str) -> Any:
    """-m of a command that takes several models; `several` says what it does with them."""
    return flag(
        "-m",
        "--model",
        envvar=None,  # a list would be split at the spaces that the name in SEQLM_MODEL may have
        help=f"Model to use: {several} [default: the latest run]",
        metavar="RUN",
        autocompletion=console.run_names,
        rich_help_panel="Model",
    )


MODELS = model_option(f"{console.MODEL_FORMS}. Several are mixed.")


@dataclass(frozen=True)
class MixtureOptions:
    """The options that mix several models."""

    mix: str | None = setting(
        None,
        "Weights of the models, e.g. 0.4,0.6.",
        none_text="equal",
        metavar="X,X",
        section="Mixture",
    )
    cache: int | None = setting(
        None, "Add a unigram cache of the last N tokens as the last model of the mixture.",
        low=1, high=10**6, section="Mixture",
    )  # fmt: skip
    cache_decay: float | None = setting(
        None, "Rate at which the cache forgets: a token read n tokens ago weighs exp(-X n).",
        none_text="0.008", low=0, section="Mixture",
    )  # fmt: skip


class MixtureRequest(NamedTuple):
    """The mixture that a command line asks for, checked before torch is imported."""

    models: list[ModelPath]
    weights: list[float] | None  # 1 in all
    cache: int | None  # the tokens of a cache that comes last
    cache_decay: float | None

    @property
    def size(self) -> int:
        """The number of models."""
        return len(self.models) + (self.cache is not None)

    @property
    def has_default_weights(self) -> bool:
        return self.size > 1 and self.weights is None

    def load(self, device: torch.device | str) -> LoadedMixture:
        """Loads the models. Errors: ModelError, DataError."""
        from seqlm.evaluation.mixtures.mixture_scoring import load_mixture

        return load_mixture(
            self.models, self.weights, self.cache, self.cache_decay, device, console.Stages()
        )


def request_mixture(
    models: Sequence[str | ModelPath] | None, options: MixtureOptions
) -> MixtureRequest:
    """The mixture of the named models, which are located. Errors: ModelError, UsageError."""
    if options.cache_decay is not None and options.cache is None:
        raise UsageError("`cache_decay` has no effect without `cache`")
    model_paths = console.locate_models(models, "lm")
    request = MixtureRequest(model_paths, None, options.cache, options.cache_decay)
    if options.mix is None:
        return request
    return request._replace(weights=parse_weights(options.mix, request.size))


def parse_weights(mix: str, models: int) -> list[float]:
    """The weights that --mix gives so many models. Errors: UsageError where they do not fit."""
    from seqlm.evaluation.mixtures.mixture_weights import check_weights

    try:
        weights = [float(weight) for weight in mix.split(",")]
    except ValueError:
        raise UsageError(f"--mix {mix} is not a list of numbers, as 0.4,0.6 is") from None
    return check_weights(weights, models)


def say_equal_weights(request: MixtureRequest, models: LoadedMixture, remedy: str = "") -> None:
    """Prints the weights on stderr where none were given."""
    if request.has_default_weights:
        console.say(f"equal weights: --mix {weights_text(models)}{remedy}")


def weights_text(models: LoadedMixture) -> str:
    """The weights, as --mix takes them."""
    return ",".join(f"{weight:.6g}" for weight in models.weights)
