"""log Z and its gradient against the recursion on logarithms and against differences."""

from __future__ import annotations

import pytest
import torch

from seqlm.models.labeling.outputs import log_partition as module
from seqlm.models.labeling.outputs.crf import continuations, log_sum
from seqlm.models.labeling.outputs.log_partition import has_small_range, log_partition

LENGTHS = torch.tensor([1, 5, 3, 4])


def random_chain(labels: int, size: float = 1.0, dtype=torch.float64) -> tuple[torch.Tensor, ...]:
    """u (4, 5, L), which is 0 in the padding, and A (L, L) within +-`module.LARGEST_RANGE` / 2."""
    torch.manual_seed(1)
    inside = torch.arange(5) < LENGTHS[:, None]
    u = (size * torch.randn(4, 5, labels, dtype=torch.float64)).where(inside[..., None], 0)
    transitions = module.LARGEST_RANGE * (torch.rand(labels, labels, dtype=torch.float64) - 0.5)
    return u.to(dtype).requires_grad_(), transitions.to(dtype).requires_grad_()


def in_logarithms(u: torch.Tensor, transitions: torch.Tensor) -> torch.Tensor:
    """log Z (B,), sentence by sentence."""
    totals = []
    for sentence, length in zip(u, LENGTHS.tolist()):
        a = sentence[0]
        for t in range(1, length):
            a = (a[:, None] + transitions).logsumexp(0) + sentence[t]
        totals.append(a.logsumexp(0))
    return torch.stack(totals)


@pytest.mark.parametrize("labels", [1, 2, 7])
@pytest.mark.parametrize("size", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_sum_and_its_gradient_are_those_of_the_recursion(labels, size, dtype):
    torch.set_flush_denormal(True)  # as in training
    u, transitions = random_chain(labels, size, dtype)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=dtype)
    found = log_partition(u, transitions, LENGTHS)
    gradients = torch.autograd.grad(found @ weights, (u, transitions))
    u, transitions = (x.detach().double().requires_grad_() for x in (u, transitions))
    right = in_logarithms(u, transitions)
    right_gradients = torch.autograd.grad(right @ weights.double(), (u, transitions))
    close = {"rtol": 1e-5, "atol": 2e-5} if dtype == torch.float32 else {"rtol": 0, "atol": 1e-9}
    torch.testing.assert_close(found.double(), right, **close)
    for a, b in zip(gradients, right_gradients, strict=True):
        torch.testing.assert_close(a.double(), b, **close)


@pytest.mark.parametrize("labels", [1, 4])
def test_the_gradient_is_that_of_differences(labels):
    u, transitions = random_chain(labels)
    transitions = (transitions / 10).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda *x: log_partition(*x, LENGTHS), (u, transitions))


def test_scores_that_forbid_all_labels_but_one_leave_one_path():
    u, transitions = random_chain(3)
    path = torch.randint(3, (4, 5))
    only = path[..., None] == torch.arange(3)
    found = log_partition(u.where(only, -1e30), transitions, LENGTHS)
    for b, length in enumerate(LENGTHS.tolist()):
        y = path[b, :length]
        right = u[b, range(length), y].sum() + transitions[y[:-1], y[1:]].sum()
        torch.testing.assert_close(found[b], right, rtol=0, atol=1e-9)


def test_autocast_leaves_the_precision_alone():
    u, transitions = random_chain(7, dtype=torch.float32)
    right = log_partition(u, transitions, LENGTHS)
    right_gradients = torch.autograd.grad(right.sum(), (u, transitions))
    with torch.autocast("cpu", torch.bfloat16):
        found = log_partition(u, transitions, LENGTHS)
        gradients = torch.autograd.grad(found.sum(), (u, transitions))
    torch.testing.assert_close(found, right, rtol=0, atol=0)
    torch.testing.assert_close(gradients, right_gradients, rtol=0, atol=0)


@pytest.mark.parametrize("factor", [0.9, 1.1, 100.0])
def test_transitions_of_any_range_have_their_sum(factor):
    u, transitions = random_chain(7, 100.0)
    low, high = transitions.detach().aminmax()
    scale = factor * module.LARGEST_RANGE / (high - low)
    transitions = (scale * transitions).detach().requires_grad_()
    assert has_small_range(transitions) == (factor < 1)
    found, right = log_sum(u, transitions, LENGTHS), in_logarithms(u, transitions)
    torch.testing.assert_close(found, right, rtol=0, atol=1e-9)
    pairs = (torch.autograd.grad(z.sum(), (u, transitions)) for z in (found, right))
    for a, b in zip(*pairs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_continuations_with_logarithms_agree_with_products():
    u, transitions = random_chain(7)
    v = continuations(u, transitions[None], LENGTHS, torch.logsumexp)
    torch.testing.assert_close(v[:, 0].logsumexp(-1), log_partition(u, transitions, LENGTHS))
