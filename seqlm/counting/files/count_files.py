"""Counts as files: a line an n-gram, a tab, and its count.

    the <TAB> 1061              unigrams; of a text in sentence context, <s> once a line for others
    <s> the old <TAB> 7         <s> begins a line of text, </s> ends it
    old frog </s> <TAB> 2

SRILM's `ngram-count -write` and Google's n-grams are files of this form. Orders are written one
after the other, each sorted by the bytes of its words; they are read in any order. Files are merged
by adding up, so that a corpus can be counted in parts.

    U n-grams of one order · k words of each · H n-grams of the order below · V vocabulary
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from seqlm.counting.files.count_lines import (
    BEGIN,
    LARGEST,
    Lines,
    Spelling,
    pieces,
    refuse,
    take_apart,
)
from seqlm.counting.tables.arrays import histories
from seqlm.counting.tables.from_rows import Incomplete, from_rows, spell
from seqlm.counting.tables.in_memory import NGrams
from seqlm.errors import DataError, UsageError
from seqlm.models.ngram.ngram_model import scramble_ids
from seqlm.progress import Progress, silent
from seqlm.runs.durable_files import write_pieces
from seqlm.text.corpus import hashed, renumber, renumbering, stretches
from seqlm.text.reading import STDIN, Block, blocks
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED, ordered
from seqlm.text.word_index import WordIndex
from seqlm.threads import prefetch_map

FIXED = [*RESERVED, BEGIN]
START = FIXED.index(BEGIN)


# ---------------------------------------------------------------------------------------- writing


def write_counts(
    path: Path,
    tables: Sequence[NGrams],
    tokenizer: Tokenizer,
    context: str,
    progress: Progress = silent,
) -> None:
    """Writes `tables` of occurrences, compressed if the name of `path` ends in .gz.

    Errors: UsageError where types hold white space; SeqlmError where the disk refuses, and then
    `path` is as it was.
    """
    if any(len(type_.split()) != 1 for type_ in tokenizer.types):
        raise UsageError(
            f"this {tokenizer.kind} vocabulary has white space in its types, and white space parts"
            " the words of a count file: use --tokenizer word"
        )
    write_pieces(path, _text(tables, tokenizer, context, progress))


def _text(
    tables: Sequence[NGrams], tokenizer: Tokenizer, context: str, progress: Progress
) -> Iterator[bytes]:
    """The lines of all orders, in blocks."""
    progress("writing 1-grams")
    size, spelling = len(tokenizer), Spelling(tokenizer.types)
    symbols, as_first = spelling.symbols, spelling.symbols[:size].copy()
    counts = np.append(tables[0].counts.cpu().numpy(), 0)  # (V + 1,)
    if context == "sentence":
        as_first[EOS], counts[size] = symbols[size], counts[EOS]
    ids = symbols.argsort()
    seen = ids[counts[ids] > 0]
    yield spelling.lines(symbols[seen, None], counts[seen])

    of_mixed = np.empty_like(as_first)
    of_mixed[scramble_ids(torch.arange(size), size).numpy()] = symbols[:size]
    rows = as_first.argsort()  # (H,) those of the order below, by bytes
    levels = [(np.array([0, size]), as_first[rows])]  # the orders below, by bytes
    for k, table in enumerate(tables[1:], 2):
        first, words, counts = (of.cpu().numpy() for of in (table.first, table.words, table.counts))
        start = first.take(rows)  # (H,)
        moved = np.append(0, np.diff(first).take(rows).cumsum())  # (H + 1,) where they begin now
        rows = np.empty(len(words), np.int32)
        levels.append((moved, np.empty(len(words), np.int32)))
        for owners, grams in histories(torch.from_numpy(moved)):
            progress(f"writing {k}-grams", grams.start / max(len(words), 1))
            sizes = np.diff(moved[owners.start : owners.stop + 1])
            owner = np.arange(len(sizes)).repeat(sizes)
            row = np.arange(grams.start, grams.stop) + (start - moved[:-1])[owners].take(owner)
            symbol = of_mixed.take(words[row])
            order = (owner << 32 | symbol).argsort()
            rows[grams], levels[-1][1][grams] = row[order], symbol[order]
            yield spelling.lines(spell(levels, grams.start, grams.stop), counts[rows[grams]])


# ---------------------------------------------------------------------------------------- reading


class Counts(NamedTuple):
    """What count files say of a text."""

    tables: list[NGrams]  # of occurrences, orders 1 … n
    tokenizer: Tokenizer
    context: str  # "carried" where </s> stands within n-grams, else "sentence"
    digest: str
    """SHA-256 of the files' text."""
    tokens: int
    lines: int


def read_counts(
    sources: Sequence[str],
    tokenizer: Tokenizer | None = None,
    vocab_size: int | None = None,
    min_count: int | None = None,
    progress: Progress = silent,
) -> Counts:
    """The counts of all `sources` ('-' is standard input) added up.

    The vocabulary is that of `tokenizer`, or the words of the unigrams: at most `vocab_size` with
    the two reserved entries, of those that occur `min_count` times. Other words are `<unk>`.
    Errors: DataError naming file and line, or the n-gram of which a part is missing; UsageError.
    """
    if tokenizer is not None and (vocab_size is not None or min_count is not None):
        raise UsageError("--vocab takes a vocabulary whole: no --vocab-size, no --min-count")
    names = ["<stdin>" if source == STDIN else source for source in sources]
    gathered, digest = Gathered(), hashlib.sha256()
    for source, name in zip(sources, names, strict=True):
        if gathered.add(hashed(blocks([source], progress=progress), digest)) == 0:
            raise DataError(f"{name} is empty: there are no n-grams in it")
    progress("sorting n-grams")
    try:
        unigrams = gathered.unigrams()
        if tokenizer is None:
            words = zip(gathered.types[len(FIXED) :], unigrams[len(FIXED) :].tolist(), strict=True)
            kept = ordered((word, n) for word, n in words if n >= (min_count or 1))
            kept = kept[: None if vocab_size is None else max(0, vocab_size - 2)]
            tokenizer = Tokenizer("word", RESERVED + kept)
        tables = gathered.tables(unigrams, tokenizer)
    except DataError as error:
        raise DataError(f"{', '.join(names)}: {error}") from None
    context = "carried" if gathered.carried else "sentence"
    tokens, lines = int(tables[0].counts.sum()), int(tables[0].counts[EOS])
    return Counts(tables, tokenizer, context, digest.hexdigest(), tokens, lines)


