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
moved (`word_layout.py`).

    N tokens of a block · R words of it, `</s>` of each line among them
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
from seqlm.evaluation.words.distributions import DistributionMeasurer, Measures, Questions
from seqlm.evaluation.words.word_layout import WordFinder, WordLayout
from seqlm.text.detokenize import printable
from seqlm.text.reading import Block
from seqlm.text.tokenizer import check_forward
from seqlm.text.vocabulary import UNK


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

        Errors: ModelError where a model gives scores instead of probabilities; UsageError where it
        reads lines backward, or a network is adapted and its distributions are needed.
        """
        check_forward(models.tokenizer, "`per_word`")
        for loaded in models.models:
            if not loaded.model.normalized:
                raise ModelError(
                    f"{loaded.path} gives scores, not probabilities: it has no surprisal of words"
                )
        self.models, self.tokenizer, self.entropy = models, models.tokenizer, entropy
        self.lay_out = WordFinder(self.tokenizer)
        self.moves_ends = self.tokenizer.kind != "word"
        self.token_scorer: MixtureScorer | DistributionMeasurer = (
            DistributionMeasurer(models, self.lay_out.ends, batch_size)
            if entropy or self.moves_ends
            else MixtureScorer(models, batch_size)
        )
        self.tally = Tally()
        """Of all that was scored."""
        self.sentence_id = 1
        self.restart()

    def restart(self) -> None:
        """The next block begins a text of its own; its lines are numbered on."""
        self.token_scorer.restart()
        self.lay_out.restart()
        self.word_id, self.origin = 1, 0
        self.open_word: WordSurprisal | None = None
        """The last word of a block that ends inside a line: its end may be in the next block."""
        self.white_space_bits = 0.0
        """Of the white space after it, which counts for the next word."""

    def score(self, block: Block) -> list[WordSurprisal]:
        """The words that are known to be whole after this block, which comes next in the text."""
        ids = self.tokenizer.encode(block)
        layout = self.lay_out(block, ids)
        if not self.moves_ends:
            layout = layout._replace(ends_word_before=np.zeros(len(ids), np.bool_))
        measures = self.measure(ids, layout)
        self.tally.add_text(self.tokenizer, block, ids, layout.tokens)
        self.tally.add_scores(ids, measures.log_probs)
        bits_before, bits = self.sum_bits(layout, measures)
        rows = list(self.rows(block, ids, layout, measures, bits))
        if self.open_word is not None:
            surprisal = self.open_word.surprisal + bits_before
            rows.insert(0, self.open_word._replace(surprisal=surprisal))
        ends_line = block.data.endswith(b"\n")
        self.open_word = None if ends_line or not rows else rows.pop()
        return rows

    def measure(self, ids: np.ndarray, layout: WordLayout) -> Measures:
        """What is asked about the tokens `ids` (N,) of a block."""
        if isinstance(self.token_scorer, MixtureScorer):
            nothing = np.zeros(len(ids))
            return Measures(self.token_scorer(ids).log_probs, nothing, nothing, nothing)
        asked = layout.is_first_piece & self.entropy
        given_ends = asked & layout.ends_word_before
        return self.token_scorer(
            ids, Questions(layout.ends_word_before, asked & ~given_ends, given_ends)
        )

    def sum_bits(self, layout: WordLayout, measures: Measures) -> tuple[float, np.ndarray]:
        """The bits that end the word before the block, and those of its words (R,)."""
        count = len(layout.words.start)
        # An end that is impossible is not moved: the line is impossible all the same.
        moved = np.where(layout.ends_word_before, measures.log_ends, 0)
        moved = np.where(np.isfinite(moved), moved, 0)
        log_probs = np.zeros(count + 2)  # of the word before, of R words, of white space at the end
        np.add.at(log_probs, layout.word_of + 1, measures.log_probs - moved)
        np.add.at(log_probs, layout.word_of, moved)
        bits = log_probs / -math.log(2) + 0.0  # no -0
        bits[1] += self.white_space_bits  # where there are no words, it is that at the end
        self.white_space_bits = float(bits[-1])
        return float(bits[0]), bits[1:-1]

    def rows(
        self,
        block: Block,
        ids: np.ndarray,
        layout: WordLayout,
        measures: Measures,
        bits: np.ndarray,
    ) -> Iterator[WordSurprisal]:
        words = layout.words
        entropy, rank = np.zeros(len(bits)), np.zeros(len(bits), np.int64)
        pieces = np.flatnonzero(layout.is_first_piece)
        entropy[layout.word_of[pieces]] = measures.entropy[pieces]
        rank[layout.word_of[pieces]] = measures.rank[pieces]
        oov = np.zeros(len(bits), np.int64)
        oov[layout.word_of[(ids == UNK) & layout.in_word]] = 1
        data = np.frombuffer(block.data, np.uint8)
        # Characters before each byte, and after the last.
        characters = np.concatenate([[0], np.cumsum(data & 0xC0 != 0x80)])
        starts, ends = characters[words.start], characters[words.start + words.length]
        columns = (words.start, words.length, starts, ends, bits, entropy, rank, oov)
        for at, length, start, end, *measured in zip(*(column.tolist() for column in columns)):
            text = block.data[at : at + length]
            is_eos = text == b"\n"
            surprisal, h, r, unknown = measured
            yield WordSurprisal(
                self.sentence_id,
                self.word_id,
                "</s>" if is_eos else show_word(text),
                surprisal,
                h if r else None,
                r or None,
                0 if self.tokenizer.kind == "word" and text == b"<unk>" else unknown,
                start - self.origin,
                (start if is_eos else end) - self.origin,
            )
            self.word_id += 1
            if is_eos:
                self.sentence_id, self.word_id, self.origin = self.sentence_id + 1, 1, end
        self.origin -= int(characters[-1])  # of a line that the block cuts


def show_word(word: bytes) -> str:
    """A word as it can stand in a cell: as it is, unless it has control characters."""
    text = word.decode(errors="replace")
    return printable(word) if any(ord(character) < 32 for character in text) else text
