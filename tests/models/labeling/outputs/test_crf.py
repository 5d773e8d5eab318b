"""What is of the CRF alone: its constraints, its gradients, and large transitions."""

from __future__ import annotations

import pytest
import torch

from seqlm.models.labeling.outputs.crf import CRF, log_sum_exp
from tests.models.labeling.outputs.enumeration import enumerate_labels

LABELS = 3
LENGTHS = torch.tensor([4, 1, 2, 3])


def make(size: float = 1.0) -> tuple[CRF, torch.Tensor]:
    torch.manual_seed(1)
    crf = CRF(2, LABELS).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_(0, size)
    return crf, torch.randn(4, 4, LABELS, dtype=torch.float64)


def test_parameters_start_small_and_everything_is_allowed():
    crf = CRF(2, LABELS)
    shapes = {name: tuple(tensor.shape) for name, tensor in crf.state_dict().items()}
    assert shapes == {
        "linear.weight": (LABELS, 2),
        "linear.bias": (LABELS,),
        "transitions": (LABELS, LABELS),
        "start": (LABELS,),
        "end": (LABELS,),
        "allowed_transitions": (LABELS, LABELS),
        "allowed_start": (LABELS,),
        "allowed_end": (LABELS,),
    }
    assert all(p.abs().max() <= 0.1 for p in (crf.transitions, crf.start, crf.end))
    assert all(buffer.all() for buffer in crf.buffers())


def test_constraints_are_stored_with_the_weights():
    crf, scores = make()
    crf.allow(torch.eye(LABELS).bool(), torch.tensor([True, False, False]), crf.allowed_end)
    copy, _ = make()
    copy.load_state_dict(crf.state_dict())
    right = torch.zeros(4, 4, dtype=torch.long).where(torch.arange(4) < LENGTHS[:, None], -1)
    assert torch.equal(copy.decode(scores, LENGTHS), right)


@pytest.mark.parametrize("unknown", [False, True])
def test_gradients_are_those_of_differences(unknown):
    crf, scores = make()
    labels = torch.randint(LABELS, (4, 4))
    if unknown:
        labels[0, 1:3] = labels[1, 0] = -1

    # The check changes the numbers of its inputs in place.
    inputs = (scores.requires_grad_(), crf.transitions, crf.start, crf.end)
    assert torch.autograd.gradcheck(lambda *_: crf.log_likelihood(scores, labels, LENGTHS), inputs)


@pytest.mark.parametrize("size", [30.0, 1000.0])
def test_large_transitions_are_safe(size):
    crf, scores = make(size)
    labels = torch.randint(LABELS, (4, 4))
    labels[0, 1] = -1
    found = crf.log_likelihood(scores, labels, LENGTHS)
    gradients = torch.autograd.grad(found.sum(), (crf.transitions, crf.start, crf.end))
    assert all(gradient.isfinite().all() for gradient in gradients)
    marginals, (_, log_probs) = crf.marginals(scores, LENGTHS), crf.nbest(scores, LENGTHS, 3)
    for b, length in enumerate(LENGTHS.tolist()):
        y = labels[b, :length]
        sequences, right = enumerate_labels(crf, scores[b, :length])
        log_p = right[((sequences == y) | (y == -1)).all(1)].logsumexp(0)
        torch.testing.assert_close(found[b], log_p, rtol=0, atol=1e-9)
        torch.testing.assert_close(log_probs[b], right.topk(3)[0], rtol=0, atol=1e-9)
        for label in range(LABELS):
            last = right.exp()[sequences[:, -1] == label].sum()
            torch.testing.assert_close(marginals[b, length - 1, label], last, rtol=0, atol=1e-9)


def test_a_sentence_of_a_length_that_nothing_allowed_has_is_free():
    crf, scores = make()
    free = crf.decode(scores, LENGTHS), crf.marginals(scores, LENGTHS)
    free_best, free_log_probs = crf.nbest(scores, LENGTHS, 9)
    # A sentence starts with 0 and ends with 1, and 1 follows 0 at once: one of two tokens can.
    transitions = torch.zeros(LABELS, LABELS, dtype=torch.bool)
    transitions[0, 1] = True
    crf.allow(transitions, torch.arange(LABELS) == 0, torch.arange(LABELS) == 1)
    assert crf.has_allowed_sequence(LENGTHS, 4).tolist() == [False, False, True, False]
    y, marginals = crf.decode(scores, LENGTHS), crf.marginals(scores, LENGTHS)
    best, log_probs = crf.nbest(scores, LENGTHS, 9)
    sampled = crf.sample(scores, LENGTHS, torch.Generator().manual_seed(1))
    assert y[2].tolist() == sampled[2].tolist() == best[2, 0].tolist() == [0, 1, -1, -1]
    assert marginals[2].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    torch.testing.assert_close(log_probs[2, :2], torch.tensor([0, -torch.inf]).double())
    for b in (0, 1, 3):
        assert torch.equal(y[b], free[0][b])
        torch.testing.assert_close(marginals[b], free[1][b])
        assert torch.equal(best[b], free_best[b])
        torch.testing.assert_close(log_probs[b], free_log_probs[b])


def test_log_sum_exp_is_that_of_torch():
    torch.manual_seed(1)
    x = 100 * torch.randn(7, 4, 5, dtype=torch.float64)
    x[:, 0, 0] = -1e30
    x[3:, 1] = -1e30
    torch.testing.assert_close(log_sum_exp(x, 0), x.logsumexp(0), rtol=0, atol=1e-12)
