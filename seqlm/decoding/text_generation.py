"""Text from a language model: prompts in, samples or the likeliest continuations out.

Samples of a prompt are drawn together, one row each, which leaves when the sample has ended. They
are given out one after the other: the first appears token by token, and when it ends, what the next
has reached meanwhile follows at once. A sample's noise depends on the seed and its number alone, so
that no batching changes it.

A model that reads backward goes on from the end of a line to its beginning: a prompt is the end of
the text's last line, and a line appears when all of it is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.decoding.prompt import encode_prompt, read_ids
from seqlm.decoding.sampling_noise import Noise, fresh_seed
from seqlm.decoding.token_sampling import Chooser, make_adjustment, make_chooser
from seqlm.errors import ModelError
from seqlm.models.arrays import (
    Array,
    as_like,
    check_numbers,
    gather,
    library,
    to_numpy,
    without_gradients,
)
from seqlm.models.tree import arrays_of, select
from seqlm.models.verbs import Drawing, LanguageVerbs, State
from seqlm.text.detokenize import make_detokenizer
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS

DEFAULTS = GenerationSettings()
NOTHING_POSSIBLE = "this model gives no token a probability after such a text"

# -------------------------------------------------------------------------------------- samples


class TextPiece(NamedTuple):
    """Some more text of one sample; `done` with its last piece."""

    number: int  # of the sample, from 0
    prompt: str
    text: str  # which begins with the prompt in the first piece, or ends with it
    done: bool = False
    log_prob: float = 0.0  # natural, as the model has it, of all that was generated so far


class Sample(NamedTuple):
    """A text that was drawn."""

    text: str  # with its prompt
    log_prob: float  # natural, as the model has it, of what follows the prompt


def samples(
    model: LanguageVerbs,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    settings: GenerationSettings = DEFAULTS,
) -> Iterator[Sample]:
    """The samples of every prompt, each a text that begins with its prompt."""
    text = ""
    for piece in sample(model, tokenizer, prompts, settings):
        text += piece.text
        if piece.done:
            yield Sample(text, piece.log_prob)
            text = ""


def sample(
    model: LanguageVerbs,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    settings: GenerationSettings = DEFAULTS,
    batch_size: int | None = None,
) -> Iterator[TextPiece]:
    """The samples of every prompt, piece by piece, sample after sample; a seed is drawn where none
    is set. `batch_size` samples are generated at once, by default `rows_at_once`.

    Errors: DataError on a literal `<s>` or `</s>` among the words of a prompt; ModelError where no
    token is possible.
    """
    seed = fresh_seed() if settings.seed is None else settings.seed
    count, end = settings.num_samples, EOS if settings.stop == "eos" else None
    drawing = model.drawing() if settings.draws_as_the_model_predicts else None
    batch_size = batch_size or rows_at_once(model, drawing, len(tokenizer))
    for prompt_number, prompt in enumerate(prompts):
        first_number = prompt_number * count
        ids = encode_prompt(tokenizer, prompt)
        start = read_ids(model, ids)
        for first in range(0, count, batch_size):
            numbers = range(first_number + first, first_number + min(first + batch_size, count))
            noise = Noise.of(seed, numbers)
            steps = generate_samples(model, start, ids, noise, settings, end, drawing)
            streamed = stream_rows(steps, len(numbers), tokenizer, prompt, end)
            for row, text, done, log_prob in streamed:
                yield TextPiece(numbers[row], prompt, text, done, log_prob)


def rows_at_once(model: LanguageVerbs, drawing: Drawing | None, vocab_size: int) -> int:
    """How many samples are generated at once. The products of a network are the quicker the more
    rows they have; arrays of numpy, (B, V), are slow where they do not fit into the cache."""
    if drawing is not None:
        return 256
    if isinstance(next(arrays_of(model.start(1))), np.ndarray):
        return max(1, min(64, (1 << 19) // vocab_size))
    return 64


def chooser_of(settings: GenerationSettings, noise: Noise, prompt: Array) -> Chooser:
    """The way to choose the tokens of samples that go on from `prompt` (P,)."""
    return make_chooser(
        settings.temperature,
        settings.top_k,
        settings.top_p,
        settings.min_p,
        settings.repetition_penalty,
        settings.no_repeat_ngram,
        noise,
        prompt,
        settings.unk,
    )


class Step(NamedTuple):
    """One more token of each of A samples, those that have not ended."""

    rows: list[int]  # (A,) their numbers in the batch
    tokens: list[int]  # (A,)
    log_probs: list[float]  # (A,) natural, as the model has them


@without_gradients
def generate_samples(
    model: LanguageVerbs,
    start: State,
    prompt: np.ndarray,
    noise: Noise,
    settings: GenerationSettings,
    end: int | None,
    drawing: Drawing | None,
) -> Iterator[Step]:
    """A sample for each row of `noise`, which goes on from `prompt` (P,), after which the state of
    one row is `start`, until the token `end`. With `drawing`, the model draws tokens itself."""
    like = next(arrays_of(start))
    xp, prompt = library(like), as_like(prompt, like)
    choose = chooser_of(settings, noise, prompt)
    rows = np.arange(len(noise.numbers))  # (A,)
    state = select(start, as_like(np.zeros_like(rows), like))
    history = as_like(np.zeros((len(rows), 64), np.int64), like)  # `step` columns are in use
    for step in range(settings.max_tokens):
        state = model.advance(state, history[:, max(step - 1, 0) : step])  # nothing at step 0
        if drawing is not None:
            tokens = drawing(state, noise.uniform(step))
            log_probs = model.score(state, tokens[:, None])[0][:, 0]
        else:
            predicted = check_numbers(model.log_probs(state))  # (A, V)
            tokens = choose(predicted, history[:, :step])
            log_probs = gather(predicted, tokens[:, None])[:, 0]
        found = Step(rows.tolist(), tokens.tolist(), log_probs.tolist())
        if -math.inf in found.log_probs:
            raise ModelError(NOTHING_POSSIBLE)
        yield found
        if step == history.shape[1]:
            history = xp.concatenate([history, xp.zeros_like(history)], 1)
        history[:, step] = tokens
        going_on = np.flatnonzero(to_numpy(tokens) != end)
        if not len(going_on):
            return
        if len(going_on) < len(rows):
            rows, noise = rows[going_on], select(noise, going_on)
            state, history = select((state, history), as_like(going_on, like))
            choose = chooser_of(settings, noise, prompt)


def stream_rows(
    steps: Iterable[Step], rows: int, tokenizer: Tokenizer, prompt: str, end: int | None
) -> Iterator[tuple[int, str, bool, float]]:
    """The steps of so many samples -> (row, text, done, log-probability so far), row after row,
    each as soon as it may be shown."""
    writers = [make_detokenizer(tokenizer, prompt) for _ in range(rows)]
    pending = [writer.start() for writer in writers]  # text that has not been shown
    ended = [False] * rows
    totals = [0.0] * rows
    shown = 0  # rows wholly shown
    for step in steps:
        for row, id, log_prob in zip(*step):
            pending[row] += writers[row].write(id)
            totals[row] += log_prob
            ended[row] = id == end
        while shown < rows and (pending[shown] or ended[shown]):
            yield shown, pending[shown], ended[shown], totals[shown]
            pending[shown] = ""
            if not ended[shown]:
                break
            shown += 1
    for row in range(shown, rows):
        if not ended[row]:
            pending[row] += writers[row].finish()
        yield row, pending[row], True, totals[row]


# -------------------------------------------------------------------------------- continuations


class Continuation(NamedTuple):
    """A continuation of a prompt that a beam has found."""

    text: str  # with its prompt
    log_prob: float  # natural, of what follows the prompt
    score: float  # what continuations are ranked by


def search_continuations(
    model: LanguageVerbs,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    settings: GenerationSettings,
) -> Iterator[tuple[str, list[Continuation]]]:
    """Each prompt, with its `nbest` best continuations that a beam finds, best first.

    Errors: DataError as `sample`.
    """
    # A beam is of tensors alone, and texts are drawn without torch.
    from seqlm.decoding.beam_search import beam_search
    from seqlm.models.ngram.ngram_language_model import in_tensors

    assert settings.beam is not None, "a search has a beam"
    module = in_tensors(model)
    for prompt in prompts:
        ids = encode_prompt(tokenizer, prompt)
        state = read_ids(module, ids)
        before = as_like(ids, next(arrays_of(state)))
        (hypotheses,) = beam_search(
            module,
            state,
            settings.beam,
            settings.max_tokens,
            EOS,
            length_penalty=settings.length_penalty,
            normalization=settings.normalization,
            adjust=make_adjustment(
                settings.repetition_penalty, settings.no_repeat_ngram, before, settings.unk
            ),
            nbest=settings.nbest,
        )
        if not hypotheses:
            raise ModelError(NOTHING_POSSIBLE)
        continuations = []
        for hypothesis in hypotheses:
            writer = make_detokenizer(tokenizer, prompt)
            written = map(writer.write, hypothesis.tokens.tolist())
            text = writer.start() + "".join(written) + writer.finish()
            continuations.append(Continuation(text, hypothesis.log_prob, hypothesis.score))
        yield prompt, continuations
