"""WEAT on words of a table: which words count, and what the signature says."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.errors import DataError
from seqlm.evaluation.bias.association_tests import run_tests, weat_signature, word_associations
from seqlm.evaluation.bias.bias_settings import WeatSettings
from seqlm.evaluation.bias.find_words import unit_rows
from seqlm.evaluation.bias.weat import weat, word_effect_sizes
from seqlm.evaluation.bias.word_sets import WordSets
from tests.evaluation.bias.tables import table_of

WORDS = [*"abcdefghijklmnop"]
TABLE = table_of(WORDS, np.random.default_rng(1).normal(size=(16, 5)))
SETS = WordSets("toy", [*"abcd"], [*"efgh"], [*"ijk"], [*"lmnop"])


def figures(x: str, y: str, a: str, b: str, **chosen: object):
    rows = ([WORDS.index(word) for word in words] for words in (x, y, a, b))
    sets = [unit_rows(TABLE.vectors[each]) for each in rows]
    return weat(*sets, WeatSettings(**chosen))


def test_a_test_of_words_is_that_of_their_vectors() -> None:
    [found] = run_tests(TABLE, [SETS], WeatSettings(std="population", sided="two"))
    assert found.name == "toy"
    assert found.figures == figures("abcd", "efgh", "ijk", "lmnop", std="population", sided="two")
    assert found.sets.missing == []


LACKING = SETS._replace(X=["a", "x1", *"bcd"], Y=["x2", *"efgh", "x3"], A=[*"ijk", "x4"])


def test_missing_words_are_dropped_and_named() -> None:
    [found] = run_tests(TABLE, [LACKING], WeatSettings())
    assert found.figures == figures("abcd", "efgh", "ijk", "lmnop")
    assert found.sets.missing == ["x1", "x2", "x3", "x4"]


def test_balanced_targets_are_of_one_size() -> None:
    uneven = SETS._replace(X=["a", "x1", "b"])
    [dropped] = run_tests(TABLE, [uneven], WeatSettings())
    assert dropped.figures == figures("ab", "efgh", "ijk", "lmnop")
    [balanced] = run_tests(TABLE, [uneven], WeatSettings(missing="balance"))
    assert balanced.figures == figures("ab", "ef", "ijk", "lmnop")
    assert balanced.sets.missing == ["x1"]
    exchanged = uneven._replace(X=uneven.Y, Y=uneven.X)
    [other] = run_tests(TABLE, [exchanged], WeatSettings(missing="balance"))
    assert other.figures == figures("ef", "ab", "ijk", "lmnop")


def test_missing_words_can_be_refused() -> None:
    assert run_tests(TABLE, [SETS], WeatSettings(missing="refuse"))
    with pytest.raises(DataError, match=r"toy\.txt lacks words of toy: x1, x2, x3, x4"):
        run_tests(TABLE, [LACKING], WeatSettings(missing="refuse"))


def test_a_set_without_words_has_no_figures() -> None:
    empty = SETS._replace(name="empty", B=["x1", "x2"])
    found = run_tests(TABLE, [SETS, empty], WeatSettings())
    assert found[0].figures is not None
    assert found[1].figures is None
    assert found[1].sets.missing == ["x1", "x2"]
    assert word_associations(TABLE, found[1], WeatSettings()) == []
    with pytest.raises(DataError, match="no word of B of empty; missing are x1, x2"):
        run_tests(TABLE, [empty], WeatSettings())


def test_opposites_that_are_one_word_of_the_table() -> None:
    with pytest.raises(DataError, match=r"toy: X and Y both have 'a' in toy\.txt"):
        run_tests(TABLE, [SETS._replace(Y=["A", *"efg"])], WeatSettings())


def test_associations_of_words() -> None:
    [test] = run_tests(TABLE, [LACKING], WeatSettings())
    found = word_associations(TABLE, test, WeatSettings())
    assert [(each.set, each.word) for each in found] == [
        *(("X", word) for word in "abcd"), *(("Y", word) for word in "efgh"),
    ]  # fmt: skip
    x, y, a, b = test.sets.unit_vectors(TABLE)
    for each, d in zip(found, word_effect_sizes(np.concatenate([x, y]), a, b, "sample")):
        w = TABLE.vector(each.word).astype(float)
        cosines = {
            letter: np.mean([w @ v / np.linalg.norm(w) for v in vectors])
            for letter, vectors in (("A", a), ("B", b))
        }
        assert each.association == pytest.approx(cosines["A"] - cosines["B"])
        assert each.effect_size == d


def test_a_signature_names_every_choice() -> None:
    signature = weat_signature(TABLE, [SETS], WeatSettings(std="population", samples=50, seed=7))
    assert signature.startswith(
        "measure:weat|std:population|sided:one|ties:counted|p:exact.200000,sampled.50.7"
        "|missing:drop|sets:1."
    )
    assert "|case:as-is-or-lower|words:16|width:5|weights:000000000000|seqlm:" in signature
    others = [
        weat_signature(TABLE, tests, WeatSettings(**chosen))
        for tests, chosen in [
            ([SETS], {}), ([SETS], {"sided": "two"}), ([SETS], {"ties": "excluded"}),
            ([SETS], {"missing": "balance"}), ([SETS], {"seed": 2}), ([SETS, SETS], {}),
            ([SETS._replace(X=["a"])], {}),
        ]
    ]  # fmt: skip
    assert len({signature, *others}) == 8
