"""Count files: a line for each n-gram, with a tab and its count.

    the <TAB> 1061              unigrams; of a text in sentence context, <s> counts its lines
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

import numpy as np

from seqlm.counting.counted_corpus import CountedCorpus
from seqlm.counting.files.count_lines import (
    BOS,
    MAX_COUNT,
    ParsedLines,
    SortedTypes,
    parse_lines,
    refuse_bad_line,
    split_block,
)
from seqlm.counting.tables.array_passes import history_blocks
from seqlm.counting.tables.from_rows import IncompleteNGram, from_rows
from seqlm.counting.tables.ngrams import CountedOrder, NGrams
from seqlm.errors import DataError, UsageError
from seqlm.machine.threads import prefetch_map
from seqlm.models.ngram.ngram_order import words_of_range
from seqlm.models.ngram.scrambling import scramble_ids
from seqlm.models.ngram.sort_keys import pack_keys
from seqlm.progress import Progress, silent
from seqlm.runs.durable_files import write_pieces
from seqlm.text.corpus import hash_blocks
from seqlm.text.reading import Block, read_blocks, source_name
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import (
    EOS,
    RESERVED,
    apply_id_mapping,
    id_mapping,
    order_types,
    split_into_chunks,
)
from seqlm.text.word_index import WordIndex

FIRST_TYPES = [*RESERVED, BOS]
BOS_ID = FIRST_TYPES.index(BOS)


# ---------------------------------------------------------------------------------------- writing


def write_counts(
    path: Path | None,
    tables: Sequence[NGrams],
    tokenizer: Tokenizer,
    context: str,
    progress: Progress = silent,
) -> None:
    """Writes `tables` of occurrences, compressed if the name of `path` ends in .gz; None is
    standard output.

    Errors: UsageError where types contain white space; SeqlmError where the disk refuses, and then
    `path` is left as it was.
    """
    if any(len(type_.split()) != 1 for type_ in tokenizer.types):
        raise UsageError(
            f"this {tokenizer.kind} vocabulary has white space in its types, and white space"
            " separates the words of a count file: use `tokenizer=word`"
        )
    write_pieces(path, _lines_of_tables(tables, tokenizer, context, progress))


def _lines_of_tables(
    tables: Sequence[NGrams], tokenizer: Tokenizer, context: str, progress: Progress
) -> Iterator[bytes]:
    """The lines of all orders, in blocks. Words are represented by their ranks by bytes."""
    progress("writing 1-grams")
    size, types = len(tokenizer), SortedTypes(tokenizer.types)
    rank, rank_as_first = types.rank, types.rank[:size].copy()
    counts = np.append(tables[0].counts, 0)  # (V + 1,)
    if context == "sentence":
        rank_as_first[EOS], counts[size] = rank[size], counts[EOS]
    ids = rank.argsort()
    seen = ids[counts[ids] > 0]
    yield types.format_lines(rank[seen, None], counts[seen])

    rank_of_scrambled = np.empty_like(rank_as_first)
    rank_of_scrambled[scramble_ids(np.arange(size), size)] = rank[:size]
    rows = rank_as_first.argsort()  # (H,) those of the order below, by bytes
    first_ranks = rank_as_first[rows]
    # The order below, and those before it, by bytes, with ranks for words.
    below_words: np.ndarray = rank_as_first
    orders: list[CountedOrder] = []
    for k, table in enumerate(tables[1:], 2):
        words, first, _, counts, _ = table
        old_start = first.take(rows)  # (H,)
        new_first = np.append(0, np.diff(first).take(rows).cumsum())  # (H + 1,)
        rows = np.empty(len(words), np.int32)
        new_words = np.empty(len(words), np.int32)
        orders.append(CountedOrder(below_words, new_first))
        below_words = new_words
        spelling = [*orders, CountedOrder(new_words, np.empty(0, np.int32))]
        for owners, grams in history_blocks(new_first):
            progress(f"writing {k}-grams", grams.start / max(len(words), 1))
            sizes = np.diff(new_first[owners.start : owners.stop + 1])
            owner = np.arange(len(sizes)).repeat(sizes)
            shift = (old_start[owners] - new_first[owners]).take(owner)
            row = np.arange(grams.start, grams.stop) + shift
            word_rank = rank_of_scrambled.take(words[row])
            order = pack_keys(owner, word_rank).argsort()
            rows[grams], new_words[grams] = row[order], word_rank[order]
            first_rows, *ranks = words_of_range(spelling, grams.start, grams.stop)
            ngrams = np.stack([first_ranks.take(first_rows), *ranks], 1)
            yield types.format_lines(ngrams, counts[rows[grams]])


# ---------------------------------------------------------------------------------------- reading


def read_counts(
    sources: Sequence[str],
    tokenizer: Tokenizer | None = None,
    vocab_size: int | None = None,
    min_count: int | None = None,
    progress: Progress = silent,
) -> CountedCorpus:
    """The counts of all `sources` ('-' is standard input) added up.

    The vocabulary is that of `tokenizer`, or the words of the unigrams: at most `vocab_size` with
    the two reserved entries, of those that occur `min_count` times. Other words are `<unk>`. The
    context is "carried" if `</s>` occurs inside n-grams. The digest is that of the files' text.

    Errors: DataError naming file and line, or the n-gram of which a part is missing.
    """
    names = [source_name(source) for source in sources]
    collector, digest = NGramCollector(), hashlib.sha256()
    for source, name in zip(sources, names, strict=True):
        text = read_blocks([source], "refuse", progress)
        if collector.add(hash_blocks(text, digest)) == 0:
            raise DataError(f"{name} is empty: there are no n-grams in it")
    progress("sorting n-grams")
    try:
        unigrams = collector.unigrams()
        if tokenizer is None:
            start = len(FIRST_TYPES)
            words = zip(collector.types[start:], unigrams[start:].tolist(), strict=True)
            kept = order_types((word, n) for word, n in words if n >= (min_count or 1))
            kept = kept[: None if vocab_size is None else max(0, vocab_size - 2)]
            tokenizer = Tokenizer("word", RESERVED + kept)
        tables = collector.tables(unigrams, tokenizer)
    except DataError as error:
        raise DataError(f"{', '.join(names)}: {error}") from None
    return CountedCorpus(
        tables,
        tokenizer,
        context="carried" if collector.carried else "sentence",
        tokens=int(tables[0].counts.sum()),
        lines=int(tables[0].counts[EOS]),
        digest=digest.hexdigest(),
    )


class NGramRows:
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
            capacity = self.size + self.size // 8
            self._ids.resize((capacity, ids.shape[1]), refcheck=False)
            self._counts.resize(capacity, refcheck=False)
        self.ids[start:], self.counts[start:] = ids, counts


class NGramCollector:
    """N-grams in the order they are read. Types get provisional ids, FIRST_TYPES the first."""

    def __init__(self) -> None:
        self.index = WordIndex(FIRST_TYPES)
        self.orders: dict[int, NGramRows] = {}
        self.carried = False

    @property
    def types(self) -> list[bytes]:
        return list(self.index.ids)

    def add(self, text: Iterable[Block]) -> int:
        """Adds the n-grams of `text` and returns its number of lines. Errors: DataError."""
        lines = 0
        pieces = chain.from_iterable(map(split_block, text))
        for piece, ((words, sizes, counts), ids) in prefetch_map(self._look_up, pieces):
            self.index.learn(piece.data, words, ids)
            for k in np.unique(sizes).tolist():
                of_order = sizes == k
                grams = ids[of_order.repeat(sizes)].reshape(-1, k)
                if (grams[:, 1:] == BOS_ID).any():
                    refuse_bad_line(piece)
                if k > 1:
                    grams[grams[:, 0] == BOS_ID, 0] = EOS
                self.carried |= bool((grams[:, 1:-1] == EOS).any())
                self.orders.setdefault(k, NGramRows(k)).add(grams, counts[of_order])
            lines += len(sizes)
        return lines

    def _look_up(self, piece: Block) -> tuple[ParsedLines, np.ndarray]:
        lines = parse_lines(piece)
        return lines, self.index.look_up(piece.data, lines.words)

    def unigrams(self) -> np.ndarray:
        """(types,) the count of each type by its provisional id; 0 for `<s>`.

        Errors: DataError if all are 0, or that of a type that is a word of a longer n-gram.
        """
        types = self.types
        ids, counts = self._take_order(1, np.arange(len(types), dtype=np.int32))
        unigrams = np.zeros(len(types), np.int64)
        np.add.at(unigrams, ids[:, 0], counts)
        unigrams[BOS_ID] = 0
        if not unigrams.any():
            raise DataError("there are no unigrams, of which the vocabulary is made")
        for id in np.flatnonzero(unigrams == 0).tolist():
            for ids in chain.from_iterable(
                split_into_chunks(rows.ids) for rows in self.orders.values()
            ):
                has_id = ids == id
                has_id[:, 0] &= id != EOS  # which stands for `<s>` here
                if has_id.any():
                    ngram = ids[has_id.any(axis=1).argmax()].tolist()
                    raise missing_part(self._words_of(types, ngram), [types[id]])
        return unigrams

    def tables(self, unigrams: np.ndarray, tokenizer: Tokenizer) -> list[NGrams]:
        """The tables in ids of `tokenizer`; the collected n-grams are released.

        Errors: DataError if a part of an n-gram has no count.
        """
        final = id_mapping(self.types, tokenizer.types[2:])  # of each provisional id
        longest = max(self.orders, default=1)
        longer = (self._take_order(k, final) for k in range(2, longest + 1))
        try:
            return from_rows(chain([(final[:, None], unigrams)], longer), len(tokenizer))
        except IncompleteNGram as error:
            words = self._words_of(tokenizer.types, error.ids)
            part = words[:-1] if error.part == "context" else words[1:]
            raise missing_part(words, part) from None

    def _take_order(self, k: int, final: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The n-grams (U, k) of an order in `final` ids, and their counts (U,).

        Errors: DataError if the counts are too large to be added up.
        """
        rows = self.orders.pop(k, NGramRows(k))
        apply_id_mapping(rows.ids, final)
        total = 0
        for counts in split_into_chunks(rows.counts):  # in two halves, whose sums 63 bits hold
            total += (int((counts >> 32).sum()) << 32) + int((counts & (2**32 - 1)).sum())
        if total > MAX_COUNT:
            raise DataError(f"the counts of the {k}-grams add up to more than 2^63 - 1")
        return rows.ids, rows.counts

    def _words_of(self, types: Sequence[bytes], ids: Sequence[int]) -> list[bytes]:
        words = [types[id] for id in ids]
        return [BOS, *words[1:]] if ids[0] == EOS and not self.carried else words


def missing_part(ngram: Sequence[bytes], part: Sequence[bytes]) -> DataError:
    whole, missing = b" ".join(ngram).decode(), b" ".join(part).decode()
    return DataError(
        f"{whole!r} has a count, but {missing!r}, a part of it, has none;"
        " all shorter n-grams are needed too"
    )
