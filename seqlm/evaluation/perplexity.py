"""Perplexity and its kin, reported so that they can be compared.

    N tokens, `</s>` of every line among them · l_i = ln p(token i | the context it has)

    cross-entropy    H = -1/N sum l_i                 nats a token
    bits-per-token   H / ln 2
    ppl              exp H                            OOVs are scored as `<unk>` and counted
    ppl-excluding    exp H over the tokens not scored as `<unk>`, which stay as context
    bits-per-byte    (-sum l_i / ln 2 + spelling) / bytes,   bits-per-char likewise

The probability of a token outside the vocabulary is that of "unknown", so a rate per byte or
character adds the bits that would spell it out: 8 for each byte of it, and 8 more to end a word.
Bytes and characters are those of the text as the model can give it back: in normal form where the
tokenizer normalizes it, lines with their newlines for characters and BPE, and tokens joined by one
space for words. Sums are in float64.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import numpy as np

from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED, UNK
from seqlm.text.word_index import TokenSpans

WordCounts = Counter[bytes]
REMEMBERED_WORDS = 1000


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
    """The log-probability of the tokens not scored as `<unk>`."""
    unknown_words: WordCounts = field(default_factory=Counter)
    """The first REMEMBERED_WORDS words out of vocabulary."""

    def add_text(
        self, tokenizer: Tokenizer, block: Block, ids: np.ndarray, spans: TokenSpans
    ) -> None:
        """Adds the counts of a block, which depend on no model; `ids` (N,) and `spans` are its
        encoding."""
        if tokenizer.normalizer:
            block = tokenizer.normalize(block)
            spans = tokenizer.normalized_spans(block, ids)
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
            self.remember_unknown(block, spans, unknown)
            self.spelling += 8.0 * float((lengths + 1).sum() - 6 * literal)
            # A line of k words has k - 1 spaces and a newline; an empty line has its newline.
            empty = ends & np.concatenate([[True], ends[:-1]])
            separators = int(np.count_nonzero(~ends) + np.count_nonzero(empty))
            word_bytes = int(spans.length[~ends].sum())
            continuing = int(np.count_nonzero(data & 0xC0 == 0x80))  # never white space
            self.bytes += word_bytes + separators
            self.characters += word_bytes - continuing + separators
        else:
            self.spelling += 8.0 * float(lengths.sum())
            self.bytes += len(data)
            self.characters += int(np.count_nonzero(data & 0xC0 != 0x80))
        self.tokens += len(ids)
        self.lines += int(np.count_nonzero(ends))
        self.unknown += len(unknown)

    def add_encoded(self, tokenizer: Tokenizer, block: Block, ids: np.ndarray) -> None:
        """As `add_text`."""
        self.add_text(tokenizer, block, ids, tokenizer.token_spans(block, ids))

    def remember_unknown(self, block: Block, spans: TokenSpans, unknown: np.ndarray) -> None:
        """Notes the first words that are out of vocabulary, among the tokens `unknown`."""
        room = REMEMBERED_WORDS - self.unknown_words.total()
        for n in unknown[: max(0, room)].tolist():
            start = int(spans.start[n])
            word = block.data[start : start + int(spans.length[n])]
            if word != RESERVED[UNK]:
                self.unknown_words[word] += 1

    def add(self, other: Tally) -> None:
        """Adds the sums over another text."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def add_scores(self, ids: np.ndarray, log_probs: np.ndarray) -> None:
        """Adds `log_probs` (N,) of `ids` (N,), natural."""
        self.log_prob += float(log_probs.sum())
        self.known_log_prob += float(log_probs[ids != UNK].sum())

    @property
    def oov(self) -> int:
        """Tokens outside the vocabulary."""
        return self.unknown - self.literal_unk

    @property
    def bits(self) -> float:
        """The bits of the text, spelling included."""
        return -self.log_prob / math.log(2) + self.spelling


def tally_text(tokenizer: Tokenizer, blocks: Iterable[Block]) -> tuple[Tally, np.ndarray]:
    """The tally of a text without scores, and its ids (N,)."""
    tally, parts = Tally(), [np.empty(0, np.int32)]
    for block in blocks:
        ids = tokenizer.encode(block)
        tally.add_encoded(tokenizer, block, ids)
        parts.append(ids)
    return tally, np.concatenate(parts)


# -------------------------------------------------------------------------------------- figures


def perplexity(tally: Tally) -> float:
    """exp H: the exponential of the cross-entropy."""
    return exp(-tally.log_prob / tally.tokens)


def perplexity_excluding_unknown(tally: Tally) -> float:
    """exp H of the tokens that are not scored as `<unk>`."""
    return exp(-tally.known_log_prob / max(1, tally.tokens - tally.unknown))


def cross_entropy(tally: Tally) -> float:
    """H, in nats a token."""
    return -tally.log_prob / tally.tokens


def bits_per_token(tally: Tally) -> float:
    """H / ln 2, the mean surprisal."""
    return -tally.log_prob / math.log(2) / tally.tokens


def bits_per_character(tally: Tally) -> float:
    """The bits of the text, spelling included, for each character."""
    return tally.bits / tally.characters


def bits_per_byte(tally: Tally) -> float:
    """The bits of the text, spelling included, for each byte."""
    return tally.bits / tally.bytes


def exp(nats: float) -> float:
    """e^nats, infinite where a float cannot hold it."""
    return math.exp(nats) if nats < 700 else math.inf