class Rows:
    """N-grams of one order and their counts, in arrays that grow in place."""

    def __init__(self, k: int) -> None:
        self.size = 0
        self._ids = np.empty((0, k), np.int32)
        self._counts = np.empty(0, np.int64)

    @property
    def ids(self) -> np.ndarray:  # (U, k)
        return self._ids[: self.size]

    @property
    def counts(self) -> np.ndarray:  # (U,)
        return self._counts[: self.size]

    def add(self, ids: np.ndarray, counts: np.ndarray) -> None:
        start, self.size = self.size, self.size + len(ids)
        if self.size > len(self._ids):
            room = self.size + self.size // 8
            self._ids.resize((room, ids.shape[1]), refcheck=False)
            self._counts.resize(room, refcheck=False)
        self.ids[start:], self.counts[start:] = ids, counts


class Gathered:
    """N-grams as they come. Types get provisional ids, FIXED the first."""

    def __init__(self) -> None:
        self.index = WordIndex(FIXED)
        self.orders: dict[int, Rows] = {}
        self.carried = False

    @property
    def types(self) -> list[bytes]:
        return list(self.index.ids)

    def add(self, text: Iterable[Block]) -> int:
        """How many lines are in `text`. Errors: DataError."""
        lines = 0
        parts = chain.from_iterable(map(pieces, text))
        for block, ((words, sizes, counts), ids) in prefetch_map(self.look_up, parts):
            self.index.learn(block.data, words, ids)
            for k in np.unique(sizes).tolist():
                chosen = sizes == k
                grams = ids[chosen.repeat(sizes)].reshape(-1, k)
                if (grams[:, 1:] == START).any():
                    refuse(block)
                if k > 1:
                    grams[grams[:, 0] == START, 0] = EOS
                self.carried |= bool((grams[:, 1:-1] == EOS).any())
                self.orders.setdefault(k, Rows(k)).add(grams, counts[chosen])
            lines += len(sizes)
        return lines

    def look_up(self, block: Block) -> tuple[Lines, np.ndarray]:
        lines = take_apart(block)
        return lines, self.index.look_up(block.data, lines.words)

    def unigrams(self) -> np.ndarray:
        """(types,) the count of each type by its provisional id, of `<s>` none.

        Errors: DataError where all are 0, or one that is a word of a longer n-gram.
        """
        types = self.types
        ids, counts = self._order(1, np.arange(len(types), dtype=np.int32))
        unigrams = np.zeros(len(types), np.int64)
        np.add.at(unigrams, ids[:, 0], counts)
        unigrams[START] = 0
        if not unigrams.any():
            raise DataError("there are no unigrams, of which the vocabulary is made")
        for id in np.flatnonzero(unigrams == 0).tolist():
            for ids in chain.from_iterable(stretches(rows.ids) for rows in self.orders.values()):
                there = ids == id
                there[:, 0] &= id != EOS  # which stands for `<s>` here
                if there.any():
                    ngram = ids[there.any(axis=1).argmax()].tolist()
                    raise lacking(self._named(types, ngram), [types[id]])
        return unigrams

    def tables(self, unigrams: np.ndarray, tokenizer: Tokenizer) -> list[NGrams]:
        """The tables of `tokenizer`; what was gathered is let go. Errors: DataError."""
        final = renumbering(self.types, tokenizer.types[2:])  # of each provisional id
        longest = max(self.orders, default=1)
        longer = (self._order(k, final) for k in range(2, longest + 1))
        try:
            return from_rows(chain([(final[:, None], unigrams)], longer), len(tokenizer))
        except Incomplete as error:
            words = self._named(tokenizer.types, error.ids)
            raise lacking(words, words[:-1] if error.part == "context" else words[1:]) from None

    def _order(self, k: int, final: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The n-grams (U, k) of an order in `final` ids, and their counts (U,).

        Errors: DataError where the counts are too large to be added up.
        """
        rows = self.orders.pop(k, Rows(k))
        renumber(rows.ids, final)
        total = 0
        for counts in stretches(rows.counts):  # in two halves, whose sums 63 bits hold
            total += (int((counts >> 32).sum()) << 32) + int((counts & (2**32 - 1)).sum())
        if total > LARGEST:
            raise DataError(f"the counts of the {k}-grams add up to more than 2^63 - 1")
        return rows.ids, rows.counts

    def _named(self, types: Sequence[bytes], ids: Sequence[int]) -> list[bytes]:
        words = [types[id] for id in ids]
        return [BEGIN, *words[1:]] if ids[0] == EOS and not self.carried else words


def lacking(ngram: Sequence[bytes], part: Sequence[bytes]) -> DataError:
    whole, missing = b" ".join(ngram).decode(), b" ".join(part).decode()
    return DataError(
        f"{whole!r} has a count, but {missing!r}, a part of it, has none;"
        " all shorter n-grams are needed too"
    )
