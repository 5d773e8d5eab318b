"""Phrases against the loop of word2phrase."""

from collections import Counter
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting import phrases as module
from seqlm.counting.phrases import DELTA, learn_phrases
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.text.vocabulary import EOS, RESERVED, UNK

TYPES = [*RESERVED, b"a", b"b", b"c", b"d"]
Lines = list[list[str]]


def word2phrase(lines: Lines, threshold: float) -> Lines:
    """One pass, word by word. `?` is an unknown word."""
    words = Counter(word for line in lines for word in line)
    pairs = Counter(pair for line in lines for pair in pairwise(line))
    n = sum(words.values())

    def is_phrase(a: str, b: str) -> bool:
        if "?" in (a, b) or words[a] < DELTA or words[b] < DELTA:
            return False
        return n * (pairs[a, b] - DELTA) / (words[a] * words[b]) > threshold

    joined = []
    for line in lines:
        out: list[str] = []
        is_free = False  # whether the last word may begin a phrase
        for last, word in zip(["", *line], line):
            if is_free and is_phrase(last, word):
                out[-1] += "_" + word
                is_free = False
            else:
                out.append(word)
                is_free = True
        joined.append(out)
    return joined


def encode(lines: Lines, types: list[bytes]) -> np.ndarray:
    id_of = {type_: id for id, type_ in enumerate(types)}
    ids = [[*(id_of.get(word.encode(), UNK) for word in line), EOS] for line in lines]
    return np.array(list(chain.from_iterable(ids)), np.int32)


def decode(ids: np.ndarray, types: list[bytes]) -> Lines:
    lines: Lines = [[]]
    for id in ids.tolist():
        if id == EOS:
            lines.append([])
        else:
            lines[-1].append("?" if id == UNK else types[id].decode())
    return lines[:-1]


@given(
    lines=st.lists(st.lists(st.sampled_from("abcd?"), max_size=8), min_size=1, max_size=30),
    times=st.integers(1, 9),
    threshold=st.floats(0.1, 8),
    passes=st.integers(1, 3),
    chunk=st.sampled_from([1, 2, 3, 1 << 20]),
)
def test_phrases_are_those_of_the_loop(
    lines: Lines, times: int, threshold: float, passes: int, chunk: int
) -> None:
    lines = lines * times
    ids = encode(lines, TYPES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_SIZE", chunk)
        phrases = learn_phrases(ids, TYPES, passes, threshold)
        joined = phrases.join(ids)
    for number in reversed(range(passes)):
        lines = word2phrase(lines, threshold * 2**number)
    assert decode(joined, phrases.types) == lines
    assert joined.dtype == np.int32
    assert phrases.types[: len(TYPES)] == TYPES


def test_a_phrase_that_is_a_word_already_has_its_id() -> None:
    types = [*TYPES, b"a_b"]
    lines = [["a", "b"], ["c"]] * 20 + [["a_b", "d"]]
    ids = encode(lines, types)
    phrases = learn_phrases(ids, types, 1, 1.0)
    assert phrases.types == types
    assert decode(phrases.join(ids), types)[0] == ["a_b"]


def test_phrases_of_one_text_are_joined_in_another() -> None:
    phrases = learn_phrases(encode([["a", "b"], ["c"]] * 20, TYPES), TYPES, 1, 1.0)
    other = encode([["c", "a", "b", "d", "b"], ["?", "a", "b"]], TYPES)
    expected = [["c", "a_b", "d", "b"], ["?", "a_b"]]
    assert decode(phrases.join(other), phrases.types) == expected


def test_a_text_on_disk_has_the_same_phrases() -> None:
    rng = np.random.default_rng(3)
    lines = [["abcd"[k] for k in rng.choice(4, 6, p=[0.4, 0.3, 0.2, 0.1])] for _ in range(500)]
    ids = encode(lines, TYPES)
    in_memory, on_disk = (
        learn_phrases(ids, TYPES, 2, 0.8, memory) for memory in (IN_MEMORY, Memory(1 << 40))
    )
    assert in_memory.types == on_disk.types
    assert len(in_memory.types) > len(TYPES)
    assert np.array_equal(in_memory.join(ids), on_disk.join(ids, Memory(1 << 40)))
