"""The words of the meadow, by class, and how new ones are made.

A class lists its words from the most frequent to the least, which are drawn by Zipf's law. Many
words are in several classes: `saw`, `watch`, `light`, `still`, `that`. `-er` stands for a new word
of that ending, whose stem means nothing. Its ending tells the class, but not always for sure: `-s`
is of nouns and verbs, `-ed` of verbs and adjectives, `-ly` of adverbs and adjectives.
"""

from __future__ import annotations

import re

import numpy as np

WORDS = {
    "determiner": "the a that this every her no",
    "adjective": "old -ish light still -ous fast little left -ly wet -ed calm green well quiet",
    "noun": "frog -er pond -s watch heron light -ness plant saw fish walk can reed -ish will felt"
    " dance well toad moon",
    "name": "Ada -a Leo Iris Ben",
    "subject": "she it they that he we",
    "object": "it her that them us",
    "modal": "can will may must",
    "copula": "is was",
    "finite": "saw -ed heard -s left felt found lit watched sees walks dances",
    "base": "watch -ify see fish light plant hear walk dance like",
    "negation": "not",
    "infinitive": "to",
    "adverb": "-ly still fast over well before there",
    "preposition": "in on under to over before like by",
    "subordinator": "that because before like while",
    "conjunction": "and but",
    "stop": ". !",
}
ENDINGS = ("ness", "ish", "ous", "ify", "er", "ed", "ly", "s", "a")
ONSETS = [
    "bl", "br", "cl", "cr", "d", "dr", "f", "fl", "fr", "gl", "gr", "k", "m", "pl", "pr", "sk",
    "sl", "sn", "sp", "st", "sw", "t", "tr", "thr", "v", "z",
]  # fmt: skip
VOWELS = ["a", "i", "o", "u"]
CODAS = [
    "b", "d", "g", "k", "m", "p", "t", "mp", "nk", "lf", "lt", "nd", "rm", "rp", "rt", "rk",
]  # fmt: skip
SYLLABLE = f"(?:{'|'.join(ONSETS)})(?:{'|'.join(VOWELS)})(?:{'|'.join(CODAS)})"
MADE_UP = re.compile(f"(?:{SYLLABLE}){{2}}({'|'.join(ENDINGS)})")


def make_up(ending: str, rng: np.random.Generator) -> str:
    """A new word with this ending; a name, in -a, begins with a capital letter."""
    parts = [ONSETS, VOWELS, CODAS, ONSETS, VOWELS, CODAS]
    stem = "".join(some[int(rng.random() * len(some))] for some in parts)
    return (stem.title() if ending == "a" else stem) + ending


def type_of(word: str) -> str:
    """The word as the classes above have it: itself, or its ending if it was made up."""
    made_up = MADE_UP.fullmatch(word.lower())
    return f"-{made_up[1]}" if made_up else word
