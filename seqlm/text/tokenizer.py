"""Text to ids and back, for words, characters and byte-level BPE: one class.

    word   tokens are what ASCII white space separates (`bytes.split`)
    char   tokens are Unicode code points
    bpe    byte-level byte-pair encoding (Sennrich et al. 2016; bytes: Radford et al. 2019)

In all three a newline is the token `</s>`. `tokenizer.json` is a file of the `tokenizers` library
and gives the same ids there; words and characters take a faster path here, because a corpus of
words passes through a general tokeniser thirty times slower than through a dictionary.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from seqlm.errors import DataError, ModelError
from seqlm.text.reading import Block, blocks
from seqlm.text.vocabulary import EOS, RESERVED, UNK
from seqlm.text.word_index import NEW, Tokens, WordIndex, split

Kind = Literal["word", "char", "bpe"]
KINDS: tuple[Kind, ...] = ("word", "char", "bpe")

SENTINEL = re.compile(rb"(?<![^ \t\r\n\x0b\x0c])</?s>(?![^ \t\r\n\x0b\x0c])")
# Byte-level BPE spells bytes as printable characters. Two of them cannot occur inside a line of
# UTF-8 text, and so may stand for the reserved entries: 0xFF, in no UTF-8, and the newline.
BPE_RESERVED = ["ÿ", "Ċ"]


class Tokenizer:
    def __init__(self, kind: Kind, types: list[bytes], merges: list[list[str]] | None = None):
        """`types` in the order of their ids, the two reserved ones first; `merges` for BPE."""
        assert types[:2] == RESERVED, types[:2]
        self.kind, self.types, self.merges = kind, types, merges

    def __len__(self) -> int:
        return len(self.types)

    # -- text <-> ids

    def encode(self, block: Block) -> np.ndarray:
        """(N,) int32 ids; a token outside the vocabulary is UNK.

        Errors: DataError where a *word* is literally `<s>` or `</s>`.
        """
        if self.kind == "word":
            refuse_sentinels(block)
            found = self.words.look_up(block.data, split(block.data))
            return np.where(found == NEW, UNK, found)
        if self.kind == "char":
            ids: np.ndarray = self.by_code_point[code_points(block.data)]
            return ids
        lines = block.data.decode().split("\n")
        ended = lines[-1] == ""  # a block may be a part of a line
        encoded = self.library.encode_batch_fast(lines[:-1] if ended else lines)
        flat = [id for line in encoded for id in (*line.ids, EOS)]
        return np.array(flat if ended else flat[:-1], np.int32)

    def encode_text(self, text: str) -> np.ndarray:
        """(N,) ids of a piece of text that is no whole line, as a prompt is. Errors: DataError."""
        try:
            return self.encode(Block(text.encode(), "<prompt>", 1))
        except UnicodeEncodeError:  # bytes of the command line that were no text
            raise DataError(f"the prompt {text!r} is invalid UTF-8") from None

    def spans(self, block: Block, ids: np.ndarray) -> Tokens:
        """Where each of `ids`, the encoding of `block`, stands in it; `</s>` is its newline."""
        if self.kind == "word":
            return split(block.data)
        if self.kind == "char":
            data = np.frombuffer(block.data, np.uint8)
            start = np.flatnonzero(data & 0xC0 != 0x80)
            return Tokens(start, np.diff(start, append=len(data)))
        length = self.lengths[ids]
        return Tokens(np.cumsum(length) - length, length)

    def decode(self, ids: Iterable[int]) -> bytes:
        """The text of `ids`: `</s>` is a newline, and words are joined by one space."""
        joined = b" ".join if self.kind == "word" else b"".join
        lines: list[list[bytes]] = [[]]
        for id in ids:
            if id == EOS:
                lines.append([])
            else:
                lines[-1].append(self.types[id])
        return b"\n".join(map(joined, lines))

    @cached_property
    def index(self) -> dict[bytes, int]:
        return {type_: id for id, type_ in enumerate(self.types)}

    @cached_property
    def words(self) -> WordIndex:
        return WordIndex(self.types)

    @cached_property
    def by_code_point(self) -> np.ndarray:
        table = np.full(0x110000, UNK, np.int32)
        table[ord("\n")] = EOS
        table[[ord(type_.decode()) for type_ in self.types[2:]]] = np.arange(2, len(self.types))
        return table

    @cached_property
    def lengths(self) -> np.ndarray:
        """Bytes of each type as it stands in text (BPE)."""
        return np.array([1, 1, *map(len, self.types[2:])])

    # -- on disk

    @cached_property
    def library(self) -> tokenizers.Tokenizer:
        """The same tokeniser in the `tokenizers` library, one line a time."""
        if self.kind == "bpe":
            spelled = [*BPE_RESERVED, *map(spell, self.types[2:])]
            assert self.merges is not None
            merges = [(a, b) for a, b in self.merges]
            model: Any = models.BPE(vocab={t: i for i, t in enumerate(spelled)}, merges=merges)
            library = tokenizers.Tokenizer(model)
            library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            library.decoder = decoders.ByteLevel()
            return library
        vocabulary = {type_.decode(): id for id, type_ in enumerate(self.types)}
        library = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        library.pre_tokenizer = (
            pre_tokenizers.Split(tokenizers.Regex(r"[ \t\r\x0b\x0c]+"), "removed")
            if self.kind == "word"
            else pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
        )
        return library

    def to_json(self) -> str:
        return self.library.to_str(pretty=True)

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Errors: ModelError where it is no tokeniser of ours."""
        try:
            stored = json.loads(text)
            model, splitter = stored["model"], stored["pre_tokenizer"]
            spelled = sorted(model["vocab"], key=model["vocab"].get)
            if model["type"] == "BPE":
                return cls("bpe", RESERVED + [unspell(t) for t in spelled[2:]], model["merges"])
            kind: Kind = "word" if splitter["behavior"] == "Removed" else "char"
            return cls(kind, [type_.encode() for type_ in spelled])
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
            raise ModelError(f"not a tokeniser seqlm wrote: {error!r}") from None

    @cached_property
    def digest(self) -> str:
        """Names the vocabulary in a signature."""
        return hashlib.sha256(b"\n".join([self.kind.encode(), *self.types])).hexdigest()[:12]


