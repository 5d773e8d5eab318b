"""n-gram models: the next word given the last n-1, with backoff (Katz, 1987).

    p(w | h)  =  p*(w | h)           if the n-gram hw is in the tables
                 β(h) p(w | h')      otherwise; h' is h without its first word

    log p*   `log_prob`  of every n-gram, orders 1 to n (interpolated models fold the lower orders
                         into it, so that this one form serves them all)
    log β    `backoff`   of every n-gram as a context; 0 where it is not in the tables, or is none

    V vocabulary · n order of the model · k order of a table · U its rows · Q questions at a time

One table an order. Its rows are sorted by (row of the context, word), so that the words which
continue a context are neighbours: `first` of the order below says where they begin. A lookup is a
walk, one table a word: row(w₁ … wₖ) is found among the continuations of row(w₁ … wₖ₋₁).

Words stand in the tables *mixed*: multiplied by a number prime to V near V/φ, modulo V (Knuth, The
Art of Computer Programming 3, §6.4). Frequent words have low ids and would crowd together; mixed
they lie evenly, so that interpolation search (Perl, Itai & Avni, 1978) finds one of m words in
about log log m probes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import gcd
from typing import Any, NamedTuple, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.models.base import LanguageModel
from seqlm.models.config.ngram_config import NGramConfig
from seqlm.text.vocabulary import EOS
from seqlm.threads import one_thread, parallel_map

CHUNK = 1 << 18  # tokens scored at a time, enough that a step costs more than calling it
INTERPOLATIONS = 6  # probes before a search turns to halving, which bounds the worst case


# ------------------------------------------------------------------------------------------ mixing


def multiplier(vocab_size: int) -> int:
    """The number nearest below V/φ that is prime to V."""
    factor = max(1, int(vocab_size * 0.6180339887498949))
    while gcd(factor, vocab_size) != 1:
        factor -= 1
    return factor


def scramble_ids(ids: Tensor, vocab_size: int) -> Tensor:
    """int32 ids -> int32 mixed words, one to one on 0 … V-1."""
    return (ids.long() * multiplier(vocab_size)).remainder_(vocab_size).int()


def unscramble_ids(words: Tensor, vocab_size: int) -> Tensor:
    """The inverse of `scramble_ids`, as int64 ids."""
    inverse = pow(multiplier(vocab_size), -1, vocab_size) if vocab_size > 1 else 1
    return (words.long() * inverse).remainder_(vocab_size)


# ------------------------------------------------------------------ masks, without taking branches


def indices(mask: Tensor) -> Tensor:
    """(M,) int64, where `mask` (N,) is true; on a CPU in an eighth of the time of `nonzero`."""
    if mask.device.type != "cpu":
        return mask.nonzero()[:, 0]
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def where_bitwise(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where `mask`, else b, of 32-bit numbers."""
    bits = mask.int().neg_()  # all ones where true
    chosen = ((a.view(torch.int32) ^ b.view(torch.int32)) & bits) ^ b.view(torch.int32)
    return chosen.view(a.dtype)


# ------------------------------------------------------------------------------------------- model


class NGramState(NamedTuple):
    rows: Tensor  # (B, n-1) int32, the row of the last k tokens in the table of order k, or -1


class Level(NamedTuple):
    """What the table of one order k says about tokens (B, T)."""

    context: Tensor  # (B, T) int32, row of the k-1 words before each in order k-1, or -1
    row: Tensor  # (B, T) int32, row of these and the token in order k, or -1


