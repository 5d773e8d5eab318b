"""Words of a tokenizer.json in one text: what the general parser reads, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seqlm.errors import ModelError
from seqlm.runs.untrusted.packed_vocabulary import cut_out_words
from seqlm.text.normalization import Normalizer
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED

WORDS = [
    b"the", b"a", b'"', b"\\", b'say"so"', b"\\u0020", b"}", b'"},', b"{", b'":3,',
    b"\x01", b"\x1c",
    b"caf\xc3\xa9", b"\xe2\x80\xa8", b"\xf0\x9f\x99\x82", b"\xc2\xa0", b"/", b"\x7f", b"0", b"12",
]  # fmt: skip
MANY = [*RESERVED, *WORDS, *(b"w%d" % n for n in range(1200))]


def read(data: bytes) -> Tokenizer | None:
    cut = cut_out_words(data)
    return Tokenizer.from_json(cut.rest.decode()).with_words(cut.words) if cut else None


@pytest.mark.parametrize("size", [2, 3, 9, 10, 11, 22, 99, 100, 101, 1000, 1001, len(MANY)])
def test_words_are_those_of_the_general_parser(size: int) -> None:
    tokenizer = Tokenizer("word", MANY[:size], normalizer=Normalizer(["lower", "punct"]))
    for each in (tokenizer, tokenizer.in_direction("backward")):
        packed = read(each.to_json().encode())
        assert packed is not None
        assert packed.packed is not None
        assert len(packed) == size
        assert packed.digest == each.digest
        assert packed.types == each.types == Tokenizer.from_json(each.to_json()).types
        assert packed.normalizer.steps == each.normalizer.steps
        assert packed.direction == each.direction
        assert packed.to_json() == each.to_json()


def test_few_words_are_looked_for_as_many_are() -> None:
    tokenizer = Tokenizer("word", MANY)
    text = " ".join(["the w7 \x1c nothing w1199 </s w <unk> the", "w12\nw1", "x" * 40]) + "\n"
    for repeated in (1, 50):
        packed = read(tokenizer.to_json().encode())
        assert packed is not None
        expected = tokenizer.encode_text(text * repeated)
        assert np.array_equal(packed.encode_text(text * repeated), expected)
        assert np.array_equal(packed.encode_text(text), tokenizer.encode_text(text))


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_other_tokenizers_are_left_to_the_general_parser(kind: Any) -> None:
    merges: Any = [] if kind == "bpe" else None
    assert read(Tokenizer(kind, [*RESERVED, b"a"], merges).to_json().encode()) is None


CHANGES: dict[str, Callable[[str], str]] = {
    "an id twice": lambda text: text.replace('"a": 3', '"a": 2'),
    "an id of more digits": lambda text: text.replace('"a": 3', '"a": 03'),
    "a negative id": lambda text: text.replace('"a": 3', '"a": -3'),
    "two words": lambda text: text.replace('"a": 3', '"a b": 3'),
    "no word": lambda text: text.replace('"a": 3', '"": 3'),
    "an escaped space": lambda text: text.replace('"a": 3', '"a\\u0020b": 3'),
    "an escaped tab": lambda text: text.replace('"a": 3', '"\\t": 3'),
    "an escaped newline": lambda text: text.replace('"a": 3', '"a\\nb": 3'),
    "half a character": lambda text: text.replace('"a": 3', '"\\ud800": 3'),
    "a bare quote": lambda text: text.replace('"a": 3', '"a"b": 3'),
    "a bare control character": lambda text: text.replace('"a": 3', '"a\x01": 3'),
    "no comma": lambda text: text.replace('"a": 3,', '"a": 3'),
    "a comma at the end": lambda text: text.replace('"say\\"so\\"": 6', '"say": 6,'),
    "other reserved entries": lambda text: text.replace('"</s>": 1', '"</S>": 1'),
    "an unknown escape": lambda text: text.replace('"a": 3', '"\\q": 3'),
    "another object": lambda text: text.replace('"a": 3', '"a": {}'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_the_general_parser_refuses_is_not_packed(name: str) -> None:
    text = Tokenizer("word", MANY[:7]).to_json()
    changed = CHANGES[name](text)
    assert changed != text
    assert cut_out_words(changed.encode()) is None
    with pytest.raises(ModelError):
        Tokenizer.from_json(changed)


@pytest.mark.parametrize(
    "form", [{"indent": 4}, {"indent": None}, {"indent": 2, "sort_keys": True}]
)
def test_a_file_of_another_form_is_left_to_the_general_parser(form) -> None:
    text = json.dumps(json.loads(Tokenizer("word", MANY[:7]).to_json()), **form)
    packed = read(text.encode())
    assert Tokenizer.from_json(text).types == MANY[:7] if packed is None else packed.types


def test_no_section_ends_the_process() -> None:
    """Every cut of a file, and every byte of it changed: packed as the general parser reads it, or
    left to that."""
    data = Tokenizer("word", MANY[:14]).to_json().encode()
    rng = np.random.default_rng(1)
    changed = [data[:end] for end in range(len(data))]
    for at in range(len(data)):
        other = bytearray(data)
        other[at] = int(rng.integers(256))
        changed.append(bytes(other))
    packed = 0
    for each in changed:
        try:
            tokenizer = read(each)
        except (ModelError, UnicodeDecodeError):
            continue
        if tokenizer is not None:
            try:
                types = Tokenizer.from_json(each.decode()).types
            except ModelError:
                types = None
            if types is not None:
                packed += 1
                assert tokenizer.types == types
            else:
                assert len(set(tokenizer.types)) < len(tokenizer.types)  # a word is there twice
    assert packed > 10


def test_the_vocabulary_of_a_corpus(data) -> None:
    text = (data / "ptb" / "train.txt").read_bytes()
    types = [*RESERVED, *dict.fromkeys(word for word in text.split() if word not in RESERVED)]
    packed = read(Tokenizer("word", types).to_json().encode())
    assert packed is not None
    assert packed.types == types
