"""fastText: skip-gram or CBOW whose input vectors are made of character n-grams.

Bojanowski, Grave, Joulin & Mikolov (2017), "Enriching word vectors with subword information". The
vector of a word is a mean over itself and its n-grams (`subword_table.py`), and all else is as in
`skipgram.py` and `cbow.py`. So words that are spelled alike begin alike, rare words learn from
frequent ones, and a word that the text does not have has a vector, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from seqlm.models.config.vectors_config import FastTextConfig
from seqlm.models.vectors.cbow import CBOW
from seqlm.models.vectors.prediction import BatchGradients, PredictionModel
from seqlm.models.vectors.skipgram import SkipGram
from seqlm.models.vectors.subword_table import SubwordTable, ngram_buckets
from seqlm.text.vocabulary import RESERVED
from seqlm.text.word_batches import WordBatch


class FastText(PredictionModel):
    """Word vectors made of n-grams. `learn_from` the words comes before training."""

    config_class = FastTextConfig
    config: FastTextConfig
    composes = True
    inputs: SubwordTable

    def make_inputs(self) -> SubwordTable:
        return SubwordTable(self.config)

    def learn_from(self, counts: np.ndarray, words: Sequence[bytes]) -> None:
        super().learn_from(counts, words)
        first = len(RESERVED)  # which have no n-grams
        buckets, sizes = ngram_buckets(words[first:], self.config)
        rows = len(np.unique(buckets))
        self.config = replace(self.config, ngram_rows=rows, ngram_terms=len(buckets))
        self.inputs = self.make_inputs()
        self.inputs.learn_words(buckets, np.concatenate([np.zeros(first, np.int64), sizes]))

    def check_tensors(self) -> None:
        super().check_tensors()
        self.inputs.check_tensors()

    def gradients(self, batch: WordBatch) -> BatchGradients:
        model = SkipGram if self.config.predict == "skipgram" else CBOW
        return model.gradients(self, batch)

    @torch.no_grad()
    def compose(self, words: Sequence[str]) -> tuple[list[str], np.ndarray]:
        found, vectors = self.inputs.compose([word.encode(errors="replace") for word in words])
        return [word for word, is_found in zip(words, found) if is_found], vectors
