"""Translation: predict each line of a target text from the same line of a source text.

The source is encoded once, and the loss of the whole target computed in one call, each token
predicted from the source and the true tokens before it (teacher forcing). With `bpe_dropout` the
text has other tokens in every epoch (`text/bpe/bpe_dropout.py`). Validation measures the loss over
all target tokens, each `</s>` included. If the setting `valid_metric` names one, it also measures
BLEU and chrF of greedy translations of the validation source.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.translation.translation_search import translate
from seqlm.errors import ModelError, UsageError, fault_of
from seqlm.evaluation.metrics import METRICS, tokenized
from seqlm.evaluation.perplexity import tally_text
from seqlm.evaluation.unknown_words import warn_of_unknown
from seqlm.models.base import TranslationNetwork
from seqlm.models.stored_model import StoredModel, in_evaluation_mode
from seqlm.runs.loading.borrowed_vocabulary import borrowed_tokenizers, kind_named
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.tensor_files import read_tensors, replace_tensors
from seqlm.text.batches import IGNORE_INDEX
from seqlm.text.bitext import (
    EncodedBitext,
    PairBatches,
    Sampler,
    Side,
    check_line_counts,
    encode_bitext,
    learn_tokenizer,
    line_lengths,
    read_side,
)
from seqlm.text.bpe.bpe_dropout import BPEDropout
from seqlm.text.normalization import Normalizer
from seqlm.text.reading import Block, short_name
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import UNK
from seqlm.training.config.training_settings import DEFAULT_MIN_COUNT, TrainingSettings
from seqlm.training.tasks.task import FilesByRole, TrainingTask
from seqlm.training.trainer import ValidationFunction

GREEDY = TranslationSettings(beam=1)


@dataclass(frozen=True)
class TranslationTask(TrainingTask):
    """Pairs of lines to train on, and others to validate on."""

    sides: Mapping[str, Side]
    """The text of each role."""
    tokenizer: Tokenizer
    source_tokenizer: Tokenizer | None
    train: EncodedBitext
    valid: EncodedBitext | None
    title: str
    max_length: int

    roles: ClassVar = ("source", "target", "valid_source", "valid_target")
    validation_settings: ClassVar = "`valid_source` and `valid_target`"

    @classmethod
    def read(
        cls,
        files: FilesByRole,
        settings: TrainingSettings,
        errors: str,
        run: RunFolder | None = None,
    ) -> Self:
        sides = {role: read_side(names, errors) for role, names in files.items() if names}
        return cls.from_sides(sides, settings, run, files["source"][0])

    @classmethod
    def from_sides(
        cls, sides: Mapping[str, Side], settings: TrainingSettings, run: RunFolder | None, file: str
    ) -> Self:
        """The task of texts in memory. `file`, the name of the source, gives the task its title."""
        for sides_of in (("source", "target"), ("valid_source", "valid_target")):
            if sides_of[0] in sides:
                check_line_counts(*(sides[side] for side in sides_of))
        if run is None:
            tokenizer, separate = make_tokenizers(sides["source"], sides["target"], settings)
        else:
            tokenizer, separate = run.tokenizer, run.source_tokenizer
        tokenizers = separate or tokenizer, tokenizer
        max_length = settings.max_length
        train = encode_bitext(sides["source"], sides["target"], *tokenizers, max_length)
        valid = None
        if "valid_source" in sides:
            valid = encode_bitext(sides["valid_source"], sides["valid_target"], *tokenizers)
            if run is None:
                for side, one in zip(("source", "target"), tokenizers):
                    tally, _ = tally_text(one, sides[f"valid_{side}"].blocks)
                    warn_of_unknown(tally, one, f"the validation {side}")
        return cls(sides, tokenizer, separate, train, valid, short_name(file), max_length)

    def save_corpus(self, run: RunFolder) -> None:
        tensors = {
            role: torch.frombuffer(bytearray(side.text), dtype=torch.uint8)
            for role, side in self.sides.items()
        }
        replace_tensors(run / "corpus.safetensors", tensors)

    @classmethod
    def load_corpus(
        cls, run: RunFolder, texts: Mapping[str, Any], settings: TrainingSettings
    ) -> Self:
        path = run / "corpus.safetensors"
        stored = read_tensors(path)
        if stored.keys() != texts.keys() or any(t.dtype != torch.uint8 for t in stored.values()):
            raise ModelError(f"{path} does not hold the text of {', '.join(texts)}")
        try:
            sides = {
                role: Side([Block(check_text(text), str(path), 1)], str(path))
                for role, text in stored.items()
            }
        except UnicodeDecodeError as error:
            raise ModelError(f"{path} holds no text{fault_of(error)}") from None
        return cls.from_sides(sides, settings, run, texts["source"]["files"][0])

    # -- the text

    @property
    def encoder_tokenizer(self) -> Tokenizer:
        """The tokenizer of the source, whether it is that of the target or not."""
        return self.source_tokenizer or self.tokenizer

    @property
    def has_validation(self) -> bool:
        return self.valid is not None

    def digests(self) -> dict[str, str]:
        return {role: side.digest for role, side in self.sides.items()}

    def vocabulary_sizes(self) -> dict[str, int]:
        sizes = {"vocab_size": len(self.tokenizer)}
        if self.source_tokenizer is not None:
            sizes["source_vocab_size"] = len(self.source_tokenizer)
        return sizes

    def statistics(self, settings: TrainingSettings) -> dict[str, Any]:
        train, valid = self.train, self.valid
        statistics: dict[str, Any] = {
            "lines": len(train.is_kept),
            "pairs": train.num_pairs,
            "left_out_blank": train.num_blank,
            "left_out_long": train.num_long,
            "source_tokens": len(train.source),
            "tokens": len(train.target),
            "valid_pairs": valid.num_pairs if valid else 0,
            "valid_left_out_blank": valid.num_blank if valid else 0,
            "valid_tokens": len(valid.target) if valid else 0,
        }
        if settings.valid_metric in ("bleu", "chrf"):
            _, references = self.validation_lines()
            (metric,) = tokenized([METRICS[settings.valid_metric]], settings.bleu_tokenize)
            assert metric.of_translations
            signature = metric.of_translations(references, references).signature
            statistics["valid_metric"] = f"greedy|{signature}"
        return statistics

    def describe(self) -> str:
        train, valid = self.train, self.valid
        held = f", {valid.num_pairs:,} to validate on" if valid else ", no validation text"
        types = f"{len(self.tokenizer):,}"
        if self.source_tokenizer is not None:
            types = f"{len(self.source_tokenizer):,} and {types}"
        unknown = np.mean(np.concatenate([train.source, train.target]) == UNK)
        left_out = {
            "with a blank side": train.num_blank,
            f"with more than {self.max_length} tokens on a side (`max_length`)": train.num_long,
            "of validation, with a blank side": valid.num_blank if valid else 0,
        }
        lines = [f"\npairs left out, {reason}: {n:,}" for reason, n in left_out.items() if n]
        return (
            f"corpus: {train.num_pairs:,} pairs of {len(train.source):,} and {len(train.target):,}"
            f" {self.tokenizer.kind} tokens{held}; {types} types, {unknown:.2%} <unk>"
            + "".join(lines)
        )

    def validation_lines(self) -> tuple[list[str], list[str]]:
        """The source and target lines of the validation pairs."""
        assert self.valid is not None
        indices = np.flatnonzero(self.valid.is_kept).tolist()
        source, target = (self.sides[role].lines for role in ("valid_source", "valid_target"))
        return [source[index] for index in indices], [target[index] for index in indices]

    # -- training on it

    def complete_settings(
        self, settings: TrainingSettings, network: StoredModel
    ) -> TrainingSettings:
        metric = settings.valid_metric or "loss"
        if metric not in ("loss", "bleu", "chrf"):
            raise UsageError(f"`valid_metric={metric}` is for labels; use loss, bleu or chrf")
        if metric != "loss" and not self.has_validation:
            raise UsageError(
                f"`valid_metric={metric}` needs validation text: {self.validation_settings}"
            )
        assert isinstance(network, TranslationNetwork)
        if settings.r_drop and not network.output_layer.supports_label_smoothing:
            raise UsageError("`r_drop` needs `softmax=full`, which computes every type")
        kinds = {self.encoder_tokenizer.kind, self.tokenizer.kind}
        if settings.bpe_dropout and kinds != {"bpe"}:
            raise UsageError("`bpe_dropout` needs tokens that seqlm learns, `tokenizer=bpe`")
        return replace(settings, context="sentence", valid_metric=metric)

    def batches(self, network: StoredModel, settings: TrainingSettings) -> PairBatches:
        return PairBatches(
            self.train, settings.batch_tokens, settings.seed, network.device,
            self.samplers(settings.bpe_dropout),
        )  # fmt: skip

    def samplers(self, p: float) -> list[Sampler]:
        """What gives the ids of the source and of the target anew, with BPE-dropout `p`; none
        without it. A line of more than `max_length` tokens keeps those that it usually has."""
        if p == 0:
            return []
        tokenizers = self.encoder_tokenizer, self.tokenizer
        return [
            partial(BPEDropout(tokenizer, self.sides[role].blocks, p).sample, self.max_length)
            for role, tokenizer in zip(("source", "target"), tokenizers)
        ]

    def validation_function(
        self, network: StoredModel, settings: TrainingSettings
    ) -> ValidationFunction | None:
        if self.valid is None:
            return None
        assert isinstance(network, TranslationNetwork)
        batches = self.validation_batches(network, settings.batch_tokens)
        sources, references = self.validation_lines()

        def validate() -> dict[str, float]:
            with in_evaluation_mode(network):
                figures = {"loss": validation_loss(network, batches)}
                if settings.valid_metric != "loss":
                    translated = translate(
                        network, self.encoder_tokenizer, self.tokenizer, sources, GREEDY
                    )
                    hypotheses = [line.best.text for line in translated]
                    for metric in tokenized(METRICS.values(), settings.bleu_tokenize):
                        if metric.of_translations:
                            score = metric.of_translations(hypotheses, references)
                            figures[metric.name] = score.value
                return figures

        return validate

    def validation_batches(self, network: TranslationNetwork, positions: int) -> PairBatches:
        """The validation pairs in batches of about `positions` positions.

        Pairs beyond the context length of the network, if it has one, are left out with a warning.
        """
        pairs, max_length = self.valid, network.context_length
        assert pairs is not None
        if max_length is not None:
            source, target = self.sides["valid_source"], self.sides["valid_target"]
            pairs = encode_bitext(
                source, target, self.encoder_tokenizer, self.tokenizer, max_length
            )
            if pairs.num_long:
                warnings.warn(
                    f"{pairs.num_long:,} validation pairs are beyond the model's context length of"
                    f" {max_length} tokens: the loss leaves them out",
                    stacklevel=2,
                )
        longest = max(int(line_lengths(ids).max()) for ids in (pairs.source, pairs.target))
        return PairBatches(pairs, max(positions, longest), 0, network.device)


@torch.inference_mode()
def validation_loss(network: TranslationNetwork, batches: PairBatches) -> float:
    """The mean loss in nats per target token, `</s>` included, over all pairs."""
    total, count = 0.0, 0
    for batch in batches.epoch(0):
        assert batch.source is not None
        assert batch.source_lengths is not None
        features, *_ = network(batch.inputs, network.encode(batch.source, batch.source_lengths))
        is_real = batch.targets != IGNORE_INDEX
        scores = network.output_layer.score(features[is_real], batch.targets[is_real])
        total -= float(scores.cpu().double().sum())
        count += batch.num_targets
    return total / count


def make_tokenizers(
    source: Side, target: Side, settings: TrainingSettings
) -> tuple[Tokenizer, Tokenizer | None]:
    """The tokenizers of the target and of the source, or a joint one and None.

    They come from the run or file that the setting `vocab` names, or else are learned from the
    text. Errors: UsageError if `vocab` is combined with a setting that would change it.
    """
    kind, size, min_count = kind_named(settings.tokenizer), settings.vocab_size, settings.min_count
    normalizer = Normalizer.parse(settings.normalize)
    if (settings.vocab is not None or kind == "pretrained") and (
        settings.separate_vocab or size is not None or min_count is not None
    ):
        raise UsageError(
            "`vocab_size`, `min_count` and `separate_vocab` cannot be combined with `vocab`, or"
            " with a pretrained `tokenizer`"
        )
    if borrowed := borrowed_tokenizers(settings.vocab, settings.tokenizer, normalizer, "bpe"):
        return borrowed

    def learn(sides: list[Side]) -> Tokenizer:
        default_min_count = DEFAULT_MIN_COUNT.get(kind, 1)
        return learn_tokenizer(sides, kind, size, min_count, default_min_count, normalizer)

    if settings.separate_vocab:
        return learn([target]), learn([source])
    return learn([source, target]), None


def check_text(text: Tensor) -> bytes:
    """The bytes of `text` (N,). Errors: UnicodeDecodeError."""
    data: bytes = text.numpy().tobytes()
    data.decode()
    return data
