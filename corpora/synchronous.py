"""Phrases generated in two languages at once, and the alignment of their words.

A synchronous rule rewrites one symbol in both languages at once; its two right-hand sides have
the same parts, each in its own order (Aho & Ullman 1969, "Syntax directed translations and the
pushdown assembler"; Chiang 2007, "Hierarchical phrase-based translation", section 2). Here a rule
is two lines of names:

    article big red house      English: the big red house
    article big house red      French:  la grande maison rouge

`name.1` is only the first word of a part, for parts that surround others, such as ne .. pas.
"""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    """A phrase in both languages; a link (i, j) aligns source word i with target word j."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: frozenset[tuple[int, int]]

    def pharaoh(self) -> str:
        """The links as word aligners write them, such as '0-0 1-2 2-1'."""
        return " ".join(f"{i}-{j}" for i, j in sorted(self.links))


NOTHING = Pair((), (), frozenset())


def lexical(source: str, target: str) -> Pair:
    """Two phrases that translate each other as a whole: every word is linked to every other."""
    source_words, target_words = tuple(source.split()), tuple(target.split())
    links = frozenset((i, j) for i in range(len(source_words)) for j in range(len(target_words)))
    return Pair(source_words, target_words, links)


def rule(source: str, target: str, **parts: Pair) -> Pair:
    """Joins the parts in the order of each language. Links move with their words."""
    source_position: dict[tuple[str, int], int] = {}  # of each word of each part
    for name in source.split():
        start = len(source_position)
        source_position |= {(name, i): start + i for i in range(len(parts[name].source))}
    target_position: dict[tuple[str, int], int] = {}
    for symbol in target.split():
        name, _, number = symbol.partition(".")
        for j in [int(number) - 1] if number else range(len(parts[name].target)):
            if j < len(parts[name].target):
                target_position[name, j] = len(target_position)
    return Pair(
        tuple(parts[name].source[i] for name, i in source_position),
        tuple(parts[name].target[j] for name, j in target_position),
        frozenset(
            (source_position[name, i], target_position[name, j])
            for name, part in parts.items()
            for i, j in part.links
        ),
    )
