"""Records to vocabularies and numbers: what is counted, what is unknown, and what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import UsageError
from seqlm.text.labeled.encode_records import (
    encode_records,
    learn_label_vocabulary,
    learn_tokenizer,
)
from seqlm.text.labeled.label_vocabulary import LabelVocabulary
from seqlm.text.labeled.record import Record
from seqlm.text.labeled.word_forms import FormReader
from seqlm.text.normalization import NO_STEPS, Normalizer
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED
from tests.text.labeled.examples import sentences

CHUNKS = """the DT B-NP
old JJ I-NP
pond NN I-NP
froze VBD B-VP

The DT B-NP
frog NN I-NP
the DT B-NP
pond NN I-NP
. . O

"""


def columns(text: str = CHUNKS, **options: str) -> list[Record]:
    return sentences("tagging", "columns", text, **options)


def texts(text: str) -> list[Record]:
    return sentences("classification", "label-text", text)


def learn(records: list[Record], *names: str, **given: Any) -> tuple[Tokenizer, LabelVocabulary]:
    options = {"features": [], "scheme": None, "affixes": 0, "task": "tagging"} | given
    vocabulary = learn_label_vocabulary(records, columns=names or ["tag"], **options)
    return learn_tokenizer(records, NO_STEPS, None, 1), vocabulary


def encode(records: list[Record], learned: tuple[Tokenizer, LabelVocabulary]) -> Any:
    return encode_records(records, FormReader(*learned), learned[1])


# --------------------------------------------------------------------------------- the vocabulary


def test_words_are_those_that_are_frequent_in_normal_form() -> None:
    def types(steps: str | None, *size: Any) -> list[bytes]:
        return learn_tokenizer(columns(), Normalizer.parse(steps), *size).types[2:]

    assert types(None, None, 1) == [b"pond", b"the", b".", b"The", b"frog", b"froze", b"old"]
    assert types("lower", None, 1)[:2] == [b"the", b"pond"]
    assert types("lower", None, 2) == [b"the", b"pond"]
    assert types(None, 3, 1) == [b"pond"]
    vectors = ["heron", "pond", "New York", "", "</s>", "<unk>", "naïve"]
    assert types(None, None, 3, vectors) == [b"heron", b"pond", "naïve".encode()]


@given(st.lists(st.lists(st.sampled_from("abcdeAB"), min_size=1, max_size=5), min_size=1))
def test_equal_text_gives_equal_ids_in_any_order(words: list[list[str]]) -> None:
    def learned(lines: list[list[str]]) -> Any:
        text = "".join("".join(f"{w}{w} {w}\n" for w in line) + "\n" for line in lines)
        tokenizer, vocabulary = learn(columns(text), affixes=2)
        return tokenizer.types, vocabulary

    types, vocabulary = learned(words)
    assert learned(words[::-1]) == (types, vocabulary)
    counts = Counter(word for line in words for word in line)
    expected = sorted(counts, key=lambda word: (-counts[word], word))
    assert list(vocabulary.labels[0].labels) == expected
    assert types == RESERVED + [(word * 2).encode() for word in expected]
    # A form is a letter twice, so that each letter and each affix is in one form alone.
    assert vocabulary.characters == ()
    assert vocabulary.affixes == ((), (), (), ())


def test_characters_and_affixes_of_one_form_alone_are_unknown() -> None:
    """Forms count once: `the`, `The`, `old`, `pond`, `froze`, `frog` and `.`."""
    _, vocabulary = learn(columns(), affixes=2)
    assert set(vocabulary.characters) == set("oefrhd")
    assert vocabulary.characters[:2] == ("o", "e")
    first, second, last, last_two = vocabulary.affixes
    assert set(first) == {"f"}
    assert set(second) == {"fr"}
    assert set(last) == {"e", "d"}
    assert set(last_two) == {"he"}


def test_a_column_that_is_read_has_all_its_values() -> None:
    _, vocabulary = learn(columns(), features=["pos", "1"])
    assert vocabulary.features[0].values == ("DT", "NN", ".", "JJ", "VBD")
    assert vocabulary.feature_columns == ["pos", "1"]


@pytest.mark.parametrize("scheme", [None, "none", "iob2", "iob1", "bioes"])
def test_labels_are_learned_in_the_scheme_of_the_model(scheme: str | None) -> None:
    _, vocabulary = learn(columns(), scheme=scheme)
    [column] = vocabulary.labels
    assert column.text_scheme == "iob2"
    assert column.model_scheme == (scheme if scheme in ("iob1", "bioes") else "iob2")
    expected = {
        "bioes": {"B-NP", "I-NP", "E-NP", "S-VP", "O"},
        "iob1": {"I-NP", "I-VP", "B-NP", "O"},
    }
    assert set(column.labels) == expected.get(str(scheme), {"B-NP", "I-NP", "B-VP", "O"})


def test_a_scheme_is_for_tags_that_have_one() -> None:
    _, vocabulary = learn(columns(), "pos", scheme="none")
    assert vocabulary.labels[0].model_scheme == "none"
    with pytest.raises(UsageError, match="scheme bioes: the labels of pos, 1 are no tags of a"):
        learn(columns(), "pos", "1", scheme="bioes")
    _, vocabulary = learn(columns(), "pos", "tag", scheme="bioes")  # learned together
    assert [column.model_scheme for column in vocabulary.labels] == ["none", "bioes"]


def test_labels_of_texts_have_no_scheme() -> None:
    records = texts("B-X\tgood\nO\tbad\n")
    _, vocabulary = learn(records, "label", task="classification")
    assert vocabulary.labels[0].text_scheme == "none"


# -------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("scheme", [None, "bioes"])
def test_numbers_stand_for_what_was_read(scheme: str | None) -> None:
    records = columns()
    tokenizer, vocabulary = learned = learn(
        records, "tag", "pos", features=["3"], scheme=scheme, affixes=1
    )
    encoded = encode(records, learned)
    assert encoded.lengths.tolist() == [4, 5]
    assert encoded.starts.tolist() == [0, 4]
    words = [tokenizer.types[id].decode() for id in encoded.table.words[encoded.form_of]]
    assert words == [token for record in records for token in record.tokens]
    tag, pos = ([column.labels[id] for id in ids] for column, ids in zip(
        vocabulary.labels, encoded.labels.T, strict=True
    ))  # fmt: skip
    assert pos == [value for record in records for value in record.columns["pos"]]
    expected = {
        None: "B-NP I-NP I-NP B-VP B-NP I-NP B-NP I-NP O",
        "bioes": "B-NP I-NP E-NP S-VP B-NP E-NP B-NP E-NP O",
    }
    assert " ".join(tag) == expected[scheme]
    given_values = [vocabulary.features[0].values[id - 1] for id in encoded.columns[:, 0]]
    assert given_values == [value for record in records for value in record.columns["3"]]
    assert encoded.labels.dtype == encoded.columns.dtype == encoded.form_of.dtype == np.int64
    assert not encoded.labels_texts


def test_what_training_did_not_have_is_unknown() -> None:
    learned = learn(columns(), features=["pos"], affixes=1)
    other = columns("zzz FW B-XP\nthe DT B-NP\n")
    encoded = encode(other, learned)
    names = learned[1].labels[0].labels
    assert encoded.labels[:, 0].tolist() == [-1, names.index("B-NP")]
    assert encoded.columns[0, 0] == 0
    assert encoded.columns[1, 0] > 0
    assert encoded.table.words[encoded.form_of].tolist()[0] == 0
    assert encoded.table.affixes[encoded.form_of][0].tolist() == [0, 0]


def test_text_without_labels_is_encoded_without_them() -> None:
    learned = learn(columns(), "tag", "pos")
    bare = sentences("tagging", "text", "the frog\nfroze\n")
    encoded = encode(bare, learned)
    assert encoded.labels.tolist() == [[-1, -1]] * 3
    assert encoded.lengths.tolist() == [2, 1]


@pytest.mark.parametrize("names", [["pos"], ["tag"]])
def test_a_column_of_labels_counts_where_all_have_it(names: list[str]) -> None:
    learned = learn(columns(), *names)
    two = columns("the B-NP\nfrog I-NP\n")  # the tag alone
    encoded = encode(two, learned)
    assert (encoded.labels >= 0).all() == (names == ["tag"])


def test_texts_have_one_label_each() -> None:
    records = texts("good\ta warm film\nbad\t\ngood\tfilm\n")
    learned = learn(records, "label", task="classification")
    encoded = encode(records, learned)
    assert encoded.labels_texts
    assert encoded.labels[:, 0].tolist() == [0, 1, 0]
    assert encoded.lengths.tolist() == [3, 1, 1]  # a text without words is one empty form
    assert encoded.table.words[encoded.form_of[3]] == 1
    other = texts("ugly\ta film\n")
    assert encode(other, learned).labels.tolist() == [[-1]]


# -------------------------------------------------------------------------------------- refusals


def test_a_column_that_is_missing_is_named_with_file_and_line() -> None:
    with pytest.raises(UsageError, match=r"file, line 1: there is no column 'pso'.*'pos'"):
        learn(columns(), "tag", "pso")
    with pytest.raises(UsageError, match="file, line 1: there is no column 'chunk'"):
        learn(columns(), features=["chunk"])
    learned = learn(columns(), features=["pos"])
    with pytest.raises(UsageError, match="file, line 1: there is no column 'pos'"):
        encode(columns("the B-NP\n"), learned)
