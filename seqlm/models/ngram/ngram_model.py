"""n-gram models: the next word given the last n-1, with backoff (Katz, 1987).

    p(w | h)  =  p*(w | h)           if the n-gram hw is in the tables
                 β(h) p(w | h')      otherwise; h' is h without its first word

    log p*   `log_prob`  of every n-gram, orders 1 to n (interpolated models fold the lower orders
                         into it, so that this one form serves them all)
    log β    `backoff`   of every n-gram as a context; 0 where it is not in the tables, or is none
                         (stupid backoff: log 0.4 where it is not in the tables)

How the rows of the tables are sorted and found is in `table.py`.

    V vocabulary · n order of the model · k order of a table · U its rows · Q tokens still to score
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from math import log
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn

from seqlm.models.base import LanguageModel
from seqlm.models.config.ngram_config import STUPID_BACKOFF, NGramConfig
from seqlm.models.ngram.masks import indices
from seqlm.models.ngram.scrambling import unscramble_ids
from seqlm.models.ngram.table import UNSEEN, Matches, NGramTable, match_ngrams, start_rows
from seqlm.models.ngram.table_checks import check_logarithms, check_table
from seqlm.threads import one_thread, parallel_map

CHUNK = 1 << 18
"""Tokens scored at a time: enough that an operation takes longer than the call."""


class NGramState(NamedTuple):
    rows: Tensor  # (B, n-1) int32, the row of the last k tokens in the table of order k, or < 0


class NGramOrder(nn.Module):
    """The tensors of one order: U n-grams, sorted as `table.py` says."""

    words: Tensor  # (U,) int32, the last word, scrambled; not in order 1, whose rows are the ids
    log_prob: Tensor  # (U,) float32, log p*
    backoff: Tensor  # (U,) float32, log β; not in the highest order
    first: Tensor  # (U + 1,) int32, row r continues as rows first[r] to first[r + 1] one order up

    def __init__(self, rows: int, lowest: bool, highest: bool) -> None:
        super().__init__()
        self.register_buffer("log_prob", torch.zeros(rows))
        if not lowest:
            self.register_buffer("words", torch.zeros(rows, dtype=torch.int32))
        if not highest:
            self.register_buffer("backoff", torch.zeros(rows))
            self.register_buffer("first", torch.zeros(rows + 1, dtype=torch.int32))


class NGramModel(LanguageModel):
    config_class = NGramConfig
    config: NGramConfig

    def __init__(self, config: NGramConfig) -> None:
        super().__init__(config)
        self.resets_at_eos = config.context == "sentence"
        self.normalized = config.smoothing != "stupid-backoff"
        self.unseen_backoff = 0.0 if self.normalized else log(STUPID_BACKOFF)
        self.orders = nn.ModuleList(
            NGramOrder(rows, lowest=k == 1, highest=k == config.order)
            for k, rows in enumerate(config.rows, 1)
        )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        return super().from_settings({**settings, "rows": tuple(settings["rows"])})

    def order(self, k: int) -> NGramOrder:
        return cast(NGramOrder, self.orders[k - 1])

    def tables(self, k: int | None = None) -> list[NGramTable]:
        """The tables of orders 2 … `k`, by default of all orders."""
        orders = [self.order(j) for j in range(1, (k or self.config.order) + 1)]
        return [NGramTable(below.first, above.words) for below, above in pairwise(orders)]

    def check_tensors(self) -> None:
        size = self.config.vocab_size
        for k, table in enumerate(self.tables(), 2):
            check_table(table.cpu(), k, size)
        for name, tensor in self.named_buffers():
            if tensor.is_floating_point():
                check_logarithms(name, tensor)

    # -- the verbs

    def start(self, rows: int) -> NGramState:
        return NGramState(start_rows(rows, self.config.order, self.device))

    @one_thread()
    def advance(self, state: NGramState, tokens: Tensor) -> NGramState:
        # No context is longer than n-1 words: earlier tokens do not matter.
        return self._walk(state, tokens[:, -max(1, self.config.order - 1) :])[1]

    def score(self, state: NGramState, tokens: Tensor) -> tuple[Tensor, NGramState]:
        threads = torch.get_num_threads()
        width = chunk_width(tokens, threads)
        with one_thread():
            # Parts need no scores of each other: what precedes a part is its last n-1 words.
            starts = range(0, tokens.shape[1], width)
            score_part = partial(self._score_part, state, tokens, width)
            parts = parallel_map(score_part, starts, tokens.device, threads)
            scores = torch.cat(parts, 1) if parts else self.order(1).log_prob[tokens]
            return scores, self.advance(state, tokens)

    def _score_part(self, state: NGramState, tokens: Tensor, width: int, start: int) -> Tensor:
        """(B, ≤ width) the scores of `tokens` (B, T) from `start` on."""
        part = tokens[:, start : start + width]
        matches, _ = self._walk(self.advance(state, tokens[:, :start]), part)
        score = torch.zeros(part.numel(), device=part.device)
        pending = torch.arange(part.numel(), device=part.device)  # (Q,) tokens not matched yet
        for k in range(self.config.order, 1, -1):
            context, row = (of.flatten().index_select(0, pending) for of in matches[k - 2])
            hit, miss = indices(row >= 0), indices(row < 0)
            # The n-gram is in the table: p*.
            log_prob = self.order(k).log_prob.index_select(0, row.index_select(0, hit))
            score.index_add_(0, pending.index_select(0, hit), log_prob)
            pending, context = pending.index_select(0, miss), context.index_select(0, miss)
            # It is not: β.
            seen = indices(context >= 0)
            backoff = self.order(k - 1).backoff.index_select(0, context.index_select(0, seen))
            score.index_add_(0, pending.index_select(0, seen), backoff)
            if self.unseen_backoff:
                score[pending[context == UNSEEN]] += self.unseen_backoff
        words = part.flatten().index_select(0, pending)
        score.index_add_(0, pending, self.order(1).log_prob.index_select(0, words))
        return score.view(part.shape)

    @one_thread()
    def ngram_length(self, state: NGramState, tokens: Tensor) -> Tensor:
        lengths = []
        for part in tokens.split(chunk_width(tokens), dim=1):
            matches, state = self._walk(state, part)
            length = torch.ones_like(part)
            for k, match in enumerate(matches, 2):
                length[match.rows >= 0] = k
            lengths.append(length)
        return torch.cat(lengths, 1)

    @one_thread()
    def log_probs(self, state: NGramState) -> Tensor:
        log_probs = self.order(1).log_prob.repeat(len(state.rows), 1)  # (B, V)
        # Longer contexts overwrite shorter ones, so that the longest match remains.
        for k, table in enumerate(self.tables(), 2):
            log_probs[state.rows[:, k - 2] == UNSEEN] += self.unseen_backoff
            batch_rows = (state.rows[:, k - 2] >= 0).nonzero()[:, 0]  # (K,)
            contexts = state.rows[batch_rows, k - 2].long()
            log_probs[batch_rows] += self.order(k - 1).backoff[contexts][:, None]
            rows, sizes = table.continuations(contexts)  # (C,) and (K,)
            ids = unscramble_ids(table.words[rows], self.config.vocab_size)
            log_probs[batch_rows.repeat_interleave(sizes), ids] = self.order(k).log_prob[rows]
        return log_probs

    @one_thread()
    def states_before(self, state: NGramState, tokens: Tensor) -> NGramState:
        """The state before each of `tokens` (B, T), as B·T rows."""
        matches, _ = self._walk(state, tokens)
        if not matches:  # a unigram model has no contexts
            return NGramState(state.rows.repeat_interleave(tokens.shape[1], 0))
        return NGramState(torch.stack([match.contexts.flatten() for match in matches], 1))

    def _walk(self, state: NGramState, tokens: Tensor) -> tuple[list[Matches], NGramState]:
        """The matches of orders 2 … n for `tokens` (B, T), and the state after them."""
        size = self.config.vocab_size
        matches, rows = match_ngrams(self.tables(), state.rows, tokens, size, self.resets_at_eos)
        return matches, NGramState(rows)


def chunk_width(tokens: Tensor, threads: int = 1) -> int:
    """The width of the parts in which `tokens` (B, T) are scored.

    A part has at most CHUNK tokens, and the number of parts keeps `threads` equally busy.
    """
    parts = -(-tokens.numel() // CHUNK)
    if tokens.numel() > CHUNK // 8:
        parts = -(-parts // threads) * threads
    return max(1, -(-tokens.shape[1] // max(1, parts)))
