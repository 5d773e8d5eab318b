"""Prompts of `sample` and histories of `next`: one on the command line, or one a line of a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seqlm.cli import console
from seqlm.errors import shown

if TYPE_CHECKING:
    from seqlm.text.tokenizer import Tokenizer


def read_prompts(text: str | None, tokenizer: Tokenizer, what: str) -> Iterator[str]:
    """`text` itself; where it is - or None, the lines of standard input, as they come.

    `what` is the name of a prompt. A prompt with tokens that the model does not know is warned of.
    Errors: DataError on a line that is too long, or invalid UTF-8.
    """
    from seqlm.decoding.prompt import unknown_tokens
    from seqlm.text.reading import LONGEST_LINE, read_lines

    reads_stdin = text is None or text == "-"
    if reads_stdin and sys.stdin.isatty():
        console.say(f"type one {what} per line; Ctrl-D ends")
    lines = read_lines(["-"], "refuse", LONGEST_LINE) if reads_stdin else [text or ""]
    for number, line in enumerate(lines, 1):
        place = "<stdin>" if reads_stdin else f"the {what}"
        if unknown := unknown_tokens(tokenizer, line, place, number):
            tokens = ", ".join(map(shown, unknown[:5])) + (" …" if len(unknown) > 5 else "")
            name = f"{what} {number}" if reads_stdin else f"the {what}"
            console.warn(f"{name}: the model does not know {tokens} and reads <unk>")
        yield line
