"""The linear-chain conditional random field of Lafferty, McCallum & Pereira (2001), whose scores
come from a network as in Lample et al. (2016).

    s(x, y)  = a_{y_1} + sum_t s_{t,y_t} + sum_{t>1} A_{y_{t-1},y_t} + b_{y_T}
    p(y | x) = exp s(x, y) / Z,      Z = sum_y exp s(x, y)

    s_{t,l}  score of label l at token t, which the network computes from all of x
    A_{kl}   score of label l after label k      a_l, b_l   of a sentence that starts, ends with l
    u_{t,l}  s_{t,l} with a_l added at the first token and b_l at the last

Every verb follows from v_t(l), the log of the summed weight of all that can follow from token t on,
when it has label l. It is computed from a sentence's end to its start:

    v_T(l) = u_{T,l}
    v_t(k) = u_{t,k} + log sum_l exp(A_{kl} + v_{t+1}(l))

    log Z = log sum_l exp v_1(l)
    p(y_1 = l | x) = exp v_1(l) / Z,   p(y_t = l | y_{t-1} = k, x) = softmax_l(A_{kl} + v_t(l))

With max in place of log sum exp, v_t is the score of the best continuation (Viterbi 1967).
Training has a quicker way to log Z, in `log_partition.py`.

B sentences · T tokens · L labels. Constraints say which labels may follow each other, and start and
end a sentence, as the schemes of chunks do. Training disregards them, since its text may break its
scheme. For the other verbs, a sequence that breaks them has the probability 0, and the others are
renormalized. A sentence of a length that no allowed sequence has is read without constraints.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqlm.models.labeling.outputs.label_output import (
    LabelOutput,
    LabelSequences,
    draw,
    fill_sequences,
    first_alone,
)
from seqlm.models.labeling.outputs.log_partition import has_small_range, log_partition
from seqlm.models.layers.padding import padding_mask
from seqlm.text.labeled.label_vocabulary import UNKNOWN_LABEL

FORBIDDEN = -1e30
"""The score of what is not allowed. Beside it other scores vanish, and no difference is NaN."""


class CRF(LabelOutput):
    """Labels that depend on the sentence and on their neighbors."""

    allowed_transitions: Tensor
    allowed_start: Tensor
    allowed_end: Tensor

    def __init__(self, width: int, labels: int) -> None:
        """`width` is D, `labels` L. At first everything is allowed."""
        super().__init__(width, labels)
        self.transitions = nn.Parameter(torch.empty(labels, labels).uniform_(-0.1, 0.1))  # A
        self.start = nn.Parameter(torch.empty(labels).uniform_(-0.1, 0.1))  # a
        self.end = nn.Parameter(torch.empty(labels).uniform_(-0.1, 0.1))  # b
        self.register_buffer("allowed_transitions", torch.ones(labels, labels, dtype=torch.bool))
        self.register_buffer("allowed_start", torch.ones(labels, dtype=torch.bool))
        self.register_buffer("allowed_end", torch.ones(labels, dtype=torch.bool))

    def allow(self, transitions: Tensor, start: Tensor, end: Tensor) -> None:
        """Sets the constraints, all bool: whether l may follow k, (L, L) at [k, l], and whether it
        may start and end a sentence, (L,)."""
        self.allowed_transitions.copy_(transitions)
        self.allowed_start.copy_(start)
        self.allowed_end.copy_(end)

    def log_likelihood(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        inside = padding_mask(lengths, scores.shape[1])
        u = unary_scores(scores, self.start, self.end, lengths)
        known = (labels != UNKNOWN_LABEL) | ~inside
        if known.all():
            y = labels.where(inside, 0)
            weight = path_score(u, self.transitions, y, inside)
        else:
            every = torch.arange(scores.shape[2], device=labels.device)
            possible = (labels[..., None] == every) | ~known[..., None]  # (B, T, L)
            weight = log_sum(u.where(possible, FORBIDDEN), self.transitions, lengths)
        return weight - log_sum(u, self.transitions, lengths)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        u, transitions = self.constrain(scores, lengths)
        v = continuations(u, transitions, lengths, torch.amax)
        y = walk(v, transitions, lambda weights: weights.argmax(-1))
        return y.where(padding_mask(lengths, scores.shape[1]), UNKNOWN_LABEL)

    def sample(
        self, scores: Tensor, lengths: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        u, transitions = self.constrain(scores, lengths)
        v = continuations(u, transitions, lengths, log_sum_exp)
        y = walk(v, transitions, lambda weights: draw(weights, generator))
        return y.where(padding_mask(lengths, scores.shape[1]), UNKNOWN_LABEL)

    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        u, transitions = self.constrain(scores, lengths)
        v = continuations(u, transitions, lengths, log_sum_exp)
        p = [v[:, 0].softmax(-1)]
        for t in range(1, scores.shape[1]):
            given_last = (transitions + v[:, t, None]).softmax(-1)  # (B, L, L)
            p.append((p[-1][..., None] * given_last).sum(1))
        inside = padding_mask(lengths, scores.shape[1])
        return torch.stack(p, 1).where(inside[..., None], 0)

    def nbest(self, scores: Tensor, lengths: Tensor, n: int) -> LabelSequences:
        """Viterbi's algorithm with the n best continuations of each label in place of the best."""
        u, transitions = self.constrain(scores, lengths)
        T = u.shape[1]
        goes_on = padding_mask(lengths - 1, T)[..., None, None]  # (B, T, 1, 1)
        nothing = first_alone(u, n)  # what continues the last token
        v = u[:, -1, :, None] + nothing  # (B, L, n)
        next_at = []
        for t in reversed(range(T - 1)):
            weights = transitions[..., None] + v[:, None]  # (B, L, L, n)
            best, at = weights.flatten(2).topk(n)  # (B, L, n)
            v = u[:, t, :, None] + best.where(goes_on[:, t], nothing)
            next_at.append(at.flatten(1))  # (B, L n)
        weight, at = v.flatten(1).topk(n)  # (B, n)
        places = [at]  # of the sequences' labels and continuations, in (L n)
        for following in reversed(next_at):
            places.append(following.gather(1, places[-1]))
        log_z = continuations(u, transitions, lengths, log_sum_exp)[:, :1].logsumexp(-1)
        log_probs = (weight - log_z).where(weight > FORBIDDEN / 2, -torch.inf)
        found = LabelSequences(torch.stack(places, 2) // n, log_probs)
        return fill_sequences(found, padding_mask(lengths, T), n)

    def constrain(self, scores: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """u (B, T, L) and A (1, L, L), or (B, L, L) where it depends on the sentence."""
        obeys = self.has_allowed_sequence(lengths, scores.shape[1])[:, None]  # (B, 1)
        if obeys.all():
            obeys = obeys[:1]
        start = self.start.where(self.allowed_start | ~obeys, FORBIDDEN)  # (1 or B, L)
        end = self.end.where(self.allowed_end | ~obeys, FORBIDDEN)
        allowed = self.allowed_transitions | ~obeys[..., None]
        transitions = self.transitions.where(allowed, FORBIDDEN)
        return unary_scores(scores, start, end, lengths), transitions

    def has_allowed_sequence(self, lengths: Tensor, longest: int) -> Tensor:
        """(B,) -> (B,) bool: whether a sequence of that length obeys the constraints."""
        reached, possible = self.allowed_start, []
        for _ in range(longest):
            possible.append((reached & self.allowed_end).any())
            reached = (reached[:, None] & self.allowed_transitions).any(0)
        return torch.stack(possible)[lengths - 1]


def unary_scores(scores: Tensor, start: Tensor, end: Tensor, lengths: Tensor) -> Tensor:
    """u (B, T, L) of scores (B, T, L) and of start and end, (L,) or (B, L); 0 in the padding.

    The largest score of every token becomes 0. That changes no probability, and the sums over a
    long sentence stay small, whose difference is a log probability.
    """
    T = scores.shape[1]
    inside, inner = (padding_mask(n, T)[..., None] for n in (lengths, lengths - 1))  # (B, T, 1)
    is_first = (torch.arange(T, device=lengths.device) == 0)[:, None]  # (T, 1)
    u = (scores - scores.detach().amax(-1, keepdim=True)).where(inside, 0)
    start, end = (part.view(-1, 1, part.shape[-1]) for part in (start, end))  # (1 or B, 1, L)
    return u + is_first * start + (inside & ~inner) * end


def path_score(unary: Tensor, transitions: Tensor, labels: Tensor, inside: Tensor) -> Tensor:
    """s(x, y) (B,) of labels y (B, T), which are 0 outside of `inside` (B, T)."""
    pairs = labels[:, :-1] * len(transitions) + labels[:, 1:]  # (B, T - 1)
    # Not transitions[.., ..], whose gradient depends on the order in which threads add to it.
    steps = transitions.flatten().gather(0, pairs.flatten()).view(pairs.shape)
    emitted = unary.gather(2, labels[..., None])[..., 0]  # (B, T)
    return emitted.sum(1) + steps.where(inside[:, 1:], 0).sum(1)


def log_sum(unary: Tensor, transitions: Tensor, lengths: Tensor) -> Tensor:
    """log Z (B,) of u (B, T, L) and A (L, L)."""
    if has_small_range(transitions):
        return log_partition(unary, transitions, lengths)
    return continuations(unary, transitions[None], lengths, log_sum_exp)[:, 0].logsumexp(-1)


def continuations(
    unary: Tensor, transitions: Tensor, lengths: Tensor, total: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """v (B, T, L) of u (B, T, L) and A (1 or B, L, L); `total` is `log_sum_exp` or `amax`."""
    goes_on = padding_mask(lengths - 1, unary.shape[1])[..., None]  # (B, T, 1)
    # The next label in front: sums over the first axis are quick.
    from_next = transitions.permute(2, 0, 1).contiguous()  # (L, 1 or B, L)
    v = [unary[:, -1]]
    for t in reversed(range(unary.shape[1] - 1)):
        weights = from_next + v[-1].t().contiguous()[..., None]  # (L, B, L)
        v.append(unary[:, t] + total(weights, 0).where(goes_on[:, t], 0))
    return torch.stack(v[::-1], 1)


def log_sum_exp(x: Tensor, axis: int) -> Tensor:
    """log sum exp x along `axis`, of finite numbers.

    Less than exp(-80) of the largest term is lost in any sum. `torch.logsumexp` does not use that,
    and on a CPU takes 15 times as long where terms underflow, as those of what is forbidden do.
    """
    largest = x.amax(axis, keepdim=True)
    total = (x - largest).clamp(min=-80).exp().sum(axis)
    return largest.squeeze(axis) + total.log()


def walk(v: Tensor, transitions: Tensor, choose: Callable[[Tensor], Tensor]) -> Tensor:
    """Labels (B, T), each by `choose`, (B, L) -> (B,), from the weights that its choice has."""
    sentences = torch.arange(len(v), device=v.device)
    after = transitions.expand(len(v), -1, -1)
    y = [choose(v[:, 0])]
    for t in range(1, v.shape[1]):
        y.append(choose(after[sentences, y[-1]] + v[:, t]))
    return torch.stack(y, 1)
