"""How probable given translations are: the decoder is forced to write the target.

Pairs of lines come in, and the log-probability of every token of the target goes out, in order.
Nothing a pair is given depends on the pairs beside it in its batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.decoding.decoding_settings import MAX_INPUT_LENGTH
from seqlm.decoding.translation.sentence_batches import (
    Sentence,
    batches_by_length,
    buffer_size,
    encode_lines,
    pad_sentences,
    split_into_groups,
    truncate,
)
from seqlm.errors import DataError, ModelError
from seqlm.models.arrays import check_numbers
from seqlm.models.base import State, Translator
from seqlm.text.tokenizer import Tokenizer


class ScoredPair(NamedTuple):
    """A pair of lines, and how probable its target is given its source."""

    source: Sentence
    target: Sentence  # of t tokens
    log_probs: list[float]  # (t,) natural log
    alignment: Tensor | None  # (t, S), where it was asked for


def score_targets(
    model: Translator,
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
    pairs: Iterable[tuple[str, str]],
    batch_size: int = 64,
    align: bool = False,
    buffer: int | None = None,
    max_input_length: int = MAX_INPUT_LENGTH,
) -> Iterator[ScoredPair]:
    """How probable each token of the targets is, `</s>` included, pair by pair, in order.

    Blank lines are read and scored like others. `buffer` pairs are read before the first is scored,
    and long sources are cut, as by `translate`. Errors: DataError on a literal `<s>` or `</s>`
    among words, or where a target is longer than the model's context length; ModelError where
    attention is asked for and the model has none.
    """
    first_number = 0
    for group in split_into_groups(pairs, buffer_size(batch_size, buffer)):
        source_lines, target_lines = zip(*group)
        sources = [
            truncate(sentence, model.context_length, max_input_length)
            for sentence in encode_lines(source_tokenizer, source_lines, first_number)
        ]
        targets = encode_lines(target_tokenizer, target_lines, first_number, "the target")
        first_number += len(group)
        for target in targets:
            if model.context_length is not None and target.length > model.context_length:
                raise DataError(
                    f"line {target.number + 1}: the target has {target.length} tokens, and the"
                    f" model reads {model.context_length}"
                )
        scored: dict[int, ScoredPair] = {}
        batches = batches_by_length(
            zip(sources, targets, strict=True), batch_size, lambda pair: max(x.length for x in pair)
        )
        for batch in batches:
            for pair in score_batch(model, batch, align):
                scored[pair.source.number] = pair
        yield from (scored[source.number] for source in sources)


@torch.inference_mode()
def score_batch(
    model: Translator, pairs: list[tuple[Sentence, Sentence]], align: bool
) -> list[ScoredPair]:
    """The scores of a batch of pairs of sentences."""
    state = model.start(*pad_sentences([source.tokens for source, _ in pairs], model.device))
    tokens, _ = pad_sentences([target.tokens for _, target in pairs], model.device)  # (B, T)
    if align:
        check_attention(model, state)
    log_probs = token_log_probs(model, state, tokens).tolist()
    attention = forced_attention(model, state, tokens) if align else None
    scored = []
    for row, (source, target) in enumerate(pairs):
        alignment = None
        if attention is not None:
            alignment = attention[row, : target.length, : source.length].cpu()
        scored.append(ScoredPair(source, target, log_probs[row][: target.length], alignment))
    return scored


def token_log_probs(model: Translator, state: State, tokens: Tensor) -> Tensor:
    """(B, T) log-probabilities of `tokens` (B, T). The last token is scored without being read: a
    model of context length H reads H tokens, `</s>` in front among them."""
    scores, before_last = model.score(state, tokens[:, :-1])  # (B, T - 1)
    last = model.log_probs(before_last).gather(1, tokens[:, -1:])  # (B, 1)
    return check_numbers(torch.cat([scores, last], 1))


def forced_attention(model: Translator, state: State, tokens: Tensor) -> Tensor | None:
    """(B, T, S) attention that predicts each of `tokens` (B, T); None if the model has none."""
    steps = [model.alignment(state)]  # (B, S) each
    for token in tokens[:, :-1].unbind(1):
        state = model.advance(state, token[:, None])
        steps.append(model.alignment(state))
    attention = [step for step in steps if step is not None]
    return torch.stack(attention, 1) if attention else None


def check_attention(model: Translator, state: State) -> None:
    """Errors: ModelError where the model has no attention."""
    if model.alignment(state) is None:
        raise ModelError("the model has no attention that could tell what it aligns")
