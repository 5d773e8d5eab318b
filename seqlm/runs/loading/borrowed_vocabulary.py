"""A vocabulary from elsewhere: that of a run, an ARPA file or a list of types, which the setting
`vocab` names, or that of a pretrained tokenizer, which the setting `tokenizer` names."""

from __future__ import annotations

import re
from pathlib import Path

from seqlm.errors import DataError, UsageError, did_you_mean
from seqlm.runs.loading.locate import run_named
from seqlm.text.normalization import NO_STEPS, Normalizer
from seqlm.text.pretrained_tokenizer import PretrainedTokenizer, read_pretrained
from seqlm.text.reading import BOM, absolute_path, decompress, open_source, read_chunk
from seqlm.text.tokenizer import (
    TOKENIZER_KINDS,
    Tokenizer,
    TokenizerKind,
    check_normalizer,
    read_types,
)

ARPA_HEAD = re.compile(rb"^\\data\\\s*^\s*ngram[ \t]+1[ \t]*=", re.MULTILINE)


def borrowed_tokenizer(
    vocab: str | None, tokenizer: str, normalizer: Normalizer = NO_STEPS
) -> Tokenizer | None:
    """The first of `borrowed_tokenizers`, or None. Errors: the same."""
    borrowed = borrowed_tokenizers(vocab, tokenizer, normalizer)
    return None if borrowed is None else borrowed[0]


def borrowed_tokenizers(
    vocab: str | None, tokenizer: str, normalizer: Normalizer = NO_STEPS, default: str = "word"
) -> tuple[Tokenizer, Tokenizer | None] | None:
    """The tokenizer that the settings name, and that of the source where a translator has two; None
    where they name a kind of tokenizer, which is learned from the text.

    A run normalizes text as it does already, and a file has no way of its own: `normalizer`. All of
    them read lines forward, whatever the direction of the run.
    Errors: DataError where there is neither run nor file, or it cannot be read; UsageError for BPE
    types without their merges, and where `normalizer`, or a `tokenizer` that is not the `default`,
    is another than the run's.
    """
    if vocab is None:
        is_learned = kind_named(tokenizer) != "pretrained"
        return None if is_learned else (pretrained_tokenizer(tokenizer, normalizer), None)
    if run := run_named(vocab):
        own, kind = run.tokenizer.normalizer, run.tokenizer.kind
        if tokenizer not in (kind, default):
            raise UsageError(
                f"`vocab={vocab}` comes with its own tokens, of kind {kind}: it cannot be combined"
                f" with `tokenizer={tokenizer}`"
            )
        if normalizer and normalizer.steps != own.steps:
            raise UsageError(
                f"`vocab={vocab}` comes with its own normalization, {str(own) or 'none'}: it cannot"
                " be combined with `normalize`"
            )
        return run.tokenizer.in_direction("forward"), run.source_tokenizer
    path = Path(vocab)
    if path.is_dir():
        raise DataError(f"`vocab={vocab}` is a folder without a run in it")
    kind = kind_named(tokenizer)
    if kind == "bpe":
        raise UsageError(
            f"`vocab={vocab}` has no merges: a BPE vocabulary comes from a run, not from a file"
        )
    if kind == "pretrained":
        raise UsageError(f"`tokenizer={tokenizer}` has a vocabulary of its own: leave out `vocab`")
    check_normalizer(normalizer, kind)
    if path.is_file() and is_arpa(path):  # a pipe can be read only once, as a list of types
        if kind != "word":
            raise UsageError(
                f"`vocab={vocab}` is an ARPA file: it has words, not `tokenizer={kind}`"
            )
        from seqlm.models.ngram.arpa.arpa_reader import read_arpa_types

        return Tokenizer(kind, read_arpa_types(path), normalizer=normalizer), None
    return Tokenizer(kind, read_types(path, kind), normalizer=normalizer), None


def pretrained_tokenizer(file: str, normalizer: Normalizer) -> PretrainedTokenizer:
    """The tokenizer in a file that the setting `tokenizer` names. Errors: DataError, UsageError."""
    if normalizer:
        raise UsageError(
            f"`tokenizer={file}` has a normalization of its own: leave out `normalize`"
        )
    if not Path(file).exists():
        raise UsageError(f"`tokenizer={file}` is no file{did_you_mean(file, TOKENIZER_KINDS)}")
    return read_pretrained(Path(file))


def kind_named(tokenizer: str) -> TokenizerKind:
    """The kind of tokenizer that the setting `tokenizer` names; a file has a pretrained one."""
    kinds: dict[str, TokenizerKind] = {kind: kind for kind in TOKENIZER_KINDS}
    return kinds.get(tokenizer, "pretrained")


def recorded_name(name: str, tokenizer: Tokenizer) -> str:
    """What a run records as its setting `tokenizer`, which was `name`: the kind of the tokenizer
    that it has, or the file that a pretrained one comes from."""
    if tokenizer.kind == "pretrained" and name not in TOKENIZER_KINDS:
        return absolute_path(name)
    return tokenizer.kind


def is_arpa(path: Path) -> bool:
    """Whether the file begins as an ARPA file does. Errors: DataError where it cannot be read."""
    name = str(path)
    with open_source(name, name) as raw, decompress(raw, name) as stream:
        return ARPA_HEAD.search(read_chunk(stream, name).removeprefix(BOM)) is not None
