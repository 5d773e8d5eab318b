"""Perplexity and its kin, reported so that they can be compared.

    N tokens, `</s>` of every line among them · l_i = ln p(token i | what its context allows)

    cross-entropy    H = -1/N sum l_i                 nats a token
    bits-per-token   H / ln 2
    ppl              exp H                            OOVs are scored as `<unk>` and counted
    ppl-excluding    exp H over the tokens not scored as `<unk>`, which stay as context
    bits-per-byte    (-sum l_i / ln 2 + spelling) / bytes,   bits-per-char likewise

A token outside the vocabulary has only been told as "unknown", so a rate per byte or character
adds the bits that would spell it out: 8 for each byte of it, and 8 more to end a word. Bytes and
characters are those of the text as the model can give it back: lines with their newlines for
characters and BPE, tokens joined by one space for words. Sums are in float64.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from seqlm import __version__
from seqlm.errors import DataError, UsageError, did_you_mean
from seqlm.evaluation import exposure
from seqlm.evaluation.mixture_scoring import Mix, MixScorer
from seqlm.evaluation.scoring import Scores
from seqlm.evaluation.tuning import not_held_out
from seqlm.text.reading import Block, read_blocks
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, UNK
from seqlm.text.word_index import TokenSpans
from seqlm.threads import prefetch_map


@dataclass
class Tally:
    """Sums over a text, from which every figure follows."""

    tokens: int = 0
    lines: int = 0
    unknown: int = 0
    """Tokens scored as `<unk>`: literal ones, and those outside the vocabulary."""
    literal_unk: int = 0
    spelling: float = 0.0
    """Bits that would spell out the tokens outside the vocabulary."""
    bytes: int = 0
    characters: int = 0
    log_prob: float = 0.0
    known_log_prob: float = 0.0
    """Of the tokens not scored as `<unk>`."""

    def add_text(
        self, tokenizer: Tokenizer, block: Block, ids: np.ndarray, spans: TokenSpans
    ) -> None:
        """Counts what a block tells without a model. `ids` (N,) and `spans` are its encoding."""
        data = np.frombuffer(block.data, np.uint8)
        ends = ids == EOS
        unknown = np.flatnonzero(ids == UNK)
        lengths = spans.length[unknown]
        if tokenizer.kind == "word":
            literal = sum(
                block.data[start : start + 5] == b"<unk>"
                for start in spans.start[unknown[lengths == 5]].tolist()
            )
            self.literal_unk += literal
            self.spelling += 8.0 * float((lengths + 1).sum() - 6 * literal)
            # A line of k words takes k - 1 spaces and a newline; an empty one its newline.
            empty = ends & np.concatenate([[True], ends[:-1]])
            joints = int(np.count_nonzero(~ends) + np.count_nonzero(empty))
            spelled = int(spans.length[~ends].sum())
            continuing = int(np.count_nonzero(data & 0xC0 == 0x80))  # never white space
            self.bytes += spelled + joints
            self.characters += spelled - continuing + joints
        else:
            self.spelling += 8.0 * float(lengths.sum())
            self.bytes += len(data)
            self.characters += int(np.count_nonzero(data & 0xC0 != 0x80))
        self.tokens += len(ids)
        self.lines += int(np.count_nonzero(ends))
        self.unknown += len(unknown)

    def add_scores(self, ids: np.ndarray, log_probs: np.ndarray) -> None:
        """`log_probs` (N,) of `ids` (N,), natural."""
        self.log_prob += float(log_probs.sum())
        self.known_log_prob += float(log_probs[ids != UNK].sum())

    @property
    def oov(self) -> int:
        return self.unknown - self.literal_unk

    @property
    def bits(self) -> float:
        return -self.log_prob / math.log(2) + self.spelling


METRICS = {
    "ppl": lambda t: exp(-t.log_prob / t.tokens),
    "ppl-excluding": lambda t: exp(-t.known_log_prob / max(1, t.tokens - t.unknown)),
    "cross-entropy": lambda t: -t.log_prob / t.tokens,
    "bits-per-token": lambda t: -t.log_prob / math.log(2) / t.tokens,
    "bits-per-char": lambda t: t.bits / t.characters,
    "bits-per-byte": lambda t: t.bits / t.bytes,
}
"""Figures of a Tally by the names `--metric` takes."""


def exp(nats: float) -> float:
    return math.exp(nats) if nats < 700 else math.inf


def check_metrics(
    names: Sequence[str], every: Sequence[str] = (*METRICS, *exposure.FIGURES)
) -> list[str]:
    """Names split at commas, of `every` there is. Errors: UsageError with the nearest name."""
    wanted = [name.strip() for given in names for name in given.split(",") if name.strip()]
    for name in wanted:
        if name not in every:
            raise UsageError(f"no metric {name!r}{did_you_mean(name, every)}")
    if not wanted:
        raise UsageError(f"no metric named; there are {', '.join(every)}")
    return list(dict.fromkeys(wanted))


# ------------------------------------------------------------------------------------ over a text


class Scored(NamedTuple):
    """A block of text, encoded and scored."""

    block: Block
    ids: np.ndarray  # (N,)
    spans: TokenSpans
    scores: Scores


def evaluate(
    mix: Mix,
    sources: Sequence[str],
    tally: Tally,
    batch_size: int = 64,
    errors: str = "strict",
    orders: bool = False,
    held_out: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Scored]:
    """Scores `sources`, each a text of its own, block by block, and adds them up in `tally`.

    `orders` asks for the n-gram order each token was scored with, where there is one model that has
    it. `held_out` maps the SHA-256 of each text that constants come from to the flag that named it.

    Errors: DataError where there is no token; UsageError where a source is the held-out text.
    """
    tokenizer, scorer = mix.tokenizer, MixScorer(mix, batch_size, orders)

    def encoded(block: Block) -> tuple[np.ndarray, TokenSpans]:
        ids = tokenizer.encode(block)
        return ids, tokenizer.token_spans(block, ids)

    for source in sources:
        scorer.restart()
        digest = hashlib.sha256()
        for block, (ids, spans) in prefetch_map(encoded, read_blocks([source], errors)):
            if held_out:
                digest.update(block.data)
            scores = scorer(ids)
            tally.add_text(tokenizer, block, ids, spans)
            tally.add_scores(ids, scores.log_probs)
            yield Scored(block, ids, spans, scores)
        if digest.hexdigest() in held_out:
            raise not_held_out(source, held_out[digest.hexdigest()])
    if tally.tokens == tally.lines:
        raise DataError(f"no text to evaluate in {', '.join(sources)}: nothing but empty lines")


def signature(mix: Mix) -> str:
    """What a figure depends on besides the text: only figures with equal signatures compare."""
    tokenizer = mix.tokenizer
    text = {
        "unit": tokenizer.kind,
        "vocab": f"{len(tokenizer)}.{tokenizer.digest}",
        "oov": "as-unk",
    }
    rules = {"eos": "scored", "mode": "adaptive" if mix.is_adaptive else "static"}
    constants = mix.adaptation.settled()
    if constants.values():
        rules |= {"constants": constants.digest()}
    if len(mix.models) == 1:
        [one] = mix.models
        text |= {"context": mix.contexts[0]}
        which = {"arch": one.config.arch, "weights": one.weights_digest}
    else:
        which = {"mix": components(mix)}
    parts = text | rules | which | {"seqlm": __version__}
    return "|".join(f"{name}:{value}" for name, value in parts.items())


def components(mix: Mix) -> str:
    """'0.9*ngram.sentence.5210e78007d6+0.1*cache.carried.500,0.008'."""
    return "+".join(
        f"{weight:.6g}*{one.config.arch}.{context}.{one.weights_digest}"
        for one, context, weight in zip(mix.models, mix.contexts, mix.weights)
    )
