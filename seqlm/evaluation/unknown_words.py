"""Why many words of a text are unknown to a model: the likely reason, and what to do about it.

A word that is not in the vocabulary may be there in small letters, without the punctuation attached
to it, or with its accents composed. Each of these steps of normalization is tried on the unknown
words; the fewest steps that make almost as many of them known as any are the reason. If none does,
the vocabulary itself may have words with punctuation attached, which a tokenized text has not.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

from seqlm.evaluation.perplexity import Tally
from seqlm.text.normalization import Normalizer, Step
from seqlm.text.tokenizer import Tokenizer

MANY = 0.05
"""Share of the tokens out of vocabulary from which on it is said."""
SHARE_WITHOUT_REASON, NUMBER_WITHOUT_REASON = 0.2, 20
"""Share and number of them from which on it is said without a reason, too: some words are rare."""

REMEDIES: dict[tuple[Step, ...], str] = {
    ("lower",): "in small letters",
    ("punct",): "without punctuation attached",
    ("nfc",): "with composed accents (NFC)",
    ("lower", "punct"): "in small letters and without punctuation attached",
    ("lower", "punct", "nfc"): "in small letters, without punctuation attached and in NFC",
}
ATTACHED = re.compile(rb"\w[.,;:!?]$")


def warn_of_unknown(tally: Tally, tokenizer: Tokenizer, text: str = "the text") -> None:
    """A warning with the likely reason, if many tokens of `text` are out of vocabulary."""
    if (explanation := explain(tally, tokenizer)) is not None:
        share = tally.oov / tally.tokens
        warnings.warn(
            f"{share:.1%} of the tokens of {text} are out of vocabulary: {explanation}",
            stacklevel=2,
        )


def explain(tally: Tally, tokenizer: Tokenizer) -> str | None:
    """The likely reason, and the remedy; None where few tokens are out of vocabulary, or too few to
    speak of without a reason."""
    words = tally.unknown_words
    if tally.oov < MANY * tally.tokens or not words:
        return None
    if remedy := best_remedy(words, tokenizer):
        examples = [word for word in words if is_known(word, remedy, tokenizer)]
        shown = ", ".join(repr(word.decode()) for word in examples[:3])
        return (
            f"{REMEDIES[remedy]} most of them would be known ({shown}); prepare the text as the"
            " training text was, or make the model from raw text with"
            f" `normalize={','.join(remedy)}`"
        )
    if tally.oov < max(NUMBER_WITHOUT_REASON, SHARE_WITHOUT_REASON * tally.tokens):
        return None
    attached = [type_ for type_ in tokenizer.types if ATTACHED.search(type_)]
    if len(attached) > MANY * len(tokenizer):
        return (
            "the vocabulary has words with punctuation attached, such as"
            f" {attached[0].decode()!r}, as the training text was not tokenized; make the model"
            " from it with `normalize=punct`"
        )
    shown = ", ".join(repr(word.decode()) for word in list(words)[:3])
    return (
        f"{shown}; the text may be of another kind or language than the training text, or the"
        " vocabulary small"
    )


def best_remedy(words: Mapping[bytes, int], tokenizer: Tokenizer) -> tuple[Step, ...] | None:
    """The fewest steps after which almost as many tokens are known as after any; None where that
    is less than half of them."""
    known = {
        steps: sum(number for word, number in words.items() if is_known(word, steps, tokenizer))
        for steps in REMEDIES
    }
    most = max(known.values())
    if 2 * most < sum(words.values()):
        return None
    return next(steps for steps, number in known.items() if number >= 0.9 * most)


def is_known(word: bytes, steps: tuple[Step, ...], tokenizer: Tokenizer) -> bool:
    """Whether all parts of `word` are in the vocabulary after `steps`."""
    parts = NORMALIZERS[steps](word).split()
    return bool(parts) and all(part in tokenizer.id_of_type for part in parts)


NORMALIZERS = {steps: Normalizer(steps) for steps in REMEDIES}
