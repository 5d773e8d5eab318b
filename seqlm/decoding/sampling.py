"""Text from a language model: prompts in, samples out, in order and as they are generated.

All samples of a prompt are drawn together, one row each. They are written one after the other: the
first appears token by token, and when it ends, what the next has reached meanwhile follows at once.
A sample's noise depends on the seed and its number alone, so that no batching changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.decoding.beam_search import beam_search
from seqlm.decoding.generate import generate
from seqlm.decoding.repetition import Adjust, repetition
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_choice import Choose
from seqlm.models.base import LanguageModel, State
from seqlm.models.tree import select
from seqlm.text.detokenize import Detokenizer
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS


class Piece(NamedTuple):
    """Some more text of one sample; `done` with its last."""

    number: int  # of the sample, from 0
    text: str
    done: bool = False


def sample(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    each: int,
    chooser: Callable[..., Choose],
    seed: int,
    max_tokens: int,
    stop: bool = True,
    batch_size: int = 64,
) -> Iterator[Piece]:
    """`each` samples of every prompt, piece by piece, sample after sample.

    A sample goes on from its prompt and ends at `</s>` (where `stop`) or after `max_tokens`.
    `chooser(noise=, prompt=)` gives the way to choose for a batch of samples of one prompt.
    """
    for place, prompt in enumerate(prompts):
        start, ids = read_prompt(model, tokenizer, prompt)
        for first in range(0, each, batch_size):
            numbers = range(place * each + first, place * each + min(first + batch_size, each))
            state = select(start, torch.zeros(len(numbers), dtype=torch.long, device=model.device))
            choose = chooser(noise=Noise.of(seed, numbers), prompt=ids)
            tokens = generate(model, state, choose, max_tokens, end=EOS if stop else None)
            for row, text, done in in_order(tokens, len(numbers), tokenizer, prompt, stop):
                yield Piece(numbers[row], text, done)


@torch.inference_mode()
def read_prompt(model: LanguageModel, tokenizer: Tokenizer, prompt: str) -> tuple[State, Tensor]:
    """The state, of one row, after the prompt, and its ids (P,).

    Errors: DataError on a literal `</s>`.
    """
    ids = torch.from_numpy(tokenizer.encode_text(prompt)).long().to(model.device)
    return model.advance(model.start(1), ids[None]), ids


def in_order(
    steps: Iterable[Tensor], rows: int, tokenizer: Tokenizer, prompt: str, stop: bool
) -> Iterator[tuple[int, str, bool]]:
    """(B,) tokens a step -> (row, text, done), row after row, each as soon as it may be shown."""
    writers = [Detokenizer(tokenizer, prompt) for _ in range(rows)]
    waiting = [prompt] * rows  # text not shown yet
    ended = [False] * rows
    shown = 0  # rows wholly shown
    for tokens in steps:
        for row, id in enumerate(tokens.tolist()):
            if not ended[row]:
                waiting[row] += writers[row].write(id)
                ended[row] = stop and id == EOS
        while shown < rows and (waiting[shown] or ended[shown]):
            yield shown, waiting[shown], ended[shown]
            waiting[shown] = ""
            if not ended[shown]:
                break
            shown += 1
    for row in range(shown, rows):
        if not ended[row]:
            waiting[row] += writers[row].finish()
        yield row, waiting[row], True


class Ranked(NamedTuple):
    text: str
    log_prob: float  # natural, of what follows the prompt
    score: float


def best(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    width: int,
    nbest: int,
    max_tokens: int,
    length_penalty: float = 0.0,
    avoid: Callable[..., Adjust] = repetition,
) -> Iterator[list[Ranked]]:
    """The `nbest` best continuations of each prompt that a beam of `width` finds.

    `avoid(prompt=)` gives what is done against repetition.
    """
    for prompt in prompts:
        state, ids = read_prompt(model, tokenizer, prompt)
        (found,) = beam_search(
            model,
            state,
            width,
            max_tokens,
            EOS,
            length_penalty=length_penalty,
            adjust=avoid(prompt=ids),
            nbest=nbest,
        )
        ranked = []
        for hypothesis in found:
            writer = Detokenizer(tokenizer, prompt)
            text = prompt + "".join(map(writer.write, hypothesis.tokens.tolist())) + writer.finish()
            ranked.append(Ranked(text, hypothesis.log_prob, hypothesis.score))
        yield ranked
