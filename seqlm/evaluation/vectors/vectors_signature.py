"""What the figures of word vectors depend on besides the file that they are tested on.

    metric:accuracy|formula:3cosadd|vocabulary:300000|case:lower|oov:skip|answered:13/19544|words:…

Figures of two sets of vectors can be compared where all agrees up to `answered`, and where the same
questions are answered: a question with a word outside the vocabulary is skipped, so that a smaller
vocabulary makes a test easier. `oov` is "compose" where vectors of such words were composed of
character n-grams.
"""

from __future__ import annotations

from collections.abc import Sequence

from seqlm.evaluation.vectors.vector_test_settings import VectorTestSettings
from seqlm.runs.loading.load_vectors import LoadedVectors
from seqlm.version import __version__

FORMULAS = {"add": "3cosadd", "mul": "3cosmul"}


def vectors_signature(
    table: LoadedVectors,
    metrics: Sequence[str],
    settings: VectorTestSettings,
    answered: int,
    asked: int,
    *,
    has_formula: bool,
    composes: bool,
) -> str:
    """The signature of the figures called `metrics`; `answered` of the `asked` questions or pairs
    had vectors, and `has_formula` says whether they were analogies."""
    parts = {"metric": "+".join(metrics)}
    if has_formula:
        parts["formula"] = FORMULAS[settings.formula]
    parts |= {
        "vocabulary": str(settings.vocabulary),
        "case": settings.case,
        "oov": "compose" if composes else "skip",
        "answered": f"{answered}/{asked}",
        "words": str(len(table)),
        "width": str(table.width),
    }
    if table.config is not None:
        parts["arch"] = table.config.arch
    parts |= {"weights": table.weights_digest, "seqlm": __version__}
    return "|".join(f"{name}:{value}" for name, value in parts.items())
