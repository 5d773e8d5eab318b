"""Beam search: the `width` most probable prefixes, extended by a token at a time.

    X      the source, S positions (a language model has none)
    Y      a hypothesis, |Y| tokens
    q      log p(Y | X); where something is done against repetition, the sum of what that leaves
    p_ij   attention on source position i behind token j

    score(X, Y) = q(Y) / lp(Y) + cp(X, Y)                       Wu et al. 2016, equation 14
    lp(Y) = ((5 + |Y|) / 6)^alpha                               "gnmt"
    lp(Y) = |Y|^alpha                                           "simple"
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
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seqlm.decoding.repetition import Adjust
from seqlm.decoding.token_choice import highest
from seqlm.errors import UsageError
from seqlm.models.base import SequenceModel, State
from seqlm.models.tree import S, select, tree_map

Normalisation = Literal["simple", "gnmt"]


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
    normalisation: Normalisation = "gnmt",
    coverage_penalty: float = 0.0,
    source_lengths: Tensor | None = None,
    adjust: Adjust | None = None,
    nbest: int | None = None,
    align: bool = True,
) -> list[list[Hypothesis]]:
    """The best hypotheses for each of the B rows of `state`, best first.

    steps: the most tokens of a hypothesis, `end` included; (B,) where each source has its own.
    length_penalty: alpha. With 0, a beam of width 1 is the greedy choice.
    coverage_penalty: beta, for models that tell their alignment; on others it has no effect.
    source_lengths: (B,) positions of each source that are no padding, for the coverage.
    adjust: what is done against repetition; nothing it gives may be above 0.
    nbest: how many are wanted, by default `width`; fewer are proven sooner.
    align: whether hypotheses come with their attention, on models that tell it.

    Hypotheses that ended come before those cut at the limit. Fewer than `nbest` come back only
    where the beam met no others of probability above 0. Among equals, prefixes go by rank and
    token id, hypotheses by when they were found. Errors: UsageError for a value out of range.
    """
    nbest = width if nbest is None else nbest
    if not 1 <= nbest <= width:
        raise UsageError(f"a beam of {width} cannot give the best {nbest}")
    if not (length_penalty >= 0 and coverage_penalty >= 0):
        raise UsageError("length and coverage penalties must be 0 or more")
    ranking = Ranking(normalisation, length_penalty, coverage_penalty)
    log_probs = model.log_probs(state)  # (B, V), asked here for its shape alone
    (batch, vocab_size), device = log_probs.shape, log_probs.device
    attention = model.alignment(state) if align or coverage_penalty else None
    search = Search(
        torch.arange(batch, device=device),
        torch.as_tensor(steps, device=device).expand(batch),
        source_lengths,
        torch.full((batch, nbest), -math.inf, dtype=torch.float64, device=device),
        Prefixes.empty(batch, device, attention if coverage_penalty else None),
    )
    found: list[list[Hypothesis]] = [[] for _ in range(batch)]
    seen: list[Tensor] = []  # (A L, S) of each step, the attention behind its tokens
    while True:
        # Sources that are done leave the search; at their limit they leave what is alive as well.
        prefixes = search.prefixes
        cut = search.limit <= prefixes.tokens.shape[2]
        proven = search.best[:, -1] >= ranking.bound(prefixes.q[:, 0], search.limit)
        going = (~(cut | proven)).nonzero()[:, 0]
        if len(going) < len(cut):
            wanted = (cut & search.best[:, -1].isneginf())[:, None] & prefixes.q.isfinite()
            scores = ranking.scores(prefixes, search.length)
            collect(found, search.number, prefixes, scores, wanted, seen)
            if len(going) == 0:
                break
            search = select(search, going)
            prefixes = search.prefixes

        # Every prefix by every token, and the best of that: they are among the best of each prefix.
        last = prefixes.tokens[..., -1:].flatten(0, 1)  # (A L, 1), or (A, 0) at first
        rows = prefixes.rows[..., -1]  # (A, L)
        state = model.advance(select(state, rows.flatten()), last)
        log_probs = model.log_probs(state)  # (A L, V)
        adjusted = log_probs if adjust is None else adjust(log_probs, prefixes.tokens.flatten(0, 1))
        among = min(2 * width, vocab_size)
        tokens = highest(adjusted, among)  # (A L, n) of V
        added = log_probs.gather(1, tokens).view(*rows.shape, among)
        totals = prefixes.q[..., None] + adjusted.gather(1, tokens).view_as(added)  # (A, L, n)
        first = highest(totals.flatten(1), min(2 * width, rows.shape[1] * among))  # (A, m) of L n
        tokens, added, totals = (
            x.view(len(rows), -1).gather(1, first) for x in (tokens, added, totals)
        )  # (A, m)
        if attention is not None:
            attention = model.alignment(state)  # (A L, S)
            seen += [attention] if align and attention is not None else []
        longer = prefixes.extended(first // among, tokens, added, totals, attention)

        # What ended is filed where it is among the best so far; what did not end goes on.
        ended = tokens == end
        finished = ended & longer.q.isfinite()
        finished[:, width:] = False
        scores = ranking.scores(longer, search.length).masked_fill(~finished, -math.inf)
        better = scores > search.best[:, -1:]
        collect(found, search.number, longer, scores, better, seen)
        best = torch.cat([search.best, scores], 1).topk(nbest).values
        most = min(width, rows.shape[1] * (vocab_size - 1))  # as many do not end
        alive = ended.int().argsort(dim=1, stable=True)[:, :most]
        search = search._replace(best=best, prefixes=take(longer, alive))

    def merit(hypothesis: Hypothesis) -> tuple[bool, float]:
        return bool((hypothesis.tokens[-1:] == end).any()), hypothesis.score

    return [sorted(some, key=merit, reverse=True)[:nbest] for some in found]


class Prefixes(NamedTuple):
    """L prefixes of each of A sources, best first."""

    log_prob: Tensor  # (A, L) float64
    q: Tensor  # (A, L) float64, what they compete by
    tokens: Tensor  # (A, L, t)
    rows: Tensor  # (A, L, 1 + t) the row of the state each token was found in; before, where to
    coverage: Tensor | None  # (A, L, S) float64, sum of the attention behind the tokens

    @classmethod
    def empty(cls, sources: int, device: torch.device, attention: Tensor | None) -> Prefixes:
        """The one prefix everything begins with; `attention` (A, S) is asked for its shape."""
        return cls(
            torch.zeros(sources, 1, dtype=torch.float64, device=device),
            torch.zeros(sources, 1, dtype=torch.float64, device=device),
            torch.empty(sources, 1, 0, dtype=torch.long, device=device),
            torch.arange(sources, device=device)[:, None, None],
            None if attention is None else torch.zeros_like(attention[:, None], dtype=torch.double),
        )

    def extended(
        self, ranks: Tensor, tokens: Tensor, added: Tensor, q: Tensor, attention: Tensor | None
    ) -> Prefixes:
        """Those at `ranks` (A, n), `tokens` (A, n) after them, `attention` (A L, S) behind that.

        `added` (A, n) is the log-probability of the tokens, `q` (A, n) that of the longer prefixes.
        """
        (sources, many), coverage = self.q.shape, self.coverage
        if coverage is not None and attention is not None:
            coverage = coverage + attention.view_as(coverage)
        first = torch.arange(0, sources * many, many, device=ranks.device)[:, None]
        log_prob, history, rows, coverage = take(
            (self.log_prob, self.tokens, self.rows, coverage), ranks
        )
        history = torch.cat([history, tokens[..., None]], 2)
        rows = torch.cat([rows, (first + ranks)[..., None]], 2)
        return Prefixes(log_prob + added, q, history, rows, coverage)


class Search(NamedTuple):
    """The A sources that are not done. A state: `select` drops the others."""

    number: Tensor  # (A,) where in the batch the source stands
    limit: Tensor  # (A,) the most tokens its hypotheses may have
    length: Tensor | None  # (A,) its positions that are no padding
    best: Tensor  # (A, n) float64, the highest finished scores, falling
    prefixes: Prefixes


class Ranking(NamedTuple):
    """The score of a hypothesis, and the bound on what a prefix can lead to."""

    normalisation: Normalisation
    alpha: float
    beta: float

    def scores(self, prefixes: Prefixes, length: Tensor | None) -> Tensor:
        """(A, L) float64; `length` (A,) positions of each source."""
        scores = prefixes.q / self.lp(torch.tensor(prefixes.tokens.shape[2]))
        if prefixes.coverage is None:
            return scores
        # A position without any attention costs much (log 1e-38), but not everything.
        logs = prefixes.coverage.clamp(torch.finfo(torch.float32).tiny, 1).log()  # (A, L, S)
        if length is not None:
            padding = torch.arange(logs.shape[2], device=length.device) >= length[:, None]  # (A, S)
            logs = logs.masked_fill(padding[:, None], 0)
        return scores + self.beta * logs.sum(2)

    def bound(self, q: Tensor, limit: Tensor) -> Tensor:
        return q / self.lp(limit)

    def lp(self, tokens: Tensor) -> Tensor:
        """Of |Y| `tokens`; of none, what is divided by it is 0 anyway."""
        length = tokens.double()
        simple = self.normalisation == "simple"
        return (length.clamp(min=1) if simple else (5 + length) / 6) ** self.alpha


def take(nest: S, ranks: Tensor) -> S:
    """The rows `ranks` (A, n) of tensors (A, L, ..): `select`, one axis further in."""
    sources = torch.arange(ranks.shape[0], device=ranks.device)[:, None]
    return tree_map(lambda tensor: tensor[sources, ranks], nest)


def collect(
    found: list[list[Hypothesis]],
    number: Tensor,
    prefixes: Prefixes,
    scores: Tensor,
    which: Tensor,
    seen: list[Tensor],
) -> None:
    """Files the prefixes marked in `which` (A, L) under their sources."""
    at = which.nonzero(as_tuple=True)  # F of them
    rows = prefixes.rows[at]  # (F, 1 + t)
    behind = [attention[row] for attention, row in zip(seen, rows[:, 1:].unbind(1))]
    alignments = torch.stack(behind, 1) if behind else [None] * len(rows)  # (F, t, S)
    values = (x[at].tolist() for x in (prefixes.log_prob, scores))
    filed = zip(number[at[0]].tolist(), prefixes.tokens[at], *values, alignments)
    for source, tokens, log_prob, score, alignment in filed:
        found[source].append(Hypothesis(tokens, log_prob, score, alignment))
