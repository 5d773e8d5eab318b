"""What decoders ask of a model, of whichever kind its arrays are.

A `SequenceModel` (`base.py`, which says what each answer means) reads and answers in tensors, an
`NGramModel` in arrays of numpy; both have these verbs, and neither is named where they suffice. All
arrays that a model is given are of the kind of those in its states.

    B rows · T new tokens · V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from seqlm.models.arrays import Array

State = Any
"""A nest of tuples of arrays (axis 0 is B), ints and None; see `tree.py`."""

Drawing = Callable[[State, Array], Array]
"""A state and (B,) numbers in [0, 1) -> (B,) tokens, each as often as it is probable."""


class SequenceVerbs(Protocol):
    """The verbs of a model of sequences."""

    normalized: bool
    """False where the model gives scores that are not probabilities."""

    def log_probs(self, state: State) -> Array:
        """(B, V) natural-log probabilities of the next token."""

    def advance(self, state: State, tokens: Array) -> State:
        """The state after consuming `tokens` (B, T)."""

    def score(self, state: State, tokens: Array) -> tuple[Array, State]:
        """(B, T) log p(tokens[:, t] | state, tokens[:, :t]), and the state after them."""

    def ngram_length(self, state: State, tokens: Array) -> Array | None:
        """(B, T) order of the n-gram that each token is scored with, or None."""

    def score_and_length(self, state: State, tokens: Array) -> tuple[Array, Array | None, State]:
        """The answers of `score` and `ngram_length` at once."""

    def drawing(self) -> Drawing | None:
        """A way to draw the next token without all its log-probabilities, or None."""


class LanguageVerbs(SequenceVerbs, Protocol):
    """The verbs of a language model."""

    resets_at_eos: bool
    """True where the state after `</s>` is the start state, so that lines never see each other."""
    context_length: int | None
    """The most tokens that a state may have consumed, or None where any number may be."""

    def start(self, rows: int) -> State:
        """The state of `rows` rows, each at the beginning of a text."""
