"""`seqlm count`: an n-gram model by counting."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.errors import UsageError

FLOOR = 300 << 20  # bytes; with less, --memory cannot be held to


def count(
    corpus: Annotated[
        list[str] | None, typer.Argument(help="Text files, compressed or not; - is stdin.")
    ] = None,
    order: Annotated[
        int | None,
        flag("--order", "-n", help="Length of the longest n-grams. [default: 5]", min=1, max=64),
    ] = None,
    smoothing: Annotated[
        str,
        flag(
            "--smoothing",
            help="modified-kneser-ney, kneser-ney, absolute, witten-bell, good-turing (Katz),"
            " jelinek-mercer, add-k, stupid-backoff or mle. [default: modified-kneser-ney]",
        ),
    ] = "modified-kneser-ney",
    backoff: Annotated[
        bool,
        flag("--backoff", help="The form that is not interpolated (Kneser-Ney, absolute, Witten)."),
    ] = False,
    add_k: Annotated[
        float, flag("--add-k", help="What add-k adds to every count. [default: 1]", min=0.0)
    ] = 1.0,
    tune: Annotated[
        str | None,
        flag("--tune", help="Held-out text, for the k of add-k or jelinek-mercer's weights."),
    ] = None,
    discount_fallback: Annotated[
        bool,
        flag(
            "--discount-fallback", help="Where the counts tell no discounts, take 0.5, 1 and 1.5."
        ),
    ] = False,
    cutoffs: Annotated[
        str | None,
        flag(
            "--cutoffs",
            help="Leave out what is seen at most so often, order by order, as 0,0,1. [default: 0]",
        ),
    ] = None,
    prune: Annotated[float | None, console.PRUNE] = None,
    prune_to: Annotated[int | None, console.PRUNE_TO] = None,
    tokenizer: Annotated[
        str, flag("--tokenizer", help="word, char or bpe. [default: word]")
    ] = "word",
    vocab: Annotated[
        str | None, flag("--vocab", help="Take the vocabulary of a run, or of a file of types.")
    ] = None,
    vocab_size: Annotated[
        int | None, flag("--vocab-size", help="The most types kept.", min=3)
    ] = None,
    min_count: Annotated[
        int | None,
        flag("--min-count", help="Occurrences of a type that is kept. [default: 1]", min=1),
    ] = None,
    context: Annotated[
        str | None,
        flag(
            "--context", help="sentence by sentence, or carried over lines. [characters: carried]"
        ),
    ] = None,
    memory: Annotated[
        str | None,
        flag(
            "--memory", help="Keep to this much, as 1G, with the rest on disk. [default: no bound]"
        ),
    ] = None,
    from_counts: Annotated[
        bool,
        flag("--from-counts", help="The files are n-gram<TAB>count lines, added up; not text."),
    ] = False,
    write_counts: Annotated[
        str | None,
        flag("--write-counts", help="Write n-gram<TAB>count lines too; by Spark, Parquet."),
    ] = None,
    arpa: Annotated[
        Path | None, flag("--arpa", help="Write the model as an ARPA file too (.gz compresses).")
    ] = None,
    engine: Annotated[
        str, flag("--engine", help="local, or spark on a cluster. [default: local]")
    ] = "local",
    master: Annotated[
        str | None, flag("--master", help="Of the Spark cluster, as spark://host:7077 or local[2].")
    ] = None,
    errors: Annotated[str, console.ERRORS] = "strict",
    output: Annotated[Path | None, console.OUTPUT] = None,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    device: Annotated[str | None, console.DEVICE] = None,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Count the n-grams of CORPUS and smooth them into a language model.

    Prints the run's folder.
    """
    console.check_choice("tokenizer", tokenizer, ("word", "char", "bpe"))
    console.check_choice("context", context, ("sentence", "carried"))
    console.check_choice("errors", errors, ("strict", "replace"))
    console.check_choice("engine", engine, ("local", "spark"))
    if engine == "spark" and master is None:
        raise UsageError("--engine spark needs the --master of a cluster, or local[2] for this one")
    if engine == "local" and master is not None:
        raise UsageError("--master is for --engine spark")
    sources = console.inputs(corpus)
    if tune == "-" and "-" in sources:
        raise UsageError("- stands for standard input, which can be read once")
    limit = size("--memory", memory)
    if limit is not None and limit < FLOOR:
        console.warn(f"--memory {memory}: Python and its libraries alone take a quarter of 1G")
    where = console.set_up_torch(device, num_threads)

    from seqlm.counting.counting_run import count as count_corpus
    from seqlm.counting.counting_settings import Settings
    from seqlm.counting.smoothing.smoothing_settings import Smoothing

    settings = Settings(
        order=order,
        smoothing=Smoothing(
            method=smoothing,
            backoff=backoff,
            cutoffs=whole_numbers("--cutoffs", cutoffs),
            discount_fallback=(0.5, 1.0, 1.5) if discount_fallback else None,
            add_k=add_k,
        ),
        tune=tune,
        prune=prune,
        prune_to=prune_to,
        context=context,
        tokenizer=cast(Any, tokenizer),
        vocab=vocab,
        vocab_size=vocab_size,
        min_count=min_count,
        memory=limit,
        from_counts=from_counts,
        write_counts=write_counts,
        master=master,
        arpa=arpa,
        errors=errors,
    )
    command = ["seqlm", *sys.argv[1:]]
    progress = console.Stages()
    done = count_corpus(sources, settings, output, where, command, overwrite, progress)
    print(done.path)


def whole_numbers(name: str, text: str | None) -> tuple[int, ...]:
    """'0,0,1' or '0 0 1' as numbers. Errors: UsageError."""
    if text is None:
        return ()
    if not re.fullmatch(r"\d+([ ,]+\d+)*", text.strip()):
        raise UsageError(f"{name} {text}: whole numbers and commas, as 0,0,1")
    return tuple(map(int, text.replace(",", " ").split()))


def size(name: str, text: str | None) -> int | None:
    """'1G', '500M' in bytes. Errors: UsageError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])i?B?", text.strip(), re.IGNORECASE)
    if not match:
        raise UsageError(f"{name} {text}: a number and K, M, G or T, as 1G")
    return int(float(match[1]) * 1024 ** (" KMGT".index(match[2].upper())))
