"""Every verb of every output against the enumeration of all label sequences."""

from __future__ import annotations

import pytest
import torch

from seqlm.models.labeling.outputs import CRF, LabelOutput, SoftmaxLabels, make_output
from tests.models.labeling.outputs.enumeration import enumerate_labels

LABELS, WIDTH = 3, 5
LENGTHS = torch.tensor([4, 1, 3, 2, 4])
EXACT = {"rtol": 0, "atol": 1e-9}


def make(kind: str, whole_numbers: bool = False) -> tuple[LabelOutput, torch.Tensor]:
    """An output with random parameters, and scores (5, 4, 3) with large ones behind the lengths."""
    torch.manual_seed(1)
    output = make_output("softmax" if kind == "softmax" else "crf", WIDTH, LABELS).double()
    scores = 2 * torch.randn(len(LENGTHS), 4, LABELS, dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in output.named_parameters():
            parameter.normal_()
            if whole_numbers and "linear" not in name:
                parameter.round_()
    if kind == "constrained":
        output.allow(  # label 1 neither starts a sentence nor follows label 2, and 2 ends none
            torch.tensor([[True, True, True], [True, True, True], [True, False, True]]),
            torch.tensor([True, False, True]),
            torch.tensor([True, True, False]),
        )
    padding = torch.arange(4) >= LENGTHS[:, None]
    scores[padding] = 50 * torch.randn(int(padding.sum()), LABELS, dtype=torch.float64)
    return output, scores.round() if whole_numbers else scores


@pytest.fixture(params=["softmax", "crf", "constrained"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def sentences(scores: torch.Tensor) -> list[torch.Tensor]:
    """The scores of each sentence without its padding."""
    return [s[:length] for s, length in zip(scores, LENGTHS.tolist())]


def test_the_name_chooses_the_output():
    assert type(make_output("softmax", 2, 3)) is SoftmaxLabels
    assert type(make_output("crf", 2, 3)) is CRF


def test_scores_are_a_linear_layer(kind):
    output, _ = make(kind)
    features = torch.randn(2, 7, WIDTH, dtype=torch.float64)
    weight, bias = output.linear.weight, output.linear.bias
    torch.testing.assert_close(output.scores(features), features @ weight.t() + bias)
    with torch.autocast("cpu", torch.bfloat16):
        assert output.float().scores(features.float()).dtype == torch.float32


@pytest.mark.parametrize("unknown", [0.0, 0.5, 1.0])
def test_the_likelihood_sums_over_what_is_unknown(kind, unknown):
    output, scores = make(kind)
    labels = torch.randint(LABELS, scores.shape[:2])
    labels[torch.rand(labels.shape) < unknown] = -1
    found = output.log_likelihood(scores, labels, LENGTHS)
    for s, y, log_p in zip(sentences(scores), labels, found.detach()):
        y = y[: len(s)]
        sequences, log_probs = enumerate_labels(output, s, obey=False)
        agree = ((sequences == y) | (y == -1)).all(1)
        torch.testing.assert_close(log_p, log_probs[agree].logsumexp(0), **EXACT)
    assert found.shape == (5,)


@pytest.mark.parametrize("whole_numbers", [False, True], ids=["random", "with ties"])
def test_decode_gives_the_first_of_the_most_probable(kind, whole_numbers):
    output, scores = make(kind, whole_numbers)
    for factor in (1, 0):  # with scores of 0, many sequences are equal
        for s, y in zip(sentences(factor * scores), output.decode(factor * scores, LENGTHS)):
            sequences, log_probs = enumerate_labels(output, s)
            first = (log_probs > log_probs.max() - 1e-9).nonzero()[0, 0]
            assert y.tolist() == sequences[first].tolist() + [-1] * (4 - len(s))


def test_marginals_are_sums_over_sequences(kind):
    output, scores = make(kind)
    found = output.marginals(scores, LENGTHS).detach()
    for s, p in zip(sentences(scores), found):
        sequences, log_probs = enumerate_labels(output, s)
        for t in range(4):
            for label in range(LABELS):
                right = log_probs.exp()[sequences[:, t] == label].sum() if t < len(s) else 0.0
                assert float(p[t, label]) == pytest.approx(float(right), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_nbest_gives_the_n_most_probable_in_order(kind, n):
    output, scores = make(kind)
    labels, log_probs = output.nbest(scores, LENGTHS, n)
    assert labels.shape == (5, n, 4)
    assert log_probs.shape == (5, n)
    for s, y, log_p in zip(sentences(scores), labels, log_probs):
        sequences, right = enumerate_labels(output, s)
        order = right.argsort(descending=True)[:n]
        order = order[right[order].isfinite()]
        k = len(order)
        torch.testing.assert_close(log_p[:k], right[order], **EXACT)
        assert y[:k, : len(s)].tolist() == sequences[order].tolist()
        assert (y[:k, len(s) :] == -1).all()
        assert (y[k:] == -1).all()
        assert (log_p[k:] == -torch.inf).all()


def test_nbest_gives_each_of_equal_sequences_once(kind):
    output, scores = make(kind, whole_numbers=True)
    labels, log_probs = output.nbest(0 * scores, LENGTHS, 100)
    for y, log_p in zip(labels, log_probs.detach()):
        found = [tuple(sequence) for sequence in y[log_p.isfinite()].tolist()]
        assert len(set(found)) == len(found)
        assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-9)


def test_samples_have_the_probabilities_of_the_sequences(kind):
    output, scores = make(kind)
    draws = 20_000
    for b in (1, 2):
        s, length = 0.5 * scores[b], int(LENGTHS[b])
        generator = torch.Generator().manual_seed(b)
        found = output.sample(s.expand(draws, -1, -1), LENGTHS[b].expand(draws), generator)
        assert (found[:, length:] == -1).all()
        sequences, log_probs = enumerate_labels(output, s[:length])
        places = found[:, :length] @ LABELS ** torch.arange(length - 1, -1, -1)
        counts, expected = places.bincount(minlength=len(sequences)), draws * log_probs.exp()
        assert counts[expected == 0].sum() == 0
        counts, expected = counts[expected > 0], expected[expected > 0]
        chi_square = float(((counts - expected) ** 2 / expected).sum())
        degrees = len(expected) - 1
        assert chi_square < degrees + 4 * (2 * degrees + 1) ** 0.5


def everything(output: LabelOutput, scores: torch.Tensor, labels: torch.Tensor, lengths):
    """What the verbs give, and the gradient of the likelihood, of each sentence."""
    scores = scores.clone().requires_grad_()
    likelihood = output.log_likelihood(scores, labels, lengths)
    (gradient,) = torch.autograd.grad(likelihood.sum(), scores)
    scores = scores.detach()
    best = output.nbest(scores, lengths, 5)
    values = output.decode(scores, lengths), output.marginals(scores, lengths), *best
    return [likelihood.detach(), gradient, *values]


@pytest.mark.parametrize("filling", [0.0, 1e4, -1e4, float("inf"), float("nan")])
def test_padding_changes_nothing(kind, filling):
    output, scores = make(kind)
    labels = torch.randint(LABELS, scores.shape[:2])
    right = everything(output, scores, labels, LENGTHS)
    padding = torch.arange(4) >= LENGTHS[:, None]
    for label in (-1, 0, 99):
        scores[padding], labels[padding] = filling, label
        for a, b in zip(everything(output, scores, labels, LENGTHS), right, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
        drawn = output.sample(scores, LENGTHS, torch.Generator().manual_seed(1))
        assert (drawn[padding] == -1).all()
        assert (drawn[~padding] >= 0).all()


def test_a_sentence_alone_has_what_it_has_in_a_batch(kind):
    output, scores = make(kind)
    labels = torch.randint(-1, LABELS, scores.shape[:2])
    together = everything(output, scores, labels, LENGTHS)
    for b, length in enumerate(LENGTHS.tolist()):
        one = slice(b, b + 1)
        alone = everything(output, scores[one, :length], labels[one, :length], LENGTHS[one])
        for found, right in zip(alone, together, strict=True):
            right = right[one]
            if right.ndim == 3 and right.shape[1] == 5:  # labels (1, n, T)
                right = right[..., :length]
            elif right.ndim > 1 and right.shape[1] == 4:  # (1, T) or (1, T, L)
                right = right[:, :length]
            torch.testing.assert_close(found, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_large_scores_are_safe(kind, dtype):
    output, scores = make(kind)
    output, scores = output.to(dtype), (1000 * scores.clamp(-1, 1)).to(dtype)
    labels = torch.randint(LABELS, scores.shape[:2])
    likelihood, gradient, y, marginals, _, log_probs = everything(output, scores, labels, LENGTHS)
    assert gradient.isfinite().all()
    tolerance = {"rtol": 1e-6, "atol": 1e-9 if dtype == torch.float64 else 1e-4}
    for b, s in enumerate(sentences(scores.double())):
        sequences, free = enumerate_labels(output.double(), s, obey=False)
        at = (sequences == labels[b, : len(s)]).all(1)
        torch.testing.assert_close(likelihood[b].double(), free[at][0], **tolerance)
        _, right = enumerate_labels(output, s)
        assert y[b, : len(s)].tolist() == sequences[right.argmax()].tolist()
        torch.testing.assert_close(log_probs[b, 0].double(), right.max(), **tolerance)
        first = right.exp()[sequences[:, 0] == 0].sum()
        torch.testing.assert_close(marginals[b, 0, 0].double(), first, **tolerance)
