"""A corpus: the text a model is trained on, as ids, with a vocabulary learned from it or given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError, UsageError
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.machine.threads import prefetch_map
from seqlm.progress import Progress, silent
from seqlm.text.bpe.bpe_learning import (
    check_bpe_size,
    learn_bpe,
    learn_bpe_from_stream,
    order_by_frequency,
)
from seqlm.text.normalization import NO_STEPS, Normalizer
from seqlm.text.reading import STDIN, Block, read_blocks, source_name
from seqlm.text.tokenizer import (
    Tokenizer,
    TokenizerKind,
    check_no_sentinels,
    check_normalizer,
    check_whole_lines,
    code_points,
)
from seqlm.text.vocabulary import (
    EOS,
    RESERVED,
    UNK,
    Direction,
    apply_id_mapping,
    count_ids,
    id_mapping,
    order_types,
    reverse_lines,
    split_into_chunks,
)
from seqlm.text.word_index import TokenSpans, WordIndex


class Corpus(NamedTuple):
    ids: np.ndarray  # (N,) int32, every line ending in EOS
    tokenizer: Tokenizer
    digest: str
    """SHA-256 of the clean text."""

    @property
    def lines(self) -> int:
        return sum(int(np.count_nonzero(chunk == EOS)) for chunk in split_into_chunks(self.ids))


def read_corpus(
    sources: Sequence[str],
    tokenizer: Tokenizer | None = None,
    kind: TokenizerKind = "word",
    vocab_size: int | None = None,
    min_count: int | None = None,
    errors: str = "strict",
    default_min_count: int = 1,
    held_out_fraction: float = 0.0,
    memory: Memory = IN_MEMORY,
    progress: Progress = silent,
    normalizer: Normalizer = NO_STEPS,
    observe: Callable[[Block, np.ndarray], object] | None = None,
    direction: Direction = "forward",
) -> Corpus:
    """Reads `sources` once, with `tokenizer`, or with a new vocabulary of `kind` that is learned
    from the text after `normalizer`.

    `vocab_size` counts the two reserved entries. `min_count` is the smallest count of a type in the
    vocabulary; None stands for `default_min_count`, or for 1 if the text marks its own unknown
    words with `<unk>`. A new vocabulary is learned without the last `held_out_fraction` of the
    tokens, as if that were a text of its own. `memory` decides where the ids are stored.
    `observe` sees each block with its ids where a `tokenizer` is given. `direction` is that of a
    new tokenizer.
    Errors: DataError if there is no text or only empty lines, or a line is too long to be read
    backward; UsageError on a size.
    """
    if not sources:
        raise DataError("no corpus: name a file, or - for standard input")
    if tokenizer is not None and (vocab_size is not None or min_count is not None):
        raise UsageError(
            "`vocab_size` and `min_count` cannot be combined with `vocab`, or with a"
            " pretrained `tokenizer`"
        )
    if kind == "bpe":
        check_bpe_size(vocab_size)
    check_normalizer(normalizer, kind)
    sha256 = hashlib.sha256()
    text = hash_blocks(read_blocks(sources, errors, progress), sha256)
    learns_backward = tokenizer is None and direction == "backward"
    if learns_backward:
        text = whole_lines(text)
    if tokenizer is not None:
        ids = memory.concatenate(observed(prefetch_map(tokenizer.encode, text), observe))
    elif kind == "bpe":
        if any(map(is_stream, sources)):
            tokenizer, ids = learn_bpe_from_stream(
                text, vocab_size, min_count or 1, memory, normalizer
            )
        else:
            again = read_blocks(sources, errors, progress)
            merged = learn_bpe(again, vocab_size, min_count or 1, normalizer)
            ids = memory.concatenate(map(merged.encode, text))
            tokenizer, ids = order_by_frequency(merged, ids)
    else:
        learner = LEARNERS[kind](normalizer)
        ids = memory.concatenate(learner.encode(text))
        tokenizer = learner.finish(ids, vocab_size, min_count, default_min_count, held_out_fraction)
    if learns_backward:
        tokenizer = tokenizer.in_direction(direction)
        reverse_lines(ids)
    names = ", ".join(map(source_name, sources))
    if len(ids) == 0:
        raise DataError(f"the corpus is empty: no text in {names}")
    corpus = Corpus(ids, tokenizer, sha256.hexdigest())
    if corpus.lines == len(ids):
        raise DataError(f"the corpus is nothing but empty lines: {names}")
    return corpus


def observed(
    encoded: Iterable[tuple[Block, np.ndarray]],
    observe: Callable[[Block, np.ndarray], object] | None,
) -> Iterator[np.ndarray]:
    """The ids of encoded blocks, which `observe` sees first."""
    for block, ids in encoded:
        if observe is not None:
            observe(block, ids)
        yield ids


def whole_lines(text: Iterable[Block]) -> Iterator[Block]:
    """The blocks of `text`. Errors: DataError where one ends within a line."""
    for block in text:
        check_whole_lines(block)
        yield block


def is_stream(source: str) -> bool:
    """Whether a source cannot be read again: standard input, or a pipe such as `<(command)`."""
    return source == STDIN or Path(source).is_fifo()


def hash_blocks(text: Iterable[Block], digest: hashlib._Hash) -> Iterator[Block]:
    """Yields the blocks of `text`, and adds their bytes to `digest` in a thread of its own."""
    with ThreadPoolExecutor(1) as hasher:
        for block in text:
            hasher.submit(digest.update, block.data)
            yield block


def held_out_start(ids: np.ndarray, fraction: float) -> int:
    """The position at which the last `fraction` of the tokens begins, in whole lines.

    Errors: DataError if there are not two lines to split.
    """
    ends = np.flatnonzero(ids == EOS) + 1
    if len(ends) < 2:
        raise DataError("one line cannot be split: `valid_fraction` needs two or more")
    line = int(np.searchsorted(ends, len(ids) * (1 - fraction)))
    return int(ends[min(line, len(ends) - 2)])


# ----------------------------------------------------------------------- vocabularies from counts


class VocabularyLearner:
    """Gives types provisional ids in order of appearance; `finish` orders them by count."""

    kind: TokenizerKind

    def __init__(self, normalizer: Normalizer = NO_STEPS) -> None:
        self.normalizer = normalizer

    def normalize(self, block: Block) -> Block:
        return block._replace(data=self.normalizer(block.data))

    def encode(self, text: Iterable[Block]) -> Iterator[np.ndarray]:
        """(N,) provisional ids of each block; the reserved entries have their final ones."""
        raise NotImplementedError

    def types(self) -> list[bytes]:
        """All types in the order of their provisional ids."""
        raise NotImplementedError

    def finish(
        self,
        ids: np.ndarray,
        vocab_size: int | None,
        min_count: int | None,
        default_min_count: int,
        held_out_fraction: float,
    ) -> Tokenizer:
        """The tokenizer, with the arguments of `read_corpus`. Changes `ids` to its ids in place."""
        types = self.types()
        end = len(ids)
        if held_out_fraction and len(ids):
            end = held_out_start(ids, held_out_fraction)
        counts = count_ids(ids[:end], len(types))
        if min_count is None:
            min_count = 1 if counts[UNK] else default_min_count
        counted = [(types[id], int(counts[id])) for id in range(2, len(types))]
        vocabulary = order_types((t, n) for t, n in counted if n >= max(min_count, 1))
        if vocab_size is not None:
            vocabulary = vocabulary[: max(0, vocab_size - 2)]
        apply_id_mapping(ids, id_mapping(types, vocabulary))
        return Tokenizer(self.kind, RESERVED + vocabulary, normalizer=self.normalizer)


class WordLearner(VocabularyLearner):
    kind: TokenizerKind = "word"

    def __init__(self, normalizer: Normalizer = NO_STEPS) -> None:
        super().__init__(normalizer)
        self.index = WordIndex(RESERVED)

    def encode(self, text: Iterable[Block]) -> Iterator[np.ndarray]:
        for _, (data, tokens, ids) in prefetch_map(self.look_up, text):
            self.index.learn(data, tokens, ids)
            yield ids

    def look_up(self, block: Block) -> tuple[bytes, TokenSpans, np.ndarray]:
        """A block in normal form, its tokens and their ids (N,), NO_ID where they are new."""
        block = self.normalize(block)
        check_no_sentinels(block)
        return block.data, *self.index.find_and_look_up(block.data)

    def types(self) -> list[bytes]:
        return list(self.index.ids)


class CharacterLearner(VocabularyLearner):
    kind: TokenizerKind = "char"

    def __init__(self, normalizer: Normalizer = NO_STEPS) -> None:
        super().__init__(normalizer)
        self.id_of_code_point = np.full(0x110000, -1, np.int32)
        self.id_of_code_point[ord("\n")] = EOS
        self.code_points = [UNK, EOS]  # by provisional id; the first two are placeholders

    def encode(self, text: Iterable[Block]) -> Iterator[np.ndarray]:
        for block in text:
            points = code_points(self.normalize(block).data)
            new = np.unique(points[self.id_of_code_point[points] < 0])
            size = len(self.code_points)
            self.id_of_code_point[new] = np.arange(size, size + len(new))
            self.code_points.extend(new.tolist())
            yield self.id_of_code_point[points]

    def types(self) -> list[bytes]:
        return RESERVED + [chr(point).encode() for point in self.code_points[2:]]


LEARNERS: dict[TokenizerKind, Callable[[Normalizer], VocabularyLearner]] = {
    "word": WordLearner,
    "char": CharacterLearner,
}
