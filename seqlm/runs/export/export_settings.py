"""What models are exported to, and which settings go with it.

arpa     an ARPA file                  words     the words, one on each line
run      a run folder                  lexicon   the words with their spellings
hf       a Hugging Face folder
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from seqlm.errors import UsageError, did_you_mean
from seqlm.settings import setting

FORMATS = ("arpa", "run", "hf", "words", "lexicon")
OF_NGRAMS = ("arpa", "run")


@dataclass(frozen=True)
class WeightSettings:
    """How several n-gram models are weighed, which become one."""

    mix: str | None = setting(
        None, "Weights of several n-gram models, e.g. 0.4,0.6, which become one model.",
        none_text="equal", metavar="X,X", section="Mixture",
    )  # fmt: skip
    tune: str | None = setting(
        None, "Held-out text on which to tune the weights.", metavar="FILE", section="Mixture"
    )


@dataclass(frozen=True)
class LexiconSettings:
    """How words are spelled. Errors: UsageError where a line could not be read back."""

    word_end: str = setting(
        "|", "Token of the acoustic model that ends each word; an empty one is left out.",
        section="Lexicon", metavar="TOKEN",
    )  # fmt: skip
    letters: str | None = setting(
        None, "Tokens of the acoustic model, one or more on each line: words with other characters"
        " are left out.", none_text="all characters", section="Lexicon", metavar="FILE",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.word_end.split() not in ([], [self.word_end]) or self.word_end.isspace():
            raise UsageError(
                f"`word_end` is {self.word_end!r}, which is more than one token: white space"
                " separates the tokens of a lexicon"
            )


def check_export(to: str, models: int, given: Collection[str]) -> None:
    """Errors: UsageError where so many `models`, or the settings `given`, do not go with `to`."""
    if to not in FORMATS:
        raise UsageError(f"`to` is {to!r}{did_you_mean(to, FORMATS)}")
    if to == "hf" and models > 1:
        raise UsageError("`to=hf` writes one model: name one `model`")
    for name in ("mix", "tune", "prune", "prune_to"):
        if name in given and to not in OF_NGRAMS:
            raise UsageError(f"`{name}` is for n-gram models, which are exported to arpa or run")
    if "compact" in given and to != "run":
        raise UsageError("`compact` is a form of n-gram models in runs: `to=run`")
    for name in ("word_end", "letters"):
        if name in given and to != "lexicon":
            raise UsageError(f"`{name}` is for the spellings of `to=lexicon`")
    if "mix" in given and "tune" in given:
        raise UsageError("`tune` finds the weights that `mix` gives: leave out one of them")
    for name in ("mix", "tune"):
        if name in given and models == 1:
            raise UsageError(f"`{name}` weighs several models: name another `model`")
