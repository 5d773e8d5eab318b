"""Checks of a request to count, made before any work is done."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from seqlm.counting.counting_settings import DEFAULT_ORDER, CountingSettings
from seqlm.counting.estimation.estimate import check_estimation
from seqlm.errors import DataError, UsageError
from seqlm.runs.durable_files import check_writable
from seqlm.runs.loading.borrowed_vocabulary import kind_named
from seqlm.settings import check_needs, check_value, settings_of
from seqlm.text.corpus import is_stream
from seqlm.text.normalization import Normalizer
from seqlm.text.reading import STDIN, STDOUT, open_source
from seqlm.text.tokenizer import check_normalizer

SMALLEST_LIMIT = 300 << 20
"""Bytes; Python and its libraries do not fit into less memory."""


def check_settings(
    settings: CountingSettings, sources: Sequence[str], overwrite: bool = False
) -> None:
    """Refuses invalid and contradictory settings before any work is done.

    Errors: UsageError on settings; DataError if a file is missing.
    """
    defined = settings_of(CountingSettings)
    for name, setting in defined.items():
        check_value(setting, getattr(settings, name))
    values = {name: getattr(settings, name) for name in defined}
    changed = {name: value for name, value in values.items() if value != defined[name].default}
    check_needs(defined.values(), changed, values)
    check_sources(settings, sources)
    check_model(settings)
    if settings.from_counts:
        check_from_counts(settings)
    if settings.engine == "spark":
        check_spark(settings, sources)
    check_outputs(settings, sources, overwrite)
    limit = settings.memory_limit
    if limit is not None and limit < SMALLEST_LIMIT:
        warnings.warn(
            f"`memory` is {settings.memory}: Python and its libraries alone take a quarter of 1G",
            stacklevel=2,
        )


def check_sources(settings: CountingSettings, sources: Sequence[str]) -> None:
    """Errors: UsageError and DataError on the texts, and the vocabulary, that are read."""
    if not sources:
        raise DataError("no corpus: name a file, or - for standard input")
    if [*sources, settings.tune].count(STDIN) > 1:
        raise UsageError("- stands for standard input, which can be read once")
    if settings.tune not in (None, STDIN) and not Path(settings.tune).exists():
        raise DataError(f"`tune`: there is no file {settings.tune}")
    check_normalizer(Normalizer.parse(settings.normalize), kind_named(settings.tokenizer))
    if settings.vocab is not None and (settings.vocab_size or settings.min_count):
        raise UsageError("`vocab_size` and `min_count` cannot be combined with `vocab`")


def check_model(settings: CountingSettings) -> None:
    """Errors: UsageError if smoothing, pruning and ARPA do not go together."""
    method, context = settings.smoothing, settings.context_of(settings.tokenizer)
    check_estimation(settings.smoothing_parameters, settings.order or DEFAULT_ORDER, context)
    if method == "jelinek-mercer" and settings.tune is None:
        raise UsageError("jelinek-mercer estimates its weights on held-out text: it needs `tune`")
    if method == "stupid-backoff" and (settings.prune or settings.prune_to):
        raise UsageError("pruning needs probabilities, and stupid-backoff has none: use `cutoffs`")
    if method == "stupid-backoff" and settings.arpa is not None:
        raise UsageError("`arpa` holds probabilities, and stupid-backoff gives scores")
    if settings.arpa is not None and (settings.tokenizer != "word" or context == "carried"):
        raise UsageError("`arpa` is for `tokenizer=word` and `context=sentence`")


def check_from_counts(settings: CountingSettings) -> None:
    """Errors: UsageError on settings that have no effect on count files."""
    if settings.tokenizer != "word" or settings.context == "carried":
        raise UsageError("`from_counts` is for `tokenizer=word` and `context=sentence`")
    if settings.normalize is not None:
        raise UsageError("`from_counts` reads words as they are: no `normalize`")
    if settings.engine != "local" or settings.memory is not None:
        raise UsageError("`from_counts` counts nothing: no `engine`, no `memory`")


def check_spark(settings: CountingSettings, sources: Sequence[str]) -> None:
    """Errors: UsageError on what Spark cannot do, DataError if a file is missing."""
    if settings.master is None:
        raise UsageError(
            "`engine=spark` needs `master`, of a cluster, or local[2] for this machine"
        )
    if settings.normalize is not None:
        raise UsageError("`engine=spark` reads words as they are: no `normalize`")
    if settings.tune is not None or settings.memory is not None:
        raise UsageError("`engine=spark` has no `tune` and no `memory`")
    if settings.context_of(settings.tokenizer) == "carried":
        raise UsageError("`engine=spark` counts line by line: it needs `context=sentence`")
    if settings.errors != "strict":
        raise UsageError("`engine=spark` refuses invalid UTF-8: no `errors=replace`")
    for source in sources:
        if "://" not in source:
            if is_stream(source):
                raise UsageError("`engine=spark` reads files, not standard input or a pipe")
            open_source(source, source).close()
        if Path(source).name.startswith(("_", ".")):
            raise UsageError(f"{source}: Spark skips files whose names begin with a dot or _")


def check_outputs(settings: CountingSettings, sources: Sequence[str], overwrite: bool) -> None:
    """Errors: UsageError if a file cannot be written, or would overwrite another file."""
    outputs = {"arpa": settings.arpa, "write_counts": settings.write_counts}
    if list(outputs.values()).count(STDOUT) > 1:
        raise UsageError("`arpa` and `write_counts` cannot both be -, standard output")
    if settings.engine == "spark" and settings.write_counts == STDOUT:
        raise UsageError("`write_counts` takes a Parquet folder from Spark, and - is none")
    taken = {Path(name).resolve() for name in (*sources, settings.tune or STDIN) if name != STDIN}
    for name, path in outputs.items():
        if path in (None, STDOUT):
            continue
        if Path(path).resolve() in taken:
            raise UsageError(f"`{name}` {path} is an input too, and would be overwritten")
        if settings.engine == "local" or name == "arpa":
            check_file_place(name, Path(path), overwrite)
        taken.add(Path(path).resolve())


def check_file_place(name: str, path: Path, overwrite: bool) -> None:
    """Errors: UsageError if there cannot be a file at `path`, the value of the setting `name`."""
    try:
        check_writable(path, overwrite)
    except UsageError as error:
        raise UsageError(f"`{name}` {error.marked}") from None
