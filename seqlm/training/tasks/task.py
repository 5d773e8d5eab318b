"""The interface of a training task: its text, its batches, and how the network is validated.

Text comes in files, each with a role: `corpus` and `valid` for a language model or a labeler,
`source`, `target`, `valid_source` and `valid_target` for a translator. config.yaml records their
names and digests by role.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from seqlm.models.stored_model import StoredModel
from seqlm.runs.run_folder import RunFolder
from seqlm.text.batches import Batches
from seqlm.text.tokenizer import Tokenizer
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.trainer import ValidationFunction

FilesByRole = Mapping[str, list[str]]
"""The files of each role; the list may be empty, or the role missing."""


class TrainingTask(ABC):
    """Text with its vocabulary, and what a trainer needs to learn from it."""

    roles: ClassVar[tuple[str, ...]]
    validation_settings: ClassVar[str]
    """The settings that provide validation text, for messages."""

    tokenizer: Tokenizer
    source_tokenizer: Tokenizer | None
    """The tokenizer of a translator's source, if it is not `tokenizer`."""
    title: str
    """The name of the text, from which a new run gets its name."""

    @classmethod
    @abstractmethod
    def read(
        cls,
        files: FilesByRole,
        settings: TrainingSettings,
        errors: str,
        run: RunFolder | None = None,
    ) -> Self:
        """Reads the text, with the vocabulary of `run` where one is resumed.

        `errors` is 'strict' or 'replace', for invalid UTF-8. Errors: DataError, UsageError.
        """

    def write_vocabulary(self, run: RunFolder) -> None:
        """Stores what text is read with in the run folder."""
        run.write_tokenizer(self.tokenizer, self.source_tokenizer)

    @abstractmethod
    def save_corpus(self, run: RunFolder) -> None:
        """Stores the text in the run folder, as text from a pipe cannot be read again."""

    @classmethod
    @abstractmethod
    def load_corpus(
        cls, run: RunFolder, texts: Mapping[str, Any], settings: TrainingSettings
    ) -> Self:
        """The inverse of `save_corpus`; `texts` holds the files and the SHA-256 of each role, as
        config.yaml does. Errors: ModelError."""

    @abstractmethod
    def digests(self) -> dict[str, str]:
        """SHA-256 of the text of each role that has text."""

    @abstractmethod
    def vocabulary_sizes(self) -> dict[str, int]:
        """The model options that the vocabulary decides, such as `vocab_size`."""

    def initialize(self, network: StoredModel) -> None:  # noqa: B027
        """Gives a new network what it starts from other than random numbers."""

    @abstractmethod
    def statistics(self, settings: TrainingSettings) -> dict[str, Any]:
        """Figures of the text for config.yaml; `tokens` is the number of tokens to predict."""

    @abstractmethod
    def describe(self) -> str:
        """The most important of these figures in words."""

    @property
    @abstractmethod
    def has_validation(self) -> bool:
        """Whether there is text to validate on."""

    @abstractmethod
    def complete_settings(
        self, settings: TrainingSettings, network: StoredModel
    ) -> TrainingSettings:
        """The settings with what the network and the text decide filled in, such as `context`.

        Errors: UsageError if the network or the text does not support a setting.
        """

    @abstractmethod
    def batches(self, network: StoredModel, settings: TrainingSettings) -> Batches:
        """The batches to train on."""

    @abstractmethod
    def validation_function(
        self, network: StoredModel, settings: TrainingSettings
    ) -> ValidationFunction | None:
        """A function that measures the network on the validation text, None if there is none.

        It leaves the network in the mode (training or evaluation) in which it found it, and draws
        from no random generator.
        """

    def remark(self, network: StoredModel, settings: TrainingSettings) -> str:
        """What a validation shows of the network beside its figures, in words; '' is nothing."""
        return ""
