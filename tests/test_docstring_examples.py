"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import io
from importlib import import_module

import numpy as np
import pytest
import torch

from seqlm.models.ngram.ngram_order import example_orders
from seqlm.models.ngram.table import NGramTable

FIRST = torch.tensor([0, 0, 1, 3, 4, 5, 6], dtype=torch.int32)
WORDS = torch.tensor([2, 3, 4, 5, 5, 1], dtype=torch.int32)
UNIGRAMS, BIGRAMS = example_orders()
ORDERS = {"UNIGRAMS": UNIGRAMS, "BIGRAMS": BIGRAMS, "TABLE": NGramTable(FIRST, WORDS)}
NAMES = {"np": np, "torch": torch, "io": io, **ORDERS}
"""What examples use without importing it: the n-grams at the head of `ngram_order.py`, too."""


@pytest.mark.parametrize(
    "module",
    [
        "counting.cooccurrences.cooccurrences",
        "counting.cooccurrences.count_cooccurrences",
        "counting.phrases",
        "counting.tables.array_passes",
        "counting.tables.in_memory",
        "counting.tables.in_pieces",
        "evaluation.vectors.vector_test_sets",
        "evaluation.vectors.word_similarity",
        "memory",
        "models.ngram.arpa.arpa_fields",
        "models.ngram.interpolation_search",
        "models.ngram.masks",
        "models.ngram.ngram_order",
        "models.ngram.scrambling",
        "models.ngram.sort_keys",
        "models.ngram.table",
        "models.ngram.walk",
        "settings",
        "threads",
    ],
)
def test_examples_give_what_they_say(module: str) -> None:
    result = doctest.testmod(import_module(f"seqlm.{module}"), extraglobs=NAMES)
    assert result.attempted > 0
    assert result.failed == 0
