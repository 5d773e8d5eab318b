"""`seqlm vectors cluster-test`: whether clusters of words still tell a bias."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options.bias_options import (
    DirectionOptions,
    MostBiasedOptions,
    VectorsOptions,
    with_options,
)
from seqlm.cli.options.option_groups import make_group
from seqlm.cli.options.vector_options import load_named_vectors
from seqlm.cli.records import print_records
from seqlm.settings import setting

if TYPE_CHECKING:
    from seqlm.runs.loading.load_vectors import LoadedVectors


@dataclass(frozen=True)
class ClusterOptions:
    """The options of `cluster-test` beside those that it shares."""

    debiased: Annotated[
        list[str] | None,
        flag(
            "--debiased",
            help="The same vectors after debiasing: a run, or a file. Several are given with"
            " several such options.",
            metavar="RUN",
            rich_help_panel="Model",
        ),
    ] = None
    seed: int = setting(1, "Seed for the first centers of clusters.", low=0, section="Metrics")


@with_options(VectorsOptions, DirectionOptions, MostBiasedOptions, ClusterOptions)
def print_cluster_test(**values: Any) -> None:
    """Print how well two clusters of biased words tell their side: the test of Gonen & Goldberg
    (2019).

    The words are those that lie farthest along the direction in the vectors of --model. k-means
    divides them into two clusters, in these vectors and in each --debiased ones. The accuracy is
    0.5 where clusters have nothing to do with the bias, and 1 where they are the bias: if it stays
    high, debiasing has hidden the bias and not removed it.
    """
    options, common = make_group(ClusterOptions, values), make_group(VectorsOptions, values)
    given, most = make_group(DirectionOptions, values), make_group(MostBiasedOptions, values)
    pairs, keep = given.read_pairs(), most.words_to_keep()
    table = load_named_vectors(common.model)
    from seqlm.evaluation.bias.bias_direction import biased_words
    from seqlm.evaluation.bias.cluster_test import cluster_accuracies

    direction = given.find(table, pairs)
    labeled = biased_words(table, direction, most.most_biased, most.vocabulary, keep)
    side_of = {table.words[row]: side for row, side in zip(labeled.rows, labeled.labels.tolist())}
    signature, names = direction.signature(f"cluster-accuracy.{options.seed}", table), []

    def load_all() -> Iterator[LoadedVectors]:
        names.append(str(table.path))
        yield table
        for model in options.debiased or []:
            debiased = load_named_vectors(model)
            names.append(str(debiased.path))
            yield debiased

    accuracies, words = cluster_accuracies(load_all(), side_of, options.seed)
    if words < len(side_of):
        lacking = console.counted(len(side_of) - words, "word")
        console.warn(f"left out, as not all vectors have them: {lacking}")
    rows = [(name, accuracy, words) for name, accuracy in zip(names, accuracies)]
    print_records(("vectors", "accuracy", "words"), rows, common.json)
    console.say(signature)
