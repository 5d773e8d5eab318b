"""Lines in, translations out: as many, in the same order, whatever is batched with what.

    x   a source line, |x| tokens with its `</s>`        Y   a hypothesis, |Y| tokens with its own

Lines are read into a bounded buffer, decoded in batches of like length, and leave in the order they
came. Nothing a line is given depends on the lines beside it: its hypotheses have at most

    max_length_ratio |x| + 10

tokens, and the noise of its sample is that of its number. A blank line is not handed to the model:
its translation is blank.

The last token of a hypothesis is never read: a model with a context length of H begins by reading
`</s>`, and H tokens can follow that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.decoding.beam_search import Hypothesis, beam_search
from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise, fresh_seed
from seqlm.decoding.token_sampling import Chooser, make_chooser
from seqlm.decoding.translation.alignment import pieces_of_ids
from seqlm.decoding.translation.forced_decoding import check_attention, forced_attention
from seqlm.decoding.translation.greedy_search import greedy_search
from seqlm.decoding.translation.sentence_batches import (
    Sentence,
    batches_by_length,
    buffer_size,
    encode_lines,
    is_blank,
    pad_sentences,
    replace_reserved_words,
    split_into_groups,
    truncate,
)
from seqlm.errors import ModelError
from seqlm.models.base import State, Translator
from seqlm.models.layers.linear import bfloat16_products
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, UNK

DEFAULTS = TranslationSettings()
EXTRA_TOKENS = 10
"""Tokens a hypothesis may have beyond `max_length_ratio` times its source."""


class Translation(NamedTuple):
    """A translation of t tokens; S is the number of tokens of its source."""

    text: str
    pieces: list[bytes]  # (t,) the text each token adds
    tokens: list[int]  # (t,), the last one `</s>`, unless they were cut at their limit
    log_prob: float  # natural log
    score: float  # what hypotheses are ranked by; a sample's is its log_prob
    alignment: Tensor | None  # (t, S), where it was asked for

    @property
    def is_truncated(self) -> bool:
        """Whether it was cut at its limit, before a `</s>`."""
        return self.tokens[-1:] not in ([], [EOS])


class TranslatedLine(NamedTuple):
    """A line and its translations, best first."""

    source: Sentence
    translations: list[Translation]

    @property
    def best(self) -> Translation:
        return self.translations[0]


BLANK = Translation("", [], [], 0.0, 0.0, None)
"""The translation of a blank line."""


def translate(
    model: Translator,
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
    lines: Iterable[str],
    settings: TranslationSettings = DEFAULTS,
    batch_size: int = 64,
    buffer: int | None = None,
) -> Iterator[TranslatedLine]:
    """The translations of each line, in order.

    `buffer` lines are read before the first is decoded: by default 32 batches, and one line where
    batches are of one. A line longer than the model or `max_input_length` can read is cut, and a
    literal `<s>` or `</s>` among words is read as `<unk>`, both with a warning.
    Errors: ModelError where attention is asked for and the model has none.
    """
    if settings.sample and settings.seed is None:
        settings = replace(settings, seed=fresh_seed())
    first_number = 0
    for group in split_into_groups(lines, buffer_size(batch_size, buffer)):
        readable = replace_reserved_words(source_tokenizer, group, first_number)
        sentences = [
            truncate(sentence, model.context_length, settings.max_input_length)
            for sentence in encode_lines(source_tokenizer, readable, first_number)
        ]
        first_number += len(group)
        translations: dict[int, list[Translation]] = {}
        nonblank = [sentence for sentence in sentences if not is_blank(sentence.text)]
        for batch in batches_by_length(nonblank, batch_size, lambda sentence: sentence.length):
            for sentence, hypotheses in zip(
                batch, decode_batch(model, batch, settings), strict=True
            ):
                translations[sentence.number] = [
                    to_translation(target_tokenizer, sentence, hypothesis, settings)
                    for hypothesis in hypotheses
                ]
        for line, sentence in zip(group, sentences, strict=True):
            yield TranslatedLine(
                sentence._replace(text=line), translations.get(sentence.number, [BLANK])
            )


# ------------------------------------------------------------------ from a batch to its hypotheses


def decode_batch(
    model: Translator, batch: list[Sentence], settings: TranslationSettings
) -> list[list[Hypothesis]]:
    """The hypotheses for each sentence, best first."""
    with torch.inference_mode(), bfloat16_products(settings.precision == "bfloat16"):
        return search_batch(model, batch, settings)


def search_batch(
    model: Translator, batch: list[Sentence], settings: TranslationSettings
) -> list[list[Hypothesis]]:
    """The hypotheses for each sentence, in the arithmetic of the context."""
    source, lengths = pad_sentences([sentence.tokens for sentence in batch], model.device)
    state = model.start(source, lengths)
    if settings.needs_attention:
        check_attention(model, state)
    limits = (settings.max_length_ratio * lengths).long() + EXTRA_TOKENS  # (B,)
    if model.context_length is not None:
        limits = limits.clamp(max=model.context_length)
    if settings.sample:
        assert settings.seed is not None, "all batches have one seed"
        noise = Noise.of(settings.seed, [sentence.number for sentence in batch])
        choose = make_chooser(settings.temperature, settings.top_k, settings.top_p, noise=noise)
        samples = sample_batch(model, state, choose, limits, settings.needs_attention)
        return [[sample] for sample in samples]
    if settings.greedy:
        hypotheses = greedy_search(model, state, limits, EOS, settings.needs_attention)
    else:
        hypotheses = beam_search(
            model,
            state,
            settings.beam,
            limits,
            EOS,
            length_penalty=settings.length_penalty,
            normalization=settings.normalization,
            coverage_penalty=settings.coverage_penalty,
            source_lengths=lengths,
            threshold=math.inf if settings.beam_threshold is None else settings.beam_threshold,
            nbest=settings.nbest,
            align=settings.needs_attention,
        )
    if not all(hypotheses):
        raise ModelError("the model gives no probabilities: its weights must be damaged")
    return hypotheses


def sample_batch(
    model: Translator, state: State, choose: Chooser, limits: Tensor, align: bool
) -> list[Hypothesis]:
    """A sample of each row, of at most `limits` (B,) tokens."""
    step_log_probs: list[Tensor] = []  # (B,) of each step, the log-probability of the chosen token

    def choose_and_record(log_probs: Tensor, history: Tensor) -> Tensor:
        token: Tensor = choose(log_probs, history)  # (B,)
        step_log_probs.append(log_probs.gather(1, token[:, None])[:, 0])
        return token

    steps = generate(model, state, choose_and_record, int(limits.max()), end=EOS)
    tokens = torch.stack(list(steps), 1)  # (B, T)
    log_probs = torch.stack(step_log_probs, 1).double()  # (B, T)
    ends = (tokens == EOS).long()
    lengths = torch.where(ends.any(1), ends.argmax(1) + 1, tokens.shape[1]).minimum(limits)
    attention = forced_attention(model, state, tokens) if align else None
    samples = []
    for row, length in enumerate(lengths.tolist()):
        log_prob = log_probs[row, :length].sum().item()
        alignment = None if attention is None else attention[row, :length]
        samples.append(Hypothesis(tokens[row, :length], log_prob, log_prob, alignment))
    return samples


# ------------------------------------------------------------------- from hypotheses to their text


def to_translation(
    tokenizer: Tokenizer, sentence: Sentence, hypothesis: Hypothesis, settings: TranslationSettings
) -> Translation:
    """The text of a hypothesis, with what the settings ask to be kept or replaced."""
    tokens = hypothesis.tokens.tolist()
    pieces = pieces_of_ids(tokenizer, tokens)
    attention = hypothesis.alignment
    if attention is not None:
        attention = attention[:, : sentence.length].cpu()  # (t, S), without padding
        if settings.replace_unk:
            pieces = replace_unknown(tokens, pieces, sentence, attention)
    text = b"".join(pieces).decode(errors="replace")
    alignment = attention if settings.align else None
    return Translation(text, pieces, tokens, hypothesis.log_prob, hypothesis.score, alignment)


def replace_unknown(
    tokens: list[int], pieces: list[bytes], sentence: Sentence, attention: Tensor
) -> list[bytes]:
    """The pieces with, for each `<unk>`, the source token it attends to most, which is no `</s>`.

    As in Jean et al. 2015, "On using very large target vocabulary for neural machine translation",
    section 3.3.
    """
    most_attended = attention[:, :-1].argmax(1).tolist()  # (t,)
    return [
        piece.replace(b"<unk>", sentence.pieces[at].strip()) if id == UNK else piece
        for id, piece, at in zip(tokens, pieces, most_attended)
    ]
