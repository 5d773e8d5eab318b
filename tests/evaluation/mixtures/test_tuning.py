"""Weights and constants against a search over all of them, and the text they may be tuned on."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqlm.errors import DataError, ModelError, UsageError
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
from seqlm.evaluation.adaptation.candidates import (
    TEMPERATURES,
    Candidates,
    Columns,
    beyond_the_edge,
    make_candidates,
    read_columns,
)
from seqlm.evaluation.adaptation.dynamic_evaluation import AdaptiveScorer, FeatureReader, UpdateRule
from seqlm.evaluation.evaluate import score_files
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, MixtureScorer
from seqlm.evaluation.mixtures.mixture_weights import em_step, fit_weights, round_weights
from seqlm.evaluation.mixtures.tuning import (
    HeldOutText,
    check_held_out,
    fit,
    hill_climb,
    read_held_out,
    search_candidates,
    tune,
)
from seqlm.evaluation.perplexity import Tally, perplexity
from seqlm.evaluation.scoring import Scorer
from seqlm.models import model_class
from seqlm.models.base import LanguageNetwork
from seqlm.models.wrappers.neural_cache import NeuralCacheConfig
from seqlm.models.wrappers.temperature import with_temperature
from seqlm.text.reading import read_blocks
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED
from tests.evaluation.fixed import Fixed, loaded

PROBABILITIES = st.integers(2, 4).flatmap(
    lambda models: arrays(float, st.tuples(st.integers(1, 30), st.just(models)),
                          elements=st.floats(1e-3, 1))
)  # fmt: skip


def log_likelihood(weights: np.ndarray, probabilities: np.ndarray) -> float:
    return float(np.log(probabilities @ weights).sum())


# ----------------------------------------------------------------------------------------------- EM


@given(PROBABILITIES)
def test_no_step_makes_the_text_less_probable(probabilities):
    weights = np.full(probabilities.shape[1], 1 / probabilities.shape[1])
    for _ in range(20):
        better = em_step(weights, probabilities)
        assert better.sum() == pytest.approx(1)
        before, after = (log_likelihood(w, probabilities) for w in (weights, better))
        assert after >= before - 1e-12 * abs(before)
        weights = better


@pytest.mark.parametrize("models", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_no_weights_of_a_grid_are_better(models, seed):
    probabilities = np.random.default_rng(seed).beta(0.5, 3, (200, models)) + 1e-6
    weights, steps = fit_weights(probabilities)
    assert steps < 1000
    fine = np.linspace(0, 1, 101)
    grid = [
        np.array([*some, 1 - sum(some)])
        for some in itertools.product(fine, repeat=models - 1)
        if sum(some) <= 1 + 1e-9
    ]
    best = max(grid, key=lambda each: log_likelihood(each.clip(0), probabilities))
    assert log_likelihood(weights, probabilities) >= log_likelihood(best.clip(0), probabilities)
    np.testing.assert_allclose(weights, best, atol=0.02)


def test_a_model_that_is_always_worse_gets_weight_zero():
    better = np.random.default_rng(1).uniform(0.1, 1, 50)
    weights, _ = fit_weights(np.stack([better, better / 2], 1))
    np.testing.assert_allclose(weights, [1, 0], atol=1e-6)


def test_equal_models_stay_equal_and_scale_does_not_matter():
    p = np.random.default_rng(1).uniform(0.1, 1, (50, 1))
    np.testing.assert_allclose(fit_weights(np.concatenate([p, p], 1))[0], [0.5, 0.5])
    pair = np.random.default_rng(2).uniform(0.1, 1, (50, 2))
    np.testing.assert_allclose(fit_weights(pair * p)[0], fit_weights(pair)[0], atol=1e-6)


@given(arrays(float, st.integers(1, 6), elements=st.floats(1e-9, 1)))
def test_rounded_weights_sum_to_one(weights):
    short = round_weights(weights / weights.sum())
    assert math.fsum(short) == pytest.approx(1, abs=1e-12)
    assert [float(f"{weight:.6g}") for weight in short] == short
    assert min(short) >= 0


# ------------------------------------------------------------------------------------------- a text

WORDS = Tokenizer("word", [*RESERVED, b"a", b"b"])
REVERSED = Tokenizer("word", [*RESERVED, b"b", b"a"])
MODELS = [
    loaded(Fixed([0.1, 0.2, 0.6, 0.1]), WORDS, name="first"),
    loaded(Fixed([0.1, 0.3, 0.5, 0.1]), REVERSED, "sentence", name="second"),
]
P = {"a": (0.6, 0.1), "b": (0.1, 0.5), "\n": (0.2, 0.3), "?": (0.1, 0.1)}
"""The probabilities that the two models give each token, whatever its id."""


def held_out(text: Path) -> HeldOutText:
    return read_held_out(WORDS, str(text))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "held-out.txt"
    path.write_bytes(b"a a b ?\na b\n\na\n")
    return path


def test_models_of_other_ids_and_contexts_score_the_same_tokens(text):
    scorer, tokens = MixtureScorer(LoadedMixture.of(MODELS, [0.25, 0.75])), "aab?\nab\n\na\n"
    ids = np.array(["?\nab".index(token) for token in tokens], np.int32)
    expected = np.array([P[token] for token in tokens])
    np.testing.assert_allclose(np.exp(scorer.score_by_model(ids)), expected)
    mixed = expected @ [0.25, 0.75]
    np.testing.assert_allclose(np.exp(scorer(ids).log_probs), mixed)
    tally = Tally()
    list(score_files(LoadedMixture.of(MODELS, [0.25, 0.75]), [str(text)], tally))
    assert perplexity(tally) == pytest.approx(np.exp(-np.log(mixed).mean()))


def test_a_weight_of_one_is_that_model_exactly(text):
    ids = np.array([2, 2, 3, 0, 1, 2], np.int32)
    alone = MixtureScorer(LoadedMixture.of(MODELS[:1]))(ids).log_probs
    assert np.array_equal(MixtureScorer(LoadedMixture.of(MODELS, [1.0, 0.0]))(ids).log_probs, alone)


def test_tuned_weights_are_those_of_the_probabilities(text):
    source = held_out(text)
    tuned = tune(LoadedMixture.of(MODELS), source)
    expected = np.array([P[token] for token in "aab?\nab\n\na\n"])
    np.testing.assert_allclose(tuned.weights, fit_weights(expected)[0], atol=1e-6)
    assert len(source.ids) == 11
    assert source.digest == hashlib.sha256(text.read_bytes()).hexdigest()


def test_a_token_of_probability_zero_changes_no_weight(text):
    impossible = [loaded(Fixed([0, *p]), WORDS) for p in ([0.2, 0.7, 0.1], [0.3, 0.1, 0.6])]
    some = tune(LoadedMixture.of(impossible), held_out(text)).weights
    text.write_bytes(text.read_bytes().replace(b" ?", b""))
    assert tune(LoadedMixture.of(impossible), held_out(text)).weights == some


@pytest.mark.parametrize(("data", "message"), [
    (b"\n\n", "no text to learn from in .*held-out.txt"), (b"? ?\n", "gives any token"),
])  # fmt: skip
def test_a_held_out_text_without_possible_tokens_is_refused(data, message, text):
    text.write_bytes(data)
    models = [loaded(Fixed([0, 0, 0.5, 0.5]), WORDS)] * 2
    with pytest.raises(DataError, match=message):
        tune(LoadedMixture.of(models), held_out(text))


def test_the_same_file_or_the_same_text_is_not_held_out(text, tmp_path):
    other, link, packed = tmp_path / "other", tmp_path / "link", tmp_path / "packed.gz"
    other.write_bytes(b"b a\n")
    link.symlink_to(text)
    packed.write_bytes(gzip.compress(text.read_bytes().replace(b"\n", b"\r\n")))
    check_held_out(str(text), ["-", str(other), str(packed)])
    for same in (text, link):
        with pytest.raises(UsageError, match="is the text of tune"):
            check_held_out(str(text), [str(other), str(same)])
    with pytest.raises(UsageError, match="read once"):
        check_held_out("-", ["-"])
    source = held_out(text)
    mix, named = tune(LoadedMixture.of(MODELS), source), {source.digest: "tune"}
    list(score_files(mix, [str(other)], Tally(), forbidden_texts=named))
    with pytest.raises(UsageError, match=r"packed.gz is the text of tune"):
        list(score_files(mix, [str(other), str(packed)], Tally(), forbidden_texts=named))


# -------------------------------------------------------------------------- constants of networks


def network(seed: int = 1, arch: str = "lstm") -> LanguageNetwork:
    torch.manual_seed(seed)
    model = model_class("lm", arch).from_settings({"vocab_size": 4, "width": 5})
    assert isinstance(model, LanguageNetwork)
    for parameter in model.parameters():
        parameter.data.uniform_(-1, 1)
    return model.double().eval()


IDS = np.random.default_rng(5).integers(0, 4, 300).astype(np.int32)


@pytest.mark.parametrize("rule", [None, UpdateRule(7, 0.1, 0.05)])
def test_every_column_is_that_of_a_scorer_with_its_constants(rule):
    """One reading with all candidates, and a scorer of its own for each."""
    model = network()
    caches = [NeuralCacheConfig(window, 0.0, theta) for window in (5, 40) for theta in (0, 2)]
    log_probs, cache_probs = read_columns(
        FeatureReader(model, rule), IDS, Candidates((0.5, 1.0, 2.0), caches)
    )
    for column, temperature in zip(log_probs.T, (0.5, 1.0, 2.0)):
        expected = AdaptiveScorer(with_temperature(model, temperature), rule)(IDS).log_probs
        np.testing.assert_allclose(column, expected, rtol=1e-9)
    for column, cache in zip(cache_probs.T, caches):
        half = NeuralCacheConfig(cache.window, 0.5, cache.theta)
        expected = AdaptiveScorer(model, rule, half)(IDS).log_probs
        mixed = np.log(0.5 * np.exp(log_probs[1:, 1]) + 0.5 * column[1:])
        np.testing.assert_allclose(mixed, expected[1:], rtol=1e-9)
    assert np.isnan(cache_probs[0]).all()


def columns_of(rng: np.random.Generator, tokens: int, caches: int) -> Columns:
    return Columns(np.log(rng.beta(0.5, 3, (tokens, 3)) + 1e-6), rng.beta(0.4, 3, (tokens, caches)))


@pytest.mark.parametrize("share", [None, 0.2])
def test_no_weights_and_no_share_of_a_grid_are_better(share):
    """Two networks whose caches share one λ, and a model without a cache."""
    rng = np.random.default_rng(1)
    plain = Columns(columns_of(rng, 150, 0).log_probs[:, :1], np.empty((150, 0)))
    found = [columns_of(rng, 150, 1), plain, columns_of(rng, 150, 1)]
    best = fit(found, cache_share=share)

    def log_prob(weights: Sequence[float], λ: float) -> float:
        parts = [
            w * (np.exp(each.log_probs[:, 0]) * (1 - λ) + λ * each.cache_probs[:, 0])
            if each.cache_probs.size
            else w * np.exp(each.log_probs[:, 0])
            for w, each in zip(weights, found)
        ]
        return float(np.log(sum(parts)).sum())

    assert best.weights.sum() == pytest.approx(1)
    assert best.log_prob == pytest.approx(log_prob(best.weights, best.cache_share))
    assert share is None or best.cache_share == share
    fine = np.linspace(0, 1, 21)
    for a, b in itertools.product(fine, fine):
        for λ in fine[:-1] if share is None else [share]:
            if a + b <= 1:
                assert log_prob((a, b, 1 - a - b), λ) <= best.log_prob + 1e-6


def test_the_search_finds_the_best_of_all_candidates():
    found = [columns_of(np.random.default_rng(seed), 200, 4) for seed in (1, 2)]
    best, temperature, cache_probs = search_candidates(found)
    every = {(t, c): fit(found, t, c).log_prob for t in range(3) for c in range(4)}
    # One after the other may miss the best pair, and never stands where one change is better.
    for t in range(3):
        assert every[t, cache_probs] <= best.log_prob + 1e-3
    for c in range(4):
        assert every[temperature, c] <= best.log_prob + 1e-3


@pytest.mark.parametrize("best", [0.003, 0.02, 0.1, 0.7])
def test_hill_climbing_ends_within_a_factor_of_the_best(best):
    found = hill_climb(0.02, lambda value: math.log(value / best) ** 2)
    assert best / 1.5 < found < best * 1.5


def test_a_single_network_is_tuned_and_given_constants_stay(text):
    mix = LoadedMixture.of([loaded(network(7), WORDS)])
    source = held_out(text)
    plain = tune(mix, source)
    ids = np.concatenate([WORDS.encode(block) for block in read_blocks([str(text)])])
    by_temperature = {
        T: Scorer(with_temperature(network(7), T), "carried")(ids).log_probs.sum()
        for T in TEMPERATURES
    }
    assert plain.adaptation.softmax_temperature == max(
        by_temperature, key=by_temperature.__getitem__
    )
    assert (len(source.ids), plain.weights) == (11, [1.0])
    given = Adaptation(neural_cache=4, neural_cache_theta=0.7, dynamic=3, dynamic_decay=0.5)
    found = tune(mix.adapted(given), source).adaptation
    assert (found.neural_cache_theta, found.dynamic, found.dynamic_decay) == (0.7, 3, 0.5)
    assert found.neural_cache in (4, 2, 1)
    assert None not in (found.softmax_temperature, found.neural_cache_weight, found.dynamic_lr)
    with pytest.raises(UsageError, match="every constant is given"):
        tune(mix.adapted(found), source)


def test_a_network_of_sentence_context_has_a_tuned_temperature(text):
    models = LoadedMixture.of([loaded(network(3), WORDS, "sentence"), MODELS[0]])
    by_line = tune(models, held_out(text))
    assert by_line.adaptation.softmax_temperature in TEMPERATURES
    again = tune(by_line, held_out(text))
    assert again.weights == pytest.approx(by_line.weights, abs=1e-6)


@pytest.mark.parametrize("factor", [0.05, 0.3, 1.0, 4.0, 40.0])
@pytest.mark.parametrize("context", ["carried", "sentence"])
def test_the_temperature_is_found_however_far_from_1_it_is(factor, context):
    """Logits that are `factor` times too large are right at the temperature `factor`."""
    model = network()
    ids = drawn_from(model, 1500)
    with torch.no_grad():
        model.output_layer.weight *= factor
        model.output_layer.bias *= factor
    found = tune(
        LoadedMixture.of([loaded(model, WORDS, context)]), HeldOutText("text", ids)
    ).adaptation.softmax_temperature
    # A step of the candidates is up to 7 / 6, beyond the error of the text.
    assert factor / 1.4 < found < factor * 1.4


def test_a_temperature_that_is_not_found_is_said():
    model, ids = network(), np.tile(np.arange(4, dtype=np.int32), 100)
    with torch.no_grad():  # it is wrong everywhere, and the better the less it says
        model.output_layer.weight *= 1e4
    with pytest.warns(UserWarning, match="given up its search for the temperature"):
        tune(LoadedMixture.of([loaded(model, WORDS)]), HeldOutText("text", ids))


def test_candidates_move_to_the_edge_that_was_the_best():
    first = make_candidates(Adaptation(neural_cache=8), tokens=100)
    last = len(first.caches) - 1
    assert beyond_the_edge(first, 5, 4) is None
    colder = beyond_the_edge(first, 0, 4)
    assert colder is not None
    assert min(colder.temperatures) < 0.4 in colder.temperatures
    assert colder.caches == first.caches
    flatter = beyond_the_edge(first, 5, last)
    assert flatter is not None
    assert flatter.temperatures == first.temperatures
    thetas = [cache.theta for cache in flatter.caches if cache.window == 8]
    assert max(thetas) > 2.0 in thetas
    assert {cache.window for cache in flatter.caches} == {8, 4, 2}
    given = Adaptation(neural_cache=8, neural_cache_theta=2.0, softmax_temperature=0.4)
    assert beyond_the_edge(make_candidates(given, tokens=100), 0, 0) is None


def drawn_from(model: LanguageNetwork, count: int) -> np.ndarray:
    """A text of a network's own, every line of which starts afresh."""
    torch.manual_seed(1)
    state, ids = model.start(1), []
    with torch.no_grad():
        for _ in range(count):
            token = model.log_probs(state).exp().multinomial(1)
            ids.append(int(token))
            state = model.start(1) if ids[-1] == EOS else model.advance(state, token)
    return np.array(ids, np.int32)


