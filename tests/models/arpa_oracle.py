"""ARPA the slow way: a dictionary of n-grams, looked up word by word."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, UNK

Grams = dict[tuple[bytes, ...], tuple[float, float]]  # log10 p and backoff


def read_slowly(text: bytes) -> Grams:
    grams: Grams = {}
    k = 0
    head = re.search(rb"^\\data\\\s*$", text, re.MULTILINE)
    assert head is not None
    for line in text[head.end() :].split(b"\n"):
        fields = line.split()
        if line.startswith(b"\\"):
            k = int(line[1:].split(b"-")[0]) if b"-grams:" in line else 0
        elif fields and k:
            backoff = float(fields[k + 1]) if len(fields) > k + 1 else 0.0
            grams[tuple(fields[1 : k + 1])] = float(fields[0]), backoff
    return grams


def write_slowly(grams: Grams) -> bytes:
    order = max(map(len, grams))
    sections = [[gram for gram in grams if len(gram) == k] for k in range(1, order + 1)]
    text = "\\data\\\n"
    text += "".join(f"ngram {k}={len(section)}\n" for k, section in enumerate(sections, 1))
    for k, section in enumerate(sections, 1):
        text += f"\n\\{k}-grams:\n"
        for gram in section:
            prob, backoff = grams[gram]
            words = b" ".join(gram).decode()
            text += f"{prob}\t{words}\t{backoff}\n" if k < order else f"{prob}\t{words}\n"
    return (text + "\n\\end\\\n").encode()


def score_slowly(grams: Grams, history: tuple[bytes, ...], word: bytes) -> tuple[float, int]:
    """log10 p(word | history), and the order of the n-gram it comes from."""
    if (*history, word) in grams:
        prob = grams[*history, word][0]
        return (prob if prob > -99 else float("-inf")), len(history) + 1
    if not history:
        return float("-inf"), 1
    passed_on, order = score_slowly(grams, history[1:], word)
    backoff = grams.get(history, (0.0, 0.0))[1]
    return (backoff if backoff > -99 else float("-inf")) + passed_on, order


def score_line_slowly(
    grams: Grams, words: Sequence[bytes], order: int
) -> tuple[list[float], list[int]]:
    """log10 p and matched order of `words` and `</s>`."""
    seen = (b"<s>",)
    scores, orders = [], []
    for word in [*words, b"</s>"]:
        known = word if (word,) in grams or word == b"</s>" else b"<unk>"
        score, matched = score_slowly(grams, seen[max(0, len(seen) - order + 1) :], known)
        scores.append(score)
        orders.append(matched)
        seen += (known,)
    return scores, orders


def score_line(
    model: NGramModel, tokenizer: Tokenizer, words: Sequence[bytes]
) -> tuple[list[float], list[int]]:
    """The same of a model."""
    ids = np.array([[*(tokenizer.id_of_type.get(word, UNK) for word in words), EOS]])
    scores = model.score(model.start(1), ids)[0][0].astype(np.float64) / np.log(10)
    return scores.tolist(), model.ngram_length(model.start(1), ids)[0].tolist()
