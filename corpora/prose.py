"""Small stories from a harbor town, made by the grammar in `harbour.grammar`.

A day has its weather and its season, and three scenes: morning, afternoon and evening. A scene has
two people, and the second of them is the first of the next scene, so that people and their trades
depend on context far beyond a sentence. The two are a woman and a man, which keeps every `he` and
`she` unambiguous.

Each line is one sentence in lower case, with spaces around every word and punctuation mark.
"""

import re
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corpora.grammar import Grammar, zipf


class Person(NamedTuple):
    """Somebody in town, and the words about them."""

    name: str
    trade: str
    home: str
    treasure: str


WOMEN = [
    Person("ada", "keeper", "lighthouse", "lantern"),
    Person("clara", "baker", "bakery", "rolling-pin"),
    Person("kate", "captain", "boathouse", "telescope"),
    Person("edith", "teacher", "school", "globe"),
    Person("zoë", "fiddler", "café", "fiddle"),
    Person("mary", "innkeeper", "inn", "ledger"),
    Person("greta", "doctor", "hospital", "watch"),
    Person("iris", "weaver", "loft", "shawl"),
    Person("olga", "fishmonger", "fish-hall", "knife"),
    Person("rosa", "gardener", "greenhouse", "spade"),
    Person("vera", "librarian", "library", "atlas"),
    Person("tess", "seamstress", "shop", "thimble"),
]
MEN = [
    Person("ben", "fisherman", "cottage", "net"),
    Person("felix", "postman", "post-office", "bicycle"),
    Person("jonas", "sailor", "attic", "compass"),
    Person("hugo", "cook", "kitchen", "ladle"),
    Person("daniel", "carpenter", "workshop", "hammer"),
    Person("walter", "ferryman", "ferry-house", "oar"),
    Person("noah", "beekeeper", "farm", "hat"),
    Person("peter", "smith", "forge", "horseshoe"),
    Person("samuel", "priest", "chapel", "candlestick"),
    Person("arthur", "pilot", "pilot-house", "pipe"),
    Person("leo", "shepherd", "hut", "whistle"),
    Person("oskar", "clockmaker", "tower", "clock"),
]
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
NUMBERS += ["twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"]
SPLITS = {"train": (1, 195_000), "valid": (2, 20_000), "test": (3, 20_000)}  # seed, tokens


def person(somebody: Person, suffix: str) -> dict[str, str]:
    """The slots of the grammar for one of the two people."""
    he, him, his = ("she", "her", "her") if somebody in WOMEN else ("he", "him", "his")
    forms = {"he": he, "him": him, "his": his, **somebody._asdict()}
    return {form + suffix: word for form, word in forms.items()}


def sum_of_two(rng: np.random.Generator) -> dict[str, str]:
    """Two numbers and their sum."""
    few, more = (2 + int(rng.random() * 8) for _ in range(2))
    return {"few": NUMBERS[few - 1], "more": NUMBERS[more - 1], "sum": NUMBERS[few + more - 1]}


def sentences(rng: np.random.Generator) -> Iterator[str]:
    """An endless stream of sentences, day after day."""
    rules = Path(__file__).with_name("harbour.grammar").read_text(encoding="utf-8")
    grammar = Grammar(rules.splitlines())
    casts = cycle([(WOMEN, zipf(len(WOMEN))), (MEN, zipf(len(MEN)))])

    def next_person() -> Person:
        people, die = next(casts)
        return people[die.throw(rng)]

    hero = next_person()
    while True:
        day = {word: grammar.expand(word, {}, rng) for word in ("weather", "season")}
        for time in ("morning", "afternoon", "evening"):
            other = next_person()
            memory = day | {"time": time} | person(hero, "") | person(other, "2") | sum_of_two(rng)
            scene = " ".join(grammar.expand("scene", memory, rng).split())
            yield from re.sub(r"\ba (?=[aeio]|u(?!se))", "an ", scene).split(" / ")
            hero = other


def sample(rng: np.random.Generator, tokens: int) -> list[str]:
    """The first sentences that have at least this many tokens, each newline counted as one."""
    lines = []
    stream = sentences(rng)
    while tokens > 0:
        lines.append(next(stream))
        tokens -= len(lines[-1].split()) + 1
    return lines


def files() -> dict[str, list[str]]:
    """The lines of every file, by its name."""
    return {
        f"prose.{split}.txt": sample(np.random.default_rng(seed), tokens)
        for split, (seed, tokens) in SPLITS.items()
    }
