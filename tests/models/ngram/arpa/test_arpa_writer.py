"""Writing ARPA files: to the letter, to the last bit, and for KenLM to read."""

from __future__ import annotations

import math
import re
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlm.counting.estimation.estimate import estimate
from seqlm.errors import ModelError
from seqlm.machine import compilation
from seqlm.models.ngram.arpa import arpa_writer
from seqlm.models.ngram.arpa.arpa_reader import read_arpa
from seqlm.models.ngram.arpa.arpa_writer import Pieces, Pool, arpa_text, number_pieces
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.text.corpus import Corpus, read_corpus
from seqlm.text.tokenizer import Tokenizer
from tests.models.arpa_oracle import read_slowly, score_line

CORPORA = Path(__file__).parents[4] / "corpora"
FALLBACK = (0.5, 1.0, 1.5)


@pytest.fixture(scope="module")
def prose() -> Corpus:
    return read_corpus([str(CORPORA / "prose.valid.txt")])


def counted(
    corpus: Corpus, order: int, smoothing: str = "modified-kneser-ney", **options
) -> NGramModel:
    size = len(corpus.tokenizer)
    return estimate(corpus.ids, size, order, smoothing, discount_fallback=FALLBACK, **options)


def written(model: NGramModel, tokenizer: Tokenizer) -> bytes:
    return b"".join(arpa_text(model, tokenizer))


def assert_read_back(model: NGramModel, tokenizer: Tokenizer, path: Path) -> None:
    """The same tables, bit for bit, and the same words."""
    path.write_bytes(written(model, tokenizer))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back, words = read_arpa(path)
    assert words.types == tokenizer.types
    assert back.config.rows == model.config.rows
    arrays = back.arrays()
    assert arrays.keys() == model.arrays().keys()
    for name, expected in model.arrays().items():
        assert np.array_equal(arrays[name], expected), name


# ------------------------------------------------------------------------------------- the letter


