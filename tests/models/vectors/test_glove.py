"""The loss of GloVe and its gradients by the formula, pair by pair."""

from __future__ import annotations

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.config.count_vectors_config import GloVeConfig
from seqlm.models.vectors.glove import BIAS_RATE, GloVe
from seqlm.models.vectors.sparse_matrix import Entries
from seqlm.training.optimization.optimizer import make_optimizer, set_learning_rate

V, D = 6, 3
PAIRS = st.dictionaries(
    st.tuples(st.integers(0, V - 1), st.integers(0, V - 1)),
    st.floats(0.01, 500),
    min_size=1,
    max_size=20,
)


def network(**options: float) -> GloVe:
    torch.manual_seed(1)
    glove = GloVe(GloVeConfig(vocab_size=V, width=D, **options)).double()
    for parameter in glove.parameters():
        parameter.data.normal_()
    return glove


def entries(pairs: dict[tuple[int, int], float]) -> Entries:
    rows, columns = torch.tensor(list(pairs)).T
    return Entries(rows, columns, torch.tensor(list(pairs.values()), dtype=torch.float64))


def slow_loss(glove: GloVe, pairs: dict[tuple[int, int], float]) -> torch.Tensor:
    """J, in operations that autograd differentiates."""
    config, losses = glove.config, []
    for (i, j), x in pairs.items():
        f = min(1, (x / config.x_max) ** config.alpha)
        e = glove.words[i] @ glove.contexts[j] + glove.word_bias[i, 0] + glove.context_bias[j, 0]
        losses.append(f * (e - log(x)) ** 2 / 2)
    return torch.stack(losses).sum()


@given(PAIRS, st.sampled_from([1.0, 20.0, 100.0]), st.sampled_from([0.0, 0.5, 0.75]))
def test_loss_and_gradients_are_the_formula_s(
    pairs: dict[tuple[int, int], float], x_max: float, alpha: float
) -> None:
    glove = network(x_max=x_max, alpha=alpha)
    slow = slow_loss(glove, pairs)
    expected = torch.autograd.grad(slow, list(glove.parameters()))
    loss = glove.loss(entries(pairs))
    loss.backward()
    torch.testing.assert_close(loss.detach(), slow.detach() / len(pairs))
    for parameter, gradient in zip(glove.parameters(), expected, strict=True):
        assert parameter.grad is not None
        assert parameter.grad.is_sparse
        torch.testing.assert_close(parameter.grad.to_dense(), gradient)


def test_gradients_are_finite_differences() -> None:
    glove = network()
    pairs = {(0, 1): 3.0, (1, 0): 3.0, (2, 2): 250.0, (5, 1): 0.25}
    batch, step = entries(pairs), 1e-6
    glove.loss(batch).backward()
    for parameter in glove.parameters():
        assert parameter.grad is not None
        gradient = parameter.grad.to_dense()
        for place in range(parameter.numel()):
            flat = parameter.data.view(-1)
            flat[place] += step
            above = float(glove.loss(batch).detach())
            flat[place] -= 2 * step
            below = float(glove.loss(batch).detach())
            flat[place] += step
            slope = (above - below) / (2 * step) * len(pairs)
            assert slope == pytest.approx(float(gradient.view(-1)[place]), abs=1e-6)


def test_the_vector_of_a_word_is_the_sum_of_its_two() -> None:
    glove = network()
    assert torch.equal(glove.word_vectors(), (glove.words + glove.contexts).detach())


def random_pairs(words: int, number: int) -> Entries:
    generator = torch.Generator().manual_seed(3)
    rows, columns = torch.randint(2, words, (2, number), generator=generator)
    return Entries(rows, columns, torch.rand(number, generator=generator) * 150 + 1e-3)


def train(threads: int, steps: int) -> tuple[list[float], list[torch.Tensor]]:
    """The losses of so many steps, and the parameters after them."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.manual_seed(2)
        glove = GloVe(GloVeConfig(vocab_size=500, width=20))
        optimizer, batch, losses = make_optimizer("adagrad", glove), random_pairs(500, 50_003), []
        for _ in range(steps):
            set_learning_rate(optimizer, 0.05, 0.0)
            optimizer.zero_grad()
            loss = glove.loss(batch)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return losses, [parameter.detach() for parameter in glove.parameters()]
    finally:
        torch.set_num_threads(before)


def test_the_loss_falls() -> None:
    losses, _ = train(threads=1, steps=12)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads: int) -> None:
    one_losses, one = train(threads=1, steps=4)
    losses, several = train(threads, steps=4)
    assert losses == one_losses
    assert all(map(torch.equal, one, several))


def test_rates_are_those_of_the_program() -> None:
    """The first step: w -= lr g / sqrt(1 + mean of (lr g)^2), and biases at 20 times the rate."""
    glove, lr = network(), 0.05
    before = [parameter.detach().clone() for parameter in glove.parameters()]
    optimizer = make_optimizer("adagrad", glove)
    set_learning_rate(optimizer, lr, 0.0)
    glove.loss(entries({(0, 1): 3.0, (2, 1): 90.0})).backward()
    gradients = [p.grad.to_dense() for p in glove.parameters() if p.grad is not None]
    optimizer.step()
    for parameter, old, g in zip(glove.parameters(), before, gradients, strict=True):
        rate = lr * (BIAS_RATE if parameter.shape[1] == 1 else 1)
        expected = old - rate * g / (1 + ((rate * g) ** 2).mean(1, keepdim=True)).sqrt()
        torch.testing.assert_close(parameter.detach(), expected)
