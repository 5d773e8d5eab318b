"""Words to ids in machine code against the same in array code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text import word_index
from seqlm.text.vocabulary import RESERVED
from seqlm.text.word_index import PackedWords, WordIndex, find_tokens
from seqlm.text.words import compiled_words
from tests.text.test_word_index import TEXTS, WORDS

pytest.importorskip("numba")


def check(index: WordIndex, text: bytes) -> None:
    """The tokens and ids of both ways are the same."""
    expected = find_tokens(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_index, "is_compiled", lambda _: True)
        tokens, ids = index.find_and_look_up(text)
    assert np.array_equal(tokens.start, expected.start)
    assert np.array_equal(tokens.length, expected.length)
    assert np.array_equal(ids, index.look_up(text, expected))
    assert ids.dtype == np.int32


@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_tokens_and_ids_are_those_of_array_code(text: bytes, learned: list[bytes]) -> None:
    index = WordIndex(RESERVED)
    for known in learned:
        tokens = find_tokens(known)
        index.learn(known, tokens, index.look_up(known, tokens))
    check(index, text)


@given(st.lists(WORDS, unique=True, max_size=50), st.sampled_from([b"", b" ", b"\n", b" \n"]))
def test_words_of_any_bytes_are_told_apart(words: list[bytes], end: bytes) -> None:
    types = [*RESERVED, *(word for word in words if word not in RESERVED)]
    check(WordIndex(types[: len(types) // 2 + 2]), b" ".join(types) + end)


def test_slots_that_many_words_want() -> None:
    """Keys that all begin at one slot go on to the next free one, and around the end."""
    types = [*RESERVED, *(b"w%d" % n for n in range(300))]
    index = WordIndex(types)
    table = index._table
    text = b"\n".join(types) + b" w300 w9999\n"
    check(index, text)
    one_slot = word_index.empty_table(len(table.ids))._replace(shift=np.uint64(63))
    occupied = np.flatnonzero(table.ids != word_index.NO_ID)
    word_index.insert(one_slot, table.keys[occupied], table.ids[occupied])
    index._table = one_slot
    check(index, text)


def test_a_packed_vocabulary_is_unpacked() -> None:
    index = WordIndex(PackedWords(b"\n<unk>\n</s>\nthe\n"))
    check(index, b"the he\nthe\n")


def test_a_large_text_is_read_in_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(
        compiled_words, "find_words", lambda data, table: read.append(data) or 1 / 0
    )
    index = WordIndex(RESERVED)
    index.find_and_look_up(b"a b\n")
    assert not read
    monkeypatch.setattr(word_index, "is_compiled", lambda size: size == 20)
    with pytest.raises(ZeroDivisionError):
        index.find_and_look_up(b"a bc " * 20)
    assert read
