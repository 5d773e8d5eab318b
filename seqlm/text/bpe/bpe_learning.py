"""Byte-pair merges learned from text, by the `tokenizers` library.

The library learns in native code, which knows nothing of signals: it works in a thread of its own,
so that Ctrl-C and SIGTERM end the wait for it. Its time is quadratic in the length of a word, and a
"word" may be a megabyte, as of DNA or of a script without spaces. So a run without white space, or
of nothing else, is cut for it after MAX_WORD characters. Encoding cuts nothing.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from threading import Event

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from seqlm.errors import UsageError
from seqlm.machine.memory import Memory
from seqlm.machine.threads import run_interruptibly
from seqlm.text.normalization import NO_STEPS, Normalizer
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer, from_printable
from seqlm.text.vocabulary import (
    EOS,
    RESERVED,
    apply_id_mapping,
    count_ids,
    id_mapping,
    order_types,
)

DEFAULT_BPE_SIZE = 4000
"""Types of a BPE vocabulary if no size is given."""

MAX_WORD = 1024  # characters
LONG_RUN = re.compile(rf"\S{{{MAX_WORD}}}(?=\S)|\s{{{MAX_WORD}}}(?=\s)")


def check_bpe_size(vocab_size: int | None) -> None:
    """Errors: UsageError on a size too small for the 256 bytes."""
    if vocab_size is not None and vocab_size < 256:
        raise UsageError(f"`vocab_size={vocab_size}`: a BPE vocabulary begins with the 256 bytes")


def learn_bpe(
    text: Iterable[Block],
    vocab_size: int | None,
    min_count: int,
    normalizer: Normalizer = NO_STEPS,
) -> Tokenizer:
    """A tokenizer with the merges that the `tokenizers` library learns over all 256 bytes.

    Its ids are in the library's order.
    """
    library_tokenizer = tokenizers.Tokenizer(models.BPE())
    library_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        # 0xFF and the newline never occur in a line, and leave their places to the reserved two.
        vocab_size=max(vocab_size or DEFAULT_BPE_SIZE, 256),
        min_frequency=max(min_count, 2),
        initial_alphabet=alphabet,
        show_progress=False,
    )

    def learn(stopped: Event) -> None:
        library_tokenizer.train_from_iterator(lines_to_learn(text, normalizer, stopped), trainer)

    run_interruptibly(learn)
    model = json.loads(library_tokenizer.to_str())["model"]
    printable = sorted(model["vocab"], key=model["vocab"].get)
    types = [from_printable(type_) for type_ in printable]
    types = RESERVED + [type_ for type_ in types if type_ not in (b"\xff", b"\n")]
    return Tokenizer("bpe", types, model["merges"], normalizer)


def lines_to_learn(text: Iterable[Block], normalizer: Normalizer, stopped: Event) -> Iterator[str]:
    """The lines of `text` in normal form; those with a very long run in several parts.

    Errors: InterruptedError after `stopped` is set.
    """
    for block in text:
        for line in normalizer(block.data).decode().split("\n"):
            if stopped.is_set():
                raise InterruptedError
            yield from cut_long_runs(line) if len(line) > MAX_WORD else (line,)


def cut_long_runs(line: str) -> Iterator[str]:
    """The parts of a line, in none of which more than MAX_WORD characters are all white space, or
    all none."""
    start = 0
    for run in LONG_RUN.finditer(line):
        yield line[start : run.end()]
        start = run.end()
    yield line[start:]


def order_by_frequency(tokenizer: Tokenizer, ids: np.ndarray) -> tuple[Tokenizer, np.ndarray]:
    """A BPE tokenizer with the same merges whose types are ordered by falling count in `ids`, the
    encoded corpus, and `ids` changed to its ids in place."""
    types = tokenizer.types
    counts = count_ids(ids, len(types))
    order = order_types((type_, int(counts[id])) for id, type_ in enumerate(types) if id > EOS)
    apply_id_mapping(ids, id_mapping(types, order))
    return Tokenizer("bpe", RESERVED + order, tokenizer.merges, tokenizer.normalizer), ids


def learn_bpe_from_stream(
    text: Iterable[Block],
    vocab_size: int | None,
    min_count: int,
    memory: Memory,
    normalizer: Normalizer = NO_STEPS,
) -> tuple[Tokenizer, np.ndarray]:
    """The tokenizer and the ids of text that can be read only once.

    It is read twice, to learn merges and to encode it, and is stored on disk for that.
    """
    with tempfile.TemporaryFile(prefix="seqlm-") as copy:  # which has no name, whatever happens
        blocks = []
        for block in text:
            blocks.append((len(block.data), block.file, block.line))
            copy.write(block.data)

        def stored() -> Iterator[Block]:
            copy.seek(0)
            for size, source, line in blocks:
                yield Block(copy.read(size), source, line)

        tokenizer = learn_bpe(stored(), vocab_size, min_count, normalizer)
        return order_by_frequency(tokenizer, memory.concatenate(map(tokenizer.encode, stored())))
