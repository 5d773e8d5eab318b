"""The options of `eval` that the models of all tasks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options.mixture_options import model_option
from seqlm.settings import setting


def complete_metrics(incomplete: str) -> list[str]:
    """The lists of metrics that one more name makes of `incomplete`, as "ppl,bi"."""
    from seqlm.evaluation.metrics import METRICS

    head, comma, _ = incomplete.rpartition(",")
    return [f"{head}{comma}{name}" for name in METRICS]


@dataclass(frozen=True)
class EvalOptions:
    """The options of `eval` for every task."""

    model: Annotated[
        list[str] | None,
        model_option(
            f"{console.MODEL_FORMS}, or a file of word vectors. Several language models are"
            " mixed, several translators translate as an ensemble, and several taggers, classifiers"
            " or word vectors are compared."
        ),
    ] = None
    metric: Annotated[
        list[str] | None,
        flag(
            "--metric",
            help="Metrics to print, with commas between them: ppl, ppl-excluding, cross-entropy,"
            " bits-per-token, bits-per-char, bits-per-byte; with `oracle`: kl-true-prefix,"
            " kl-own-prefix, exposure; of translations: bleu, chrf; of labels: accuracy, macro-f1,"
            " log-loss, ece; of tags also precision, recall, f1, sentence-accuracy,"
            " unseen-accuracy; of word vectors: accuracy, semantic-accuracy, syntactic-accuracy,"
            " spearman, pearson."
            " [default: ppl; translation: bleu,chrf; tagging: accuracy, and f1 of spans;"
            " classification: accuracy,macro-f1; word vectors: all that the text has]",
            metavar="NAME,...",
            autocompletion=complete_metrics,
            rich_help_panel="Metrics",
        ),
    ] = None
    oracle: str | None = setting(
        None, "Stronger reference model, which the exposure-bias metrics need.",
        metavar="RUN", section="Metrics",
    )  # fmt: skip
    seed: int = setting(
        1,
        "Seed for sampling the model's own prefixes (`metric=exposure`), and sentences for the"
        " intervals of figures of labels.",
        section="Metrics",
    )
    errors: Annotated[str, console.ERRORS] = "strict"
    json: Annotated[bool, console.JSON] = False
    quiet: Annotated[bool, console.QUIET] = False
    debug: Annotated[bool, console.DEBUG] = False
    batch_size: int = setting(
        64, "Number of lines to compute together; it changes no result.", low=1, section="Machine"
    )
    device: Annotated[str | None, console.DEVICE] = None
    num_threads: Annotated[int | None, console.THREADS] = None
