"""Figures against their definitions, on a model whose every probability is known."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from seqlm.errors import DataError
from seqlm.evaluation import perplexity
from seqlm.evaluation.evaluate import score_files
from seqlm.evaluation.metrics import METRICS
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.evaluation.perplexity import Tally
from seqlm.evaluation.scoring import Scorer, validation_loss
from seqlm.evaluation.surprisal import token_surprisals
from seqlm.models import model_class
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED
from tests.evaluation.fixed import Fixed, loaded


def evaluated(tmp_path, tokenizer, text: bytes, probabilities, context="carried"):
    path = tmp_path / "text.txt"
    path.write_bytes(text)
    mix = LoadedMixture.of([loaded(Fixed(probabilities), tokenizer, context)])
    tally = Tally()
    scored = list(score_files(mix, [str(path)], tally))
    return tally, scored


WORDS = Tokenizer("word", [*RESERVED, b"a", "b\u00e9".encode()])


@pytest.mark.parametrize("context", ["carried", "sentence"])
def test_every_figure_by_hand(tmp_path, context):
    # a bé </s> | </s> | zzé <unk> a </s>: 8 tokens, one OOV of 4 bytes, one literal <unk>.
    text = "a  b\u00e9\r\n\n zz\u00e9\t<unk> a".encode()
    p = {"unk": 0.1, "eos": 0.4, "a": 0.3, "b": 0.2}
    tally, _ = evaluated(tmp_path, WORDS, text, list(p.values()), context)
    nats = -(2 * math.log(p["a"]) + math.log(p["b"]) + 3 * math.log(p["eos"])
             + 2 * math.log(p["unk"]))  # fmt: skip
    known = nats + 2 * math.log(p["unk"])
    assert (tally.tokens, tally.lines, tally.oov, tally.literal_unk) == (8, 3, 1, 1)
    as_given_back = "a b\u00e9\n\nzz\u00e9 <unk> a\n"
    assert tally.bytes == len(as_given_back.encode())
    assert tally.characters == len(as_given_back)
    bits = nats / math.log(2) + 8 * (4 + 1)
    expected = {
        "cross-entropy": nats / 8,
        "ppl": math.exp(nats / 8),
        "ppl-excluding": math.exp(known / 6),
        "bits-per-token": nats / 8 / math.log(2),
        "bits-per-byte": bits / tally.bytes,
        "bits-per-char": bits / tally.characters,
    }
    computed = {n: m.of_tally(tally) for n, m in METRICS.items() if m.of_tally}
    assert computed == pytest.approx(expected)


def test_an_unknown_character_costs_eight_bits_a_byte(tmp_path):
    characters = Tokenizer("char", [*RESERVED, b"a", b" "])
    tally, _ = evaluated(tmp_path, characters, "a \u20ac\n".encode(), [0.25] * 4)
    assert tally.tokens == 4
    assert tally.bytes == 6
    assert tally.characters == 4
    assert perplexity.bits_per_byte(tally) == pytest.approx((4 * 2 + 8 * 3) / 6)


def test_probability_zero_is_an_infinite_perplexity(tmp_path):
    tally, _ = evaluated(tmp_path, WORDS, b"zz\n", [0.0, 0.5, 0.25, 0.25])
    assert perplexity.perplexity(tally) == math.inf
    assert perplexity.perplexity_excluding_unknown(tally) == pytest.approx(2.0)


def test_surprisals_sum_to_the_bits_and_offsets_point_at_the_tokens(tmp_path):
    text = "a  b\u00e9\n\n zz\u00e9 a\n"
    tally, scored = evaluated(tmp_path, WORDS, text.encode(), [0.1, 0.4, 0.3, 0.2])
    table = [row._asdict() for row in token_surprisals(scored, WORDS)]
    assert sum(row["surprisal"] for row in table) == pytest.approx(-tally.log_prob / math.log(2))
    assert [row["token"] for row in table] == [
        "a",
        "b\u00e9",
        "</s>",
        "</s>",
        "zz\u00e9",
        "a",
        "</s>",
    ]
    assert [row["sentence_id"] for row in table] == [1, 1, 1, 2, 3, 3, 3]
    assert [row["token_id"] for row in table] == [1, 2, 3, 1, 1, 2, 3]
    assert [row["oov"] for row in table] == [0, 0, 0, 0, 1, 0, 0]
    lines = text.split("\n")
    for row in table:
        line = lines[row["sentence_id"] - 1]
        expected = "" if row["token"] == "</s>" else row["token"]
        assert line[row["start"] : row["end"]] == expected


def test_no_text_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no text"):
        evaluated(tmp_path, WORDS, b"", [0.25] * 4)


@pytest.mark.parametrize("arch", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("context", ["carried", "sentence"])
def test_scores_do_not_depend_on_how_the_text_is_cut(arch, context, monkeypatch):
    torch.manual_seed(1)
    model = model_class("lm", arch).from_settings({"vocab_size": 9, "width": 5}).eval()
    rng = np.random.default_rng(1)
    ids = rng.choice(9, 300, p=[0.1, 0.2, *[0.1] * 7]).astype(np.int32)
    whole = Scorer(model, context, batch_size=64)(ids).log_probs
    assert len(whole) == 300
    monkeypatch.setattr("seqlm.models.base.SEGMENT", 7)
    cuts = [0, 1, 2, 40, 41, 200, 299, 300]
    for batch_size in (1, 7, 64):
        scorer = Scorer(model, context, batch_size)
        pieces = [scorer(ids[a:b]).log_probs for a, b in pairwise(cuts)]
        np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)
    # The oracle: one token at a time, by the two basic verbs.
    state, expected = None, []
    for id in ids.tolist():
        if state is None:
            state = model.start(1)
        with torch.no_grad():
            expected.append(float(model.log_probs(state)[0, id]))
            state = model.advance(state, torch.tensor([[id]]))
        if id == 1 and context == "sentence":
            state = None
    np.testing.assert_allclose(whole, expected, atol=1e-5)


def test_validation_inside_training_changes_neither_mode_nor_random_state():
    torch.manual_seed(1)
    model = model_class("lm", "lstm").from_settings(
        {"vocab_size": 9, "width": 5, "dropout_output": 0.5}
    )
    ids = np.random.default_rng(1).integers(0, 9, 400).astype(np.int32)
    before = torch.get_rng_state()
    model.train()
    loss = validation_loss(model, ids, "carried", rows=1)
    assert model.training
    assert torch.equal(before, torch.get_rng_state())
    exact = -Scorer(model.eval(), "carried")(ids).log_probs.mean()
    assert loss == pytest.approx(exact, abs=1e-6)
    assert validation_loss(model, ids, "carried", rows=4) == pytest.approx(exact, abs=1e-6)
    assert not model.training
