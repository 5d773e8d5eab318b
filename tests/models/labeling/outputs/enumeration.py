"""All label sequences of a sentence with their weights, by the formulas of the outputs."""

from __future__ import annotations

from itertools import pairwise, product

import torch

from seqlm.models.labeling.outputs import CRF, LabelOutput


def enumerate_labels(
    output: LabelOutput, scores: torch.Tensor, obey: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """All label sequences (N, T), in rising order, of one sentence with scores (T, L); and the log
    probability of each, (N,). `obey` says whether the constraints of a CRF hold."""
    tokens, labels = scores.shape
    sequences = torch.tensor(list(product(range(labels), repeat=tokens)))
    weights = torch.tensor(
        [weight(output, scores, y, obey) for y in sequences.tolist()], dtype=torch.float64
    )
    return sequences, weights - weights.logsumexp(0)


@torch.no_grad()
def weight(output: LabelOutput, scores: torch.Tensor, y: list[int], obey: bool) -> float:
    """s(x, y) of one sentence; -inf where y is not allowed."""
    total = sum(float(scores[t, label]) for t, label in enumerate(y))
    if isinstance(output, CRF):
        total += float(output.start[y[0]] + output.end[y[-1]])
        allowed = bool(output.allowed_start[y[0]] & output.allowed_end[y[-1]])
        for before, after in pairwise(y):
            total += float(output.transitions[before, after])
            allowed = allowed and bool(output.allowed_transitions[before, after])
        if obey and not allowed:
            return -float("inf")
    return total
