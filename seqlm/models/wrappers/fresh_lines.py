"""A model that begins every line afresh, as it scores a text in sentence context.

    the state after x_1 … x_t  =  the model's own state after what follows the last </s> among them

The rows of a batch end their lines at different times, and then have read different numbers of
tokens, which the tensors of a Transformer show. So rows are held in groups: those of one group have
states of one shape. A row that ends its line joins the group whose states have the shape of the
start, or makes a new one; a group that all its rows have left is dropped. A recurrent network has
one group at all times.

    B rows · T tokens · V vocabulary · G groups
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlm.models.base import LanguageModel, State
from seqlm.models.tree import select
from seqlm.text.vocabulary import EOS

Reading = Callable[[State, Tensor], tuple[Tensor | None, State]]
"""A state and tokens (B, T) -> what is asked about each token (B, T), and the state after them."""


class LineState(NamedTuple):
    group: Tensor  # (B,) the group that each row is in
    states: tuple[State, ...]  # (G,) all with B rows, of which those of other groups mean nothing


class FreshLines(LanguageModel):
    resets_at_eos = True

    def __init__(self, model: LanguageModel) -> None:
        """`model` reads texts of any length."""
        super().__init__(model.config)
        self.model, self.normalized = model, model.normalized

    def start(self, rows: int) -> LineState:
        group = torch.zeros(rows, dtype=torch.long, device=self.model.device)
        return LineState(group, (self.model.start(rows),))

    def log_probs(self, state: LineState) -> Tensor:
        def ask(of_group: State, nothing: Tensor) -> tuple[Tensor, State]:
            return self.model.log_probs(of_group), of_group

        log_probs, _ = read_groups(state, state.group[:, None], ask)
        assert log_probs is not None
        return log_probs

    def advance(self, state: LineState, tokens: Tensor) -> LineState:
        def ask(of_group: State, part: Tensor) -> tuple[None, State]:
            return None, self.model.advance(of_group, part)

        return self.read(state, tokens, ask)[1]

    def score(self, state: LineState, tokens: Tensor) -> tuple[Tensor, LineState]:
        scores, state = self.read(state, tokens, self.model.score)
        return torch.empty(tokens.shape) if scores is None else scores, state

    def ngram_length(self, state: LineState, tokens: Tensor) -> Tensor | None:
        def ask(of_group: State, part: Tensor) -> tuple[Tensor | None, State]:
            return self.model.ngram_length(of_group, part), self.model.advance(of_group, part)

        return self.read(state, tokens, ask)[0]

    def read(
        self, state: LineState, tokens: Tensor, ask: Reading
    ) -> tuple[Tensor | None, LineState]:
        """What `ask` gives for `tokens` (B, T), and the state after them; None where T is 0."""
        answers = []
        for part in parts_of_lines(tokens):
            answer, state = read_groups(state, part, ask)
            answers.append(answer)
            ended = part[:, -1] == EOS
            if ended.any():
                state = restart(state, ended, self.model.start(len(ended)))
        given = [answer for answer in answers if answer is not None]
        return torch.cat(given, 1) if given else None, state


def parts_of_lines(tokens: Tensor) -> Iterator[Tensor]:
    """`tokens` (B, T) in parts that have `</s>` in their last column at most."""
    ends = ((tokens == EOS).any(0).nonzero()[:, 0] + 1).tolist()
    cuts = sorted({0, *ends, tokens.shape[1]})
    return (tokens[:, start:end] for start, end in pairwise(cuts))


def read_groups(state: LineState, tokens: Tensor, ask: Reading) -> tuple[Tensor | None, LineState]:
    """What `ask` gives for `tokens` (B, T), asked group by group, and the state after them."""
    count = len(state.group)
    answers: Tensor | None = None
    group = torch.empty_like(state.group)
    states: list[State] = []
    for number, of_group in enumerate(state.states):
        rows = (state.group == number).nonzero()[:, 0]
        if len(rows) == 0 < count:
            continue
        if len(rows) == count:
            answers, after = ask(of_group, tokens)
        else:
            answer, after = ask(select(of_group, rows), tokens[rows])
            place = torch.zeros_like(group)
            place[rows] = torch.arange(len(rows), device=rows.device)
            after = select(after, place)  # B rows again
            if answer is not None:
                answers = answer.new_empty((count, answer.shape[1])) if answers is None else answers
                answers[rows] = answer
        group[rows] = len(states)
        states.append(after)
    return answers, LineState(group, tuple(states))


def restart(state: LineState, ended: Tensor, fresh: State) -> LineState:
    """The state in which the rows that `ended` (B,) are in the state `fresh`."""
    group, states = state.group.clone(), list(state.states)
    for number, of_group in enumerate(states):
        if same_shape(of_group, fresh):
            states[number] = where(ended, fresh, of_group)
            group[ended] = number
            return LineState(group, tuple(states))
    group[ended] = len(states)
    return LineState(group, (*states, fresh))


def same_shape(state: Any, other: Any) -> bool:
    """Whether two states differ in the numbers of their tensors at most."""
    if isinstance(state, Tensor):
        return isinstance(other, Tensor) and state.shape == other.shape
    if isinstance(state, tuple):
        return len(state) == len(other) and all(map(same_shape, state, other))
    return bool(state == other)


def where(rows: Tensor, state: Any, other: Any) -> Any:
    """The rows of `state` where `rows` (B,) is true, and of `other` elsewhere."""
    if isinstance(state, Tensor):
        return torch.where(rows.view(-1, *[1] * (state.dim() - 1)), state, other)
    if isinstance(state, tuple):
        parts = list(map(partial(where, rows), state, other))
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state


def with_fresh_lines(model: LanguageModel, context: str) -> LanguageModel:
    """A model that begins lines afresh where `context` is "sentence": `model` itself where it does
    so, or should not."""
    return model if model.resets_at_eos or context != "sentence" else FreshLines(model)
