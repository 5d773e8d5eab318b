"""Surprisal, token by token: -log2 p, as in psycholinguistics (Hale 2001; Levy 2008).

One row a token, `</s>` among them, so that the column sums to the bits of the text: tokens x
bits-per-token. The rows of a line are in the order in which the model reads it. Offsets count
characters from the start of the line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, MixtureScorer, ScoredBlock
from seqlm.text.detokenize import printable
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, UNK


class TokenSurprisal(NamedTuple):
    """A row of the table, whose columns are named so."""

    sentence_id: int  # from 1
    token_id: int  # in its sentence, from 1
    token: str
    surprisal: float  # bits
    oov: int  # 1 where the token is outside the vocabulary
    start: int
    end: int
    order: int | str  # of the n-gram that was used, '' where the model has none


def line_surprisals(
    models: LoadedMixture, lines: Iterable[str], batch_size: int = 64
) -> Iterator[TokenSurprisal]:
    """The surprisal of every token of the lines, which are one text."""
    text = "".join(f"{line}\n" for line in lines)
    scorer = MixtureScorer(models, batch_size, ngram_lengths=True)
    scored = scorer.score_text([Block(text.encode(), "the text", 1)])
    return token_surprisals(scored, models.tokenizer)


def token_surprisals(
    scored: Iterable[ScoredBlock], tokenizer: Tokenizer
) -> Iterator[TokenSurprisal]:
    """The surprisal of every token of scored blocks."""
    sentence_id, token_id, origin = 1, 1, 0
    for block, ids, spans, scores in scored:
        data = np.frombuffer(block.data, np.uint8)
        # Characters before each byte, and after the last.
        characters = np.concatenate([[0], np.cumsum(data & 0xC0 != 0x80)])
        starts = characters[spans.start].tolist()
        ends = characters[spans.start + spans.length].tolist()
        surprisals = (scores.log_probs / -math.log(2)).tolist()
        orders = (
            scores.ngram_lengths.tolist() if scores.ngram_lengths is not None else [""] * len(ids)
        )
        for n, id in enumerate(ids.tolist()):
            at, length = int(spans.start[n]), int(spans.length[n])
            token = "</s>" if id == EOS else printable(block.data[at : at + length])
            oov = int(id == UNK and token != tokenizer.types[UNK].decode())
            start, end = starts[n] - origin, ends[n] - origin
            if id == EOS:
                end = start
            yield TokenSurprisal(
                sentence_id, token_id, token, surprisals[n], oov, start, end, orders[n]
            )
            token_id += 1
            if id == EOS:
                sentence_id, token_id, origin = sentence_id + 1, 1, ends[n]
        origin -= int(characters[-1])  # of a line that the block cuts