def read_types(path: Path, kind: Kind) -> list[bytes]:
    """A vocabulary from a file with one type a line; the reserved ones may be in it.

    Errors: DataError on a type that this kind cannot have.
    """
    types: dict[bytes, None] = {}
    for block in blocks([path]):
        for number, type_ in enumerate(block.data.split(b"\n")[:-1], block.line):
            if kind == "word":
                type_ = type_.strip()
            bad = (len(type_.decode()) != 1) if kind == "char" else (len(type_.split()) != 1)
            if type_ in RESERVED:
                continue
            if bad or type_ == b"<s>":
                raise DataError(f"{path}, line {number}: {type_.decode()!r} is not one {kind}")
            types[type_] = None
    if not types:
        raise DataError(f"{path} holds no types")
    return RESERVED + list(types)


def refuse_sentinels(block: Block) -> None:
    if b"s>" in block.data and (found := SENTINEL.search(block.data)):
        raise DataError(
            f"{block.where(found.start())}: the token {found.group().decode()} is reserved for"
            " the boundaries of a line; remove it from the text"
        )


def code_points(data: bytes) -> np.ndarray:
    """(N,) the code points of UTF-8 text."""
    return np.frombuffer(data.decode().encode("utf-32-le"), np.uint32)


# The printable stand-ins of byte-level BPE (Radford et al. 2019): a printable Latin-1 byte is
# itself, the others take the code points from 256 on, in order.
PRINTABLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
MOVED = [byte for byte in range(256) if byte not in PRINTABLE]
STAND_IN = {b: chr(b) if b in PRINTABLE else chr(256 + MOVED.index(b)) for b in range(256)}
BYTE_OF = {character: byte for byte, character in STAND_IN.items()}


def spell(type_: bytes) -> str:
    return "".join(STAND_IN[byte] for byte in type_)


def unspell(spelled: str) -> bytes:
    return bytes(BYTE_OF[character] for character in spelled)
