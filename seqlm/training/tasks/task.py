"""What a task says of the text it learns from, so that a run is the same for all tasks.

A text comes in files, each with a role: a language model's `corpus` and `valid`, a translation's
`source` and `target`. config.yaml keeps their names and digests by these roles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from seqlm.models.base import Network
from seqlm.runs.run_folder import RunFolder
from seqlm.text.batches import Batches
from seqlm.text.tokenizer import Tokenizer
from seqlm.training.config.training_settings import Settings
from seqlm.training.loop import Validate

Files = Mapping[str, list[str]]
"""The files of each role, which may be none."""

RARE = {"word": 2}
"""`--min-count` where the text marks no unknown ones, else 1: `<unk>` must be trained on some."""


class Text(ABC):
    """Text with its vocabulary, to train on and to validate on."""

    roles: ClassVar[tuple[str, ...]]
    validated_by: ClassVar[str]
    """The flags that give it text to validate on."""

    tokenizer: Tokenizer
    source_tokenizer: Tokenizer | None
    """Of a source that has its own vocabulary."""
    title: str
    """Names a new run."""

    @classmethod
    @abstractmethod
    def read(
        cls, files: Files, settings: Settings, errors: str, run: RunFolder | None = None
    ) -> Self:
        """`run` has the vocabulary, where there is one already. Errors: DataError, UsageError."""

    @abstractmethod
    def keep(self, run: RunFolder) -> None:
        """Leaves the text in a run, as what came through a pipe cannot be read again."""

    @classmethod
    @abstractmethod
    def kept(cls, run: RunFolder, data: Mapping[str, Any], settings: Settings) -> Self:
        """The inverse of `keep`. Errors: ModelError."""

    @abstractmethod
    def digests(self) -> dict[str, str]:
        """SHA-256 of the text of each role there is."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Options of the model that the vocabulary decides."""

    @abstractmethod
    def facts(self, settings: Settings) -> dict[str, Any]:
        """Figures for config.yaml; `tokens` is how many are predicted."""

    @abstractmethod
    def describe(self) -> str:
        """A few of them in words."""

    @property
    @abstractmethod
    def validated(self) -> bool:
        """Whether there is text to validate on."""

    @abstractmethod
    def fitted(self, settings: Settings, network: Network) -> Settings:
        """The settings as the network and the text complete them.

        Errors: UsageError where these do not do what they ask for.
        """

    @abstractmethod
    def batches(self, network: Network, settings: Settings) -> Batches:
        """What the network is trained on."""

    @abstractmethod
    def validation(self, network: Network, settings: Settings) -> Validate | None:
        """What measures the network; it is left in the mode it came in, and no random generator
        is drawn from."""
