"""From attention between tokens to links between words.

    i   words of the source, I        s   its tokens, S
    j   words of the target, J        t   its tokens, T

    a_ji  =  mean_{t in j}  sum_{s in i}  a_ts        a word's attention: its tokens', on all of i
    i*(j) =  argmax_i a_ji                            the link of word j

A word is what white space separates, and a token may be a word, a piece of one or a character. The
*piece* of a token is the text it adds to its line, with the white space in front of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS

SPACE = b" \t\r\n\v\f"


# --------------------------------------------------------------------------------------- pieces


def pieces_of_block(tokenizer: Tokenizer, block: Block, ids: np.ndarray) -> list[bytes]:
    """(N,) the piece of each of `ids` (N,), the encoding of `block`; the piece of `</s>` is b''."""
    if tokenizer.kind == "pretrained":  # whose spans may leave out white space
        return pieces_of_ids(tokenizer, ids.tolist())
    start, length = tokenizer.token_spans(block, ids)
    ends = start + length
    texts = [block.data[a:b] for a, b in zip(start.tolist(), ends.tolist())]
    # A word that normalization has split is still one word of the line.
    is_apart = np.append(False, start[1:] > ends[:-1]).tolist()
    return add_spaces(tokenizer, ids.tolist(), texts, is_apart)


def pieces_of_ids(tokenizer: Tokenizer, ids: Sequence[int]) -> list[bytes]:
    """The piece of each of `ids` as a generated line has it; the piece of `</s>` is b''."""
    return add_spaces(tokenizer, ids, [tokenizer.types[id] for id in ids], [True] * len(ids))


def add_spaces(
    tokenizer: Tokenizer, ids: Sequence[int], texts: list[bytes], is_apart: list[bool]
) -> list[bytes]:
    """Pieces from the texts of tokens: a word that is apart from the one before has a space, unless
    it is the first of its line."""
    previous = [EOS, *ids[:-1]]
    words = tokenizer.kind == "word"
    spaces = [
        b" " if words and apart and id != EOS else b"" for apart, id in zip(is_apart, previous)
    ]
    return [b"" if id == EOS else space + text for id, space, text in zip(ids, spaces, texts)]


# ---------------------------------------------------------------------------------------- words


def word_numbers(pieces: Sequence[bytes]) -> list[int]:
    """The number of the word that each piece belongs to, from 0; -1 for a piece of white space."""
    numbers, words, inside = [], -1, False
    for piece in pieces:
        number = -1
        for byte in piece:
            words += byte not in SPACE and not inside
            inside = byte not in SPACE
            number = words if inside else number
        numbers.append(number)
    return numbers


def align_words(
    attention: Tensor, source: Sequence[bytes], target: Sequence[bytes]
) -> list[tuple[int, int]]:
    """(i*(j), j) of every word j, given `attention` (T, S) between the pieces of both sides.

    Among equals the first word is taken. A source without words has no links.
    """
    source_words = membership(word_numbers(source))  # (I, S)
    target_words = membership(word_numbers(target))  # (J, T)
    if not len(source_words) or not len(target_words):
        return []
    # (J, I), as a sum over t: it has the argmax of the mean.
    between_words = target_words @ attention.double().cpu() @ source_words.T
    return [(i, j) for j, i in enumerate(between_words.argmax(1).tolist())]


def membership(words: list[int]) -> Tensor:
    """(W, N) float64 from the word numbers of N tokens: 1 where token n belongs to word w."""
    number = torch.arange(max(words, default=-1) + 1)[:, None]
    return (torch.tensor(words, dtype=torch.long) == number).double()
