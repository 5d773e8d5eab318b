"""A tokenizer that was made elsewhere: a tokenizer.json of the `tokenizers` library, or a model of
SentencePiece. Each works through its own library.

A line is encoded without the special tokens that such a tokenizer puts around a text, and `</s>`
follows it. Our ids are 0 for `<unk>` and 1 for `</s>`, which are the unknown token and the end
token of the tokenizer where it has them, and from 2 on the other tokens in the order of their ids
there.

The *type* of a token is the text that it adds to its line, with the white space that belongs to it:

    byte-level BPE     Ġold      ' old'      SentencePiece      ▁old   ' old',  <0x0A>   a byte
    WordPiece          old       ' old'      ##er               'er'

A line that the tokenizer begins with a space of its own is decoded without it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from seqlm.errors import WRONG_VALUES, DataError, ModelError, UsageError, fault_of
from seqlm.text.reading import Block
from seqlm.text.tokenizer import BYTE_OF, Tokenizer, direction_named, from_printable
from seqlm.text.vocabulary import EOS, RESERVED, UNK, Direction
from seqlm.text.word_index import TokenSpans

SPACE_SYMBOL = "▁"
BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class EncodedLine(NamedTuple):
    ids: Sequence[int]
    """The ids of the library."""
    spans: Sequence[tuple[int, int]]
    """The characters of the line that each token stands for."""


class Library(Protocol):
    """What the two libraries have in common."""

    types: list[bytes]
    """By the ids of the library."""
    unk: int | None
    """The id of the unknown token."""
    eos: int | None
    """The id of the token that ends a text."""

    def encode(self, lines: list[str]) -> list[Sequence[int]]:
        """The ids of each line."""

    def encode_with_spans(self, lines: list[str]) -> list[EncodedLine]: ...

    def to_json(self) -> dict[str, Any]:
        """What `library_from_json` reads."""


class PretrainedTokenizer(Tokenizer):
    def __init__(
        self, library: Library, eos: int | None = None, direction: Direction = "forward"
    ) -> None:
        """`eos` is the id there of the token that `</s>` stands for, where it is another one than
        the library says."""
        self.library = library
        self.eos = library.eos if eos is None else eos
        self.library_ids = [
            id for id in range(len(library.types)) if id not in (library.unk, self.eos)
        ]
        """The ids there of our types from 2 on."""
        types = [library.types[id] for id in self.library_ids]
        super().__init__("pretrained", RESERVED + types, direction=direction)

    def in_direction(self, direction: Direction) -> PretrainedTokenizer:
        return PretrainedTokenizer(self.library, self.eos, direction)

    # -- text <-> ids

    def ids_in_text_order(self, block: Block) -> np.ndarray:
        """As that of `Tokenizer`.

        Errors: DataError where the library reads a part of a line as the token that ends a text.
        """
        lines, ends_line = split_lines(block)
        encoded = self.library.encode(lines)
        for number, line in enumerate(encoded, block.line):
            if self.eos in line:
                raise DataError(
                    f"{block.file}, line {number}: this tokenizer has a token for the end of a text"
                    ", which stands within the line; remove it from the text"
                )
        ids = np.array([id for line in encoded for id in (*line, -1)], np.int64)
        return self.our_ids[ids if ends_line else ids[:-1]]

    def spans_in_text_order(self, block: Block, ids: np.ndarray) -> TokenSpans:
        lines, _ = split_lines(block)
        starts, ends, offset = [], [], 0  # in characters
        for line, encoded in zip(lines, self.library.encode_with_spans(lines)):
            starts += [offset + start for start, _ in encoded.spans] + [offset + len(line)]
            ends += [offset + end for _, end in encoded.spans] + [offset + len(line) + 1]
            offset += len(line) + 1
        data = np.frombuffer(block.data, np.uint8)
        byte_of_character = np.append(np.flatnonzero(data & 0xC0 != 0x80), len(data))
        start = byte_of_character[starts[: len(ids)]]
        return TokenSpans(start, byte_of_character[ends[: len(ids)]] - start)

    def strip_space(self, line: bytes) -> bytes:
        """`line` without the space that the tokenizer begins it with."""
        return line.removeprefix(b" ") if self.begins_with_space else line

    @cached_property
    def begins_with_space(self) -> bool:
        """Whether the tokenizer begins a line with a space of its own."""
        (ids,) = self.library.encode(["a"])
        return bool(ids) and self.library.types[ids[0]].startswith(b" ")

    @cached_property
    def our_ids(self) -> np.ndarray:
        """(V' + 1,) int32 our id of each of the library's, and at -1 that of `</s>`."""
        table = np.full(len(self.library.types) + 1, UNK, np.int32)
        table[self.library_ids] = np.arange(2, 2 + len(self.library_ids))
        table[[self.eos] if self.eos is not None else []] = EOS
        table[-1] = EOS
        return table

    # -- on disk

    def to_json(self) -> str:
        stored = {**self.library.to_json(), "eos": self.eos}
        if self.is_backward:
            stored["direction"] = self.direction
        return json.dumps(stored, ensure_ascii=False)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]


def split_lines(block: Block) -> tuple[list[str], bool]:
    """The lines of a block, and whether it ends with the end of a line."""
    lines = block.data.decode().split("\n")
    ends_line = lines[-1] == ""  # a block may be a part of a line
    return lines[:-1] if ends_line else lines, ends_line


# ------------------------------------------------------------------------------- the two libraries


def tokenizer_from_json(text: str) -> Tokenizer:
    """The tokenizer of a run, ours or a pretrained one, from its tokenizer.json.

    Errors: ModelError where `text` is not from `to_json`.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"it is not a tokenizer that seqlm wrote{fault_of(error)}") from None
    if not isinstance(stored, dict) or "library" not in stored:
        return Tokenizer.from_json(text)
    try:
        if stored["library"] == "sentencepiece":
            data = base64.b64decode(stored["file"], validate=True)
            library: Library = SentencePieceModel(data)
        else:
            library = LibraryFile(json.dumps(stored["file"]))
        eos = stored["eos"]
        if eos is not None and not (type(eos) is int and 0 <= eos < len(library.types)):
            raise ModelError(f"eos cannot be {eos!r:.60}")
        direction = direction_named(stored.get("direction", "forward"))
    except WRONG_VALUES as error:
        raise ModelError(f"it is not a tokenizer that seqlm wrote{fault_of(error)}") from None
    return PretrainedTokenizer(library, eos, direction)


