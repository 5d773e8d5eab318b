"""Words against sums over every token sequence, and against what Pimentel & Meister compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlm.errors import ModelError, UsageError
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, load_mixture, score_lines
from seqlm.evaluation.surprisal import line_surprisals
from seqlm.evaluation.words import distributions
from seqlm.evaluation.words.word_surprisal import (
    WordScorer,
    WordSurprisal,
    word_signature,
    word_surprisals,
)
from seqlm.models.base import LanguageModel
from seqlm.models.ngram.ngram_language_model import in_tensors
from seqlm.runs.loading.locate import locate
from seqlm.text.pretrained_tokenizer import LibraryFile, PretrainedTokenizer
from seqlm.text.reading import SAFE_CUT, Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED, UNK
from tests.decoding.tabular import Tabular
from tests.evaluation.fixed import loaded
from tests.text.test_pretrained_tokenizer import KINDS, library
from tests.text.test_pretrained_tokenizer import LINES as LINES_ELSEWHERE

LINES = [
    "the old  frog\tsees every heron . ",
    "",
    " a toad forgets the älteste reed,\u00a0 \u00a0 Zürich !",
    "   ",
    "The frog\x0bsees it",
]
BITS = -math.log(2)


def load(run: Path) -> LoadedMixture:
    return load_mixture([locate(str(run))])


@pytest.fixture
def mixture(family: Path) -> LoadedMixture:
    return load(family)


# ------------------------------------------------------------------------------ a vocabulary of 8

PAIRS = Tokenizer(
    "bpe", [*RESERVED, b"a", b"b", b" ", b"ab", b" a", b" ab"],
    [["a", "b"], ["Ġ", "a"], ["Ġ", "ab"]],
)  # fmt: skip
ENDS = [EOS, 4, 6, 7]
"""`</s>` and the types that begin with a space."""


@pytest.fixture(scope="module")
def pairs() -> LoadedMixture:
    """A second-order model of PAIRS, whose `<unk>` is impossible."""
    logits = torch.randn(8, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    logits[..., UNK] = -torch.inf
    return LoadedMixture.of([loaded(Tabular(logits.log_softmax(-1)), PAIRS, "sentence")])


def p(models: LoadedMixture, tokens: tuple[int, ...]) -> Tensor:
    """(V,) the probabilities of the next token in a line that begins with `tokens`."""
    model = models.models[0].model
    assert isinstance(model, LanguageModel)
    return model.log_probs(model.advance(model.start(1), torch.tensor([tokens]).long()))[0].exp()


def encode(text: str) -> tuple[int, ...]:
    return tuple(PAIRS.encode_text(text).tolist())


@pytest.mark.parametrize("before", ["", "a", "ab b", "ba  ab"])
@pytest.mark.parametrize("word", ["a", "b", "ab", "aab", "bb"])
def test_a_word_is_as_probable_as_all_that_can_go_on_after_it(before, word, pairs):
    """Every token that may follow is tried, one by one."""
    line = f"{before} {word}".strip()
    row = list(word_surprisals(pairs, [line]))[-2]
    x, xw = encode(before), encode(line)
    joint = 1.0
    for k in range(len(x), len(xw)):
        joint *= float(p(pairs, xw[:k])[xw[k]])
    ended = sum(float(p(pairs, xw)[token]) for token in ENDS)
    given = sum(float(p(pairs, x)[token]) for token in ENDS) if before else 1.0
    assert row.word == word
    assert 2**-row.surprisal == pytest.approx(joint * ended / given, abs=1e-9)


@pytest.mark.parametrize("before", ["", "b", "ab ab"])
def test_the_probabilities_of_all_words_and_of_the_end_add_up_to_one_or_less(before, pairs):
    total = uncorrected = 0.0
    for length in range(1, 7):
        for letters in product("ab", repeat=length):
            line = f"{before} {''.join(letters)}".strip()
            word = list(word_surprisals(pairs, [line], entropy=False))[-2]
            total += 2**-word.surprisal
            tokens = list(line_surprisals(pairs, [line]))[len(encode(before)) : -1]
            uncorrected += 2 ** -math.fsum(token.surprisal for token in tokens)
    end = list(word_surprisals(pairs, [before]))[-1]
    assert 0.5 < total + 2**-end.surprisal < 1
    if not before:  # what Oh & Schuler prove: the pieces alone are too probable
        assert uncorrected > 1


@pytest.mark.parametrize("before", ["b", "ab ab"])
def test_what_words_lack_to_one_is_spelled_otherwise_or_goes_on(before, pairs):
    """All sequences of tokens, not only those that the tokenizer makes, have all the probability
    but that of words longer than the sequences."""
    x = encode(before)
    given = float(p(pairs, x)[ENDS].sum())
    within = [token for token in range(2, 8) if token not in ENDS]
    ended, going_on = float(p(pairs, x)[EOS]) / given, 0.0
    for first in ENDS[1:]:
        for length in range(4):
            for rest in product(within, repeat=length):
                joint, tokens = float(p(pairs, x)[first]) / given, (*x, first)
                for token in rest:
                    joint *= float(p(pairs, tokens)[token])
                    tokens = (*tokens, token)
                next_ends = float(p(pairs, tokens)[ENDS].sum())
                ended += joint * next_ends
                going_on += joint * (1 - next_ends) * (length == 3)
    assert ended + going_on == pytest.approx(1, abs=1e-9)


# --------------------------------------------------------------------------- the published formula


@torch.inference_mode()
def published(models: LoadedMixture, line: str) -> tuple[list[float], float]:
    """The surprisals of the words of a line in bits, as `wordsprobability` has them, and what it
    subtracts from the first word: subwords, minus what begins each word, plus what ends it."""
    tokenizer = models.tokenizer
    model = models.as_language_model()
    ids = [*tokenizer.encode_text(line).tolist(), EOS]
    begins = np.array([type_[:1].isspace() for type_ in tokenizer.types])  # theirs: spaces
    bow_or_eos, mid_or_eos = begins.copy(), ~begins
    bow_or_eos[EOS] = mid_or_eos[EOS] = True
    surprisal, bow_fix, bos_fix, state = [], [], 0.0, model.start(1)
    for n, id in enumerate(ids):
        probabilities = model.log_probs(state)[0].double().exp().numpy()
        surprisal.append(-math.log2(probabilities[id]))
        bow_fix.append(-math.log2(probabilities[bow_or_eos].sum()))
        if n == 0:
            bos_fix = -math.log2(probabilities[mid_or_eos].sum())
        state = model.advance(state, torch.tensor([[id]]))
    words: list[float] = []
    for n, id in enumerate(ids[:-1]):
        if begins[id] or n == 0:
            words.append(-bow_fix[n] if n else -bos_fix)
        words[-1] += surprisal[n]
        if begins[ids[n + 1]] or ids[n + 1] == EOS:
            words[-1] += bow_fix[n + 1]
    return words, bos_fix


@pytest.mark.parametrize("line", ["the old frog sees every heron .", "a toad forgets no reed !"])
def test_words_are_those_of_the_published_correction(line, models):
    lstm = load(models("lstm-bpe")).line_by_line()
    expected, bos_fix = published(lstm, line)
    expected[0] += bos_fix  # lines begin where the model has learned that lines begin
    rows = list(word_surprisals(lstm, [line]))
    assert [row.word for row in rows] == [*line.split(), "</s>"]
    assert [row.surprisal for row in rows[:-1]] == pytest.approx(expected, abs=1e-5)


# --------------------------------------------------------------------------- every family of models


def test_surprisals_of_words_add_up_to_the_line(mixture):
    rows = list(word_surprisals(mixture, LINES))
    lines = list(score_lines(mixture, LINES))
    for number, log_prob in enumerate(lines, 1):
        of_line = [row.surprisal for row in rows if row.sentence_id == number]
        assert math.fsum(of_line) == pytest.approx(log_prob / BITS, rel=1e-5)


def test_words_are_what_white_space_separates_with_their_places_in_the_raw_line(mixture):
    rows = list(word_surprisals(mixture, LINES))
    for number, line in enumerate(LINES, 1):
        of_line = [row for row in rows if row.sentence_id == number]
        words = [word.decode() for word in line.encode().split()]
        assert [row.word for row in of_line] == [*words, "</s>"]
        assert [row.word_id for row in of_line] == list(range(1, len(words) + 2))
        assert [line[row.start : row.end] for row in of_line] == [*words, ""]
        assert of_line[-1].start == len(line)


def test_a_word_is_oov_where_a_part_of_it_is(mixture):
    for row in word_surprisals(mixture, ["the <unk> frog Q≠ the"]):
        known = mixture.tokenizer.kind == "bpe" or row.word in ("the", "frog", "</s>")
        literal = mixture.tokenizer.kind == "word" and row.word == "<unk>"
        assert row.oov == (0 if known or literal else 1), row


def test_entropy_and_rank_are_those_of_the_first_piece(mixture):
    """Against the distributions asked for one by one."""
    models = mixture.line_by_line()
    model, tokenizer = in_tensors(models.as_language_model()), models.tokenizer
    with torch.inference_mode():
        for line in LINES[:3]:
            text = Block(f"{line}\n".encode(), "text", 1)
            ids = tokenizer.encode(text)
            spans = tokenizer.token_spans(text, ids)
            state = model.start(1)
            seen: list[tuple[float, int]] = []
            last = 0  # where the last word ended
            for n, id in enumerate(ids.tolist()):
                token = text.data[spans.start[n] : spans.start[n] + spans.length[n]]
                log_probs = model.log_probs(state)[0].double()
                if (token.strip() or token == b"\n") and begins_word(text.data, spans, n):
                    given = np.ones(len(tokenizer), np.bool_)
                    ends_word = token[:1].isspace() and n > 0 and spans.start[n] == last
                    if tokenizer.kind != "word" and ends_word:
                        given = np.array([t[:1].isspace() for t in tokenizer.types])
                        given[EOS] = True
                    q = log_probs.exp().numpy() * given
                    rank = 1 + int((q > q[id]).sum())
                    q /= q.sum()
                    seen.append((float(-sum(x * math.log2(x) for x in q[q > 0])), rank))
                if token.strip():
                    last = int(spans.start[n] + spans.length[n])
                state = model.advance(state, torch.tensor([[id]]))
            rows = list(word_surprisals(models, [line]))
            assert [row.entropy for row in rows] == pytest.approx([h for h, _ in seen], abs=1e-4)
            assert [row.rank for row in rows] == [rank for _, rank in seen]


def begins_word(data: bytes, spans, n: int) -> bool:
    """Whether nothing but white space is between the token and the word's start."""
    start, end = int(spans.start[n]), int(spans.start[n] + spans.length[n])
    if data[start:end] == b"\n" or data[start : start + 1].isspace() or start == 0:
        return True
    return data[start - 1 : start].isspace()


