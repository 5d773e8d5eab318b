"""The bytes of small files of word vectors, put together by hand."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

from seqlm.runs.vector_files.word_vectors import WordVectors

Read = Callable[..., WordVectors]
"""The fixture `read`."""
WORDS = ["the", "frog", "Café", "中文"]
VECTORS = np.array([[0.5, -1, 2], [0.25, 3, -0.125], [1, 0, 0], [-4, 5.5, 6]], np.float32)


def text_lines(words: Sequence[str] = WORDS, vectors: np.ndarray = VECTORS) -> bytes:
    """GloVe's text; with a header in front, word2vec's."""
    rows = zip(words, vectors.tolist(), strict=True)
    return "".join(f"{word} {' '.join(map(repr, row))}\n" for word, row in rows).encode()


def word2vec_text(words: Sequence[str] = WORDS, vectors: np.ndarray = VECTORS) -> bytes:
    return b"%d %d\n" % vectors.shape + text_lines(words, vectors)


def word2vec_binary(
    words: Sequence[str] = WORDS, vectors: np.ndarray = VECTORS, end: bytes = b""
) -> bytes:
    rows = zip(words, vectors.astype("<f4"), strict=True)
    entries = [word.encode() + b" " + row.tobytes() + end for word, row in rows]
    return b"%d %d\n" % vectors.shape + b"".join(entries)


def fasttext_bytes(
    words: Sequence[bytes],
    rows: np.ndarray,
    labels: Sequence[bytes] = (),
    *,
    magic: int = 793712314,
    version: int = 12,
    width: int | None = None,
    model: int = 2,
    buckets: int | None = None,
    min_n: int = 3,
    max_n: int = 6,
    num_words: int | None = None,
    num_pruned: int = -1,
    quantized: int = 0,
) -> bytes:
    """A fastText model with the input matrix `rows` (N + K, D), and no outputs."""
    size, dim = rows.shape
    buckets = size - len(words) if buckets is None else buckets
    arguments = struct.pack(
        "<12id", width or dim, 5, 1, 1, 5, 1, 2, model, buckets, min_n, max_n, 100, 1e-4
    )
    num_words = len(words) if num_words is None else num_words
    sizes = struct.pack("<3i2q", num_words + len(labels), num_words, len(labels), 99, num_pruned)
    entries = [word + b"\0" + struct.pack("<qb", 7, 0) for word in words]
    entries += [label + b"\0" + struct.pack("<qb", 7, 1) for label in labels]
    inputs = struct.pack("<b2q", quantized, size, dim) + rows.astype("<f4").tobytes()
    outputs = struct.pack("<b2q", 0, 0, dim)
    return b"".join(
        [struct.pack("<2i", magic, version), arguments, sizes, *entries, inputs, outputs]
    )
