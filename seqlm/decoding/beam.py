"""Beam search: the `width` most probable prefixes, extended by a token at a time.

    X      the source, S positions (a language model has none)
    Y      a hypothesis, |Y| tokens
    q      log p(Y | X); where something is done against repetition, the sum of what that leaves
    p_ij   attention on source position i behind token j

    score(X, Y) = q(Y) / lp(Y) + cp(X, Y)                       Wu et al. 2016, equation 14
    lp(Y) = ((5 + |Y|) / 6)^alpha
    cp(X, Y) = beta sum_i log(min(sum_j p_ij, 1))

Each step extends the prefixes by every token and looks at the 2 `width` best results. Those among
the first `width` that end are finished; the best `width` that do not end are the next prefixes, and
there always are enough, as each prefix ends in one way only. Prefixes, all of one length, compete
by q; finished hypotheses by their score.

A source is done when its n best hypotheses are proven. What a prefix leads to has a lower q, a
larger lp and at best cp = 0, so it cannot score above

    q(prefix) / lp(longest)

and once the n-th best finished score is no lower than that of the best prefix, searching on to the
limit would return the same n.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.decoding.choose import highest
from seqlm.decoding.repetition import Adjust
from seqlm.errors import UsageError
from seqlm.models.base import S, SequenceModel, State, select, transform


class Hypothesis(NamedTuple):
    tokens: Tensor  # (t,), the last one `end` unless the search was cut at its limit
    log_prob: float  # natural log, as the model has it
    score: float
    alignment: Tensor | None  # (t, S)


@torch.inference_mode()
def beam_search(
    model: SequenceModel,
    state: State,
    width: int,
    steps: int | Tensor,
    end: int,
    *,
    length_penalty: float = 0.0,
    coverage_penalty: float = 0.0,
    source_lengths: Tensor | None = None,
    adjust: Adjust | None = None,
    nbest: int | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses for each of the B rows of `state`, best first.

    steps: the most tokens of a hypothesis, `end` included; (B,) where each source has its own.
    length_penalty: alpha. With 0, a beam of width 1 is the greedy choice.
    coverage_penalty: beta, for models that tell their alignment; on others it has no effect.
    source_lengths: (B,) positions of each source that are no padding, for the coverage.
    adjust: what is done against repetition; nothing it gives may be above 0.
    nbest: how many are wanted, by default `width`; fewer are proven sooner.

    Hypotheses that ended come before those cut at the limit. Fewer than `nbest` come back only
    where the beam met no others of probability above 0. Among equals, prefixes go by rank and
    token id, hypotheses by when they were found. Errors: UsageError for a value out of range.
    """
    nbest = width if nbest is None else nbest
    if not 1 <= nbest <= width:
        raise UsageError(f"a beam of {width} cannot give the best {nbest}")
    if not (length_penalty >= 0 and coverage_penalty >= 0):
        raise UsageError("length and coverage penalties must be 0 or more")
    ranking = Ranking(length_penalty, coverage_penalty)
    log_probs = model.log_probs(state)  # (B, V), asked here for its shape alone
    (batch, vocab_size), device = log_probs.shape, log_probs.device
    search = Search(
        torch.arange(batch, device=device),
        torch.as_tensor(steps, device=device).expand(batch),
        source_lengths,
        torch.full((batch, nbest), -math.inf, dtype=torch.float64, device=device),
        Prefixes.empty(batch, device, model.alignment(state)),
    )
    found: list[list[Hypothesis]] = [[] for _ in range(batch)]
    while True:
        # Sources that are done leave the search; at their limit they leave what is alive as well.
        prefixes = search.prefixes
        cut = search.limit <= prefixes.tokens.shape[2]
        proven = search.best[:, -1] >= ranking.bound(prefixes.q[:, 0], search.limit)
        scores = ranking.scores(prefixes, search.length)
        collect(found, search.number, prefixes, scores, cut[:, None] & prefixes.q.isfinite())
        going = (~(cut | proven)).nonzero()[:, 0]
        if len(going) == 0:
            break
        search = select(search, going)
        prefixes = search.prefixes

        # Every prefix by every token, and the best of that.
        last = prefixes.tokens[..., -1:].flatten(0, 1)  # (A L, 1), or (A, 0) at first
        state = model.advance(select(state, prefixes.row.flatten()), last)
        log_probs = model.log_probs(state)  # (A L, V)
        adjusted = log_probs if adjust is None else adjust(log_probs, prefixes.tokens.flatten(0, 1))
        totals = (prefixes.q[..., None] + adjusted.view(*prefixes.row.shape, -1)).flatten(1)
        first = highest(totals, min(2 * width, totals.shape[1]))  # (A, n) of L V
        parents, tokens = first // vocab_size, first % vocab_size
        added = log_probs.view_as(totals).gather(1, first)
        longer = prefixes.extended(
            parents, tokens, added, totals.gather(1, first), model.alignment(state)
        )

        # What ended is filed, what did not goes on.
        ended = tokens == end
        finished = ended & longer.q.isfinite()
        finished[:, width:] = False
        scores = ranking.scores(longer, search.length)
        collect(found, search.number, longer, scores, finished)
        scores = torch.cat([search.best, scores.masked_fill(~finished, -math.inf)], 1)
        most = min(width, totals.shape[1] - prefixes.row.shape[1])  # L (V - 1) do not end
        alive = ended.int().argsort(dim=1, stable=True)[:, :most]
        search = search._replace(best=scores.topk(nbest).values, prefixes=take(longer, alive))

    def merit(hypothesis: Hypothesis) -> tuple[bool, float]:
        return bool((hypothesis.tokens[-1:] == end).any()), hypothesis.score

    return [sorted(some, key=merit, reverse=True)[:nbest] for some in found]


