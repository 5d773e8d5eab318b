"""Figures of translations: against their equations, and against a translator who only repeats."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqlm.decoding.token_choice import chooser
from seqlm.decoding.translation_search import Search, translate
from seqlm.errors import DataError, ModelError, UsageError
from seqlm.evaluation.exposure import asked
from seqlm.evaluation.perplexity import check_metrics
from seqlm.evaluation.translation_quality import METRICS, Evaluation, bleu, chrf, evaluate
from seqlm.models import model_class
from seqlm.models.base import Translator
from seqlm.runs.load_model import LoadedModel
from seqlm.text.bitext import Side, learn_tokenizer, read_side
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS
from tests.evaluation.fixed import loaded

HYPOTHESES = ["the black cat sees a bird here", "we often look at the old house", "she sings"]
REFERENCES = [
    "the black cat sees the bird there",
    "we look at the old house often",
    "she sings too",
]

# ---------------------------------------------------------------------------- the equations


def grams(tokens, n):
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def shared(some, other):
    return sum((some & other).values())


def bleu_by_hand(hypotheses, references):
    pairs = [(h.split(), r.split()) for h, r in zip(hypotheses, references, strict=True)]
    c, r = (sum(len(pair[side]) for pair in pairs) for side in (0, 1))
    logs = 0.0
    for n in (1, 2, 3, 4):
        right = sum(shared(grams(h, n), grams(r, n)) for h, r in pairs)
        logs += math.log(right / sum(grams(h, n).total() for h, _ in pairs)) / 4
    return 100 * min(1, math.exp(1 - r / c)) * math.exp(logs)


def chrf_by_hand(hypotheses, references):
    precisions, recalls = [], []
    for n in range(1, 7):
        pairs = [
            (grams(h.replace(" ", ""), n), grams(r.replace(" ", ""), n))
            for h, r in zip(hypotheses, references, strict=True)
        ]
        right = sum(shared(h, r) for h, r in pairs)
        precisions.append(right / sum(h.total() for h, _ in pairs))
        recalls.append(right / sum(r.total() for _, r in pairs))
    p, r = sum(precisions) / 6, sum(recalls) / 6
    return 100 * 5 * p * r / (4 * p + r)


def test_bleu_is_its_equation():
    score = bleu(HYPOTHESES, REFERENCES).score
    assert 10 < score < 90
    assert score == pytest.approx(bleu_by_hand(HYPOTHESES, REFERENCES))


def test_short_translations_are_penalised():
    short = [line.rsplit(" ", 1)[0] for line in REFERENCES]
    assert bleu(short, REFERENCES).score == pytest.approx(bleu_by_hand(short, REFERENCES))
    assert bleu(short, REFERENCES).score == pytest.approx(100 * math.exp(1 - 17 / 14))


def test_chrf_is_its_equation():
    score = chrf(HYPOTHESES, REFERENCES).score
    assert score == pytest.approx(chrf_by_hand(HYPOTHESES, REFERENCES))


@pytest.mark.parametrize("figure", [bleu, chrf])
def test_the_reference_itself_has_100_and_nothing_has_0(figure):
    assert figure(REFERENCES, REFERENCES).score == pytest.approx(100)
    assert figure([""] * 3, REFERENCES).score == 0


def test_signatures_are_those_of_sacrebleu():
    assert bleu(HYPOTHESES, REFERENCES).signature.startswith(
        "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"
    )
    assert chrf(HYPOTHESES, REFERENCES).signature.startswith(
        "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:"
    )


def test_text_that_is_cut_into_tokens_is_nothing_to_remark_on(capfd):
    bleu(["he sleeps ."] * 200, ["he sleeps ."] * 200)
    assert capfd.readouterr().err == ""


def test_without_sacrebleu_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UsageError, match=r"pip install 'seqlm\[translate\]'"):
        bleu(HYPOTHESES, REFERENCES)


# ------------------------------------------------------------------------------- a translator


class Parrot(Translator):
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
def parrot(tmp_path) -> tuple[LoadedModel, Side]:
    text = side(tmp_path, "source", SOURCE)
    tokenizer = learn_tokenizer([text], "word")
    return loaded(Parrot(len(tokenizer)), tokenizer), text


def test_a_parrot_is_right_where_nothing_is_to_be_translated(parrot):
    model, text = parrot
    found = evaluate([model], text, text, ["bleu", "chrf", "ppl"], Search())
    scores = {name: figure.score for name, figure in found.figures.items()}
    assert scores == pytest.approx({"bleu": 100, "chrf": 100, "ppl": 1 / 0.8})
    assert found.tally.tokens == found.source.tokens == sum(len(x.split()) + 1 for x in SOURCE)
    assert found.tally.lines == len(SOURCE)


def test_what_the_parrot_gets_wrong_costs(parrot, tmp_path):
    model, text = parrot
    target = side(tmp_path, "target", [*SOURCE[:-1], "we sing and see"])
    found = evaluate([model], text, target, ["ppl", "bits-per-token", "bleu"], Search())
    types = len(model.tokenizer)
    right, wrong = found.tally.tokens - 1, math.log(0.2 / (types - 1))
    assert found.tally.oov == 1
    nats = -(right * math.log(0.8) + wrong) / (right + 1)
    assert found.figures["ppl"].score == pytest.approx(math.exp(nats))
    assert found.figures["bits-per-token"].score == pytest.approx(nats / math.log(2))
    assert 50 < found.figures["bleu"].score < 100


def test_signatures_tell_units_search_and_model(parrot):
    model, text = parrot
    search = Search(beam=3, normalisation="gnmt", length_penalty=0.6, coverage_penalty=0.2)
    figures = evaluate([model], text, text, ["ppl", "bleu"], search).figures
    digest = model.tokenizer.digest
    for part in (
        f"unit:word|vocab:{len(model.tokenizer)}.{digest}",
        "given:source.word",
        "eos:scored",
    ):
        assert part in figures["ppl"].signature
    assert "tok:13a" in figures["bleu"].signature
    assert "|beam:3|length:gnmt.0.6|coverage:0.2|max-ratio:2|" in figures["bleu"].signature
    assert all("arch:parrot|weights:0123456789ab" in one.signature for one in figures.values())


def test_a_name_nobody_knows_is_refused():
    assert check_metrics(["bleu,ppl", "bleu"], METRICS) == ["bleu", "ppl"]
    with pytest.raises(UsageError, match="did you mean 'bleu'"):
        check_metrics(["blue"], METRICS)


def test_sides_of_unequal_length_are_refused(parrot, tmp_path):
    model, text = parrot
    with pytest.raises(DataError, match=r"source has 5 lines, .*target has 4: line n"):
        evaluate([model], text, side(tmp_path, "target", SOURCE[:4]), ["ppl"], Search())


def test_nothing_but_empty_lines_is_no_text(parrot, tmp_path):
    model, text = parrot
    with pytest.raises(DataError, match=r"no text .*target: nothing"):
        evaluate([model], text, side(tmp_path, "target", [""] * 5), ["ppl"], Search())


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


def figures(model: LoadedModel, sides: tuple[Side, Side], batch_size: int) -> Evaluation:
    return evaluate([model], *sides, ["ppl", "bleu", "chrf"], Search(beam=3), batch_size)


def ids(tokenizer: Tokenizer, line: str) -> list[int]:
    return [tokenizer.id_of_type[character.encode()] for character in line] + [EOS]


def test_perplexity_is_that_of_one_token_after_another(gru, sides):
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
    found = figures(gru, sides, 64)
    assert found.tally.tokens == tokens
    assert found.figures["ppl"].score == pytest.approx(math.exp(nats / tokens), rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_no_figure_depends_on_the_batch_size(batch_size, gru, sides):
    some, all_at_once = figures(gru, sides, batch_size), figures(gru, sides, 64)
    for name, figure in some.figures.items():
        assert figure.score == pytest.approx(all_at_once.figures[name].score, rel=1e-12)
        assert figure.signature == all_at_once.figures[name].signature


# ---------------------------------------------------------------------------------- exposure bias


def test_exposure_is_the_mean_divergence_behind_true_and_own_prefixes(gru, sides):
    """One pair after the other, with no padding; the model's own are the samples of `translate`."""
    oracle = random_gru(sides, seed=2)._replace(weights_digest="oracle")
    found = evaluate([gru], *sides, ["exposure", "kl-true-prefix"], Search(), oracle=oracle, seed=3)
    pairs = [(x, y) for x, y in zip(*(side.lines for side in sides), strict=True) if x.strip()]
    lines, texts = zip(*pairs)
    drawn = Search(draw=chooser, seed=3, max_ratio=1000.0)
    samples = translate(gru.model, gru.source_tokenizer, gru.tokenizer, lines, drawn)
    true = [ids(gru.tokenizer, text) for text in texts]
    means = []
    for targets in (true, [one.found[0].tokens[:64] for one in samples]):
        nats = []
        for line, target in zip(lines, targets, strict=True):
            read = torch.tensor([ids(gru.source_tokenizer, line)])
            nats += divergences(gru.model, oracle.model, read, target)
        means.append(sum(nats) / len(nats))
    behind_true, behind_own = means
    assert found.figures["kl-true-prefix"].score == pytest.approx(behind_true, rel=1e-9)
    excess = 100 * (behind_own / behind_true - 1)
    assert found.figures["exposure"].score == pytest.approx(excess, rel=1e-9)
    assert found.figures["exposure"].signature.endswith("|oracle:grutranslator.oracle|seed:3")


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


def test_exposure_needs_an_oracle_of_the_same_vocabulary(gru, parrot, sides):
    with pytest.raises(UsageError, match="measured against an --oracle"):
        asked(["bleu", "exposure"], False)
    with pytest.raises(UsageError, match="--oracle is what"):
        asked(["bleu"], True)
    with pytest.raises(ModelError, match="not have the same vocabularies"):
        evaluate([gru], *sides, ["exposure"], Search(), oracle=parrot[0])
