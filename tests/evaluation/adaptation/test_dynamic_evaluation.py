"""Dynamic evaluation against its equations, written out step by step in float64."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from seqlm.errors import UsageError
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
from seqlm.evaluation.adaptation.choose_scorer import check_adaptable
from seqlm.evaluation.adaptation.dynamic_evaluation import (
    AdaptiveScorer,
    FeatureReader,
    UpdateRule,
    measure_rms_gradients,
)
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, MixtureScorer
from seqlm.evaluation.scoring import Scorer
from seqlm.models import model_class
from seqlm.models.base import LanguageNetwork
from seqlm.models.tree import detach
from seqlm.models.wrappers.neural_cache import NeuralCache, NeuralCacheConfig
from seqlm.models.wrappers.temperature import with_temperature
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED
from tests.evaluation.fixed import Fixed, loaded

VOCAB = 9


def build(arch: str = "lstm", **settings: object) -> LanguageNetwork:
    torch.manual_seed(1)
    options = {"vocab_size": VOCAB, "width": 6, "layers": 2, **settings}
    model = model_class("lm", arch).from_settings(options)
    assert isinstance(model, LanguageNetwork)
    return model.double().eval()


@pytest.fixture
def ids() -> np.ndarray:
    return np.random.default_rng(1).integers(0, VOCAB, 110).astype(np.int32)


def random_rms_gradients(network: LanguageNetwork) -> list[Tensor]:
    noise = torch.Generator().manual_seed(3)
    return [torch.rand(p.shape, generator=noise).double() for p in network.parameters()]


# ------------------------------------------------------------------------------- the slow oracle


def step_by_step(network: LanguageNetwork, ids: np.ndarray, rule: UpdateRule) -> list[float]:
    """Every segment by itself; the logits whole, the update as printed, element by element."""
    learning = copy.deepcopy(network)
    theta = dict(learning.named_parameters())
    theta_0 = {name: p.detach().clone() for name, p in theta.items()}
    r = dict(zip(theta, rule.rms_gradients)) if rule.rms_gradients else None
    mean = torch.cat([x.flatten() for x in r.values()]).mean() if r else None
    text = torch.tensor([1, *ids.tolist()])
    cache, scores = learning.initial_cache(1), []
    for start in range(0, len(ids), rule.segment):
        inputs, targets = text[start : start + rule.segment], text[start + 1 :][: rule.segment]
        inputs = inputs[: len(targets)]
        features, cache, *_ = learning(inputs[None], detach(cache))
        loss = cross_entropy(
            learning.output_layer.log_probs(features)[0], targets, reduction="none"
        )
        scores += (-loss).tolist()
        learning.zero_grad()
        loss.mean().backward()
        with torch.no_grad():
            for name, p in theta.items():
                g = torch.zeros_like(p) if p.grad is None else p.grad
                if r is None:
                    new = p + rule.decay * (theta_0[name] - p) - rule.lr * g
                else:
                    share = (r[name] / mean).clamp(max=1 / rule.decay if rule.decay else None)
                    pull = rule.decay * share * (theta_0[name] - p)
                    new = p + pull - rule.lr * g / (r[name] + mean)
                p.copy_(new)
    return scores


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("arch", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("segment", [1, 7, 200])
def test_scores_are_those_of_the_equations(arch, segment, scaled, ids):
    network = build(arch)
    rule = UpdateRule(
        segment, 0.3, 0.9 if scaled else 0.1, random_rms_gradients(network) if scaled else None
    )
    scores = AdaptiveScorer(network, rule)(ids).log_probs
    np.testing.assert_allclose(scores, step_by_step(network, ids, rule), rtol=1e-9)


@pytest.mark.parametrize(
    "settings", [{"softmax": "adaptive", "softmax_cutoffs": (3, 6)}, {"tied": False}]
)
def test_other_output_layers_have_the_same_equations(settings, ids):
    network, rule = build("lstm", **settings), UpdateRule(5, 0.3, 0.1)
    scores = AdaptiveScorer(network, rule)(ids).log_probs
    # The layers' own gradients, in the fast path; the same without by what autograd finds.
    np.testing.assert_allclose(scores, step_by_step(network, ids, rule), rtol=1e-9)


def test_the_statistics_are_the_root_of_the_mean_of_squares(monkeypatch):
    monkeypatch.setattr("seqlm.evaluation.adaptation.dynamic_evaluation.ROWS", 2)
    monkeypatch.setattr("seqlm.evaluation.adaptation.dynamic_evaluation.BATCHES", 3)
    network, ids = build(), np.random.default_rng(2).integers(0, VOCAB, 60).astype(np.int32)
    rows = torch.tensor(ids.reshape(2, 30)).long()
    before = torch.tensor([[1], [int(ids[29])]])
    inputs, cache = torch.cat([before, rows[:, :-1]], 1), network.initial_cache(2)
    squares = [torch.zeros_like(p) for p in network.parameters()]
    for start in (0, 4, 8):
        features, cache, *_ = network(inputs[:, start : start + 4], detach(cache))
        logits = network.output_layer.log_probs(features).flatten(0, 1)
        loss = cross_entropy(logits, rows[:, start : start + 4].flatten())
        for square, g in zip(squares, torch.autograd.grad(loss, list(network.parameters()))):
            square += g**2
    expected = [(square / 3).sqrt() for square in squares]
    torch.testing.assert_close(measure_rms_gradients(network, ids, 4), expected)


# ------------------------------------------------------------------------------------ properties


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_how_the_text_is_cut_changes_no_score_and_the_network_is_not_changed(arch, ids):
    network = build(arch, heads=2, context_length=20) if arch == "transformer" else build(arch)
    before = copy.deepcopy(network.state_dict())
    for rule in (None, UpdateRule(8, 0.3, 0.05, random_rms_gradients(network))):
        cache = NeuralCacheConfig(11, 0.3, 0.5)
        whole = AdaptiveScorer(network, rule, cache)(ids).log_probs
        assert len(whole) == len(ids)
        scorer = AdaptiveScorer(network, rule, cache)
        for _ in range(2):  # each text starts afresh
            scorer.restart()
            cuts = [0, 0, 3, 8, 9, 31, 109, 110, 110]
            pieces = [scorer(ids[a:b]).log_probs for a, b in pairwise(cuts)]
            np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-9)
    after = network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(p.grad is None for p in network.parameters())


def test_without_updates_the_scores_are_static(ids):
    network = build()
    static = Scorer(network, "carried")(ids).log_probs
    np.testing.assert_allclose(AdaptiveScorer(network)(ids).log_probs, static, rtol=1e-9)
    still = AdaptiveScorer(network, UpdateRule(7, 0.0, 0.1))(ids).log_probs
    np.testing.assert_allclose(still, static, rtol=1e-9)
    moved = AdaptiveScorer(network, UpdateRule(7, 0.1, 0.0))(ids).log_probs
    np.testing.assert_allclose(moved[:7], static[:7], rtol=1e-9)
    assert (moved[7:] != static[7:]).all()


@pytest.mark.parametrize("segment", [2, 5, 10])
def test_windows_are_those_of_a_static_transformer(segment, ids):
    network = build("transformer", heads=2, context_length=20)
    static = Scorer(network, "window")(ids).log_probs
    np.testing.assert_allclose(AdaptiveScorer(network)(ids).log_probs, static, rtol=1e-9)
    still = AdaptiveScorer(network, UpdateRule(segment, 0.0, 0.1))(ids).log_probs
    np.testing.assert_allclose(still, static, rtol=1e-9)


def test_a_neural_cache_is_mixed_with_the_updated_network(ids):
    """Whether the network moves or not, and without a say in how it moves."""
    network, config = build(), NeuralCacheConfig(13, 0.4, 0.8)
    static = Scorer(NeuralCache(network, config), "carried")(ids).log_probs
    np.testing.assert_allclose(
        AdaptiveScorer(network, None, config)(ids).log_probs, static, rtol=1e-9
    )
    rule = UpdateRule(6, 0.2, 0.1)
    alone = AdaptiveScorer(network, rule)(ids).log_probs
    features = [h for h, _ in FeatureReader(network, rule)(ids)]
    memory_of = NeuralCache(network, config)
    recalled, _ = memory_of.cache_probs(
        memory_of.empty_memory(1), torch.cat(features, 1), torch.from_numpy(ids).long()[None]
    )
    expected = np.log(0.6 * np.exp(alone[1:]) + 0.4 * recalled[0, 1:].numpy())
    both = AdaptiveScorer(network, rule, config)(ids).log_probs
    np.testing.assert_allclose(both[1:], expected, rtol=1e-9)


def test_temperature_changes_the_scores_and_not_the_updates(ids):
    network, rule = build(), UpdateRule(6, 0.2, 0.1)
    plain = [h for h, _ in FeatureReader(network, rule)(ids)]
    hot = [h for h, _ in FeatureReader(with_temperature(network, 3.0), rule)(ids)]
    torch.testing.assert_close(torch.cat(hot, 1), torch.cat(plain, 1), rtol=0, atol=0)


def test_a_text_that_repeats_itself_becomes_more_probable():
    ids = np.tile(np.random.default_rng(3).integers(2, VOCAB, 12), 30).astype(np.int32)
    scores = AdaptiveScorer(build(), UpdateRule(4, 1.0, 0.001))(ids).log_probs
    assert scores[-24:].mean() > scores[:24].mean() + 0.2


# ----------------------------------------------------------------------------------------- mixing

WORDS = Tokenizer("word", [*RESERVED, *(b"abcdefg"[i : i + 1] for i in range(7))])


def test_an_adapted_network_and_a_static_model_are_mixed(ids):
    """A learning network with a cache, and beside it a model that stays and knows lines only."""
    network, p = build(), np.random.default_rng(4).dirichlet(np.ones(VOCAB))
    models = [loaded(network, WORDS), loaded(Fixed(p.tolist()), WORDS, "sentence")]
    constants = Adaptation(1.2, 9, 0.3, 0.5, 5, 0.2, 0.1)
    mix = LoadedMixture.of(models, [0.7, 0.3]).adapted(constants)
    own = AdaptiveScorer(
        with_temperature(network, 1.2), UpdateRule(5, 0.2, 0.1), NeuralCacheConfig(9, 0.3, 0.5)
    )(ids).log_probs
    expected = np.log(0.7 * np.exp(own) + 0.3 * p[ids])
    np.testing.assert_allclose(MixtureScorer(mix)(ids).log_probs, expected, rtol=1e-9)
    assert mix.is_adaptive
    assert not LoadedMixture.of(models).adapted(Adaptation(1.2)).is_adaptive


def test_models_that_cannot_be_adapted_are_refused():
    carried, by_line = loaded(build(), WORDS), loaded(build(), WORDS, "sentence", name="lines")
    short = loaded(build("transformer", heads=2, context_length=20), WORDS, "window", name="short")
    fixed = loaded(Fixed([1 / VOCAB] * VOCAB), WORDS, name="fixed")
    check_adaptable(Adaptation(), [fixed])
    check_adaptable(Adaptation(softmax_temperature=2.0), [by_line])
    check_adaptable(Adaptation(neural_cache=5, dynamic=10), [carried, fixed, short])
    with pytest.raises(UsageError, match="fixed is no network"):
        check_adaptable(Adaptation(softmax_temperature=2.0), [fixed])
    for constants in (Adaptation(neural_cache=5), Adaptation(dynamic=5)):
        with pytest.raises(UsageError, match="lines starts every line afresh"):
            check_adaptable(constants, [carried, by_line])
    with pytest.raises(UsageError, match=r"short reads 20 tokens .* takes 1 to 10"):
        check_adaptable(Adaptation(dynamic=11), [short])
