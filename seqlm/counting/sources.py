"""Where counts come from: a text counted here, files of counts, or a text counted by Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from seqlm.counting.counting_settings import DEFAULT_ORDER, Settings
from seqlm.counting.estimation.counts_of_counts import Correction, lmplz_corrections
from seqlm.counting.estimation.prepare_counts import PreparedCounts, prepare_counts
from seqlm.counting.files.count_files import read_counts, write_counts
from seqlm.counting.smoothing.smoothing_methods import method_of, tune_smoothing
from seqlm.counting.tables.in_memory import NGrams, count_ngrams
from seqlm.counting.tables.in_pieces import count_in_pieces
from seqlm.errors import UsageError
from seqlm.memory import Memory
from seqlm.progress import Progress
from seqlm.runs.borrowed_vocabulary import borrowed_tokenizer
from seqlm.text.corpus import read_corpus
from seqlm.text.tokenizer import Tokenizer


class Known(NamedTuple):
    """What is known of a text besides its counts."""

    tokenizer: Tokenizer
    tokens: int
    lines: int
    digest: str | None
    """SHA-256 of the clean text, where this machine has read it."""

    @property
    def told(self) -> str:
        types = len(self.tokenizer)
        return f"corpus: {self.tokens:,} tokens in {self.lines:,} lines, {types:,} types"


class Source(NamedTuple):
    counts: PreparedCounts
    known: Known
    settings: Settings
    """With all that was left open, and what was tuned."""


def from_text(
    sources: Sequence[str],
    settings: Settings,
    memory: Memory,
    device: torch.device,
    progress: Progress,
) -> Source:
    """Errors: those of `read_corpus`, `count_ngrams` and `write_counts`."""
    corpus = read_corpus(
        sources,
        tokenizer=borrowed_tokenizer(settings.vocab, settings.tokenizer),
        kind=settings.tokenizer,
        vocab_size=settings.vocab_size,
        min_count=settings.min_count,
        errors=settings.errors,
        memory=memory,
        progress=progress,
    )
    kind = corpus.tokenizer.kind  # a given vocabulary brings its own
    context = settings.context or ("carried" if kind == "char" else "sentence")
    order = settings.order or DEFAULT_ORDER
    settings = replace(settings, order=order, tokenizer=kind, context=context)
    size = len(corpus.tokenizer)
    known = Known(corpus.tokenizer, len(corpus.ids), corpus.lines, corpus.digest)
    progress(known.told)
    last = lmplz_corrections(corpus.ids, size, order) if context == "sentence" else []
    text = (corpus.ids, size, order, context)
    if memory.limit is None:
        tables = count_ngrams(*text, device, progress=progress)
    else:
        tables = count_in_pieces(*text, memory, device, progress)
    del corpus, text  # memory is short
    return _finished(tables, known, settings, memory, progress, last)


def from_files(
    sources: Sequence[str], settings: Settings, memory: Memory, progress: Progress
) -> Source:
    """Errors: those of `read_counts`; UsageError where the files have no n-grams of the order."""
    given = borrowed_tokenizer(settings.vocab, "word")
    found = read_counts(sources, given, settings.vocab_size, settings.min_count, progress)
    order = settings.order or len(found.tables)
    if order > len(found.tables):
        raise UsageError(f"--order {order}: the files have n-grams up to {len(found.tables)}")
    settings = replace(settings, order=order, context=found.context)
    known = Known(found.tokenizer, found.tokens, found.lines, found.digest)
    progress(known.told)
    return _finished(found.tables[:order], known, settings, memory, progress)


def _finished(
    tables: list[NGrams],
    known: Known,
    settings: Settings,
    memory: Memory,
    progress: Progress,
    last: Sequence[Correction] = (),
) -> Source:
    """What is done with tables of occurrences, wherever they come from."""
    size, context = len(known.tokenizer), str(settings.context)
    if settings.write_counts is not None:
        write_counts(Path(settings.write_counts), tables, known.tokenizer, context, progress)
    how = settings.smoothing
    if settings.tune is not None:
        held_out = read_corpus([settings.tune], known.tokenizer, errors=settings.errors)
        if held_out.digest == known.digest:
            raise UsageError(f"--tune {settings.tune} is the corpus: held-out text is another")
        how = tune_smoothing(how, tables, size, context, held_out.ids)
        if how.method == "add-k":
            progress(f"tuned: --add-k {how.add_k:.4g}")
    counts = prepare_counts(tables, how, last, memory)
    return Source(counts, known, replace(settings, smoothing=how))


def from_spark(sources: Sequence[str], settings: Settings, progress: Progress) -> Source:
    """Errors: those of `count_with_spark`."""
    assert settings.master is not None
    assert settings.write_counts is not None
    from seqlm.counting.spark.spark_counts import Job, count_with_spark

    order = settings.order or DEFAULT_ORDER
    job = Job(
        sources,
        order,
        settings.tokenizer,
        borrowed_tokenizer(settings.vocab, settings.tokenizer),
        settings.vocab_size,
        settings.min_count,
        settings.smoothing.cutoffs,
        method_of(settings.smoothing).adjusts_counts,
    )
    found = count_with_spark(job, settings.master, settings.write_counts, progress)
    kind = found.tokenizer.kind
    settings = replace(settings, order=order, tokenizer=kind, context="sentence")
    known = Known(found.tokenizer, found.tokens, found.lines, None)
    progress(known.told)
    return Source(found.counts, known, settings)
