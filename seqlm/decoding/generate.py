"""One token after another: the loop that turns a state and a way to choose into text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seqlm.decoding.token_sampling import Chooser
from seqlm.models.arrays import Array, as_like, check_numbers, library, without_gradients
from seqlm.models.tree import arrays_of
from seqlm.models.verbs import SequenceVerbs, State


@without_gradients
def generate(
    model: SequenceVerbs,
    state: State,
    choose: Chooser,
    steps: int,
    forced: Array | None = None,
    end: int | None = None,
) -> Iterator[Array]:
    """Yields the (B,) tokens of each step as soon as they are chosen, for at most `steps` steps.

    forced: (B, F) tokens to take in the first F steps, -1 where the row is free. It evens out
        prompts of different length: `state` has read their common length, and the rest of each is
        forced.
    end: the token a row ends with when it chooses it (a forced one is prompt). Such a row is
        carried on and yields `end` again; the loop stops when all rows have ended.
    """
    like = next(arrays_of(state))  # B rows
    xp, rows = library(like), len(like)
    history = as_like(np.zeros((rows, 64), np.int64), like)  # of which `step` columns are in use
    done = history[:, 0] > 0  # no row yet
    free = as_like(np.full(rows, -1), like)
    for step in range(steps):
        state = model.advance(state, history[:, max(step - 1, 0) : step])  # nothing at step 0
        given = forced[:, step] if forced is not None and step < forced.shape[1] else free
        log_probs = check_numbers(model.log_probs(state))  # (B, V)
        tokens = xp.where(given < 0, choose(log_probs, history[:, :step]), given)
        if end is not None:
            tokens = xp.where(done, end, tokens)
            done = done | ((given < 0) & (tokens == end))
        yield tokens
        if done.all():
            return
        if step == history.shape[1]:
            history = xp.concatenate([history, xp.zeros_like(history)], 1)
        history[:, step] = tokens
