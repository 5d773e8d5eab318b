"""Properties of ensembles beyond the contract of all models (`tests/contract`)."""

from __future__ import annotations

import pytest
import torch

from seqlm.models import model_class
from seqlm.models.base import Translator
from seqlm.models.wrappers.ensemble import Ensemble

V, B, S, T = 7, 3, 5, 6
LENGTHS = torch.tensor([5, 2, 4])


@pytest.fixture(autouse=True)
def no_graph():
    with torch.no_grad():
        yield


def translator(seed: int, arch: str = "transformer", **options) -> Translator:
    torch.manual_seed(seed)
    model = model_class("translation", arch).from_settings({"vocab_size": V, "width": 8, **options})
    for parameter in model.parameters():
        parameter.uniform_(-1, 1)
    return model.eval()


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    noise = torch.Generator().manual_seed(1)
    return torch.randint(V, (B, S), generator=noise), torch.randint(V, (B, T), generator=noise)


def test_its_probabilities_are_the_mean_of_theirs():
    source, tokens = pair()
    models = [translator(1), translator(2, "gru"), translator(3, "lstm", attention="none")]
    ensemble = Ensemble(models)
    ensemble_state = ensemble.start(source, LENGTHS)
    states = [model.start(source, LENGTHS) for model in models]
    for token in tokens.split(1, 1):
        probs = torch.stack([model.log_probs(state).exp() for model, state in zip(models, states)])
        torch.testing.assert_close(ensemble.log_probs(ensemble_state).exp().float(), probs.mean(0))
        ensemble_state = ensemble.advance(ensemble_state, token)
        states = [model.advance(state, token) for model, state in zip(models, states)]


def test_a_model_with_itself_is_that_model():
    source, tokens = pair()
    model = translator(1)
    twice = Ensemble([model, model])
    expected, _ = model.score(model.start(source, LENGTHS), tokens)
    scores, _ = twice.score(twice.start(source, LENGTHS), tokens)
    torch.testing.assert_close(scores.float(), expected)


def test_its_alignment_is_the_mean_of_the_members_alignments():
    source, _ = pair()
    models = [translator(1), translator(2, "gru"), translator(3, "gru", attention="none")]
    one, other, none = (model.alignment(model.start(source, LENGTHS)) for model in models)
    ensemble = Ensemble(models)
    alignment = ensemble.alignment(ensemble.start(source, LENGTHS))
    assert none is None
    torch.testing.assert_close(alignment, (one + other) / 2)
    without = Ensemble(models[2:])
    assert without.alignment(without.start(source, LENGTHS)) is None


def test_its_context_length_is_the_shortest_of_its_members():
    short, long = (translator(1, positions="learned", context_length=n) for n in (9, 12))
    assert Ensemble([translator(1), long, short]).context_length == 9
    assert Ensemble([translator(1), translator(2, "gru")]).context_length is None
