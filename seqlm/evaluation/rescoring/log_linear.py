"""The log-linear combination of the features of a hypothesis y of an input x.

    total(x, y)  =  sum_i w_i f_i(x, y)            the best y has the highest total

As recognizers combine an acoustic model with a language model and a bonus for each word, in whose
terms the features are the list's own score, the language model, and the number of words:

    total  =  w_score score  +  w_lm ln p(y)  +  w_words |y|

and as translators combine more of them (Och & Ney 2002, "Discriminative training and maximum
entropy models for statistical machine translation"). Logarithms of the language model are natural,
and its score is that of a whole line, `</s>` included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, MixtureScorer, sum_lines
from seqlm.evaluation.rescoring.nbest_formats import SCORE, Candidate
from seqlm.text.reading import Block

WORDS = "words"
"""The feature |y|: the words of the text, between white space."""


class Scored(NamedTuple):
    """A hypothesis with the score of a language model."""

    candidate: Candidate
    lm: float
    """ln p of the text and its `</s>`."""
    features: dict[str, float]
    """Those of the list, the language model's and the number of words."""


def score_lists(
    mixture: LoadedMixture,
    lists: Iterable[list[Candidate]],
    name: str = "lm",
    batch_size: int = 64,
) -> Iterator[list[Scored]]:
    """The hypotheses of each list with their scores; every text starts afresh. `name` is that of
    the new feature.

    Errors: DataError on a literal `<s>` or `</s>` among words; UsageError where a hypothesis has a
    feature called `name`.
    """
    scorer = MixtureScorer(mixture.line_by_line(), batch_size)
    for candidates in lists:
        first = candidates[0].line
        text = "".join(f"{one_line(candidate)}\n" for candidate in candidates)
        block = Block(text.encode(), first.file, first.number)
        scores = sum_lines(scorer.score_text([block]))
        yield [
            Scored(candidate, lm, with_features(candidate, name, lm))
            for candidate, lm in zip(candidates, scores, strict=True)
        ]


def one_line(candidate: Candidate) -> str:
    """Errors: DataError where the text of a hypothesis has several lines."""
    if "\n" in candidate.text:
        raise DataError(f"{candidate.line.place}: the text of a hypothesis is one line")
    return candidate.text


def with_features(candidate: Candidate, name: str, lm: float) -> dict[str, float]:
    """Errors: UsageError where `candidate` has a feature called `name`."""
    if name in candidate.features:
        raise UsageError(
            f"{candidate.line.place}: there is a field {name!r} already (`name` gives the new one"
            " another name)"
        )
    words = float(len(candidate.text.split()))
    return {WORDS: words, **candidate.features, name: lm}


# ------------------------------------------------------------------------------------------ weights


def parse_weights(text: str, name: str = "lm") -> dict[str, float]:
    """`lm=0.8,words=-0.5` as weights; that of the list's own score is 1 where it is not given.

    Errors: UsageError where it is no such list, or does not have the language model `name`.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        feature, equals, value = part.rpartition("=")
        feature = feature.strip()
        if feature in weights:
            raise UsageError(f"`feature_weights` {text} has two weights of {feature}")
        try:
            weights[feature] = float(value)
        except ValueError:
            equals = ""
        if not equals or not np.isfinite(weights[feature]):
            raise UsageError(
                f"`feature_weights` {text} is not a list such as {name}=0.8,{WORDS}=-0.5"
            )
    return {SCORE: 1.0, **weights}


def weights_text(weights: Mapping[str, float]) -> str:
    """The weights, as `parse_weights` takes them."""
    return ",".join(f"{name}={value:.6g}" for name, value in weights.items())


def used_weights(weights: Mapping[str, float], scored: Scored) -> dict[str, float]:
    """`weights` without that of a score of 1 that the lists do not have."""
    has_score = SCORE in scored.features
    return {name: w for name, w in weights.items() if name != SCORE or has_score}


def total(weights: Mapping[str, float], scored: Scored) -> float:
    """The total of a hypothesis. Errors: DataError where it lacks a feature."""
    return float(feature_row(list(weights), scored) @ np.array(list(weights.values())))


def rerank(scored: Sequence[Scored], weights: Mapping[str, float]) -> list[Scored]:
    """The hypotheses by falling total; equals stay in their order."""
    return sorted(scored, key=lambda each: -total(used_weights(weights, each), each))


def feature_row(names: Sequence[str], scored: Scored) -> np.ndarray:
    """(D,) the named features of a hypothesis. Errors: DataError where it lacks one."""
    for name in names:
        if name not in scored.features:
            known = ", ".join(scored.features)
            raise DataError(
                f"{scored.candidate.line.place}: no feature {name!r}; there are {known}"
            )
    return np.array([scored.features[name] for name in names])
