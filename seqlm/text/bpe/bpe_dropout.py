"""BPE-dropout (Provilkov, Emelianenko & Voita 2020): other tokens of the same text in every epoch.

BPE begins a word with its bytes and joins neighbors again and again, by the earliest learned of all
merges that apply. BPE-dropout leaves out each merge that applies with probability p, and draws anew
after every merge; the word is done when none is left:

    l o w e r        the merges that apply: l+o, e+r, w+e; left out: e+r
    lo w e r         lo+w, e+r, w+e; left out: lo+w, e+r
    lo we r          ...

With p = 0 these are the tokens of BPE, with p = 1 the bytes. A model that has read a word in many
parts learns what its parts are, and needs fewer texts for it.

The `tokenizers` library has BPE-dropout too, but its random numbers have no seed. Here all words of
a text are joined side by side by arrays: a step joins at most two neighbors of each word, and words
that are done drop out of the arrays.

N bytes of a text · K positions of tokens in words that are not done · C merges that apply
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer, to_printable
from seqlm.text.vocabulary import EOS

NONE = -1
"""What stands at the positions of a text where no token begins."""


class MergeTable:
    """The merges of a vocabulary of V types as numbers: rank 0 is learned first."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.merges is not None
        self.num_types = len(tokenizer)
        ids = {to_printable(type_): id for id, type_ in enumerate(tokenizer.types) if id > EOS}
        pairs = [(ids[a], ids[b], ids[a + b]) for a, b in tokenizer.merges]
        left, right, self.merged = np.array(pairs, np.int64).reshape(-1, 3).T  # (merges,) by rank
        keys = left * self.num_types + right
        self.rank = np.argsort(keys, kind="stable")
        self.keys = np.append(keys[self.rank], np.iinfo(np.int64).max)  # rising

    def find(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of neighbors (n,), (n,) -> the indices (C,) of those that a merge joins, and the
        rank (C,) of the merge."""
        keys = left.astype(np.int64) * self.num_types + right
        places = np.searchsorted(self.keys, keys)
        indices = np.flatnonzero(self.keys[places] == keys)
        return indices, self.rank[places[indices]]


class BPEDropout:
    """A text that gives other ids at every call of `sample`."""

    def __init__(self, tokenizer: Tokenizer, blocks: Sequence[Block], p: float) -> None:
        """`tokenizer` is of kind bpe and reads forward; `blocks` end with a newline; `p` is the
        probability of leaving out a merge."""
        assert tokenizer.kind == "bpe"
        assert not tokenizer.is_backward
        self.p, self.merges = p, MergeTable(tokenizer)
        text = np.frombuffer(b"".join(tokenizer.normalize(b).data for b in blocks), np.uint8)
        id_of_byte = np.zeros(256, np.int32)
        single = {type_[0]: id for id, type_ in enumerate(tokenizer.types) if len(type_) == 1}
        id_of_byte[[*single]] = [*single.values()]
        id_of_byte[ord("\n")] = EOS
        self.bytes = id_of_byte[text]  # (N,)
        ids, begins_word = encode_words(tokenizer, blocks)
        lengths = tokenizer.type_lengths[ids]
        positions = np.cumsum(lengths) - lengths  # where each token begins
        self.usual = np.full(len(text), NONE, np.int32)  # (N,)
        self.usual[positions] = ids
        is_start = np.zeros(len(text), np.int32)
        is_start[positions] = begins_word
        self.word = np.cumsum(is_start, dtype=np.int32) - 1  # (N,), the word of each byte
        self.line_starts = np.append(0, np.flatnonzero(text == ord("\n"))[:-1] + 1)

    def sample(self, max_length: int, rng: np.random.Generator) -> np.ndarray:
        """(tokens,) int32 ids of the text, with EOS at the end of every line.

        A line that would have more than `max_length` of them keeps those that it has without
        dropout.
        """
        tokens = self.join_at_random(rng)
        lengths = np.add.reduceat(tokens != NONE, self.line_starts, dtype=np.int64)
        is_long = np.repeat(lengths > max_length, np.diff(self.line_starts, append=len(tokens)))
        tokens = np.where(is_long, self.usual, tokens)
        ids: np.ndarray = tokens[tokens != NONE]
        return ids

    def join_at_random(self, rng: np.random.Generator) -> np.ndarray:
        """(N,) int32, each token where its first byte is, and NONE elsewhere."""
        tokens, word, merges = self.bytes.copy(), self.word, self.merges
        is_inside = np.append(False, word[1:] == word[:-1])
        positions = np.flatnonzero(is_inside | np.append(is_inside[1:], False))  # (K,)
        while len(positions):
            left, right = positions[:-1], positions[1:]
            of_one_word = word[left] == word[right]
            left, right = left[of_one_word], right[of_one_word]
            applying, rank = merges.find(tokens[left], tokens[right])  # (C,)
            kept = rng.random(len(applying)) >= self.p
            applying, rank = applying[kept], rank[kept]
            left, right = left[applying], right[applying]
            # In each word, the first place of the merge that was learned first.
            first_of_word = np.flatnonzero(np.diff(word[left], prepend=-1))
            if len(first_of_word) == 0:
                break
            priority = rank * len(rank) + np.arange(len(rank))
            chosen = np.minimum.reduceat(priority, first_of_word) % len(rank)
            tokens[left[chosen]] = merges.merged[rank[chosen]]
            tokens[right[chosen]] = NONE
            is_open = np.zeros(word[-1] + 1, np.bool_)
            is_open[word[left[chosen]]] = True
            positions = positions[(tokens[positions] != NONE) & is_open[word[positions]]]
        return tokens


def encode_words(tokenizer: Tokenizer, blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
    """(tokens,) int32, the ids of a text without dropout, and (tokens,) bool, True where a word
    begins. A word is what merges never reach beyond; a block may end within a very long line, and
    ends a word there."""
    ids: list[int] = []
    begins_word: list[bool] = []
    for block in blocks:
        lines = tokenizer.normalize(block).data.decode().split("\n")
        for line in tokenizer.plain_library_tokenizer.encode_batch(lines):
            words = line.word_ids
            ids += [*line.ids, EOS]
            begins_word += [a != b for a, b in zip(words, [None, *words])] + [True]
        ids.pop()  # what follows the last newline has none
        begins_word.pop()
    return np.array(ids, np.int32), np.array(begins_word, np.bool_)
