"""Tagged sentences about a meadow, with parts of speech and chunks, whose best tags are known.

    the    old    can    will   not    watch  this   brikzorps  .
    DET    ADJ    NOUN   AUX    PART   VERB   DET    NOUN       PUNCT
    B-NP   I-NP   I-NP   B-VP   I-VP   I-VP   B-NP   I-NP       O

The sentences come from a hidden Markov model. A state says what a word is doing, such as "noun of
the object", and has one tag, one chunk and one class of words. Many words are in several classes,
and every seventh was made up for its sentence. So the words around it, and its ending, must tell
the tag of a word; where they do not, no tagger can be right but by luck. Given the whole sentence
x, the probability of a state follows from what is before a word and what is after it (Rabiner 1989,
"A Tutorial on Hidden Markov Models", section III.B), both scaled at every word:

    f_t(j) ∝ p(state j at t, x_1 .. x_{t-1})          f_{t+1}(j) = Σ_i f_t(i) e(i, x_t) m(i, j)
    b_t(i) ∝ p(x_{t+1} .. x_T, end | state i at t)    b_{t-1}(i) = Σ_j m(i, j) e(j, x_t) b_t(j)
    p(state i at t | x) ∝ f_t(i) e(i, x_t) b_t(i)

The best tag of a word is that with the largest sum over its states: in the long run no tagger is
right more often. The stem of a made-up word says nothing, so that e(i, x_t) is the probability of
its ending.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from corpora.meadow_words import WORDS, make_up, type_of
from corpora.source import Die, Floats, stationary

SPLITS = {"train": (1, 800), "valid": (2, 100), "test": (3, 400)}  # seed, sentences
END = "end"


class State(NamedTuple):
    """What a word can be doing: its class, tag and chunk, and the weights of what comes next."""

    words: str
    tag: str
    chunk: str
    next: dict[str, int]


class Sentence(NamedTuple):
    words: list[str]
    tags: list[str]
    chunks: list[str]


def noun_phrase(role: str, pronoun: str, then: dict[str, int]) -> dict[str, State]:
    """The states of a noun phrase, by what it is to the sentence; `then` is what follows it."""
    to_noun = {f"{role} adjective": 2, f"{role} noun before": 2, f"{role} noun": 6}
    return {
        f"{role} determiner": State("determiner", "DET", "B-NP", to_noun),
        f"{role} first adjective": State("adjective", "ADJ", "B-NP", to_noun),
        f"{role} adjective": State("adjective", "ADJ", "I-NP", to_noun),
        f"{role} noun before": State("noun", "NOUN", "I-NP", {f"{role} noun": 1}),
        f"{role} first noun": State("noun", "NOUN", "B-NP", then),
        f"{role} noun": State("noun", "NOUN", "I-NP", then),
        f"{role} pronoun": State(pronoun, "PRON", "B-NP", then),
        f"{role} name": State("name", "PROPN", "B-NP", then),
    }


def enter(role: str, weight: int = 1) -> dict[str, int]:
    """The weights of the ways into a noun phrase, which come to 20 times `weight`."""
    kinds = {"determiner": 9, "first adjective": 3, "first noun": 3, "pronoun": 3, "name": 2}
    return {f"{role} {kind}": weight * share for kind, share in kinds.items()}


REST = {"stop": 50, "preposition": 20, "adverb": 12, "conjunction": 8, "subordinator": 10}
VERBS = {"finite verb": 60, "modal": 25, "copula": 15}
AFTER_VERB = {**enter("object", 5), **REST}
STATES = {
    **noun_phrase("subject", "subject", VERBS),
    "modal": State("modal", "AUX", "B-VP", {"negation": 1, "verb": 4}),
    "negation": State("negation", "PART", "I-VP", {"verb": 1}),
    "verb": State("base", "VERB", "I-VP", AFTER_VERB),
    "finite verb": State("finite", "VERB", "B-VP", {**AFTER_VERB, "infinitive": 20}),
    "infinitive": State("infinitive", "PART", "I-VP", {"verb": 1}),
    "copula": State("copula", "AUX", "B-VP", {"predicate": 4, "copula negation": 1}),
    "copula negation": State("negation", "PART", "I-VP", {"predicate": 1}),
    "predicate": State("adjective", "ADJ", "B-ADJP", REST),
    **noun_phrase("object", "object", REST),
    "preposition": State("preposition", "ADP", "B-PP", enter("place")),
    **noun_phrase("place", "object", REST),
    "adverb": State("adverb", "ADV", "B-ADVP", REST),
    "conjunction": State("conjunction", "CCONJ", "O", enter("subject")),
    "subordinator": State("subordinator", "SCONJ", "B-SBAR", enter("subject")),
    "stop": State("stop", "PUNCT", "O", {END: 1}),
}
START = enter("subject")


def weight_classes() -> dict[str, dict[str, int]]:
    """The weight of each word of each class, that of rank r being 1 / (r + 2), to five digits."""
    return {
        name: {word: 100_000 // (rank + 2) for rank, word in enumerate(words.split(), start=1)}
        for name, words in WORDS.items()
    }


class Meadow:
    """move (S, S) and emit (S, V) are probabilities; state 0 is the end, which has no word."""

    def __init__(self) -> None:
        self.classes = weight_classes()
        self.types = sorted({word for words in self.classes.values() for word in words})
        self.ids = {word: i for i, word in enumerate(self.types)}
        self.names = [END, *STATES]
        self.move = np.zeros((len(self.names), len(self.names)))
        self.emit = np.zeros((len(self.names), len(self.types)))
        for i, weights in enumerate([START, *(state.next for state in STATES.values())]):
            for name, weight in weights.items():
                self.move[i, self.names.index(name)] = weight / sum(weights.values())
        for i, state in enumerate(STATES.values(), start=1):
            words = self.classes[state.words]
            for word, weight in words.items():
                self.emit[i, self.ids[word]] = weight / sum(words.values())
        self.tags = [state.tag for state in STATES.values()]
        self.chunks = [state.chunk for state in STATES.values()]

    def sentence(self, rng: np.random.Generator) -> Sentence:
        states, words, weights = [], [], START
        while (name := draw(weights, rng)) != END:
            states.append(STATES[name])
            word = draw(self.classes[states[-1].words], rng)
            words.append(make_up(word[1:], rng) if word[0] == "-" else word)
            weights = states[-1].next
        return Sentence(words, [state.tag for state in states], [state.chunk for state in states])

    def sample(self, seed: int, count: int) -> list[Sentence]:
        rng = np.random.default_rng(seed)
        return [self.sentence(rng) for _ in range(count)]

    # -- the best tags

    def posteriors(self, words: Sequence[str]) -> Floats:
        """The probability of each state but the end at each word, given all words: (T, S - 1)."""
        e = self.emit[:, [self.ids[type_of(word)] for word in words]].T  # (T, S)
        f, b = np.empty_like(e), np.empty_like(e)
        before, after = self.move[0], self.move[:, 0]
        for t in range(len(words)):
            f[t] = before / before.sum()
            before = f[t] * e[t] @ self.move
        for t in reversed(range(len(words))):
            b[t] = after / after.sum()
            after = self.move @ (e[t] * b[t])
        joint = (f * e * b)[:, 1:]
        posteriors: Floats = joint / joint.sum(1, keepdims=True)
        return posteriors

    def best(self, words: Sequence[str], labels: Sequence[str]) -> list[tuple[str, float]]:
        """The most probable label of each word and its probability; `labels` (S - 1) are the tags
        or the chunks of the states."""
        kinds = sorted(set(labels))
        is_of = np.array([[label == kind for kind in kinds] for label in labels])  # (S - 1, L)
        probs = self.posteriors(words) @ is_of  # (T, L)
        return [(kinds[label], float(p)) for label, p in zip(probs.argmax(1), probs.max(1))]

    def accuracy(
        self, texts: Sequence[tuple[list[str], list[str]]], labels: Sequence[str]
    ) -> float:
        """The share of the words of these texts, with their true labels, whose best label is it."""
        right = [
            label == best
            for words, truth in texts
            for label, (best, _) in zip(truth, self.best(words, labels), strict=True)
        ]
        return sum(right) / len(right)

    def accuracy_without_context(self, labels: Sequence[str]) -> float:
        """What the best label of each word, or ending, reaches by itself; exact."""
        states = stationary(self.move)[1:]
        kinds = sorted(set(labels))
        is_of = np.array([[label == kind for kind in kinds] for label in labels])  # (S - 1, L)
        joint = is_of.T @ (states[:, None] * self.emit[1:])  # (L, V)
        return float(joint.max(0).sum() / states.sum())


def draw(weights: dict[str, int], rng: np.random.Generator) -> str:
    return list(weights)[Die(list(weights.values())).throw(rng)]


# ---------------------------------------------------------------------------------------- files


def conllu(sentence: Sentence) -> list[str]:
    """The lines of a sentence in CoNLL-U, the empty one at its end included."""
    words = enumerate(zip(sentence.words, sentence.tags, strict=True), start=1)
    return [f"{i}\t{word}\t_\t{tag}" + "\t_" * 6 for i, (word, tag) in words] + [""]


def columns(sentence: Sentence) -> list[str]:
    """The same in the columns of CoNLL-2000: word, part of speech and chunk."""
    return [" ".join(row) for row in zip(*sentence, strict=True)] + [""]


def read(lines: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """The words of each sentence and their tags, or chunks, from the lines of a file."""
    for is_word, group in groupby(lines, bool):
        if is_word:
            rows = [line.split() for line in group]
            word, label = (1, 3) if len(rows[0]) == 10 else (0, 2)
            yield [row[word] for row in rows], [row[label] for row in rows]


def figures(file: str, lines: Sequence[str]) -> tuple[int, int, float]:
    """How many sentences and words a file has, and the accuracy of the best labels."""
    meadow, texts = Meadow(), list(read(lines))
    labels = meadow.chunks if "chunks" in file else meadow.tags
    return len(texts), sum(len(words) for words, _ in texts), meadow.accuracy(texts, labels)


def files() -> dict[str, list[str]]:
    """The lines of every file, by its name."""
    meadow, lines = Meadow(), {}
    for split, (seed, count) in SPLITS.items():
        sentences = meadow.sample(seed, count)
        lines[f"meadow.{split}.conllu"] = [line for each in sentences for line in conllu(each)]
        lines[f"meadow.chunks.{split}.txt"] = [line for each in sentences for line in columns(each)]
    return lines
