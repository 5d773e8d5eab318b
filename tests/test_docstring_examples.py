"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import io
from importlib import import_module

import numpy as np
import pytest

from seqlm.models.ngram.ngram_order import example_orders

UNIGRAMS, BIGRAMS = example_orders()
NAMES = {"np": np, "io": io, "UNIGRAMS": UNIGRAMS, "BIGRAMS": BIGRAMS}
"""What examples use without importing it: the n-grams at the head of `ngram_order.py`, too."""


@pytest.mark.parametrize(
    "module",
    [
        "counting.cooccurrences.cooccurrences",
        "counting.cooccurrences.count_cooccurrences",
        "counting.phrases",
        "counting.estimation.adjust_counts",
        "counting.tables.array_passes",
        "counting.tables.extend_ngrams",
        "counting.tables.in_memory",
        "counting.tables.in_pieces",
        "evaluation.vectors.vector_test_sets",
        "evaluation.vectors.word_similarity",
        "machine.memory",
        "machine.threads",
        "models.ngram.arpa.arpa_fields",
        "models.ngram.compact.bit_packing",
        "models.ngram.compact.codebook",
        "models.ngram.compact.elias_fano",
        "models.ngram.interpolation_search",
        "models.ngram.ngram_model",
        "models.ngram.ngram_order",
        "models.ngram.scrambling",
        "models.ngram.sort_keys",
        "models.ngram.walk",
        "settings",
    ],
)
def test_examples_give_what_they_say(module: str) -> None:
    result = doctest.testmod(import_module(f"seqlm.{module}"), extraglobs=NAMES)
    assert result.attempted > 0
    assert result.failed == 0
