"""Word vectors ready for use: what `seqlm.load` returns for a run or a file of them.

    vectors = seqlm.load("glove.txt")
    vectors.nearest("king", k=5)
    vectors.analogy("man", "king", "woman")     # a man is to a king as a woman is to which word?

N words · D numbers of a vector
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlm.arguments import (
    StrPath,
    check_choice,
    check_mapping,
    check_number,
    check_path,
    check_switch,
    check_text,
    each_sentence,
    list_texts,
    list_words,
    optional_path,
)

if TYPE_CHECKING:
    import numpy as np

    from seqlm.evaluation.bias.association_tests import AssociationTest
    from seqlm.evaluation.bias.bias_direction import BiasDirection, Projection
    from seqlm.evaluation.bias.bias_settings import DirectionMethod, Whitening
    from seqlm.evaluation.bias.linear_probe import ProbeFigures
    from seqlm.evaluation.vector_maps.word_map import Method
    from seqlm.evaluation.vectors.analogies import Formula
    from seqlm.evaluation.vectors.evaluate_vectors import VectorEvaluation
    from seqlm.evaluation.vectors.nearest_words import Neighbor
    from seqlm.runs.loading.load_vectors import LoadedVectors

Pairs = StrPath | Sequence[tuple[str, str]]
"""Pairs of words that differ in a bias: themselves, a file of them, or "gender"."""
Test = StrPath | Mapping[str, Sequence[str]]
"""A test of association: the name of a published one, a file, or its sets."""


class Vectors:
    """Words and their vectors. Made by `load`.

    `len(vectors)` is N, and `word in vectors` says whether a word is one of the N.
    """

    def __init__(self, loaded: LoadedVectors) -> None:
        self.loaded = loaded

    def __repr__(self) -> str:
        return f"seqlm.Vectors({self.path})"

    def __len__(self) -> int:
        return len(self.loaded)

    def __contains__(self, word: object) -> bool:
        return word in self.loaded.rows

    # -- what they are

    @property
    def task(self) -> str:
        """'vectors'."""
        return "vectors"

    @property
    def path(self) -> Path:
        """The run folder or the file."""
        return self.loaded.path

    @property
    def words(self) -> list[str]:
        """The N words: the most frequent first where that is known, else in the order of the
        file."""
        return self.loaded.words

    @property
    def matrix(self) -> np.ndarray:
        """(N, D) float32, the vector of each word, as stored. It is no copy."""
        return self.loaded.vectors

    @property
    def width(self) -> int:
        """D, how many numbers a vector has."""
        return self.loaded.width

    def models_for(self, *tasks: str) -> list[Any]:
        """Errors: ModelError, as these are no models of `tasks`."""
        from seqlm.runs.loading.locate import WrongTask

        raise WrongTask(self.path, self.task, tasks)

    # -- words

    def vector(self, word: str) -> np.ndarray:
        """(D,) float32, the vector of `word`, as a copy. A fastText model composes that of a word
        that is not among the N of the character n-grams of the word.

        Errors: UsageError where the word has none, with the nearest spelling.
        """
        return self.loaded.vector(word).copy()

    def vectors(self, words: Iterable[str]) -> np.ndarray:
        """(n, D) float32, the vector of each of n words. Errors: those of `vector`."""
        import numpy as np

        rows = [self.vector(word) for word in list_words("words", words)]
        return np.stack(rows) if rows else np.empty((0, self.width), np.float32)

    def similarity(self, first: str, second: str) -> float:
        """The cosine of the angle between the vectors of two words, from -1 to 1; 0 where one of
        them is all zeros. Errors: those of `vector`."""
        from seqlm.evaluation.vectors.nearest_words import cosine

        return cosine(self.vector(first), self.vector(second))

    def nearest(
        self, query: str | np.ndarray | Sequence[float], k: int = 10, vocabulary: int | None = None
    ) -> list[Neighbor]:
        """The `k` words nearest to a word, or to a vector (D,), nearest first, each with its
        `similarity`. A word is not its own neighbor.

        Only the first `vocabulary` words are searched, by default all. Errors: those of `vector`;
        UsageError where `k` or `vocabulary` is less than 1, or the vector is no such vector.
        """
        from seqlm.evaluation.vectors.nearest_words import as_vector, nearest_words

        if isinstance(query, str):
            return nearest_words(self.loaded, self.direction(query), k, [query], vocabulary)
        return nearest_words(self.loaded, as_vector(query), k, (), vocabulary)

    def direction(self, word: str) -> np.ndarray:
        """(D,) float32, the vector of `word` with length 1. Errors: those of `vector`; UsageError
        where the vector is all zeros."""
        from seqlm.evaluation.vectors.nearest_words import direction

        return direction(self.loaded, word)

    def analogy(
        self,
        a: str,
        b: str,
        c: str,
        k: int = 10,
        formula: Formula = "add",
        vocabulary: int | None = None,
    ) -> list[Neighbor]:
        """The `k` words that are to `c` as `b` is to `a`, best first: `analogy("man", "king",
        "woman")`.

        `formula` is 'add', the cosine with b - a + c (3CosAdd), or 'mul', a quotient of
        similarities (3CosMul). The three words are no answers. Errors: those of `nearest`.
        """
        from seqlm.evaluation.vectors.analogies import solve_analogy

        check_text("formula", formula)
        return solve_analogy(self.loaded, a, b, c, k, formula, vocabulary)

    def odd_one_out(self, words: Sequence[str]) -> str:
        """That of three `words` or more that is least similar to their mean.

        Errors: those of `vector`; UsageError where there are fewer words.
        """
        from seqlm.evaluation.vectors.odd_one_out import odd_one_out

        return odd_one_out(self.loaded, list_words("words", words))[0].word

    def embed_words(self, sentences: str | Iterable[str | Sequence[str]]) -> list[np.ndarray]:
        """(W, D) float32 for each sentence, the vectors of its W words; zeros for a word that has
        none. A sentence is a text, in which white space separates the words, or a list of words."""
        from seqlm.decoding.embed_sentences import split_sentences
        from seqlm.decoding.word_embedders import TableVectors

        split = split_sentences(each_sentence("sentences", sentences))
        return TableVectors(self.loaded).embed(split)

    # -- files and pictures

    def export(
        self,
        output: StrPath,
        to: str = "word2vec",
        *,
        most: int | None = None,
        skip: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Writes a file that other programs read, and returns its path: text of word2vec
        (`word2vec`, `vec`), its binary format (`word2vec-binary`) or text of GloVe (`glove`).

        Only the first `most` words are written, by default all; `skip` leaves out words that the
        format cannot hold, as those with white space. Numbers read back as they were.
        Errors: UsageError where the file cannot be there; ModelError naming such a word.
        """
        from seqlm.runs.durable_files import check_not_read, check_writable
        from seqlm.runs.vector_files.write_vectors import write_vectors

        path = Path(check_path("output", output))
        most = check_number("most", most, low=1, optional=True)
        to, skip = check_text("to", to), check_switch("skip", skip)
        check_not_read(path, [self.path])
        check_writable(path, check_switch("overwrite", overwrite))
        write_vectors(path, self.words[:most], self.matrix[:most], to, skip)
        return path

    def plot(
        self,
        words: Sequence[str],
        output: StrPath | None = None,
        method: Method = "pca",
        perplexity: float | None = None,
        seed: int | None = None,
    ) -> np.ndarray:
        """(n, 2), the places of n words in the plane, by principal components or t-SNE (`tsne`),
        and a picture of them where `output` names a file.

        Errors: those of `vector`; UsageError where there are too few words, or matplotlib is
        missing.
        """
        from seqlm.evaluation.vector_maps.map_figure import draw_map
        from seqlm.evaluation.vector_maps.word_map import Method, map_words
        from seqlm.runs.figure_files import check_figure_path

        path = optional_path("output", output)
        check_choice("method", method, Method)
        perplexity = check_number("perplexity", perplexity, float, optional=True)
        seed = check_number("seed", seed, low=0, optional=True)
        if path is not None:
            check_figure_path(path)
        made = map_words(self.loaded, list_words("words", words), method, perplexity, seed)
        if path is not None:
            draw_map(path, made)
        return made.places

    # -- figures

    def evaluate(
        self,
        file: StrPath,
        metrics: str | Sequence[str] | None = None,
        **settings: Any,
    ) -> VectorEvaluation:
        """The `metrics` of a file of analogies or of pairs of words, as `seqlm eval` has them: its
        `figures` and `signature`, how many questions are `answered` of those `asked`, and the
        `sections` of analogies. By default the metrics are all that the file has.

        `settings` are those of `seqlm eval`: `vocabulary`, `case`, `formula`, `unseen`.
        Errors: UsageError for a metric or a setting; DataError for the file.
        """
        from seqlm.evaluation.vectors.evaluate_vectors import evaluate_vectors
        from seqlm.evaluation.vectors.vector_test_settings import VectorTestSettings
        from seqlm.settings import make_settings

        names = None if metrics is None else list_texts("metrics", metrics)
        chosen = make_settings(VectorTestSettings, settings)
        return evaluate_vectors(self.loaded, check_path("file", file), chosen, names)

    # -- bias

    def weat(self, test: Test, **settings: Any) -> AssociationTest:
        """A test of association (WEAT): its `figures`, as `effect_size` and `p`, and its words, of
        which `sets.missing` are left out.

        `test` is a published one, as "weat7", a file, or sets by letter: {"X": [..], "Y": [..],
        "A": [..], "B": [..]}. `settings` are those of `seqlm vectors weat`: `std`, `sided`, `ties`,
        `samples`, `missing`, `seed`.
        Errors: UsageError, DataError; DataError where a set has no words among the N.
        """
        from seqlm.evaluation.bias.association_tests import run_tests
        from seqlm.evaluation.bias.bias_settings import WeatSettings
        from seqlm.evaluation.bias.word_sets import as_word_sets
        from seqlm.settings import make_settings

        chosen = make_settings(WeatSettings, settings)
        [found] = run_tests(self.loaded, [as_word_sets(test)], chosen)
        return found

    def bias(
        self,
        words: Iterable[str] | None = None,
        pairs: Pairs = "gender",
        method: DirectionMethod = "pca",
        k: int = 10,
        vocabulary: int | None = None,
    ) -> list[Projection]:
        """How far `words` lie along a direction of bias, each with its `projection`, from -1 to 1;
        without `words`, the `k` words of each side that lie farthest, from one side to the other.

        `pairs` differ in the bias, as [("she", "he")]; a file of them, or "gender". `method` is
        'pca' or 'difference'. Words that are not among the N are left out.
        Errors: UsageError, DataError; DataError where no pair has a direction.
        """
        from seqlm.evaluation.bias.bias_direction import Projection, farthest_words
        from seqlm.evaluation.bias.find_words import find_words

        chosen = None if words is None else list_words("words", words)
        k = check_number("k", k, low=1)
        direction = self._bias_direction(pairs, method)
        if chosen is None:
            return farthest_words(self.loaded, direction, k, vocabulary)
        found = find_words(self.loaded, chosen)
        projections = found.unit_vectors(self.loaded) @ direction.g
        return [*map(Projection, found.words, projections.tolist())]

    def most_biased(
        self,
        pairs: Pairs = "gender",
        method: DirectionMethod = "pca",
        most: int | None = None,
        vocabulary: int | None = 50_000,
        keep: Iterable[str] = (),
    ) -> dict[str, str]:
        """The `most` words that lie farthest to each side of a direction, with the labels
        "positive" and "negative", for `erase` and `probe`; by default 500, or a tenth of the words.

        Only the first `vocabulary` words are taken, without those of `pairs` and of `keep`, which
        are biased by their meaning. Errors: those of `bias`.
        """
        from seqlm.evaluation.bias.bias_direction import biased_words

        most = check_number("most", most, low=1, optional=True)
        kept = list_words("keep", keep)
        direction = self._bias_direction(pairs, method)
        found = biased_words(self.loaded, direction, most, vocabulary, kept)
        return {
            self.words[row]: found.names[label]
            for row, label in zip(found.rows.tolist(), found.labels.tolist())
        }

    def debias(
        self,
        pairs: Pairs = "gender",
        method: DirectionMethod = "pca",
        keep: Iterable[str] = (),
        equalize: Pairs | None = None,
    ) -> Vectors:
        """These vectors without their part along a direction, but for the words of `pairs` and of
        `keep`; of length 1. The pairs `equalize` become as near as each other to every other word,
        by default `pairs` (hard debiasing, Bolukbasi et al. 2016).

        Errors: those of `bias`; DataError where a pair cannot be equalized.
        """
        from seqlm.evaluation.bias.hard_debiasing import debias_words
        from seqlm.evaluation.bias.word_sets import as_pairs

        kept = list_words("keep", keep)
        direction = self._bias_direction(pairs, method)
        equal = None if equalize is None else as_pairs(equalize)
        return Vectors(debias_words(self.loaded, direction, kept, equal))

    def erase(self, labels: Mapping[str, str], whitening: Whitening = "all") -> Vectors:
        """These vectors without what a linear classifier can learn of the `labels` of words: the
        least change that leaves no covariance (LEACE, Belrose et al. 2023).

        The change is smallest on the mean over 'all' words, or over those that are 'labeled'.
        Errors: DataError where fewer than two labels have words among the N.
        """
        from seqlm.evaluation.bias.find_words import label_words
        from seqlm.evaluation.bias.leace import erase_labels

        check_mapping("labels", labels, str, "a label for each word, as {'she': 'female'}")
        labeled = label_words(self.loaded, labels)
        return Vectors(erase_labels(self.loaded, labeled, whitening))

    def probe(self, labels: Mapping[str, str], seed: int = 1) -> ProbeFigures:
        """How well a linear classifier tells the `labels` of words: its `accuracy` by
        cross-validation, its `training_accuracy`, and the `majority`, which is the share of the
        most frequent label.

        Errors: those of `erase`; UsageError where a label has fewer than five words.
        """
        from seqlm.evaluation.bias.find_words import label_words
        from seqlm.evaluation.bias.linear_probe import probe

        check_mapping("labels", labels, str, "a label for each word, as {'she': 'female'}")
        labeled = label_words(self.loaded, labels)
        return probe(self.matrix[labeled.rows], labeled.labels, check_number("seed", seed, low=0))

    def _bias_direction(self, pairs: Pairs, method: DirectionMethod) -> BiasDirection:
        from seqlm.evaluation.bias.bias_direction import find_direction
        from seqlm.evaluation.bias.word_sets import as_pairs

        return find_direction(self.loaded, as_pairs(pairs), method)
