"""Lines scored from Python: log-probabilities, surprisals, and weights that do not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seqlm.errors import UsageError
from seqlm.evaluation.mixtures.mixture_scoring import (
    LoadedMixture,
    MixtureScorer,
    score_lines,
    sum_lines,
)
from seqlm.evaluation.mixtures.mixture_weights import check_weights
from seqlm.evaluation.surprisal import line_surprisals
from seqlm.models import model_class
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED
from tests.evaluation.fixed import Fixed, loaded

WORDS = Tokenizer("word", [*RESERVED, b"a", b"b"])
P = {"<unk>": 0.1, "</s>": 0.2, "a": 0.3, "b": 0.4}
LINES = ["a b", "", "b c a"]


def mixture(context: str = "carried") -> LoadedMixture:
    return LoadedMixture.of([loaded(Fixed(list(P.values())), WORDS, context)])


@pytest.mark.parametrize("context", ["carried", "sentence"])
def test_lines_have_the_probability_of_their_tokens_and_their_end(context):
    expected = [
        sum(math.log(P.get(word, P["<unk>"])) for word in [*line.split(), "</s>"]) for line in LINES
    ]
    assert list(score_lines(mixture(context), LINES)) == pytest.approx(expected)
    assert list(score_lines(mixture(context), [])) == []


def test_a_line_cut_into_blocks_has_one_score():
    torch.manual_seed(1)
    network = model_class("lm", "lstm").from_settings({"vocab_size": len(WORDS), "width": 5})
    models = LoadedMixture.of([loaded(network.double(), WORDS)])
    whole = list(score_lines(models, ["a b a b", "b"]))
    blocks = [Block(b"a b", "text", 1), Block(b" a b\nb\n", "text", 1)]
    assert list(sum_lines(MixtureScorer(models).score_text(blocks))) == pytest.approx(whole)


def test_surprisals_of_lines_sum_to_their_bits():
    rows = list(line_surprisals(mixture(), LINES))
    assert [row.token for row in rows] == ["a", "b", "</s>", "</s>", "b", "c", "a", "</s>"]
    assert [row.oov for row in rows] == [0, 0, 0, 0, 0, 1, 0, 0]
    for number, log_prob in enumerate(score_lines(mixture(), LINES), 1):
        bits = sum(row.surprisal for row in rows if row.sentence_id == number)
        assert bits == pytest.approx(-log_prob / math.log(2))


def test_given_weights_are_checked_and_missing_ones_are_equal():
    models = [loaded(Fixed(list(P.values())), WORDS, name=name) for name in ("one", "two")]
    assert LoadedMixture.of(models).weights == [0.5, 0.5]
    np.testing.assert_allclose(LoadedMixture.of(models, [0.2, 0.8]).weights, [0.2, 0.8])
    for weights, message in (
        ([0.5], "2 models take 2 weights"),
        ([0.5, 0.6], "sum to 1.1 instead of 1"),
        ([1.5, -0.5], "every weight is a number of 0 or more"),
        ([math.nan, 1.0], "every weight is a number of 0 or more"),
    ):
        with pytest.raises(UsageError, match=message):
            LoadedMixture.of(models, weights)
    with pytest.raises(UsageError, match="weighs several models"):
        check_weights([1.0], 1)
    with pytest.raises(UsageError, match="weighs several models"):
        LoadedMixture.of(models[:1], [0.3])
