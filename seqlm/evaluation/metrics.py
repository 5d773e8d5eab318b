"""Every metric that `seqlm eval` knows, in one table: its name, its task and how it is computed.

A metric is computed from one of five things: the tally of a scored text (`perplexity.py`), the
translations of a text and their references (`translation_quality.py`), the distributions of a
model beside those of an oracle (`exposure.py`), labels beside gold ones (`label_metrics.py`), or
word vectors and what people say of words (`evaluate_vectors.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from seqlm.errors import UsageError, did_you_mean
from seqlm.evaluation import perplexity, translation_quality
from seqlm.evaluation.labeling import label_metrics
from seqlm.evaluation.labeling.label_metrics import LABEL_METRICS, LabelMetric
from seqlm.evaluation.perplexity import Tally
from seqlm.evaluation.translation_quality import BleuTokenization, Score


class Metric(NamedTuple):
    """A metric has `of_tally`, `of_translations`, `of_labels` or `of_vectors`, or it needs an
    oracle."""

    name: str
    help: str
    tasks: Sequence[str] = ("lm", "translation")
    of_tally: Callable[[Tally], float] | None = None
    of_translations: Callable[..., Score] | None = None
    """From hypotheses and their references, of which there may be several lists."""
    of_labels: LabelMetric | None = None
    of_vectors: bool = False
    """From analogies, or from pairs of words."""
    needs_oracle: bool = False
    higher_is_better: bool = False
    synonyms: Sequence[str] = ()
    """Names that an error message knows it by."""


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "ppl", "perplexity of a token, OOVs and </s> included",
            of_tally=perplexity.perplexity,
            synonyms=("perplexity",),
        ),
        Metric(
            "ppl-excluding", "perplexity without the tokens scored as <unk>",
            of_tally=perplexity.perplexity_excluding_unknown,
            synonyms=("ppl-excluding-unk", "ppl-no-unk"),
        ),
        Metric(
            "cross-entropy", "nats a token",
            of_tally=perplexity.cross_entropy,
            synonyms=("entropy", "nll", "loss", "negative-log-likelihood", "nats", "ce", "xent"),
        ),
        Metric(
            "bits-per-token", "bits a token, the mean surprisal",
            of_tally=perplexity.bits_per_token,
            synonyms=("surprisal", "surprise", "bits", "bits-per-word", "bpt", "bpw"),
        ),
        Metric(
            "bits-per-char", "bits a character, OOVs spelled out",
            of_tally=perplexity.bits_per_character,
            synonyms=("bpc", "bits-per-character"),
        ),
        Metric(
            "bits-per-byte", "bits a byte, OOVs spelled out",
            of_tally=perplexity.bits_per_byte,
            synonyms=("bpb", "compression"),
        ),
        Metric(
            "kl-true-prefix", "divergence from an oracle after prefixes from the text",
            needs_oracle=True,
            synonyms=("kl", "divergence", "kl-divergence"),
        ),
        Metric(
            "kl-own-prefix", "divergence from an oracle after prefixes that the model sampled",
            needs_oracle=True,
        ),
        Metric(
            "exposure", "exposure bias: excess of the second divergence over the first, in %",
            needs_oracle=True,
            synonyms=("exposure-bias",),
        ),
        Metric(
            "bleu", "BLEU of translations",
            tasks=("translation",),
            of_translations=translation_quality.bleu,
            higher_is_better=True,
            synonyms=("sacrebleu",),
        ),
        Metric(
            "chrf", "chrF2 of translations",
            tasks=("translation",),
            of_translations=translation_quality.chrf,
            higher_is_better=True,
            synonyms=("chrf2",),
        ),
        *(
            Metric(
                metric.name,
                metric.help,
                (*metric.tasks, "vectors") if metric.name == "accuracy" else metric.tasks,
                of_labels=metric,
                higher_is_better=metric.higher_is_better,
                synonyms=metric.synonyms,
            )
            for metric in LABEL_METRICS.values()
        ),
        *(
            Metric(name, help, ("vectors",), of_vectors=True, higher_is_better=True)
            for name, help in (
                ("semantic-accuracy", "accuracy of analogies between what words mean"),
                ("syntactic-accuracy", "accuracy of analogies between forms of words"),
                ("spearman", "correlation of the ranks of similarities with those of people"),
                ("pearson", "correlation of similarities with those of people"),
            )
        ),
    )
}  # fmt: skip
"""The metrics by name."""
DEFAULTS = {"lm": ("ppl",), "translation": ("bleu", "chrf"), **label_metrics.DEFAULTS}
DEFAULTS["vectors"] = (
    "accuracy", "semantic-accuracy", "syntactic-accuracy", "spearman", "pearson",
)  # fmt: skip
"""The metrics of each task where none are named; of word vectors, those that the text has."""


def select_metrics(names: Iterable[str] | None, task: str, has_oracle: bool) -> list[Metric]:
    """The metrics that `names`, which may hold commas, ask for, or the default of a task.

    Errors: UsageError, with the nearest name, where the task has no such metric; where an oracle is
    missing, or has no use.
    """
    if names is None:
        names = DEFAULTS[task]
    requested = [name.strip() for part in names for name in part.split(",") if name.strip()]
    available = [metric.name for metric in METRICS.values() if task in metric.tasks]
    for name in requested:
        if name not in available:
            raise UsageError(f"no metric {name!r}{suggestion(name, available)}")
    if not requested:
        raise UsageError(f"no metric named; there are {', '.join(available)}")
    metrics = [METRICS[name] for name in dict.fromkeys(requested)]
    of_oracle = [metric.name for metric in metrics if metric.needs_oracle]
    if of_oracle and not has_oracle:
        raise UsageError(
            f"`metric={of_oracle[0]}` is measured against an `oracle`, a model that knows more"
        )
    if has_oracle and not of_oracle:
        raise UsageError("`oracle` has no effect without `metric=exposure`")
    return metrics


def tokenized(metrics: Iterable[Metric], tokenize: BleuTokenization) -> list[Metric]:
    """`metrics`, of which BLEU cuts text into tokens as `tokenize` says."""
    bleu = partial(translation_quality.bleu, tokenize=tokenize)
    return [
        metric._replace(of_translations=bleu) if metric.name == "bleu" else metric
        for metric in metrics
    ]


def suggestion(name: str, available: Sequence[str]) -> str:
    """'; did you mean X?' for a synonym or a misspelling, or '; there are A, B, C'."""
    for metric in METRICS.values():
        if name.lower() in metric.synonyms and metric.name in available:
            return f"; did you mean {metric.name!r}?"
    return did_you_mean(name.lower(), available)
