"""Tiny random labelers of every architecture in the registry, and random sentences for them.

A new line in the registry needs an instance here. Weights are large, so that what was read makes a
difference.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from seqlm.models import architectures, config_class, model_class
from seqlm.models.labeling.labeler import Labeler
from seqlm.settings import settings_of
from seqlm.text.labeled.labeled_batches import EncodedSentences, LabeledBatch, batch_at
from seqlm.text.labeled.word_forms import CASING_TYPES, FormTable

VOCAB_SIZE, CHARACTER_TYPES = 8, 9
LENGTHS = [4, 1, 3, 4, 2, 6, 1]
"""Words of the sentences."""
FORMS = 12
SMALL = {"embedding": 3, "character_width": 4, "buckets": 50}


class LabelerInstance(NamedTuple):
    """How to build one labeler."""

    task: str
    arch: str
    variant: str
    options: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.task} {self.arch} {self.variant}".strip()

    def build(self) -> Labeler:
        sizes = {
            "vocab_size": VOCAB_SIZE, "label_types": (4,), "character_types": CHARACTER_TYPES,
            "affix_types": (), "column_types": (), "contextual_widths": (),
        }  # fmt: skip
        torch.manual_seed(1)
        known = settings_of(config_class(self.task, self.arch))
        small = {name: n for name, n in SMALL.items() if name in known}
        settings = {**sizes, **small, **self.options}
        model = model_class(self.task, self.arch).from_settings(settings)
        assert isinstance(model, Labeler)
        model.learn_from(random_sentences(model, LENGTHS))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.uniform_(-1, 1)
        return model.eval()


def tagger(arch: str, variant: str = "", **options: Any) -> LabelerInstance:
    return LabelerInstance("tagging", arch, variant, options)


def classifier(arch: str, variant: str = "", **options: Any) -> LabelerInstance:
    return LabelerInstance("classification", arch, variant, options)


EVERYTHING: dict[str, Any] = {
    "characters": "lstm", "affix_types": (5, 4), "column_types": (3, 4),
    "contextual_widths": (3, 5, 2, 4), "label_types": (4, 2),
}  # fmt: skip
"""All that can be read of a word, and two columns of labels."""

WORDS_ALONE: dict[str, Any] = {"character_types": 0, "label_types": (4, 3)}
"""What a bag of n-grams is made with, which reads no spelling."""

LABELERS = [
    tagger("ffnn", width=6, dropout_input=0.3),
    tagger("ffnn", "of a word alone", width=6, window=0, characters="none", casing=False),
    tagger("ffnn", "crf", width=6, window=3, crf=True, column_types=(3,)),
    tagger("rnn", width=6, dropout_word=0.3),
    tagger("rnn", "relu, crf", width=5, activation="relu", bidirectional=False, crf=True),
    tagger("lstm", width=6, layers=2, dropout_hidden=0.3),
    tagger("lstm", "crf", width=6, crf=True, characters="lstm", dropout_output=0.3),
    tagger("lstm", "reading everything", width=6, **EVERYTHING),
    tagger("lstm", "reading everything, crf", width=6, crf=True, **EVERYTHING),
    tagger("lstm", "peephole", width=6, layers=2, peephole=True, characters="none"),
    tagger("lstm", "coupled gates", width=6, coupled_gates=True, dropout_weight=0.3),
    tagger("lstm", "with frozen vectors", width=6, vectors_training="frozen"),
    tagger("lstm", "with one label", width=6, label_types=(1,), crf=True),
    tagger("gru", width=6, layers=2, affix_types=(5, 4, 6, 3)),
    tagger("gru", "crf, from the left", width=5, bidirectional=False, crf=True, dropout_weight=0.3),
    tagger("gru", "with a language model", width=6, contextual_widths=(3, 5)),
    tagger("transformer", width=8, heads=2, dropout_hidden=0.3),
    tagger(
        "transformer", "rotary, crf", width=8, heads=4, kv_heads=2, positions="rotary", norm="rms",
        activation="swiglu", bias=False, crf=True,
    ),
    tagger("transformer", "post-norm", width=8, layers=1, heads=2, pre_norm=False),
    tagger("transformer", "without positions", width=8, heads=2, positions="none", **EVERYTHING),
    classifier("bag-of-ngrams", width=5, ngrams=1, **WORDS_ALONE),
    classifier("bag-of-ngrams", "of trigrams", width=5, ngrams=3, ngram_min_count=1, **WORDS_ALONE),
    classifier("bag-of-ngrams", "hierarchical", width=5, hierarchical_softmax=True, **WORDS_ALONE),
    classifier("cnn", filters=4),
    classifier("cnn", "of even and long windows", filters=3, kernels=(1, 2, 8), **EVERYTHING),
    classifier("rnn", width=6, pooling="last"),
    classifier("rnn", "from the left", width=5, pooling="last", bidirectional=False),
    classifier("lstm", width=6, dropout_word=0.3),
    classifier("lstm", "last", width=6, layers=2, pooling="last", peephole=True),
    classifier("lstm", "attention", width=6, pooling="attention", **EVERYTHING),
    classifier("gru", width=6, pooling="mean", dropout_weight=0.3),
    classifier("gru", "attention", width=6, pooling="attention", characters="none"),
    classifier("transformer", width=8, heads=2),
    classifier("transformer", "last", width=8, heads=2, pooling="last"),
]  # fmt: skip


def is_classifier(labeler: Labeler) -> bool:
    """Whether a whole text has one label."""
    classes = [model_class("classification", arch) for arch in architectures("classification")]
    return type(labeler) in classes


# ---------------------------------------------------------------------------------- the sentences


def random_sentences(labeler: Labeler, lengths: list[int]) -> EncodedSentences:
    """Sentences of these `lengths` for `labeler`, with every label and some that are not known."""
    config, rng = labeler.config, np.random.default_rng(2)
    forms, tokens = FORMS, sum(lengths)
    rows = len(lengths) if is_classifier(labeler) else tokens

    def ids(types: int, *shape: int) -> np.ndarray:
        return rng.integers(0, types, shape)

    spelled = rng.integers(2, 7, forms)
    characters = rng.integers(1, CHARACTER_TYPES, (forms, 6))
    table = FormTable(
        words=ids(config.vocab_size, forms),
        characters=np.where(np.arange(6) < spelled[:, None], characters, 0),
        spelled=spelled,
        affixes=stack([ids(types, forms) for types in config.affix_types], forms),
        casing=ids(CASING_TYPES, forms),
    )
    widths = zip(config.contextual_widths[::2], config.contextual_widths[1::2])
    return EncodedSentences(
        table,
        form_of=ids(forms, tokens),
        lengths=np.array(lengths),
        columns=stack([ids(types, tokens) for types in config.column_types], tokens),
        labels=stack([rng.integers(-1, types, rows) for types in config.label_types], rows),
        contextual=tuple(rng.normal(size=(tokens, *size)).astype(np.float32) for size in widths),
    )


def stack(columns: list[np.ndarray], rows: int) -> np.ndarray:
    """(rows, number of columns)."""
    return np.stack(columns, 1) if columns else np.zeros((rows, 0), np.int64)


def batch_of(
    sentences: EncodedSentences, rows: list[int], dtype: torch.dtype = torch.float64
) -> LabeledBatch:
    """The batch of some sentences, as training and `seqlm tag` make it."""
    index = np.array(rows)
    batch = batch_at(sentences, index, sentences.starts[index], sentences.lengths[index], "cpu")
    return batch._replace(contextual=tuple(vectors.to(dtype) for vectors in batch.contextual))
