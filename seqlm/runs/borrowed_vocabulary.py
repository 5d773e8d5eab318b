"""The vocabulary that `--vocab` names: another run's, or a file's."""

from __future__ import annotations

from pathlib import Path

from seqlm.errors import DataError, UsageError
from seqlm.runs.run_folder import CHECKPOINTS, RunFolder
from seqlm.text.tokenizer import Kind, Tokenizer, read_types


def given_tokenizer(vocab: str | None, kind: Kind) -> Tokenizer | None:
    """The tokeniser of a run, or one of `kind` from a file with one type a line; None for None.

    Errors: those of `given_tokenizers`.
    """
    return None if vocab is None else given_tokenizers(vocab, kind)[0]


def given_tokenizers(vocab: str, kind: Kind) -> tuple[Tokenizer, Tokenizer | None]:
    """The same, and where it is a translation's with two vocabularies, that of its source.

    Errors: DataError where there is neither, UsageError for BPE types without their merges.
    """
    for place in (Path(vocab), CHECKPOINTS / vocab):
        run = RunFolder(place)
        if run.exists():
            return run.tokenizer, run.source_tokenizer
    path = Path(vocab)
    if path.is_dir():
        raise DataError(f"--vocab {vocab} is a folder without a run in it")
    if kind == "bpe":
        raise UsageError("--vocab FILE has no merges: a BPE vocabulary comes from a run")
    return Tokenizer(kind, read_types(path, kind)), None
