"""Greedy search: the likeliest next token, again and again.

    y_t = argmax_y p(y | X, y_1 .. y_{t-1})

until it is the end of the hypothesis, or the hypothesis is as long as it may be. A beam of width 1
(`beam_search.py`) finds the same, with the work that several prefixes of a source make.

B rows of the batch, each a source · R rows of the state, those whose sources are not done among
them · V vocabulary · S source positions
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlm.decoding.beam_search import Hypothesis
from seqlm.decoding.token_sampling import greedy
from seqlm.models.arrays import check_numbers
from seqlm.models.base import SequenceModel, State
from seqlm.models.tree import select

FEWEST_OPEN = 0.8
"""The share of the state's rows that must be open. When fewer are, the others are dropped: to copy
the state at every step in which a row ends would take longer than to compute these rows."""


@torch.inference_mode()
def greedy_search(
    model: SequenceModel, state: State, limits: Tensor, end: int, align: bool = False
) -> list[list[Hypothesis]]:
    """The greedy hypothesis of each of the B rows of `state`; its score is its log-probability.

    limits: (B,) the most tokens of each hypothesis, `end` included.
    align: whether hypotheses come with their attention, on models that have an alignment.

    Among equals the lower token id is taken. A row has no hypothesis where all tokens have
    probability 0. Errors: ModelError where the model gives NaN.
    """
    batch, device = len(limits), limits.device
    rows = torch.arange(batch, device=device)  # (R,) the row of the batch of each row of the state
    is_open = torch.ones(batch, dtype=torch.bool, device=device)  # (R,)
    log_prob = torch.zeros(batch, dtype=torch.float64, device=device)  # (B,)
    lengths = torch.zeros_like(limits)  # (B,)
    steps: list[Tensor] = []  # (B,) tokens of each step
    attentions: list[Tensor] = []  # (B, S) of each step
    while True:
        log_probs = model.log_probs(state)  # (R, V)
        tokens = greedy(log_probs)  # (R,)
        added = log_probs.gather(1, tokens[:, None])[:, 0].double()
        log_prob[rows] += added.masked_fill(~is_open, 0)
        lengths[rows] += is_open
        steps.append(torch.full_like(limits, end).index_copy(0, rows, tokens))
        if align and (attention := model.alignment(state)) is not None:
            whole = attention.new_zeros(batch, attention.shape[1])
            attentions.append(whole.index_copy(0, rows, attention))
        is_open &= (tokens != end) & (limits[rows] > len(steps))
        number = int(is_open.sum())
        if number == 0:
            break
        if number < FEWEST_OPEN * len(rows):
            still_open = is_open.nonzero()[:, 0]
            state, rows, tokens, is_open = select((state, rows, tokens, is_open), still_open)
        state = model.advance(state, tokens[:, None])

    check_numbers(log_prob)
    history = torch.stack(steps, 1)  # (B, t)
    alignment = torch.stack(attentions, 1) if attentions else None  # (B, t, S)
    hypotheses: list[list[Hypothesis]] = []
    for row, (length, q) in enumerate(zip(lengths.tolist(), log_prob.tolist())):
        attention = None if alignment is None else alignment[row, :length]
        hypothesis = Hypothesis(history[row, :length], q, q, attention)
        hypotheses.append([hypothesis] if q > -torch.inf else [])
    return hypotheses
