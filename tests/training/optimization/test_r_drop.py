"""R-drop against two passes written out."""

from __future__ import annotations

import pytest
import torch

from seqlm.models import model_class
from seqlm.models.base import TranslationNetwork
from seqlm.models.output import output_layer as output_module
from seqlm.models.output.softmax import Softmax
from seqlm.text.batches import IGNORE_INDEX, Batch
from seqlm.training.optimization.objective import Objective
from seqlm.training.optimization.r_drop import disagreement, twice


def translations(padded: bool = True) -> Batch:
    ids = torch.randint(2, 11, (3, 6), generator=torch.Generator().manual_seed(1))
    targets = ids[:, 1:].clone()
    if padded:
        targets[1, 3:] = IGNORE_INDEX
    lengths = torch.tensor([4, 2, 3])
    num_targets = int((targets != IGNORE_INDEX).sum())
    return Batch(ids[:, :-1], targets, True, num_targets, ids[:, :4], lengths)


def network(arch: str, **options) -> TranslationNetwork:
    torch.manual_seed(1)
    small = {"heads": 2, "layers": 1} if arch == "transformer" else {"attention": "additive"}
    model = model_class("translation", arch).from_settings(
        {"vocab_size": 11, "width": 8, **small, **options}
    )
    assert isinstance(model, TranslationNetwork)
    return model


def kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """sum_v p_v (log p_v - log q_v), type by type."""
    return sum(a.exp() * (a - b) for a, b in zip(log_p, log_q))


@pytest.mark.parametrize("chunk", [1, 1 << 21])
@pytest.mark.parametrize("n", [1, 5])
def test_the_mean_divergence_and_its_gradients(n, chunk, monkeypatch) -> None:
    monkeypatch.setattr(output_module, "CHUNK", chunk)  # of 3 positions, the width, and of all
    torch.manual_seed(1)
    layer = Softmax(7, 3).double()
    layer.bias.data.normal_()
    features = torch.randn(2 * n, 3, dtype=torch.float64, requires_grad=True)
    log_p, log_q = layer.log_probs(features).chunk(2)
    each = [(kl(a, b) + kl(b, a)) / 2 for a, b in zip(log_p, log_q)]
    expected, found = sum(each) / n, disagreement(layer, features)
    torch.testing.assert_close(found, expected)
    inputs = [features, layer.weight, layer.bias]
    for gradient, wanted in zip(
        torch.autograd.grad(3 * found, inputs), torch.autograd.grad(3 * expected, inputs)
    ):
        torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("arch", ["gru", "transformer"])
@pytest.mark.parametrize("padded", [False, True])
def test_one_pass_over_twice_the_rows_is_two_passes(arch, padded) -> None:
    batch, a, e = translations(padded), 3.0, 0.1
    model = network(arch, dropout_input=0.4, dropout_hidden=0.4).double().train()
    torch.manual_seed(2)
    loss, *_ = Objective(model, e, r_drop=a)(batch, None)
    torch.manual_seed(2)  # the same dropout once more
    doubled = twice(batch)
    features, *_ = model(doubled.inputs, model.encode(doubled.source, doubled.source_lengths))
    terms = []
    for row in range(3):
        for t, y in enumerate(batch.targets[row].tolist()):
            if y != IGNORE_INDEX:
                log_p, log_q = (
                    model.output_layer.log_probs(features[r, t]) for r in (row, row + 3)
                )
                smooth = sum((1 - e) * -x[y] - e * x.mean() for x in (log_p, log_q)) / 2
                terms.append(smooth + a / 2 * (kl(log_p, log_q) + kl(log_q, log_p)) / 2)
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(loss, expected)
    assert (features[:3] != features[3:]).any()
    parameters = list(model.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters)
    )


def test_without_dropout_nothing_is_added() -> None:
    model, batch = network("gru").double(), translations()
    loss, *_ = Objective(model, r_drop=5.0)(batch, None)
    plain, *_ = Objective(model)(batch, None)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-12)
