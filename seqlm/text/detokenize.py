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
        self.tokenizer = tokenizer
        self.joins_with_space = tokenizer.kind == "word"
        separators = "\n \t\r\v\f" if self.joins_with_space else "\n"
        self.inside_line = before != "" and before[-1] not in separators
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

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


def printable(token: bytes) -> str:
    """A token as it can stand in a cell: tabs and the like escaped, half characters as bytes."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in token)
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
