"""The surprisal of a word, whatever the tokens that it is made of.

A word is what ASCII white space separates. Where the tokens are words, its surprisal is that of a
token. Elsewhere a word is several tokens, and its end is an event of its own: a word has ended when
the next token begins with white space, or is `</s>`. In byte-level BPE that white space belongs to
the first token of the next word, as in " hill", so that the tokens of a word alone are as probable
as all the words that begin with them: "hill", "hills", "hillside". The probabilities of words that
are computed so add up to more than 1, and every word pays for the end of the one before it (Oh &
Schuler 2024, Leading Whitespaces of Language Models' Subword Vocabulary Pose a Confound for
Calculating Word Probabilities). The remedy moves the probability of the end to the word that ends
(Pimentel & Meister 2024, How to Compute the Probability of a Word; the authors' program
`wordsprobability` computes the same):

    p(w | x)  =  Π_k p(t_k | x t_<k)  ·  B(x w) / B(x)
    B(x)      =  Σ_{v ∈ E} p(v | x)

    x          the line as far as the end of the word before; B(x) = 1 at the start of the line
    t_1 t_2 …  the tokens of the word w, and of the white space before it
    E          the tokens that begin with white space, and `</s>`

`</s>` is a word as well, whose end is certain: p(</s> | x) = Π p(t_k) / B(x). Along a line each B
but that of the start occurs once above and once below, so that the product over the words and
`</s>` is the probability of the line, and the surprisals add up to its bits. After any x, the
probabilities of all words and of `</s>` add up to 1 or less; what is missing belongs to words that
are spelled out in other tokens than theirs, and to words without an end. The authors also divide
the first word by the probability that a line does not begin with white space, for models of texts
that are cut out of others. A line here begins with what was trained as its beginning, and nothing
is divided, so that the sum stays whole.

Characters obey the same equations, where E is white space and `</s>`. So the three kinds of models
give a probability to the same events, and their words can be compared.

Entropy and rank are those of a word's first piece, its first token that is more than white space,
before it is read: H = -Σ p log2 p over the vocabulary, and 1 + the number of tokens that are more
probable. Where that piece brings the white space along, as " hill" does, p is given that the word
before has ended: p(v | x) / B(x) over E.

Where the last token of a word brings its end along, as "hill " does in other tokenizers, nothing is
moved. A token that holds parts of several words counts for the first of them.

    N tokens of a block · R words of it, `</s>` of each line among them · V vocabulary
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from seqlm.errors import ModelError
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, MixtureScorer
from seqlm.evaluation.perplexity import Tally
from seqlm.evaluation.signature import language_model_signature
from seqlm.evaluation.surprisal import printable
from seqlm.evaluation.words.distributions import DistributionMeasurer, Measures, Questions
from seqlm.text.reading import Block
from seqlm.text.vocabulary import EOS, UNK
from seqlm.text.word_index import IS_SPACE, NEWLINE, TokenSpans, find_tokens


class WordSurprisal(NamedTuple):
    """A row of the table, whose columns are named so."""

    sentence_id: int  # from 1
    word_id: int  # in its sentence, from 1
    word: str  # `</s>` is the end of the line
    surprisal: float  # bits
    entropy: float | None  # bits, of the distribution before the word's first piece
    rank: int | None  # of that piece, from 1
    oov: int  # 1 where a part of the word is outside the vocabulary
    start: int  # in characters of the line
    end: int


def word_surprisals(
    models: LoadedMixture, lines: Iterable[str], entropy: bool = True, batch_size: int = 64
) -> Iterator[WordSurprisal]:
    """The surprisal of every word of the lines, which are one text. Errors: those of WordScorer."""
    scorer = WordScorer(models, entropy, batch_size)
    yield from scorer.score(Block("".join(f"{line}\n" for line in lines).encode(), "the text", 1))


def word_signature(models: LoadedMixture) -> str:
    """The signature of the surprisals of words: that of all figures, and how words are made."""
    if models.tokenizer.kind == "word":
        words = "summed" if models.tokenizer.normalizer.splits_punctuation else "tokens"
    else:
        words = "summed|ends:pimentel-meister-2024"
    return f"{language_model_signature(models)}|words:{words}"


class WordScorer:
    """Scores the words of texts, block by block."""

    def __init__(self, models: LoadedMixture, entropy: bool = True, batch_size: int = 64) -> None:
        """Without `entropy`, entropy and rank are None, and models of words are much faster.

        Errors: ModelError where a model gives scores instead of probabilities; UsageError where a
        network is adapted and its distributions are needed.
        """
        for loaded in models.models:
            if not loaded.model.normalized:
                raise ModelError(
                    f"{loaded.path} gives scores, not probabilities: it has no surprisal of words"
                )
        self.models, self.tokenizer, self.entropy = models, models.tokenizer, entropy
        self.ends_are_moved = self.tokenizer.kind != "word"
        self.ends = np.array([begins_with_space(type_) for type_ in self.tokenizer.types])
        self.ends[EOS] = True
        self.end_with_space = np.array([ends_with_space(type_) for type_ in self.tokenizer.types])
        self.tokens: MixtureScorer | DistributionMeasurer = (
            DistributionMeasurer(models, self.ends, batch_size)
            if entropy or self.ends_are_moved
            else MixtureScorer(models, batch_size)
        )
        self.tally = Tally()
        """Of all that was scored."""
        self.sentence_id = 1
        self.restart()

    def restart(self) -> None:
        """The next block begins a text of its own; its lines are numbered on."""
        self.tokens.restart()
        self.word_id, self.origin = 1, 0
        self.open_word: WordSurprisal | None = None
        """The last word of a block that ends inside a line: what ends it may follow."""
        self.white_space_bits = 0.0
        """Of the white space at the end of such a block, which counts for the next word."""
        self.has_white_space = self.ended_with_space = False

    def score(self, block: Block) -> list[WordSurprisal]:
        """The words that are known to be whole after this block, which comes next in the text."""
        ids = self.tokenizer.encode(block)
        words = find_tokens(block.data)
        layout = self.lay_out(block, ids, words)
        measures = self.measure(ids, layout)
        self.tally.add_text(self.tokenizer, block, ids, layout.spans)
        self.tally.add_scores(ids, measures.log_probs)
        before, bits = self.bits_of_words(layout, measures, len(words.start))
        pieces = np.flatnonzero(layout.first_piece)
        entropy, rank = np.full(len(bits), np.nan), np.zeros(len(bits), np.int64)
        entropy[layout.word[pieces]] = measures.entropy[pieces]
        rank[layout.word[pieces]] = measures.rank[pieces]
        unknown = np.zeros(len(bits), np.bool_)
        unknown[layout.word[(ids == UNK) & layout.in_word]] = True

        whole = []
        if self.open_word is not None:
            self.open_word = self.open_word._replace(surprisal=self.open_word.surprisal + before)
            if len(bits):
                whole, self.open_word = [self.open_word], None
        whole += self.rows(block, words, bits, entropy, rank, unknown)
        if whole and not block.data.endswith(b"\n"):
            self.open_word = whole.pop()
        return whole

    # -- which token belongs to which word

    def lay_out(self, block: Block, ids: np.ndarray, words: TokenSpans) -> Layout:
        spans = self.tokenizer.token_spans(block, ids)
        word = np.searchsorted(words.start + words.length, spans.start, side="right")
        word_before = np.concatenate([[0 if self.has_white_space else -1], word[:-1]])
        is_first = word != word_before
        word_starts = np.append(words.start, len(block.data))
        in_word = spans.start + spans.length > word_starts[word]
        in_word_before = np.concatenate([[False], in_word[:-1]])
        # A word of the line has come before, and its last token does not hold the end as well.
        is_eos = [block.data[start] == NEWLINE for start in words.start.tolist()]
        follows_word = ~np.array([self.open_word is None, *is_eos])[word]
        had_ended = np.concatenate([[self.ended_with_space], self.end_with_space[ids[:-1]]])
        self.ended_with_space = bool(self.end_with_space[ids[-1]]) if len(ids) else False
        can_end = self.ends[ids] | (ids == UNK)
        return Layout(
            spans=spans,
            word=word,
            in_word=in_word,
            first_piece=in_word & (is_first | ~in_word_before),
            after_word=is_first & follows_word & ~had_ended & can_end & self.ends_are_moved,
        )

    def measure(self, ids: np.ndarray, layout: Layout) -> Measures:
        if isinstance(self.tokens, MixtureScorer):
            log_probs, nothing = self.tokens(ids).log_probs, np.zeros(len(ids))
            return Measures(log_probs, nothing, np.full(len(ids), np.nan), nothing)
        wanted = layout.first_piece & self.entropy
        given_ends = wanted & layout.after_word
        return self.tokens(ids, Questions(layout.after_word, wanted & ~given_ends, given_ends))

    def bits_of_words(
        self, layout: Layout, measures: Measures, count: int
    ) -> tuple[float, np.ndarray]:
        """The bits that end the word before the block, and those of its R words."""
        # An end that is impossible is not moved: the line is impossible all the same.
        moved = np.where(layout.after_word & np.isfinite(measures.log_ends), measures.log_ends, 0)
        bits = np.zeros(count + 2)  # of the word before, of R words, of white space at the end
        np.add.at(bits, layout.word + 1, (measures.log_probs - moved) / -math.log(2))
        np.add.at(bits, layout.word, moved / -math.log(2))
        before, of_words, at_end = bits[0], bits[1:-1], bits[-1]
        if count:
            of_words[0] += self.white_space_bits
            self.white_space_bits, self.has_white_space = 0.0, False
        else:
            at_end += self.white_space_bits
        self.white_space_bits = at_end
        self.has_white_space |= bool(np.any(layout.word == count))
        return float(before), of_words

    # -- rows

    def rows(
        self,
        block: Block,
        words: TokenSpans,
        bits: np.ndarray,
        entropy: np.ndarray,
        rank: np.ndarray,
        unknown: np.ndarray,
    ) -> Iterator[WordSurprisal]:
        data = np.frombuffer(block.data, np.uint8)
        # Characters before each byte, and after the last.
        characters = np.concatenate([[0], np.cumsum(data & 0xC0 != 0x80)])
        starts = characters[words.start].tolist()
        ends = characters[words.start + words.length].tolist()
        columns = zip(
            words.start.tolist(), words.length.tolist(), starts, ends,
            bits.tolist(), entropy.tolist(), rank.tolist(), unknown.tolist(),
        )  # fmt: skip
        for at, length, start, end, surprisal, h, r, is_unknown in columns:
            text = block.data[at : at + length]
            is_eos = text == b"\n"
            start_in_line = start - self.origin
            yield WordSurprisal(
                self.sentence_id,
                self.word_id,
                "</s>" if is_eos else show_word(text),
                surprisal + 0.0,
                h if r else None,
                r or None,
                int(is_unknown and not (self.tokenizer.kind == "word" and text == b"<unk>")),
                start_in_line,
                start_in_line if is_eos else end - self.origin,
            )
            self.word_id += 1
            if is_eos:
                self.sentence_id, self.word_id, self.origin = self.sentence_id + 1, 1, end
        self.origin -= int(characters[-1])  # of a line that the block cuts


class Layout(NamedTuple):
    """Where the N tokens of a block stand in its R words."""

    spans: TokenSpans  # of the tokens
    word: np.ndarray  # (N,) the word that the token counts for, R after the last
    in_word: np.ndarray  # (N,) bool, whether the token is more than the white space before the word
    first_piece: np.ndarray  # (N,) bool, the first of these in its word
    after_word: np.ndarray  # (N,) bool, whether the token ends the word before, with B


def begins_with_space(type_: bytes) -> bool:
    return bool(IS_SPACE[type_[0]]) if type_ else False


def ends_with_space(type_: bytes) -> bool:
    return bool(IS_SPACE[type_[-1]]) and len(type_.strip()) > 0 if type_ else False


def show_word(word: bytes) -> str:
    """A word as it can stand in a cell: as it is, unless it has control characters."""
    text = word.decode(errors="replace")
    return printable(word) if any(ord(character) < 32 for character in text) else text
