"""Scores line by line: the log-probability of each line, `</s>` included, and what it counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from seqlm.evaluation.mixtures.mixture_scoring import ScoredBlock
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED, UNK


class LineScore(NamedTuple):
    """A row of the table, whose columns are named so."""

    sentence_id: int  # from 1
    log_prob: float  # natural
    tokens: int  # `</s>` among them
    oov: int  # tokens outside the vocabulary


def line_scores(scored: Iterable[ScoredBlock], tokenizer: Tokenizer) -> Iterator[LineScore]:
    """The score of each line of scored blocks, which may cut a long line."""
    sentence_id, log_prob, tokens, oov = 1, 0.0, 0, 0
    for block in scored:
        unknown = is_out_of_vocabulary(block, tokenizer)  # (N,)
        ends = [*(np.flatnonzero(block.ids == EOS) + 1).tolist(), len(block.ids)]
        start = 0
        for end in ends:
            log_prob += float(block.scores.log_probs[start:end].sum())
            tokens += end - start
            oov += int(np.count_nonzero(unknown[start:end]))
            if end > start and block.ids[end - 1] == EOS:
                yield LineScore(sentence_id, log_prob, tokens, oov)
                sentence_id, log_prob, tokens, oov = sentence_id + 1, 0.0, 0, 0
            start = end


def is_out_of_vocabulary(block: ScoredBlock, tokenizer: Tokenizer) -> np.ndarray:
    """(N,) bool: tokens that are scored as `<unk>`, but for a literal one among words."""
    unknown: np.ndarray = block.ids == UNK
    if tokenizer.kind == "word":
        for at in np.flatnonzero(unknown).tolist():
            start, length = int(block.spans.start[at]), int(block.spans.length[at])
            unknown[at] = block.block.data[start : start + length] != RESERVED[UNK]
    return unknown
