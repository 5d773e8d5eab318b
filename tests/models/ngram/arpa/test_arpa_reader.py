"""Reading ARPA files: every form they come in, and everything that can be wrong with one."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import math
import random
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import ModelError
from seqlm.models.ngram import sort_keys
from seqlm.models.ngram.arpa import arpa_fields
from seqlm.models.ngram.arpa.arpa_fields import NUMBER, parse_numbers, split_fields
from seqlm.models.ngram.arpa.arpa_reader import read_arpa
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.table_checks import check_model
from seqlm.text import reading
from seqlm.text.tokenizer import Tokenizer
from tests.models.arpa_oracle import (
    Grams,
    read_slowly,
    score_line,
    score_line_slowly,
    write_slowly,
)

Read = Callable[[bytes], tuple[NGramModel, Tokenizer]]

FACTS = Path(__file__).parents[3] / "counting" / "facts"
CORPORA = Path(__file__).parents[4] / "corpora"

POND = b"""\\data\\
ngram 1=6
ngram 2=6
ngram 3=4

\\1-grams:
-1.25\t<unk>
-99\t<s>\t-0.1
-0.7\t</s>
-0.4\tfrog\t-0.2
-0.6\theron\t0.05
-2\told\t-0.3

\\2-grams:
-0.3\t<s> frog\t-0.125
-0.5\tfrog heron\t-0.25
-1.5\tfrog frog
-0.8\theron </s>
-0.2\told frog\t-99
-0.9\t<s> </s>

\\3-grams:
-0.15\t<s> frog heron
-0.35\tfrog heron </s>
-99\t<s> frog frog
-0.45\told frog heron