# -------------------------------------------------------------------------------- what can be mixed


def test_models_of_other_types_are_refused_with_sizes_and_examples():
    more = Tokenizer("word", [*RESERVED, *(b"a", b"x", b"y", b"z", b"\xc3\xa9")])
    other = loaded(Fixed([1 / 7] * 7), more, name="other")
    with pytest.raises(ModelError) as error:
        LoadedMixture.of([MODELS[0], other])
    assert "first and other cannot be mixed" in str(error.value)
    assert "have 4 and 7; only first has 'b' (" in str(error.value)
    with pytest.raises(ModelError, match="have 7 and 4; only other has 'x', 'y', 'z' "):
        LoadedMixture.of([other, MODELS[0]])
    subset = Tokenizer("word", [*RESERVED, b"b"])
    with pytest.raises(ModelError, match="have 3 and 4; only first has 'a' "):
        LoadedMixture.of([loaded(Fixed([1 / 3] * 3), subset), MODELS[0]])


def test_models_of_other_tokens_are_refused():
    characters = Tokenizer("char", [*RESERVED, b"a", b"b"])
    with pytest.raises(ModelError, match="of one are of kind word, of the other char"):
        LoadedMixture.of([MODELS[0], loaded(Fixed([0.25] * 4), characters)])
    types = [*RESERVED, b"a", b"b", b"c", b"ab", b"bc", b"abc"]
    merges = [["a", "b"], ["b", "c"], ["ab", "c"]]
    some, others = (Tokenizer("bpe", types, each) for each in (merges, merges[::-1]))
    with pytest.raises(ModelError, match="merge them in another order"):
        LoadedMixture.of([loaded(Fixed([1 / 8] * 8), each) for each in (some, others)])


def test_scores_cannot_be_mixed():
    scores = Fixed([0.5] * 4)
    scores.normalized = False
    with pytest.raises(ModelError, match="other gives scores, not probabilities"):
        LoadedMixture.of([MODELS[0], loaded(scores, WORDS, name="other")])
