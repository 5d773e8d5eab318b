"""Which word each token of a text counts for, and which token ends the word before it.

White space before a word counts for that word, and white space at the end of a line for `</s>`. A
token that holds parts of several words counts for the first of them.

A token *ends the word before* if it is the first that counts for its word, begins with white space
or is `</s>`, and follows a word of the same line. Where the last token of that word holds white
space as well, as "hill " does in some tokenizers, the word has ended before. An unknown token there
is white space that the vocabulary lacks.

    N tokens of a block · R words of it, `</s>` of each line among them · V vocabulary
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, UNK
from seqlm.text.word_index import IS_SPACE, NEWLINE, TokenSpans, find_tokens


class WordLayout(NamedTuple):
    """Where the tokens of a block stand in its words."""

    words: TokenSpans  # the bytes of each word, R; those of `</s>` are a newline
    tokens: TokenSpans  # the bytes of each token, N
    word_of: np.ndarray  # (N,) the word that the token counts for, R after the last
    in_word: np.ndarray  # (N,) bool, whether it is more than the white space before the word
    is_first_piece: np.ndarray  # (N,) bool, whether it is the first of these in its word
    ends_word_before: np.ndarray  # (N,) bool


class Edge(NamedTuple):
    """What a block that ends inside a line leaves to the next block."""

    follows_word: bool = False
    """Whether a word of the line has come before."""
    in_white_space: bool = False
    """Whether tokens of white space after it have come before."""
    had_ended: bool = False
    """Whether the last token holds the white space after its word."""


class WordFinder:
    """Lays out the blocks of texts, one after the other."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.ends = np.array([begins_with_space(type_) for type_ in tokenizer.types], np.bool_)
        """(V,) E, the tokens that end the word before."""
        self.ends[EOS] = True
        self.holds_end = np.array([holds_end(type_) for type_ in tokenizer.types], np.bool_)
        """(V,) the tokens that hold the end of their own word."""
        self.restart()

    def restart(self) -> None:
        """The next block begins a text of its own."""
        self.edge = Edge()

    def __call__(self, block: Block, ids: np.ndarray) -> WordLayout:
        """The layout of the next block of a text, whose tokens are `ids` (N,)."""
        words, tokens = find_tokens(block.data), self.tokenizer.token_spans(block, ids)
        count, data = len(words.start), np.frombuffer(block.data, np.uint8)
        word_of = np.searchsorted(words.start + words.length, tokens.start, side="right")
        is_first = word_of != shifted(word_of, 0 if self.edge.in_white_space else -1)
        starts = np.append(words.start, len(data))[word_of]  # (N,) of the word of each token
        in_word = tokens.start + tokens.length > starts
        is_word = np.concatenate([[self.edge.follows_word], data[words.start] != NEWLINE])
        had_ended = shifted(self.holds_end[ids], self.edge.had_ended)
        can_end = self.ends[ids] | (ids == UNK)
        layout = WordLayout(
            words=words,
            tokens=tokens,
            word_of=word_of,
            in_word=in_word,
            is_first_piece=in_word & (is_first | ~shifted(in_word, False)),
            ends_word_before=is_first & is_word[word_of] & ~had_ended & can_end,
        )
        self.edge = Edge(
            follows_word=bool(is_word[-1]),
            in_white_space=bool((word_of == count).any())
            or (count == 0 and self.edge.in_white_space),
            had_ended=bool(len(ids) and self.holds_end[ids[-1]]),
        )
        return layout


def shifted(values: np.ndarray, first: int | bool) -> np.ndarray:
    """(N,) the value before each of `values`, which is `first` before the first."""
    return np.concatenate([[first], values[:-1]]).astype(values.dtype)[: len(values)]


def begins_with_space(type_: bytes) -> bool:
    return bool(type_) and bool(IS_SPACE[type_[0]])


def holds_end(type_: bytes) -> bool:
    """Whether white space follows a part of a word in `type_`."""
    return bool(type_.strip()) and bool(IS_SPACE[type_[-1]])
