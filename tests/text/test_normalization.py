"""Normalization against the `tokenizers` library, and spans into the raw text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seqlm.errors import DataError, UsageError
from seqlm.text.bitext import learn_tokenizer, read_side
from seqlm.text.corpus import read_corpus
from seqlm.text.normalization import STEPS, Normalizer
from seqlm.text.reading import Block
from seqlm.text.tokenizer import TOKENIZER_KINDS, Tokenizer, TokenizerKind, have_equal_ids
from seqlm.text.vocabulary import EOS, RESERVED

RAW = 'The Dog — naïve, "42 times" — sat there, too!\n\nCafe\u0301s ﬁne… İstanbul ΟΔΟΣ\u00a0x.\n'
SPECIAL = [
    *"aEéÉ İıΣςﬁ…\u0301\u0323\u0308\u00a0\u2028\u3000한ᄀ「—.,!?'\"$+<>|~\t\0𝔄𐐀ǅ", "<unk>", " <s>",
    "</s> ", "<UNK>", "e\u0301", "The ", "don't", "a\u0302\u0323",
]  # fmt: skip
ANY_CHARACTER = st.characters(exclude_categories=["Cs"], exclude_characters="\n")
LINES = st.lists(st.one_of(st.sampled_from(SPECIAL), ANY_CHARACTER), max_size=20).map("".join)
TEXTS = st.lists(LINES, max_size=3).map(lambda lines: "".join(line + "\n" for line in lines))
ALL_STEPS = ",".join(STEPS)
SOME_STEPS = ["lower", "nfc", "punct", "lower,punct,nfc", "nfkc,lower", "strip-accents,lower,punct",
              "lower,nfkd,strip-accents,nfc", ALL_STEPS]  # fmt: skip


def block(text: str) -> Block:
    return Block(text.encode(), "text", 1)


def steps_for(kind: TokenizerKind, steps: str) -> Normalizer:
    names = [step for step in steps.split(",") if kind == "word" or step != "punct"]
    return Normalizer.parse(",".join(names) or None)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Tokenizer]:
    path = tmp_path_factory.mktemp("text") / "raw"
    path.write_text(RAW * 2, encoding="utf-8")
    return {
        (kind, steps): read_corpus(
            [str(path)], kind=kind, vocab_size=300, normalizer=steps_for(kind, steps)
        ).tokenizer
        for kind in TOKENIZER_KINDS
        for steps in SOME_STEPS
    }


def encode(tokenizer: Tokenizer, text: str) -> np.ndarray:
    try:
        return tokenizer.encode(block(text))
    except DataError:
        assume(False)
        raise


# ------------------------------------------------------------------------------------ text to text


def test_raw_english_becomes_the_words_of_a_corpus() -> None:
    normalize = Normalizer.parse("lower,punct")
    assert normalize(b'He said: "Go quickly."\n').split() == b'he said : " go quickly . "'.split()
    quoted = "Naïve—or “Not”?\n".encode()
    assert normalize(quoted).decode().split() == ["naïve", "—", "or", "“", "not", "”", "?"]


@pytest.mark.parametrize(
    ("steps", "raw", "expected"),
    [
        ("lower", "ΟΔΟΣ É İ", "οδοσ é i\u0307"),
        ("nfc", "e\u0301 \u1100\u1161", "é 가"),
        ("nfd", "é", "e\u0301"),
        ("nfkc", "ﬁne… x\u00a0y", "fine... x y"),
        ("strip-accents", "naïve É \u0301", "naive E "),
        ("strip-accents,nfc", "각é", "각e"),
        ("nfkc,lower", "ℌ", "h"),
        ("lower,nfkc", "ℌ", "H"),
        ("punct", "a<unk>b <s> x", "a <unk> b  <s>  x"),
    ],
)
def test_each_step(steps, raw, expected) -> None:
    assert Normalizer.parse(steps)(raw.encode()).decode() == expected


@given(text=TEXTS, steps=st.permutations(STEPS), size=st.integers(1, len(STEPS)))
def test_words_are_normalized_as_the_library_does_with_the_line(text, steps, size) -> None:
    normalizer = Normalizer(steps[:size])
    for line in text.split("\n"):
        expected = normalizer.library_normalizer.normalize_str(line)
        if normalizer.splits_punctuation:
            pieces = normalizer.library_splitter.pre_tokenize_str(expected)
            words = [piece.encode() for piece, _ in pieces]
            assert normalizer(line.encode()).split() == [w for word in words for w in word.split()]
        else:
            assert normalizer(line.encode()).decode() == expected


def test_no_step_looks_beyond_white_space() -> None:
    """Of every code point beside white space, which is what makes it right to go word by word."""
    points = [
        chr(c)
        for c in [*range(0x80, 0x3000), *range(0x3000, 0x110000, 97)]
        if not 0xD800 <= c < 0xE000
    ]
    line = " ".join(points)
    for step in STEPS[:-1]:
        normalizer = Normalizer([step])
        assert normalizer(line.encode()).decode() == normalizer.library_normalizer.normalize_str(
            line
        )


def test_a_word_of_a_megabyte_takes_no_time_to_speak_of() -> None:
    normalize = Normalizer.parse("lower,nfc,punct")
    assert len(normalize(b"A" * 3_000_000 + b" \xc3\xa9\n")) == 3_000_004


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lover", "there is no 'lover'; did you mean 'lower'"),
        ("", "there is no ''"),
        ("lower,", "there is no ''"),
        ("lower,nfc,lower", "lower is named twice"),
    ],
)
def test_what_is_no_step_is_refused(text, message) -> None:
    with pytest.raises(UsageError, match=message):
        Normalizer.parse(text)


def test_punctuation_is_split_last_wherever_it_is_named() -> None:
    assert str(Normalizer.parse("punct,nfkc,lower")) == "nfkc,lower,punct"


# ------------------------------------------------------------------------------------- text to ids


@pytest.mark.parametrize("steps", SOME_STEPS)
@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@given(text=TEXTS)
def test_the_library_gives_the_same_ids(tokenizers, kind, steps, text) -> None:
    tokenizer = tokenizers[kind, steps]
    ids = encode(tokenizer, text)
    lines = text.split("\n")[:-1]
    expected = [id for line in lines for id in [*tokenizer.library_tokenizer.encode(line).ids, EOS]]
    assert ids.tolist() == expected


@pytest.mark.parametrize("steps", SOME_STEPS)
@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_a_file_gives_back_the_same_tokenizer(tokenizers, kind, steps) -> None:
    tokenizer = tokenizers[kind, steps]
    again = Tokenizer.from_json(tokenizer.to_json())
    assert have_equal_ids(again, tokenizer)
    assert again.digest == tokenizer.digest
    assert again.encode(block(RAW)).tolist() == tokenizer.encode(block(RAW)).tolist()


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_a_digest_names_the_normalization(kind) -> None:
    types = [*RESERVED, b"a"]
    merges: list[list[str]] | None = [] if kind == "bpe" else None
    digests = {
        Tokenizer(kind, types, merges, Normalizer(steps)).digest
        for steps in ([], ["lower"], ["nfc"], ["lower", "nfc"], ["nfc", "lower"])
    }
    assert len(digests) == 5


def test_equal_words_are_one_type_however_they_are_written(tmp_path) -> None:
    path = tmp_path / "raw"
    path.write_text("The the, THE. Café cafe\u0301\n")
    corpus = read_corpus([str(path)], normalizer=Normalizer.parse("lower,nfc,punct"))
    assert corpus.tokenizer.decode(corpus.ids).decode() == "the the , the . café café\n"
    assert len(corpus.tokenizer) == 2 + 4


@pytest.mark.parametrize("source", ["file", "stream"])
def test_byte_pairs_are_learned_from_normalized_text(source, tmp_path, monkeypatch) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    raw.write_text("The Cat SAT on THE cat.\n" * 3)
    clean.write_text(raw.read_text().lower())
    if source == "stream":
        monkeypatch.setattr("seqlm.text.corpus.is_stream", lambda source: True)
    lower = read_corpus([str(raw)], kind="bpe", vocab_size=300, normalizer=Normalizer(["lower"]))
    expected = read_corpus([str(clean)], kind="bpe", vocab_size=300)
    assert lower.ids.tolist() == expected.ids.tolist()
    assert lower.tokenizer.types == expected.tokenizer.types


def test_both_sides_of_a_bitext_are_normalized(tmp_path) -> None:
    for name, text in (("en", "The Dog.\n"), ("de", "Der Hund.\n")):
        (tmp_path / name).write_text(text)
    sides = [read_side([str(tmp_path / name)]) for name in ("en", "de")]
    tokenizer = learn_tokenizer(sides, "word", normalizer=Normalizer.parse("lower,punct"))
    assert set(tokenizer.types[2:]) == {b"the", b"der", b"dog", b"hund", b"."}


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_punctuation_is_split_from_words_only(kind, tmp_path) -> None:
    path = tmp_path / "raw"
    path.write_text("a.\n")
    with pytest.raises(UsageError, match="punct makes words of punctuation"):
        read_corpus([str(path)], kind=kind, normalizer=Normalizer(["punct"]))


@pytest.mark.parametrize("word", ["<s>", "</s>", "<S>", "</S>"])
def test_a_reserved_word_is_refused_with_its_line(word) -> None:
    tokenizer = Tokenizer("word", [*RESERVED, b"a"], normalizer=Normalizer.parse("lower,punct"))
    with pytest.raises(DataError, match=r"text, line 2: the token </?s> is reserved"):
        tokenizer.encode(block(f"a.\na {word} a\n"))


# --------------------------------------------------------------------------------------- raw spans


@pytest.mark.parametrize("steps", SOME_STEPS)
@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@given(text=TEXTS)
def test_spans_are_the_raw_text_that_tokens_come_from(tokenizers, kind, steps, text) -> None:
    tokenizer = tokenizers[kind, steps]
    ids = encode(tokenizer, text)
    piece = block(text)
    start, length = tokenizer.token_spans(piece, ids)
    normalized = tokenizer.normalize(piece)
    spans = tokenizer.normalized_spans(normalized, ids)
    tokens = [normalized.data[a : a + n] for a, n in zip(spans.start, spans.length)]
    raw = [piece.data[a : a + n] for a, n in zip(start, length)]
    assert len(start) == len(ids)
    assert (length > 0).all()
    assert (np.diff(start) >= 0).all()
    assert (start + length <= len(piece.data)).all()
    for id, token, source in zip(ids.tolist(), tokens, raw):
        if id == EOS:
            assert source == b"\n"
        elif source.isascii() and token.isascii():
            assert token.lower() == source.lower()  # nothing but capitals changes in ASCII
        elif tokenizer.kind != "bpe":
            # The normal form of what a token comes from holds the token.
            assert token in tokenizer.normalizer(source)
    # What stands in no span is white space, in normal form.
    covered = np.zeros(len(piece.data) + 1, np.int64)
    np.add.at(covered, start, 1)
    np.add.at(covered, start + length, -1)
    gaps = np.flatnonzero(np.cumsum(covered)[:-1] == 0)
    for gap in np.split(gaps, np.flatnonzero(np.diff(gaps) > 1) + 1):
        left_out = bytes(piece.data[at] for at in gap.tolist())
        assert not tokenizer.normalizer(left_out).strip(b" \t\r\v\f")


@pytest.mark.parametrize(
    ("steps", "raw", "expected"),
    [
        ("lower,punct", 'Say: "Quickly."', ["Say", ":", '"', "Quickly", ".", '"']),
        ("lower,nfc,punct", "E\u0301te\u0301, naïve", ["E\u0301te\u0301", ",", "naïve"]),
        ("nfkc", "ﬁne x\u00a0y", ["ﬁne", "x", "y"]),
        ("strip-accents", "\u0301a\u0301 b", ["\u0301a\u0301", "b"]),
        ("lower", "İ\u0307x Σ", ["İ\u0307x", "Σ"]),
        ("punct", "<unk>, x", ["<unk>", ",", "x"]),
    ],
)
def test_the_spans_of_words(steps, raw, expected) -> None:
    tokenizer = Tokenizer("word", RESERVED, normalizer=Normalizer.parse(steps))
    piece = block(raw)
    start, length = tokenizer.token_spans(piece, tokenizer.encode(piece))
    assert [piece.data[a : a + n].decode() for a, n in zip(start, length)] == expected
