"""The training objective against log-probabilities written out."""

from __future__ import annotations

import pytest
import torch

from seqlm.text.batches import IGNORE_INDEX, Batch
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.optimization import compiling
from seqlm.training.optimization.compiling import compile_objective
from seqlm.training.optimization.objective import Objective
from seqlm.training.signals import Interruption
from tests.training.toy import finish, make, network


def batch(padded: bool = False) -> Batch:
    ids = torch.randint(0, 12, (4, 9), generator=torch.Generator().manual_seed(3))
    targets = ids[:, 1:].clone()
    if padded:
        targets[0, 5:] = targets[2, 1:] = IGNORE_INDEX
    return Batch(ids[:, :-1], targets, True, int((targets != IGNORE_INDEX).sum()))


def by_hand(model, batch: Batch, smoothing: float) -> torch.Tensor:
    """Position by position: -(1 - e) log p(y) - e / V sum log p(v)."""
    features, *_ = model(batch.inputs, model.initial_cache(4))
    losses = []
    for row, targets in zip(features, batch.targets):
        for feature, y in zip(row, targets.tolist()):
            if y != IGNORE_INDEX:
                log_p = model.output_layer.log_probs(feature)
                losses.append(-(1 - smoothing) * log_p[y] - smoothing * log_p.mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_and_its_gradient(padded, smoothing) -> None:
    torch.manual_seed(1)
    model, segment = network().double(), batch(padded)
    loss, _, figures = Objective(model, smoothing)(segment, None)
    expected = by_hand(model, segment, smoothing)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, parameters))
    # The reported loss is the loss without smoothing, so that its exponential is a perplexity.
    assert figures["loss"].item() == pytest.approx(by_hand(model, segment, 0.0).item(), rel=1e-9)


# --------------------------------------------------------------------------------------- compiling


def test_a_compiled_network_trains_alike(monkeypatch) -> None:
    compiled = torch.compile
    monkeypatch.setattr(compiling.torch, "compile", lambda f, dynamic: compiled(f, backend="eager"))
    usual = {"epochs": 1, "batch_size": 4, "seq_length": 7, "steps": 4, "context": "window"}
    plain = make(TrainingSettings(arch="transformer", **usual), dropout=0.0)
    faster = make(TrainingSettings(arch="transformer", **usual, compile=True), dropout=0.0)
    finish(plain)
    finish(faster)
    assert faster.objective.network_pass != faster.network.__call__
    for one, other in zip(plain.network.parameters(), faster.network.parameters()):
        torch.testing.assert_close(one, other)


def test_where_compiling_fails_a_warning_says_so_and_training_goes_on(monkeypatch) -> None:
    def compiled(function, dynamic):
        def fails(tokens, cache):
            torch.rand(3)
            raise RuntimeError("no C++ compiler here\nand more of it")

        return fails

    monkeypatch.setattr(compiling.torch, "compile", compiled)
    model, before = network(), torch.get_rng_state()
    objective = Objective(model)
    with pytest.warns(UserWarning, match="left out: no C\\+\\+ compiler here$"):
        compile_objective(objective, batch(), dynamic=False, interruption=Interruption())
    assert torch.equal(torch.get_rng_state(), before)
    assert objective(batch(), None)[0].isfinite()
