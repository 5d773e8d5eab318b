"""Reading ARPA files: every form they come in, and everything that can be wrong with one."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import math
import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import ModelError
from seqlm.models import arpa_parsing, arpa_tables
from seqlm.models.arpa import read_arpa
from seqlm.models.arpa_parsing import NUMBER, numbers, take_apart
from seqlm.models.ngram import NGram
from seqlm.text import reading
from seqlm.text.tokenizer import Tokenizer
from tests.models.arpa_oracle import (
    Grams,
    read_slowly,
    score_line,
    score_line_slowly,
    write_slowly,
)

FACTS = Path(__file__).parents[1] / "counting" / "facts"
CORPORA = Path(__file__).parents[2] / "corpora"

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
def read(tmp_path: Path) -> Callable[[bytes], tuple[NGram, Tokenizer]]:
    def read_bytes(text: bytes) -> tuple[NGram, Tokenizer]:
        path = tmp_path / "pond.arpa"
        path.write_bytes(text)
        return read_arpa(path)

    return read_bytes


def assert_scores(
    model: NGram,
    tokenizer: Tokenizer,
    grams: Grams,
    of: Sequence[bytes] = WORDS,
    same_order: bool = True,
) -> None:
    """Lines of up to three words score as the slow way says."""
    for length in range(4):
        for words in itertools.product(of, repeat=length):
            found, orders = score_line(model, tokenizer, words)
            expected, matched = score_line_slowly(grams, words, model.config.order)
            np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0, err_msg=str(words))
            if same_order:
                assert orders == matched, words


def assert_equal(one: NGram, other: NGram) -> None:
    assert one.config == other.config
    for (name, ours), theirs in zip(one.state_dict().items(), other.state_dict().values()):
        assert torch.equal(ours, theirs), name


# ------------------------------------------------------------------------------------------ forms


def test_a_file_scores_as_the_slow_parser_says(read):
    model, tokenizer = read(POND)
    assert tokenizer.kind == "word"
    assert tokenizer.types == [b"<unk>", b"</s>", b"frog", b"heron", b"old"]
    assert (model.config.smoothing, model.config.context) == ("arpa", "sentence")
    assert model.config.rows == (5, 6, 4)
    assert model.normalized
    assert not model.training
    assert_scores(model, tokenizer, read_slowly(POND))


FORMS = {
    "spaces": lambda text: text.replace(b"\t", b" "),
    "indented": lambda text: text.replace(b"\n-", b"\n \t-"),
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "exponents": lambda text: text.replace(b"-0.3", b"-3e-1").replace(b"-0.4", b"-0.04E+01"),
    "signs and points": lambda text: text.replace(b"-0.", b"-.").replace(b"\t0.05", b"\t+00.05"),
    "long numbers": lambda text: text.replace(b"-0.5", b"-0.50000000000000000000001"),
    "no blank lines": lambda text: text.replace(b"\n\n", b"\n"),
    "more blank lines": lambda text: text.replace(b"\n", b"\n \n\n"),
    "text before": lambda text: b"iARPA\n\\1-grams: of \\data\\\nngram 1=7\n\n" + text,
    "BOM": lambda text: reading.BOM + text,
    "no last newline": lambda text: text.rstrip(),
    "blanks at the end": lambda text: text + b" \n\r\n\n",
    "spaces in the head": lambda text: text.replace(b"ngram 2=6", b"ngram  2 = 6 "),
    "any p of <s>": lambda text: text.replace(b"-99\t<s>", b"0\t<s>"),
    "a backoff of </s>": lambda text: text.replace(b"\t</s>\n-0.4", b"\t</s>\t-1\n-0.4"),
    "below -99": lambda text: text.replace(b"-99", b"-99.999"),
    "<UNK>": lambda text: text.replace(b"<unk>", b"<UNK>"),
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "gz in members": lambda text: gzip.compress(text[:77]) + gzip.compress(text[77:]),
}


@pytest.mark.parametrize("form", FORMS)
def test_another_form_is_the_same_model(form, read):
    model, tokenizer = read(POND)
    other, same = read(FORMS[form](POND))
    assert_equal(other, model)
    assert same.types == tokenizer.types


def test_lines_come_in_any_order_within_a_section(read):
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


def test_a_file_is_read_in_blocks_of_any_size(read, monkeypatch):
    model, _ = read(POND)
    for size in (1, 7, 64):
        monkeypatch.setattr(reading, "BLOCK", size)
        assert_equal(read(POND)[0], model)


def test_words_are_any_bytes_between_white_space(read):
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


def test_unigrams_alone(read):
    text = b"\\data\\\nngram 1=3\n\\1-grams:\n-0.5 <unk>\n-0.3 </s>\n-0.7 frog\n\\end\\\n"
    model, tokenizer = read(text)
    assert_scores(model, tokenizer, read_slowly(text))


def test_an_order_without_n_grams(read):
    text = POND.replace(b"ngram 3=4", b"ngram 3=0\nngram 4=0")
    text = text[: text.index(b"\\3-grams:")] + b"\\3-grams:\n\n\\4-grams:\n\\end\\\n"
    model, tokenizer = read(text)
    assert model.config.rows == (5, 6, 0, 0)
    assert_scores(model, tokenizer, read_slowly(text))


@pytest.mark.parametrize("fact", ["prose-3", "prose-5", "prose-5-pruned", "short-1", "short-4"])
def test_files_of_lmplz_score_as_the_slow_parser_says(fact):
    path = FACTS / f"{fact}.arpa.gz"
    model, tokenizer = read_arpa(path)
    grams = read_slowly(gzip.decompress(path.read_bytes()))
    assert sum(model.config.rows) == len(grams) - 1  # <s>
    for line in (CORPORA / "prose.test.txt").read_bytes().split(b"\n")[:60]:
        found, orders = score_line(model, tokenizer, line.split())
        expected, matched = score_line_slowly(grams, line.split(), model.config.order)
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
        assert orders == matched


def test_sort_keys_too_narrow_for_all_rows_are_sorted_in_chunks(monkeypatch):
    path = FACTS / "prose-5.arpa.gz"
    model, _ = read_arpa(path)
    bits = max(model.config.rows).bit_length() + model.config.vocab_size.bit_length()
    for more in (0, 1, 5):
        monkeypatch.setattr(arpa_tables, "KEY_BITS", bits + more)
        assert_equal(read_arpa(path)[0], model)


@given(st.lists(st.from_regex(rb"[+-]?[0-9._]{0,21}([eE][+-]?[0-9]{1,3})?", fullmatch=True)))
def test_numbers_are_those_of_python(spelled):
    lines = take_apart(b" ".join(spelled) + b"\n")
    spelled = b" ".join(spelled).split()
    which = np.arange(len(spelled)) + (lines.first[0] if spelled else 0)
    expected = [float(text) if NUMBER.fullmatch(text) else math.nan for text in spelled]
    np.testing.assert_allclose(numbers(lines, which), expected, rtol=1e-15)


# -------------------------------------------------------------------------------- what is lacking


def pond_without(*gone: str) -> Grams:
    grams = read_slowly(POND)
    for gram in gone:
        del grams[tuple(gram.encode().split())]
    return grams


def test_without_unk_other_words_have_probability_0(read):
    grams = pond_without("<unk>")
    with pytest.warns(UserWarning, match="no <unk>: a word that is not in it has probability 0"):
        model, tokenizer = read(write_slowly(grams))
    assert tokenizer.types[0] == b"<unk>"
    assert_scores(model, tokenizer, grams)


def test_without_an_end_of_line_no_line_ends(read):
    grams = pond_without("</s>", "heron </s>", "<s> </s>", "frog heron </s>")
    with pytest.warns(UserWarning, match="no </s>: the end of a line has probability 0"):
        model, tokenizer = read(write_slowly(grams))
    assert_scores(model, tokenizer, grams)


def test_without_a_start_of_line_there_is_no_context(read):
    begun = ["<s>", "<s> frog", "<s> </s>", "<s> frog heron", "<s> frog frog"]
    grams = pond_without(*begun)
    model, tokenizer = read(write_slowly(grams))
    assert_scores(model, tokenizer, grams)


def test_contexts_that_are_not_there_change_nothing(read):
    grams = pond_without("<s> frog", "old frog")
    with pytest.warns(UserWarning, match=r"pond\.arpa: 2 n-grams that others begin with were not"):
        model, tokenizer = read(write_slowly(grams))
    assert model.config.rows == (5, 6, 4)
    assert_scores(model, tokenizer, grams, same_order=False)


@pytest.mark.parametrize("seed", range(8))
def test_however_many_contexts_are_not_there(seed, read):
    rng = random.Random(seed)
    whole = read_slowly(gzip.decompress((FACTS / "short-4.arpa.gz").read_bytes()))
    share = rng.random()
    grams = {
        gram: told for gram, told in whole.items() if len(gram) in (1, 4) or rng.random() < share
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, tokenizer = read(write_slowly(grams))
    needed = {gram[:k] for gram in grams for k in range(1, len(gram) + 1)}
    assert sum(model.config.rows) == len(needed) - 1  # <s>
    assert_scores(model, tokenizer, grams, tokenizer.types[2:6], same_order=False)


# ----------------------------------------------------------------------------------- what is wrong

WRONG = {
    "no ARPA": (b"frog heron\n", "pond.arpa is no ARPA file: it has no line \\data\\"),
    "empty": (b"", "pond.arpa is no ARPA file: it has no line \\data\\"),
    "marker within a line": (b" " + POND, "is no ARPA file: it has no line \\data\\"),
    "no counts": (
        b"\\data\\\n\n\\1-grams:\n",
        "line 3, \\data\\: no line says how many n-grams there are",
    ),
    "count": ((b"ngram 2=6", b"ngram 2=six"), "line 3, \\data\\: 'ngram 2=six' where ngram 2= should be"),
    "count of another order": ((b"ngram 2=6", b"ngram 3=6"), "line 3, \\data\\: 'ngram 3=6' where"),
    "too few": (
        (b"ngram 2=6", b"ngram 2=5"),
        "line 14, \\2-grams: 6 n-grams, but 5 in \\data\\",
    ),
    "too many": (
        (b"ngram 2=6", b"ngram 2=999999999999999999"),
        "line 14, \\2-grams: 6 n-grams, but 999,999,999,999,999,999 in \\data\\",
    ),
    "no section": (
        (b"\\2-grams:\n", b""),
        "line 6, \\1-grams: 12 n-grams",
    ),
}
