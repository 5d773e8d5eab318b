"""The hierarchical softmax against a slow walk."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from seqlm.models.labeling.outputs.hierarchical_softmax import HierarchicalSoftmax
from seqlm.models.labeling.outputs.softmax_labels import SoftmaxLabels

D = 4
COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=12)


def make(counts: list[int]) -> HierarchicalSoftmax:
    torch.manual_seed(1)
    layer = HierarchicalSoftmax(D, len(counts)).double()
    layer.set_counts(counts)
    return layer


def slow_log_prob(layer: HierarchicalSoftmax, h: torch.Tensor, label: int) -> torch.Tensor:
    """log p(label | h), walking up from the leaf."""
    parents, directions = layer.parent.tolist(), layer.direction.tolist()
    log_p, node = h.new_zeros(()), label
    while node != 2 * layer.labels - 2:
        z = layer.linear(h)[parents[node] - layer.labels]
        log_p, node = log_p + logsigmoid(directions[node] * z), parents[node]
    return log_p


@given(COUNTS)
def test_log_probs_are_those_of_a_slow_walk_and_sum_to_one(counts):
    layer, features = make(counts), torch.randn(3, D, dtype=torch.float64)
    log_probs = layer.log_probs(features)
    expected = torch.stack(
        [torch.stack([slow_log_prob(layer, h, y) for y in range(len(counts))]) for h in features]
    )
    torch.testing.assert_close(log_probs, expected)
    torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(3, dtype=torch.float64))


@given(COUNTS)
def test_the_likelihood_and_its_gradients_are_those_of_the_log_probs(counts):
    layer = make(counts)
    labels = torch.arange(-1, len(counts)).repeat(2)[:, None]  # one is not known
    lengths = torch.ones(len(labels), dtype=torch.int64)
    features = torch.randn(len(labels), 1, D, dtype=torch.float64, requires_grad=True)
    scores = layer.scores(features)
    found = layer.log_likelihood(scores, labels, lengths)
    expected = SoftmaxLabels.log_likelihood(layer, layer.log_probs(features), labels, lengths)
    torch.testing.assert_close(found, expected)
    if len(counts) == 1:
        assert not found.any()
        return
    inputs = (features, *layer.parameters())
    for a, b in zip(
        torch.autograd.grad(found.sum(), inputs), torch.autograd.grad(expected.sum(), inputs),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(a.to_dense(), b)


def test_the_gradient_has_the_rows_of_the_path_alone():
    layer = make([8, 4, 2, 1, 1])
    one = torch.ones(1, dtype=torch.int64)
    features = torch.randn(1, 1, D, dtype=torch.float64)
    layer.log_likelihood(features, torch.tensor([[1]]), one).sum().backward()
    gradient = layer.linear.weight.grad
    assert gradient.is_sparse
    assert gradient._indices().tolist() == [[2, 3]]


def test_the_verbs_are_those_of_a_softmax_with_these_log_probs():
    layer, softmax = make([5, 4, 3, 2, 1]), SoftmaxLabels(D, 5)
    features, lengths = torch.randn(3, 1, D, dtype=torch.float64), torch.tensor([1, 1, 1])
    log_p = layer.log_probs(features)
    assert torch.equal(layer.decode(features, lengths), softmax.decode(log_p, lengths))
    p = layer.marginals(features, lengths)
    torch.testing.assert_close(p, log_p.exp())
    for a, b in zip(layer.nbest(features, lengths, 4), softmax.nbest(log_p, lengths, 4)):
        torch.testing.assert_close(a, b)
    drawn = [
        verbs.sample(scores, lengths, torch.Generator().manual_seed(1))
        for verbs, scores in ((layer, features), (softmax, log_p))
    ]
    assert torch.equal(*drawn)


def test_equal_counts_give_a_balanced_tree():
    layer = HierarchicalSoftmax(D, 64)
    nodes, directions = layer.paths(torch.arange(64))
    assert nodes.shape == (64, 6)
    assert directions.ne(0).all()


def test_untrained_labels_are_as_frequent_as_the_tree_says():
    layer = HierarchicalSoftmax(D, 3)
    layer.set_counts([2, 1, 1])
    torch.nn.init.zeros_(layer.linear.weight)
    torch.nn.init.zeros_(layer.linear.bias)
    p = layer.log_probs(torch.randn(1, D)).exp()
    torch.testing.assert_close(p, torch.tensor([[0.5, 0.25, 0.25]]))


@pytest.mark.parametrize(
    ("buffer", "index", "value"),
    [("parent", 0, 0), ("parent", 0, 99), ("parent", -1, 0), ("direction", 0, 2),
     ("direction", -1, 1), ("parent", 1, 8)],
)  # fmt: skip
def test_what_is_no_tree_is_refused(buffer, index, value):
    layer = make([5, 4, 3, 2, 1])
    layer.check_tensors()
    getattr(layer, buffer)[index] = value
    with pytest.raises(ValueError, match="not a tree"):
        layer.check_tensors()
