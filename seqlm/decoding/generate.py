"""One token after another: the loop that turns a state and a way to choose into text."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqlm.decoding.token_sampling import Chooser
from seqlm.models.base import SequenceModel, State, check_numbers


@torch.inference_mode()
def generate(
    model: SequenceModel,
    state: State,
    choose: Chooser,
    steps: int,
    forced: Tensor | None = None,
    end: int | None = None,
) -> Iterator[Tensor]:
    """Yields the (B,) tokens of each step as soon as they are chosen, for at most `steps` steps.

    forced: (B, F) tokens to take in the first F steps, -1 where the row is free. It evens out
        prompts of different length: `state` has read their common length, and the rest of each is
        forced.
    end: the token a row ends with when it chooses it (a forced one is prompt). Such a row is
        carried on and yields `end` again; the loop stops when all rows have ended.
    """
    log_probs = model.log_probs(state)  # (B, V), asked here for B alone
    history = log_probs.new_empty((log_probs.shape[0], 0), dtype=torch.long)
    done = log_probs.new_zeros(log_probs.shape[0], dtype=torch.bool)
    for step in range(steps):
        state = model.advance(state, history[:, max(step - 1, 0) : step])  # nothing at step 0
        tokens = choose(check_numbers(model.log_probs(state)), history[:, :step])
        free = torch.ones_like(tokens, dtype=torch.bool)
        if forced is not None and step < forced.shape[1]:
            free = forced[:, step] < 0
            tokens = tokens.where(free, forced[:, step])
        if end is not None:
            tokens = tokens.masked_fill(done, end)
            done |= free & (tokens == end)
        yield tokens
        if done.all():
            return
        if step == history.shape[1]:
            history = pad(history, (0, max(64, step)))
        history[:, step] = tokens
