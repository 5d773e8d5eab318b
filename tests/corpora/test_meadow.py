"""The best tags against a sum over all paths, and what a tagger needs to find them."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from corpora import generate, meadow
from corpora.meadow_words import ENDINGS, MADE_UP, WORDS, make_up, type_of
from seqlm.text.labeled.tag_schemes import ill_formed


@pytest.fixture(scope="module")
def model():
    return meadow.Meadow()


@pytest.fixture(scope="module")
def many(model):
    return model.sample(7, 2_000)


def texts_of(file):
    text = (generate.HERE / f"meadow.{file}").read_text(encoding="utf-8")
    return list(meadow.read(text.splitlines()))


# ------------------------------------------------------------------------------------- best tags


@pytest.mark.parametrize(
    "text",
    ["saw saw .", "that light saw still light !", "they saw that saw .", "blarkdrimps saw her ."],
)
def test_posteriors_sum_over_all_paths(model, text) -> None:
    words = text.split()
    ids = [model.ids[type_of(word)] for word in words]
    total = np.zeros((len(words), len(model.names)))
    for path in product(*(np.flatnonzero(model.emit[:, word]) for word in ids)):
        p, before = 1.0, 0
        for state, word in zip(path, ids, strict=True):
            p *= model.move[before, state] * model.emit[state, word]
            before = state
        total[np.arange(len(words)), path] += p * model.move[before, 0]
    assert model.posteriors(words) == pytest.approx(total[:, 1:] / total.sum(1, keepdims=True))


def test_tables_are_distributions(model) -> None:
    assert model.move.sum(1) == pytest.approx(1)
    assert model.emit[1:].sum(1) == pytest.approx(1)
    assert (model.emit[0] == 0).all()


def test_what_is_expected_of_the_best_tags_is_how_often_they_are_right(model, many) -> None:
    for labels, column in ((model.tags, 1), (model.chunks, 2)):
        expected = np.array([p for each in many for _, p in model.best(each.words, labels)])
        accuracy = model.accuracy([(each.words, each[column]) for each in many], labels)
        error = np.sqrt((expected * (1 - expected)).sum()) / len(expected)
        assert accuracy == pytest.approx(expected.mean(), abs=3 * error)


def test_a_table_of_the_tags_of_every_word_reaches_what_words_tell_alone(model, many) -> None:
    told = Counter((type_of(word), tag) for each in many for word, tag in zip(*each[:2]))
    best: dict[str, int] = {}
    for (word, _), count in told.items():
        best[word] = max(count, best.get(word, 0))
    accuracy = sum(best.values()) / told.total()
    assert accuracy == pytest.approx(model.accuracy_without_context(model.tags), abs=0.01)


def test_context_is_needed(model) -> None:
    for labels, file in ((model.tags, "test.conllu"), (model.chunks, "chunks.test.txt")):
        accuracy = model.accuracy(texts_of(file), labels)
        assert model.accuracy_without_context(labels) + 0.1 < accuracy < 0.995


# ----------------------------------------------------------------------------------------- words


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_word_that_was_made_up_is_known_by_its_ending(ending) -> None:
    rng = np.random.default_rng(3)
    assert {type_of(make_up(ending, rng)) for _ in range(500)} == {f"-{ending}"}


def test_no_word_of_a_class_looks_made_up() -> None:
    known = {word for words in WORDS.values() for word in words.split() if word[0] != "-"}
    assert not [word for word in known if MADE_UP.fullmatch(word.lower())]


# ----------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("split", meadow.SPLITS)
def test_both_formats_have_the_same_words(split) -> None:
    tagged, chunked = texts_of(f"{split}.conllu"), texts_of(f"chunks.{split}.txt")
    assert [words for words, _ in tagged] == [words for words, _ in chunked]
    assert len(tagged) == meadow.SPLITS[split][1]


def test_chunks_are_well_formed(many) -> None:
    assert not [each.chunks for each in many if ill_formed(each.chunks, "iob2")]


def test_many_words_of_the_test_are_new() -> None:
    taught = {word for words, _ in texts_of("train.conllu") for word in words}
    asked = [word for words, _ in texts_of("test.conllu") for word in words]
    new = [word for word in asked if word not in taught]
    assert 0.1 < len(new) / len(asked) < 0.2
    assert all(type_of(word)[0] == "-" for word in new)