def test_pieces_and_batches_change_nothing(mixture, monkeypatch):
    text = LINES * 3
    expected = list(word_surprisals(mixture, text))
    for probabilities, batch_size in ((1, 64), (7 * len(mixture.tokenizer), 1), (1 << 22, 2)):
        monkeypatch.setattr(distributions, "PROBABILITIES_AT_ONCE", probabilities)
        assert_close(word_surprisals(mixture, text, batch_size=batch_size), expected)


def test_blocks_that_cut_a_line_change_nothing(mixture):
    data = "".join(f"{line}\n" for line in LINES).encode()
    expected = list(word_surprisals(mixture, LINES))
    cuts = [match.start() for match in SAFE_CUT.finditer(data)]
    assert len(cuts) > 10
    for size in (1, 2, 5):
        scorer, rows = WordScorer(mixture), []
        edges = [0, *cuts[::size], len(data)]
        for begin, end in pairwise(edges):
            rows += scorer.score(Block(data[begin:end], "text", 1))
        assert_close(rows, expected)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"))))
def test_any_text_has_words_that_add_up(models, lines):
    for family in ("lstm-bpe", "rnn-char"):
        mixture = load(models(family))
        rows = list(word_surprisals(mixture, lines))
        spans = [lines[row.sentence_id - 1][row.start : row.end] for row in rows]
        words = [word.decode() for line in lines for word in (*line.encode().split(), b"")]
        assert spans == words
        assert all(row.surprisal >= 0 for row in rows)
        total = math.fsum(score_lines(mixture, lines)) / BITS
        assert math.fsum(row.surprisal for row in rows) == pytest.approx(total, rel=1e-5, abs=1e-5)


