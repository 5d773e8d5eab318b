"""`seqlm eval --per-word`: a row for each word of a text or of a table of items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqlm.cli import console
from seqlm.cli.options.eval_options import EvalOptions
from seqlm.cli.options.word_options import DEFAULT_TEXT_COLUMN, WordOptions
from seqlm.cli.records import RecordWriter
from seqlm.errors import UsageError

if TYPE_CHECKING:
    import torch

    from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
    from seqlm.evaluation.words.word_surprisal import WordScorer
    from seqlm.runs.loading.locate import ModelPath

WORD = ("sentence_id", "word_id", "word")
MEASURES = ("surprisal", "entropy", "rank", "oov")
SPAN = ("start", "end")


def check_combination(options: WordOptions, common: EvalOptions, others: Mapping[str, Any]) -> None:
    """Errors: UsageError where options do not go together; `others` are those of the command that
    have no meaning with `each`, by name, None or False where they are not given."""
    for name in ("table", "each"):
        if getattr(options, name) and not options.per_word:
            raise UsageError(f"`{name}` is for the table of words: it needs `per_word`")
    if options.text_column is not None and options.table is None:
        raise UsageError("`text_column` is a column of the table of items: it needs `table`")
    if not options.entropy and not options.per_word:
        raise UsageError("`entropy=False` is for the table of words: it needs `per_word`")
    if options.each:
        for name, value in others.items():
            if value not in (None, False):
                raise UsageError(f"`each` takes the models as they are: leave out `{name}`")


def print_words(
    models: Mapping[str, LoadedMixture],
    files: Sequence[str],
    options: WordOptions,
    common: EvalOptions,
    held_out: Mapping[str, str],
) -> list[WordScorer]:
    """Prints the table of `models`, as the text is scored, and gives back what has scored it.

    A single model has the columns alone, and several have them with their names: surprisal.lstm.
    Errors: those of the text, of the table and of WordScorer.
    """
    from seqlm.evaluation.words.item_table import read_items
    from seqlm.evaluation.words.word_surprisal import WordScorer
    from seqlm.evaluation.words.word_tables import words_of_files, words_of_items

    scorers = [
        WordScorer(mixture, options.entropy, common.batch_size) for mixture in models.values()
    ]
    measures = [name for name in MEASURES if options.entropy or name in ("surprisal", "oov")]
    names = [f".{name}" for name in models] if len(models) > 1 else [""]
    columns = [*WORD, *(measure + name for measure in measures for name in names), *SPAN]

    def cells(row: Sequence[Any]) -> list[Any]:
        first = row[0]
        of_models = (getattr(word, measure) for measure in measures for word in row)
        return [*(getattr(first, name) for name in WORD), *of_models, first.start, first.end]

    if options.table is None:
        table = RecordWriter(columns, common.json)
        for row in words_of_files(scorers, files, common.errors, held_out):
            table.write(cells(row))
    else:
        column = options.text_column or DEFAULT_TEXT_COLUMN
        items = read_items(options.table, column, common.errors, reserved=columns)
        table = RecordWriter([*items.other_columns, *columns], common.json)
        for item, row in words_of_items(scorers, items.items, options.table):
            table.write([*item.others, *cells(row)])
    return scorers


def load_each(
    model_paths: Sequence[ModelPath], device: torch.device | str
) -> dict[str, LoadedMixture]:
    """Each model alone, by the name of its run, or by its whole path where two have one name.

    Errors: ModelError; UsageError where a model is named twice.
    """
    from seqlm.evaluation.mixtures.mixture_scoring import load_mixture

    times = Counter(model_path.path.name for model_path in model_paths)
    models: dict[str, LoadedMixture] = {}
    for model_path in model_paths:
        path = model_path.path
        name = path.name if times[path.name] == 1 else str(path)
        if name in models:
            raise UsageError(f"`each` has a column for each model, and {path} is named twice")
        models[name] = load_mixture([model_path], device=device, progress=console.Stages())
    return models
