"""What a count is told, and what it is told in vain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seqlm.counting.estimation.estimate import check_estimation
from seqlm.counting.smoothing.smoothing_methods import method_of
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.errors import DataError, UsageError
from seqlm.text.reading import STDIN
from seqlm.text.tokenizer import Kind

DEFAULT_ORDER = 5


@dataclass(frozen=True)
class Settings:
    order: int | None = None
    """None is 5 for text, and for count files all they have."""
    smoothing: Smoothing = field(default_factory=Smoothing)
    tune: str | None = None
    """Held-out text for what the smoothing learns."""
    prune: float | None = None
    prune_to: int | None = None
    context: str | None = None
    """None is carried for characters, sentence for words and BPE."""
    tokenizer: Kind = "word"
    vocab: str | None = None
    vocab_size: int | None = None
    min_count: int | None = None
    memory: int | None = None
    """Bytes to keep to, with the rest on disk beside the run; None for no bound."""
    from_counts: bool = False
    """The sources are count files."""
    write_counts: str | None = None
    """Where the counts are written to; by Spark, as Parquet."""
    master: str | None = None
    """Of the Spark cluster that counts; None to count here."""
    arpa: Path | None = None
    errors: str = "strict"


def refuse_contradictions(settings: Settings) -> None:
    """Before any work is done. Errors: UsageError on settings that mean nothing, DataError."""
    method = settings.smoothing.method
    check_estimation(
        settings.smoothing, settings.order or DEFAULT_ORDER, settings.context or "sentence"
    )
    if settings.tune is None and method == "jelinek-mercer":
        raise UsageError("jelinek-mercer learns its weights from held-out text: --tune FILE")
    if settings.tune is not None and method_of(settings.smoothing).tune is None:
        raise UsageError(f"--tune: {method} takes nothing from held-out text")
    if settings.tune not in (None, "-") and not Path(settings.tune).exists():
        raise DataError(f"--tune {settings.tune}: there is no such file")
    if settings.prune is not None and not settings.prune > 0:
        raise UsageError(f"--prune {settings.prune:g}: the threshold is positive, as 1e-8")
    if (settings.prune or settings.prune_to) and method == "stupid-backoff":
        raise UsageError("pruning weighs probabilities, and stupid-backoff has none: --cutoffs")
    if settings.from_counts and (settings.tokenizer != "word" or settings.context == "carried"):
        raise UsageError("--from-counts reads words, sentence by sentence")
    if settings.from_counts and (settings.master or settings.memory):
        raise UsageError("--from-counts counts nothing: no --engine, no --memory")
    if settings.arpa is not None and method == "stupid-backoff":
        raise UsageError("--arpa: ARPA holds probabilities, and stupid-backoff gives scores")
    if settings.arpa is not None and (
        settings.tokenizer != "word" or settings.context == "carried"
    ):
        raise UsageError("--arpa: ARPA knows words, sentence by sentence")
    for flag, path in (("--arpa", settings.arpa), ("--write-counts", settings.write_counts)):
        if path is not None and settings.master is None:
            check_place(flag, Path(path))
    if settings.master is not None:
        if settings.tune is not None or settings.memory is not None:
            raise UsageError("--engine spark: no --tune, no --memory")
        carried = settings.context or ("carried" if settings.tokenizer == "char" else "sentence")
        if carried == "carried":
            raise UsageError("--engine spark counts line by line: --context sentence")
        if settings.errors != "strict":
            raise UsageError("--engine spark refuses invalid UTF-8: no --errors replace")


def check_place(flag: str, path: Path) -> None:
    """Errors: UsageError where no file can be at `path`."""
    if str(path) == STDIN:
        raise UsageError(f"{flag} names a file, and - is none")
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder, not a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{flag} {path}: there is no folder {path.parent}")


def check_outputs(settings: Settings, sources: Sequence[str]) -> None:
    """Errors: UsageError where a file would be written over what is read, or over another."""
    read = {Path(name).resolve() for name in (*sources, settings.tune or STDIN) if name != STDIN}
    for flag, path in (("--arpa", settings.arpa), ("--write-counts", settings.write_counts)):
        if path is not None and Path(path).resolve() in read:
            raise UsageError(f"{flag} {path} is read too, and would be overwritten")
        if path is not None:
            read.add(Path(path).resolve())
