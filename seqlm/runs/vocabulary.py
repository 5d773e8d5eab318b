"""The vocabulary that `--vocab` names: another run's, or a file's."""

from __future__ import annotations

from pathlib import Path

from seqlm.errors import DataError, UsageError
from seqlm.runs.folder import CHECKPOINTS, RunFolder
from seqlm.text.tokenizer import Kind, Tokenizer, read_types


def given_tokenizer(vocab: str | None, kind: Kind) -> Tokenizer | None:
    """The tokeniser of a run, or one of `kind` from a file with one type a line; None for None.

    Errors: DataError where there is neither, UsageError for BPE types without their merges.
    """
    if vocab is None:
        return None
    for place in (Path(vocab), CHECKPOINTS / vocab):
        if RunFolder(place).exists():
            return RunFolder(place).tokenizer
    path = Path(vocab)
    if path.is_dir():
        raise DataError(f"--vocab {vocab} is a folder without a run in it")
    if kind == "bpe":
        raise UsageError("--vocab FILE has no merges: a BPE vocabulary comes from a run")
    return Tokenizer(kind, read_types(path, kind))
