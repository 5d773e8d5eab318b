"""A grammar with a memory: context-free rules, and slots that keep what was once said.

    rule                     a name at the margin; below it, indented, its alternatives,
        one way of saying    each on a line of its own or parted by |, the commonest first
        another | a third
    # a comment              and ~ alone is an alternative that says nothing

    <rule>            is replaced by one of the rule's alternatives, drawn afresh
    {rule}            likewise, but drawn once and remembered: it says the same ever after
    {rule.2}          a second memory of the same rule, different from the first
    <rule {slot}>     a rule whose name depends on what is remembered, as in <sky {weather}>

Alternatives are drawn by rank r = 1, 2, … with weight 1 / (r + 2), the law that words themselves
follow (Zipf 1935; the offset is Mandelbrot's, 1953), so a list needs no numbers.
"""

import re
from collections.abc import Iterable

import numpy as np

from corpora.source import Die

HOLE = re.compile(r"\{([^{}]+)\} | <([^<>]+)>", re.VERBOSE)


def zipf(count: int) -> Die:
    """A die with `count` faces that falls on rank r with weight 1 / (r + 2), to five digits."""
    return Die([100_000 // (rank + 2) for rank in range(1, count + 1)])


class Grammar:
    """Rules by name, each a list of alternatives in falling order of use."""

    def __init__(self, lines: Iterable[str]):
        self.rules: dict[str, list[str]] = {}
        alternatives: list[str] = []
        for line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            if line[0].isspace():
                alternatives += (text.strip(" ~") for text in line.strip().split(" | "))
            else:
                alternatives = self.rules.setdefault(line.strip(), [])
        self.dice = {name: zipf(len(texts)) for name, texts in self.rules.items()}

    def say(self, rule: str, memory: dict[str, str], rng: np.random.Generator) -> str:
        """Draw an alternative of a rule and fill its holes; `memory` is read and added to."""

        def fill(hole: re.Match[str]) -> str:
            slot, name = hole.groups()
            if name:
                return self.say(HOLE.sub(fill, name), memory, rng)
            while slot not in memory:
                thought = self.say(slot.partition(".")[0], memory, rng)
                if thought not in memory.values():
                    memory[slot] = thought
            return memory[slot]

        text = self.rules[rule][self.dice[rule].throw(rng)]
        return HOLE.sub(fill, text)