def test_without_entropy_the_surprisals_are_the_same(mixture):
    expected = [row._replace(entropy=None, rank=None) for row in word_surprisals(mixture, LINES)]
    assert_close(word_surprisals(mixture, LINES, entropy=False), expected)


def assert_close(rows: Iterator[WordSurprisal] | list[WordSurprisal], expected: list) -> None:
    rows = list(rows)
    unmeasured = [row._replace(surprisal=0, entropy=None) for row in rows]
    assert unmeasured == [row._replace(surprisal=0, entropy=None) for row in expected]
    for name in ("surprisal", "entropy"):
        values, others = ([getattr(r, name) or 0.0 for r in table] for table in (rows, expected))
        assert values == pytest.approx(others, rel=1e-4, abs=1e-4)


# -------------------------------------------------------------------------------------- other cases


def test_words_of_a_word_model_are_its_tokens(models: Callable[[str], Path]):
    for family in ("ngram-word", "lstm-word"):
        model = load(models(family))
        tokens = list(line_surprisals(model, LINES))
        rows = list(word_surprisals(model, LINES, entropy=False))
        assert [(r.word, r.surprisal, r.oov, r.start, r.end) for r in rows] == [
            (r.word if r.word != t.token and r.oov else t.token, t.surprisal, t.oov, t.start, t.end)
            for r, t in zip(rows, tokens, strict=True)
        ]


