"""Ids to text as they come, one at a time: what streaming output needs."""

from __future__ import annotations

import codecs

from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS


class Writer:
    """The text each further id adds. `</s>` is a newline; words are joined by one space.

    A byte-level token may end inside a character, whose bytes then wait for their rest.
    """

    def __init__(self, tokenizer: Tokenizer, before: str = "") -> None:
        """`before` is the text that stands there already."""
        self.tokenizer = tokenizer
        self.space = tokenizer.kind == "word"
        self.begun = before != "" and before[-1] not in ("\n \t\r\v\f" if self.space else "\n")
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, id: int) -> str:
        if id == EOS:
            self.begun = False
            return self.decoder.decode(b"", final=True) + "\n"
        text = self.decoder.decode(self.tokenizer.types[id])
        if self.space and self.begun:
            text = " " + text
        self.begun = True
        return text

    def finish(self) -> str:
        """What is left of an unfinished line, and its newline."""
        rest = self.decoder.decode(b"", final=True)
        return rest + "\n" if self.begun else rest
