"""The word index against `bytes.split` and a dictionary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text import word_index
from seqlm.text.vocabulary import EOS, RESERVED
from seqlm.text.word_index import MAX_SHORT_LENGTH, NO_ID, WordIndex, find_tokens

WORDS = st.binary(min_size=1, max_size=40).filter(
    lambda word: not set(word) & set(b" \t\r\x0b\x0c\n")
)
PIECES = [b"a", b"ab", b"\0", b"\x01", b"\xc3\xa9", b"abcdefgh", b"abcdefghijklmno", b"x" * 16]
GAPS = [b" ", b"\t", b"\n", b"\r", b"\x0b", b"\x0c"]
TEXTS = st.lists(st.sampled_from([*PIECES, *GAPS]), max_size=60).map(b"".join)


def split_slowly(text: bytes) -> list[bytes]:
    first, *rest = text.split(b"\n")
    return [*first.split(), *(word for line in rest for word in (b"\n", *line.split()))]


@given(TEXTS)
def test_tokens_are_what_split_gives_and_the_newlines(text: bytes) -> None:
    tokens = find_tokens(text)
    words = [text[s : s + n] for s, n in zip(tokens.start.tolist(), tokens.length.tolist())]
    assert words == split_slowly(text)


@given(st.lists(TEXTS, max_size=5))
def test_ids_are_those_of_a_dictionary(texts: list[bytes]) -> None:
    index, ids = WordIndex(RESERVED), dict(zip(RESERVED, range(2)))
    for text in texts:
        tokens = find_tokens(text)
        before = index.look_up(text, tokens)
        ids_after = before.copy()
        index.learn(text, tokens, ids_after)
        words = split_slowly(text)
        expected_before = [EOS if word == b"\n" else ids.get(word, NO_ID) for word in words]
        for word in words:
            if word != b"\n":
                ids.setdefault(word, len(ids))
        expected = [EOS if word == b"\n" else ids[word] for word in words]
        assert before.tolist() == expected_before
        assert ids_after.tolist() == expected
        assert index.look_up(text, tokens).tolist() == expected
    assert index.ids == ids


@pytest.mark.parametrize("many", [0, 700, 10**6])
def test_many_new_words_are_learned_alike_in_batches(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of them come again, so that those of later batches are known when it is their turn."""
    monkeypatch.setattr(word_index, "MANY", many)
    words = [b"w%d" % n for n in np.random.default_rng(0).integers(0, 900, 5000)]
    text, index = b" ".join(words), WordIndex(RESERVED)
    tokens = find_tokens(text)
    ids = index.look_up(text, tokens)
    index.learn(text, tokens, ids)
    expected = {word: n for n, word in enumerate(dict.fromkeys(words), len(RESERVED))}
    assert ids.tolist() == [expected[word] for word in words]


@given(st.lists(WORDS, unique=True, max_size=50))
def test_words_of_any_bytes_are_told_apart(words: list[bytes]) -> None:
    types = [*RESERVED, *(word for word in words if word not in RESERVED)]
    text = b" ".join(types[2:])
    tokens = find_tokens(text)
    assert WordIndex(types).look_up(text, tokens).tolist() == list(range(2, len(types)))


def test_a_table_grows_and_finds_all_it_held() -> None:
    types = [*RESERVED, *(b"w%d" % n for n in range(20_000))]
    index = WordIndex(types[:10])
    for start in range(10, len(types), 777):
        text = b" ".join(types[start : start + 777])
        tokens = find_tokens(text)
        ids = index.look_up(text, tokens)
        assert (ids == NO_ID).all()
        index.learn(text, tokens, ids)
    text = b" ".join(types[2:])
    assert np.array_equal(index.look_up(text, find_tokens(text)), np.arange(2, len(types)))


@pytest.mark.parametrize(
    "length", [7, 8, 9, *range(MAX_SHORT_LENGTH - 1, MAX_SHORT_LENGTH + 2), 31]
)
def test_words_that_differ_only_at_the_end(length: int) -> None:
    words = [b"x" * (length - 1) + last for last in (b"a", b"b", b"\0")] + [b"x" * (length - 1)]
    text = b" ".join(words)
    assert WordIndex([*RESERVED, *words]).look_up(text, find_tokens(text)).tolist() == [2, 3, 4, 5]
