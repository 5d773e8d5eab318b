"""A corpus: the text a model learns from, as ids, and the vocabulary it brings or is given."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from seqlm.errors import DataError, UsageError
from seqlm.memory import IN_MEMORY, Memory
from seqlm.progress import Progress, silent
from seqlm.text.reading import STDIN, Block, blocks, file_blocks
from seqlm.text.tokenizer import Kind, Tokenizer, code_points, refuse_sentinels, unspell
from seqlm.text.vocabulary import EOS, RESERVED, UNK, ordered
from seqlm.text.word_index import Tokens, WordIndex, split
from seqlm.threads import prefetch_map

BPE_SIZE = 4000
"""Types of a BPE vocabulary where none is asked for."""


class Corpus(NamedTuple):
    ids: np.ndarray  # (N,) int32, every line ending in EOS
    tokenizer: Tokenizer
    digest: str
    """SHA-256 of the clean text."""

    @property
    def lines(self) -> int:
        return sum(int(np.count_nonzero(block == EOS)) for block in stretches(self.ids))


def read_corpus(
    sources: Sequence[str],
    tokenizer: Tokenizer | None = None,
    kind: Kind = "word",
    vocab_size: int | None = None,
    min_count: int | None = None,
    errors: str = "strict",
    rare: int = 1,
    held_out: float = 0.0,
    memory: Memory = IN_MEMORY,
    progress: Progress = silent,
) -> Corpus:
    """Reads `sources` once, with the vocabulary of `tokenizer` or a new one of `kind`.

    `vocab_size` counts the two reserved entries. `min_count` is the fewest occurrences of a type;
    None takes `rare`, or 1 where the text marks its own unknown words with `<unk>`. Types that only
    the last `held_out` part of the tokens has are unknown, as in a text of their own. `memory` says
    where the ids go.
    Errors: DataError where there is no text, or nothing but empty lines; UsageError on a size.
    """
    if not sources:
        raise DataError("no corpus: name a file, or - for standard input")
    if tokenizer is not None and (vocab_size is not None or min_count is not None):
        raise UsageError("--vocab takes a vocabulary whole: no --vocab-size, no --min-count")
    if kind == "bpe":
        check_bpe(vocab_size)
    seen = hashlib.sha256()
    text = hashed(blocks(sources, errors, progress), seen)
    if tokenizer is not None:
        ids = memory.concatenate(ids for _, ids in prefetch_map(tokenizer.encode, text))
    elif kind == "bpe":
        if any(map(once_only, sources)):
            tokenizer, ids = learn_bpe_from_stream(text, vocab_size, min_count or 1, memory)
        else:
            merged = learn_bpe(blocks(sources, errors, progress), vocab_size, min_count or 1)
            tokenizer, ids = by_frequency(merged, memory.concatenate(map(merged.encode, text)))
    else:
        learner = LEARNERS[kind]()
        ids = memory.concatenate(learner.encode(text))
        tokenizer = learner.finish(ids, vocab_size, min_count, rare, held_out)
    named = ", ".join("<stdin>" if source == STDIN else source for source in sources)
    if len(ids) == 0:
        raise DataError(f"the corpus is empty: no text in {named}")
    corpus = Corpus(ids, tokenizer, seen.hexdigest())
    if corpus.lines == len(ids):
        raise DataError(f"the corpus is nothing but empty lines: {named}")
    return corpus


def once_only(source: str) -> bool:
    """What cannot be read again: standard input, or a pipe, as `<(command)` is."""
    return source == STDIN or Path(source).is_fifo()


def hashed(text: Iterable[Block], digest: hashlib._Hash) -> Iterator[Block]:
    """The same blocks; `digest` has all of them when the last was taken."""
    with ThreadPoolExecutor(1) as beside:
        for block in text:
            beside.submit(digest.update, block.data)
            yield block


def tail(ids: np.ndarray, fraction: float) -> int:
    """Where the last `fraction` of the tokens begins, in whole lines.

    Errors: DataError where there are not two lines to part.
    """
    ends = np.flatnonzero(ids == EOS) + 1
    if len(ends) < 2:
        raise DataError("one line cannot be split: --valid-fraction needs two or more")
    place = int(np.searchsorted(ends, len(ids) * (1 - fraction)))
    return int(ends[min(place, len(ends) - 2)])


# ----------------------------------------------------------------------- vocabularies from counts


class Learner:
    """Gives types provisional ids as they come, then orders them by count in one `take`."""

    kind: Kind

    def encode(self, text: Iterable[Block]) -> Iterator[np.ndarray]:
        """(N,) provisional ids of each block; the reserved entries already have theirs."""
        raise NotImplementedError

    def types(self) -> list[bytes]:
        """All types by provisional id."""
        raise NotImplementedError

    def finish(
        self,
        ids: np.ndarray,
        vocab_size: int | None,
        min_count: int | None,
        rare: int,
        held_out: float,
    ) -> Tokenizer:
        """The tokeniser; `ids` become its own."""
        types = self.types()
        known = ids[: tail(ids, held_out)] if held_out and len(ids) else ids
        counts = occurrences(known, len(types))
        if min_count is None:
            min_count = 1 if counts[UNK] else rare
        frequent = [(types[id], int(counts[id])) for id in range(2, len(types))]
        kept = ordered((t, n) for t, n in frequent if n >= max(min_count, 1))
        if vocab_size is not None:
            kept = kept[: max(0, vocab_size - 2)]
        renumber(ids, renumbering(types, kept))
        return Tokenizer(self.kind, RESERVED + kept)


def renumbering(types: list[bytes], kept: list[bytes]) -> np.ndarray:
    """(V,) int32, the id that each of `types` gets when `kept` follow the reserved two."""
    final = {type_: id for id, type_ in enumerate(kept, 2)}
    return np.array([UNK, EOS, *(final.get(type_, UNK) for type_ in types[2:])], np.int32)


STRETCH = 1 << 20


def stretches(ids: np.ndarray) -> Iterator[np.ndarray]:
    """Views of `ids` that are handled one after the other, so that copies are small."""
    for start in range(0, len(ids), STRETCH):
        yield ids[start : start + STRETCH]


def occurrences(ids: np.ndarray, size: int) -> np.ndarray:
    """(size,) int64, how often each id is in `ids`."""
    counts = np.zeros(size, np.int64)
    for block in stretches(ids):
        counts += np.bincount(block, minlength=size)
    return counts


def renumber(ids: np.ndarray, final: np.ndarray) -> None:
    """ids = final[ids], in place."""
    for block in stretches(ids):
        final.take(block, out=block, mode="clip")


class WordLearner(Learner):
    kind: Kind = "word"

    def __init__(self) -> None:
        self.index = WordIndex(RESERVED)

    def encode(self, text: Iterable[Block]) -> Iterator[np.ndarray]:
        for block, (tokens, ids) in prefetch_map(self.look_up, text):
            self.index.learn(block.data, tokens, ids)
            yield ids

    def look_up(self, block: Block) -> tuple[Tokens, np.ndarray]:
        refuse_sentinels(block)
        tokens = split(block.data)
        return tokens, self.index.look_up(block.data, tokens)

    def types(self) -> list[bytes]:
        return list(self.index.ids)


class CharacterLearner(Learner):
    kind: Kind = "char"

    def __init__(self) -> None:
        self.table = np.full(0x110000, -1, np.int32)
        self.table[ord("\n")] = EOS
        self.found = [UNK, EOS]

    def encode(self, text: Iterable[Block]) -> Iterator[np.ndarray]:
        for block in text:
            points = code_points(block.data)
            new = np.unique(points[self.table[points] < 0])
            self.table[new] = np.arange(len(self.found), len(self.found) + len(new))
            self.found.extend(new.tolist())
            yield self.table[points]

    def types(self) -> list[bytes]:
        return RESERVED + [chr(point).encode() for point in self.found[2:]]


LEARNERS: dict[Kind, Callable[[], Learner]] = {"word": WordLearner, "char": CharacterLearner}

# -------------------------------------------------------------------------------- byte-pair merges


def check_bpe(vocab_size: int | None) -> None:
    """Errors: UsageError on a size that has no place for the bytes."""
    if vocab_size is not None and vocab_size < 256:
        raise UsageError(f"--vocab-size {vocab_size}: a BPE vocabulary begins with the 256 bytes")


def learn_bpe(text: Iterable[Block], vocab_size: int | None, min_count: int) -> Tokenizer:
    """Merges learnt by the `tokenizers` library over all 256 bytes, ids in its order."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        # 0xFF and the newline never occur in a line; their places are those of the reserved two.
        vocab_size=max(vocab_size or BPE_SIZE, 256),
        min_frequency=max(min_count, 2),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    library.train_from_iterator(
        (line for block in text for line in block.data.decode().split("\n")), trainer
    )
    model = json.loads(library.to_str())["model"]
    spelled = sorted(model["vocab"], key=model["vocab"].get)
    types = [unspell(type_) for type_ in spelled]
    return Tokenizer(
        "bpe", RESERVED + [t for t in types if t not in (b"\xff", b"\n")], model["merges"]
    )


def by_frequency(tokenizer: Tokenizer, ids: np.ndarray) -> tuple[Tokenizer, np.ndarray]:
    """The same merges with ids by falling count of the encoded corpus."""
    types = tokenizer.types
    counts = occurrences(ids, len(types))
    order = ordered((type_, int(counts[id])) for id, type_ in enumerate(types) if id > EOS)
    renumber(ids, renumbering(types, order))
    return Tokenizer("bpe", RESERVED + order, tokenizer.merges), ids


def learn_bpe_from_stream(
    text: Iterable[Block], vocab_size: int | None, min_count: int, memory: Memory
) -> tuple[Tokenizer, np.ndarray]:
    """Merges need a first reading and the ids a second; a stream is kept on disk between them."""
    with tempfile.NamedTemporaryFile(prefix="seqlm-") as spool:
        for block in text:
            spool.write(block.data)
        spool.flush()
        again: Callable[[], Iterator[Block]] = lambda: file_blocks(spool.name, "strict")  # noqa: E731
        merged = learn_bpe(again(), vocab_size, min_count)
        return by_frequency(merged, memory.concatenate(map(merged.encode, again())))
