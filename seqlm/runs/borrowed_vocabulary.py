"""The vocabulary that the setting `vocab` names: another run's, or a file's."""

from __future__ import annotations

from pathlib import Path

from seqlm.errors import DataError, UsageError
from seqlm.runs.locate import run_named
from seqlm.text.corpus import check_normalizer
from seqlm.text.normalization import NO_STEPS, Normalizer
from seqlm.text.tokenizer import Tokenizer, TokenizerKind, read_types


def borrowed_tokenizer(
    vocab: str | None, kind: TokenizerKind, normalizer: Normalizer = NO_STEPS
) -> Tokenizer | None:
    """The tokenizer of a run, or one of `kind` from a file with one type per line; None for None.

    Errors: those of `borrowed_tokenizers`.
    """
    return None if vocab is None else borrowed_tokenizers(vocab, kind, normalizer)[0]


def borrowed_tokenizers(
    vocab: str, kind: TokenizerKind, normalizer: Normalizer = NO_STEPS
) -> tuple[Tokenizer, Tokenizer | None]:
    """The tokenizer of a run or file, and that of the source where a translator has two.

    A run normalizes text as it does already, and a file has no way of its own: `normalizer`.
    Errors: DataError where there is neither run nor file, UsageError for BPE types without their
    merges, and where `normalizer` is another than the run's.
    """
    if run := run_named(vocab):
        own = run.tokenizer.normalizer
        if normalizer and normalizer.steps != own.steps:
            raise UsageError(
                f"`vocab={vocab}` comes with its own normalization, {str(own) or 'none'}: it cannot"
                " be combined with `normalize`"
            )
        return run.tokenizer, run.source_tokenizer
    path = Path(vocab)
    if path.is_dir():
        raise DataError(f"`vocab={vocab}` is a folder without a run in it")
    if kind == "bpe":
        raise UsageError(
            f"`vocab={vocab}` has no merges: a BPE vocabulary comes from a run, not from a file"
        )
    check_normalizer(normalizer, kind)
    return Tokenizer(kind, read_types(path, kind), normalizer=normalizer), None
