"""Ids to text one at a time, as streaming output needs it; and tokens as tables show them."""

from __future__ import annotations

import codecs

from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS


class Detokenizer:
    """Returns the text that each further id adds. `</s>` is a newline; one space joins words.

    A byte-level token may end inside a character, whose bytes are then held back until the rest of
    it comes.
    """

    def __init__(self, tokenizer: Tokenizer, before: str = "") -> None:
        """`before` is the text that precedes the first id, such as a prompt."""
        self.tokenizer, self.before = tokenizer, before
        self.joins_with_space = tokenizer.kind == "word"
        separators = "\n \t\r\v\f" if self.joins_with_space else "\n"
        self.inside_line = before != "" and before[-1] not in separators
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def start(self) -> str:
        """The text that can be shown before the first id comes: all that precedes it."""
        return self.before

    def write(self, id: int) -> str:
        if id == EOS:
            self.inside_line = False
            return self.decoder.decode(b"", final=True) + "\n"
        type_ = self.tokenizer.types[id]
        if not self.inside_line:
            type_ = self.tokenizer.strip_space(type_)
        text = self.decoder.decode(type_)
        if self.joins_with_space and self.inside_line:
            text = " " + text
        self.inside_line = True
        return text

    def finish(self) -> str:
        """The rest of an unfinished line and its newline, or nothing after a finished one."""
        rest = self.decoder.decode(b"", final=True)
        return rest + "\n" if self.inside_line else rest


class BackwardDetokenizer:
    """As `Detokenizer`, for ids that are read from the end of a line to its beginning: a line is
    returned as a whole."""

    def __init__(self, tokenizer: Tokenizer, before: str = "") -> None:
        """`before` is the text that was read before the first id: whole lines, and then the end of
        the line whose beginning the ids are."""
        self.tokenizer = tokenizer
        lines, newline, self.end_of_line = before.rpartition("\n")
        self.lines_before = lines + newline
        self.types: list[bytes] = []

    def start(self) -> str:
        return self.lines_before

    def write(self, id: int) -> str:
        if id == EOS:
            return self.finish_line()
        self.types.append(self.tokenizer.types[id])
        return ""

    def finish(self) -> str:
        return self.finish_line() if self.types or self.end_of_line else ""

    def finish_line(self) -> str:
        text, end = self.tokenizer.join(self.types).decode(errors="replace"), self.end_of_line
        self.types, self.end_of_line = [], ""
        needs_space = self.tokenizer.kind == "word" and text and end and not end[0].isspace()
        return text + (" " if needs_space else "") + end + "\n"


def make_detokenizer(tokenizer: Tokenizer, before: str = "") -> Detokenizer | BackwardDetokenizer:
    """The one for the direction in which the model reads."""
    return (BackwardDetokenizer if tokenizer.is_backward else Detokenizer)(tokenizer, before)


def printable(token: bytes) -> str:
    """A token as it can stand in a cell: tabs and the like escaped, half characters as bytes."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in token)
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
