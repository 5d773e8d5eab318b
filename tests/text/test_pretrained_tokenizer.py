"""Tokenizers made elsewhere: equal ids to their own libraries, spans of the text, text again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from seqlm.errors import DataError, ModelError
from seqlm.text.pretrained_tokenizer import (
    LibraryFile,
    PretrainedTokenizer,
    SentencePieceModel,
    read_pretrained,
    tokenizer_from_json,
)
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer, have_equal_ids
from seqlm.text.vocabulary import EOS, RESERVED, UNK

LINES = ["the old man came in .", "the women sang , quietly", "a frog sees älteste ponds"] * 20
TEXT = "the old  women saw\n\n , älte\u3042 frogs\nin"


def library(kind: str) -> tokenizers.Tokenizer:
    """A small tokenizer of the library, as models of this kind have it."""
    if kind.startswith("byte-level"):
        made = tokenizers.Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space="prefix" in kind)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=300, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"]
        )
    elif kind == "unigram":
        made = tokenizers.Tokenizer(models.Unigram())
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=60, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>"
        )
    elif kind == "wordpiece":
        made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece(cleanup=False)
        trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=["[UNK]", "[CLS]"])
    else:
        made = tokenizers.Tokenizer(models.WordLevel(unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(special_tokens=["<unk>"])
    trainer.show_progress = False
    made.train_from_iterator(LINES, trainer)
    return made


KINDS = ("byte-level", "byte-level, prefix", "unigram", "wordpiece", "words")


@pytest.fixture(params=KINDS, scope="module")
def made(request: pytest.FixtureRequest) -> tokenizers.Tokenizer:
    return library(request.param)


def ours(made: tokenizers.Tokenizer) -> PretrainedTokenizer:
    return PretrainedTokenizer(LibraryFile(made.to_str()))


def sentencepiece_model(byte_fallback: bool = False) -> bytes:
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=model, minloglevel=2, hard_vocab_limit=False,
        vocab_size=300 if byte_fallback else 40, byte_fallback=byte_fallback,
    )  # fmt: skip
    return model.getvalue()


# ----------------------------------------------------------------------------------- text <-> ids


def test_ids_are_those_of_the_library(made: tokenizers.Tokenizer) -> None:
    tokenizer = ours(made)
    ids = tokenizer.encode(Block(TEXT.encode(), "text", 1)).tolist()
    lines, expected = TEXT.split("\n"), []
    for line in lines:
        expected += [*made.encode(line, add_special_tokens=False).ids, None]
    assert len(ids) == len(expected) - 1  # the last line does not end
    for id, theirs in zip(ids, expected):
        if theirs is None:
            assert id == EOS
        elif theirs == tokenizer.library.unk:
            assert id == UNK
        else:
            assert tokenizer.library_ids[id - 2] == theirs
    assert tokenizer.types[:2] == RESERVED
    assert (
        len(tokenizer)
        == len(tokenizer.types)
        == made.get_vocab_size()
        + 2
        - (tokenizer.library.unk is not None)
        - (tokenizer.eos is not None)
    )


def test_spans_are_those_of_the_library(made: tokenizers.Tokenizer) -> None:
    tokenizer, block = ours(made), Block(TEXT.encode(), "text", 1)
    ids = tokenizer.encode(block)
    spans = tokenizer.token_spans(block, ids)
    texts = [
        block.data[start : start + length].decode()
        for start, length in zip(spans.start.tolist(), spans.length.tolist())
    ]
    expected = []
    for line in TEXT.split("\n"):
        offsets = made.encode(line, add_special_tokens=False).offsets
        expected += [*(line[start:end] for start, end in offsets), "\n"]
    assert texts == expected[:-1]


def test_text_is_what_the_library_decodes(made: tokenizers.Tokenizer) -> None:
    tokenizer = ours(made)
    text = "the old women sang quietly\n\na frog sees ponds\n"
    decoded = tokenizer.decode(tokenizer.encode(Block(text.encode(), "text", 1)))
    assert decoded.decode() == text


@given(st.text(st.sampled_from("the old frog é\u3042\U0001f438ä,.\u0301  "), max_size=30))
def test_byte_level_text_is_reversible(text: str) -> None:
    tokenizer = BYTE_LEVEL
    ids = tokenizer.encode_text(text)
    assert tokenizer.decode(ids).decode() == text


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_sentencepiece(byte_fallback: bool) -> None:
    data = sentencepiece_model(byte_fallback)
    tokenizer = PretrainedTokenizer(SentencePieceModel(data))
    block = Block(TEXT.encode(), "text", 1)
    ids = tokenizer.encode(block)
    processor = tokenizer.library.processor
    theirs = [processor.Encode(line) for line in TEXT.split("\n")]
    assert len(ids) == sum(map(len, theirs)) + len(theirs) - 1
    assert tokenizer.eos == processor.eos_id()
    expected = "\n".join(processor.Decode(line) for line in theirs)
    decoded = tokenizer.decode(ids).decode()
    assert (decoded == expected) == byte_fallback  # `<unk>` has other spellings otherwise
    spans = tokenizer.token_spans(block, ids)
    ends = (spans.start + spans.length).tolist()
    assert ends == sorted(ends)
    assert ends[-1] == len(block.data)
    assert [block.data[at : at + 1] for at in spans.start[ids == EOS]] == [b"\n"] * 3


# ---------------------------------------------------------------------------------------- on disk


def test_a_stored_tokenizer_is_the_same(made: tokenizers.Tokenizer) -> None:
    tokenizer = ours(made)
    stored = tokenizer_from_json(tokenizer.to_json())
    assert isinstance(stored, PretrainedTokenizer)
    assert (stored.types, stored.digest) == (tokenizer.types, tokenizer.digest)
    assert have_equal_ids(stored, tokenizer)
    block = Block(TEXT.encode(), "text", 1)
    assert stored.encode(block).tolist() == tokenizer.encode(block).tolist()


def test_a_stored_sentencepiece_model_is_the_same() -> None:
    tokenizer = PretrainedTokenizer(SentencePieceModel(sentencepiece_model()))
    stored = tokenizer_from_json(tokenizer.to_json())
    assert have_equal_ids(stored, tokenizer)
    assert stored.digest == tokenizer.digest


def test_our_own_tokenizers_are_read_as_ours() -> None:
    tokenizer = Tokenizer("word", [*RESERVED, b"a"])
    assert type(tokenizer_from_json(tokenizer.to_json())) is Tokenizer


def test_tokenizers_that_differ_have_other_digests() -> None:
    digests = {ours(library(kind)).digest for kind in KINDS}
    assert len(digests) == len(KINDS)


def test_a_file_is_read_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(library("unigram").to_str())
    (tmp_path / "b").write_bytes(sentencepiece_model())
    assert isinstance(read_pretrained(tmp_path / "a").library, LibraryFile)
    assert isinstance(read_pretrained(tmp_path / "b").library, SentencePieceModel)


@pytest.mark.parametrize("content", [b"", b"{}", b"{", b"the old man", b"\xff\xfe\x00", b"{\xff"])
def test_a_file_that_is_no_tokenizer(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match="is no tokenizer"):
        read_pretrained(tmp_path / "file")


def test_a_damaged_stored_tokenizer() -> None:
    stored = json.loads(ours(library("unigram")).to_json())
    damaged = [
        {**stored, "eos": 10**9},
        {**stored, "eos": "x"},
        {**stored, "file": None},
        {**stored, "file": "AAAA", "library": "sentencepiece"},
        {**stored, "file": "not base64", "library": "sentencepiece"},
        {"library": "tokenizers"},
    ]
    for values in damaged:
        with pytest.raises(ModelError):
            tokenizer_from_json(json.dumps(values))


BYTE_LEVEL = ours(library("byte-level"))


def test_the_end_of_a_text_within_a_line_is_refused(tmp_path: Path) -> None:
    """It would be one more line: a text has as many `</s>` as lines."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=["</s>"], initial_alphabet=alphabet)
    library.train_from_iterator(["the old man"], trainer)
    library.save(str(tmp_path / "tokenizer.json"))
    tokenizer = read_pretrained(tmp_path / "tokenizer.json")
    with pytest.raises(DataError, match=r"text, line 4: .* the end of a text"):
        tokenizer.encode(Block(b"a\nb </s> c\n", "text", 3))
    assert (tokenizer.encode(Block(b"a\n\nb\n", "text", 1)) == EOS).sum() == 3
