"""Where counts come from: text counted here, count files, or text counted by Spark."""

from __future__ import annotations

from collections.abc import Sequence

from seqlm.counting.counted_corpus import CountedCorpus
from seqlm.counting.counting_settings import DEFAULT_ORDER, CountingSettings
from seqlm.counting.estimation.counts_of_counts import lmplz_corrections
from seqlm.counting.files.count_files import read_counts
from seqlm.counting.smoothing.smoothing_methods import method_of
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.in_pieces import count_in_pieces
from seqlm.errors import UsageError
from seqlm.machine.memory import Memory, trim_heap
from seqlm.progress import Progress
from seqlm.runs.loading.borrowed_vocabulary import borrowed_tokenizer, kind_named
from seqlm.text.corpus import read_corpus
from seqlm.text.normalization import Normalizer


def count_text(
    sources: Sequence[str], settings: CountingSettings, memory: Memory, progress: Progress
) -> CountedCorpus:
    """Counts a text on this machine. Errors: those of `read_corpus` and `count_ngrams`."""
    normalizer = Normalizer.parse(settings.normalize)
    corpus = read_corpus(
        sources,
        tokenizer=borrowed_tokenizer(settings.vocab, settings.tokenizer, normalizer),
        kind=kind_named(settings.tokenizer),
        normalizer=normalizer,
        vocab_size=settings.vocab_size,
        min_count=settings.min_count,
        errors=settings.errors,
        memory=memory,
        progress=progress,
    )
    ids, size, order = corpus.ids, len(corpus.tokenizer), settings.order or DEFAULT_ORDER
    context = settings.context_of(corpus.tokenizer.kind)  # a borrowed vocabulary has its own kind
    corrections = lmplz_corrections(ids, size, order) if context == "sentence" else []
    counted = CountedCorpus(
        [], corpus.tokenizer, context, len(ids), corpus.lines, corpus.digest, corrections
    )
    progress(counted.summary)
    trim_heap()  # of what reading took
    if memory.limit is None:
        text = [ids]
        del corpus, ids  # so that `count_ngrams` can release them
        tables = count_ngrams(text.pop(), size, order, context, progress=progress)
    else:
        tables = count_in_pieces(ids, size, order, context, memory, progress)
    return counted._replace(tables=tables)


def read_count_files(
    sources: Sequence[str], settings: CountingSettings, progress: Progress
) -> CountedCorpus:
    """Reads files of counts, and adds them up.

    Errors: those of `read_counts`; UsageError where the files have no n-grams of the order.
    """
    tokenizer = borrowed_tokenizer(settings.vocab, "word")
    corpus = read_counts(sources, tokenizer, settings.vocab_size, settings.min_count, progress)
    order, highest = settings.order or len(corpus.tables), len(corpus.tables)
    if order > highest:
        raise UsageError(f"`order` is {order}; the files have n-grams up to {highest}")
    del corpus.tables[order:]
    progress(corpus.summary)
    return corpus


def count_on_cluster(
    sources: Sequence[str], settings: CountingSettings, progress: Progress
) -> CountedCorpus:
    """Counts a text by Spark. Errors: UsageError on subwords; those of `count_with_spark`."""
    assert settings.master is not None
    assert settings.write_counts is not None
    tokenizer = borrowed_tokenizer(settings.vocab, settings.tokenizer)
    kind = kind_named(settings.tokenizer)
    if (tokenizer.kind if tokenizer else kind) not in ("word", "char"):
        raise UsageError("`engine=spark` counts words and characters, not subwords")
    from seqlm.counting.spark.spark_counts import SparkJob, count_with_spark

    job = SparkJob(
        sources=sources,
        order=settings.order or DEFAULT_ORDER,
        kind=kind,
        tokenizer=tokenizer,
        vocab_size=settings.vocab_size,
        min_count=settings.min_count,
        cutoffs=settings.cutoffs,
        adjusts_counts=method_of(settings.smoothing_parameters).adjusts_counts,
    )
    corpus = count_with_spark(job, settings.master, settings.write_counts, progress)
    progress(corpus.summary)
    return corpus
