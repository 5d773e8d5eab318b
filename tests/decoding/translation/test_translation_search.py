"""Translation of lines: as many out as in, and each as if it were alone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlm.decoding.beam_search import beam_search
from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import make_chooser
from seqlm.decoding.translation.forced_decoding import score_targets
from seqlm.decoding.translation.translation_search import (
    EXTRA_TOKENS,
    translate,
)
from seqlm.errors import DataError, ModelError
from seqlm.models.base import Translator
from seqlm.models.layers.linear import bfloat16_products
from seqlm.text.vocabulary import EOS, UNK
from tests.decoding.tabular import Tabular, random_table
from tests.decoding.test_beam_search import plain_beam
from tests.decoding.translators import KINDS, LINES, WORDS, Copier, random_model, texts


@pytest.fixture(params=["gru", "transformer"])
def model(request: pytest.FixtureRequest) -> Translator:
    return random_model(request.param, len(WORDS), width=8)


# ------------------------------------------------------------------------------------------- lines

ANY = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(
    lines=st.lists(st.one_of(ANY, st.sampled_from(LINES)), max_size=7),
    batch_size=st.integers(1, 4),
    buffer=st.integers(1, 5),
)
def test_whatever_the_text_there_is_a_line_for_every_line(
    kind: str, lines: list[str], batch_size: int, buffer: int
) -> None:
    tokenizer = KINDS[kind]
    model = random_model("gru", len(tokenizer), width=4)
    search = TranslationSettings(beam=2, max_length_ratio=0.3)
    translated = [*translate(model, tokenizer, tokenizer, lines, search, batch_size, buffer)]
    assert [line.source.text for line in translated] == lines
    for line in translated:
        assert "\n" not in line.best.text
        assert line.source.text.strip(" \t\r\v\f") or line.best.text == ""


def test_a_blank_line_is_not_handed_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("gru", len(WORDS), width=4)
    monkeypatch.setattr(model, "start", None)
    assert texts(translate(model, WORDS, WORDS, ["", "  ", "\t\v\f\r"])) == [""] * 3


def test_a_reserved_word_is_read_as_unknown_with_a_warning() -> None:
    lines = ["it", "the <s> </s> frog", "", "<s>it </s", "</s>"]
    for batch_size in (1, 64):
        with pytest.warns(UserWarning, match="are reserved, and read as <unk>") as seen:
            translated = [
                *translate(Copier(len(WORDS)), WORDS, WORDS, lines, batch_size=batch_size)
            ]
        assert [str(x.message).split(":")[0] for x in seen] == [
            "line 2",
            "line 5",
        ]
        assert [line.source.text for line in translated] == lines
        assert texts(iter(translated)) == ["it", "the <unk> <unk> frog", "", "<unk> <unk>", "<unk>"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = random_model("gru", len(KINDS["char"]), width=4)
        assert len([*translate(model, KINDS["char"], KINDS["char"], lines)]) == 5


def test_the_buffer_is_bounded() -> None:
    model, read = Copier(len(WORDS)), 0

    def lines() -> Iterator[str]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield "the frog"

    for done, _ in enumerate(translate(model, WORDS, WORDS, lines(), batch_size=4, buffer=10)):
        assert done < read <= (done // 10 + 1) * 10
    read = 0
    next(translate(model, WORDS, WORDS, lines(), batch_size=1))
    assert read == 1


# -------------------------------------------------------------------------------- each as if alone


@pytest.mark.parametrize(
    "search",
    [
        TranslationSettings(align=True, nbest=5),
        TranslationSettings(beam=1, length_penalty=0.0),
        TranslationSettings(beam=3, normalization="gnmt", coverage_penalty=0.3, nbest=2),
        TranslationSettings(beam_threshold=0.5, align=True),
        TranslationSettings(sample=True, top_p=0.9, seed=5, align=True),
    ],
    ids=["simple", "greedy", "gnmt", "threshold", "samples"],
)
def test_no_batch_and_no_buffer_changes_anything(
    model: Translator, search: TranslationSettings
) -> None:
    alone = [*translate(model, WORDS, WORDS, LINES, search, 1)]
    assert len({x.text for line in alone for x in line.translations}) > 3
    for batch_size, buffer in [(2, 3), (64, None), (3, 100)]:
        together = translate(model, WORDS, WORDS, LINES, search, batch_size, buffer)
        for a, b in zip(alone, together, strict=True):
            assert [x.tokens for x in a.translations] == [x.tokens for x in b.translations]
            has_attention = search.align and bool(a.source.text.strip())
            for translation, other in zip(a.translations, b.translations):
                assert translation.score == pytest.approx(other.score, abs=1e-12)
                assert (translation.alignment is not None) == has_attention
                if has_attention:
                    torch.testing.assert_close(
                        translation.alignment, other.alignment, atol=1e-12, rtol=0
                    )


def test_translations_are_those_of_a_plain_beam(model: Translator) -> None:
    search = TranslationSettings(beam=3, nbest=3, max_length_ratio=0.5)
    translated = translate(model, WORDS, WORDS, LINES, search)
    for line in translated:
        if not line.source.text.strip():
            continue
        length = line.source.length
        with torch.no_grad():
            start = model.start(torch.tensor([line.source.tokens]), torch.tensor([length]))
            expected = plain_beam(model, start, 3, length // 2 + EXTRA_TOKENS, 1.0, 0.0, "simple")
        assert [tuple(x.tokens) for x in line.translations] == [x[0] for x in expected]
        assert [x.score for x in line.translations] == pytest.approx([x[2] for x in expected])
        assert [x.log_prob for x in line.translations] == pytest.approx([x[1] for x in expected])


def test_a_sample_is_drawn_by_seed_and_line() -> None:
    model = random_model("gru", len(WORDS), width=8)
    translated = [
        *translate(
            model, WORDS, WORDS, LINES, TranslationSettings(sample=True, temperature=0.9, seed=4)
        )
    ]
    for number, line in enumerate(translated):
        if not line.source.text.strip():
            continue
        choose = make_chooser(0.9, noise=Noise.of(4, [number]))
        tokens, log_prob = torch.empty(1, 0).long(), 0.0
        length = torch.tensor([line.source.length])
        with torch.no_grad():
            state = model.start(torch.tensor([line.source.tokens]), length)
            while tokens.shape[1] < 2 * length + EXTRA_TOKENS and EOS not in tokens:
                log_probs = model.log_probs(state)
                token = choose(log_probs, tokens)[:, None]
                log_prob += log_probs.gather(1, token).item()
                tokens = torch.cat([tokens, token], 1)
                state = model.advance(state, token)
        assert line.best.tokens == tokens[0].tolist()
        assert line.best.log_prob == pytest.approx(log_prob)
    other = translate(
        model, WORDS, WORDS, LINES, TranslationSettings(sample=True, temperature=0.9, seed=5)
    )
    assert texts(iter(translated)) != texts(other)


def test_each_sentence_has_a_limit_by_its_source() -> None:
    model = Copier(len(WORDS), ends=False)
    for limited in (
        TranslationSettings(max_length_ratio=1.5),
        TranslationSettings(max_length_ratio=1.5, sample=True, temperature=0),
    ):
        translated = translate(model, WORDS, WORDS, LINES, limited)
        for line in translated:
            if line.source.text.strip():
                limit = int(1.5 * line.source.length) + EXTRA_TOKENS
                assert len(line.best.tokens) == limit


def test_attention_of_a_model_without_it_is_refused() -> None:
    model = random_model("gru", len(WORDS), width=4, attention="none")
    for search in (TranslationSettings(align=True), TranslationSettings(replace_unk=True)):
        with pytest.raises(ModelError, match="no attention"):
            next(translate(model, WORDS, WORDS, LINES, search))
    assert len(texts(translate(model, WORDS, WORDS, LINES))) == len(LINES)


def test_a_model_of_nothing_but_nan_is_refused() -> None:
    model = random_model("gru", len(WORDS), width=4)
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(ModelError, match="NaN where a probability should be"):
        next(translate(model, WORDS, WORDS, LINES))


# -------------------------------------------------------------------------------------- attention


def test_unknown_words_are_replaced_by_the_source_word_with_most_attention() -> None:
    model = Copier(len(WORDS))
    lines = ["the pike sees it", "", "Ärger  sees the otter"]
    assert texts(translate(model, WORDS, WORDS, lines)) == [
        "the <unk> sees it", "", "<unk> sees the <unk>",
    ]  # fmt: skip
    translated = [*translate(model, WORDS, WORDS, lines, TranslationSettings(replace_unk=True))]
    assert texts(iter(translated)) == ["the pike sees it", "", "Ärger sees the otter"]
    assert UNK in translated[0].best.tokens
    assert translated[0].best.alignment is None  # not asked for


def test_every_hypothesis_has_the_attention_behind_its_own_tokens(model: Translator) -> None:
    for line in translate(
        model, WORDS, WORDS, LINES, TranslationSettings(align=True, nbest=4, max_length_ratio=0.5)
    ):
        if not line.source.text.strip():
            assert line.best.alignment is None
            continue
        source = torch.tensor([line.source.tokens])
        for translation in line.translations:
            with torch.no_grad():
                state = model.start(source, torch.tensor([source.shape[1]]))
                rows = []
                for token in translation.tokens:
                    rows.append(model.alignment(state))
                    state = model.advance(state, torch.tensor([[token]]))
            expected = torch.cat([row for row in rows if row is not None])
            torch.testing.assert_close(translation.alignment, expected)


# ------------------------------------------------------------------------------------------- greedy


class TableTranslator(Translator):
    """Has the distributions of a table, whatever the source; calls are counted."""

    from_settings = Tabular.from_settings

    def __init__(self, table: Tensor) -> None:
        super().__init__(None)
        self.table, self.calls = Tabular(table), 0

    def start(self, source: Tensor, lengths: Tensor) -> Tensor:
        return self.table.start(len(source))

    def log_probs(self, state: Tensor) -> Tensor:
        self.calls += 1
        return self.table.log_probs(state)

    def advance(self, state: Tensor, tokens: Tensor) -> Tensor:
        return self.table.advance(state, tokens)


def greedy_tokens(model: Translator, steps: int) -> list[int]:
    start = model.start(torch.tensor([[2, EOS]]), torch.tensor([2]))
    return [
        int(translation)
        for translation in generate(model, start, make_chooser(temperature=0), steps, end=EOS)
    ]


def test_a_beam_of_one_ends_where_greedy_does() -> None:
    """Though what goes on is likelier token by token."""
    table = torch.full((4, 4), 0.02, dtype=torch.float64)
    table[EOS] = torch.tensor([0.05, 0.5, 0.4, 0.05])
    table[2] = torch.tensor([0.0, 0.06, 0.94, 0.0])
    model = TableTranslator(table.log())
    for options in ({}, {"normalization": "gnmt", "length_penalty": 3.0}):
        model.calls = 0
        [line] = translate(model, WORDS, WORDS, ["the"], TranslationSettings(beam=1, **options))
        searched, model.calls = model.calls, 0
        assert line.best.tokens == greedy_tokens(model, 14) == [EOS]
        assert line.best.score == line.best.log_prob == pytest.approx(math.log(0.5))
        assert searched == model.calls == 1
    [line] = translate(model, WORDS, WORDS, ["the"], TranslationSettings(beam=2))
    assert len(line.best.tokens) > 1


@given(st.integers(2, 6), st.integers(0, 10**6), st.sampled_from([None, 3]))
def test_a_beam_of_one_costs_what_greedy_does(vocab: int, seed: int, levels: int | None) -> None:
    model = TableTranslator(random_table(2, vocab, seed, levels))
    [line] = translate(model, WORDS, WORDS, ["the"], TranslationSettings(beam=1))
    searched, model.calls = model.calls, 0
    assert line.best.tokens == greedy_tokens(model, 14)
    assert searched == model.calls


@pytest.mark.parametrize("threshold", [0.0, 0.7, 100.0])
def test_what_is_dropped_is_what_a_beam_with_the_threshold_drops(threshold: float) -> None:
    model = TableTranslator(random_table(2, len(WORDS), 11))
    search = TranslationSettings(beam_threshold=threshold, length_penalty=0.6)
    [line] = translate(model, WORDS, WORDS, ["the old frog"], search)
    start = model.start(torch.tensor([[2, EOS]]), torch.tensor([2]))
    [expected, *_] = plain_beam(model.table, start, 5, 18, 0.6, 0, threshold=threshold)
    assert (tuple(line.best.tokens), line.best.score) == (expected[0], pytest.approx(expected[2]))


# ---------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("beam", [1, 3])
def test_with_bfloat16_the_factors_of_products_are_rounded_and_without_it_they_are_not(
    beam: int,
) -> None:
    model = random_model("gru", len(WORDS), width=8, embedding=6).float()

    def scores(precision: str) -> list[float]:
        search = TranslationSettings(beam=beam, precision=precision)
        return [line.best.score for line in translate(model, WORDS, WORDS, LINES, search)]

    exact, rounded = scores("float32"), scores("bfloat16")
    with bfloat16_products():
        within_the_context = [
            line.best.score
            for line in translate(model, WORDS, WORDS, LINES, TranslationSettings(beam=beam))
        ]
    assert within_the_context == exact == scores("float32")
    assert rounded != exact
    assert rounded == pytest.approx(exact, abs=0.3)


# -------------------------------------------------------------------------------- context lengths


def test_a_line_beyond_the_context_length_is_cut_with_a_warning() -> None:
    model = Copier(len(WORDS), context_length=4)
    lines = ["the frog", "", "the old frog sees it", "it sees it"]
    with pytest.warns(UserWarning, match=r"line 3 is cut: it has 6 tokens, .* reads 4") as seen:
        translated = [*translate(model, WORDS, WORDS, lines)]
    assert len(seen) == 1
    assert texts(iter(translated)) == ["the frog", "", "the old frog", "it sees it"]
    assert translated[2].source.text == lines[2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(translate(Copier(len(WORDS)), WORDS, WORDS, lines))[2] == lines[2]


def test_a_model_never_reads_beyond_its_context_length() -> None:
    model = random_model(
        "transformer", len(WORDS), width=8, positions="learned", context_length=5, layers=1
    )
    with pytest.warns(UserWarning, match="is cut"):
        translated = [
            *translate(model, WORDS, WORDS, LINES, TranslationSettings(max_length_ratio=9.0))
        ]
    assert max(len(line.best.tokens) for line in translated) <= 5
    with pytest.warns(UserWarning, match="is cut"), pytest.raises(DataError, match="line 1: the"):
        list(score_targets(model, WORDS, WORDS, zip(LINES, LINES)))


def test_targets_as_long_as_the_context_length_are_sampled_and_scored() -> None:
    model = random_model(
        "transformer", len(WORDS), width=8, positions="learned", context_length=5, layers=1
    )
    sampling = TranslationSettings(sample=True, max_length_ratio=9.0, align=True)
    translated = [*translate(model, WORDS, WORDS, ["the old frog it"] * 20, sampling)]
    assert max(len(line.best.tokens) for line in translated) == 5
    pairs = [("it", "the old frog it"), ("it", "")]
    [whole, short] = score_targets(model, WORDS, WORDS, pairs, align=True)
    assert len(whole.log_probs) == 5
    assert whole.alignment is not None
    assert whole.alignment.shape == (5, 2)
    assert len(short.log_probs) == 1
    with torch.no_grad():
        start = model.start(torch.tensor([[6, EOS]]), torch.tensor([2]))
        scores, _ = Translator.score(model, start, torch.tensor([whole.target.tokens[:4]]))
    assert whole.log_probs[:4] == pytest.approx(scores[0].tolist(), abs=1e-12)


def test_a_source_is_cut_at_the_maximum_input_length() -> None:
    model = Copier(len(WORDS))
    lines = ["the old frog sees it", "the frog"]
    asked = r"line 1 is cut: it has 6 tokens, and the model reads 3 \(`max_input_length`\)"
    for search in (
        TranslationSettings(max_input_length=3),
        TranslationSettings(max_input_length=3, replace_unk=True),
    ):
        with pytest.warns(UserWarning, match=asked):
            assert texts(translate(model, WORDS, WORDS, lines, search)) == ["the old", "the frog"]
    with pytest.warns(UserWarning, match=asked):
        [translation, _] = score_targets(model, WORDS, WORDS, zip(lines, lines), max_input_length=3)
    assert translation.source.text == lines[0]
    assert len(translation.source.pieces) == 3
    with pytest.warns(UserWarning, match="the model reads 1000"):
        [translation] = translate(model, WORDS, WORDS, ["frog " * 1000])
    assert len(translation.best.tokens) == 1000


def test_padding_does_not_count_in_the_coverage() -> None:
    """Beside a longer line, padding would count as words nobody looked at."""
    model = random_model("gru", len(WORDS), width=8)
    search = TranslationSettings(
        beam=2, coverage_penalty=1.0, length_penalty=0.0, max_length_ratio=0.5
    )
    [alone] = translate(model, WORDS, WORDS, LINES[2:3], search)
    source = torch.tensor([alone.source.tokens])
    with torch.no_grad():
        start = model.start(source, torch.tensor([2]))
        [[best, *_]] = beam_search(
            model, start, 2, 1 + EXTRA_TOKENS, EOS, coverage_penalty=1.0, length_penalty=0.0
        )
    together = [*translate(model, WORDS, WORDS, LINES, search)][2]
    assert together.best.score == pytest.approx(best.score, abs=1e-12)
    assert together.best.tokens == best.tokens.tolist()
