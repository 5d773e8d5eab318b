"""Language modeling: predict each token of a corpus from those before it, within a context.

carried    the corpus as one stream, cut into parallel rows    recurrent and state-space models
window     the stream in blocks                                models with a context length
sentence   line by line                                        any model, if the setting says so
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Self

import numpy as np
import torch

from seqlm.errors import ModelError, UsageError
from seqlm.evaluation.perplexity import Tally
from seqlm.evaluation.scoring import validation_loss
from seqlm.evaluation.unknown_words import warn_of_unknown
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.models.base import LanguageNetwork
from seqlm.models.stored_model import StoredModel
from seqlm.runs.loading.borrowed_vocabulary import borrowed_tokenizer, kind_named
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.tensor_files import read_tensors, replace_tensors
from seqlm.text.batches import (
    Batches,
    LineBatches,
    StreamBatches,
    VariableBatches,
    WindowBatches,
)
from seqlm.text.corpus import Corpus, held_out_start, read_corpus
from seqlm.text.normalization import Normalizer
from seqlm.text.reading import short_name
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import UNK
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.tasks.task import FilesByRole, TrainingTask
from seqlm.training.trainer import ValidationFunction


@dataclass(frozen=True)
class LanguageModelingTask(TrainingTask):
    """A corpus, with validation text of its own or the last part of it as such."""

    corpus: Corpus
    valid_corpus: Corpus | None
    valid_fraction: float | None
    tokenizer: Tokenizer
    title: str
    source_tokenizer: None = None
    memory: Memory = IN_MEMORY
    """Where the text is, and what is made of it."""

    roles: ClassVar = ("corpus", "valid")
    validation_settings: ClassVar = "`valid` or `valid_fraction`"

    @classmethod
    def read(
        cls,
        files: FilesByRole,
        settings: TrainingSettings,
        errors: str,
        run: RunFolder | None = None,
    ) -> Self:
        memory = Memory(settings.memory_limit)
        if run is not None:
            corpus = read_corpus(files["corpus"], run.tokenizer, errors=errors, memory=memory)
        else:
            normalizer = Normalizer.parse(settings.normalize)
            borrowed = borrowed_tokenizer(settings.vocab, settings.tokenizer, normalizer)
            corpus = read_corpus(
                files["corpus"],
                tokenizer=borrowed.in_direction(settings.direction) if borrowed else None,
                kind=kind_named(settings.tokenizer),
                normalizer=normalizer,
                vocab_size=settings.vocab_size,
                min_count=settings.min_count,
                errors=errors,
                default_min_count=settings.default_min_count,
                held_out_fraction=settings.valid_fraction or 0.0,
                direction=settings.direction,
                memory=memory,
            )
        valid = None
        if files.get("valid"):
            tally = Tally()
            valid = read_corpus(
                files["valid"],
                corpus.tokenizer,
                errors=errors,
                observe=partial(tally.add_encoded, corpus.tokenizer),
            )
            if run is None:
                warn_of_unknown(tally, corpus.tokenizer, "the validation text")
        title, fraction = short_name(files["corpus"][0]), settings.valid_fraction
        task = cls(corpus, valid, fraction, corpus.tokenizer, title, memory=memory)
        if task.unk_share > 0.5 and run is None:
            warnings.warn(
                "most of the corpus is <unk>; set `min_count=1` to keep rare words",
                stacklevel=2,
            )
        return task

    def save_corpus(self, run: RunFolder) -> None:
        tensors = {"corpus": torch.from_numpy(self.corpus.ids)}
        if self.valid_corpus is not None:
            tensors["valid"] = torch.from_numpy(self.valid_corpus.ids)
        replace_tensors(run / "corpus.safetensors", tensors)

    @classmethod
    def load_corpus(
        cls, run: RunFolder, texts: Mapping[str, Any], settings: TrainingSettings
    ) -> Self:
        path = run / "corpus.safetensors"
        ids = {name: tensor.numpy() for name, tensor in read_tensors(path).items()}
        for role, each in ids.items():
            if each.dtype != np.int32 or each.ndim != 1 or each.size == 0 or role not in texts:
                raise ModelError(f"{path}: {role} holds no ids")
            if each.min() < 0 or each.max() >= len(run.tokenizer):
                raise ModelError(f"{path}: {role} holds ids that the vocabulary does not have")
        if "corpus" not in ids:
            raise ModelError(f"{path} has no corpus")
        corpus, valid = (
            Corpus(ids[role], run.tokenizer, texts[role]["sha256"]) if role in ids else None
            for role in ("corpus", "valid")
        )
        assert corpus is not None
        name = short_name(texts["corpus"]["files"][0])
        return cls(corpus, valid, settings.valid_fraction, run.tokenizer, name)

    # -- the text

    @cached_property
    def splits(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Training and validation ids. Without a validation corpus, the last `valid_fraction` of
        the corpus is held out for validation."""
        ids = self.corpus.ids
        if self.valid_corpus is not None:
            return ids, self.valid_corpus.ids
        if not self.valid_fraction:
            return ids, None
        cut = held_out_start(ids, self.valid_fraction)
        return ids[:cut], ids[cut:]

    @property
    def has_validation(self) -> bool:
        return self.splits[1] is not None

    @cached_property
    def unk_share(self) -> float:
        """The share of the training tokens that are `<unk>`."""
        return float(np.mean(self.splits[0] == UNK))

    def digests(self) -> dict[str, str]:
        corpora = {"corpus": self.corpus, "valid": self.valid_corpus}
        return {role: corpus.digest for role, corpus in corpora.items() if corpus is not None}

    def vocabulary_sizes(self) -> dict[str, int]:
        return {"vocab_size": len(self.tokenizer)}

    def statistics(self, settings: TrainingSettings) -> dict[str, Any]:
        train, valid = self.splits
        return {"tokens": len(train), "valid_tokens": 0 if valid is None else len(valid)}

    def describe(self) -> str:
        train, valid = self.splits
        held = f", {len(valid):,} to validate on" if valid is not None else ", no validation text"
        return (
            f"corpus: {len(train):,} {self.tokenizer.kind} tokens{held};"
            f" {len(self.tokenizer):,} types, {self.unk_share:.2%} <unk>"
            + ("; every line is read backward" if self.tokenizer.is_backward else "")
        )

    # -- training on it

    def complete_settings(
        self, settings: TrainingSettings, network: StoredModel
    ) -> TrainingSettings:
        """The settings with the context of the model, if they name none."""
        assert isinstance(network, LanguageNetwork)
        bounded = network.context_length is not None
        context = settings.context or ("window" if bounded else "carried")
        if context == "carried" and bounded:
            raise UsageError(
                f"`context=carried`: {settings.arch} reads at most {network.context_length} tokens;"
                " use window or sentence"
            )
        if context == "window" and not bounded:
            raise UsageError(
                f"`context=window`: {settings.arch} has no window to fill; use carried or sentence"
            )
        if settings.variable_length and context != "carried":
            raise UsageError(f"`variable_length` needs `context=carried`, and it is {context}")
        return replace(settings, context=context, valid_metric="loss")

    def batches(self, network: StoredModel, settings: TrainingSettings) -> Batches:
        assert isinstance(network, LanguageNetwork)
        return make_batches(self.splits[0], network, settings)

    def validation_function(
        self, network: StoredModel, settings: TrainingSettings
    ) -> ValidationFunction | None:
        valid, context = self.splits[1], settings.context
        if valid is None:
            return None
        assert context is not None
        assert isinstance(network, LanguageNetwork)
        return lambda: {"loss": validation_loss(network, valid, context, settings.batch_size)}


def make_batches(ids: np.ndarray, network: LanguageNetwork, settings: TrainingSettings) -> Batches:
    """Batches of `ids` (N,) for the context that the settings name; `carried` if they name none."""
    rows, length, seed = settings.batch_size, settings.seq_length, settings.seed
    device = network.device
    if settings.context == "sentence":
        return LineBatches(ids, rows, seed, device, max_length=network.context_length)
    if settings.context == "window":
        return WindowBatches(ids, rows, length, seed, device)
    if settings.variable_length:
        return VariableBatches(ids, rows, length, seed, device)
    return StreamBatches(ids, rows, length, device)
