"""From a prompt, the beginning of a text, to the state in which a model goes on from it."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlm.models.base import SEGMENT, LanguageModel, State
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import UNK


def encode_prompt(tokenizer: Tokenizer, prompt: str, file: str = "<prompt>") -> Tensor:
    """(P,) int64 ids; `file` is where a message says that the prompt is from. Errors: DataError on
    a literal `<s>` or `</s>` among words."""
    return torch.from_numpy(tokenizer.encode_text(prompt, file)).long()


@torch.inference_mode()
def read_ids(model: LanguageModel, ids: Tensor) -> State:
    """The state, of one row, after `ids` (P,), which are read in segments: a prompt of any length
    takes no more memory than one of SEGMENT tokens."""
    state = model.start(1)
    for segment in ids.to(model.device).split(SEGMENT):
        state = model.advance(state, segment[None])
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
