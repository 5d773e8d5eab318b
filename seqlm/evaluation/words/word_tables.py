"""The words of texts, and of tables of items, under one model or several side by side.

Words are what white space separates, so that models of any vocabularies have the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from seqlm.errors import DataError
from seqlm.evaluation.mixtures.tuning import not_held_out
from seqlm.evaluation.words.item_table import Item
from seqlm.evaluation.words.word_surprisal import WordScorer, WordSurprisal
from seqlm.text.reading import Block, read_blocks, source_name
from seqlm.text.tokenizer import check_no_sentinels

ITEMS_AT_ONCE = 256
BYTES_AT_ONCE = 1 << 16

Row = tuple[WordSurprisal, ...]
"""A word under each model."""


def words_of_files(
    scorers: Sequence[WordScorer],
    files: Sequence[str],
    errors: str = "strict",
    forbidden_texts: Mapping[str, str] | None = None,
) -> Iterator[Row]:
    """The words of `files`, each a text of its own; lines are numbered on from file to file.

    `forbidden_texts` is that of `evaluate.score_files`. Errors: DataError, UsageError as there.
    """
    for file in files:
        for scorer in scorers:
            scorer.restart()
        digest = hashlib.sha256()
        for block in read_blocks([file], errors):
            if forbidden_texts:
                digest.update(block.data)
            for part in cut_block(block):
                yield from score_block(scorers, part)
        if forbidden_texts and digest.hexdigest() in forbidden_texts:
            raise not_held_out(file, forbidden_texts[digest.hexdigest()])
    if not scorers[0].tally.tokens:
        raise DataError(
            f"there is no text to evaluate: {', '.join(map(source_name, files))} is empty"
        )


def words_of_items(
    scorers: Sequence[WordScorer], items: Iterable[Item], name: str
) -> Iterator[tuple[Item, Row]]:
    """The words of each item, which is a line; the items are one text, from the table `name`.

    Errors: DataError on a literal `<s>` or `</s>` among words, or where there are no items.
    """
    of_words = any(scorer.tokenizer.kind == "word" for scorer in scorers)
    items, first_id = iter(items), 1
    while group := list(islice(items, ITEMS_AT_ONCE)):
        for item in group if of_words else ():
            check_no_sentinels(Block(item.text.encode(), name, item.line))
        text = "".join(f"{item.text}\n" for item in group)
        for row in score_block(scorers, Block(text.encode(), name, group[0].line)):
            yield group[row[0].sentence_id - first_id], row
        first_id += len(group)
    if first_id == 1:
        raise DataError(f"{name} has no items: nothing follows the names of its columns")


def cut_block(block: Block) -> Iterator[Block]:
    """Parts of a block that end with lines, of BYTES_AT_ONCE where lines are shorter: there is a
    row in memory for each word of a part."""
    begin, line = 0, block.line
    while begin < len(block.data):
        end = block.data.rfind(b"\n", begin, begin + BYTES_AT_ONCE) + 1
        end = end or block.data.find(b"\n", begin) + 1 or len(block.data)
        part = Block(block.data[begin:end], block.file, line)
        yield part
        begin, line = end, line + part.data.count(b"\n")


def score_block(scorers: Sequence[WordScorer], block: Block) -> Iterator[Row]:
    """The words of the next block of a text."""
    return zip(*(scorer.score(block) for scorer in scorers), strict=True)
