"""The formats that word vectors are written in, and the words that each can hold.

    word2vec           N D                         a header, then a line for each word
                       the 0.418 0.24968 …
    word2vec-binary    N D                         the same with numbers of float32
                       the <4 · D bytes>\\n
    glove              the 0.418 0.24968 …         lines without a header
    vec                as word2vec                 the name of fastText for its text

Words end at white space, and lines at a newline, so that no word may hold them.

    N words · D numbers of a vector
"""

from __future__ import annotations

import re

from seqlm.errors import UsageError, did_you_mean

FORMATS = ("word2vec", "word2vec-binary", "glove", "vec")
LONGEST_WORD = 1 << 12
"""Bytes of a word in a binary format; word2vec itself cuts words after 100."""
WHITE_SPACE = re.compile(r"[\0-\x20]")
"""What separates words and lines, in one reader or another, and control characters."""
BYTE_ORDER_MARK = "\ufeff"


def check_format(to: str) -> None:
    """Errors: UsageError where `to` is none of FORMATS."""
    if to not in FORMATS:
        raise UsageError(f"`to` is {to!r}{did_you_mean(to, FORMATS)}")


def why_not(word: str, to: str, is_first: bool) -> str:
    """Why a format cannot hold a word, which may be the first of its file; '' where it can."""
    if not word:
        return "which is empty"
    if WHITE_SPACE.search(word):
        return "which has white space or a control character"
    try:
        length = len(word) if word.isascii() else len(word.encode())
    except UnicodeEncodeError:
        return "which has half a character"
    if to == "word2vec-binary" and length > LONGEST_WORD:
        return f"which is longer than {LONGEST_WORD:,} bytes"
    if to == "glove" and is_first and word.startswith(BYTE_ORDER_MARK):
        return "which begins with a byte-order mark, that of a file"
    return ""