\\end\\
"""
WORDS = [b"frog", b"heron", b"old", b"toad"]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_bytes(text: bytes) -> tuple[NGramModel, Tokenizer]:
        path = tmp_path / "pond.arpa"
        path.write_bytes(text)
        return read_arpa(path)

    return read_bytes


def assert_scores(
    model: NGramModel,
    tokenizer: Tokenizer,
    grams: Grams,
    of: Sequence[bytes] = WORDS,
    same_order: bool = True,
) -> None:
    """Lines of up to three words score as the slow way says."""
    for length in range(4):
        for words in itertools.product(of, repeat=length):
            scores, orders = score_line(model, tokenizer, words)
            expected, matched = score_line_slowly(grams, words, model.config.order)
            np.testing.assert_allclose(scores, expected, atol=1e-6, rtol=1e-6, err_msg=str(words))
            if same_order:
                assert orders == matched, words


def assert_equal(one: NGramModel, other: NGramModel) -> None:
    assert one.config == other.config
    for (name, ours), theirs in zip(one.arrays().items(), other.arrays().values()):
        assert np.array_equal(ours, theirs), name


# ------------------------------------------------------------------------------------------ forms


def test_a_file_scores_as_the_slow_parser_says(read: Read) -> None:
    model, tokenizer = read(POND)
    assert tokenizer.kind == "word"
    assert tokenizer.types == [b"<unk>", b"</s>", b"frog", b"heron", b"old"]
    assert (model.config.smoothing, model.config.context) == ("arpa", "sentence")
    assert model.config.rows == (5, 6, 4)
    assert model.normalized
    assert_scores(model, tokenizer, read_slowly(POND))


FORMS = {
    "spaces": lambda text: text.replace(b"\t", b" "),
    "indented": lambda text: text.replace(b"\n-", b"\n \t-"),
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "exponents": lambda text: text.replace(b"-0.3\t", b"-3e-1\t").replace(b"-0.4\t", b"-.04E+01\t"),
    "signs and points": lambda text: text.replace(b"-0.", b"-.").replace(b"\t0.05", b"\t+00.05"),
    "long numbers": lambda text: text.replace(b"-0.5", b"-0.50000000000000000000001"),
    "no blank lines": lambda text: text.replace(b"\n\n", b"\n"),
    "more blank lines": lambda text: text.replace(b"\n", b"\n \n\n"),
    "text before": lambda text: b"iARPA\n\\1-grams: of \\data\\\nngram 1=7\n\n" + text,
    "BOM": lambda text: reading.BOM + text,
    "no last newline": lambda text: text.rstrip(),
    "blanks at the end": lambda text: text + b" \n\r\n\n",
    "spaces in the head": lambda text: text.replace(b"ngram 2=6", b"ngram  2 = 6 "),
    "any p of <s>": lambda text: text.replace(b"-99\t<s>\t", b"0\t<s>\t"),
    "a backoff of </s>": lambda text: text.replace(b"\t</s>\n-0.4", b"\t</s>\t-1\n-0.4"),
    "below -99": lambda text: text.replace(b"-99", b"-99.999"),
    "-inf": lambda text: text.replace(b"-99\t<s>", b"-inf\t<s>"),
    "-Infinity": lambda text: re.sub(rb"-99(?=\t<)", b"-Infinity", text),
    "a backoff of 0 of the longest": lambda text: text.replace(b" heron\n", b" heron\t0\n"),
    "a backoff of -0 of the longest": lambda text: re.sub(rb"(frog heron </s>)", rb"\1 -.00", text),
    "<UNK>": lambda text: text.replace(b"<unk>", b"<UNK>"),
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "gz in members": lambda text: gzip.compress(text[:77]) + gzip.compress(text[77:]),
}


@pytest.mark.parametrize("form", FORMS)
def test_another_form_is_the_same_model(form: str, read: Read) -> None:
    model, tokenizer = read(POND)
    other, same = read(FORMS[form](POND))
    assert_equal(other, model)
    assert same.types == tokenizer.types


def test_lines_come_in_any_order_within_a_section(read: Read) -> None:
    sections = POND.split(b"\n\n")
    rng = random.Random(1)
    model, _ = read(POND)
    for place in (2, 3):
        head, *lines = sections[place].split(b"\n")
        sections[place] = b"\n".join([head, *rng.sample(lines, len(lines))])
    assert_equal(read(b"\n\n".join(sections))[0], model)
    head, *lines = sections[1].split(b"\n")
    sections[1] = b"\n".join([head, *lines[::-1]])  # and so the types
    other, tokenizer = read(b"\n\n".join(sections))
    assert tokenizer.types == [b"<unk>", b"</s>", b"old", b"heron", b"frog"]
    assert_scores(other, tokenizer, read_slowly(POND))


def test_a_file_is_read_in_blocks_of_any_size(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = read(POND)
    for size in (1, 7, 64):
        monkeypatch.setattr(reading, "BLOCK_SIZE", size)
        assert_equal(read(POND)[0], model)
        with pytest.raises(ModelError, match=r"line 26, \\3-grams: 'pike' is not a unigram"):
            read(POND.replace(b"old frog heron", b"old frog pike"))


def test_words_are_any_bytes_between_white_space(read: Read) -> None:
    names = ["\N{NO-BREAK SPACE}", "-0.5", "\\end\\", "a\0b", "\u2028", "\x1c", "<UNK>", "x" * 99]
    text = POND
    for old, new in zip(WORDS, names):
        text = text.replace(old, new.encode())
    more = "".join(f"-1\t{name}\n" for name in names[3:]).encode()
    text = text.replace(b"ngram 1=6", b"ngram 1=11").replace(b"\n\n\\2", b"\n" + more + b"\n\\2")
    model, tokenizer = read(text)
    assert tokenizer.types[2:] == [name.encode() for name in names]
    words = [tokenizer.types[2], b"-0.5", b"\\end\\", b"<UNK>"]
    assert_scores(model, tokenizer, read_slowly(text), words)


def test_unigrams_alone(read: Read) -> None:
    text = b"\\data\\\nngram 1=3\n\\1-grams:\n-0.5 <unk>\n-0.3 </s>\n-0.7 frog\n\\end\\\n"
    model, tokenizer = read(text)
    assert_scores(model, tokenizer, read_slowly(text))


def test_an_order_without_n_grams(read: Read) -> None:
    text = POND.replace(b"ngram 3=4", b"ngram 3=0\nngram 4=0")
    text = text[: text.index(b"\\3-grams:")] + b"\\3-grams:\n\n\\4-grams:\n\\end\\\n"
    model, tokenizer = read(text)
    assert model.config.rows == (5, 6, 0, 0)
    assert_scores(model, tokenizer, read_slowly(text))


@pytest.mark.parametrize("fact", ["prose-3", "prose-5", "prose-5-pruned", "short-1", "short-4"])
def test_files_of_lmplz_score_as_the_slow_parser_says(fact: str) -> None:
    path = FACTS / f"{fact}.arpa.gz"
    model, tokenizer = read_arpa(path)
    grams = read_slowly(gzip.decompress(path.read_bytes()))
    assert sum(model.config.rows) == len(grams) - 1  # <s>
    for line in (CORPORA / "prose.test.txt").read_bytes().split(b"\n")[:60]:
        scores, orders = score_line(model, tokenizer, line.split())
        expected, matched = score_line_slowly(grams, line.split(), model.config.order)
        np.testing.assert_allclose(scores, expected, atol=1e-5, rtol=0)
        assert orders == matched


def test_kenlm_says_the_same_of_files_of_lmplz(tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    path = tmp_path / "prose-5.arpa"
    path.write_bytes(gzip.decompress((FACTS / "prose-5.arpa.gz").read_bytes()))
    theirs = kenlm.Model(str(path))
    model, tokenizer = read_arpa(path)
    for line in (CORPORA / "prose.test.txt").read_text().split("\n")[:200]:
        expected, lengths, _ = zip(*theirs.full_scores(line), strict=True)
        scores, orders = score_line(model, tokenizer, line.encode().split())
        np.testing.assert_allclose(scores, expected, atol=1e-5, rtol=0)
        assert orders == list(lengths)


def test_sort_keys_too_narrow_for_all_rows_are_sorted_in_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = FACTS / "prose-5.arpa.gz"
    model, _ = read_arpa(path)
    bits = max(model.config.rows).bit_length() + model.config.vocab_size.bit_length()
    for more in (0, 1, 5):
        monkeypatch.setattr(sort_keys, "KEY_BITS", bits + more)
        assert_equal(read_arpa(path)[0], model)


@given(st.lists(st.from_regex(rb"[+-]?[0-9._]{0,21}([eE][+-]?[0-9]{1,3})?", fullmatch=True)))
def test_numbers_are_those_of_python(spelled: list[bytes]) -> None:
    lines = split_fields(b" ".join(spelled) + b"\n")
    spelled = b" ".join(spelled).split()
    which = np.arange(len(spelled)) + (lines.first_fields[0] if spelled else 0)
    expected = [float(text) if NUMBER.fullmatch(text) else math.nan for text in spelled]
    expected = [value if math.isfinite(value) else math.nan for value in expected]
    np.testing.assert_allclose(parse_numbers(lines, which), expected, rtol=1e-15)


# -------------------------------------------------------------------------------- what is lacking


def pond_without(*removed: str) -> Grams:
    grams = read_slowly(POND)
    for gram in removed:
        del grams[tuple(gram.encode().split())]
    return grams


def test_without_unk_other_words_have_probability_0(read: Read) -> None:
    grams = pond_without("<unk>")
    with pytest.warns(UserWarning, match="no <unk>: a word that is not in it has probability 0"):
        model, tokenizer = read(write_slowly(grams))
    assert tokenizer.types[0] == b"<unk>"
    assert_scores(model, tokenizer, grams)


def test_without_an_end_of_line_no_line_ends(read: Read) -> None:
    grams = pond_without("</s>", "heron </s>", "<s> </s>", "frog heron </s>")
    with pytest.warns(UserWarning, match="no </s>: the end of a line has probability 0"):
        model, tokenizer = read(write_slowly(grams))
    assert_scores(model, tokenizer, grams)


def test_without_a_start_of_line_there_is_no_context(read: Read) -> None:
    begun = ["<s>", "<s> frog", "<s> </s>", "<s> frog heron", "<s> frog frog"]
    grams = pond_without(*begun)
    model, tokenizer = read(write_slowly(grams))
    assert_scores(model, tokenizer, grams)


def test_contexts_that_are_not_there_change_nothing(read: Read) -> None:
    grams = pond_without("<s> frog", "old frog")
    with pytest.warns(UserWarning, match=r"pond\.arpa: 2 n-grams that longer n-grams begin with"):
        model, tokenizer = read(write_slowly(grams))
    assert model.config.rows == (5, 6, 4)
    assert_scores(model, tokenizer, grams, same_order=False)


@pytest.mark.parametrize("seed", range(8))
def test_however_many_contexts_are_not_there(seed: int, read: Read) -> None:
    rng = random.Random(seed)
    whole = read_slowly(gzip.decompress((FACTS / "short-4.arpa.gz").read_bytes()))
    share = rng.random()
    grams = {
        gram: numbers
        for gram, numbers in whole.items()
        if len(gram) in (1, 4) or rng.random() < share
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, tokenizer = read(write_slowly(grams))
    needed = {gram[:k] for gram in grams for k in range(1, len(gram) + 1)}
    assert sum(model.config.rows) == len(needed) - 1  # <s>
    assert_scores(model, tokenizer, grams, tokenizer.types[2:6], same_order=False)


def test_a_context_that_is_not_there_has_at_most_probability_1(read: Read) -> None:
    """Whatever the file backs off with: a run that is made of it can be read again."""
    text = POND.replace(b"-0.6\theron\t0.05", b"-0.6\theron\t5").replace(b"3=4", b"3=5")
    with pytest.warns(UserWarning, match="1 n-grams that longer"):
        model, tokenizer = read(text.replace(b"\n\\end", b"-0.5\theron frog old\n\n\\end"))
    heron, frog = (tokenizer.id_of_type[type_] for type_ in (b"heron", b"frog"))
    assert model.score(model.start(1), np.array([[heron, frog]]))[0][0, 1] == 0
    check_model(model)


@pytest.mark.parametrize("lines", [
    ["-1.5\tfrog <s>"], ["-1.5\t</s> frog"], ["-1.5\t</s> <s>"], ["-1\t<s> <s>"],
    ["-0.45\told </s> heron"], ["-0.45\told <s> heron", "-1.5\tfrog <s>"],
])  # fmt: skip
def test_n_grams_over_the_end_of_a_line_are_passed_over(lines: list[str], read: Read) -> None:
    """Toolkits that count text as one stream have them, and KenLM reads them."""
    text, model = POND, read(POND)[0]
    for line in lines:
        order = len(line.split()) - 1
        size = {2: 6, 3: 4}[order]
        text = text.replace(b"ngram %d=%d" % (order, size), b"ngram %d=%d" % (order, size + 1))
        text = text.replace(b"\\%d-grams:\n" % order, b"\\%d-grams:\n%s\n" % (order, line.encode()))
    with pytest.warns(
        UserWarning, match=rf"pond\.arpa: {len(lines)} n-grams with <s> after another"
    ):
        other, _ = read(text)
    assert_equal(other, model)


# ----------------------------------------------------------------------------------- what is wrong

WRONG = {
    "a marker of another order": (
        ("\\2-grams:", "\\3-grams:"),
        "line 14, \\2-grams: '\\\\3-grams:' where \\2-grams: should be",
    ),
    "a section that is not there": (
        ("\\2-grams:\n", ""),
        "line 14, \\1-grams: 4 fields, not a probability, 1 word, maybe a backoff",
    ),
    "a section too many": (
        ("\\end\\", "\\4-grams:\n\\end\\"),
        "line 28, \\end\\: '\\\\4-grams:' where \\end\\ should be",
    ),
    "a count that is none": (
        ("ngram 2=6", "ngram 2=six"),
        "line 3, \\data\\: 'ngram 2=six' where ngram 2= should be",
    ),
    "a count of another order": (
        ("ngram 2=6", "ngram 3=6"),
        "line 3, \\data\\: 'ngram 3=6' where ngram 2= should be",
    ),
    "no counts": (
        ("ngram 1=6\nngram 2=6\nngram 3=4\n", ""),
        "line 3, \\data\\: no line says how many n-grams there are",
    ),
    "n-grams too long": (
        ("ngram 3=4\n", "".join(f"ngram {k}=0\n" for k in range(3, 80))),
        "line 66, \\data\\: the order of n-grams is at most 64",
    ),
    "fewer than counted": (
        ("ngram 2=6", "ngram 2=999999999999999999"),
        "line 14, \\2-grams: 6 n-grams, but 999,999,999,999,999,999 in \\data\\",
    ),
    "more than counted": (
        ("ngram 3=4", "ngram 3=3"),
        "line 22, \\3-grams: 4 n-grams, but 3 in \\data\\",
    ),
    "cut off in a section": (
        (POND[POND.index(b"-0.2\told") :].decode(), ""),
        "line 14, \\2-grams: 4 n-grams, but 6 in \\data\\; the file is cut off",
    ),
    "cut off at its end": (
        ("\\end\\\n", ""),
        "line 28, \\end\\: the file ends where \\end\\ should be: it is cut off",
    ),
    "text after the end": (
        ("\\end\\\n", "\\end\\\n\nfrog\n"),
        "line 29, \\end\\: 'frog' after the end",
    ),
    "another model after the end": (
        ("\\end\\\n", "\\end\\\n\n\\data\\\n"),
        "line 30, \\end\\: '\\\\data\\\\' after the end",
    ),
    "no words": (
        (POND[POND.index(b"-1.25") :].decode(), "\n\\2-grams:\n"),
        "line 6, \\1-grams: 0 n-grams, but 6 in \\data\\",
    ),
    "a word too few": (
        ("frog heron\t-0.25", "heron"),
        "line 16, \\2-grams: 2 fields, not a probability, 2 words, maybe a backoff",
    ),
    "a word too many": (
        ("frog heron\t-0.25", "frog heron frog\t-0.25"),
        "line 16, \\2-grams: 5 fields, not a probability, 2 words, maybe a backoff",
    ),
    "a backoff of the longest": (
        ("frog heron </s>", "frog heron </s>\t-0.1"),
        "line 24, \\3-grams: 5 fields, not a probability and 3 words",
    ),
    "a probability that is none": (
        ("-0.5\t", "x-0.5\t"),
        "line 16, \\2-grams: the log10 probability 'x-0.5' is not a finite number",
    ),
    "NaN": (
        ("-0.5\t", "nan\t"),
        "line 16, \\2-grams: the log10 probability 'nan' is not a finite number",
    ),
    "infinity": (
        ("-0.5\t", "-1e999\t"),
        "line 16, \\2-grams: the log10 probability '-1e999' is not a finite number",
    ),
    "above 1": (
        ("-0.5\t", "0.5\t"),
        "line 16, \\2-grams: the log10 probability '0.5' is above 0",
    ),
    "a backoff that is none": (
        ("-0.25\n", "-0.2.5\n"),
        "line 16, \\2-grams: the log10 backoff '-0.2.5' is not a finite number",
    ),
    "an infinite backoff": (
        ("-0.25\n", "inf\n"),
        "line 16, \\2-grams: the log10 backoff 'inf' is not a finite number",
    ),
    "a huge backoff": (
        ("-0.25\n", "100\n"),
        "line 16, \\2-grams: the log10 backoff '100' is too large",
    ),
    "a word twice": (("\told\t", "\tfrog\t"), "line 12, \\1-grams: duplicate unigram 'frog'"),
    "an n-gram twice": (
        ("old frog\t", "frog  frog\t"),
        "line 19, \\2-grams: duplicate of the n-gram in line 17",
    ),
    "an unknown word": (
        ("frog heron </s>", "frog Heron </s>"),
        "line 24, \\3-grams: 'Heron' is not a unigram",
    ),
    "a backoff of the longest that is none": (
        ("frog heron </s>", "frog heron </s>\tnan"),
        "line 24, \\3-grams: 5 fields, not a probability and 3 words",
    ),
    "a backoff of -inf": (
        ("-0.25\n", "-inf\n"),
        "line 16, \\2-grams: the log10 backoff '-inf' is not a finite number",
    ),
    "a start that is not a unigram": (
        ("-99\t<s>\t-0.1\n", "-1\tpike\n"),
        "line 15, \\2-grams: '<s>' is not a unigram",
    ),
    "no UTF-8": (("\told\t-0.3", "\t\udcff\t-0.3"), "line 12, \\1-grams: '\\\\xff' is not UTF-8"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_named_with_its_line_and_section(
    fault: str, read: Read, tmp_path: Path
) -> None:
    (old, new), expected = WRONG[fault]
    assert POND.count(old.encode()) == 1
    with pytest.raises(ModelError) as error:
        read(POND.replace(old.encode(), new.encode(errors="surrogateescape")))
    assert str(error.value) == f"{tmp_path / 'pond.arpa'}, {expected}"


@pytest.mark.parametrize("text", [b"", b"frog heron\n", b" " + POND, b"\\data", POND[:40:2]])
def test_a_file_of_another_kind(text: bytes, read: Read, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        read(text)
    assert (
        str(error.value) == f"{tmp_path / 'pond.arpa'} is not an ARPA file: it has no line \\data\\"
    )


def test_a_line_without_an_end_is_not_read_to_its_end(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arpa_fields, "LONGEST_LINE", 500)
    monkeypatch.setattr(reading, "BLOCK_SIZE", 100)
    read(POND)
    with pytest.raises(ModelError, match=r"pond\.arpa has a line of more than 500 bytes"):
        read(POND.replace(b"frog heron", b"frog " * 1000))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_that_is_cut_off(compress: Callable[[bytes], bytes], read: Read) -> None:
    with pytest.raises(ModelError, match=r"pond\.arpa is truncated|pond\.arpa cannot be read"):
        read(compress(POND)[:-10])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "pond.arpa").write_bytes(POND)
    with pytest.raises(ModelError, match=r"no file .*pind\.arpa; did you mean 'pond\.arpa'\?"):
        read_arpa(tmp_path / "pind.arpa")


# ---------------------------------------------------------------------------------------- fuzzing

PIECES = [
    *"\n\t \r\0\\-.19\udcff", "e5", "frog", "<s>", "</s>", "<unk>", "ngram 2=7", "\\2-grams:",
    "\\end\\", "\\data\\", "-99", "nan", "1e-7",
]  # fmt: skip
PIECES = [piece.encode(errors="surrogateescape") for piece in PIECES]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file in which lines or bytes have been lost, added, moved or changed."""
    lines = POND.split(b"\n")
    for _ in range(draw(st.integers(0, 3))):
        line, other = draw(st.tuples(*[st.integers(0, len(lines) - 1)] * 2))
        change = draw(st.sampled_from(["drop", "repeat", "swap", "number"]))
        if change == "drop":
            del lines[line]
        elif change == "repeat":
            lines.insert(other, lines[line])
        elif change == "swap":
            lines[line], lines[other] = lines[other], lines[line]
        else:
            digit = b"%d" % draw(st.integers(0, 9))
            lines[line] = lines[line].replace(b"2", digit).replace(b"4", digit)
    text = b"\n".join(lines)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 3))
        text = text[:start] + draw(st.sampled_from([b"", *PIECES])) + text[end:]
    return text


