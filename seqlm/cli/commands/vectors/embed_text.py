"""`seqlm vectors embed`: vectors of the words of a text, or of its sentences."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.errors import UsageError

if TYPE_CHECKING:
    from seqlm.decoding.contextual_vectors import Pieces
    from seqlm.decoding.embed_sentences import EmbeddedSentence
    from seqlm.decoding.word_embedders import WordEmbedder

PIECES = ("last", "first", "mean")
POOLS = ("none", "mean")


def embed_text(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Text files, one sentence a line, compressed or not; - is standard input."
            " [default: -]",
            metavar="TEXT",
            rich_help_panel="Input",
        ),
    ] = None,
    errors: Annotated[str, console.ERRORS] = "strict",
    model: Annotated[
        list[str] | None,
        flag(
            "-m",
            "--model",
            help="What gives vectors: a neural language model, a labeler that reads such models, or"
            " word vectors. Those of several, as of a forward and a backward model, are side by"
            " side. [default: the latest run]",
            metavar="RUN",
            autocompletion=console.run_names,
            rich_help_panel="Model",
        ),
    ] = None,
    layers: Annotated[
        str | None,
        flag(
            "--layers",
            help="Layers of a language model: a number, from 0, which is the embedding; several,"
            " side by side, with commas between them; all of them (all); or their mean (mean)."
            " [default: mean; of a labeler, the mix that it has learned]",
            metavar="N,...|all|mean",
            autocompletion=lambda: ["all", "mean"],
            rich_help_panel="Model",
        ),
    ] = None,
    pieces: Annotated[
        str | None,
        flag(
            "--pieces",
            help="The vector of a word that is read in pieces: that of the last piece, of the"
            " first, or the mean. [default: last]",
            metavar="|".join(PIECES),
            autocompletion=lambda: list(PIECES),
            rich_help_panel="Model",
        ),
    ] = None,
    pool: Annotated[
        str,
        flag(
            "--pool",
            help="One vector for each word (none), or for each sentence, the mean over its words"
            " (mean). [default: none]",
            metavar="|".join(POOLS),
            autocompletion=lambda: list(POOLS),
            rich_help_panel="Output",
        ),
    ] = "none",
    output: Annotated[
        str | None,
        flag(
            "-o",
            "--output",
            help="File to write in place of printing, which ends in .npy or .safetensors.",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    json: Annotated[bool, console.JSON_LINES] = False,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
    device: Annotated[str | None, console.DEVICE] = None,
    num_threads: Annotated[int | None, console.THREADS] = None,
) -> None:
    """Print a vector for each word of TEXT, or of standard input, in its sentence.

    A language model gives a word the states of its layers when it has read the word, in a sentence
    that is read on its own: a forward model knows what is before the word, and a backward model
    what is after it. Word vectors are the same wherever a word stands; an unknown word has zeros.

    Lines are read as they come, and an empty one is a sentence without words. An array has the
    vectors of all words; the lengths of the sentences are in FILE.lengths.npy beside FILE.npy, or
    in the tensor `lengths` beside `vectors`.
    """
    console.check_choice("errors", errors, ("strict", "replace"))
    console.check_choice("pieces", pieces, PIECES)
    console.check_choice("pool", pool, POOLS)
    if json and output is not None:
        raise UsageError("`json` is printed, and `output` is a file of arrays: leave out one")
    sources = console.files_or_stdin(texts)
    from seqlm.models import LABELERS
    from seqlm.text.reading import check_files

    check_files(sources)
    tasks = ("lm", "vectors", *LABELERS)
    named = [console.locate_model(name, tasks) for name in model or ()]
    located = named or [console.locate_model(None, tasks)]
    path = None if output is None else Path(output)
    if path is not None:
        from seqlm.runs.vector_files.write_arrays import check_array_path

        check_array_path(path, [each.path for each in located], overwrite)
    is_table = all(each.config.task == "vectors" for each in located)
    for name, value in (("layers", layers), ("pieces", pieces)):
        if is_table and value is not None:
            raise UsageError(f"`{name}` is for language models; word vectors have one for a word")
    chosen = "cpu" if is_table else console.set_up_torch(device, num_threads)

    from seqlm.decoding.embed_sentences import embed_sentences, read_sentences
    from seqlm.decoding.word_embedders import load_embedders

    embedders = [
        embedder
        for each in located
        for embedder in load_embedders(each, layers, cast("Pieces | None", pieces), chosen)
    ]
    embedded = with_report(embed_sentences(embedders, read_sentences(sources, errors)), embedders)
    width = sum(embedder.width for embedder in embedders)
    if path is not None:
        write(path, embedded, width, pool)
        print(path)
    else:
        print_vectors(embedded, width, pool, json)


def with_report(
    embedded: Iterable[EmbeddedSentence], embedders: Iterable[WordEmbedder]
) -> Iterator[EmbeddedSentence]:
    """Passes sentences through; says at the end how quick it was, and what had no vector."""
    from seqlm.decoding.word_embedders import TableVectors

    started, words = time.perf_counter(), 0
    for sentence in embedded:
        words += len(sentence.words)
        yield sentence
    seconds = time.perf_counter() - started
    rate = words / max(seconds, 1e-9)
    console.say(f"{console.counted(words, 'word')} in {seconds:.1f} s ({rate:,.0f} a second)")
    for embedder in embedders:
        if isinstance(embedder, TableVectors) and embedder.num_unknown:
            console.warn(
                f"{embedder.num_unknown:,} of {embedder.num_words:,} words have no vector in"
                f" {embedder.table.path}, and have zeros"
            )


def write(path: Path, embedded: Iterable[EmbeddedSentence], width: int, pool: str) -> None:
    from seqlm.runs.vector_files.write_arrays import write_arrays

    by_word = pool == "none"
    arrays = (each.vectors if by_word else each.mean()[None] for each in embedded)
    write_arrays(path, arrays, width, by_word)


def print_vectors(embedded: Iterable[EmbeddedSentence], width: int, pool: str, json: bool) -> None:
    from seqlm.cli.commands.vectors import embedding_output as form

    by_word = pool == "none"
    if json:
        texts = form.objects(embedded, by_word)
    elif by_word:
        texts = form.table_of_words(embedded, width)
    else:
        texts = form.table_of_sentences(embedded, width)
    for text in texts:
        sys.stdout.write(text)
        sys.stdout.flush()
