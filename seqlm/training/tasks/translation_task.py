"""A translator's text: pairs of lines to train on, and held-out ones to validate on.

The source is encoded once, and the whole target behind it trained on in one call, each token from
the true ones before it (teacher forcing). What a validation measures is the loss over all target
tokens, each `</s>` included; and where a metric is asked for, BLEU and chrF of greedy translations
of the held-out source, a line each.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch

from seqlm.decoding.translation_search import Search, translate
from seqlm.errors import UsageError
from seqlm.evaluation.translation_quality import OF_TEXT
from seqlm.models.base import Network, TranslationNetwork
from seqlm.runs.borrowed_vocabulary import given_tokenizers
from seqlm.runs.checkpoint import read_tensors, write_tensors
from seqlm.runs.run_folder import RunFolder
from seqlm.text.batches import IGNORED
from seqlm.text.bitext import (
    PairBatches,
    Parallel,
    Side,
    learn_tokenizer,
    line_lengths,
    read_parallel,
    read_side,
)
from seqlm.text.reading import Block, title
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import UNK
from seqlm.training.config.training_settings import Settings
from seqlm.training.loop import Validate
from seqlm.training.tasks.task import RARE, Files, Text

GREEDY = Search(beam=1)


@dataclass(frozen=True)
class ParallelText(Text):
    sides: Mapping[str, Side]
    """By role."""
    tokenizer: Tokenizer
    source_tokenizer: Tokenizer | None
    train: Parallel
    valid: Parallel | None
    title: str
    max_length: int

    roles: ClassVar = ("source", "target", "valid_source", "valid_target")
    validated_by: ClassVar = "--valid-source and --valid-target"

    @classmethod
    def read(
        cls, files: Files, settings: Settings, errors: str, run: RunFolder | None = None
    ) -> Self:
        sides = {role: read_side(names, errors) for role, names in files.items() if names}
        return cls.of(sides, settings, run, files["source"][0])

    @classmethod
    def of(
        cls, sides: Mapping[str, Side], settings: Settings, run: RunFolder | None, file: str
    ) -> Self:
        if run is None:
            writes, own = vocabularies(sides["source"], sides["target"], settings)
        else:
            writes, own = run.tokenizer, run.source_tokenizer
        reads = own or writes
        longest = settings.max_length
        train = read_parallel(sides["source"], sides["target"], reads, writes, longest)
        valid = None
        if "valid_source" in sides:
            valid = read_parallel(sides["valid_source"], sides["valid_target"], reads, writes)
        return cls(sides, writes, own, train, valid, title(file), longest)

    def keep(self, run: RunFolder) -> None:
        tensors = {
            role: torch.frombuffer(bytearray(side.text), dtype=torch.uint8)
            for role, side in self.sides.items()
        }
        write_tensors(run / "corpus.safetensors", tensors)

    @classmethod
    def kept(cls, run: RunFolder, data: Mapping[str, Any], settings: Settings) -> Self:
        path = run / "corpus.safetensors"
        sides = {
            role: Side([Block(text.numpy().tobytes(), str(path), 1)], str(path))
            for role, text in read_tensors(path).items()
        }
        return cls.of(sides, settings, run, data["source"][0])

    # -- what it holds

    @property
    def reads(self) -> Tokenizer:
        """The source's tokeniser."""
        return self.source_tokenizer or self.tokenizer

    @property
    def validated(self) -> bool:
        return self.valid is not None

    def digests(self) -> dict[str, str]:
        return {role: side.digest for role, side in self.sides.items()}

    def sizes(self) -> dict[str, int]:
        own = self.source_tokenizer
        return {"vocab_size": len(self.tokenizer)} | (
            {"source_vocab_size": len(own)} if own else {}
        )

    def facts(self, settings: Settings) -> dict[str, Any]:
        train, valid = self.train, self.valid
        facts: dict[str, Any] = {
            "lines": len(train.kept),
            "pairs": train.pairs,
            "left_out_blank": train.blank,
            "left_out_long": train.long,
            "source_tokens": len(train.source),
            "tokens": len(train.target),
            "valid_pairs": valid.pairs if valid else 0,
            "valid_left_out_blank": valid.blank if valid else 0,
            "valid_tokens": len(valid.target) if valid else 0,
        }
        if settings.valid_metric != "loss":
            how = OF_TEXT[settings.valid_metric](*[self.held_out()[1]] * 2).signature
            facts["valid_metric"] = f"greedy|{how}"
        return facts

    def describe(self) -> str:
        train, valid, own = self.train, self.valid, self.source_tokenizer
        held = f", {valid.pairs:,} to validate on" if valid else ", no validation text"
        types = f"{len(own):,} and {len(self.tokenizer):,}" if own else f"{len(self.tokenizer):,}"
        unknown = np.mean(np.concatenate([train.source, train.target]) == UNK)
        left_out = {
            "with a blank side": train.blank,
            f"with more than {self.max_length} tokens on a side (--max-length)": train.long,
            "of validation, with a blank side": valid.blank if valid else 0,
        }
        told = [f"\npairs left out, {why}: {n:,}" for why, n in left_out.items() if n]
        return (
            f"corpus: {train.pairs:,} pairs of {len(train.source):,} and {len(train.target):,}"
            f" {self.tokenizer.kind} tokens{held}; {types} types, {unknown:.2%} <unk>"
            + "".join(told)
        )

    def held_out(self) -> tuple[list[str], list[str]]:
        """The lines of the validation pairs."""
        assert self.valid is not None
        kept = np.flatnonzero(self.valid.kept).tolist()
        source, target = (self.sides[role].lines for role in ("valid_source", "valid_target"))
        return [source[at] for at in kept], [target[at] for at in kept]

    # -- what a trainer makes of it

    def fitted(self, settings: Settings, network: Network) -> Settings:
        if settings.valid_metric != "loss" and not self.validated:
            raise UsageError(f"{settings.valid_metric} is of held-out text: {self.validated_by}")
        return replace(settings, context="sentence")

    def batches(self, network: Network, settings: Settings) -> PairBatches:
        return PairBatches(self.train, settings.batch_tokens, settings.seed, network.device)

    def validation(self, network: Network, settings: Settings) -> Validate | None:
        if self.valid is None:
            return None
        assert isinstance(network, TranslationNetwork)
        batches = self.valid_batches(network, settings.batch_tokens)
        lines, references = self.held_out()

        def validate() -> dict[str, float]:
            mode = network.training
            network.eval()
            try:
                figures = {"loss": validation_loss(network, batches)}
                if settings.valid_metric != "loss":
                    said = translate(network, self.reads, self.tokenizer, lines, GREEDY)
                    hypotheses = [one.found[0].text for one in said]
                    for name, measure in OF_TEXT.items():
                        figures[name] = measure(hypotheses, references).score
                return figures
            finally:
                network.train(mode)

        return validate

    def valid_batches(self, network: TranslationNetwork, positions: int) -> PairBatches:
        """All validation pairs that the network can read, which is all where it has no horizon."""
        pairs, horizon = self.valid, network.context_length
        assert pairs is not None
        if horizon is not None:
            source, target = self.sides["valid_source"], self.sides["valid_target"]
            pairs = read_parallel(source, target, self.reads, self.tokenizer, horizon)
            if pairs.long:
                warnings.warn(
                    f"{pairs.long:,} validation pairs are beyond the model's context length of"
                    f" {horizon} tokens: the loss leaves them out",
                    stacklevel=2,
                )
        longest = max(int(line_lengths(ids).max()) for ids in (pairs.source, pairs.target))
        return PairBatches(pairs, max(positions, longest), 0, network.device)


