"""The whole distribution before every token of a text, and what is measured of it.

A score asks for one probability of the V that a model gives before a token. The end of a word, the
entropy and a rank need all of them:

    B  =  Σ_{v ∈ E} p(v)                   the probability of a set E of tokens
    H  =  -Σ_v p(v) log2 p(v)              bits
    rank of a token  =  1 + the number of tokens that are more probable

H and the rank are those of p, or of p given E: 0 outside of E, and p / B in it.

The text is read piece by piece, in the context convention of each model of a mixture, as
`scoring.py` reads it. A network gives the features of a whole piece at once, and an n-gram model
the contexts; any other model is asked before one token after the other. Distributions are arrays of
the kind that the model gives, numpy's or tensors, and what is measured of them is written once for
both (`models/arrays.py`).

    N tokens of a piece · B rows · T tokens of a row · V vocabulary · M models
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from seqlm.errors import UsageError
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.models.arrays import (
    Array,
    as_like,
    check_numbers,
    double,
    gather,
    index_select,
    library,
    to_float64,
    to_numpy,
    without_gradients,
)
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.tree import arrays_of, select
from seqlm.models.verbs import LanguageVerbs, State
from seqlm.text.pad_rows import pad_rows
from seqlm.text.vocabulary import EOS, UNK

PROBABILITIES_AT_ONCE = 1 << 22
"""N V: the probabilities of a piece. It bounds memory and changes no result."""


# -------------------------------------------------------------------------------- what is measured


class Measures(NamedTuple):
    """What is measured before each of N tokens."""

    log_probs: np.ndarray  # (N,) float64, natural, of the token
    log_ends: np.ndarray  # (N,) log B; 0 where it was not asked for
    entropy: np.ndarray  # (N,) bits; NaN where it was not asked for
    rank: np.ndarray  # (N,) of the token, from 1; 0 where it was not asked for


class Questions(NamedTuple):
    """What is asked about each of N tokens, all (N,) bool."""

    ends: np.ndarray  # B
    entropy: np.ndarray  # entropy and rank
    given_ends: np.ndarray  # whether these are of p given E

    def part(self, piece: slice) -> Questions:
        return Questions(*(of[piece] for of in self))


def measure(log_p: Array, ids: np.ndarray, in_ends: Array, questions: Questions) -> Measures:
    """log p (N, V), the tokens (N,) that came next, and E as (V,) bool -> what is asked about them.

    A token that is `<unk>` where the probability of E is asked for is one of E: white space that
    the vocabulary lacks.
    """
    count = len(ids)
    chosen = to_numpy(gather(log_p, as_like(ids.astype(np.int64)[:, None], log_p)))[:, 0]
    log_ends = np.zeros(count, chosen.dtype)
    asked = np.flatnonzero(questions.ends)
    if len(asked):
        p = rows_of(log_p, asked)
        of_ends = to_numpy(log_sum(p[:, in_ends]))
        unknown = np.where(ids[asked] == UNK, to_numpy(p[:, UNK]), -np.inf)
        log_b = np.logaddexp(of_ends, unknown).clip(max=0)
        log_ends[asked] = np.maximum(log_b, chosen[asked])  # rounding aside, B >= p(token)
    entropy, rank = np.full(count, math.nan), np.zeros(count)
    asked = np.flatnonzero(questions.entropy)
    if len(asked):
        entropy[asked], rank[asked] = entropy_and_rank(rows_of(log_p, asked), chosen[asked])
    asked = np.flatnonzero(questions.given_ends & np.isfinite(log_ends))
    if len(asked):
        given = log_ends[asked]
        p = rows_of(log_p, asked)[:, in_ends] - as_like(given[:, None], log_p)
        entropy[asked], rank[asked] = entropy_and_rank(p, chosen[asked] - given)
    return Measures(chosen.astype(np.float64), log_ends.astype(np.float64), entropy, rank)


def rows_of(log_p: Array, rows: np.ndarray) -> Array:
    """(n, V) the given rows of log p (N, V)."""
    return log_p if len(rows) == len(log_p) else index_select(log_p, as_like(rows, log_p))


def log_sum(log_p: Array) -> Array:
    """(n, E) -> (n,) log Σ p."""
    xp = library(log_p)
    highest = xp.amax(log_p, 1, keepdims=True).clip(
        -LARGEST, LARGEST
    )  # not -inf, where all p are 0
    with np.errstate(divide="ignore"):
        return xp.log(xp.exp(log_p - highest).sum(1)) + highest[:, 0]


LARGEST = float(np.finfo(np.float32).max)


def entropy_and_rank(log_p: Array, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p (n, V) and that of one token each (n,) -> (n,) bits, and (n,) the token's rank."""
    xp = library(log_p)
    scratch = xp.empty_like(log_p)  # memory is what takes time here
    # 1 and 0, which tensors add up five times as fast as bool.
    xp.greater(log_p, as_like(chosen[:, None], log_p), out=scratch)
    rank = 1 + to_numpy(scratch.sum(1))
    xp.clip(log_p, -LARGEST, None, out=scratch)  # 0 log 0 is 0
    scratch *= xp.exp(log_p)
    entropy = to_float64(scratch.sum(1)) / -math.log(2)
    return entropy.clip(min=0) + 0.0, rank  # no -0


