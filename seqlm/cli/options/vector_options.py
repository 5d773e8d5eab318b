"""The options that the commands of `seqlm vectors` share, and the vectors that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.runs.vector_files.vector_formats import FORMATS

if TYPE_CHECKING:
    from seqlm.runs.loading.load_vectors import LoadedVectors

VECTORS = flag(
    "-m",
    "--model",
    help="Word vectors to use: a run, a checkpoint of it, or a file of word2vec, GloVe or fastText."
    " [default: the latest run]",
    metavar="RUN",
    autocompletion=console.run_names,
    rich_help_panel="Model",
)
NUM_WORDS = flag(
    "-k",
    "--num-words",
    help="Number of words to print, the most similar first. [default: 10]",
    metavar="N",
    least=1,
    rich_help_panel="Output",
)
FIRST_WORDS = flag(
    "--vocabulary",
    help="Search only the first N words, which are the most frequent. [default: all]",
    metavar="N",
    least=1,
    rich_help_panel="Model",
)
FORMAT = flag(
    "--to",
    help="Format to write: text of word2vec (word2vec, or vec, as fastText calls it), its binary"
    " format (word2vec-binary), or text of GloVe (glove), which has no header."
    " [default: word2vec]",
    metavar="|".join(FORMATS),
    autocompletion=lambda: list(FORMATS),
    rich_help_panel="Output",
)
SKIP = flag(
    "--skip",
    help="Leave out the words that the format cannot hold, as those with white space, which are an"
    " error otherwise.",
    rich_help_panel="Output",
)


def load_named_vectors(model: str | None) -> LoadedVectors:
    """The word vectors that -m names, or those of the latest run. Errors: UsageError,
    ModelError."""
    model_path = console.locate_model(model, "vectors")
    from seqlm.runs.loading.load_vectors import load_vectors

    return load_vectors(model_path)
