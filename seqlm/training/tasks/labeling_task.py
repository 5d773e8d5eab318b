"""Tagging and classification: learn the labels of words, or of whole texts.

The two differ in their formats and in what a label belongs to; both read a corpus of records, and
validate on another or on the last part of it. Validation measures the loss in nats a token (or a
text), all columns of labels together, and a metric of the first column: accuracy, F1 or macro-F1.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, groupby
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch

from seqlm.decoding.contextual_vectors import ContextualVectors
from seqlm.decoding.labeling.label_sentences import add_contextual, as_texts, read_sentences
from seqlm.errors import DataError, ModelError, UsageError, fault_of
from seqlm.evaluation.labeling.label_evaluation import evaluate_labels
from seqlm.evaluation.labeling.text_check import check_text
from seqlm.evaluation.labeling.text_findings import Finding, findings_of
from seqlm.models.labeling.labeler import Labeler
from seqlm.models.labeling.outputs.crf import CRF
from seqlm.models.stored_model import StoredModel, in_evaluation_mode
from seqlm.runs.loading.language_models import read_language_models, write_language_models
from seqlm.runs.loading.load_model import LoadedModel, load_model
from seqlm.runs.loading.locate import locate
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.tensor_files import read_tensors, replace_tensors
from seqlm.runs.vector_files.match_vectors import MatchedVectors, match_vectors
from seqlm.runs.vector_files.read_vectors import read_vectors
from seqlm.text.labeled.encode_records import (
    column_of,
    encode_records,
    learn_label_vocabulary,
    learn_tokenizer,
)
from seqlm.text.labeled.label_vocabulary import LabelVocabulary
from seqlm.text.labeled.labeled_batches import EncodedSentences, LabeledBatches
from seqlm.text.labeled.record import FormatOptions, Record, TaskName, names_in
from seqlm.text.labeled.record_files import parse_records, read_records
from seqlm.text.labeled.tag_schemes import allowed_transitions
from seqlm.text.labeled.word_forms import FormReader
from seqlm.text.normalization import Normalizer
from seqlm.text.reading import short_name
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import UNK
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.tasks.task import FilesByRole, TrainingTask
from seqlm.training.trainer import ValidationFunction

METRICS = ("accuracy", "f1", "macro-f1")


@dataclass(frozen=True)
class LabelingTask(TrainingTask):
    """Records to train on, and others to validate on."""

    train: list[Record]
    valid: list[Record]
    texts: Mapping[str, list[Record]]
    """All records of each role, blank ones too, as they were read."""
    tokenizer: Tokenizer
    labels: LabelVocabulary
    title: str
    vectors: MatchedVectors | None = None
    """Those that the words, without the two reserved ones, start from."""
    language_models: tuple[LoadedModel, ...] = ()
    """Those that the words have features from."""
    source_tokenizer: None = None

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
        check_settings(settings)
        options = format_options(settings)
        texts = {
            role: list(read_records(names, task_name(settings), options, errors))
            for role, names in files.items()
            if names
        }
        task = cls.from_texts(texts, settings, run, files["corpus"][0])
        if run is None:
            for finding in task.findings:
                if finding.is_serious:
                    warnings.warn(finding.message, stacklevel=2)
        return task

    @classmethod
    def from_texts(
        cls,
        texts: Mapping[str, list[Record]],
        settings: TrainingSettings,
        run: RunFolder | None,
        file: str,
    ) -> Self:
        """The task of records in memory. `file`, the name of the corpus, gives it its title."""
        train = [record for record in texts["corpus"] if not record.is_blank]
        valid = [record for record in texts.get("valid", ()) if not record.is_blank]
        if settings.valid_fraction:
            train, valid = split(train, settings.valid_fraction)
        title = short_name(file)
        if run is not None:
            assert run.labels is not None
            check_columns([*train, *valid], run.labels)
            models = read_language_models(run, run.read_config())
            return cls(train, valid, texts, run.tokenizer, run.labels, title, None, models)
        more_words, vectors = [], None
        if settings.vectors is not None and settings.vectors_words:
            more_words = read_vectors(settings.vectors, most=settings.vectors_words).words
        tokenizer, labels = learn_vocabulary(train, settings, more_words)
        check_columns(valid, labels)
        if settings.vectors is not None:
            words = [type_.decode() for type_ in tokenizer.types[2:]]
            vectors = match_vectors(words, settings.vectors, settings.seed)
        models = tuple(load_model(locate(name, "lm")) for name in names_in(settings.features_from))
        return cls(train, valid, texts, tokenizer, labels, title, vectors, models)

    def write_vocabulary(self, run: RunFolder) -> None:
        super().write_vocabulary(run)
        run.write_labels(self.labels)
        write_language_models(run, self.language_models)

    def save_corpus(self, run: RunFolder) -> None:
        tensors = {
            f"{role}.{number}": torch.frombuffer(bytearray(text_of(records)), dtype=torch.uint8)
            for role, of_role in self.texts.items()
            for number, (_, records) in enumerate(groupby(of_role, lambda one: one.format))
        }
        replace_tensors(run / "corpus.safetensors", tensors)

    @classmethod
    def load_corpus(
        cls, run: RunFolder, texts: Mapping[str, Any], settings: TrainingSettings
    ) -> Self:
        path, options = run / "corpus.safetensors", format_options(settings)
        names = [
            f"{role}.{number}"
            for role, text in texts.items()
            for number, _ in enumerate(text["files"])
        ]
        stored = read_tensors(path)
        if stored.keys() != {*names} or any(t.dtype != torch.uint8 for t in stored.values()):
            raise ModelError(f"{path} does not hold the text of {', '.join(texts)}")
        records: dict[str, list[Record]] = {role: [] for role in texts}
        try:
            for name in names:
                lines = iter(lines_in(stored[name]))
                role, _ = name.split(".")
                records[role] += parse_records(lines, str(path), task_name(settings), options)
        except (UnicodeDecodeError, DataError) as error:
            raise ModelError(f"{path} holds no labeled text{fault_of(error)}") from None
        return cls.from_texts(records, settings, run, texts["corpus"]["files"][0])

    # -- the text

    @property
    def has_validation(self) -> bool:
        return bool(self.valid)

    def digests(self) -> dict[str, str]:
        return {
            role: hashlib.sha256(text_of(records)).hexdigest()
            for role, records in self.texts.items()
        }

    def vocabulary_sizes(self) -> dict[str, Any]:
        widths = [model.layer_widths for model in self.contextual]
        sizes = chain.from_iterable((len(layers), max(layers)) for layers in widths)
        embedding = {"embedding": self.vectors.matrix.shape[1]} if self.vectors else {}
        return {
            "vocab_size": len(self.tokenizer),
            **embedding,
            **self.labels.sizes(),
            "contextual_widths": tuple(sizes),
        }

    @cached_property
    def encoded(self) -> EncodedSentences:
        return self.encode(self.train)

    @cached_property
    def encoded_valid(self) -> EncodedSentences:
        return self.encode(self.valid)

    def encode(self, records: Sequence[Record]) -> EncodedSentences:
        reader = FormReader(self.tokenizer, self.labels)
        encoded = encode_records(records, reader, self.labels)
        return add_contextual(encoded, records, self.contextual)

    @cached_property
    def contextual(self) -> list[ContextualVectors]:
        return [ContextualVectors(loaded) for loaded in self.language_models]

    def statistics(self, settings: TrainingSettings) -> dict[str, Any]:
        return {
            "lines": len(self.train),
            "tokens": len(self.encoded.labels),
            "words": len(self.encoded.form_of),
            "types": int(self.encoded.table.words.max()) + 1,
            "valid_tokens": len(self.encoded_valid.labels) if self.valid else 0,
            "language_models": [loaded.weights_digest for loaded in self.language_models],
        }

    def describe(self) -> str:
        unit = "sentences" if self.labels.task == "tagging" else "texts"
        held = f", {len(self.valid):,} to validate on" if self.valid else ", no validation text"
        lines = [
            f"corpus: {len(self.train):,} {unit} of {len(self.encoded.form_of):,} words{held};"
            f" {len(self.tokenizer):,} types, {unknown_share(self.encoded):.2%} <unk>"
        ]
        if self.valid:
            lines.append(
                f"validation: {len(self.encoded_valid.form_of):,} words,"
                f" {unknown_share(self.encoded_valid):.2%} <unk>"
            )
        for column in self.labels.labels:
            scheme = "" if column.text_scheme == "none" else f", scheme {column.text_scheme}"
            if column.model_scheme != column.text_scheme:
                scheme += f", learned as {column.model_scheme}"
            lines.append(f"{column.name}: {len(column.labels):,} labels{scheme}")
        if self.vectors is not None:
            counts = self.vectors
            lines.append(
                f"vectors: of {len(counts.found):,} types {counts.num_as_is:,} are in the file as"
                f" they are, {counts.num_lowercased:,} in lower case and {counts.num_composed:,}"
                f" composed of n-grams: {counts.found.mean():.1%}"
            )
        notes = [finding.message for finding in self.findings if not finding.is_serious]
        return "\n".join([*lines, *notes])

    @cached_property
    def findings(self) -> list[Finding]:
        """What is wrong with the text, or may be."""
        task, columns = cast(TaskName, self.labels.task), self.labels.columns
        checks = [check_text("training text", self.train, task, columns)]
        if self.valid:
            checks.append(check_text("validation text", self.valid, task, columns, checks[0]))
        return [finding for text in checks for finding in findings_of(text)]

    # -- training on it

    def initialize(self, network: StoredModel) -> None:
        assert isinstance(network, Labeler)
        network.learn_from(self.encoded)
        if self.vectors is not None:
            network.start_from(torch.from_numpy(self.vectors.matrix))
        for output, column in zip(network.outputs, self.labels.labels):
            if isinstance(output, CRF):
                allowed = allowed_transitions(column.labels, column.model_scheme)
                output.allow(*map(torch.from_numpy, allowed))

    def complete_settings(
        self, settings: TrainingSettings, network: StoredModel
    ) -> TrainingSettings:
        has_spans = self.labels.labels[0].text_scheme != "none"
        metric = settings.valid_metric or ("f1" if has_spans else "accuracy")
        if metric not in ("loss", *METRICS):
            raise UsageError(
                f"`valid_metric={metric}` is for translations; use loss, {', '.join(METRICS)}"
            )
        return replace(settings, context="sentence", valid_metric=metric)

    def batches(self, network: StoredModel, settings: TrainingSettings) -> LabeledBatches:
        return LabeledBatches(self.encoded, settings.batch_size, settings.seed, network.device)

    def validation_function(
        self, network: StoredModel, settings: TrainingSettings
    ) -> ValidationFunction | None:
        if not self.valid:
            return None
        assert isinstance(network, Labeler)
        metric = settings.valid_metric if settings.valid_metric in METRICS else "accuracy"

        def validate() -> dict[str, float]:
            with in_evaluation_mode(network):
                return self.validate(network, metric, settings.batch_size)

        return validate

    @torch.inference_mode()
    def validate(self, labeler: Labeler, metric: str, batch_size: int) -> dict[str, float]:
        """The loss of the validation records, and a metric of their first column of labels."""
        column, sentences = self.labels.labels[0], self.encoded_valid
        predicted: list[list[str]] = [[]] * len(self.valid)
        total = 0.0
        for rows, batch, distributions in read_sentences(labeler, sentences, batch_size):
            for distribution, labels in zip(distributions, batch.labels.unbind(2)):
                total -= float(distribution.log_likelihood(labels).cpu().double().sum())
            best = distributions[0].decode()
            for row, texts in zip(rows, as_texts(best, distributions[0].lengths, column)):
                predicted[row] = texts
        gold = [record.columns[column.name] for record in self.valid]
        scheme = column.text_scheme if self.labels.task == "tagging" else None
        evaluation = evaluate_labels(gold, predicted, metrics=[metric], scheme=scheme, samples=0)
        return {"loss": total / len(sentences.labels), **evaluation.figures}


# ------------------------------------------------------------------------------------- the text


def format_options(settings: TrainingSettings) -> FormatOptions:
    """How the labeled text is read."""
    columns = names_in(settings.label_column)
    return FormatOptions(settings.format, settings.text_column, columns[0] if columns else None)


def task_name(settings: TrainingSettings) -> TaskName:
    return cast(TaskName, settings.task)


def split(records: list[Record], fraction: float) -> tuple[list[Record], list[Record]]:
    """The first records, and the last `fraction` of them. Errors: DataError where one is empty."""
    held_out = round(len(records) * fraction)
    if not 0 < held_out < len(records):
        raise DataError(
            f"{len(records)} records cannot be split: `valid_fraction={fraction:g}` needs more"
        )
    return records[:-held_out], records[-held_out:]


def check_columns(records: Iterable[Record], labels: LabelVocabulary) -> None:
    """Errors: UsageError where a record lacks a column that is learned, as another format may."""
    for record in records:
        for name in labels.columns:
            column_of(record, name)


def lines_in(text: torch.Tensor) -> list[str]:
    """The lines of a stored text (N,) uint8. Errors: UnicodeDecodeError."""
    return text.numpy().tobytes().decode().removesuffix("\n").split("\n")


def text_of(records: Iterable[Record]) -> bytes:
    """The text that records were read from."""
    return "".join(f"{line}\n" for record in records for line in record.lines).encode()


def learn_vocabulary(
    records: list[Record], settings: TrainingSettings, more_words: Sequence[str]
) -> tuple[Tokenizer, LabelVocabulary]:
    """The words of the training text and `more_words`, and the labels."""
    normalizer, min_count = Normalizer.parse(settings.normalize), settings.min_count or 1
    tokenizer = learn_tokenizer(records, normalizer, settings.vocab_size, min_count, more_words)
    columns = [records[0].format.label_column]
    if settings.task == "tagging":
        columns = names_in(settings.label_column) or columns
    features = names_in(settings.feature_column)
    names = [*columns, *features]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"`label_column` and `feature_column` name {twice[0]} twice")
    labels = learn_label_vocabulary(
        records, settings.task, columns, features, settings.scheme, settings.affixes
    )
    return tokenizer, labels


def unknown_share(sentences: EncodedSentences) -> float:
    """The share of words that are `<unk>`."""
    return float(np.mean(sentences.table.words[sentences.form_of] == UNK))


def check_settings(settings: TrainingSettings) -> None:
    """Errors: UsageError where a setting does not suit labelers."""
    if settings.tokenizer != "word":
        raise UsageError(f"`tokenizer={settings.tokenizer}`: a labeler reads words")
    if settings.arch == "bag-of-ngrams":
        for name in ("vectors", "features_from", "affixes"):
            if getattr(settings, name):
                raise UsageError(f"`{name}`: a bag of n-grams reads words and n-grams alone")
    if settings.vocab is not None:
        raise UsageError("`vocab`: a labeler takes its words from its text and its vectors")
    if Normalizer.parse(settings.normalize).splits_punctuation:
        raise UsageError(
            "`normalize`: punct makes several words of one, and labels belong to words"
        )
