"""Surprisal, token by token: -log2 p, as psycholinguistics takes it (Hale 2001; Levy 2008).

One row a token, `</s>` among them, so that the column sums to the text's bits: tokens x
bits-per-token. Offsets count characters from the start of the line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from seqlm.evaluation.perplexity import Scored
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, UNK

COLUMNS = ("sentence_id", "token_id", "token", "surprisal", "oov", "start", "end", "order")


def rows(scored: Iterable[Scored], tokenizer: Tokenizer) -> Iterator[tuple[object, ...]]:
    """The values of COLUMNS for every token; ids count from 1, `order` is '' where unknown."""
    sentence, token, origin = 1, 1, 0
    for block, ids, spans, scores in scored:
        data = np.frombuffer(block.data, np.uint8)
        # Characters before each byte, and after the last.
        characters = np.concatenate([[0], np.cumsum(data & 0xC0 != 0x80)])
        starts = characters[spans.start].tolist()
        ends = characters[spans.start + spans.length].tolist()
        surprisals = (scores.log_probs / -math.log(2)).tolist()
        orders = scores.matched.tolist() if scores.matched is not None else [""] * len(ids)
        for n, id in enumerate(ids.tolist()):
            at, length = int(spans.start[n]), int(spans.length[n])
            text = "</s>" if id == EOS else printable(block.data[at : at + length])
            oov = int(id == UNK and text != tokenizer.types[UNK].decode())
            start, end = starts[n] - origin, ends[n] - origin
            if id == EOS:
                end = start
            yield sentence, token, text, surprisals[n], oov, start, end, orders[n]
            token += 1
            if id == EOS:
                sentence, token, origin = sentence + 1, 1, ends[n]
        origin -= int(characters[-1])  # of a line that the block cuts


def printable(token: bytes) -> str:
    """A token as it can stand in a cell: tabs and the like escaped, half characters as bytes."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in token)
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