def read_pretrained(path: Path) -> PretrainedTokenizer:
    """The tokenizer in a file: a tokenizer.json, or a model of SentencePiece.

    Errors: DataError where it cannot be read or is neither.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    try:
        if data.lstrip()[:1] == b"{":
            return PretrainedTokenizer(LibraryFile(data.decode()))
        return PretrainedTokenizer(SentencePieceModel(data))
    except (ModelError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no tokenizer{fault_of(error)}") from None


class LibraryFile:
    """A tokenizer of the `tokenizers` library."""

    def __init__(self, text: str) -> None:
        """`text` is that of a tokenizer.json. Errors: ModelError where it is not."""
        import tokenizers

        try:
            self.tokenizer = tokenizers.Tokenizer.from_str(text)
        except BaseException as error:  # the library raises nothing more specific, and it panics
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            said = f": {error}" if isinstance(error, Exception) else ""
            raise ModelError(f"the library tokenizers cannot read it{said}") from None
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.stored: dict[str, Any] = json.loads(self.tokenizer.to_str())
        tokens = {id: token for token, id in self.tokenizer.get_vocab().items()}
        size = max(tokens, default=-1) + 1
        if not len(tokens) <= size <= 2 * len(tokens) + 1024:
            raise ModelError(f"it has {len(tokens)} tokens with ids up to {size - 1}")
        added = {each["id"] for each in self.stored["added_tokens"]}
        type_of = self.spelling()
        self.types = [f"<unused-{id}>".encode() for id in range(size)]  # of ids without a token
        for id, token in tokens.items():
            self.types[id] = token.encode() if id in added else type_of(token)
        model = self.stored["model"]
        unk = model.get("unk_token")
        self.unk = self.tokenizer.token_to_id(unk) if unk else model.get("unk_id")
        self.eos = self.tokenizer.token_to_id("</s>")

    def spelling(self) -> Any:
        """The function from a token to its type."""
        model = self.stored["model"]
        parts = json.dumps(
            [self.stored[name] for name in ("normalizer", "pre_tokenizer", "decoder")],
            ensure_ascii=False,
        )
        if '"ByteLevel"' in parts:
            return byte_level_type
        if SPACE_SYMBOL in parts:
            return sentencepiece_type
        if model["type"] == "WordPiece":
            prefix = model["continuing_subword_prefix"]
            return lambda token: (
                token.removeprefix(prefix) if token.startswith(prefix) else f" {token}"
            ).encode()
        if model["type"] == "WordLevel":
            return lambda token: f" {token}".encode()
        if suffix := model.get("end_of_word_suffix"):
            return lambda token: (
                f"{token.removesuffix(suffix)} " if token.endswith(suffix) else token
            ).encode()
        return str.encode

    def encode(self, lines: list[str]) -> list[Sequence[int]]:
        encoded = self.tokenizer.encode_batch_fast(lines, add_special_tokens=False)
        return [line.ids for line in encoded]

    def encode_with_spans(self, lines: list[str]) -> list[EncodedLine]:
        encoded = self.tokenizer.encode_batch(lines, add_special_tokens=False)
        return [EncodedLine(line.ids, line.offsets) for line in encoded]

    def to_json(self) -> dict[str, Any]:
        return {"library": "tokenizers", "file": self.stored}


class SentencePieceModel:
    """A model of SentencePiece (Kudo & Richardson 2018), read by its own library."""

    def __init__(self, data: bytes) -> None:
        """`data` is that of a .model file. Errors: ModelError where it is not; UsageError where
        the library is missing."""
        try:
            import sentencepiece
        except ImportError:
            raise UsageError(
                "a SentencePiece model needs the package sentencepiece:"
                " pip install 'seqlm[sentencepiece]'"
            ) from None
        self.data = data
        self.processor = sentencepiece.SentencePieceProcessor()
        try:
            self.processor.LoadFromSerializedProto(data)
        except (RuntimeError, TypeError):  # with a line of its source
            raise ModelError("the library sentencepiece cannot read it") from None
        processor = self.processor
        pieces = [processor.IdToPiece(id) for id in range(processor.GetPieceSize())]
        self.types = [
            piece.encode()
            if processor.IsControl(id) or processor.IsUnknown(id)
            else sentencepiece_type(piece)
            for id, piece in enumerate(pieces)
        ]
        self.unk: int | None = processor.unk_id()
        self.eos = processor.eos_id() if processor.eos_id() >= 0 else None

    def encode(self, lines: list[str]) -> list[Sequence[int]]:
        encoded: list[Sequence[int]] = self.processor.Encode(lines)
        return encoded

    def encode_with_spans(self, lines: list[str]) -> list[EncodedLine]:
        encoded = []
        for line in lines:
            pieces = self.processor.Encode(line, return_type="offset_mapping")
            encoded.append(EncodedLine(pieces["ids"], pieces["offsets"]))
        return encoded

    def to_json(self) -> dict[str, Any]:
        return {"library": "sentencepiece", "file": base64.b64encode(self.data).decode()}


def byte_level_type(token: str) -> bytes:
    """'Ġold' -> ' old': the bytes that the characters of byte-level BPE stand for."""
    return from_printable(token) if all(map(BYTE_OF.__contains__, token)) else token.encode()


def sentencepiece_type(token: str) -> bytes:
    """'▁old' -> ' old', and '<0x0A>' -> a newline."""
    if match := BYTE_TOKEN.fullmatch(token):
        return bytes([int(match[1], 16)])
    return token.replace(SPACE_SYMBOL, " ").encode()