class Prefixes(NamedTuple):
    """L prefixes of each of A sources, best first."""

    row: Tensor  # (A, L) the row of the model's state that has read all but the last token
    log_prob: Tensor  # (A, L) float64
    q: Tensor  # (A, L) float64, what they compete by
    tokens: Tensor  # (A, L, t)
    attention: Tensor | None  # (A, L, t, S)

    @classmethod
    def empty(cls, sources: int, device: torch.device, attention: Tensor | None) -> Prefixes:
        """The one prefix everything begins with; `attention` (A, S) is asked for its shape."""
        return cls(
            torch.arange(sources, device=device)[:, None],
            torch.zeros(sources, 1, dtype=torch.float64, device=device),
            torch.zeros(sources, 1, dtype=torch.float64, device=device),
            torch.empty(sources, 1, 0, dtype=torch.long, device=device),
            None if attention is None else attention[:, None, None][:, :, :0],
        )

    def extended(
        self, ranks: Tensor, tokens: Tensor, added: Tensor, q: Tensor, attention: Tensor | None
    ) -> Prefixes:
        """Those at `ranks` (A, n), `tokens` (A, n) after them, `attention` (A L, S) behind that.

        `added` (A, n) is the log-probability of the tokens, `q` (A, n) that of the longer prefixes.
        """
        row = torch.arange(self.row.numel(), device=ranks.device).view_as(self.row)
        behind = self.attention
        if behind is not None and attention is not None:
            attention = attention.view(*self.row.shape, -1)  # (A, L, S)
            behind = torch.cat([behind, attention[:, :, None]], 2)
        row, log_prob, history, behind = take((row, self.log_prob, self.tokens, behind), ranks)
        history = torch.cat([history, tokens[..., None]], 2)
        return Prefixes(row, log_prob + added, q, history, behind)


class Search(NamedTuple):
    """The A sources that are not done. A state: `select` drops the others."""

    number: Tensor  # (A,) where in the batch the source stands
    limit: Tensor  # (A,) the most tokens its hypotheses may have
    length: Tensor | None  # (A,) its positions that are no padding
    best: Tensor  # (A, n) float64, the highest finished scores, falling
    prefixes: Prefixes


class Ranking(NamedTuple):
    """The score of a hypothesis, and the bound on what a prefix can lead to."""

    alpha: float
    beta: float

    def scores(self, prefixes: Prefixes, length: Tensor | None) -> Tensor:
        """(A, L) float64; `length` (A,) positions of each source."""
        scores = prefixes.q / self.lp(torch.tensor(prefixes.tokens.shape[2]))
        if self.beta == 0 or prefixes.attention is None:
            return scores
        coverage = prefixes.attention.double().sum(2)  # (A, L, S)
        # A position without any attention costs much (log 1e-38), but not everything.
        logs = coverage.clamp(torch.finfo(torch.float32).tiny, 1).log()
        if length is not None:
            padding = torch.arange(logs.shape[2], device=length.device) >= length[:, None]  # (A, S)
            logs = logs.masked_fill(padding[:, None], 0)
        return scores + self.beta * logs.sum(2)

    def bound(self, q: Tensor, limit: Tensor) -> Tensor:
        return q / self.lp(limit)

    def lp(self, tokens: Tensor) -> Tensor:
        return ((5 + tokens.double()) / 6) ** self.alpha


def take(nest: S, ranks: Tensor) -> S:
    """The rows `ranks` (A, n) of tensors (A, L, ..): `select`, one axis further in."""
    sources = torch.arange(ranks.shape[0], device=ranks.device)[:, None]
    return transform(nest, lambda tensor: tensor[sources, ranks])


def collect(
    found: list[list[Hypothesis]],
    number: Tensor,
    prefixes: Prefixes,
    scores: Tensor,
    which: Tensor,
) -> None:
    """Files the prefixes marked in `which` (A, L) under their sources."""
    for source, rank in which.nonzero().tolist():
        at = source, rank
        hypothesis = Hypothesis(
            prefixes.tokens[at],
            prefixes.log_prob[at].item(),
            scores[at].item(),
            None if prefixes.attention is None else prefixes.attention[at],
        )
        found[int(number[source])].append(hypothesis)
