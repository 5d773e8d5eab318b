"""From a prompt, the beginning of a text, to the state in which a model goes on from it."""

from __future__ import annotations

import numpy as np

from seqlm.models.arrays import as_like, without_gradients
from seqlm.models.tree import arrays_of
from seqlm.models.verbs import LanguageVerbs, State
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import UNK

SEGMENT = 1 << 11
"""Tokens of a prompt that are read at once."""


def encode_prompt(tokenizer: Tokenizer, prompt: str, file: str = "<prompt>") -> np.ndarray:
    """(P,) int64 ids; `file` is where a message says that the prompt is from. Errors: DataError on
    a literal `<s>` or `</s>` among words."""
    return tokenizer.encode_text(prompt, file).astype(np.int64)


@without_gradients
def read_ids(model: LanguageVerbs, ids: np.ndarray) -> State:
    """The state, of one row, after `ids` (P,), which are read in segments: a prompt of any length
    takes no more memory than one of SEGMENT tokens."""
    state = model.start(1)
    tokens = as_like(ids, next(arrays_of(state)))
    for start in range(0, len(ids), SEGMENT):
        state = model.advance(state, tokens[None, start : start + SEGMENT])
    return state


def unknown_tokens(
    tokenizer: Tokenizer, text: str, file: str = "<prompt>", line: int = 1
) -> list[str]:
    """The tokens of `text` that are not in the vocabulary, each once; the model reads `<unk>`.

    `file` and `line` say where the text is from. Errors: DataError on a literal `<s>` or `</s>`
    among words.
    """
    ids = tokenizer.encode_text(text, file, line)
    if not (ids == UNK).any():
        return []
    block = Block(text.encode(), file, line)
    start, length = tokenizer.token_spans(block, ids)
    pieces = [
        block.data[at : at + size].decode(errors="replace")
        for id, at, size in zip(ids.tolist(), start.tolist(), length.tolist())
        if id == UNK
    ]
    return [piece for piece in dict.fromkeys(pieces) if piece.encode() != tokenizer.types[UNK]]
