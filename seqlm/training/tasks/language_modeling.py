"""A language model's text: ids to train on, in the context that the model reads them in.

carried    one stream, in rows that run in parallel      recurrent and state-space models
window     the stream in blocks                          models with a horizon
sentence   line by line                                  any, where it is asked for
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch

from seqlm.errors import UsageError
from seqlm.evaluation.scoring import validation_loss
from seqlm.models.base import LanguageNetwork, Network
from seqlm.runs.borrowed_vocabulary import given_tokenizer
from seqlm.runs.checkpoint import read_tensors, write_tensors
from seqlm.runs.run_folder import RunFolder
from seqlm.text.batches import (
    Batches,
    LineBatches,
    StreamBatches,
    VariableBatches,
    WindowBatches,
)
from seqlm.text.corpus import Corpus, read_corpus, tail
from seqlm.text.reading import title
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import UNK
from seqlm.training.config.training_settings import Settings
from seqlm.training.loop import Validate
from seqlm.training.tasks.task import RARE, Files, Text


@dataclass(frozen=True)
class LanguageText(Text):
    """A corpus, and what of it or beside it is validated on."""

    corpus: Corpus
    held_out: Corpus | None
    fraction: float | None
    tokenizer: Tokenizer
    title: str
    source_tokenizer: None = None

    roles: ClassVar = ("corpus", "valid")
    validated_by: ClassVar = "--valid or --valid-fraction"

    @classmethod
    def read(
        cls, files: Files, settings: Settings, errors: str, run: RunFolder | None = None
    ) -> Self:
        if run is not None:
            corpus = read_corpus(files["corpus"], run.tokenizer, errors=errors)
        else:
            corpus = read_corpus(
                files["corpus"],
                tokenizer=given_tokenizer(settings.vocab, settings.tokenizer),
                kind=settings.tokenizer,
                vocab_size=settings.vocab_size,
                min_count=settings.min_count,
                errors=errors,
                rare=RARE.get(settings.tokenizer, 1),
                held_out=settings.valid_fraction or 0.0,
            )
        held_out = None
        if files["valid"]:
            held_out = read_corpus(files["valid"], corpus.tokenizer, errors=errors)
        text = cls(
            corpus, held_out, settings.valid_fraction, corpus.tokenizer, title(files["corpus"][0])
        )
        if text.unknown > 0.5 and run is None:
            warnings.warn(
                "most of the corpus is <unk>; --min-count 1 keeps rare types", stacklevel=2
            )
        return text

    def keep(self, run: RunFolder) -> None:
        kept = {"corpus": self.corpus.ids}
        if self.held_out is not None:
            kept["valid"] = self.held_out.ids
        tensors = {name: torch.from_numpy(ids) for name, ids in kept.items()}
        write_tensors(run / "corpus.safetensors", tensors)

    @classmethod
    def kept(cls, run: RunFolder, data: Mapping[str, Any], settings: Settings) -> Self:
        ids = {n: t.numpy() for n, t in read_tensors(run / "corpus.safetensors").items()}
        corpus, held_out = (
            Corpus(ids[role], run.tokenizer, data[digest]) if role in ids else None
            for role, digest in (("corpus", "sha256"), ("valid", "valid_sha256"))
        )
        assert corpus is not None
        return cls(
            corpus, held_out, settings.valid_fraction, run.tokenizer, title(data["corpus"][0])
        )

    # -- what it holds

    @cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Training and validation ids: another text's, or the last `fraction` of this one."""
        ids = self.corpus.ids
        if self.held_out is not None:
            return ids, self.held_out.ids
        if not self.fraction:
            return ids, None
        cut = tail(ids, self.fraction)
        return ids[:cut], ids[cut:]

    @property
    def validated(self) -> bool:
        return self.parts[1] is not None

    @cached_property
    def unknown(self) -> float:
        """The share of the training text that is `<unk>`."""
        return float(np.mean(self.parts[0] == UNK))

    def digests(self) -> dict[str, str]:
        known = {"corpus": self.corpus, "valid": self.held_out}
        return {role: text.digest for role, text in known.items() if text is not None}

    def sizes(self) -> dict[str, int]:
        return {"vocab_size": len(self.tokenizer)}

    def facts(self, settings: Settings) -> dict[str, Any]:
        train, valid = self.parts
        return {"tokens": len(train), "valid_tokens": 0 if valid is None else len(valid)}

    def describe(self) -> str:
        train, valid = self.parts
        held = f", {len(valid):,} to validate on" if valid is not None else ", no validation text"
        return (
            f"corpus: {len(train):,} {self.tokenizer.kind} tokens{held};"
            f" {len(self.tokenizer):,} types, {self.unknown:.2%} <unk>"
        )

    # -- what a trainer makes of it

    def fitted(self, settings: Settings, network: Network) -> Settings:
        """With the model's context, where they name none."""
        bounded = network.context_length is not None
        context = settings.context or ("window" if bounded else "carried")
        if context == "carried" and bounded:
            raise UsageError(
                f"--context carried: {settings.arch} reads {network.context_length} tokens at most;"
                " window or sentence"
            )
        if context == "window" and not bounded:
            raise UsageError(
                f"--context window: {settings.arch} has no window to fill; carried or sentence"
            )
        if settings.variable_length and context != "carried":
            raise UsageError(f"--variable-length is for carried context; this one is {context}")
        return replace(settings, context=context)

    def batches(self, network: Network, settings: Settings) -> Batches:
        return batches_of(self.parts[0], network, settings)

    def validation(self, network: Network, settings: Settings) -> Validate | None:
        valid, context = self.parts[1], settings.context
        if valid is None:
            return None
        assert context is not None
        assert isinstance(network, LanguageNetwork)
        return lambda: {"loss": validation_loss(network, valid, context, settings.batch_size)}


def batches_of(ids: np.ndarray, network: Network, settings: Settings) -> Batches:
    """`ids` (N,) in the batches of a context."""
    rows, length, seed, device = settings.batch_size, settings.length, settings.seed, network.device
    if settings.context == "sentence":
        return LineBatches(ids, rows, seed, device, longest=network.context_length)
    if settings.context == "window":
        return WindowBatches(ids, rows, length, seed, device)
    if settings.variable_length:
        return VariableBatches(ids, rows, length, seed, device)
    return StreamBatches(ids, rows, length, device)
