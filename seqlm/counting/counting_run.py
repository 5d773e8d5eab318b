"""Counting from end to end: a corpus in, a finished run folder with an n-gram model out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from seqlm.counting.counted_corpus import CountedCorpus
from seqlm.counting.counting_checks import check_settings
from seqlm.counting.counting_settings import CountingSettings
from seqlm.counting.estimation.estimate import estimate_from_counts
from seqlm.counting.files.count_files import write_counts
from seqlm.counting.smoothing.smoothing_methods import tune_smoothing
from seqlm.counting.sources import count_on_cluster, count_text, read_count_files
from seqlm.errors import SeqlmError, UsageError
from seqlm.machine.memory import Memory
from seqlm.machine.threads import num_threads
from seqlm.models.ngram.derived.compact_ngrams import compact
from seqlm.models.ngram.derived.pruning import prune
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.progress import Progress, silent
from seqlm.runs.export.export_ngram import write_arpa, write_ngram_run
from seqlm.runs.loading.borrowed_vocabulary import recorded_name
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RUNS, RunFolder, now
from seqlm.text.corpus import read_corpus
from seqlm.text.reading import STDOUT, absolute_path, short_name


def count(
    sources: Sequence[str],
    settings: CountingSettings,
    output: Path | None = None,
    command: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress = silent,
) -> RunFolder:
    """Counts the n-grams of `sources`, smooths them, and returns the finished run.

    `output` is the run's folder, by default a new one in ./checkpoints.

    Errors: DataError (no text; counts that the smoothing cannot use), UsageError.
    """
    check_settings(settings, sources, overwrite)
    RunFolder.check_free(output, overwrite)
    with ExitStack() as stack:
        if output is not None:  # locked from the beginning; a name of its own is made at the end
            run = stack.enter_context(RunFolder.create(output, overwrite))
        corpus, model, settings, memory = count_model(sources, settings, output, progress)
        if output is None:
            name = f"{settings.order}gram-{short_name(sources[0])}"
            run = stack.enter_context(RunFolder.create(name=name))
        config = make_config(model, corpus, settings, sources, command)
        write_ngram_run(run, config, model, corpus.tokenizer, corpus.tokens, memory)
    progress(f"saved: {sum(model.config.rows):,} n-grams of orders 1 to {settings.order}")
    if settings.arpa is not None:
        try:
            write_arpa(model, corpus.tokenizer, file_named(settings.arpa), progress)
        except SeqlmError as error:
            raise SeqlmError(f"{error}; the model is saved in {run.path}") from None
    return run


def count_model(
    sources: Sequence[str], settings: CountingSettings, output: Path | None, progress: Progress
) -> tuple[CountedCorpus, NGramModel, CountingSettings, Memory]:
    """The counts, the model, the settings with all that they leave open, and where arrays are.

    Errors: those of `count`.
    """
    if settings.engine == "spark" and settings.write_counts is None:
        name = output or f"{short_name(sources[0])}.counts"
        settings = replace(settings, write_counts=f"{absolute_path(str(name))}.parquet")
    memory = Memory(settings.memory_limit, existing_folder(output))

    corpus = count_corpus(sources, settings, memory, progress)
    tokenizer, order = corpus.tokenizer, len(corpus.tables)
    settings = replace(
        settings,
        order=order,
        tokenizer=recorded_name(settings.tokenizer, tokenizer),
        context=corpus.context,
    )
    if settings.tune is not None:
        settings = tuned_settings(settings, corpus, progress)
    smoothing = settings.smoothing_parameters
    counts = corpus.prepare(smoothing, memory)
    model = estimate_from_counts(
        counts, smoothing, len(tokenizer), corpus.context, progress, memory
    )
    model = prune(model, settings.prune, settings.prune_to, progress)
    if settings.compact:
        model = compact(model, progress)
    return corpus, model, settings, memory


def count_corpus(
    sources: Sequence[str], settings: CountingSettings, memory: Memory, progress: Progress
) -> CountedCorpus:
    """The counts of `sources`, written to `write_counts` too. Errors: DataError, UsageError."""
    if settings.engine == "spark":
        return count_on_cluster(sources, settings, progress)  # which writes them
    if settings.from_counts:
        corpus = read_count_files(sources, settings, progress)
    else:
        corpus = count_text(sources, settings, memory, progress)
    if settings.write_counts is not None:
        path = file_named(settings.write_counts)
        write_counts(path, corpus.tables, corpus.tokenizer, corpus.context, progress)
    return corpus


def tuned_settings(
    settings: CountingSettings, corpus: CountedCorpus, progress: Progress
) -> CountingSettings:
    """`settings` with the parameters of the smoothing that make the text `tune` most likely.

    Errors: DataError where that cannot be read, UsageError where it is the corpus.
    """
    held_out = read_corpus([str(settings.tune)], corpus.tokenizer, errors=settings.errors)
    if held_out.digest == corpus.digest:
        raise UsageError(f"`tune` {settings.tune} is the corpus; held-out text must be another")
    smoothing = tune_smoothing(
        settings.smoothing_parameters,
        corpus.tables,
        len(corpus.tokenizer),
        corpus.context,
        held_out.ids,
    )
    if smoothing.method == "add-k":
        progress(f"tuned: add_k {smoothing.add_k:.4g}")
    return replace(settings, add_k=smoothing.add_k, weights=smoothing.weights)


def make_config(
    model: NGramModel,
    corpus: CountedCorpus,
    settings: CountingSettings,
    sources: Sequence[str],
    command: Sequence[str],
) -> RunConfig:
    text = {"files": [absolute_path(name) for name in sources], "sha256": corpus.digest}
    return RunConfig(
        task="lm",
        arch="ngram",
        context=corpus.context,
        model=model.settings(),
        settings=asdict(settings),
        data={"texts": {"corpus": text}, "tokens": corpus.tokens, "lines": corpus.lines},
        command=shlex.join(command),
        device="cpu",
        threads=num_threads(),
        finished=now(),
    )


def file_named(name: str) -> Path | None:
    """The file to write; None for standard output."""
    return None if name == STDOUT else Path(name)


def existing_folder(output: Path | None) -> Path:
    """An existing folder on the disk that the run will be on."""
    path = (output or RUNS).absolute()
    return next(folder for folder in path.parents if folder.is_dir())
