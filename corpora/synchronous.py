"""Phrases said in two languages at once, and which word says which.

A synchronous rule rewrites one symbol in both languages together; its two right-hand sides hold
the same parts, each in its own order (Aho & Ullman 1969, "Syntax directed translations and the
pushdown assembler"; Chiang 2007, "Hierarchical phrase-based translation", section 2). Here a rule
is two lines of names:

    article big red house      English: the big red house
    article big house red      French:  la grande maison rouge

`name.1` is the first word alone of what a part says, for parts that close around others: ne .. pas.
"""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    """A phrase in both languages; a link (i, j) joins the words that say the same."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: frozenset[tuple[int, int]]

    def pharaoh(self) -> str:
        """'0-0 1-2 2-1': the links, as word aligners write them."""
        return " ".join(f"{i}-{j}" for i, j in sorted(self.links))


NOTHING = Pair((), (), frozenset())


def lexical(source: str, target: str) -> Pair:
    """Words that mean each other as a whole: every one is linked to every other."""
    ours, theirs = tuple(source.split()), tuple(target.split())
    links = frozenset((i, j) for i in range(len(ours)) for j in range(len(theirs)))
    return Pair(ours, theirs, links)


def rule(source: str, target: str, **parts: Pair) -> Pair:
    """The parts, put together in the order of each language. Links move with their words."""
    ours: dict[tuple[str, int], int] = {}  # where each word of each part comes to stand
    for name in source.split():
        ours |= {(name, i): len(ours) + i for i in range(len(parts[name].source))}
    theirs: dict[tuple[str, int], int] = {}
    for each in target.split():
        name, _, place = each.partition(".")
        for j in [int(place) - 1] if place else range(len(parts[name].target)):
            if j < len(parts[name].target):
                theirs[name, j] = len(theirs)
    return Pair(
        tuple(parts[name].source[i] for name, i in ours),
        tuple(parts[name].target[j] for name, j in theirs),
        frozenset(
            (ours[name, i], theirs[name, j]) for name, part in parts.items() for i, j in part.links
        ),
    )