class Table(nn.Module):
    """The table of one order: U n-grams, sorted by (row of the context, mixed word)."""

    words: Tensor  # (U,) int32, the last word, mixed; not in order 1, whose rows are the ids
    log_prob: Tensor  # (U,) float32
    backoff: Tensor  # (U,) float32; not in the highest order
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
        self.orders = nn.ModuleList(
            Table(rows, lowest=k == 1, highest=k == config.order)
            for k, rows in enumerate(config.rows, 1)
        )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        return super().from_settings({**settings, "rows": tuple(settings["rows"])})

    def order(self, k: int) -> Table:
        return cast(Table, self.orders[k - 1])

    # -- the verbs

    def start(self, rows: int) -> NGramState:
        opening = torch.full(
            (rows, self.config.order - 1), -1, dtype=torch.int32, device=self.device
        )
        opening[:, :1] = EOS
        return NGramState(opening)

    @one_thread()
    def advance(self, state: NGramState, tokens: Tensor) -> NGramState:
        # No context is longer than n-1 words, so that what lies further back has no say.
        return self.walk(state, tokens[:, -max(1, self.config.order - 1) :])[1]

    def score(self, state: NGramState, tokens: Tensor) -> tuple[Tensor, NGramState]:
        threads = torch.get_num_threads()
        width = _chunk(tokens, threads)
        with one_thread():
            # What a part needs to know of those before it are the last n-1 words.
            starts = range(0, tokens.shape[1], width)
            score = partial(self._score_part, state, tokens, width)
            parts = parallel_map(score, starts, tokens.device, threads)
            scores = torch.cat(parts, 1) if parts else self.order(1).log_prob[tokens]
            return scores, self.advance(state, tokens)

    def _score_part(self, state: NGramState, tokens: Tensor, width: int, start: int) -> Tensor:
        """(B, ≤ width), of the tokens from `start` on."""
        part = tokens[:, start : start + width]
        levels, _ = self.walk(self.advance(state, tokens[:, :start]), part)
        score = torch.zeros(part.numel(), device=part.device)
        left = torch.arange(part.numel(), device=part.device)  # (Q,) tokens not found yet
        for k in range(self.config.order, 1, -1):
            context, row = (of.flatten().index_select(0, left) for of in levels[k - 2])
            found, missed = indices(row >= 0), indices(row < 0)
            log_prob = self.order(k).log_prob.index_select(0, row.index_select(0, found))
            score.index_add_(0, left.index_select(0, found), log_prob)
            left, context = left.index_select(0, missed), context.index_select(0, missed)
            known = indices(context >= 0)
            backoff = self.order(k - 1).backoff.index_select(0, context.index_select(0, known))
            score.index_add_(0, left.index_select(0, known), backoff)
        words = part.flatten().index_select(0, left)
        score.index_add_(0, left, self.order(1).log_prob.index_select(0, words))
        return score.view(part.shape)

    @one_thread()
    def ngram_length(self, state: NGramState, tokens: Tensor) -> Tensor:
        lengths = []
        for part in tokens.split(_chunk(tokens), dim=1):
            levels, state = self.walk(state, part)
            length = torch.ones_like(part)
            for k, level in enumerate(levels, 2):
                length[level.row >= 0] = k
            lengths.append(length)
        return torch.cat(lengths, 1)

    @one_thread()
    def log_probs(self, state: NGramState) -> Tensor:
        log_probs = self.order(1).log_prob.repeat(len(state.rows), 1)  # (B, V)
        # Longer contexts overwrite shorter ones, so that the longest match stands in the end.
        for k in range(2, self.config.order + 1):
            below, table = self.order(k - 1), self.order(k)
            known = (state.rows[:, k - 2] >= 0).nonzero()[:, 0]  # (K,) of the B rows
            context = state.rows[known, k - 2].long()
            log_probs[known] += below.backoff[context][:, None]
            low = below.first[context]
            size = below.first[context + 1] - low  # (K,)
            # Every continuation of every context in one list, (C,).
            start = torch.repeat_interleave(low - (size.cumsum(0) - size), size)
            child = start + torch.arange(len(start), device=start.device)
            word = unscramble_ids(table.words[child], self.config.vocab_size)
            log_probs[known.repeat_interleave(size), word] = table.log_prob[child]
        return log_probs

    # -- walking the tables

    def walk(self, state: NGramState, tokens: Tensor) -> tuple[list[Level], NGramState]:
        """The levels 2 … n for `tokens` (B, T), and the state after them."""
        if tokens.shape[1] == 0:
            return [], state
        words = scramble_ids(tokens, self.config.vocab_size)  # (B, T)
        row = tokens.int()  # of the k-gram that ends with each token
        levels, last = [], []
        for k in range(2, self.config.order + 1):
            last.append(row[:, -1])
            context = torch.cat([state.rows[:, k - 2 : k - 1], row[:, :-1]], 1)
            row = self._find(k, context.flatten(), words.flatten()).view(tokens.shape)
            levels.append(Level(context, row))
            if self.resets_at_eos:
                row = row | (tokens == EOS).int().neg_()  # -1 has all bits
        return levels, NGramState(torch.stack(last, 1) if last else state.rows)

    def _find(self, k: int, context: Tensor, words: Tensor) -> Tensor:
        """(Q,) int32 rows in order k of `context` (Q,), rows in order k-1 or -1, with `words` (Q,),
        or -1.
        """
        first, table = self.order(k - 1).first, self.order(k).words
        if len(table) == 0:
            return torch.full_like(context, -1)
        known = context.clamp(min=0)
        low, high = first.index_select(0, known), first.index_select(0, known + 1)
        size = (high - low) * (context >= 0)
        # All words lie evenly in 0 … V-1.
        share = words.float() / self.config.vocab_size
        guess = low + torch.minimum((share * size).int(), size - 1).clamp_(min=0)
        there = table.index_select(0, guess.clamp_(max=len(table) - 1))
        hit = (there == words) & (size > 0)
        rows = guess | hit.int().sub_(1)  # -1 has all bits
        open_ = indices((size > 1) & ~hit)
        parts = (t.index_select(0, open_) for t in (words, low, high, guess, there))
        rows[open_] = self._search(table, *parts)
        return rows

    def _search(
        self, table: Tensor, words: Tensor, low: Tensor, high: Tensor, guess: Tensor, there: Tensor
    ) -> Tensor:
        """(Q,) rows from `low` (Q,) to `high` (Q,) where `table` has `words` (Q,), or -1.

        `guess` is a row in between where it has `there` instead. All searches go on in step, and
        those that have ended leave.
        """
        rows = torch.full_like(guess, -1)
        at = torch.arange(len(words), device=words.device)
        # The words at rows low … high-1 lie in least … most-1.
        least, most = torch.zeros_like(words), torch.full_like(words, self.config.vocab_size)
        probes = 1
        while True:
            after = there < words
            low, least = (
                where_bitwise(after, guess + 1, low),
                where_bitwise(after, there + 1, least),
            )
            high, most = where_bitwise(after, high, guess), where_bitwise(after, most, there)
            going = indices((low < high) & (there != words))
            if len(going) == 0:
                return rows
            at, words, low, high, least, most = (
                tensor.index_select(0, going) for tensor in (at, words, low, high, least, most)
            )
            if probes < INTERPOLATIONS:
                share = (words - least).float() / (most - least)
                guess = torch.minimum(low + (share * (high - low)).int(), high - 1)
            else:
                guess = (low + high) // 2
            there = table.index_select(0, guess)
            hit = indices(there == words)
            rows[at.index_select(0, hit)] = guess.index_select(0, hit)
            probes += 1


def _chunk(tokens: Tensor, threads: int = 1) -> int:
    """How many tokens of each row of (B, T) make at most CHUNK, in as many parts as keep `threads`
    equally busy.
    """
    parts = -(-tokens.numel() // CHUNK)
    if tokens.numel() > CHUNK // 8:
        parts = -(-parts // threads) * threads
    return max(1, -(-tokens.shape[1] // max(1, parts)))
