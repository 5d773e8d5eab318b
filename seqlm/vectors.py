"""Word vectors ready for use: what `seqlm.load` returns for a run or a file of them.

    vectors = seqlm.load("glove.txt")
    vectors.nearest("king", k=5)
    vectors.analogy("man", "king", "woman")     # a man is to a king as a woman is to which word?

N words · D numbers of a vector
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from seqlm.evaluation.vectors.analogies import Formula
    from seqlm.evaluation.vectors.evaluate_vectors import VectorEvaluation
    from seqlm.evaluation.vectors.nearest_words import Neighbor
    from seqlm.runs.loading.load_vectors import LoadedVectors


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

        rows = [self.vector(word) for word in words]
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

        return solve_analogy(self.loaded, a, b, c, k, formula, vocabulary)

    def odd_one_out(self, words: Sequence[str]) -> str:
        """That of three `words` or more that is least similar to their mean.

        Errors: those of `vector`; UsageError where there are fewer words.
        """
        from seqlm.evaluation.vectors.odd_one_out import odd_one_out

        return odd_one_out(self.loaded, words)[0].word

    # -- figures

    def evaluate(
        self,
        file: str | os.PathLike[str],
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

        names = [metrics] if isinstance(metrics, str) else metrics
        chosen = make_settings(VectorTestSettings, settings)
        return evaluate_vectors(self.loaded, os.fspath(file), chosen, names)
