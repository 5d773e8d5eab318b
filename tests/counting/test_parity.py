"""Agreement with KenLM, n-gram by n-gram, and with what is published of the Penn Treebank."""

from __future__ import annotations

import gzip
import lzma
import math
import os
import random
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from seqlm.counting.estimation.estimate import estimate
from seqlm.errors import DataError
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.scrambling import unscramble_ids
from seqlm.text.corpus import Corpus, read_corpus
from seqlm.text.vocabulary import EOS, UNK

FACTS = Path(__file__).parent / "facts"
PROSE = Path(__file__).parents[2] / "corpora" / "prose.valid.txt"
FALLBACK = (0.5, 1.0, 1.5)
CLOSE = 1e-6  # log10; asked for is 1e-4, and seven digits allow no less


# ------------------------------------------------------------------------------------- comparing


def sections(lines: Iterator[str]) -> Iterator[dict[str, tuple[float, float]]]:
    """Order by order, log10 p and backoff of every n-gram of an ARPA file."""
    found: dict[str, tuple[float, float]] | None = None
    for line in lines:
        if line.startswith("\\") and found is not None:
            yield found
        if line.startswith("\\"):
            found = {}
        elif line.strip() and found is not None and not line.startswith("ngram "):
            prob, gram, *backoff = line.rstrip("\n").split("\t")
            found[gram] = float(prob), float(backoff[0]) if backoff else 0.0


def arpa(lines: Iterator[str]) -> Iterator[dict[str, tuple[float, float]]]:
    """The sections of n-grams, without what is before them."""
    return islice(sections(lines), 1, None)


def ngram_names(model: NGramModel, types: list[str]) -> Iterator[list[str]]:
    """Order by order, every n-gram as an ARPA file has it."""
    below = types
    yield below
    for k in range(2, model.config.order + 1):
        contexts = ["<s>" if name == "</s>" else name for name in below]
        sizes = np.diff(model.order(k - 1).first).tolist()
        words = unscramble_ids(model.order(k).words, len(types)).tolist()
        owners = (
            context for context, size in zip(contexts, sizes, strict=True) for _ in range(size)
        )
        below = [f"{h} {types[word]}" for h, word in zip(owners, words, strict=True)]
        yield below


def log10(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64) / math.log(10)


def assert_equal(model: NGramModel, corpus: Corpus, lines: Iterator[str]) -> None:
    """The same n-grams, every probability and every backoff."""
    types = [of.decode() for of in corpus.tokenizer.types]
    for k, (ours, theirs) in enumerate(zip(ngram_names(model, types), arpa(lines), strict=True), 1):
        table = model.order(k)
        backoff = log10(table.backoff) if k < model.config.order else np.zeros(len(ours))
        if k == 1:  # one row for the end, which is predicted, and the start, which is context
            theirs["</s>"] = theirs["</s>"][0], theirs.pop("<s>")[1]
        assert sorted(ours) == sorted(theirs)
        expected = np.array([theirs[name] for name in ours]).reshape(-1, 2)
        np.testing.assert_allclose(log10(table.log_prob), expected[:, 0], atol=CLOSE, rtol=0)
        np.testing.assert_allclose(backoff, expected[:, 1], atol=CLOSE, rtol=0)


def perplexity(model: NGramModel, ids: np.ndarray) -> float:
    scores, _ = model.score(model.start(1), ids.astype(np.int64)[None])
    return math.exp(-scores.mean(dtype=np.float64))


# ---------------------------------------------------------------------------------- stored facts


