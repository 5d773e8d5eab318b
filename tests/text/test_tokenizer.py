"""Text to ids and back, against the `tokenizers` library and against `bytes.split`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from seqlm.errors import DataError, ModelError
from seqlm.text import reading
from seqlm.text.corpus import read_corpus
from seqlm.text.reading import Block, read_blocks
from seqlm.text.tokenizer import TOKENIZER_KINDS, Tokenizer, TokenizerKind, read_types
from seqlm.text.vocabulary import EOS, RESERVED, UNK

SAMPLE = (
    "the cat sat on the mat .\nthe dog — naïve, 42 times — sat there too !\n\n"
    "<unk> sat\twhere\u00a0it 's\u2028quiet \0 \u3000 文字 </s>x x<s>\n𝄞 don't DON'T  two  spaces\n"
    "the  wide  \u3000spaces  are  \u3000pairs\n"
)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[TokenizerKind, Tokenizer]:
    path = tmp_path_factory.mktemp("text") / "sample"
    path.write_text(SAMPLE, encoding="utf-8")
    return {
        kind: read_corpus([str(path)], kind=kind, vocab_size=300).tokenizer
        for kind in TOKENIZER_KINDS
    }


@pytest.fixture(params=TOKENIZER_KINDS)
def tokenizer(
    request: pytest.FixtureRequest, tokenizers: dict[TokenizerKind, Tokenizer]
) -> Tokenizer:
    return tokenizers[request.param]


def block(text: str) -> Block:
    return Block(text.encode(), "text", 1)


# Characters that mean something to one of the three, and whatever else Unicode has.
SPECIAL = [*"ae 's<>/\t\r\v\f\0\u00a0\u2028\u3000\x85ÿĊĠüß文𝄞1", "<unk>", "the ", " </s>"]
ANY_CHARACTER = st.characters(exclude_categories=["Cs"], exclude_characters="\n")
LINES = st.lists(st.one_of(st.sampled_from(SPECIAL), ANY_CHARACTER), max_size=25).map("".join)
TEXTS = st.lists(LINES, max_size=4).map(lambda lines: "".join(line + "\n" for line in lines))


def has_sentinel(text: str) -> bool:
    return any(word in (b"<s>", b"</s>") for word in text.encode().split())


# --------------------------------------------------------------------------------- text <-> ids


@given(text=TEXTS)
def test_words_are_what_bytes_split_says(tokenizers, text) -> None:
    words = tokenizers["word"]
    if has_sentinel(text):
        with pytest.raises(DataError, match="reserved"):
            words.encode(block(text))
        return
    known = {type_: id for id, type_ in enumerate(words.types)}
    expected = [
        id
        for line in text.encode().split(b"\n")[:-1]
        for id in [*(known.get(word, UNK) for word in line.split()), EOS]
    ]
    assert words.encode(block(text)).tolist() == expected


@given(text=TEXTS)
def test_characters_are_code_points(tokenizers, text) -> None:
    characters = tokenizers["char"]
    known = {type_.decode(): id for id, type_ in enumerate(characters.types[2:], 2)} | {"\n": EOS}
    assert characters.encode(block(text)).tolist() == [known.get(c, UNK) for c in text]


@given(text=TEXTS)
def test_byte_pairs_give_back_any_text(tokenizers, text) -> None:
    pairs = tokenizers["bpe"]
    ids = pairs.encode(block(text))
    assert UNK not in ids
    assert pairs.decode(ids) == text.encode()


@given(text=TEXTS)
def test_words_give_back_those_they_know(tokenizers, text) -> None:
    assume(not has_sentinel(text))
    words = tokenizers["word"]
    decoded = words.decode(words.encode(block(text)))
    for line, decoded_line in zip(text.encode().split(b"\n"), decoded.split(b"\n"), strict=True):
        expected = [word if word in words.types else b"<unk>" for word in line.split()]
        assert decoded_line == b" ".join(expected)


@given(text=TEXTS)
def test_characters_give_back_those_they_know(tokenizers, text) -> None:
    characters = tokenizers["char"]
    known = {"\n", *(type_.decode() for type_ in characters.types)}
    expected = "".join(character if character in known else "<unk>" for character in text)
    assert characters.decode(characters.encode(block(text))).decode() == expected


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@given(text=TEXTS)
def test_the_library_gives_the_same_ids(tokenizers, kind, text) -> None:
    """tokenizer.json is a file of the `tokenizers` library: it must mean the same there."""
    tokenizer = tokenizers[kind]
    assume(kind != "word" or not has_sentinel(text))
    lines = text.split("\n")[:-1]
    expected = [id for line in lines for id in [*tokenizer.library_tokenizer.encode(line).ids, EOS]]
    assert tokenizer.encode(block(text)).tolist() == expected


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@given(text=TEXTS)
def test_spans_are_the_bytes_of_each_token(tokenizers, kind, text) -> None:
    tokenizer = tokenizers[kind]
    assume(kind != "word" or not has_sentinel(text))
    piece = block(text)
    ids = tokenizer.encode(piece)
    spans = tokenizer.token_spans(piece, ids)
    tokens = [piece.data[s : s + n] for s, n in zip(spans.start, spans.length, strict=True)]
    assert len(tokens) == len(ids)
    for id, token in zip(ids.tolist(), tokens):
        assert token == b"\n" if id == EOS else (id == UNK or token == tokenizer.types[id])
    if kind == "word":
        assert b" ".join(tokens).split() == piece.data.split()
    else:
        assert b"".join(tokens) == piece.data


def test_a_file_gives_back_the_same_tokenizer(tokenizer) -> None:
    again = Tokenizer.from_json(tokenizer.to_json())
    assert (again.kind, again.types, again.merges) == (
        tokenizer.kind,
        tokenizer.types,
        tokenizer.merges,
    )
    assert again.digest == tokenizer.digest
    text = block(SAMPLE.replace(" </s>x", ""))
    assert again.encode(text).tolist() == tokenizer.encode(text).tolist()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "{}", '{"model": null, "pre_tokenizer": null}',
        '{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "pre_tokenizer": {"behavior": ""}}',
        '{"model": {"type": "Unigram", "vocab": [["a", 0.5]]}, "pre_tokenizer": null}',
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_refused(text) -> None:
    with pytest.raises(ModelError, match="not a tokenizer that seqlm wrote"):
        Tokenizer.from_json(text)


# ---------------------------------------------------------------------------------------- sentinels


@pytest.mark.parametrize("token", ["<s>", "</s>"])
@pytest.mark.parametrize("text", ["good\n\nbad {} here\n", "a\nb\n{}\n", "a\nb\n\v{}\f\n"])
def test_a_word_that_is_a_boundary_is_refused_with_its_line(token, text, tokenizers) -> None:
    with pytest.raises(DataError, match=f"text, line 3: the token {token} is reserved"):
        tokenizers["word"].encode(block(text.format(token)))


@pytest.mark.parametrize("text", ["x</s>", "<s>x", "<s><s>", "\u00a0<s>", "</s>\0", "< s>"])
def test_a_word_that_holds_a_boundary_is_text(text, tokenizers) -> None:
    assert tokenizers["word"].encode(block(text + "\n"))[-1] == EOS


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_a_boundary_is_text_for_characters_and_byte_pairs(kind, tmp_path) -> None:
    path = tmp_path / "text"
    path.write_text("<s> a </s>\n</s>\n<unk>\n")
    corpus = read_corpus([str(path)], kind=kind)
    assert corpus.tokenizer.decode(corpus.ids) == path.read_bytes()
    assert corpus.lines == 3


# --------------------------------------------------------------------------------------- long lines


@pytest.mark.parametrize("gap", [" ", "\t", "  ", " \t ", "\u3000  "], ids=ascii)
@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_a_line_cut_into_blocks_gives_the_ids_of_the_whole(kind, gap, tmp_path, tokenizers) -> None:
    line = gap.join(["the", "cat", "n'aïve", "文字", "42", "sat-", "unknown"] * 300)
    path = tmp_path / "line"
    path.write_bytes(line.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_SIZE", 512)
        pieces = list(read_blocks([path]))
    assert len(pieces) > 5
    tokenizer = tokenizers[kind]
    ids = np.concatenate([tokenizer.encode(piece) for piece in pieces])
    assert ids.tolist() == tokenizer.encode(block(line + "\n")).tolist()


@example(text="the  \u3000cat")
@given(text=LINES.filter(lambda text: reading.SAFE_CUT.search(text.encode())))
def test_where_a_line_may_be_cut_no_token_is(tokenizers, text) -> None:
    line = text.encode()
    for match in reading.SAFE_CUT.finditer(line):
        left, right = (
            Block(part, "text", 1) for part in (line[: match.start()], line[match.start() :])
        )
        for kind, tokenizer in tokenizers.items():
            if kind != "word" or not has_sentinel(text):
                ids = np.concatenate([tokenizer.encode(left), tokenizer.encode(right)])
                assert ids.tolist() == tokenizer.encode(Block(line, "text", 1)).tolist()


@pytest.mark.parametrize("kind", ["word", "char"])
def test_a_line_of_many_megabytes_gives_the_ids_of_the_whole(kind, tmp_path, tokenizers) -> None:
    line = "the cat sat on the naïve mat " * 300_000
    path = tmp_path / "line"
    path.write_bytes(line.encode())
    pieces = list(read_blocks([path]))
    assert len(pieces) > 1
    tokenizer = tokenizers[kind]
    ids = np.concatenate([tokenizer.encode(piece) for piece in pieces])
    assert (ids == tokenizer.encode(block(line + "\n"))).all()


# ------------------------------------------------------------------------------- a given vocabulary


def test_a_vocabulary_file_keeps_its_order(tmp_path) -> None:
    path = tmp_path / "types"
    path.write_bytes("zebra\n<unk>\nü\n  spaced\t\n</s>\nx\u00a0y\r\nzebra\n".encode())
    words = ["zebra", "ü", "spaced", "x\u00a0y"]
    assert read_types(path, "word") == RESERVED + [word.encode() for word in words]


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("word", "a\nb c\n", 2),
        ("word", "a\n\nb\n", 2),
        ("word", "a\n \n\n</s>\n", 2),
        ("word", "a\n<s> b\n", 2),
        ("char", "a\nbc\n", 2),
        ("char", "a\n\nb\n", 2),
    ],
)
def test_a_line_that_is_no_type_is_named(kind, text, line, tmp_path) -> None:
    path = tmp_path / "types"
    path.write_text(text)
    with pytest.raises(DataError, match=f"{path}, line {line}: .* is not one {kind}"):
        read_types(path, kind)


@pytest.mark.parametrize("kind", ["word", "char"])
@pytest.mark.parametrize(
    "text", ["<unk>\n<s>\n</s>\na\nb", "a\n<s>\nb\n\n", "a\r\nb\r\n\r\n\r\n", "</s>\na\nb\n\n\n\n"]
)
def test_sentinels_and_blank_lines_at_the_end_are_passed_over(kind, text, tmp_path) -> None:
    path = tmp_path / "types"
    path.write_bytes(text.encode())
    assert read_types(path, kind) == [*RESERVED, b"a", b"b"]


def test_a_space_is_a_character_wherever_it_stands(tmp_path) -> None:
    path = tmp_path / "types"
    path.write_text("a\n \n")
    assert read_types(path, "char") == [*RESERVED, b"a", b" "]


def test_a_vocabulary_without_types_is_refused(tmp_path) -> None:
    path: Path = tmp_path / "types"
    path.write_text("<unk>\n</s>\n")
    with pytest.raises(DataError, match="holds no types"):
        read_types(path, "word")
