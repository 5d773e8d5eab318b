"""A hidden Markov model: each word depends on a state that is not observed.

The state has two parts: a step, which runs through six values as syntax does, and a mood, which
seldom changes, as a topic does (compare Griffiths, Steyvers, Blei & Tenenbaum 2004, "Integrating
Topics and Syntax"). The step decides which six words may come next, and the mood which of them are
likely. One word tells little about the mood and ten tell most of it, so that a model with a long
memory predicts better than any n-gram.

The true probability of a word sums over all states the line may be in, by the forward algorithm,
scaled at every word (Rabiner 1989, "A Tutorial on Hidden Markov Models", section V.A):

    p(x_t | x_<t) = Σ_j f_t(j) e(j, x_t)          f_t(j): probability of state j at t, given x_<t
    f_{t+1}(j)    = Σ_i f_t(i) e(i, x_t) m(i, j) / p(x_t | x_<t)

State 0 is the end of a line: it emits only `</s>`, and no other state does. As every line ends in
this one state, lines are independent, although one chain runs through the whole text.
"""

from collections.abc import Sequence

import numpy as np

from corpora.source import END, Die, Floats, Source, Weights, entropy, stationary

MOODS = 6
STEPS = 6
WORDS_PER_STEP = 5  # the sixth word that a step may emit is the first of the next step
WORDS = [consonant + vowel for consonant in "bdfgkl" for vowel in "aeiou"]
PREFERENCES = (10, 6, 3, 2, 1, 1)  # weights in mood m of a step's words m, m + 1, … (mod 6)
STEP_WEIGHTS = (1, 14, 1)  # of staying at a step, of the next step, of the one after
SAME_MOOD_ODDS = 99  # to one that the mood stays the same for another word
CONTINUATION_ODDS = 4  # to one that a line continues after the last step
SPLITS = {"train": (1, 300_000), "valid": (2, 50_000), "test": (3, 210_000)}  # seed, tokens


class Hidden(Source):
    """move (S, S) and emit (S, V) are weights, row by row; state 0 and word 0 are the end."""

    def __init__(self, words: Sequence[str], move: Weights, emit: Weights):
        self.types = [END, *words]
        self.ids = {word: i for i, word in enumerate(self.types)}
        self.move = move / move.sum(1, keepdims=True)
        self.emit = emit / emit.sum(1, keepdims=True)
        self.moving = [Die(row) for row in move]
        self.emitting = [Die(row) for row in emit]

    def line(self, rng: np.random.Generator) -> list[str]:
        words, state = [], 0
        while state := self.moving[state].throw(rng):
            words.append(self.types[self.emitting[state].throw(rng)])
        return words

    def log_probs(self, lines: Sequence[str]) -> Floats:
        ids = [[self.ids[word] for word in (*line.split(), END)] for line in lines]
        lengths = np.array([len(line) for line in ids])
        # Lines are processed in parallel. A line is padded with a word that every state emits with
        # probability 1, so that it contributes nothing.
        is_word = np.arange(lengths.max()) < lengths[:, None]
        words = np.full(is_word.shape, len(self.types))
        words[is_word] = np.concatenate(ids)
        emit = np.column_stack([self.emit, np.ones(len(self.emit))]).T  # (V + 1, S)
        probs = np.empty(words.shape)
        state = np.tile(self.move[0], (len(ids), 1))  # (lines, S): f_t
        for t, word in enumerate(words.T):
            joint = state * emit[word]
            probs[:, t] = joint.sum(1)
            state = joint / probs[:, t, None] @ self.move
        return np.log(probs[is_word])

    def entropy_rate(self, tokens: int = 400_000) -> float:
        """Estimated as the cross-entropy of the source on a long sample; no closed form is known.

        The standard error falls as 1/√tokens and is about 0.1 % by default.
        """
        return self.cross_entropy(self.sample(np.random.default_rng(0), tokens))

    def unigram_entropy(self) -> float:
        """Exact, by the stationary distribution of the states."""
        return float(entropy(stationary(self.move) @ self.emit))


def source() -> Hidden:
    """The one hidden chain behind the hidden files."""
    states = [(mood, step) for mood in range(MOODS) for step in range(STEPS)]
    move = np.zeros((len(states) + 1, len(states) + 1), dtype=np.int64)
    emit = np.zeros((len(states) + 1, len(WORDS) + 1), dtype=np.int64)
    emit[0, 0] = 1
    for i, (mood, step) in enumerate(states, start=1):
        for j, (next_mood, next_step) in enumerate(states, start=1):
            stride = (next_step - step) % STEPS
            if stride < len(STEP_WEIGHTS):
                move[i, j] = STEP_WEIGHTS[stride] * (
                    SAME_MOOD_ODDS * (MOODS - 1) if next_mood == mood else 1
                )
        if step == 0:
            move[0, i] = 1
        if step == STEPS - 1:
            move[i, 0] = move[i].sum() // CONTINUATION_ODDS
        for offset, preference in enumerate(PREFERENCES):
            word = step * WORDS_PER_STEP + (mood + offset) % (WORDS_PER_STEP + 1)
            emit[i, 1 + word % len(WORDS)] = preference
    return Hidden(WORDS, move, emit)


def files() -> dict[str, list[str]]:
    """The lines of every file, by its name."""
    return source().files("hidden", SPLITS)
