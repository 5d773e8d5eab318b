"""Rows that nobody has checked, against loops over everything that a model holds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from seqlm.models.ngram import table_checks
from seqlm.models.ngram.compact.compact_order import CompactOrder
from seqlm.models.ngram.compact.elias_fano import SAMPLE
from seqlm.models.ngram.derived.compact_ngrams import compact
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import NGramOrder
from seqlm.models.ngram.table_checks import ROUNDING, check_model, check_rows
from tests.models.ngram.test_ngram_model import V, build, text

__all__ = ["text"]  # a fixture
UNIT = 64


# -------------------------------------------------------------------------------------- the oracle


def is_sound(model: NGramModel) -> bool:
    """Whether a model holds what the head of `table_checks.py` says, one number at a time."""
    below = None
    for k, order in enumerate(model.orders, 1):
        words, numbers = slow_words(order), slow_numbers(order)
        if not all(number < np.inf for field in numbers.values() for number in field):
            return False
        if not all(number <= ROUNDING for number in numbers["log_prob"]):
            return False
        if below is not None:
            if [below[0], below[-1]] != [0, len(order)] or below != sorted(below):
                return False
            for low, high in pairwise(below):
                of_context = words[low:high]
                if of_context != sorted(set(of_context)) or not set(of_context) <= set(range(V)):
                    return False
        if k < len(model.orders):
            below = slow_first(order)
            if below is None:
                return False
    return True


def slow_words(order: NGramOrder) -> list[int]:
    if not isinstance(order, CompactOrder):
        return order.records["word"].tolist()[:-1]
    width, word_bits = order.layout.width, order.layout.word_bits
    return [value % 2**word_bits for value in integers(order.packed, width, len(order))]


def slow_numbers(order: NGramOrder) -> dict[str, list[float]]:
    if isinstance(order, CompactOrder):
        return {field: book.tolist() for field, book in order.books.items()}
    fields = [field for field in ("log_prob", "backoff") if field in order.records.dtype.names]
    return {field: order.records[field].tolist()[:-1] for field in fields}


def slow_first(order: NGramOrder) -> list[int] | None:
    """None where the places of the integers are others than the samples say."""
    if not isinstance(order, CompactOrder):
        return order.records["first"].tolist()
    coded = order.first_coded
    places = [at for at, bit in enumerate(integers(coded.high, 1, 64 * len(coded.high))) if bit]
    if len(places) != coded.size or places[::SAMPLE] != coded.samples.tolist():
        return None
    low = integers(coded.low, coded.low_bits, coded.size)
    return [(place - i) * 2**coded.low_bits + low[i] for i, place in enumerate(places)]


def integers(words: np.ndarray, width: int, count: int) -> list[int]:
    """The integers of so many bits in 64-bit words."""
    bits = sum(word << (64 * i) for i, word in enumerate(words.tolist()))
    return [bits >> (width * i) & (2**width - 1) for i in range(count)]


# ----------------------------------------------------------------------------------------- changes


def change(model: NGramModel, noise: np.random.Generator) -> NGramModel:
    """A model with something in one of its arrays changed."""
    arrays = {name: array.copy() for name, array in model.arrays().items()}
    array = arrays[noise.choice(sorted(arrays))]
    at = int(noise.integers(len(array)))
    if array.ndim == 2:  # records
        column = int(noise.integers(array.shape[1]))
        kind = int(noise.integers(4))
        if kind == 0:  # neighbors change places
            array[at : at + 2, column] = array[at : at + 2, column][::-1].copy()
        elif kind == 1:
            array[at, column] += noise.choice([-1, 1])
        else:
            array[at, column] = noise.choice([-1, 0, len(array), 2**31 - 1])
    elif array.dtype == np.float32:
        array[at] = noise.choice([np.nan, np.inf, -np.inf, 0, 1])
    elif array.dtype == np.uint32:
        array[at] = noise.choice([0, 1, 2**32 - 1, array[at] + 1])
    else:
        bits = array.view(np.uint8)
        at = int(noise.integers(len(bits)))
        bits[at] ^= 1 << int(noise.integers(8))
        if noise.random() < 0.5:  # another bit changes, too, so that there are as many 1s
            bits[(at + int(noise.integers(3))) % len(bits)] ^= 1 << int(noise.integers(8))
    return NGramModel.from_arrays(model.settings(), arrays)


@pytest.mark.parametrize("form", [lambda model: model, compact], ids=["plain", "compact"])
@pytest.mark.parametrize("block", [64, 1 << 18])
def test_a_change_is_found_at_once_or_unit_by_unit(
    text: list[int], form, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_checks, "BLOCK", block)
    model, sound = form(build(text[:300], "modified-kneser-ney", "sentence", 3)), 0
    assert is_sound(model)
    check_model(model)
    for seed in range(250):
        noise = np.random.default_rng(seed)
        changed = change(model, noise)
        expected = is_sound(changed)
        sound += expected
        assert passes(check_model, changed) == expected, seed
        units = [
            (k, start, min(start + UNIT, len(order)))
            for k, order in enumerate(changed.orders, 1)
            for start in range(0, len(order) + 1, UNIT)
        ]
        found = [passes(check_rows, changed.orders, *unit, V) for unit in units]
        assert all(found) == expected, seed
    assert 25 < sound < 225


@pytest.mark.parametrize(
    ("number", "is_sound"),
    [(5.0, False), (2e-5, False), (np.nan, False), (1e-6, True), (0.0, True), (-np.inf, True)],
)
@pytest.mark.parametrize("form", [lambda model: model, compact], ids=["plain", "compact"])
def test_a_log_probability_is_up_to_0_but_for_rounding_and_a_backoff_weight_may_be_above(
    text: list[int], form, number: float, is_sound: bool
) -> None:
    model = form(build(text[:300], "modified-kneser-ney", "sentence", 3))
    for order in model.orders:
        numbers = order.numbers_between(0, 1)
        numbers["log_prob"][0] = number
        if "backoff" in numbers:
            numbers["backoff"][0] = 5
        assert passes(check_model, model) == is_sound
        numbers["log_prob"][0] = -1


def passes(check: Callable[..., None], *arguments: object) -> bool:
    try:
        check(*arguments)
    except ValueError:
        return False
    return True