def check_model_or_error(text: bytes, path: Path) -> bool:
    """True for a model, which has to be that of the slow parser; an error has to be one line."""
    path.write_bytes(text)
    message, model, tokenizer = "", None, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model, tokenizer = read_arpa(path)
        except ModelError as error:
            message = str(error)
    if model is None:
        assert message.startswith(str(path))
        assert "\n" not in message
        return False
    grams = read_slowly(text)
    if (b"<unk>",) not in grams:
        grams = {
            tuple(w.replace(b"<UNK>", b"<unk>") for w in g): numbers for g, numbers in grams.items()
        }
    assert_scores(model, tokenizer, grams, [b"frog", b"heron"], same_order=False)
    return True


@given(damaged())
def test_a_damaged_file_is_a_model_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    check_model_or_error(text, tmp_path_factory.getbasetemp() / "damaged.arpa")


@given(st.binary(max_size=60), st.lists(st.sampled_from([*PIECES, b"ngram 1=3", b"\\1-grams:"])))
def test_bytes_are_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, anything: bytes, pieces: list[bytes]
) -> None:
    text = b"\\data\\\nngram 1=1\n\\1-grams:\n" + b"\n".join(pieces)
    path = tmp_path_factory.getbasetemp() / "anything.arpa"
    check_model_or_error(anything, path)
    check_model_or_error(anything + b"\n" + text, path)


def test_much_of_what_is_damaged_is_still_read(tmp_path: Path) -> None:
    """So that the tests above test both."""
    path = tmp_path / "damaged.arpa"
    texts = [POND[:at] + b"1" + POND[at + 1 :] for at in range(0, len(POND), 3)]
    read = [check_model_or_error(text, path) for text in texts]
    assert 20 < sum(read) < len(texts) - 20
