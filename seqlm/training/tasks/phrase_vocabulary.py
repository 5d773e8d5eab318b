"""The vocabulary of a text whose phrases are words: `new_york` beside `new` and `york`.

Phrases are learned from the words that are frequent enough (`counting/phrases.py`). Then all types
are counted again, as phrases take occurrences from their words, and ordered by these counts; what
is too rare now is `<unk>`.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from seqlm.counting.phrases import Phrases, learn_phrases
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.text.corpus import Corpus
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED, apply_id_mapping, count_ids, id_mapping, order_types


class PhraseVocabulary(NamedTuple):
    phrases: Phrases
    new_id: np.ndarray  # (V,) int32, of each type of `phrases`
    tokenizer: Tokenizer
    memory: Memory
    """Where the texts are that `apply` makes."""

    @classmethod
    def learn(
        cls,
        ids: np.ndarray,
        tokenizer: Tokenizer,
        passes: int,
        threshold: float,
        min_count: int,
        vocab_size: int | None,
        memory: Memory = IN_MEMORY,
    ) -> Self:
        """That of a text `ids` (N,) int32, with the settings of these names."""
        phrases = learn_phrases(ids, tokenizer.types, passes, threshold, memory)
        counts = count_ids(phrases.join(ids, memory), len(phrases.types)).tolist()
        counted = list(zip(phrases.types, counts))[len(RESERVED) :]
        types = order_types((type_, n) for type_, n in counted if n >= max(1, min_count))
        if vocab_size is not None:
            types = types[: max(0, vocab_size - len(RESERVED))]
        new_tokenizer = Tokenizer("word", RESERVED + types, normalizer=tokenizer.normalizer)
        return cls(phrases, id_mapping(phrases.types, types), new_tokenizer, memory)

    def apply(self, corpus: Corpus) -> Corpus:
        """`corpus`, of the tokenizer that phrases were learned with, in this vocabulary."""
        ids = self.phrases.join(corpus.ids, self.memory)
        ids = ids.copy() if ids is corpus.ids else ids
        apply_id_mapping(ids, self.new_id)
        return corpus._replace(ids=ids, tokenizer=self.tokenizer)
