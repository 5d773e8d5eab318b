"""What follows a history in the text that an n-gram model was counted from, and how often.

    c(hw)    occurrences of the history h with w after it        C(h) = sum over w of c(hw)

h is the longest end of the text so far, of at most n-1 words, for which C(h) > 0: the history whose
relative frequencies c(hw) / C(h) are the maximum-likelihood estimate. The model itself keeps
probabilities only. Counts come from a count file, or from the text, which is counted again where it
is still what the run was made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seqlm.errors import SeqlmError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from seqlm.counting.tables.ngrams import NGrams
    from seqlm.runs.loading.load_model import LoadedModel

LARGEST_TEXT = 10_000_000
"""Bytes of a text that is counted again without being asked for: about a second."""


class HistoryCounts(NamedTuple):
    """The counts of a text, in the ids of a model."""

    tables: Sequence[NGrams]
    """Of orders 1 … n."""
    resets_at_eos: bool
    """Whether no history reaches over the end of a line."""

    def after(self, ids: np.ndarray) -> np.ndarray:
        """(V,) int64 c(hw) for every w; `ids` (N,) are the text that h ends."""
        import numpy as np

        from seqlm.counting.tables.ngrams import orders_of
        from seqlm.models.ngram.scrambling import unscramble_ids
        from seqlm.models.ngram.walk import match_ngrams, start_rows

        unigrams, *longer = self.tables
        size, order = len(unigrams.counts), len(self.tables)
        counts = unigrams.counts.astype(np.int64)
        rows = start_rows(1, order)  # (1, n-1) those of each h
        if order > 1:
            last = ids[None, -(order - 1) :]
            _, rows = match_ngrams(orders_of(self.tables), rows, last, self.resets_at_eos)
        for row, table in zip(rows[0].tolist(), longer):
            following = slice(*table.first[row : row + 2].tolist()) if row >= 0 else slice(0, 0)
            if following.start != following.stop:
                counts = np.zeros(size, np.int64)
                counts[unscramble_ids(table.words[following], size)] = table.counts[following]
        return counts


def read_history_counts(loaded: LoadedModel, file: str) -> HistoryCounts:
    """The counts in a file of `count --write-counts`, for an n-gram model.

    Errors: UsageError where the model has no n-grams; those of `read_counts`.
    """
    from seqlm.counting.files.count_files import read_counts

    if loaded.config.arch != "ngram":
        raise UsageError(f"`counts` is for n-gram models, and {loaded.path} is none")
    if loaded.tokenizer.kind != "word":
        raise UsageError(f"`counts` needs a model of words, and {loaded.path} is none")
    corpus = read_counts([file], loaded.tokenizer)
    tables = corpus.tables[: loaded.config.model["order"]]
    return HistoryCounts(tables, corpus.context == "sentence")


def count_again(loaded: LoadedModel) -> HistoryCounts | None:
    """The counts of the text that a run of n-grams was counted from; None where the text is large,
    has changed, or is not there any more."""
    text = loaded.config.data.get("texts", {}).get("corpus")
    if loaded.config.arch != "ngram" or text is None or text["sha256"] is None:
        return None
    files, settings = text["files"], loaded.config.settings
    order, context = loaded.config.model["order"], loaded.config.model["context"]
    errors = "replace" if settings.get("errors") == "replace" else "strict"
    try:
        if not all(Path(file).is_file() for file in files):
            return None
        if sum(Path(file).stat().st_size for file in files) > LARGEST_TEXT:
            return None
        if settings.get("from_counts"):
            from seqlm.counting.files.count_files import read_counts

            counted = read_counts(files, loaded.tokenizer)
            tables, digest = counted.tables[:order], counted.digest
        else:
            from seqlm.counting.tables.in_memory import count_ngrams
            from seqlm.text.corpus import read_corpus

            corpus = read_corpus(files, loaded.tokenizer, errors=errors)
            tables = count_ngrams(corpus.ids, len(loaded.tokenizer), order, context)
            digest = corpus.digest
    except (OSError, SeqlmError):
        return None
    if digest != text["sha256"]:
        return None
    return HistoryCounts(tables, context == "sentence")
