"""What the figures of labels depend on besides text and model.

    metric:f1|unit:span|scheme:iob2|rules:conlleval|labels:23|interval:bootstrap.1000.1

The unit is what precision, recall and F1 count: spans, tokens (all whose label is not `O`), or
texts. `labels` is the number of different gold labels, as a text with finer labels is harder.
"""

from __future__ import annotations

from collections.abc import Sequence

from seqlm.evaluation.labeling.label_counts import BINS, OUTSIDE_LABEL
from seqlm.runs.loading.load_labeler import LoadedLabeler
from seqlm.version import __version__


def label_signature(
    metrics: Sequence[str], scheme: str | None, num_labels: int, samples: int, seed: int
) -> str:
    """The signature of the figures called `metrics`; the arguments are those of
    `evaluate_labels`."""
    parts = {"metric": "+".join(metrics)}
    if scheme is None:
        parts["unit"] = "text"
    elif scheme == "none":
        parts |= {"unit": "token", "outside": OUTSIDE_LABEL}
    else:
        parts |= {"unit": "span", "scheme": scheme, "rules": "conlleval"}
    parts["labels"] = str(num_labels)
    if "ece" in metrics:
        parts["bins"] = str(BINS)
    if samples:
        parts["interval"] = f"bootstrap.{samples}.{seed}"
    return "|".join(f"{name}:{value}" for name, value in parts.items())


def labeler_signature(
    signature: str, column: str, format: str, unknown: int, loaded: LoadedLabeler
) -> str:
    """That of a labeler's figures: `signature`, what was read, and the model.

    `unknown` is how many gold labels the model cannot predict.
    """
    return (
        f"{signature}|column:{column}|format:{format}|unknown-labels:{unknown}"
        f"|arch:{loaded.config.arch}|weights:{loaded.weights_digest}|seqlm:{__version__}"
    )
