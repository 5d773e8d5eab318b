"""The distribution of the next token after a history.

    p(w | h)    probability of token w after history h      s(w) = -log2 p(w | h)    its surprisal

    rank(w)        =  1 + the number of tokens that are more probable, so that equals share a rank
    cumulative(w)  =  sum of p over w and the tokens before it, where tokens are sorted by falling
                      p, and among equals by their ids
    entropy        =  sum of p(w | h) s(w) over all w, in bits

Of an n-gram model there is also the order of the n-gram that a token is scored with; and where the
counts are known, c(hw) beside C(h) = sum of c(hw) over all w, with the longest h of which C(h) > 0.
Without smoothing p(w | h) = c(hw) / C(h).

A distribution is an array of numpy here, whatever the arrays of the model: it is one row.

    V vocabulary · K tokens that are asked for
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from seqlm.arguments import check_number
from seqlm.decoding.prompt import encode_prompt, read_ids
from seqlm.errors import DataError, UsageError
from seqlm.models.arrays import as_like, check_numbers, to_numpy, without_gradients
from seqlm.models.tree import arrays_of, select
from seqlm.models.verbs import LanguageVerbs, State
from seqlm.text.detokenize import printable
from seqlm.text.tokenizer import SENTINEL, Tokenizer, check_forward
from seqlm.text.vocabulary import EOS, UNK


@dataclass(frozen=True)
class NextToken:
    """A token that may come next."""

    token: str
    """As a line of a table can hold it; `</s>` is the end of the line."""
    probability: float
    surprisal: float
    """In bits."""
    rank: int | None
    """1 + the number of tokens that are more probable; None of a word of several tokens."""
    cumulative: float | None
    """The probability of this token and of all before it; None of a word of several tokens."""
    oov: int = 0
    """1 of `<unk>`, and of a word with a part outside the vocabulary, scored as `<unk>`; else 0."""
    order: int | None = None
    """The length of the n-gram that it is scored with; None where the model has none."""
    count: int | None = None
    """How often it follows the history; None where the counts are not known."""


class NextTokens(NamedTuple):
    """Tokens that may come next, and what they have in common."""

    tokens: list[NextToken]
    entropy: float | None
    """Of the distribution over all tokens, in bits; None of scores that are no probabilities."""
    history_count: int | None = None
    """How often the history is followed by anything; None where the counts are not known."""


class Counts(Protocol):
    """The counts of a text, such as `counting.history_counts.HistoryCounts`."""

    def after(self, ids: np.ndarray) -> np.ndarray:
        """(V,) c(hw) for every token w; `ids` (N,) are the text that h ends."""


@without_gradients
def next_tokens(
    model: LanguageVerbs,
    tokenizer: Tokenizer,
    history: str,
    k: int = 10,
    words: str | Sequence[str] | None = None,
    counts: Counts | None = None,
) -> NextTokens:
    """The k most probable tokens after `history`, most probable first; or each of `words`, which
    white space separates where they are one text.

    A word of several tokens has the product of their probabilities, which is that of all texts that
    go on with these letters. Errors: UsageError where k is less than 1, there are no words, or the
    model reads backward; DataError on a literal `<s>` or `</s>` among words.
    """
    check_forward(tokenizer, "a history")
    k = check_number("k", k, low=1)
    if words is not None:
        words = check_words(tokenizer, words)
    ids = encode_prompt(tokenizer, history, "the history")
    state = read_ids(model, ids)
    log_probs = to_numpy(check_numbers(model.log_probs(state)))[0].astype(np.float64)  # (V,)
    followers = counts.after(ids) if counts is not None else None  # (V,)
    order = np.argsort(-log_probs, kind="stable")  # (V,) ids by falling probability
    ranking = Ranking(order, log_probs[order])
    if words is None:
        tokens = describe(
            model, state, tokenizer, ranking, np.arange(min(k, len(order))), followers
        )
    else:
        tokens = []
        for word in words:
            pieces = word_ids(tokenizer, history, ids, word)
            if len(pieces) == 1:
                places = np.flatnonzero(order == pieces[0])
                (token,) = describe(model, state, tokenizer, ranking, places, followers)
                tokens.append(replace(token, token=word))
            else:
                scores, _ = model.score(state, as_like(pieces[None], next(arrays_of(state))))
                log_prob = float(to_numpy(scores).sum(dtype=np.float64))
                oov = int((pieces == UNK).any())
                tokens.append(NextToken(word, *both_ways(log_prob), None, None, oov))
    total = int(followers.sum()) if followers is not None else None
    return NextTokens(tokens, entropy(log_probs) if model.normalized else None, total)


class Ranking(NamedTuple):
    """The vocabulary by falling probability, equals by their ids."""

    ids: np.ndarray  # (V,)
    log_probs: np.ndarray  # (V,)


def describe(
    model: LanguageVerbs,
    state: State,
    tokenizer: Tokenizer,
    ranking: Ranking,
    places: np.ndarray,
    followers: np.ndarray | None,
) -> list[NextToken]:
    """The tokens at `places` (K,) of the ranking, given the counts (V,) of all ids."""
    ids, log_probs = (of[places] for of in ranking)  # (K,)
    like = next(arrays_of(state))
    repeated = select(state, as_like(np.zeros_like(ids), like))  # K rows
    orders = model.ngram_length(repeated, as_like(ids[:, None], like))  # (K, 1)
    rank = 1 + np.searchsorted(-ranking.log_probs, -log_probs)  # (K,)
    mass = np.exp(ranking.log_probs).cumsum()[places]  # (K,)
    if model.normalized:
        mass = mass.clip(max=1)  # the sum of float32 probabilities may be a little more
    return [
        NextToken(
            "</s>" if id == EOS else printable(tokenizer.types[id]),
            *both_ways(float(log_probs[row])),
            int(rank[row]),
            float(mass[row]),
            int(id == UNK),
            int(orders[row, 0]) if orders is not None else None,
            int(followers[id]) if followers is not None else None,
        )
        for row, id in enumerate(ids.tolist())
    ]


def check_words(tokenizer: Tokenizer, words: str | Sequence[str]) -> list[str]:
    """The words, which white space separates where they are one text.

    Errors: UsageError where there are none; DataError on one that has no probability.
    """
    chosen = words.split() if isinstance(words, str) else list(words)
    if not chosen:
        raise UsageError("`words` has no words")
    for word in chosen:
        try:
            data = word.encode()
        except UnicodeEncodeError:  # from bytes of the command line that are not UTF-8
            raise DataError(f"`words`: {word!r} is invalid UTF-8") from None
        if tokenizer.kind == "word" and word != "</s>" and (found := SENTINEL.search(data)):
            raise DataError(
                f"`words`: the token {found[0].decode()} is reserved for the boundaries of a line;"
                " </s> alone is the end of the line"
            )
    return chosen


def word_ids(tokenizer: Tokenizer, history: str, ids: np.ndarray, word: str) -> np.ndarray:
    """(K,) the tokens with which `history`, whose tokens are `ids`, goes on to `word`.

    There is a space between the two, unless the history ends in white space or the tokens are
    characters. Errors: DataError where the word changes the tokens of the history.
    """
    if word == "</s>":
        return np.array([EOS])
    space = " " if history and not history[-1].isspace() and tokenizer.kind != "char" else ""
    together = encode_prompt(tokenizer, f"{history}{space}{word}")
    if len(together) <= len(ids) or not np.array_equal(together[: len(ids)], ids):
        raise DataError(
            f"the tokens of {history!r} change where {word!r} follows, so that the word has no"
            " probability of its own"
        )
    return together[len(ids) :]


def both_ways(log_prob: float) -> tuple[float, float]:
    """The probability and the surprisal."""
    return math.exp(log_prob), 0.0 - log_prob / math.log(2)


def entropy(log_probs: np.ndarray) -> float:
    """The entropy, in bits, of the distribution with the natural `log_probs` (V,)."""
    terms = np.exp(log_probs) * log_probs.clip(min=-1e300)  # 0 log 0 = 0
    return 0.0 - float(terms.sum()) / math.log(2)
