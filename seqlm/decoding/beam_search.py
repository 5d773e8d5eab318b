"""Beam search: the `width` most probable prefixes, extended by a token at a time.

    X      the source, S positions (a language model has none)
    Y      a hypothesis, |Y| tokens
    q      log p(Y | X); where log-probabilities are adjusted against repetition, their sum
    p_ij   attention on source position i when token j is predicted

    score(X, Y) = q(Y) / lp(Y) + cp(X, Y)                       Wu et al. 2016, equation 14
    lp(Y) = ((5 + |Y|) / 6)^alpha                               "gnmt"
    lp(Y) = |Y|^alpha                                           "simple"
    cp(X, Y) = beta sum_i log(min(sum_j p_ij, 1))

Each step extends the prefixes by every token and looks at the 2 `width` best results. Those among
the first `width` that end are finished; the best `width` that do not end are the next prefixes, and
there always are enough, as each prefix ends in one way only. Prefixes, which all have one length,
compete by q; finished hypotheses compete by their score.

A source is done when its n best hypotheses are proven. Whatever a prefix leads to has a lower q, a
larger lp and at best cp = 0, so it cannot score above

    q(prefix) / lp(longest)

and once the n-th best finished score is no lower than that of the best prefix, searching on to the
limit would return the same n.

With a threshold D, prefixes are dropped that are far from the best one, or from the best hypothesis
that has ended (relative threshold pruning, Freitag & Al-Onaizan 2017):

    q(prefix) < max q - D

A source without any prefix left is done. Only the prefixes that are kept are rows of the state, so
that a model which is sure of its next token takes little longer than in greedy search.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.decoding.decoding_settings import Normalization, TranslationSettings
from seqlm.decoding.repetition import Adjustment
from seqlm.decoding.token_sampling import top_ids
from seqlm.models.arrays import check_numbers
from seqlm.models.base import SequenceModel, State
from seqlm.models.tree import S, select, tree_map


class Hypothesis(NamedTuple):
    """A finished hypothesis of t tokens; S is the number of positions of its source."""

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
    normalization: Normalization = "simple",
    coverage_penalty: float = 0.0,
    source_lengths: Tensor | None = None,
    adjust: Adjustment | None = None,
    threshold: float = math.inf,
    nbest: int | None = None,
    align: bool = True,
) -> list[list[Hypothesis]]:
    """The best hypotheses for each of the B rows of `state`, best first.

    steps: the most tokens of a hypothesis, `end` included; (B,) gives each source its own limit.
    length_penalty: alpha. With 0, a beam of width 1 is the greedy choice.
    normalization: which of the two lp(Y).
    coverage_penalty: beta, for models that have an alignment; on others it has no effect.
    source_lengths: (B,) positions of each source without its padding, for the coverage.
    adjust: what is done against repetition; no adjusted log-probability may be above 0.
    threshold: D, in nats.
    nbest: how many are returned, by default `width`; fewer are proven sooner.
    align: whether hypotheses come with their attention, on models that have an alignment.

    Hypotheses that ended come before those cut at the limit. Fewer than `nbest` come back only
    where the beam met no others of probability above 0, or dropped them. Among equals, prefixes are
    ordered by rank and token id, hypotheses by the step that finished them. Errors: UsageError for
    a value out of range.
    """
    nbest = width if nbest is None else nbest
    TranslationSettings(
        beam=width, nbest=nbest, length_penalty=length_penalty, coverage_penalty=coverage_penalty
    )  # checks their ranges
    ranking = Ranking(normalization, length_penalty, coverage_penalty)
    log_probs = model.log_probs(state)  # (B, V), asked here for its shape alone
    (batch, vocab_size), device = log_probs.shape, log_probs.device
    attention = model.alignment(state) if align or coverage_penalty else None
    search = SearchState(
        torch.arange(batch, device=device),
        torch.as_tensor(steps, device=device).expand(batch),
        source_lengths,
        torch.full((batch, nbest), -math.inf, dtype=torch.float64, device=device),
        torch.full((batch,), -math.inf, dtype=torch.float64, device=device),
        Prefixes.empty(batch, device, attention if coverage_penalty else None),
    )
    finished: list[list[Hypothesis]] = [[] for _ in range(batch)]
    attentions: list[Tensor] = []  # (R, S) of each step, for its tokens
    while True:
        # Finished sources are removed. A source at its length limit outputs its unfinished prefixes
        # if too few hypotheses ended.
        prefixes = search.prefixes
        kept = search.near_the_best(threshold)  # (A, L)
        at_limit = search.limit <= prefixes.tokens.shape[2]
        proven = search.best[:, -1] >= ranking.bound(prefixes.q[:, 0], search.limit)
        open_sources = (~(at_limit | proven) & kept.any(1)).nonzero()[:, 0]
        if len(open_sources) < len(at_limit):
            unfinished = (at_limit & search.best[:, -1].isneginf())[:, None] & prefixes.q.isfinite()
            scores = ranking.scores(prefixes, search.source_length)
            add_finished(finished, search.source, prefixes, scores, unfinished, attentions)
            if len(open_sources) == 0:
                break
            search, kept = select((search, kept), open_sources)
            prefixes = search.prefixes

        # Every prefix that is kept is extended by its n best tokens, among which are the m best of
        # all.
        rows = (kept.flatten().cumsum(0) - 1).view_as(kept)  # (A, L) of R; any where not kept
        history = prefixes.tokens[kept]  # (R, t)
        state = model.advance(select(state, prefixes.rows[..., -1][kept]), history[:, -1:])
        log_probs = model.log_probs(state)  # (R, V)
        adjusted = log_probs if adjust is None else adjust(log_probs, history)
        n = min(2 * width, vocab_size)
        tokens = top_ids(adjusted, n)  # (R, n) of V
        # A NaN counts as the highest of all, so that it is among them.
        added = check_numbers(log_probs.gather(1, tokens))
        totals = prefixes.q[..., None] + adjusted.gather(1, tokens)[rows]  # (A, L, n)
        totals = totals.masked_fill(~kept[..., None], -math.inf)
        best_pairs = top_ids(totals.flatten(1), min(2 * width, rows.shape[1] * n))  # (A, m) of L n
        tokens, added, totals = (
            x.flatten(1).gather(1, best_pairs) for x in (tokens[rows], added[rows], totals)
        )  # (A, m)
        if attention is not None:
            attention = model.alignment(state)  # (R, S)
            attentions += [attention] if align and attention is not None else []
        longer = prefixes.extended(best_pairs // n, tokens, added, totals, rows, attention)

        # What ended is collected where it is among the best so far; what did not end goes on.
        ended = tokens == end
        possible = ended & longer.q.isfinite()
        possible[:, width:] = False
        scores = ranking.scores(longer, search.source_length).masked_fill(~possible, -math.inf)
        better = scores > search.best[:, -1:]
        add_finished(finished, search.source, longer, scores, better, attentions)
        best = torch.cat([search.best, scores], 1).topk(nbest).values
        ended_q = longer.q.masked_fill(~possible, -math.inf).amax(1)
        size = min(width, rows.shape[1] * (vocab_size - 1))  # so many do not end
        alive = ended.int().argsort(dim=1, stable=True)[:, :size]
        search = search._replace(
            best=best,
            highest_q=search.highest_q.maximum(ended_q),
            prefixes=select_prefixes(longer, alive),
        )

    def rank(hypothesis: Hypothesis) -> tuple[bool, float]:
        return bool((hypothesis.tokens[-1:] == end).any()), hypothesis.score

    return [sorted(hypotheses, key=rank, reverse=True)[:nbest] for hypotheses in finished]


class Prefixes(NamedTuple):
    """L prefixes of each of A sources, best first."""

    log_prob: Tensor  # (A, L) float64
    q: Tensor  # (A, L) float64, what they compete by
    tokens: Tensor  # (A, L, t)
    rows: Tensor  # (A, L, 1 + t) the row of each step's state that the prefix went through
    coverage: Tensor | None  # (A, L, S) float64, sum of the attention over the tokens

    @classmethod
    def empty(cls, sources: int, device: torch.device, attention: Tensor | None) -> Prefixes:
        """The empty prefix of every source; `attention` (A, S) gives the shape of its coverage."""
        return cls(
            torch.zeros(sources, 1, dtype=torch.float64, device=device),
            torch.zeros(sources, 1, dtype=torch.float64, device=device),
            torch.empty(sources, 1, 0, dtype=torch.long, device=device),
            torch.arange(sources, device=device)[:, None, None],
            None if attention is None else torch.zeros_like(attention[:, None], dtype=torch.double),
        )

    def extended(
        self,
        ranks: Tensor,
        tokens: Tensor,
        added: Tensor,
        q: Tensor,
        state_rows: Tensor,
        attention: Tensor | None,
    ) -> Prefixes:
        """The prefixes at `ranks` (A, m), each with one of `tokens` (A, m) added.

        `added` (A, m) is the log-probability of the tokens, and `q` (A, m) that of the longer
        prefixes. The tokens were predicted by the rows `state_rows` (A, L) of a state, with the
        `attention` (R, S).
        """
        coverage = self.coverage
        if coverage is not None and attention is not None:
            coverage = coverage + attention[state_rows]
        log_prob, history, rows, state_rows, coverage = select_prefixes(
            (self.log_prob, self.tokens, self.rows, state_rows, coverage), ranks
        )
        history = torch.cat([history, tokens[..., None]], 2)
        rows = torch.cat([rows, state_rows[..., None]], 2)
        return Prefixes(log_prob + added, q, history, rows, coverage)


class SearchState(NamedTuple):
    """The A sources that are not done. `select` drops the others, as it does with any state."""

    source: Tensor  # (A,) the row of the batch that the source stands in
    limit: Tensor  # (A,) the most tokens its hypotheses may have
    source_length: Tensor | None  # (A,) its positions without padding
    best: Tensor  # (A, nbest) float64, the highest finished scores, falling
    highest_q: Tensor  # (A,) float64, of what has ended
    prefixes: Prefixes

    def near_the_best(self, threshold: float) -> Tensor:
        """(A, L) which prefixes are not dropped."""
        q = self.prefixes.q
        return q >= torch.maximum(q[:, 0], self.highest_q)[:, None] - threshold


class Ranking(NamedTuple):
    """The score of a hypothesis, and the bound on the scores that a prefix can lead to."""

    normalization: Normalization
    alpha: float
    beta: float

    def scores(self, prefixes: Prefixes, source_length: Tensor | None) -> Tensor:
        """(A, L) float64; `source_length` (A,) is the number of positions of each source."""
        scores = prefixes.q / self.length_normalizer(torch.tensor(prefixes.tokens.shape[2]))
        if prefixes.coverage is None:
            return scores
        # A position without any attention costs much (log 1e-38), but not everything.
        logs = prefixes.coverage.clamp(torch.finfo(torch.float32).tiny, 1).log()  # (A, L, S)
        if source_length is not None:
            positions = torch.arange(logs.shape[2], device=source_length.device)
            padding = positions >= source_length[:, None]  # (A, S)
            logs = logs.masked_fill(padding[:, None], 0)
        return scores + self.beta * logs.sum(2)

    def bound(self, q: Tensor, limit: Tensor) -> Tensor:
        """(A,) float64, above the score of whatever prefixes of `q` (A,) can lead to."""
        return q / self.length_normalizer(limit)

    def length_normalizer(self, tokens: Tensor) -> Tensor:
        """lp(Y) for |Y| = `tokens`. An empty Y counts as one token: its q is 0 in any case."""
        length = tokens.double()
        simple = self.normalization == "simple"
        return (length.clamp(min=1) if simple else (5 + length) / 6) ** self.alpha


def select_prefixes(nest: S, ranks: Tensor) -> S:
    """The entries `ranks` (A, n) of tensors (A, L, ..): `select`, one axis further in."""
    sources = torch.arange(ranks.shape[0], device=ranks.device)[:, None]
    return tree_map(lambda tensor: tensor[sources, ranks], nest)


def add_finished(
    finished: list[list[Hypothesis]],
    source: Tensor,
    prefixes: Prefixes,
    scores: Tensor,
    chosen: Tensor,
    attentions: list[Tensor],
) -> None:
    """Adds the prefixes marked in `chosen` (A, L) to the finished hypotheses of their sources."""
    at = chosen.nonzero(as_tuple=True)  # F of them
    rows = prefixes.rows[at]  # (F, 1 + t)
    steps = [attention[row] for attention, row in zip(attentions, rows[:, 1:].unbind(1))]
    alignments = torch.stack(steps, 1) if steps else [None] * len(rows)  # (F, t, S)
    values = (x[at].tolist() for x in (prefixes.log_prob, scores))
    hypotheses = zip(source[at[0]].tolist(), prefixes.tokens[at], *values, alignments)
    for row, tokens, log_prob, score, alignment in hypotheses:
        finished[row].append(Hypothesis(tokens, log_prob, score, alignment))
