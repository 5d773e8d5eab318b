"""Lines in, translations out: as many, in the same order, whatever is batched with what.

    x   a source line, |x| tokens with its `</s>`        Y   a hypothesis, |Y| tokens with its own

Lines are read into a bounded buffer, decoded in batches of like length, and leave in the order they
came. Nothing a line is given depends on the lines beside it: its hypotheses have at most

    max_ratio |x| + 10

tokens, and the noise of its sample is that of its number. A blank line is not the model's business:
its translation is blank.

The last token of a hypothesis is never read: a model with a horizon H begins by reading `</s>`, and
H tokens can follow that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.decoding.alignment import written_pieces
from seqlm.decoding.beam_search import Hypothesis, Normalisation, beam_search
from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.sentence_batches import (
    Sentence,
    batches,
    cut,
    encoded,
    grouped,
    is_blank,
    padded,
    readable,
)
from seqlm.decoding.token_choice import Choose
from seqlm.errors import DataError, ModelError
from seqlm.models.base import State, Translator
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, UNK

SPARE = 10
"""Tokens a hypothesis may have beyond `max_ratio` times its source."""
BUFFER = 32
"""Batches that are read before the first is decoded."""
LONGEST = 1000
"""Tokens of a source that are read: a line without end is no reason to run out of memory."""


@dataclass(frozen=True)
class Search:
    """How translations are looked for. `decoding/beam.py` says what the penalties are."""

    beam: int = 5
    """Width. 1 is greedy: the one prefix has no rival, so that penalties have no effect."""
    nbest: int = 1
    length_penalty: float = 1.0
    normalisation: Normalisation = "simple"
    coverage_penalty: float = 0.0
    max_ratio: float = 2.0
    max_input_length: int = LONGEST
    """Tokens of a source that are read, its `</s>` counted; of a longer one, the first."""
    align: bool = False
    """Keep the attention."""
    replace_unk: bool = False
    """Write, for `<unk>`, the source token that has most attention."""
    draw: Callable[..., Choose] | None = None
    """Where given, nothing is searched: a sample is drawn, token by token as `draw(noise=)` says.
    The penalties and `nbest` then have no meaning."""
    seed: int = 1
    """Of samples."""

    @property
    def greedy(self) -> bool:
        return self.beam == 1


class Translated(NamedTuple):
    text: str
    pieces: list[bytes]  # (t,) the text each token adds
    tokens: list[int]  # (t,), the last one `</s>`, unless they were cut at their limit
    log_prob: float  # natural log
    score: float  # what hypotheses are ranked by; a sample's is its log_prob
    alignment: Tensor | None  # (t, S), where it was asked for


class Translation(NamedTuple):
    """A line and what was found for it, best first."""

    source: Sentence
    found: list[Translated]


BLANK = Translated("", [], [], 0.0, 0.0, None)
"""The translation of a blank line."""


def translate(
    model: Translator,
    reads: Tokenizer,
    writes: Tokenizer,
    lines: Iterable[str],
    search: Search = Search(),
    batch_size: int = 64,
    buffer: int | None = None,
) -> Iterator[Translation]:
    """The translation of each line, in order; `reads` is the source's tokeniser, `writes` the
    target's.

    `buffer` lines are read before the first is decoded: by default 32 batches, and one line where
    batches are of one. Two things are done with a warning: a line longer than the model or the
    search can read is cut, and a literal `<s>` or `</s>` among words is read as `<unk>`.
    Errors: ModelError where attention is asked for and the model has none.
    """
    first = 0
    for group in grouped(lines, buffer or ahead(batch_size)):
        sentences = [
            cut(one, model.context_length, search.max_input_length)
            for one in encoded(reads, readable(reads, group, first), first)
        ]
        first += len(group)
        found: dict[int, list[Translated]] = {}
        there = [one for one in sentences if not is_blank(one.text)]
        for batch in batches(there, batch_size, lambda one: one.length):
            for sentence, hypotheses in zip(batch, decode(model, batch, search), strict=True):
                found[sentence.number] = [
                    written(writes, sentence, hypothesis, search) for hypothesis in hypotheses
                ]
        for line, sentence in zip(group, sentences, strict=True):
            yield Translation(sentence._replace(text=line), found.get(sentence.number, [BLANK]))


def ahead(batch_size: int) -> int:
    """Lines that are read before the first is decoded, unless it is said how many."""
    return BUFFER * batch_size if batch_size > 1 else 1


# -------------------------------------------------------------------------- a batch to hypotheses


@torch.inference_mode()
def decode(model: Translator, batch: list[Sentence], search: Search) -> list[list[Hypothesis]]:
    """What is found for each sentence, best first."""
    source, lengths = padded([sentence.tokens for sentence in batch], model.device)
    state = model.start(source, lengths)
    attends = search.align or search.replace_unk
    if attends and model.alignment(state) is None:
        raise ModelError("the model has no attention that could tell what it aligns")
    limits = (search.max_ratio * lengths).long() + SPARE  # (B,)
    if model.context_length is not None:
        limits = limits.clamp(max=model.context_length)
    if search.draw is not None:
        choose = search.draw(noise=Noise.of(search.seed, [one.number for one in batch]))
        return [[sample] for sample in drawn(model, state, choose, limits, attends)]
    found = beam_search(
        model,
        state,
        search.beam,
        limits,
        EOS,
        length_penalty=0.0 if search.greedy else search.length_penalty,
        normalisation=search.normalisation,
        coverage_penalty=0.0 if search.greedy else search.coverage_penalty,
        source_lengths=lengths,
        nbest=search.nbest,
        align=attends,
    )
    if not all(found):
        raise ModelError("the model gives no probabilities: its weights must be damaged")
    return found


def drawn(
    model: Translator, state: State, choose: Choose, limits: Tensor, attends: bool
) -> list[Hypothesis]:
    """A sample of each row, of at most its own `limits` (B,)."""
    said: list[Tensor] = []  # (B,) of each step, log-probability of the token chosen

    def noting(log_probs: Tensor, history: Tensor) -> Tensor:
        token = choose(log_probs, history)  # (B,)
        said.append(log_probs.gather(1, token[:, None])[:, 0])
        return token

    steps = generate(model, state, noting, int(limits.max()), end=EOS)
    tokens = torch.stack(list(steps), 1)  # (B, T)
    scores = torch.stack(said, 1).double()  # (B, T)
    ends = (tokens == EOS).long()
    lengths = torch.where(ends.any(1), ends.argmax(1) + 1, tokens.shape[1]).minimum(limits)
    attention = behind(model, state, tokens) if attends else None
    samples = []
    for row, length in enumerate(lengths.tolist()):
        log_prob = scores[row, :length].sum().item()
        seen = None if attention is None else attention[row, :length]
        samples.append(Hypothesis(tokens[row, :length], log_prob, log_prob, seen))
    return samples


def written(
    tokenizer: Tokenizer, sentence: Sentence, hypothesis: Hypothesis, search: Search
) -> Translated:
    tokens = hypothesis.tokens.tolist()
    pieces = written_pieces(tokenizer, tokens)
    attention = hypothesis.alignment
    if attention is not None:
        attention = attention[:, : sentence.length].cpu()  # (t, S), without padding
        if search.replace_unk:
            pieces = replaced(tokens, pieces, sentence, attention)
    text = b"".join(pieces).decode(errors="replace")
    seen = attention if search.align else None
    return Translated(text, pieces, tokens, hypothesis.log_prob, hypothesis.score, seen)


def replaced(
    tokens: list[int], pieces: list[bytes], sentence: Sentence, attention: Tensor
) -> list[bytes]:
    """The pieces with, for each `<unk>`, the source token it attends to most; not `</s>`."""
    most = attention[:, :-1].argmax(1).tolist()  # (t,)
    return [
        piece.replace(b"<unk>", sentence.pieces[at].strip()) if id == UNK else piece
        for id, piece, at in zip(tokens, pieces, most)
    ]


# --------------------------------------------------------------------------------- given targets


class ScoredPair(NamedTuple):
    """A pair of lines, and how probable its target is given its source."""

    source: Sentence
    target: Sentence  # of t tokens
    log_probs: list[float]  # (t,) natural log
    alignment: Tensor | None  # (t, S), where it was asked for


def score_targets(
    model: Translator,
    reads: Tokenizer,
    writes: Tokenizer,
    pairs: Iterable[tuple[str, str]],
    batch_size: int = 64,
    align: bool = False,
    buffer: int | None = None,
    max_input_length: int = LONGEST,
) -> Iterator[ScoredPair]:
    """How probable each token of given targets is, `</s>` included, pair by pair, in order.

    Blank lines are read and scored like others. `buffer` lines are read, and long sources cut, as
    by `translate`. Errors: DataError on a literal `<s>` or `</s>` among words, or where a target is
    longer than the model's horizon; ModelError where attention is asked for and there is none.
    """
    first = 0
    for group in grouped(pairs, buffer or ahead(batch_size)):
        lines, wanted = zip(*group)
        sources = [
            cut(one, model.context_length, max_input_length) for one in encoded(reads, lines, first)
        ]
        targets = encoded(writes, wanted, first, "the target")
        first += len(group)
        for target in targets:
            if model.context_length is not None and target.length > model.context_length:
                raise DataError(
                    f"line {target.number + 1}: the target has {target.length} tokens, and the"
                    f" model reads {model.context_length}"
                )
        scored: dict[int, ScoredPair] = {}
        together = batches(
            zip(sources, targets, strict=True), batch_size, lambda pair: max(x.length for x in pair)
        )
        for batch in together:
            for one in score_batch(model, batch, align):
                scored[one.source.number] = one
        yield from (scored[source.number] for source in sources)


@torch.inference_mode()
def score_batch(
    model: Translator, pairs: list[tuple[Sentence, Sentence]], align: bool
) -> list[ScoredPair]:
    state = model.start(*padded([source.tokens for source, _ in pairs], model.device))
    tokens, _ = padded([target.tokens for _, target in pairs], model.device)  # (B, T)
    if align and model.alignment(state) is None:
        raise ModelError("the model has no attention that could tell what it aligns")
    log_probs = forced(model, state, tokens).tolist()
    attention = behind(model, state, tokens) if align else None
    found = []
    for row, (source, target) in enumerate(pairs):
        length = target.length
        seen = None if attention is None else attention[row, :length, : source.length].cpu()
        found.append(ScoredPair(source, target, log_probs[row][:length], seen))
    return found


def forced(model: Translator, state: State, tokens: Tensor) -> Tensor:
    """(B, T) log-probabilities of `tokens` (B, T)."""
    scores, before_last = model.score(state, tokens[:, :-1])  # (B, T - 1)
    last = model.log_probs(before_last).gather(1, tokens[:, -1:])  # (B, 1)
    return torch.cat([scores, last], 1)


def behind(model: Translator, state: State, tokens: Tensor) -> Tensor | None:
    """(B, T, S) attention behind each of `tokens` (B, T), of models that have one."""
    seen = [model.alignment(state)]  # (B, S) each
    for token in tokens[:, :-1].unbind(1):
        state = model.advance(state, token[:, None])
        seen.append(model.alignment(state))
    there = [attention for attention in seen if attention is not None]
    return torch.stack(there, 1) if there else None
