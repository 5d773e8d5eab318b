"""Properties of mixtures beyond the contract of all models (`tests/contract`)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqlm.models import model_class
from seqlm.models.base import LanguageModel
from seqlm.models.wrappers.mixture import Mixture
from seqlm.models.wrappers.unigram_cache import UnigramCache, UnigramCacheConfig

V, B, T = 7, 3, 11
SAME = torch.arange(V)
OTHER = torch.tensor([0, 1, 5, 3, 6, 2, 4])  # what the other model calls type v


@pytest.fixture(autouse=True)
def no_graph():
    with torch.no_grad():
        yield


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(1))


def network(seed: int, arch: str = "lstm") -> LanguageModel:
    torch.manual_seed(seed)
    model = model_class("lm", arch).from_settings({"vocab_size": V, "width": 5})
    for parameter in model.parameters():
        parameter.uniform_(-1, 1)
    return model.eval()


def mixture(models: list[LanguageModel], weights: list[float], *ids: Tensor) -> Mixture:
    return Mixture(models, weights, torch.stack(ids or [SAME] * len(models)))


def test_every_distribution_is_the_weighted_mean(tokens):
    parts, weights = [network(1), network(2, "gru"), network(3, "rnn")], [0.5, 0.2, 0.3]
    mixed = mixture(parts, weights)
    mixed_state, states = mixed.start(B), [part.start(B) for part in parts]
    for token in tokens.split(1, 1):
        probs = [part.log_probs(state).exp() for part, state in zip(parts, states)]
        expected = sum(w * p for w, p in zip(weights, probs))
        torch.testing.assert_close(mixed.log_probs(mixed_state).exp().float(), expected)
        mixed_state = mixed.advance(mixed_state, token)
        states = [part.advance(state, token) for part, state in zip(parts, states)]


@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.3, 0.7]])
def test_a_model_alone_or_with_itself_is_that_model(weights, tokens):
    first = network(1)
    second = network(2) if weights[1] == 0 else first
    mixed = mixture([first, second], weights)
    expected, _ = first.score(first.start(B), tokens)
    found, _ = mixed.score(mixed.start(B), tokens)
    if weights[1] == 0:
        assert torch.equal(found, expected.double())
    else:
        torch.testing.assert_close(found, expected.double())


def test_models_may_number_the_types_in_their_own_way(tokens):
    first, second = network(1), network(2)
    renumbered = network(2)
    renumbered.output_layer.weight[OTHER] = second.output_layer.weight  # tied: the embedding too
    renumbered.output_layer.bias[OTHER] = second.output_layer.bias
    plain = mixture([first, second], [0.4, 0.6])
    other = mixture([first, renumbered], [0.4, 0.6], SAME, OTHER)
    # Both enter a text by `</s>`, which every vocabulary numbers alike.
    expected, after = plain.score(plain.start(B), tokens)
    found, other_after = other.score(other.start(B), tokens)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(other.log_probs(other_after), plain.log_probs(after))


def test_a_token_impossible_for_one_model_may_be_possible_for_another(tokens):
    cache = UnigramCache(UnigramCacheConfig(V, size=2))
    mixed = mixture([network(1), cache], [0.25, 0.75])
    state = mixed.advance(mixed.start(B), tokens)
    alone, _ = mixture([cache, cache], [0.5, 0.5]).score((state[1], state[1]), tokens)
    assert alone.isneginf().any()
    assert mixed.score(state, tokens)[0].isfinite().all()


def test_it_resets_at_eos_only_where_all_models_do():
    class ResettingCache(UnigramCache):
        resets_at_eos = True

    resetting, other = ResettingCache(UnigramCacheConfig(V)), UnigramCache(UnigramCacheConfig(V))
    assert mixture([resetting, resetting], [0.5, 0.5]).resets_at_eos
    assert not mixture([resetting, other], [0.5, 0.5]).resets_at_eos
