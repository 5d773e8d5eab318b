"""Evaluation of translators: against a translator who only repeats, and step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.translation.translation_search import translate
from seqlm.errors import DataError, ModelError
from seqlm.evaluation.evaluate_translator import TranslatorEvaluation, evaluate_translator
from seqlm.evaluation.metrics import METRICS
from seqlm.models import model_class
from seqlm.models.base import Translator
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.text.bitext import Side, learn_tokenizer, read_side
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS
from tests.evaluation.fixed import loaded


def evaluated(
    models: Sequence[LoadedModel],
    source: Side,
    target: Side,
    metrics: Sequence[str],
    settings: TranslationSettings = TranslationSettings(),  # noqa: B008
    batch_size: int = 64,
    oracle: LoadedModel | None = None,
    seed: int = 1,
) -> TranslatorEvaluation:
    wanted = [METRICS[name] for name in metrics]
    return evaluate_translator(models, source, target, wanted, settings, oracle, seed, batch_size)


# ------------------------------------------------------------------------------- a translator


class Copier(Translator):
    """Repeats its source: each token of it has probability 0.8, every other what is left."""

    def __init__(self, types: int) -> None:
        super().__init__(None)
        self.register_buffer("types", torch.tensor(types))

    def start(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return source, torch.zeros(len(source), dtype=torch.long)

    def log_probs(self, state: tuple[Tensor, Tensor]) -> Tensor:
        source, place = state
        types = int(self.types)
        p = torch.full((len(source), types), 0.2 / (types - 1), dtype=torch.float64)
        right = source.gather(1, place.clamp(max=source.shape[1] - 1)[:, None])
        return p.scatter(1, right, 0.8).log()

    def advance(self, state: tuple[Tensor, Tensor], tokens: Tensor) -> tuple[Tensor, Tensor]:
        return state[0], state[1] + tokens.shape[1]


def side(folder: Path, name: str, lines: list[str]) -> Side:
    (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return read_side([str(folder / name)])


SOURCE = ["a cat sees a bird", "", "the old house", "we sing", "we sing and sing"]


@pytest.fixture
def copier(tmp_path) -> tuple[LoadedModel, Side]:
    text = side(tmp_path, "source", SOURCE)
    tokenizer = learn_tokenizer([text], "word")
    return loaded(Copier(len(tokenizer)), tokenizer), text


def test_a_copier_is_right_where_source_and_target_are_equal(copier):
    model, text = copier
    evaluation = evaluated([model], text, text, ["bleu", "chrf", "ppl"])
    scores = {name: score.value for name, score in evaluation.scores.items()}
    assert scores == pytest.approx({"bleu": 100, "chrf": 100, "ppl": 1 / 0.8})
    assert (
        evaluation.tally.tokens
        == evaluation.source_tally.tokens
        == sum(len(x.split()) + 1 for x in SOURCE)
    )
    assert evaluation.tally.lines == len(SOURCE)


def test_a_wrong_token_costs_its_probability(copier, tmp_path):
    model, text = copier
    target = side(tmp_path, "target", [*SOURCE[:-1], "we sing and see"])
    evaluation = evaluated(
        [model],
        text,
        target,
        ["ppl", "bits-per-token", "bleu"],
    )
    types = len(model.tokenizer)
    right, wrong = evaluation.tally.tokens - 1, math.log(0.2 / (types - 1))
    assert evaluation.tally.oov == 1
    nats = -(right * math.log(0.8) + wrong) / (right + 1)
    assert evaluation.scores["ppl"].value == pytest.approx(math.exp(nats))
    assert evaluation.scores["bits-per-token"].value == pytest.approx(nats / math.log(2))
    assert 50 < evaluation.scores["bleu"].value < 100


def test_signatures_tell_units_search_and_model(copier):
    model, text = copier
    search = TranslationSettings(
        beam=3,
        normalization="gnmt",
        length_penalty=0.6,
        coverage_penalty=0.2,
        beam_threshold=1.5,
        precision="bfloat16",
    )
    figures = evaluated([model], text, text, ["ppl", "bleu"], search).scores
    digest = model.tokenizer.digest
    for part in (
        f"unit:word|vocab:{len(model.tokenizer)}.{digest}",
        "given:source.word",
        "eos:scored",
    ):
        assert part in figures["ppl"].signature
    assert "tok:13a" in figures["bleu"].signature
    found_by = "|beam:3|length:gnmt.0.6|coverage:0.2|threshold:1.5|max-ratio:2|precision:bfloat16|"
    assert found_by in figures["bleu"].signature
    assert all("arch:copier|weights:0123456789ab" in one.signature for one in figures.values())


def test_sides_of_unequal_length_are_refused(copier, tmp_path):
    model, text = copier
    with pytest.raises(DataError, match=r"source has 5 lines, .*target has 4: line n"):
        evaluated(
            [model],
            text,
            side(tmp_path, "target", SOURCE[:4]),
            ["ppl"],
        )


def test_nothing_but_empty_lines_is_no_text(copier, tmp_path):
    model, text = copier
    with pytest.raises(DataError, match=r"no text .*target: nothing"):
        evaluated([model], text, side(tmp_path, "target", [""] * 5), ["ppl"])


# ---------------------------------------------------------------------------- a neural translator


@pytest.fixture(scope="module")
def sides(tmp_path_factory) -> tuple[Side, Side]:
    folder = tmp_path_factory.mktemp("sides")
    return (
        side(folder, "source", ["a b c", "", "d", "c c a b d a", "b", "a a"] * 3),
        side(folder, "target", ["v w", "w", "x y w w", "", "v v", "y"] * 3),
    )


@pytest.fixture(scope="module")
def gru(sides) -> LoadedModel:
    return random_gru(sides, seed=1)


def random_gru(sides: tuple[Side, Side], seed: int) -> LoadedModel:
    """Random weights, and a vocabulary for each side."""
    reads, writes = (learn_tokenizer([one], "char") for one in sides)
    torch.manual_seed(seed)
    settings = {"vocab_size": len(writes), "source_vocab_size": len(reads), "width": 8}
    model = model_class("translation", "gru").from_settings(settings).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    made = loaded(model, writes)
    return made._replace(source_tokenizer=reads)


def figures(model: LoadedModel, sides: tuple[Side, Side], batch_size: int) -> TranslatorEvaluation:
    return evaluated(
        [model], *sides, ["ppl", "bleu", "chrf"], TranslationSettings(beam=3), batch_size
    )


def ids(tokenizer: Tokenizer, line: str) -> list[int]:
    return [tokenizer.id_of_type[character.encode()] for character in line] + [EOS]


def test_perplexity_equals_that_of_a_loop_over_tokens(gru, sides):
    """Pair by pair and step by step, with no batch, no padding and no call to `score`."""
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for source, target in zip(sides[0].lines, sides[1].lines, strict=True):
            read = torch.tensor([ids(gru.source_tokenizer, source)])
            state = gru.model.start(read, torch.tensor([read.shape[1]]))
            for token in ids(gru.tokenizer, target):
                nats -= gru.model.log_probs(state)[0, token].item()
                tokens += 1
                state = gru.model.advance(state, torch.tensor([[token]]))
    evaluation = figures(gru, sides, 64)
    assert evaluation.tally.tokens == tokens
    assert evaluation.scores["ppl"].value == pytest.approx(math.exp(nats / tokens), rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_no_figure_depends_on_the_batch_size(batch_size, gru, sides):
    some, all_at_once = figures(gru, sides, batch_size), figures(gru, sides, 64)
    for name, score in some.scores.items():
        assert score.value == pytest.approx(all_at_once.scores[name].value, rel=1e-12)
        assert score.signature == all_at_once.scores[name].signature


# ---------------------------------------------------------------------------------- exposure bias


def test_exposure_is_the_mean_divergence_after_true_and_sampled_prefixes(gru, sides):
    """Pair by pair, with no padding; the own prefixes are the samples of `translate`."""
    oracle = random_gru(sides, seed=2)._replace(weights_digest="oracle")
    evaluation = evaluated([gru], *sides, ["exposure", "kl-true-prefix"], oracle=oracle, seed=3)
    pairs = [(x, y) for x, y in zip(*(side.lines for side in sides), strict=True) if x.strip()]
    lines, texts = zip(*pairs)
    drawn = TranslationSettings(sample=True, seed=3, max_length_ratio=1000.0)
    samples = translate(gru.model, gru.source_tokenizer, gru.tokenizer, lines, drawn)
    true = [ids(gru.tokenizer, text) for text in texts]
    means = []
    for targets in (true, [one.best.tokens[:64] for one in samples]):
        nats = []
        for line, target in zip(lines, targets, strict=True):
            read = torch.tensor([ids(gru.source_tokenizer, line)])
            nats += divergences(gru.model, oracle.model, read, target)
        means.append(sum(nats) / len(nats))
    behind_true, behind_own = means
    assert evaluation.scores["kl-true-prefix"].value == pytest.approx(behind_true, rel=1e-9)
    excess = 100 * (behind_own / behind_true - 1)
    assert evaluation.scores["exposure"].value == pytest.approx(excess, rel=1e-9)
    assert evaluation.scores["exposure"].signature.endswith("|oracle:grutranslator.oracle|seed:3")


@torch.no_grad()
def divergences(model: Translator, oracle: Translator, read: Tensor, ids: list[int]) -> list[float]:
    """KL(oracle || model) before each of `ids` but the first."""
    nats = []
    states = [one.start(read, torch.tensor([read.shape[1]])) for one in (model, oracle)]
    for token in ids[:-1]:
        step = torch.tensor([[token]])
        states = [one.advance(state, step) for one, state in zip((model, oracle), states)]
        p, o = (one.log_probs(state)[0] for one, state in zip((model, oracle), states))
        nats.append(float((o.exp() * (o - p)).sum()))
    return nats


def test_exposure_needs_an_oracle_of_the_same_vocabulary(gru, copier, sides):
    with pytest.raises(ModelError, match="not have the same vocabularies"):
        evaluated([gru], *sides, ["exposure"], oracle=copier[0])