def test_words_of_the_raw_line_have_their_normalized_pieces(toy, seqlm):
    assert (
        seqlm(
            "count", toy.train, "--normalize", "lower,punct", "-o", "run", "--discount-fallback"
        ).code
        == 0
    )
    model = load(Path("run"))
    line = "The FROG sees it, (every) toad."
    rows = list(word_surprisals(model, [line]))
    assert [row.word for row in rows] == [*line.split(), "</s>"]
    assert [line[row.start : row.end] for row in rows] == [*line.split(), ""]
    tokens = list(line_surprisals(model, ["the frog sees it , ( every ) toad ."]))
    pieces = [1, 1, 1, 2, 3, 2, 1]
    for row, count in zip(rows, pieces, strict=True):
        assert row.surprisal == pytest.approx(math.fsum(t.surprisal for t in tokens[:count]))
        tokens = tokens[count:]
    assert word_signature(model).endswith("|words:summed")


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_tokenizers_made_elsewhere_add_up_and_are_no_more_than_one(kind):
    tokenizer = PretrainedTokenizer(LibraryFile(library(kind).to_str()))
    size = len(tokenizer)
    logits = torch.randn(size, size, generator=torch.Generator().manual_seed(4))
    model = LoadedMixture.of([loaded(Tabular(logits.log_softmax(1)), tokenizer, "sentence")])
    lines = ["the old  man came in .", "", " a frog sees älteste ponds", "women quietly sang あ"]
    rows = list(word_surprisals(model, lines))
    assert [row.word for row in rows] == [
        word for line in lines for word in [*line.split(), "</s>"]
    ]
    for number, log_prob in enumerate(score_lines(model, lines), 1):
        bits = [row.surprisal for row in rows if row.sentence_id == number]
        assert math.fsum(bits) == pytest.approx(log_prob / BITS, rel=1e-5)
        assert min(bits) >= 0
    every_word = {word for line in LINES_ELSEWHERE for word in line.split()}
    after = [list(word_surprisals(model, [f"the {word}"])) for word in sorted(every_word)]
    end = list(word_surprisals(model, ["the"]))[1]
    assert math.fsum([2 ** -rows[1].surprisal for rows in after] + [2**-end.surprisal]) <= 1


def test_a_token_that_brings_the_end_of_its_word_needs_no_correction():
    """Pimentel & Meister call it one that marks the ends of words."""
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            {"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4}, [("a", "b</w>")],
            end_of_word_suffix="</w>",
        )
    )  # fmt: skip
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = PretrainedTokenizer(LibraryFile(made.to_str()))
    table = torch.randn(7, 7, generator=torch.Generator().manual_seed(5)).log_softmax(1)
    model = LoadedMixture.of([loaded(Tabular(table), tokenizer, "sentence")])
    line = "ab aab b"
    tokens = [token.surprisal for token in line_surprisals(model, [line])]
    rows = [row.surprisal for row in word_surprisals(model, [line])]
    assert len(tokens) == 5
    assert rows == pytest.approx([tokens[0], tokens[1] + tokens[2], tokens[3], tokens[4]])


