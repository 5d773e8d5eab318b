"""From attention between tokens to links between words.

    i   words of the source, I        s   its tokens, S
    j   words of the target, J        t   its tokens, T

    a_ji  =  mean_{t in j}  sum_{s in i}  a_ts        a word's attention: its tokens', on all of i
    i*(j) =  argmax_i a_ji                            the link of word j

A word is what white space separates, and a token may be a word, a piece of one or a character; its
*piece* is the text it adds, the white space in front of it too.
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


def read_pieces(tokenizer: Tokenizer, block: Block, ids: np.ndarray) -> list[bytes]:
    """(N,) the text behind each of `ids`, the encoding of `block`; of `</s>` it is nothing."""
    start, length = tokenizer.token_spans(block, ids)
    ends = start + length
    found = [block.data[a:b] for a, b in zip(start.tolist(), ends.tolist())]
    return spaced(tokenizer, ids.tolist(), found)


def written_pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[bytes]:
    """The text that each of `ids` adds to a line; of `</s>` it is nothing."""
    return spaced(tokenizer, ids, [tokenizer.types[id] for id in ids])


def spaced(tokenizer: Tokenizer, ids: Sequence[int], found: list[bytes]) -> list[bytes]:
    """Words with the space in front of them, where they are not the first of their line."""
    before = [EOS, *ids[:-1]]
    space = [b" " if tokenizer.kind == "word" and id != EOS else b"" for id in before]
    return [b"" if id == EOS else gap + piece for id, gap, piece in zip(ids, space, found)]


def words_of(pieces: Sequence[bytes]) -> list[int]:
    """The number of the word each piece belongs to, from 0; -1 where it is of none."""
    numbers, words, inside = [], -1, False
    for piece in pieces:
        number = -1
        for byte in piece:
            words += byte not in SPACE and not inside
            inside = byte not in SPACE
            number = words if inside else number
        numbers.append(number)
    return numbers


def links(
    attention: Tensor, source: Sequence[bytes], target: Sequence[bytes]
) -> list[tuple[int, int]]:
    """(i*(j), j) of every word j, given `attention` (T, S) between the pieces.

    Among equals the first word; none where the source has no words.
    """
    into, behind = members(words_of(source)), members(words_of(target))  # (I, S), (J, T)
    if not len(into) or not len(behind):
        return []
    among = behind @ attention.double().cpu() @ into.T  # (J, I); a sum over t has the same argmax
    return [(i, j) for j, i in enumerate(among.argmax(1).tolist())]


def members(words: list[int]) -> Tensor:
    """(W, N) float64: 1 where token n belongs to word w."""
    number = torch.arange(max(words, default=-1) + 1)[:, None]
    return (torch.tensor(words, dtype=torch.long) == number).double()
