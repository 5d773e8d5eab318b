"""The whole distribution before every token of a text, and what is measured of it.

A score asks for one probability of the V that a model gives before a token. The end of a word, the
entropy and a rank need all of them:

    B  =  Σ_{v ∈ E} p(v)                   the probability of a set E of tokens
    H  =  -Σ_v p(v) log2 p(v)              bits
    rank of a token  =  1 + the number of tokens that are more probable

H and the rank are those of p, or of p given E: 0 outside of E, and p / B in it.

The text is read piece by piece, in the context convention of each model of a mixture, as
`scoring.py` reads it. A network gives the features of a whole piece at once, and an n-gram model
the contexts; any other model is asked before one token after the other.

    N tokens of a piece · B rows · T tokens of a row · V vocabulary · M models
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.errors import UsageError
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.models.base import SEGMENT, LanguageModel, LanguageNetwork, State, check_numbers
from seqlm.models.ngram.ngram_language_model import NGramLanguageModel
from seqlm.models.tree import select
from seqlm.models.wrappers.mixture import mix_log_probs
from seqlm.models.wrappers.sliding_window import SlidingWindow
from seqlm.text.batches import pad_rows
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


def measure(log_p: Tensor, ids: np.ndarray, in_ends: Tensor, questions: Questions) -> Measures:
    """log p (N, V), the tokens (N,) that came next, and E as (V,) bool -> what is asked about them.

    A token that is `<unk>` where the probability of E is asked for is one of E: white space that
    the vocabulary lacks.
    """
    count, device = len(ids), log_p.device
    targets = torch.from_numpy(ids.astype(np.int64)).to(device)[:, None]  # (N, 1)
    chosen = log_p.gather(1, targets)
    log_ends = torch.zeros(count, dtype=log_p.dtype, device=device)
    asked = indices_of(questions.ends, device)
    if len(asked):
        of_ends = log_p[asked][:, in_ends].logsumexp(1)
        unknown = log_p[asked, UNK].masked_fill(targets[asked, 0] != UNK, -math.inf)
        log_b = torch.logaddexp(of_ends, unknown).clamp(max=0)
        log_ends[asked] = torch.maximum(log_b, chosen[asked, 0])  # rounding aside, B >= p(token)
    entropy = torch.full((count,), math.nan, dtype=log_p.dtype, device=device)
    rank = torch.zeros(count, dtype=torch.int64, device=device)
    asked = indices_of(questions.entropy, device)
    if len(asked):
        p = log_p if len(asked) == count else log_p[asked]
        entropy[asked], rank[asked] = entropy_and_rank(p, chosen[asked])
    possible = torch.isfinite(log_ends).cpu().numpy()
    asked = indices_of(questions.given_ends & possible, device)
    if len(asked):
        p = log_p[asked][:, in_ends] - log_ends[asked, None]
        entropy[asked], rank[asked] = entropy_and_rank(p, chosen[asked] - log_ends[asked, None])
    values = (of.cpu().double().numpy() for of in (chosen[:, 0], log_ends, entropy, rank))
    return Measures(*values)


def indices_of(mask: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask)).to(device)


def entropy_and_rank(log_p: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """log p (n, V) and that of one token each (n, 1) -> (n,) bits, and (n,) the token's rank."""
    scratch = torch.empty_like(log_p)  # memory is what takes time here
    torch.gt(log_p, chosen, out=scratch)  # 1 and 0, which are added up five times as fast as bool
    rank = 1 + scratch.sum(1).long()
    torch.clamp(log_p, min=torch.finfo(log_p.dtype).min, out=scratch)  # 0 log 0 is 0
    entropy = scratch.mul_(log_p.exp()).sum(1) / -math.log(2)
    return entropy.clamp(min=0), rank


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
        self.device = self.readers[0].model.device
        self.id_maps = mixture.id_maps
        self.types = [torch.from_numpy(ids).to(self.device) for ids in mixture.id_maps]
        self.weights = mixture.weights
        self.in_ends = torch.from_numpy(in_ends).to(self.device)
        self.tokens_at_once = max(1, PROBABILITIES_AT_ONCE // len(in_ends))

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        for reader in self.readers:
            reader.restart()

    @torch.inference_mode()
    def __call__(self, ids: np.ndarray, questions: Questions) -> Measures:
        """What is asked about the tokens `ids` (N,), which come next in the text."""
        parts = [
            measure(
                check_numbers(self.log_probs(ids[piece])),
                ids[piece],
                self.in_ends,
                questions.part(piece),
            )
            for piece in cut_at_lines(ids, self.tokens_at_once)
        ]
        if not parts:
            return Measures(*(np.empty(0) for _ in Measures._fields))
        return Measures(*(np.concatenate(of_parts) for of_parts in zip(*parts)))

    def log_probs(self, ids: np.ndarray) -> Tensor:
        """(N, V) log p before each of `ids` (N,), in the numbering of the first model."""
        if len(self.readers) == 1:
            return self.readers[0](ids)
        members = [
            reader(type_ids[ids])[:, types]
            for reader, type_ids, types in zip(self.readers, self.id_maps, self.types)
        ]
        log_weights = torch.tensor(self.weights, dtype=torch.float64, device=self.device).log()
        return mix_log_probs(members, log_weights)


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

    def __init__(self, model: LanguageModel, context: str, batch_size: int = 64) -> None:
        self.model, self.by_line, self.batch_size = model, context == "sentence", batch_size
        self.state: State = None
        """None at the start of a text, and of a line that starts afresh."""

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        self.state = None

    def __call__(self, ids: np.ndarray) -> Tensor:
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
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def stream(self, ids: np.ndarray) -> Tensor:
        """(N, V) before the tokens of one row, which goes on from the state so far."""
        if self.state is None:
            self.state = self.model.start(1)
        tokens = torch.from_numpy(ids.astype(np.int64))[None].to(self.model.device)  # (1, N)
        real = torch.ones_like(tokens, dtype=torch.bool)
        log_p, self.state = distributions(self.model, self.state, tokens, real)
        return log_p

    def lines(self, ids: np.ndarray) -> Tensor:
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
            padded, mask = (torch.from_numpy(of).to(self.model.device) for of in (tokens, real))
            parts.append(distributions(self.model, state, padded, mask)[0])
            places.append((starts[group][:, None] + np.arange(tokens.shape[1]))[real])
        by_length = parts[0] if len(parts) == 1 else torch.cat(parts)
        inverse = np.argsort(np.concatenate(places))
        return by_length[torch.from_numpy(inverse).to(by_length.device)]


def distributions(
    model: LanguageModel, state: State, tokens: Tensor, real: Tensor
) -> tuple[Tensor, State]:
    """(n, V) log p before the n tokens of `tokens` (B, T) that are `real`, row by row, and the
    state after them all."""
    if isinstance(model, LanguageNetwork | SlidingWindow):
        parts = []
        for segment in tokens.split(SEGMENT, dim=1):
            features, state = model.read(state, segment)
            parts.append(features)
        features = torch.cat(parts, 1)  # (B, T, D)
        return model.output_layer.log_probs(features[real]), state
    if isinstance(model, NGramLanguageModel):
        states = model.states_before(state, tokens)  # B·T rows
        return model.log_probs(select(states, real.flatten().nonzero()[:, 0])), model.advance(
            state, tokens
        )
    steps = []  # T of (B, V)
    for token in tokens.split(1, dim=1):  # (B, 1)
        steps.append(model.log_probs(state))
        state = model.advance(state, token)
    return torch.stack(steps, 1)[real], state
