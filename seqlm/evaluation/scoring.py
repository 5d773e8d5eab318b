"""From ids to their log-probabilities under a model, in bounded memory.

*Carried* context is one row and one stream: `</s>` is history like any token, and no token is
dropped. *Window* context is the same stream under a model that has a context length: it is read in
windows (`models/wrappers/sliding_window.py`). *Sentence* context starts every line afresh and
batches lines of like length, padded on the right, where a causal model cannot see; a line beyond
the context length goes on in windows. No figure depends on how the text was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seqlm.models.arrays import (
    Array,
    as_like,
    check_numbers,
    to_float64,
    to_numpy,
    without_gradients,
)
from seqlm.models.tree import arrays_of
from seqlm.models.verbs import LanguageVerbs, State
from seqlm.text.pad_rows import pad_rows
from seqlm.text.vocabulary import EOS

if TYPE_CHECKING:
    from seqlm.models.base import LanguageModel


class Scores(NamedTuple):
    """The scores of N tokens."""

    log_probs: np.ndarray  # (N,) float64, natural
    ngram_lengths: np.ndarray | None  # (N,) of the n-gram used, where the model has one


class Scorer:
    """Scores ids piece by piece, in order, in the context convention of a run.

    'carried', 'window': one row, whose state goes on from piece to piece until `restart`.
    'sentence': every line starts afresh, `batch_size` lines together; only a line that a piece cuts
    in two is carried on. A model that resets itself at `</s>` gives the same scores as one stream.
    """

    def __init__(
        self,
        model: LanguageVerbs,
        context: str,
        batch_size: int = 64,
        ngram_lengths: bool = False,
        stride: int | None = None,
    ) -> None:
        """`ngram_lengths` asks for them as well, where the model has n-grams.

        `stride` is that of the windows of a model with a context length, by default half of it.
        Errors: UsageError where it is longer than the context length.
        """
        self.model = in_windows(model, stride)
        self.batch_size, self.ngram_lengths = batch_size, ngram_lengths
        self.carried = context != "sentence" or model.resets_at_eos
        self.state: State = None
        """None at the start of a text, and of a line."""

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        self.state = None

    @without_gradients
    def __call__(self, ids: np.ndarray) -> Scores:
        """`ids` (N,) -> their N scores."""
        if self.carried:
            return self.stream(ids)
        ends = np.flatnonzero(ids == EOS) + 1
        first = 0  # where the first whole line begins
        if self.state is not None:
            first = int(ends[0]) if len(ends) else len(ids)
        last = int(ends[-1]) if len(ends) else first  # where the last one ends
        before = self.stream(ids[:first]) if first else NO_SCORES
        if len(ends):
            self.state = None
        lines = self.lines(ids[first:last])
        after = self.stream(ids[last:]) if last < len(ids) else NO_SCORES
        return Scores(np.concatenate([before.log_probs, lines, after.log_probs]), None)

    def stream(self, ids: np.ndarray) -> Scores:
        """Scores `ids` (N,) as one row, from the state so far."""
        if self.state is None:
            self.state = self.model.start(1)
        tokens = self.tokens(self.state, ids[None].astype(np.int64))  # (1, N)
        lengths = None
        if self.ngram_lengths:
            scores, lengths, self.state = self.model.score_and_length(self.state, tokens)
        else:
            scores, self.state = self.model.score(self.state, tokens)
        return Scores(
            to_float64(check_numbers(scores[0])),
            None if lengths is None else to_numpy(lengths[0]),
        )

    def lines(self, ids: np.ndarray) -> np.ndarray:
        """(N,) log-probabilities of whole lines, each from the start."""
        ends = np.flatnonzero(ids == EOS) + 1
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        lengths = ends - starts
        log_probs = np.empty(len(ids))
        order = np.argsort(lengths, kind="stable")  # lines of like length share a batch
        for at in range(0, len(order), self.batch_size):
            group = order[at : at + self.batch_size]
            tokens, real = pad_rows(ids, starts[group], lengths[group])  # (B, T)
            state = self.model.start(len(group))
            scores, _ = self.model.score(state, self.tokens(state, tokens))
            indices = starts[group][:, None] + np.arange(tokens.shape[1])
            log_probs[indices[real]] = to_float64(scores)[real]
        check_numbers(log_probs)
        return log_probs

    @staticmethod
    def tokens(state: State, ids: np.ndarray) -> Array:
        """`ids` (B, T) as the model takes them, which is as its states are."""
        return as_like(ids, next(arrays_of(state)))


NO_SCORES = Scores(np.empty(0), None)


def in_windows(model: LanguageVerbs, stride: int | None) -> LanguageVerbs:
    """A model that reads texts of any length: `model` itself where it has no context length."""
    if model.context_length is None:
        return model
    from seqlm.models.wrappers.sliding_window import with_sliding_window

    return with_sliding_window(model, stride)  # type: ignore[arg-type]  # a network


WARM_UP = 128
"""The least number of tokens that a row of a stream reads before those it is scored on."""
SHORTEST_ROW = 1024
"""The least number of tokens that a row of a stream is scored on, where there are several rows."""
PIECE = 256
"""Tokens of each row that are scored at once."""


@without_gradients
def validation_loss(model: LanguageModel, ids: np.ndarray, context: str, rows: int) -> float:
    """Nats a token, for use inside training only: carried text is cut into up to `rows` rows.

    A model with a context length is scored as it is trained: on blocks that do not overlap, the
    first token of each predicted from one token. No token is left out. The model is left in the
    mode it came in. Draws from no random generator.
    """
    from seqlm.models.stored_model import in_evaluation_mode

    with in_evaluation_mode(model):
        if context == "sentence" or model.resets_at_eos or model.context_length is not None:
            scores = Scorer(model, context, rows, stride=model.context_length)(ids)
            return -float(scores.log_probs.mean())
        return -sum_of_rows(model, ids, rows) / len(ids)


def sum_of_rows(model: LanguageModel, ids: np.ndarray, rows: int) -> float:
    """The sum of the log-probabilities of a stream of N tokens, which up to `rows` rows share.

        N = W + R S       row r reads W + S tokens from r S on, of which the first W warm it up

    What warms row r up is scored as the end of row r-1, and what warms the first one up is scored
    by itself. The sum is that of one row (R = 1), up to what a row would still remember of the text
    before its warm-up.
    """
    import torch

    rows = max(1, min(rows, (len(ids) - WARM_UP) // SHORTEST_ROW))  # R
    warm_up = WARM_UP + (len(ids) - WARM_UP) % rows if rows > 1 else 0  # W
    length = (len(ids) - warm_up) // rows  # S
    stream = torch.from_numpy(ids.astype(np.int32)).to(model.device)
    tokens = stream.unfold(0, warm_up + length, length)  # (R, W + S), a view
    beginning = tokens[:1, :warm_up].long()
    total = float(model.score(model.start(1), beginning)[0].cpu().double().sum())
    state = model.advance(model.start(rows), tokens[:, :warm_up].long())
    for begin in range(warm_up, warm_up + length, PIECE):
        piece = tokens[:, begin : begin + PIECE].long()
        log_probs, state = model.score(state, piece)
        total += float(log_probs.cpu().double().sum())
    return total
