"""Word vectors: learn a vector for each word of a corpus, from the words around it.

Words that are rarer than `min_count` are `<unk>`, and no model reads of these. Where there is
validation text, its loss is measured with the same noise words each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from seqlm.counting.cooccurrences.count_cooccurrences import Sides, count_cooccurrences
from seqlm.counting.cooccurrences.entry_batches import EntryBatches
from seqlm.counting.cooccurrences.ppmi import WholeMatrix, ppmi
from seqlm.errors import DataError, UsageError
from seqlm.machine.memory import keep_freed_memory
from seqlm.models.config.count_vectors_config import CountVectorConfig, GloVeConfig, PPMIConfig
from seqlm.models.stored_model import StoredModel
from seqlm.models.vectors.prediction import LOSS_WORDS
from seqlm.models.vectors.word_vector_model import WordVectorModel
from seqlm.runs.loading.load_vectors import LoadedVectors
from seqlm.runs.run_folder import RunFolder
from seqlm.text.batches import Batches
from seqlm.text.vocabulary import EOS, RESERVED, UNK, count_ids, split_into_chunks
from seqlm.text.word_batches import WordBatches
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.tasks.language_modeling import LanguageModelingTask
from seqlm.training.tasks.phrase_vocabulary import PhraseVocabulary
from seqlm.training.tasks.probe_words import describe_nearest, probe_words
from seqlm.training.tasks.task import FilesByRole
from seqlm.training.trainer import ValidationFunction

FEWEST_STRETCHES, SHORTEST_STRETCH = 200, 1024
"""A short text is cut into so many batches, but into none of fewer words: a few long steps teach
little."""
FEWEST_BATCHES = 40
"""Batches of an epoch of co-occurrences: fewer updates would learn little, whatever they hold."""

FIXED = {"precision": "float32", "average": "none", "grad_accumulation": 1, "weight_decay": 0}
"""Settings that have one value here."""


@dataclass(frozen=True)
class VectorsTask(LanguageModelingTask):
    """The text of a language model, read for the neighborhoods in it."""

    @classmethod
    def read(
        cls,
        files: FilesByRole,
        settings: TrainingSettings,
        errors: str,
        run: RunFolder | None = None,
    ) -> Self:
        if settings.phrases:
            task = super().read(files, settings, errors).with_phrases(settings)
            if run is not None and task.tokenizer.types != run.tokenizer.types:
                raise DataError(f"the phrases of the text are not those of {run.path}")
        else:
            task = super().read(files, settings, errors, run)
        if run is None:
            task.check_words(settings)
        return task

    def check_words(self, settings: TrainingSettings) -> None:
        """Errors: DataError where there is nothing to learn from."""
        if not self.counts[len(RESERVED) :].any():
            remedy = "choose another `vocab`" if settings.vocab else "lower `min_count`"
            raise DataError(f"no word of the training text is in the vocabulary: {remedy}")
        if not has_pairs(self.splits[0]):
            raise DataError("no two words are in one line: there is nothing to learn from")

    def with_phrases(self, settings: TrainingSettings) -> Self:
        """The same text with phrases as words. Errors: UsageError where it has no words."""
        if settings.vocab is not None or self.tokenizer.kind != "word":
            raise UsageError(
                "`phrases` needs words in a vocabulary of its own, without `vocab` and `tokenizer`"
            )
        vocabulary = PhraseVocabulary.learn(
            self.splits[0],
            self.tokenizer,
            passes=settings.phrases,
            threshold=settings.phrase_threshold,
            min_count=settings.min_count or settings.default_min_count,
            vocab_size=settings.vocab_size,
            memory=self.memory,
        )
        valid = self.valid_corpus
        return replace(
            self,
            corpus=vocabulary.apply(self.corpus),
            valid_corpus=valid and vocabulary.apply(valid),
            tokenizer=vocabulary.tokenizer,
        )

    # -- the text

    @cached_property
    def words(self) -> list[str]:
        """All that have a vector, without the reserved ones."""
        return self.tokenizer.words

    @cached_property
    def counts(self) -> np.ndarray:
        """(V,) int64, how often each id is in the training text."""
        return count_ids(self.splits[0], len(self.tokenizer))

    def statistics(self, settings: TrainingSettings) -> dict[str, Any]:
        words = int(self.counts[len(RESERVED) :].sum())
        return {**super().statistics(settings), "words": words}

    def describe(self) -> str:
        words, unknown = int(self.counts[len(RESERVED) :].sum()), int(self.counts[UNK])
        return (
            f"corpus: {words + unknown:,} words in {int(self.counts[EOS]):,} lines;"
            f" {len(self.tokenizer) - len(RESERVED):,} words have a vector, {unknown:,} occurrences"
            " of others are left out"
        )

    # -- training on it

    def initialize(self, network: StoredModel) -> None:
        assert isinstance(network, WordVectorModel)
        network.learn_from(self.counts, list(self.tokenizer.types))

    def complete_settings(
        self, settings: TrainingSettings, network: StoredModel
    ) -> TrainingSettings:
        for name, needed in FIXED.items():
            if getattr(settings, name) not in (None, needed):
                raise UsageError(f"word vectors are trained with `{name}={needed}`")
        assert isinstance(network, WordVectorModel)
        if isinstance(network.config, CountVectorConfig) and self.has_validation:
            raise UsageError(
                f"`arch={settings.arch}` learns from the counts of its text, which no other text"
                " measures: leave out `valid` and `valid_fraction`"
            )
        self.probe(settings)  # which fails where a word has no vector
        return replace(settings, context="sentence", valid_metric="loss")

    def batches(self, network: StoredModel, settings: TrainingSettings) -> Batches:
        assert isinstance(network, WordVectorModel)
        if isinstance(network.config, CountVectorConfig):
            return self.count_batches(network, settings)
        return self.word_batches(self.splits[0], network, settings)

    def count_batches(self, network: WordVectorModel, settings: TrainingSettings) -> Batches:
        """The co-occurrences of the text. Errors: DataError where there are none."""
        config = network.config
        sides: Sides = config.sides if isinstance(config, GloVeConfig) else "both"
        memory = self.memory
        counts = count_cooccurrences(
            self.splits[0], config.vocab_size, config.window, config.distance_weight, sides, memory
        )
        pairs = len(counts.columns)
        if pairs == 0:
            raise DataError("no two words are in one line: there is nothing to learn from")
        if isinstance(config, PPMIConfig):
            matrix = ppmi(counts, config.shift, config.context_smoothing, memory)
            if matrix.num_targets == 0:
                raise DataError("no two words are together more often than by chance")
            return WholeMatrix(matrix)
        size = min(settings.batch_size, -(-pairs // FEWEST_BATCHES))
        return EntryBatches(counts, size, settings.seed, network.device, memory)

    def word_batches(
        self, ids: np.ndarray, network: WordVectorModel, settings: TrainingSettings
    ) -> WordBatches:
        keep_freed_memory()
        sample, seed = network.config.subsample, settings.seed
        size = min(settings.batch_size, max(SHORTEST_STRETCH, len(ids) // FEWEST_STRETCHES))
        return WordBatches(ids, self.counts, sample, size, seed, network.device)

    def probe(self, settings: TrainingSettings) -> list[str]:
        """Words to look at while they are learned. Errors: UsageError where one has no vector."""
        return probe_words(settings.probe, self.words, self.counts[len(RESERVED) :])

    def remark(self, network: StoredModel, settings: TrainingSettings) -> str:
        assert isinstance(network, WordVectorModel)
        table = LoadedVectors(
            words=self.words,
            vectors=network.word_vectors()[len(RESERVED) :].cpu().numpy(),
            path=Path(self.title),
            weights_digest="",
        )
        return describe_nearest(self.probe(settings), table)

    def validation_function(
        self, network: StoredModel, settings: TrainingSettings
    ) -> ValidationFunction | None:
        valid = self.splits[1]
        if valid is None:
            return None
        assert isinstance(network, WordVectorModel)
        # Of a batch, the loss of the first words is known: here they are all.
        small = replace(settings, batch_size=min(settings.batch_size, LOSS_WORDS))
        batches = self.word_batches(valid, network, small).epoch(0)

        @torch.no_grad()
        def validate() -> Mapping[str, float]:
            devices = [network.device] if network.device.type == "cuda" else []
            with torch.random.fork_rng(devices):
                torch.manual_seed(settings.seed)
                losses = [float(network.loss(batch)) * batch.num_targets for batch in batches]
            return {"loss": sum(losses) / sum(batch.num_targets for batch in batches)}

        return validate


def has_pairs(ids: np.ndarray) -> bool:
    """Whether two words are in one line of a text (N,)."""
    last = EOS  # of the tokens so far that are known
    for chunk in split_into_chunks(ids):
        known = np.append(last, chunk[chunk != UNK])
        if ((known[1:] != EOS) & (known[:-1] != EOS)).any():
            return True
        last = known[-1]
    return False