@torch.inference_mode()
def validation_loss(network: TranslationNetwork, batches: PairBatches) -> float:
    """Nats a target token, each `</s>` included, over all of them."""
    total, count = 0.0, 0
    for batch in batches.epoch(0):
        assert batch.source is not None
        assert batch.lengths is not None
        features, *_ = network(batch.inputs, network.encode(batch.source, batch.lengths))
        real = batch.targets != IGNORED
        total -= float(
            network.output_layer.score(features[real], batch.targets[real]).cpu().double().sum()
        )
        count += batch.tokens
    return total / count


def vocabularies(
    source: Side, target: Side, settings: Settings
) -> tuple[Tokenizer, Tokenizer | None]:
    """The target's and the source's, or a joint one and None: of a run or a file, or learnt.

    Errors: UsageError where `--vocab` stands beside what would make another of it.
    """
    kind, size, fewest = settings.tokenizer, settings.vocab_size, settings.min_count
    if settings.vocab is not None:
        if settings.separate or size is not None or fewest is not None:
            raise UsageError(
                "--vocab takes vocabularies whole: no --separate, --vocab-size, --min-count"
            )
        return given_tokenizers(settings.vocab, kind)
    rare = RARE.get(kind, 1)
    if settings.separate:
        writes, own = (learn_tokenizer([x], kind, size, fewest, rare) for x in (target, source))
        return writes, own
    return learn_tokenizer([source, target], kind, size, fewest, rare), None
