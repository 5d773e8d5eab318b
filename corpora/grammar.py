"""A grammar with a memory: context-free rules, and slots that keep what was drawn for them.

    rule                     a name without indentation; its alternatives are indented below it,
        one alternative      on lines of their own or separated by |, the most frequent first
        another | a third
    # a comment              ~ alone is an empty alternative

    <rule>            is replaced by one of the rule's alternatives, drawn anew
    {rule}            is drawn once, and replaced by the same alternative from then on
    {rule.2}          is a second slot of the same rule, different from the first
    <rule {slot}>     is a rule whose name depends on a slot, as in <sky {weather}>

Alternatives are drawn by rank r = 1, 2, … with weight 1 / (r + 2), the law of word frequencies
(Zipf 1935; the offset is Mandelbrot's, 1953), so that a list needs no numbers.
"""

import re
from collections.abc import Iterable

import numpy as np

from corpora.source import Die

SYMBOL = re.compile(r"\{([^{}]+)\} | <([^<>]+)>", re.VERBOSE)


def zipf(count: int) -> Die:
    """A die with `count` faces that shows rank r with weight 1 / (r + 2), to five digits."""
    return Die([100_000 // (rank + 2) for rank in range(1, count + 1)])


class Grammar:
    """Rules by name, each a list of alternatives in order of falling frequency."""

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

    def expand(self, rule: str, memory: dict[str, str], rng: np.random.Generator) -> str:
        """Draw an alternative of a rule and expand it; new slots are added to `memory`."""

        def replacement(symbol: re.Match[str]) -> str:
            slot, name = symbol.groups()
            if name:
                return self.expand(SYMBOL.sub(replacement, name), memory, rng)
            while slot not in memory:
                text = self.expand(slot.partition(".")[0], memory, rng)
                if text not in memory.values():
                    memory[slot] = text
            return memory[slot]

        alternative = self.rules[rule][self.dice[rule].throw(rng)]
        return SYMBOL.sub(replacement, alternative)
