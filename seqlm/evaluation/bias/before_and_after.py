"""Figures of bias before and after vectors are changed: what became smaller, and what is still
there.

    direct-bias                  mean |cos(w, g)| of the words with a label; g is the direction in
                                 the vectors as they were
    probe-accuracy               of a linear probe, by cross-validation (`linear_probe.py`)
    probe-training-accuracy      of a probe on the words that it was trained on: after LEACE it is
                                 the majority
    probe-majority               the share of the most frequent label
    TEST:effect-size, TEST:p     of WEAT
    probe-accuracy-new-words     as probe-accuracy, of words that the eraser has not seen: LEACE is
                                 fitted to one half of the words with a label, the probe is
                                 cross-validated on the other half, and the halves change places
    cosine-to-original           mean cosine of the vector of a word and that which it had before

    n words with a label · D numbers of a vector
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqlm.evaluation.bias.association_tests import FoundTest, run_test
from seqlm.evaluation.bias.bias_settings import WeatSettings, Whitening
from seqlm.evaluation.bias.direct_bias import direct_bias
from seqlm.evaluation.bias.find_words import LabeledWords, unit_rows, vectors_part
from seqlm.evaluation.bias.leace import fit_leace, moments
from seqlm.evaluation.bias.linear_probe import FOLDS, probe, stratified_folds
from seqlm.runs.loading.load_vectors import ROWS_AT_ONCE, LoadedVectors


class BiasFigure(NamedTuple):
    figure: str
    before: float
    after: float
    """NaN where it is not defined."""


class WhatToMeasure(NamedTuple):
    """The words of the figures: the same rows before and after."""

    labeled: LabeledWords
    g: np.ndarray | None
    """(D,); None leaves out the direct bias."""
    tests: Sequence[FoundTest]
    """Of which each set has words."""
    settings: WeatSettings
    """Its seed is that of the folds of the probe, too."""


def compare_bias(
    before: LoadedVectors,
    after: LoadedVectors,
    what: WhatToMeasure,
    whitening: Whitening | None = None,
) -> list[BiasFigure]:
    """The figures of the same words before and after; those of a probe are left out where a label
    has too few words. After LEACE, `whitening` is that of it, and there is a figure of new words,
    too."""
    figures, later = figures_of(before, what), figures_of(after, what)
    rows = [BiasFigure(name, figure, later[name]) for name, figure in figures.items()]
    if whitening is not None and what.labeled.fewest >= 2 * FOLDS:
        accuracies = new_word_accuracies(before, what, whitening)
        rows.append(BiasFigure("probe-accuracy-new-words", *accuracies))
    return [*rows, BiasFigure("cosine-to-original", 1.0, mean_cosine(before, after))]


def figures_of(table: LoadedVectors, what: WhatToMeasure) -> dict[str, float]:
    """The figures of one table, by name; NaN where one is not defined."""
    x = table.vectors[what.labeled.rows]  # (n, D)
    figures = {}
    if what.g is not None:
        figures["direct-bias"] = direct_bias(unit_rows(x), what.g)
    if what.labeled.fewest >= FOLDS:
        probed = probe(x, what.labeled.labels, what.settings.seed)
        figures |= {
            "probe-accuracy": probed.accuracy,
            "probe-training-accuracy": probed.training_accuracy,
            "probe-majority": probed.majority,
        }
    for test in what.tests:
        weat = run_test(table, test.sets, what.settings)
        figures[f"{test.name}:effect-size"] = weat.effect_size
        figures[f"{test.name}:p"] = weat.p
    return figures


def new_word_accuracies(
    table: LoadedVectors, what: WhatToMeasure, whitening: Whitening
) -> tuple[float, float]:
    """The accuracies of a probe on words that the eraser has not seen, before and after it."""
    x, labels = table.vectors[what.labeled.rows], what.labeled.labels
    whole = moments(table.vectors) if whitening == "all" else None
    halves = stratified_folds(labels, 2, what.settings.seed)
    before = after = 0.0
    for half in (0, 1):
        seen, new = halves == half, halves != half
        leace = fit_leace(x[seen], labels[seen], whole or moments(x[seen]))
        share = float(new.mean())
        before += share * probe(x[new], labels[new], what.settings.seed).accuracy
        after += share * probe(leace(x[new]), labels[new], what.settings.seed).accuracy
    return before, after


def mean_cosine(first: LoadedVectors, second: LoadedVectors) -> float:
    """The mean cosine of the two vectors of a word, over words that have a direction in both."""
    total, words = 0.0, 0
    for start in range(0, len(first), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        u, v = unit_rows(first.vectors[part]), unit_rows(second.vectors[part])
        total += float((u * v).sum())
        words += int((u.any(1) & v.any(1)).sum())
    return total / max(words, 1)


def change_signature(change: str, what: WhatToMeasure, table: LoadedVectors) -> str:
    """The signature of the figures of the probe: 'change:leace.all|labels:1000.2.0f3d1a2b4c5d|…',
    with what changed the vectors, the numbers of words and labels and a digest of them, and the
    folds and their seed."""
    rows, labels, names, _ = what.labeled
    words = [[table.words[row], names[label]] for row, label in zip(rows, labels)]
    digest = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:12]
    return (
        f"change:{change}|labels:{len(words)}.{len(names)}.{digest}"
        f"|folds:{FOLDS}.{what.settings.seed}|{vectors_part(table)}"
    )
