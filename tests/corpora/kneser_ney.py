"""Interpolated Kneser-Ney in dictionaries (Kneser & Ney 1995, Chen & Goodman 1999), as a yardstick.

    p_k(w | h) = max(c(hw) - D, 0) / c(h)  +  D N(h ·) / c(h)  p_{k-1}(w | h')

Below the highest order, c(hw) counts the different words before hw. One discount an order,
D = n1 / (n1 + 2 n2), or a half where nothing occurred once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import log2

from corpora.source import END

Ngram = tuple[str, ...]


def windows(lines: Sequence[str], order: int) -> Iterator[Ngram]:
    """Every token with the order - 1 before it; a line is preceded by `</s>` alone."""
    for line in lines:
        tokens = [END] * (order - 1) + line.split() + [END]
        for end in range(order, len(tokens) + 1):
            yield tuple(tokens[end - order : end])


def kneser_ney(lines: Sequence[str], order: int) -> Callable[[Ngram], float]:
    """Count a model and return the function from an n-gram to p(last word | the others)."""
    counts = [Counter(windows(lines, order))]
    while len(counts) < order:
        counts.insert(0, Counter(ngram[1:] for ngram in counts[0]))
    seen, kinds, discounts = [], [], []
    for table in counts:
        seen.append(Counter())
        kinds.append(Counter())
        for ngram, count in table.items():
            seen[-1][ngram[:-1]] += count
            kinds[-1][ngram[:-1]] += 1
        once, twice = (sum(count == n for count in table.values()) for n in (1, 2))
        discounts.append(once / (once + 2 * twice) if once else 0.5)

    def prob(ngram: Ngram) -> float:
        p = 1 / len(counts[0])
        for k in range(order):
            part = ngram[order - 1 - k :]
            history = part[:-1]
            if not seen[k][history]:
                break
            kept = max(counts[k][part] - discounts[k], 0)
            p = (kept + discounts[k] * kinds[k][history] * p) / seen[k][history]
        return p

    return prob


def cross_entropy(train: Sequence[str], test: Sequence[str], order: int) -> float:
    """Bits per token, `</s>` included."""
    prob = kneser_ney(train, order)
    bits = [-log2(prob(ngram)) for ngram in windows(test, order)]
    return sum(bits) / len(bits)
