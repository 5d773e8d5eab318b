"""Translation of lines: as many out as in, each as if it were alone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlm.decoding.beam_search import beam_search
from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.sentence_batches import ROOM, batches, is_blank
from seqlm.decoding.token_choice import chooser
from seqlm.decoding.translation_search import (
    SPARE,
    Search,
    Translation,
    score_targets,
    translate,
)
from seqlm.errors import DataError, ModelError
from seqlm.models import model_class
from seqlm.models.base import TranslationNetwork, Translator
from seqlm.text.bitext import blank_lines
from seqlm.text.corpus import learn_bpe
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED, UNK
from tests.decoding.tabular import Tabular, random_table
from tests.decoding.test_beam_search import plain_beam

WORDS = Tokenizer("word", [*RESERVED, b"the", b"old", b"frog", b"sees", b"it"])
LINES = [
    "the old frog sees it",
    "",
    "it",
    "the frog the frog the frog sees the old old frog",
    "  \t ",
    "frog sees",
    "a pike sees it",
    "old",
    "it sees the frog",
]


def random_model(arch: str, vocab_size: int, **options: Any) -> Translator:
    torch.manual_seed(3)
    model = model_class("translation", arch).from_settings({"vocab_size": vocab_size, **options})
    assert isinstance(model, Translator)
    for parameter in model.parameters():
        parameter.data.uniform_(-1, 1)
    model.output_layer.bias.data[EOS] -= 1  # some words first
    return model.double().eval()


@pytest.fixture(params=["gru", "transformer"])
def model(request: pytest.FixtureRequest) -> Translator:
    return random_model(request.param, len(WORDS), width=8)


def texts(found: Iterator[Translation]) -> list[str]:
    return [each.found[0].text for each in found]


# ----------------------------------------------------------------------------------------- oracles


class Read(NamedTuple):
    source: Tensor  # (B, S)
    at: Tensor  # (B,) tokens written so far


class Copier(Translator):
    """Writes token t of the source as token t of the target, and looks at it while it does."""

    from_settings = Tabular.from_settings

    def __init__(
        self, vocab_size: int, context_length: int | None = None, ends: bool = True
    ) -> None:
        super().__init__(None)
        self.vocab_size, self.context_length, self.ends = vocab_size, context_length, ends
        self.register_buffer("anything", torch.zeros(()))

    def start(self, source: Tensor, lengths: Tensor) -> Read:
        assert self.context_length is None or source.shape[1] <= self.context_length
        return Read(source, torch.zeros_like(lengths))

    def log_probs(self, state: Read) -> Tensor:
        token = state.source.gather(1, self.place(state)[:, None])
        logits = torch.zeros(len(token), self.vocab_size, dtype=torch.float64).scatter(1, token, 9)
        logits[:, EOS] -= 0 if self.ends else 99
        return logits.log_softmax(1)

    def advance(self, state: Read, tokens: Tensor) -> Read:
        return state._replace(at=state.at + tokens.shape[1])

    def alignment(self, state: Read) -> Tensor:
        place = self.place(state)
        return torch.zeros(state.source.shape).scatter(1, place[:, None], 1.0)

    def place(self, state: Read) -> Tensor:
        return state.at.clamp(max=state.source.shape[1] - 1)


# ------------------------------------------------------------------------------------------- lines


def bytes_and_pairs() -> Tokenizer:
    return learn_bpe([Block(b"the old frog sees the old frog\n", "text", 1)], 270, 1)


KINDS = {
    "word": WORDS,
    "char": Tokenizer("char", RESERVED + [letter.encode() for letter in " efghort\r\u2028"]),
    "bpe": bytes_and_pairs(),
}
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
    search = Search(beam=2, max_ratio=0.3)
    found = [*translate(model, tokenizer, tokenizer, lines, search, batch_size, buffer)]
    assert [each.source.text for each in found] == lines
    for each in found:
        assert "\n" not in each.found[0].text
        assert each.source.text.strip(" \t\r\v\f") or each.found[0].text == ""


def test_a_blank_line_is_not_the_models_business(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("gru", len(WORDS), width=4)
    monkeypatch.setattr(model, "start", None)
    assert texts(translate(model, WORDS, WORDS, ["", "  ", "\t\v\f\r"])) == [""] * 3


def test_white_space_is_what_it_is_in_training() -> None:
    lines = ["", " \t\v\f\r", "\xa0", "\u2028", "\x1c", "\x85", "\u3000 ", "the", " e "]
    ids = KINDS["bpe"].encode(Block("".join(f"{line}\n" for line in lines).encode(), "", 1))
    assert [*map(is_blank, lines)] == blank_lines(ids, KINDS["bpe"]).tolist()
    assert [*map(is_blank, lines)] == [True] * 2 + [False] * 7


def test_a_reserved_word_is_read_as_unknown_with_a_warning() -> None:
    lines = ["it", "the <s> </s> frog", "", "<s>it </s", "</s>"]
    for batch_size in (1, 64):
        with pytest.warns(UserWarning, match="are reserved, and read as <unk>") as seen:
            found = [*translate(Copier(len(WORDS)), WORDS, WORDS, lines, batch_size=batch_size)]
        assert [str(one.message).split(":")[0] for one in seen] == ["line 2", "line 5"]
        assert [each.source.text for each in found] == lines
        assert texts(iter(found)) == ["it", "the <unk> <unk> frog", "", "<unk> <unk>", "<unk>"]
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


@given(st.lists(st.integers(1, 3 * ROOM)), st.integers(1, 5))
def test_batches_hold_every_line_once_and_no_more_than_they_can(
    lengths: list[int], size: int
) -> None:
    found = [*batches(range(len(lengths)), size, lengths.__getitem__)]
    assert sorted(number for batch in found for number in batch) == [*range(len(lengths))]
    for batch in found:
        positions = len(batch) * max(lengths[number] for number in batch)
        assert len(batch) <= size
        assert positions <= size * ROOM or len(batch) == 1


# -------------------------------------------------------------------------------- each as if alone


@pytest.mark.parametrize(
    "search",
    [
        Search(align=True, nbest=5),
        Search(beam=1, length_penalty=0.0),
        Search(beam=3, normalisation="gnmt", coverage_penalty=0.3, nbest=2),
        Search(draw=partial(chooser, 1.0, None, 0.9), seed=5, align=True),
    ],
    ids=["simple", "greedy", "gnmt", "samples"],
)
def test_no_batch_and_no_buffer_changes_anything(model: Translator, search: Search) -> None:
    alone = [*translate(model, WORDS, WORDS, LINES, search, 1)]
    assert len({one.text for each in alone for one in each.found}) > 3
    for batch_size, buffer in [(2, 3), (64, None), (3, 100)]:
        together = translate(model, WORDS, WORDS, LINES, search, batch_size, buffer)
        for a, b in zip(alone, together, strict=True):
            assert [one.tokens for one in a.found] == [one.tokens for one in b.found]
            for one, other in zip(a.found, b.found):
                assert one.score == pytest.approx(other.score, abs=1e-12)
                if one.alignment is not None or other.alignment is not None:
                    torch.testing.assert_close(one.alignment, other.alignment, atol=1e-12, rtol=0)


def test_translations_are_those_of_a_plain_beam(model: Translator) -> None:
    search = Search(beam=3, nbest=3, max_ratio=0.5)
    found = translate(model, WORDS, WORDS, LINES, search)
    for each in found:
        if not each.source.text.strip():
            continue
        length = each.source.length
        with torch.no_grad():
            start = model.start(torch.tensor([each.source.tokens]), torch.tensor([length]))
            expected = plain_beam(model, start, 3, length // 2 + SPARE, 1.0, 0.0, "simple")
        assert [tuple(one.tokens) for one in each.found] == [one[0] for one in expected]
        assert [one.score for one in each.found] == pytest.approx([one[2] for one in expected])
        assert [one.log_prob for one in each.found] == pytest.approx([one[1] for one in expected])


def test_a_sample_is_drawn_by_seed_and_line() -> None:
    model = random_model("gru", len(WORDS), width=8)
    draw = partial(chooser, 0.9, None, None)
    found = [*translate(model, WORDS, WORDS, LINES, Search(draw=draw, seed=4))]
    for number, each in enumerate(found):
        if not each.source.text.strip():
            continue
        choose, tokens, log_prob = draw(noise=Noise.of(4, [number])), torch.empty(1, 0).long(), 0.0
        length = torch.tensor([each.source.length])
        with torch.no_grad():
            state = model.start(torch.tensor([each.source.tokens]), length)
            while tokens.shape[1] < 2 * length + SPARE and EOS not in tokens:
                log_probs = model.log_probs(state)
                token = choose(log_probs, tokens)[:, None]
                log_prob += log_probs.gather(1, token).item()
                tokens = torch.cat([tokens, token], 1)
                state = model.advance(state, token)
        assert each.found[0].tokens == tokens[0].tolist()
        assert each.found[0].log_prob == pytest.approx(log_prob)
    other = translate(model, WORDS, WORDS, LINES, Search(draw=draw, seed=5))
    assert texts(iter(found)) != texts(other)


def test_the_limit_is_that_of_the_own_source() -> None:
    model = Copier(len(WORDS), ends=False)
    for draw in (None, partial(chooser, 0)):
        found = translate(model, WORDS, WORDS, LINES, Search(max_ratio=1.5, draw=draw))
        for each in found:
            if each.source.text.strip():
                limit = int(1.5 * each.source.length) + SPARE
                assert len(each.found[0].tokens) == limit


def test_attention_that_a_model_has_not_is_refused() -> None:
    model = random_model("gru", len(WORDS), width=4, attention="none")
    for search in (Search(align=True), Search(replace_unk=True)):
        with pytest.raises(ModelError, match="no attention"):
            next(translate(model, WORDS, WORDS, LINES, search))
    assert len(texts(translate(model, WORDS, WORDS, LINES))) == len(LINES)


def test_a_model_of_nothing_but_nan_is_refused() -> None:
    model = random_model("gru", len(WORDS), width=4)
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(ModelError, match="no probabilities"):
        next(translate(model, WORDS, WORDS, LINES))


# -------------------------------------------------------------------------------------- attention


def test_unknown_words_are_copied_from_where_the_model_looks() -> None:
    model = Copier(len(WORDS))
    lines = ["the pike sees it", "", "Ärger  sees the otter"]
    assert texts(translate(model, WORDS, WORDS, lines)) == [
        "the <unk> sees it", "", "<unk> sees the <unk>",
    ]  # fmt: skip
    found = [*translate(model, WORDS, WORDS, lines, Search(replace_unk=True))]
    assert texts(iter(found)) == ["the pike sees it", "", "Ärger sees the otter"]
    assert UNK in found[0].found[0].tokens
    assert found[0].found[0].alignment is None  # not asked for


def test_every_hypothesis_has_the_attention_behind_its_own_tokens(model: Translator) -> None:
    for each in translate(model, WORDS, WORDS, LINES, Search(align=True, nbest=4, max_ratio=0.5)):
        if not each.source.text.strip():
            assert each.found[0].alignment is None
            continue
        source = torch.tensor([each.source.tokens])
        for one in each.found:
            with torch.no_grad():
                state = model.start(source, torch.tensor([source.shape[1]]))
                rows = []
                for token in one.tokens:
                    rows.append(model.alignment(state))
                    state = model.advance(state, torch.tensor([[token]]))
            expected = torch.cat([row for row in rows if row is not None])
            torch.testing.assert_close(one.alignment, expected)


# ------------------------------------------------------------------------------------------- greedy


class Told(Translator):
    """Says what a table says, whatever the source; its answers are counted."""

    from_settings = Tabular.from_settings

    def __init__(self, table: Tensor) -> None:
        super().__init__(None)
        self.table, self.answers = Tabular(table), 0

    def start(self, source: Tensor, lengths: Tensor) -> Tensor:
        return self.table.start(len(source))

    def log_probs(self, state: Tensor) -> Tensor:
        self.answers += 1
        return self.table.log_probs(state)

    def advance(self, state: Tensor, tokens: Tensor) -> Tensor:
        return self.table.advance(state, tokens)


def greedily(model: Translator, steps: int) -> list[int]:
    start = model.start(torch.tensor([[2, EOS]]), torch.tensor([2]))
    return [int(one) for one in generate(model, start, chooser(temperature=0), steps, end=EOS)]


def test_a_beam_of_one_ends_where_greedy_does() -> None:
    """Though what goes on is likelier token by token."""
    table = torch.full((4, 4), 0.02, dtype=torch.float64)
    table[EOS] = torch.tensor([0.05, 0.5, 0.4, 0.05])
    table[2] = torch.tensor([0.0, 0.06, 0.94, 0.0])
    model = Told(table.log())
    for options in ({}, {"normalisation": "gnmt", "length_penalty": 3.0}):
        model.answers = 0
        [each] = translate(model, WORDS, WORDS, ["the"], Search(beam=1, **options))
        searched, model.answers = model.answers, 0
        assert each.found[0].tokens == greedily(model, 14) == [EOS]
        assert each.found[0].score == each.found[0].log_prob == pytest.approx(math.log(0.5))
        assert searched == model.answers == 2  # one for the shape
    [each] = translate(model, WORDS, WORDS, ["the"], Search(beam=2))
    assert len(each.found[0].tokens) > 1


@given(st.integers(2, 6), st.integers(0, 10**6), st.sampled_from([None, 3]))
def test_a_beam_of_one_costs_what_greedy_does(vocab: int, seed: int, levels: int | None) -> None:
    model = Told(random_table(2, vocab, seed, levels))
    [each] = translate(model, WORDS, WORDS, ["the"], Search(beam=1))
    searched, model.answers = model.answers, 0
    assert each.found[0].tokens == greedily(model, 14)
    assert searched == model.answers


# ---------------------------------------------------------------------------------------- horizons


def test_a_line_beyond_the_horizon_is_cut_with_a_warning() -> None:
    model = Copier(len(WORDS), context_length=4)
    lines = ["the frog", "", "the old frog sees it", "it sees it"]
    with pytest.warns(UserWarning, match=r"line 3 is cut: it has 6 tokens, .* reads 4") as seen:
        found = [*translate(model, WORDS, WORDS, lines)]
    assert len(seen) == 1
    assert texts(iter(found)) == ["the frog", "", "the old frog", "it sees it"]
    assert found[2].source.text == lines[2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(translate(Copier(len(WORDS)), WORDS, WORDS, lines))[2] == lines[2]


def test_a_model_with_a_horizon_is_never_asked_beyond_it() -> None:
    model = random_model(
        "transformer", len(WORDS), width=8, positions="learned", context_length=5, layers=1
    )
    with pytest.warns(UserWarning, match="is cut"):
        found = [*translate(model, WORDS, WORDS, LINES, Search(max_ratio=9.0))]
    assert max(len(each.found[0].tokens) for each in found) <= 5
    with pytest.warns(UserWarning, match="is cut"), pytest.raises(DataError, match="line 1: the"):
        list(score_targets(model, WORDS, WORDS, zip(LINES, LINES)))


def test_as_much_as_the_horizon_is_said_and_scored() -> None:
    model = random_model(
        "transformer", len(WORDS), width=8, positions="learned", context_length=5, layers=1
    )
    draw = Search(draw=partial(chooser, 1.0, None, None), max_ratio=9.0, align=True)
    found = [*translate(model, WORDS, WORDS, ["the old frog it"] * 20, draw)]
    assert max(len(each.found[0].tokens) for each in found) == 5
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


def test_no_more_is_read_of_a_line_than_is_asked_for() -> None:
    model = Copier(len(WORDS))
    lines = ["the old frog sees it", "the frog"]
    asked = r"line 1 is cut: it has 6 tokens, and the model reads 3 \(--max-input-length\)"
    for search in (Search(max_input_length=3), Search(max_input_length=3, replace_unk=True)):
        with pytest.warns(UserWarning, match=asked):
            assert texts(translate(model, WORDS, WORDS, lines, search)) == ["the old", "the frog"]
    with pytest.warns(UserWarning, match=asked):
        [one, _] = score_targets(model, WORDS, WORDS, zip(lines, lines), max_input_length=3)
    assert one.source.text == lines[0]
    assert len(one.source.pieces) == 3
    with pytest.warns(UserWarning, match="the model reads 1000"):
        [one] = translate(model, WORDS, WORDS, ["frog " * 1000])
    assert len(one.found[0].tokens) == 1000


# ----------------------------------------------------------------------------------- given targets


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_given_targets_are_scored_token_by_token(model: Translator, batch_size: int) -> None:
    pairs = [*zip(LINES, reversed(LINES))]
    scored = [*score_targets(model, WORDS, WORDS, iter(pairs), batch_size, align=True)]
    assert [(one.source.text, one.target.text) for one in scored] == pairs
    for one in scored:
        line = Block(f"{one.source.text}\n".encode(), "", 1)
        source = torch.tensor([WORDS.encode(line).tolist()])
        with torch.no_grad():
            state = model.start(source, torch.tensor([source.shape[1]]))
            for at, token in enumerate(one.target.tokens):
                log_prob = model.log_probs(state)[0, token].item()
                assert one.log_probs[at] == pytest.approx(log_prob, abs=1e-12)
                behind = model.alignment(state)
                assert behind is not None
                assert one.alignment is not None
                torch.testing.assert_close(one.alignment[at], behind[0])
                state = model.advance(state, torch.tensor([[token]]))
        assert one.target.tokens[-1] == EOS
        assert len(one.log_probs) == one.target.length == len(one.target.pieces)


def test_what_a_search_found_is_scored_as_it_was_found(model: Translator) -> None:
    assert isinstance(model, TranslationNetwork)
    model.output_layer.get_parameter("bias").data[EOS] += 3
    found = [*translate(model, WORDS, WORDS, LINES, Search(max_ratio=0.5))]
    ended = [each for each in found if each.found[0].tokens[-1:] == [EOS]]
    scored = score_targets(
        model, WORDS, WORDS, [(each.source.text, each.found[0].text) for each in ended]
    )
    assert ended
    for each, one in zip(ended, scored, strict=True):
        if UNK not in one.target.tokens:
            assert one.target.tokens == each.found[0].tokens
            assert sum(one.log_probs) == pytest.approx(each.found[0].log_prob)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_a_pair_with_a_reserved_word_is_refused_and_named(batch_size: int) -> None:
    model = Copier(len(WORDS))
    pairs = [("it", "it")] * 5
    for pair, side in ((("the </s>", "it"), "source"), (("it", "<s>"), "target")):
        with pytest.raises(DataError, match=f"the {side}, line 6: the token </?s>"):
            list(score_targets(model, WORDS, WORDS, [*pairs, pair], batch_size))


def test_long_targets_share_a_batch_with_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = Copier(len(WORDS)), []
    start = model.start

    def seen(source: Tensor, lengths: Tensor) -> Read:
        rows.append(len(source))
        return start(source, lengths)

    monkeypatch.setattr(model, "start", seen)
    pairs = [("it", "the")] * 4 + [("it", "the " * (2 * ROOM - 1))] * 4
    list(score_targets(model, WORDS, WORDS, pairs, batch_size=4))
    assert rows == [4, 2, 2]


def test_coverage_is_of_the_own_source_alone() -> None:
    """Beside a longer line, padding would count as words nobody looked at."""
    model = random_model("gru", len(WORDS), width=8)
    search = Search(beam=2, coverage_penalty=1.0, length_penalty=0.0, max_ratio=0.5)
    [alone] = translate(model, WORDS, WORDS, LINES[2:3], search)
    source = torch.tensor([alone.source.tokens])
    with torch.no_grad():
        start = model.start(source, torch.tensor([2]))
        [[best, *_]] = beam_search(
            model, start, 2, 1 + SPARE, EOS, coverage_penalty=1.0, length_penalty=0.0
        )
    together = [*translate(model, WORDS, WORDS, LINES, search)][2]
    assert together.found[0].score == pytest.approx(best.score, abs=1e-12)
    assert together.found[0].tokens == best.tokens.tolist()
