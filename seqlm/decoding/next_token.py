"""The distribution of the next token after a text."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.decoding.text_generation import read_prompt
from seqlm.decoding.token_sampling import top_ids
from seqlm.models.base import LanguageModel
from seqlm.text.tokenizer import Tokenizer


class NextToken(NamedTuple):
    """A token that may come next."""

    token: str  # `</s>` is the end of the line
    probability: float
    log_prob: float  # natural logarithm


@torch.inference_mode()
def next_tokens(model: LanguageModel, tokenizer: Tokenizer, prefix: str, k: int) -> list[NextToken]:
    """The `k` most probable tokens after `prefix`, most probable first, among equals the one of the
    lower id.

    Errors: DataError on a literal `<s>` or `</s>` among words.
    """
    state, _ = read_prompt(model, tokenizer, prefix)
    log_probs: Tensor = model.log_probs(state)[0]  # (V,)
    best = top_ids(log_probs[None], min(k, len(log_probs)))[0]
    return [
        NextToken(tokenizer.types[id].decode(errors="replace"), math.exp(value), value)
        for id, value in zip(best.tolist(), log_probs[best].tolist())
    ]
