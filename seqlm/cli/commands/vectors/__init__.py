"""`seqlm vectors`: what word vectors are, and a command for each thing that is asked of them."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.commands.vectors.analogy import print_analogies
from seqlm.cli.commands.vectors.cluster_words import print_cluster_test
from seqlm.cli.commands.vectors.compare_words import print_odd_one_out, print_similarity
from seqlm.cli.commands.vectors.embed_text import embed_text
from seqlm.cli.commands.vectors.export_vectors import export_vectors
from seqlm.cli.commands.vectors.measure_bias import print_bias, print_weat
from seqlm.cli.commands.vectors.nearest import print_nearest
from seqlm.cli.commands.vectors.plot_vectors import plot_vectors
from seqlm.cli.commands.vectors.remove_bias import debias, erase
from seqlm.cli.options.help_page import Example, Subcommand
from seqlm.cli.options.vector_options import VECTORS, load_named_vectors
from seqlm.errors import UsageError

if TYPE_CHECKING:
    from seqlm.runs.loading.load_vectors import LoadedVectors

WORDS_SHOWN = 10
EXAMPLES = [
    Example("Print the words nearest to a word", "seqlm vectors nearest -m glove.txt king"),
    Example(
        "Ask what is to a woman as a king is to a man",
        "seqlm vectors analogy -m glove.txt man king woman",
    ),
    Example(
        "Draw a map of the 200 most frequent words",
        "seqlm vectors plot -m glove.txt --most 200 --method tsne -o map.svg",
    ),
    Example(
        "Print vectors of the words of a sentence that depend on it",
        "echo 'the old man came in .' | seqlm vectors embed -m forward -m backward",
    ),
    Example(
        "Write the vectors as word2vec's binary file",
        "seqlm vectors export -m glove.txt --to word2vec-binary -o glove.bin",
    ),
]


def make_command() -> Callable[..., Any]:
    return print_summary


def print_summary(
    context: typer.Context,
    model: Annotated[str | None, VECTORS] = None,
    json: Annotated[bool, console.JSON] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Print what word vectors are: how many there are, how many numbers each has, and whether words
    that are not among them have a vector, too. A command says what to do with them."""
    if context.invoked_subcommand is not None:
        if "model" in console.typed_parameters(context):
            command = f"seqlm vectors {context.invoked_subcommand} -m {model}"
            raise UsageError(f"`model` comes after the name of the command: {command}")
        return
    summary = summarize(load_named_vectors(model))
    if json:
        print(json_module.dumps(summary, ensure_ascii=False))
        return
    import yaml

    yaml.safe_dump(summary, sys.stdout, sort_keys=False, allow_unicode=True, width=100)


def summarize(table: LoadedVectors) -> dict[str, Any]:
    """What there is to know of word vectors, by the name of each figure."""
    return {
        "path": str(table.path),
        "words": len(table),
        "width": table.width,
        "unseen_words": "no vectors" if table.compose is None else "composed of character n-grams",
        "first_words": table.words[:WORDS_SHOWN],
        "mean_norm": round(float(table.norms.mean()), 6),
        "zero_vectors": int((table.norms == 0).sum()),
        "weights": table.weights_digest,
    }


SUBCOMMANDS = {
    "nearest": Subcommand(print_nearest, "Print the words nearest to a word."),
    "analogy": Subcommand(print_analogies, "Print what is to a word as a second is to a third."),
    "similarity": Subcommand(print_similarity, "Print how similar two words are."),
    "odd-one-out": Subcommand(print_odd_one_out, "Print the word that differs from the others."),
    "plot": Subcommand(plot_vectors, "Print the places of words in the plane, and draw them."),
    "embed": Subcommand(embed_text, "Print vectors of the words of a text, or of its sentences."),
    "export": Subcommand(export_vectors, "Write a file that other programs read."),
    "weat": Subcommand(print_weat, "Print the figures of tests of association."),
    "bias": Subcommand(print_bias, "Print how far words lie along a direction of bias."),
    "debias": Subcommand(debias, "Write vectors without their part along a direction of bias."),
    "erase": Subcommand(erase, "Write vectors from which a label of words is erased."),
    "cluster-test": Subcommand(print_cluster_test, "Print how well clusters of words tell a bias."),
}
