"""The bag of n-grams, fastText's classifier, of Joulin, Grave, Bojanowski & Mikolov (2017).

    h = 1/N sum_i e_{r(x_i)}           the mean of the vectors of a text's words and n-grams
    p(y | text) = softmax(W h + b)_y   or a hierarchical softmax, where there are many labels

    x_1 .. x_N   features of a text: words, and n-grams by their buckets (`ngram_hashing.py`)
    r(x)         the row of a feature, one of R    e_r   a row of the embedding, (R, D)

Other than in fastText a bucket has a row of its own only where n-grams of the training text are in
it, and often enough; all others share the last row. So there may be as many buckets as one likes,
and hardly two n-grams in one, while the embedding is no larger than the text.

B texts · N features of a text · F features of all texts · D width

A step of training costs as much as the batch has features, not as the embedding has rows: the
gradient of the embedding is a sparse tensor (`sparse_rows.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.errors import ModelError
from seqlm.models.config.bag_of_ngrams_config import BagOfNgramsConfig
from seqlm.models.labeling.labeler import Labeler
from seqlm.models.labeling.outputs.hierarchical_softmax import HierarchicalSoftmax
from seqlm.models.labeling.outputs.softmax_labels import SoftmaxLabels
from seqlm.models.layers.sparse_rows import add_to_rows, bag_of_term, sum_rows
from seqlm.text.labeled.labeled_batches import EncodedSentences, LabeledBatch
from seqlm.text.labeled.ngram_hashing import Bags, bags_of_ngrams


class BagOfNgrams(Labeler):
    """A classifier of texts. `learn_from` the training text comes before training."""

    config_class: ClassVar[type] = BagOfNgramsConfig
    config: BagOfNgramsConfig
    labels_texts = True
    has_sparse_gradients = True
    optimizers = ("adagrad",)

    row_of: Tensor
    """(V + buckets,) int32, the row of each feature."""

    def __init__(self, config: BagOfNgramsConfig) -> None:
        super().__init__(config)
        self.register_buffer(
            "row_of", torch.zeros(config.vocab_size + config.buckets, dtype=torch.int32)
        )
        self.make_rows(config.ngram_types)
        output = HierarchicalSoftmax if config.hierarchical_softmax else SoftmaxLabels
        self.outputs = nn.ModuleList(output(config.width, labels) for labels in config.label_types)

    def make_rows(self, ngram_types: int) -> None:
        """Draws the embedding, with a row for each word, for `ngram_types` n-grams, and for others.

        It is U(+-1/D), as in fastText.
        """
        words, width = self.config.vocab_size, self.config.width
        rows = words + ngram_types + 1  # R
        self.embedding = nn.Parameter(torch.empty(rows, width).uniform_(-1 / width, 1 / width))
        self.row_of[:words] = torch.arange(words)
        self.row_of[words:] = rows - 1

    def learn_from(self, sentences: EncodedSentences) -> None:
        """Gives the frequent n-grams of the training text their rows, and the labels their tree."""
        words = self.config.vocab_size
        features = self.bags(sentences.table.words[sentences.form_of], sentences.lengths).features
        ngrams, counts = np.unique(features[features >= words], return_counts=True)
        frequent = torch.from_numpy(ngrams[counts >= self.config.ngram_min_count])
        self.config = replace(self.config, ngram_types=len(frequent))
        self.make_rows(len(frequent))
        self.row_of[frequent] = torch.arange(words, words + len(frequent), dtype=torch.int32)
        for output, labels in zip(self.outputs, sentences.labels.T):
            if isinstance(output, HierarchicalSoftmax):
                counts = np.bincount(labels[labels >= 0], minlength=output.labels)
                output.set_counts(counts.tolist())

    def check_tensors(self) -> None:
        super().check_tensors()
        if not ((self.row_of >= 0) & (self.row_of < len(self.embedding))).all():
            raise ModelError("row_of names rows that the embedding does not have")
        for output in self.outputs:
            if isinstance(output, HierarchicalSoftmax):
                output.check_tensors()

    # -- reading texts

    def bags(self, words: np.ndarray, lengths: np.ndarray) -> Bags:
        """The features of texts of `lengths` (B,) words; `words` (N,) are those of all."""
        config = self.config
        return bags_of_ngrams(words, lengths, config.vocab_size, config.ngrams, config.buckets)

    def encode(self, batch: LabeledBatch) -> Tensor:
        """h (B, 1, D) of the texts of a batch."""
        words, lengths = batch.words[batch.form_of].cpu().numpy(), batch.lengths.cpu().numpy()
        inside = np.arange(words.shape[1]) < lengths[:, None]  # (B, T)
        features, sizes = (
            torch.from_numpy(array).to(self.device) for array in self.bags(words[inside], lengths)
        )
        h: Tensor = MeanOfRows.apply(self.embedding, self.row_of[features].long(), sizes)
        return h[:, None]


class MeanOfRows(torch.autograd.Function):
    """The mean of the rows of each text, with a sparse gradient."""

    @staticmethod
    def forward(ctx: Any, embedding: Tensor, rows: Tensor, sizes: Tensor) -> Tensor:
        """embedding (R, D), rows (F,), of which each text has `sizes` (B,) -> (B, D)."""
        ctx.save_for_backward(rows, sizes)
        ctx.num_rows = len(embedding)
        return sum_rows(embedding, rows, sizes) / sizes[:, None]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        rows, sizes = ctx.saved_tensors
        d_sum = grads[0] / sizes[:, None]  # (B, D)
        return add_to_rows(rows, d_sum, bag_of_term(sizes), ctx.num_rows), None, None