def test_a_mixture_of_contexts_has_words_that_add_up(models):
    mixture = load_mixture(
        [locate(str(models(family))) for family in ("ngram-char", "transformer-char", "rnn-char")],
        [0.5, 0.3, 0.2],
    )
    contexts = iter(("sentence", "window", "carried"))
    mixture = mixture._replace(
        models=[
            model._replace(config=type(model.config)(**{**vars(model.config), "context": context}))
            for model, context in zip(mixture.models, contexts)
        ]
    )
    lines = [*LINES, "the old frog sees every heron . " * 6]  # longer than the window
    rows = list(word_surprisals(mixture, lines))
    total = math.fsum(score_lines(mixture, lines)) / BITS
    assert math.fsum(row.surprisal for row in rows) == pytest.approx(total, rel=1e-5)


def test_white_space_that_characters_lack_ends_a_word_all_the_same():
    """A tab is `<unk>` to this model, which almost never has a boundary there."""
    tokenizer = Tokenizer("char", [*RESERVED, b"a", b" "])
    table = torch.tensor([0.1, 1e-6, 0.9 - 2e-6, 1e-6], dtype=torch.float64).log().expand(4, 4)
    model = LoadedMixture.of([loaded(Tabular(table.contiguous()), tokenizer, "sentence")])
    first, second, end = word_surprisals(model, ["a\ta"])
    assert (first.oov, second.oov) == (0, 0)
    assert all(row.surprisal >= 0 for row in (first, second, end))
    assert first.surprisal == pytest.approx(-math.log2((0.9 - 2e-6) * (0.1 + 2e-6)))


def test_an_end_that_is_impossible_makes_the_line_impossible():
    table = torch.tensor([0, 0, 1.0, 0]).log().expand(4, 4).contiguous()
    tokenizer = Tokenizer("char", [*RESERVED, b"a", b" "])
    model = LoadedMixture.of([loaded(Tabular(table), tokenizer, "sentence")])
    rows = list(word_surprisals(model, ["a a"]))
    assert not any(math.isnan(row.surprisal) for row in rows)
    assert sum(row.surprisal for row in rows) == math.inf


def test_a_token_of_two_words_counts_for_the_first():
    """U+00A0 is part of a word, and GPT-2's rules take it together with a space all the same."""
    nbsp, space = b"\xc2\xa0", b" "
    types = [*RESERVED, b"a", space, b"\xc2", b"\xa0", nbsp, nbsp + space, nbsp + space + nbsp]
    merges = [["Â", "ł"], ["Âł", "Ġ"], ["ÂłĠ", "Âł"]]
    tokenizer = Tokenizer("bpe", types, merges)
    line = "a\u00a0 \u00a0\u00a0a"
    assert 8 in tokenizer.encode_text(line)
    table = torch.full((9, 9), 1 / 9).log()
    model = LoadedMixture.of([loaded(Tabular(table), tokenizer, "sentence")])
    rows = list(word_surprisals(model, [line]))
    assert [row.word for row in rows] == ["a\u00a0", "\u00a0\u00a0a", "</s>"]
    assert math.fsum(row.surprisal for row in rows) == pytest.approx(
        math.fsum(score_lines(model, [line])) / BITS
    )


def test_the_signature_names_the_correction(models):
    assert word_signature(load(models("lstm-bpe"))).endswith(
        "|words:summed|ends:pimentel-meister-2024"
    )
    assert word_signature(load(models("lstm-word"))).endswith("|words:tokens")


def test_adapted_networks_have_words_where_no_distribution_is_needed(models):
    word = load(models("lstm-word")).adapted(Adaptation(dynamic=4))
    bpe = load(models("lstm-bpe")).adapted(Adaptation(dynamic=4))
    rows = list(word_surprisals(word, LINES, entropy=False))
    total = math.fsum(score_lines(word, LINES)) / BITS
    assert math.fsum(row.surprisal for row in rows) == pytest.approx(total)
    for model, entropy in ((word, True), (bpe, False)):
        with pytest.raises(UsageError, match="leave out"):
            WordScorer(model, entropy)


def test_scores_that_are_no_probabilities_have_no_words(models):
    model = load(models("ngram-word"))
    model.models[0].model.normalized = False
    try:
        with pytest.raises(ModelError, match="scores, not probabilities"):
            WordScorer(model)
    finally:
        model.models[0].model.normalized = True