class DistributionMeasurer:
    """Measures the distributions of a mixture before the tokens of a text, piece by piece."""

    def __init__(self, mixture: LoadedMixture, in_ends: np.ndarray, batch_size: int = 64) -> None:
        """`in_ends` (V,) bool are the tokens of E, as the first model numbers them.

        Errors: UsageError where the networks are adapted.
        """
        if mixture.adaptation.adapts:
            raise UsageError(
                "a network that is adapted gives the probability of a token, but no distribution:"
                " leave out `neural_cache` and `dynamic`, or use a model of words with"
                " `entropy=False`"
            )
        self.readers = [
            DistributionReader(model, loaded.config.context, batch_size)
            for model, loaded in zip(mixture.static_models(), mixture.models)
        ]
        self.id_maps, self.in_ends = mixture.id_maps, in_ends
        with np.errstate(divide="ignore"):
            self.log_weights = np.log(mixture.weights)
        self.tokens_at_once = max(1, PROBABILITIES_AT_ONCE // len(in_ends))

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        for reader in self.readers:
            reader.restart()

    @without_gradients
    def __call__(self, ids: np.ndarray, questions: Questions) -> Measures:
        """What is asked about the tokens `ids` (N,), which come next in the text."""
        parts = []
        for piece in cut_at_lines(ids, self.tokens_at_once):
            log_p = check_numbers(self.log_probs(ids[piece]))
            in_ends = as_like(self.in_ends, log_p)
            parts.append(measure(log_p, ids[piece], in_ends, questions.part(piece)))
        if not parts:
            return Measures(*(np.empty(0) for _ in Measures._fields))
        return Measures(*(np.concatenate(of_parts) for of_parts in zip(*parts)))

    def log_probs(self, ids: np.ndarray) -> Array:
        """(N, V) log p before each of `ids` (N,), in the numbering of the first model."""
        if len(self.readers) == 1:
            return self.readers[0](ids)
        members = [
            double(reader(type_ids[ids])) for reader, type_ids in zip(self.readers, self.id_maps)
        ]
        # Tensors where a member has tensors, on the device of the first that has.
        like = next((m for m in members if not isinstance(m, np.ndarray)), members[0])
        xp = library(like)
        mixed = None
        for member, types, log_weight in zip(members, self.id_maps, self.log_weights.tolist()):
            p = as_kind_of(member, like)[:, as_like(types, like)] + log_weight
            mixed = p if mixed is None else xp.logaddexp(mixed, p)
        return mixed


def as_kind_of(array: Array, like: Array) -> Array:
    """An array as `like` is: of numpy, or a tensor on the same device."""
    return as_like(array, like) if isinstance(array, np.ndarray) else array.to(like.device)


def cut_at_lines(ids: np.ndarray, size: int) -> list[slice]:
    """Pieces of `ids` (N,), each of whole lines where they fit, and of at most `size` tokens."""
    ends = np.flatnonzero(ids == EOS) + 1
    pieces, begin = [], 0
    while begin < len(ids):
        end = begin + size
        if end < len(ids):
            line = int(np.searchsorted(ends, end, side="right"))
            if line and ends[line - 1] > begin:
                end = int(ends[line - 1])
        pieces.append(slice(begin, min(end, len(ids))))
        begin = end
    return pieces


# ------------------------------------------------------------------------------- where p comes from


class DistributionReader:
    """Reads a text piece by piece, in the context convention of a run, and gives the distribution
    before each token; `scoring.Scorer` does the same for the probability of the token alone."""

    def __init__(self, model: LanguageVerbs, context: str, batch_size: int = 64) -> None:
        self.model, self.by_line, self.batch_size = model, context == "sentence", batch_size
        self.state: State = None
        """None at the start of a text, and of a line that starts afresh."""

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        self.state = None

    def __call__(self, ids: np.ndarray) -> Array:
        """`ids` (N,) -> (N, V) log p before each."""
        if not self.by_line:
            return self.stream(ids)
        ends = np.flatnonzero(ids == EOS) + 1
        first = 0  # where the first whole line begins
        if self.state is not None:
            first = int(ends[0]) if len(ends) else len(ids)
        last = int(ends[-1]) if len(ends) else first  # where the last one ends
        parts = [self.stream(ids[:first])] if first else []
        if len(ends):
            self.state = None
        if last > first:
            parts.append(self.lines(ids[first:last]))
        if last < len(ids):
            parts.append(self.stream(ids[last:]))
        return joined(parts)

    def stream(self, ids: np.ndarray) -> Array:
        """(N, V) before the tokens of one row, which goes on from the state so far."""
        if self.state is None:
            self.state = self.model.start(1)
        tokens = ids.astype(np.int64)[None]  # (1, N)
        log_p, self.state = distributions(
            self.model, self.state, tokens, np.ones_like(tokens, np.bool_)
        )
        return log_p

    def lines(self, ids: np.ndarray) -> Array:
        """(N, V) before the tokens of whole lines, each from the start."""
        ends = np.flatnonzero(ids == EOS) + 1
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        lengths = ends - starts
        order = np.argsort(lengths, kind="stable")  # lines of like length share a batch
        places, parts = [], []
        for at in range(0, len(order), self.batch_size):
            group = order[at : at + self.batch_size]
            tokens, real = pad_rows(ids, starts[group], lengths[group])  # (B, T)
            state = self.model.start(len(group))
            parts.append(distributions(self.model, state, tokens, real)[0])
            places.append((starts[group][:, None] + np.arange(tokens.shape[1]))[real])
        by_length = joined(parts)
        return index_select(by_length, as_like(np.argsort(np.concatenate(places)), by_length))


def joined(parts: list[Array]) -> Array:
    """The rows of all parts, one after the other."""
    return parts[0] if len(parts) == 1 else library(parts[0]).concatenate(parts)


def distributions(
    model: Any, state: State, ids: np.ndarray, is_real: np.ndarray
) -> tuple[Array, State]:
    """(n, V) log p before the n tokens of `ids` (B, T) that are real, row by row, and the state of
    the language model after them all."""
    tokens, real = (as_like(of, next(arrays_of(state))) for of in (ids, is_real))
    if isinstance(model, NGramModel):
        states = model.states_before(state, tokens)  # B·T rows
        chosen = select(states, np.flatnonzero(real))
        return model.log_probs(chosen), model.advance(state, tokens)
    import torch

    from seqlm.models.base import SEGMENT, LanguageNetwork
    from seqlm.models.wrappers.sliding_window import SlidingWindow

    if isinstance(model, LanguageNetwork | SlidingWindow):
        parts = []
        for segment in tokens.split(SEGMENT, dim=1):
            features, state = model.read(state, segment)
            parts.append(features)
        features = torch.cat(parts, 1)  # (B, T, D)
        return model.output_layer.log_probs(features[real]), state
    steps = []  # T of (B, V)
    for token in tokens.split(1, dim=1):  # (B, 1)
        steps.append(model.log_probs(state))
        state = model.advance(state, token)
    return torch.stack(steps, 1)[real], state
