"""Mixtures of experts against a loop over positions."""

import math

import pytest
import torch

from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.transformer import Transformer
from seqlm.models.layers.feed_forward import FeedForward
from seqlm.models.layers.mixture_of_experts import MixtureOfExperts, usage_figures

B, T, D, E = 3, 7, 6, 4


def mixture(
    experts_per_token: int, balance: float = 0.01, z_loss: float = 0.001
) -> MixtureOfExperts:
    torch.manual_seed(1)
    experts = MixtureOfExperts(
        [FeedForward(D, 5, "gelu", True, True) for _ in range(E)],
        experts_per_token,
        D,
        balance,
        z_loss,
    )
    torch.nn.init.normal_(experts.router)
    return experts


def position_by_position(
    experts: MixtureOfExperts, x: torch.Tensor
) -> tuple[torch.Tensor, float, list[float]]:
    """y, the penalty and the shares, from the equations."""
    flat, router, y = x.reshape(-1, D), experts.router.detach(), []
    shares, mean_p, z_loss = [0.0] * E, [0.0] * E, 0.0
    for position in flat:
        z = [float(row @ position) for row in router]
        total = sum(map(math.exp, z))
        p = [math.exp(value) / total for value in z]
        best = sorted(range(E), key=lambda i: -p[i])[: experts.experts_per_token]
        sum_of_best = sum(p[i] for i in best) if len(best) > 1 else 1.0
        y.append(sum(p[i] / sum_of_best * experts.experts[i](position) for i in best))
        for i in best:
            shares[i] += 1 / experts.experts_per_token / len(flat)
        for i in range(E):
            mean_p[i] += p[i] / len(flat)
        z_loss += math.log(total) ** 2 / len(flat)
    balance_loss = E * sum(f * p for f, p in zip(shares, mean_p))
    return (
        torch.stack(y).view(x.shape),
        experts.balance * balance_loss + experts.z_loss * z_loss,
        shares,
    )


@pytest.mark.parametrize("experts_per_token", [1, 2, E])
def test_a_mixture_is_its_equations(experts_per_token):
    experts = mixture(experts_per_token)
    x = torch.randn(B, T, D)
    y, routing = experts(x)
    expected, penalty, shares = position_by_position(experts, x)
    torch.testing.assert_close(y, expected)
    assert routing.penalty.item() == pytest.approx(penalty, rel=1e-5)
    assert routing.shares.tolist() == pytest.approx(shares)


def test_no_token_is_dropped_however_uneven_the_choice():
    experts = mixture(1)
    with torch.no_grad():
        experts.router[2] = 100 * torch.ones(D)
    x = torch.rand(B, T, D)
    y, routing = experts(x)
    assert routing.shares.tolist() == [0, 0, 1, 0]
    torch.testing.assert_close(y, experts.experts[2](x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("experts_per_token", [1, 2])
def test_gradients_reach_the_router_and_the_experts_that_were_used(experts_per_token):
    experts = mixture(experts_per_token)
    experts(torch.randn(B, T, D))[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in experts.parameters())


def test_the_balance_loss_evens_out_the_use():
    torch.manual_seed(1)
    x = torch.randn(1, 100, D) + 1  # with a mean, so that a random router has favorites
    experts = mixture(1, balance=1.0, z_loss=0.0)
    before = experts(x)[1].shares.max()
    for _ in range(60):
        [slope] = torch.autograd.grad(experts(x)[1].penalty, [experts.router])
        experts.router.data -= slope
    after = experts(x)[1].shares.max()
    assert before > 0.4
    assert after < 0.35


def test_the_router_is_float32_under_autocast():
    experts = mixture(2)
    x = torch.randn(B, T, D)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, routing = experts(x)
    assert routing.penalty.dtype == torch.float32
    assert routing.penalty.item() == pytest.approx(experts(x)[1].penalty.item(), rel=1e-6)
    torch.testing.assert_close(y.float(), experts(x)[0], atol=0.05, rtol=0.05)


def test_the_experts_used_are_counted_layer_by_layer():
    figures = usage_figures(torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0.5, 0]]))
    assert figures["experts used"].item() == pytest.approx((1 + 2) / 2)
    assert [figures[f"expert {i}"].item() for i in range(4)] == [0.5, 0.25, 0.25, 0]


def test_a_transformer_reports_its_experts_in_training_alone():
    torch.manual_seed(1)
    model = Transformer(TransformerConfig(11, width=8, layers=2, heads=2, experts=3)).train()
    tokens = torch.randint(11, (B, T))
    _, _, penalty, report = model(tokens, model.initial_cache(B))
    assert penalty is not None
    assert penalty.requires_grad
    assert list(report) == ["experts used", "expert 0", "expert 1", "expert 2"]
    assert sum(report[f"expert {i}"] for i in range(3)).item() == pytest.approx(1)
    assert not any(figure.requires_grad for figure in report.values())
    _, _, penalty, report = model.eval()(tokens, model.initial_cache(B))
    assert penalty is None
    assert not report
