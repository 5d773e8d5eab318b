"""A corpus and the vocabulary learned from it: which types, in which order, with which ids."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import DataError, UsageError
from seqlm.text import reading
from seqlm.text.corpus import Corpus, read_corpus
from seqlm.text.tokenizer import TOKENIZER_KINDS, TokenizerKind
from seqlm.text.vocabulary import EOS, RESERVED, UNK

TEXT = "b a a c\nc a b\n\nd ü <unk>\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., Corpus]:
    """Reads a text with the options given."""

    def read(text: str | bytes, **options: Any) -> Corpus:
        path = tmp_path / "corpus"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_corpus([str(path)], **options)

    return read


def types(corpus: Corpus) -> list[str]:
    assert corpus.tokenizer.types[:2] == RESERVED
    return [type_.decode() for type_ in corpus.tokenizer.types[2:]]


# --------------------------------------------------------------------------------------- vocabulary


def test_types_fall_by_count_and_ties_by_their_bytes(corpus) -> None:
    assert types(corpus(TEXT)) == ["a", "b", "c", "d", "ü"]
    assert types(corpus(TEXT, kind="char"))[:3] == [" ", "a", "b"]


@given(words=st.lists(st.text("abü", min_size=1, max_size=2), min_size=1, max_size=40))
def test_the_order_of_the_text_is_not_that_of_the_types(tmp_path_factory, words) -> None:
    path = tmp_path_factory.getbasetemp() / "words"
    path.write_text(" ".join(words), encoding="utf-8")
    counts = Counter(word.encode() for word in words)
    expected = sorted(counts, key=lambda type_: (-counts[type_], type_))
    assert read_corpus([str(path)]).tokenizer.types == RESERVED + expected


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_ids_are_those_the_tokenizer_gives_the_text_afterwards(kind, corpus, tmp_path) -> None:
    learned = corpus(TEXT * 20, kind=kind)
    encoded = corpus(TEXT * 20, tokenizer=learned.tokenizer)
    assert learned.ids.tolist() == encoded.ids.tolist()
    assert learned.digest == encoded.digest
    assert learned.lines == encoded.lines == 80


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_how_a_text_is_cut_into_blocks_makes_no_difference(kind, corpus, monkeypatch) -> None:
    whole = corpus(TEXT * 40, kind=kind)
    monkeypatch.setattr(reading, "BLOCK_SIZE", 64)
    cut = corpus(TEXT * 40, kind=kind)
    assert cut.tokenizer.types == whole.tokenizer.types
    assert cut.ids.tolist() == whole.ids.tolist()
    assert cut.digest == whole.digest


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@pytest.mark.parametrize(
    "same", [TEXT.replace("\n", "\r\n"), "\ufeff" + TEXT, TEXT[:-1]], ids=["crlf", "bom", "no end"]
)
def test_newlines_and_marks_give_equal_ids(kind, same, corpus) -> None:
    one, other = corpus(TEXT, kind=kind), corpus(same, kind=kind)
    assert one.ids.tolist() == other.ids.tolist()
    assert (one.tokenizer.types, one.digest) == (other.tokenizer.types, other.digest)


def test_min_count_makes_rare_words_unknown(corpus) -> None:
    rare = corpus("a a b\n", min_count=2)
    assert types(rare) == ["a"]
    assert rare.ids.tolist() == [2, 2, UNK, EOS]


def test_rare_words_are_unknown_by_default_unless_the_text_marks_its_own(corpus) -> None:
    assert types(corpus("a a b\n", default_min_count=2)) == ["a"]
    assert types(corpus("a a b <unk>\n", default_min_count=2)) == ["a", "b"]
    assert types(corpus("a a b\n", default_min_count=2, min_count=1)) == ["a", "b"]


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_vocab_size_counts_the_reserved_entries(kind, corpus) -> None:
    size = 270 if kind == "bpe" else 4
    small = corpus("the cat the dog the catalogue\n" * 9, kind=kind, vocab_size=size)
    assert len(small.tokenizer) == size


def test_byte_pairs_know_every_byte_whatever_they_learned_from(corpus) -> None:
    learned = corpus("aa aa ab\n", kind="bpe")
    assert {bytes([byte]) for byte in range(255)} - {b"\n"} <= set(learned.tokenizer.types)


def test_a_given_vocabulary_is_kept(corpus) -> None:
    first = corpus("a a b\n").tokenizer
    second = corpus("b c\n", tokenizer=first)
    assert second.tokenizer is first
    assert second.ids.tolist() == [3, UNK, EOS]


def test_byte_pairs_are_learned_from_a_pipe_too(tmp_path, corpus) -> None:
    """Merges need the text twice, and a pipe can be read once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=[TEXT])
    writer.start()
    piped = read_corpus([str(pipe)], kind="bpe")
    writer.join()
    plain = corpus(TEXT, kind="bpe")
    assert piped.ids.tolist() == plain.ids.tolist()
    assert piped.digest == plain.digest


# ----------------------------------------------------------------------------------- no text at all


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_an_empty_corpus_is_refused(kind, corpus) -> None:
    for text in (b"", b"\xef\xbb\xbf"):
        with pytest.raises(DataError, match="the corpus is empty"):
            corpus(text, kind=kind)


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_a_corpus_of_blank_lines_is_refused(kind, corpus) -> None:
    with pytest.raises(DataError, match="nothing but empty lines"):
        corpus("\n\r\n\n", kind=kind)


def test_white_space_is_no_word(corpus) -> None:
    with pytest.raises(DataError, match="nothing but empty lines"):
        corpus(" \t\n\v \n")


def test_an_empty_file_among_others_is_no_error(tmp_path) -> None:
    for name, text in {"1": "", "2": "a\n", "3": ""}.items():
        (tmp_path / name).write_text(text)
    assert len(read_corpus([str(tmp_path / name) for name in "123"]).ids) == 2


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_real_text_comes_back(kind: TokenizerKind, data: Path) -> None:
    path = data / "multi30k" / "test_2016_flickr.fr"
    corpus = read_corpus([str(path)], kind=kind)
    lines = path.read_bytes().split(b"\n")
    if kind == "word":
        lines = [b" ".join(line.split()) for line in lines]
    assert corpus.tokenizer.decode(corpus.ids) == b"\n".join(lines)


@pytest.mark.parametrize("kind", ["word", "char"])
def test_types_that_only_the_held_out_part_has_are_unknown(kind, tmp_path) -> None:
    path = tmp_path / "text"
    path.write_text("a b\n" * 9 + "a z\n")
    whole = read_corpus([str(path)], kind=kind)
    split = read_corpus([str(path)], kind=kind, held_out_fraction=0.1)
    assert b"z" in whole.tokenizer.types
    assert b"z" not in split.tokenizer.types
    assert list(split.ids).count(0) == 1


def test_a_given_vocabulary_is_not_changed(tmp_path) -> None:
    path = tmp_path / "text"
    path.write_text("a b\n")
    tokenizer = read_corpus([str(path)]).tokenizer
    for more in ({"vocab_size": 5}, {"min_count": 2}):
        with pytest.raises(UsageError, match="cannot be combined with vocab"):
            read_corpus([str(path)], tokenizer, **more)
    with pytest.raises(UsageError, match="256 bytes"):
        read_corpus([str(path)], kind="bpe", vocab_size=100)