@pytest.fixture(scope="module")
def prose(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The lines that `facts/README.md` names."""
    path = tmp_path_factory.mktemp("parity") / "prose.txt"
    with PROSE.open(encoding="utf-8") as lines:
        path.write_text("".join(islice(lines, 141)), encoding="utf-8")
    return read_corpus([str(path)])


@pytest.mark.parametrize(
    ("fact", "order", "cutoffs"),
    [("prose-3", 3, ()), ("prose-5", 5, ()), ("prose-5-pruned", 5, (0, 0, 1))],
)
def test_prose(fact: str, order: int, cutoffs: tuple[int, ...], prose: Corpus) -> None:
    model = estimate(prose.ids, len(prose.tokenizer), order, cutoffs=cutoffs)
    with gzip.open(FACTS / f"{fact}.arpa.gz", "rt", encoding="utf-8") as lines:
        assert_equal(model, prose, lines)


@pytest.mark.parametrize(
    ("fact", "order", "cutoffs"),
    [("short-4", 4, ()), ("short-4-pruned", 4, (0, 1, 1, 2)), ("short-1", 1, ())],
)
def test_a_short_text_with_discounts_of_no_text(
    fact: str, order: int, cutoffs: tuple[int, ...]
) -> None:
    corpus = read_corpus([str(FACTS / "short.txt")])
    model = estimate(
        corpus.ids, len(corpus.tokenizer), order, cutoffs=cutoffs, discount_fallback=FALLBACK
    )
    with gzip.open(FACTS / f"{fact}.arpa.gz", "rt", encoding="utf-8") as lines:
        assert_equal(model, corpus, lines)


def test_the_kenlm_package_says_the_same_of_every_token(prose: Corpus, tmp_path: Path) -> None:
    """Probability and matched length of held-out lines, from lmplz's file and from our tables."""
    kenlm = pytest.importorskip("kenlm")
    path = tmp_path / "prose-5.arpa"
    path.write_bytes(gzip.decompress((FACTS / "prose-5.arpa.gz").read_bytes()))
    theirs = kenlm.Model(str(path))
    model = estimate(prose.ids, len(prose.tokenizer), 5)
    held_out = read_corpus([str(PROSE.with_name("prose.test.txt"))], prose.tokenizer)
    tokens = held_out.ids.astype(np.int64)[None, :2000]
    tokens = tokens[:, : int(np.flatnonzero(tokens[0] == EOS)[-1]) + 1]  # whole lines
    with PROSE.with_name("prose.test.txt").open(encoding="utf-8") as lines:
        scored_lines = [
            theirs.full_scores(line) for line in islice(lines, int((tokens == EOS).sum()))
        ]
    expected, lengths, unknown = zip(
        *(token for line in scored_lines for token in line), strict=True
    )
    scores, _ = model.score(model.start(1), tokens)
    np.testing.assert_allclose(log10(scores[0]), expected, atol=1e-5, rtol=0)
    matched = model.ngram_length(model.start(1), tokens)
    assert matched[0].tolist() == list(lengths)
    assert (tokens[0] == UNK).tolist() == list(unknown)


# ------------------------------------------------------------------------- against the real lmplz


@pytest.fixture(scope="module")
def lmplz() -> str:
    if "LMPLZ" not in os.environ:
        pytest.skip("no lmplz; $LMPLZ names KenLM's program")
    return os.environ["LMPLZ"]


@pytest.fixture(scope="module")
def treebank(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Penn Treebank with another name for its `<unk>`, which lmplz refuses."""
    path = tmp_path_factory.mktemp("parity") / "ptb.txt"
    path.write_bytes((data / "ptb" / "train.txt").read_bytes().replace(b"<unk>", b"<rare>"))
    return path


@pytest.fixture(scope="module")
def books(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A million words of novels."""
    path = tmp_path_factory.mktemp("parity") / "books.txt"
    words = 0
    with lzma.open(data / "books" / "books.txt.xz") as lines, path.open("wb") as file:
        for line in lines:
            words += len(line.split())
            if words > 1_000_000:
                break
            file.write(line)
    return path


def arpa_of(
    lmplz: str, text: Path, order: int, cutoffs: tuple[int, ...], *flags: str
) -> Path | None:
    """What lmplz makes of a text, or None where it refuses it."""
    arpa_file = text.with_suffix(".arpa")
    prune = ["--prune", *map(str, cutoffs)] if cutoffs else []
    command = [lmplz, "-o", str(order), "-S", "1G", "-T", f"{text.parent}/", *prune, *flags]
    with text.open("rb") as source, arpa_file.open("wb") as target:
        done = subprocess.run(command, stdin=source, stdout=target, stderr=subprocess.DEVNULL)
    return arpa_file if done.returncode == 0 else None


@pytest.mark.parametrize("text", ["treebank", "books"])
@pytest.mark.parametrize(
    ("order", "cutoffs"), [(2, ()), (3, ()), (4, ()), (5, ()), (5, (0, 0, 1)), (4, (0, 1, 1, 2))]
)
def test_lmplz_says_the_same(
    text: str, order: int, cutoffs: tuple[int, ...], lmplz: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(text)
    arpa_file = arpa_of(lmplz, path, order, cutoffs)
    assert arpa_file is not None
    corpus = read_corpus([str(path)])
    model = estimate(corpus.ids, len(corpus.tokenizer), order, cutoffs=cutoffs)
    with arpa_file.open(encoding="utf-8") as lines:
        assert_equal(model, corpus, lines)


@pytest.mark.parametrize("seed", range(40))
def test_lmplz_says_the_same_of_any_text_or_refuses_it_too(
    seed: int, lmplz: str, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    order, kinds = rng.randint(1, 5), rng.choice([2, 4, 8, 30])
    cutoffs = rng.choice([(), (0, 1), (0, 0, 1), (0, 0, 1, 2)])[:order]
    fallback = FALLBACK if rng.random() < 0.8 else None
    path = tmp_path / "text.txt"
    with path.open("w", encoding="utf-8") as file:
        print("a", file=file)  # one word at least, which seqlm wants
        for _ in range(rng.choice([1, 3, 10, 60])):
            words = [int(rng.paretovariate(0.8)) % kinds for _ in range(rng.randrange(9))]
            print(*(chr(ord("a") + word) for word in words), file=file)
    arpa_file = arpa_of(lmplz, path, order, cutoffs, *(["--discount_fallback"] if fallback else []))
    corpus = read_corpus([str(path)])
    size = len(corpus.tokenizer)
    if arpa_file is None:
        with pytest.raises(DataError):
            estimate(corpus.ids, size, order, cutoffs=cutoffs, discount_fallback=fallback)
        return
    model = estimate(corpus.ids, size, order, cutoffs=cutoffs, discount_fallback=fallback)
    with arpa_file.open(encoding="utf-8") as lines:
        assert_equal(model, corpus, lines)


# ----------------------------------------------------------------------- what is known of a corpus


@pytest.fixture(scope="module")
def splits(data: Path) -> dict[str, Corpus]:
    """Penn Treebank, its `<unk>` as it is."""
    train = read_corpus([str(data / "ptb" / "train.txt")])
    held_out = {
        name: read_corpus([str(data / "ptb" / f"{name}.txt")], train.tokenizer)
        for name in ("valid", "test")
    }
    return {"train": train, **held_out}


@pytest.mark.parametrize(
    ("order", "valid", "test"),
    [(2, 199.02, 185.70), (3, 157.77, 148.28), (4, 149.90, 142.72), (5, 148.01, 141.19)],
)
def test_modified_kneser_ney_on_the_treebank(
    order: int, valid: float, test: float, splits: dict[str, Corpus]
) -> None:
    """As KenLM has them."""
    train = splits["train"]
    model = estimate(train.ids, len(train.tokenizer), order)
    assert perplexity(model, splits["valid"].ids) == pytest.approx(valid, abs=0.01)
    assert perplexity(model, splits["test"].ids) == pytest.approx(test, abs=0.01)


@pytest.mark.parametrize(("order", "test"), [(3, 165.23), (5, 162.25)])
def test_good_turing_on_the_treebank(order: int, test: float, splits: dict[str, Corpus]) -> None:
    """Published are 165.2 and 162.3 (Mikolov et al., 2011), made by SRILM with these cutoffs."""
    train = splits["train"]
    model = estimate(train.ids, len(train.tokenizer), order, "good-turing", cutoffs=(0, 0, 1))
    assert perplexity(model, splits["test"].ids) == pytest.approx(test, abs=0.01)