def test_a_file_to_the_letter(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a b\na\n\n")
    corpus = read_corpus([str(tmp_path / "text")])
    model = counted(corpus, 2, "mle")
    text = written(model, corpus.tokenizer).decode()
    rounded = re.sub(r"-\d\.\d{8}\b", lambda number: f"{float(number[0]):.4f}", text)
    listed = rounded.split("\n")
    assert listed[:12] == [
        "\\data\\",
        "ngram 1=5",
        "ngram 2=5",
        "",
        "\\1-grams:",
        "-99\t<unk>\t0",
        "-99\t<s>\t-99",
        "-0.3010\t</s>\t0",
        "-0.4771\ta\t-99",
        "-0.7782\tb\t-99",
        "",
        "\\2-grams:",
    ]
    assert sorted(listed[12:17]) == [
        "-0.1761\t<s> a",
        "-0.3010\ta </s>",
        "-0.3010\ta b",
        "-0.4771\t<s> </s>",
        "0\tb </s>",
    ]
    assert listed[17:] == ["", "\\end\\", ""]


def test_a_word_and_a_tab_after_the_probability_and_before_the_backoff(prose: Corpus) -> None:
    for line in written(counted(prose, 3), prose.tokenizer).decode().split("\n"):
        if line[:1] in ("-", "0"):
            assert all(line.split("\t"))
            assert " ".join(line.split()) == line.replace("\t", " ")


@pytest.mark.parametrize("cutoffs", [(), (0, 1), (0, 10**6)])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_every_n_gram_below_the_highest_order_has_a_backoff(
    order: int, cutoffs: tuple[int, ...], prose: Corpus
) -> None:
    """A decoder that takes its words from the lines of three fields has all of them."""
    model = counted(prose, order, "witten-bell", cutoffs=cutoffs)
    sections = written(model, prose.tokenizer).decode().split("\n\n")[1:-1]
    assert len(sections) == order
    for k, section in enumerate(sections, 1):
        fields = [len(line.split("\t")) for line in section.split("\n")[1:]]
        assert set(fields) <= {2 if k == order else 3}
    words = {line.split("\t")[1] for line in sections[0].split("\n")[1:]}
    assert words == {"<s>", *(type_.decode() for type_ in prose.tokenizer.types)}


def test_n_grams_and_numbers_are_the_model_s(prose: Corpus) -> None:
    model = counted(prose, 3)
    grams = read_slowly(written(model, prose.tokenizer))
    types = prose.tokenizer.types
    assert len(grams) == sum(model.config.rows) + 1
    assert grams[b"<s>",] == (-99, pytest.approx(float(model.order(1).backoff[1]) / math.log(10)))
    assert {gram[0] for gram in grams if len(gram) > 1} <= {b"<s>", *types[2:]}
    assert not any(b"</s>" in gram[:-1] or b"<s>" in gram[1:] for gram in grams)
    for id, type_ in enumerate(types):
        log10 = float(model.order(1).log_prob[id]) / math.log(10)
        assert grams[type_,][0] == pytest.approx(log10, rel=1e-7)


# --------------------------------------------------------------------------------------- the bits


@pytest.mark.parametrize(
    ("smoothing", "order"),
    [("modified-kneser-ney", 5), ("modified-kneser-ney", 1), ("witten-bell", 3), ("mle", 3),
     ("good-turing", 4), ("add-k", 2)],
)  # fmt: skip
def test_what_is_written_is_read_back(
    smoothing: str, order: int, prose: Corpus, tmp_path: Path
) -> None:
    assert_read_back(counted(prose, order, smoothing), prose.tokenizer, tmp_path / "model.arpa")


def test_lines_are_made_in_blocks_of_any_size(
    prose: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = counted(prose, 3, cutoffs=(0, 0, 1))
    text = written(model, prose.tokenizer)
    for size in (1000, 77):
        monkeypatch.setattr(arpa_writer, "BLOCK", size)
        assert written(model, prose.tokenizer) == text
    assert_read_back(model, prose.tokenizer, tmp_path / "model.arpa")


def test_orders_without_n_grams(prose: Corpus, tmp_path: Path) -> None:
    model = counted(prose, 4, cutoffs=(0, 0, 10**6))
    assert model.config.rows[2:] == (0, 0)
    assert_read_back(model, prose.tokenizer, tmp_path / "model.arpa")


def test_every_number_is_read_back_as_itself() -> None:
    drawn = torch.Generator().manual_seed(1)
    exponents = torch.randint(-26, 7, (20_000,), generator=drawn)
    mantissas = torch.randint(0, 2**23, (20_000,), generator=drawn)
    mantissas[:4000:4], mantissas[1:4000:4], mantissas[2:4000:4] = 0, 1, 2**23 - 1
    values = torch.ldexp(1 + mantissas / 2**23, exponents).numpy()
    values = np.concatenate([values, -values])
    pool = Pool([b"<unk>", b"</s>"])
    starts, lengths = zip(*number_pieces(values, pool.field_starts, pool.digits))
    text = pool.concatenate(Pieces(*(np.stack(of, 1).ravel() for of in (starts, lengths))))
    read = (np.array(text.split(), np.float64) * math.log(10)).astype(np.float32)
    np.testing.assert_array_equal(read, values)
    assert len(text) / len(values) < 15


@pytest.mark.parametrize("order", [1, 2, 4])
def test_machine_code_writes_the_same_bytes(
    order: int, prose: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    model = counted(prose, order)
    noise = np.random.default_rng(0)
    for of_order in model.orders:  # of any size, with signs, zeros and infinities
        size = len(of_order)
        numbers = noise.integers(0, 2**32, size, np.uint32).view(np.float32)
        of_order.log_prob[:] = np.where(np.isnan(numbers), -np.inf, numbers)
    for of_order in model.orders[:-1]:
        size = len(of_order)
        numbers = noise.normal(size=size) * 10.0 ** noise.integers(-12, 3, size)
        of_order.backoff[:] = np.where(noise.random(size) < 0.1, 0, numbers)
    long_words = [type_ * (1 + n % 4) for n, type_ in enumerate(prose.tokenizer.types[2:])]
    tokenizer = Tokenizer("word", [*prose.tokenizer.types[:2], *long_words])
    expected = written(model, tokenizer)
    monkeypatch.setattr(compilation, "LARGE", 0)
    monkeypatch.setattr(arpa_writer, "COMPILED_BLOCK", 1000)
    assert written(model, tokenizer) == expected


def test_sums_that_are_a_little_more_than_1_are_1(prose: Corpus) -> None:
    model = counted(prose, 2)
    model.order(2).log_prob[0] = 1.2e-7
    assert max(prob for prob, _ in read_slowly(written(model, prose.tokenizer)).values()) == 0


# --------------------------------------------------------------------------- what ARPA cannot hold


def test_what_arpa_cannot_tell_is_refused(prose: Corpus) -> None:
    size = len(prose.tokenizer)
    carried = estimate(prose.ids, size, 2, "witten-bell", "carried")
    with pytest.raises(ModelError, match="carried over lines: count with context sentence"):
        arpa_text(carried, prose.tokenizer)
    scores = estimate(prose.ids, size, 2, "stupid-backoff")
    with pytest.raises(ModelError, match="stupid-backoff gives scores: count with another"):
        arpa_text(scores, prose.tokenizer)
    model = counted(prose, 2)
    with pytest.raises(ModelError, match="this model has char tokens: count with tokenizer word"):
        arpa_text(model, Tokenizer("char", [b"<unk>", b"</s>", b"a"]))
    for word in (b"a b", b"a\0b", b"", b"a\x0b", b"<s>"):
        tokenizer = Tokenizer("word", [*prose.tokenizer.types[:-1], word])
        with pytest.raises(ModelError, match="has no words that are <s>, or hold white space"):
            arpa_text(model, tokenizer)


# ------------------------------------------------------------------------------------------ KenLM


@pytest.mark.parametrize(
    ("smoothing", "order"),
    [("modified-kneser-ney", 5), ("modified-kneser-ney", 2), ("witten-bell", 3)],
)
def test_kenlm_reads_the_same_scores_and_lengths(
    smoothing: str, order: int, prose: Corpus, tmp_path: Path
) -> None:
    kenlm = pytest.importorskip("kenlm")
    model = counted(prose, order, smoothing)
    path = tmp_path / "model.arpa"
    path.write_bytes(written(model, prose.tokenizer))
    theirs = kenlm.Model(str(path))
    assert theirs.order == order
    with (CORPORA / "prose.test.txt").open() as lines:
        for line in islice(lines, 100):
            expected, lengths, unknown = zip(*theirs.full_scores(line))
            words = line.encode().split()
            scores, matched = score_line(model, prose.tokenizer, words)
            np.testing.assert_allclose(scores, expected, atol=1e-5, rtol=0)
            assert matched == list(lengths)
            assert [word not in prose.tokenizer.id_of_type for word in words] == list(unknown[:-1])
