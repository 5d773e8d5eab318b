"""`seqlm count`: an n-gram model by counting."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from seqlm.cli import console
from seqlm.cli.console import flag


def count(
    corpus: Annotated[
        list[str] | None, typer.Argument(help="Text files, compressed or not; - is stdin.")
    ] = None,
    order: Annotated[
        int,
        flag("--order", "-n", help="Length of the longest n-grams. [default: 5]", min=1, max=64),
    ] = 5,
    smoothing: Annotated[
        str,
        flag("--smoothing", help="kneser-ney (interpolated, modified), add-k or mle."),
    ] = "kneser-ney",
    add_k: Annotated[
        float, flag("--add-k", help="What add-k adds to every count. [default: 1]", min=0.0)
    ] = 1.0,
    discount_fallback: Annotated[
        bool,
        flag(
            "--discount-fallback",
            help="Where the counts tell no Kneser-Ney discounts, take 0.5, 1 and 1.5.",
        ),
    ] = False,
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
    console.check_choice("smoothing", smoothing, ("kneser-ney", "add-k", "mle"))
    console.check_choice("tokenizer", tokenizer, ("word", "char", "bpe"))
    console.check_choice("context", context, ("sentence", "carried"))
    console.check_choice("errors", errors, ("strict", "replace"))
    sources = console.inputs(corpus)
    where = console.set_up_torch(device, num_threads)

    from seqlm.counting import run

    settings = run.Settings(
        order, smoothing, add_k, (0.5, 1.0, 1.5) if discount_fallback else None, context,
        cast(Any, tokenizer), vocab, vocab_size, min_count,
    )  # fmt: skip
    command = ["seqlm", *sys.argv[1:]]
    done = run.count(sources, settings, output, where, command, overwrite, errors, console.stage())
    print(done.path)
