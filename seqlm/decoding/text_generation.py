"""Text from a language model: prompts in, samples or the likeliest continuations out.

All samples of a prompt are drawn together, one row each. They are given out one after the other:
the first appears token by token, and when it ends, what the next has reached meanwhile follows at
once. A sample's noise depends on the seed and its number alone, so that no batching changes it.

A model that reads backward goes on from the end of a line to its beginning: a prompt is the end of
the text's last line, and a line appears when all of it is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.decoding.generate import generate
from seqlm.decoding.prompt import encode_prompt, read_ids
from seqlm.decoding.sampling_noise import Noise, fresh_seed
from seqlm.decoding.token_sampling import Chooser, make_adjustment, make_chooser
from seqlm.models.arrays import Array, as_like, gather
from seqlm.models.tree import arrays_of, select
from seqlm.models.verbs import Drawing, LanguageVerbs, State
from seqlm.text.detokenize import make_detokenizer
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS

DEFAULTS = GenerationSettings()

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
    batch_size: int = 64,
) -> Iterator[TextPiece]:
    """The samples of every prompt, piece by piece, sample after sample; a seed is drawn where none
    is set.

    Errors: DataError on a literal `<s>` or `</s>` among the words of a prompt.
    """
    count, end = settings.num_samples, EOS if settings.stop == "eos" else None
    seed = fresh_seed() if settings.seed is None else settings.seed
    drawing = model.drawing() if settings.draws_as_the_model_predicts else None
    for prompt_number, prompt in enumerate(prompts):
        first_number = prompt_number * count
        ids = encode_prompt(tokenizer, prompt)
        start = read_ids(model, ids)
        like = next(arrays_of(start))
        for first in range(0, count, batch_size):
            numbers = range(first_number + first, first_number + min(first + batch_size, count))
            state = select(start, as_like(np.zeros(len(numbers), np.int64), like))
            noise = Noise.of(seed, numbers)
            if drawing is not None:
                steps = generate_drawn(model, drawing, state, noise, settings.max_tokens, end)
            else:
                choose = chooser_of(settings, noise, as_like(ids, like))
                steps = generate_scored(model, state, choose, settings.max_tokens, end)
            for row, text, done, log_prob in stream_rows(
                steps, len(numbers), tokenizer, prompt, end
            ):
                yield TextPiece(numbers[row], prompt, text, done, log_prob)


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


def generate_scored(
    model: LanguageVerbs, state: State, choose: Chooser, steps: int, end: int | None
) -> Iterator[tuple[Array, Array]]:
    """The (B,) tokens of each step, and their log-probabilities (B,) as the model has them."""
    chosen: list[Array] = []

    def choose_and_look(log_probs: Array, history: Array) -> Array:
        tokens = choose(log_probs, history)
        chosen.append(gather(log_probs, tokens[:, None])[:, 0])
        return tokens

    for tokens in generate(model, state, choose_and_look, steps, end=end):
        yield tokens, chosen.pop()


def generate_drawn(
    model: LanguageVerbs,
    drawing: Drawing,
    state: State,
    noise: Noise,
    steps: int,
    end: int | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `generate_scored`, by a model that draws tokens itself. It reads on in the rows alone that
    have not ended."""
    rows = np.arange(len(noise.numbers))
    for step in range(steps):
        uniform = noise.uniform(step)  # (B,)
        tokens, log_probs = np.full(len(uniform), EOS), np.zeros(len(uniform))
        tokens[rows] = drawing(state, uniform[rows])
        scores, state = model.score(state, tokens[rows, None])
        log_probs[rows] = scores[:, 0]
        yield tokens, log_probs
        going_on = np.flatnonzero(tokens[rows] != end)
        if not len(going_on):
            return
        rows, state = rows[going_on], select(state, going_on)


def stream_rows(
    steps: Iterable[tuple[Array, Array]],
    rows: int,
    tokenizer: Tokenizer,
    prompt: str,
    end: int | None,
) -> Iterator[tuple[int, str, bool, float]]:
    """(B,) tokens and log-probabilities a step -> (row, text, done, log-probability so far), row
    after row, each as soon as it may be shown."""
    writers = [make_detokenizer(tokenizer, prompt) for _ in range(rows)]
    pending = [writer.start() for writer in writers]  # text that has not been shown
    ended = [False] * rows
    totals = [0.0] * rows
    shown = 0  # rows wholly shown
    for tokens, log_probs in steps:
        for row, (id, log_prob) in enumerate(zip(tokens.tolist(), log_probs.tolist())):
            if not ended[row]:
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
        continuations = []
        for hypothesis in hypotheses:
            writer = make_detokenizer(tokenizer, prompt)
            written = map(writer.write, hypothesis.tokens.tolist())
            text = writer.start() + "".join(written) + writer.finish()
            continuations.append(Continuation(text, hypothesis.log_prob, hypothesis.score))
        yield prompt, continuations
