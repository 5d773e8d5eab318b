"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import io
from importlib import import_module

import numpy as np
import pytest
import torch

from seqlm.models.ngram.table import NGramTable

FIRST = torch.tensor([0, 0, 1, 3, 4, 5, 6], dtype=torch.int32)
WORDS = torch.tensor([2, 3, 4, 5, 5, 1], dtype=torch.int32)
NAMES = {"np": np, "torch": torch, "io": io, "BIGRAMS": NGramTable(FIRST, WORDS)}
"""What examples use without importing it. BIGRAMS is the table at the head of `table.py`."""


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
        "models.ngram.scrambling",
        "models.ngram.table",
        "settings",
        "threads",
    ],
)
def test_examples_give_what_they_say(module: str) -> None:
    result = doctest.testmod(import_module(f"seqlm.{module}"), extraglobs=NAMES)
    assert result.attempted > 0
    assert result.failed == 0
