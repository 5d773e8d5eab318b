"""Text to ids and back, for words, characters and byte-level BPE: one class.

    word   tokens are what ASCII white space separates (`bytes.split`)
    char   tokens are Unicode code points
    bpe    byte-level byte-pair encoding (Sennrich et al. 2016; bytes: Radford et al. 2019)

In all three a newline is the token `</s>`. A tokenizer may *normalize* text before it splits it
(normalization.py); spans are those of the raw text all the same. `tokenizer.json` is a file of the
`tokenizers` library and gives the same ids there. Words and characters take a faster path here,
because a corpus of words passes through a general tokenizer thirty times slower than through a
dictionary.

A tokenizer has the *direction* in which its model reads a line. Ids are in the order in which they
are read, and so are their spans; what they are decoded to is text in its own order. The library
knows no direction.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seqlm.errors import WRONG_VALUES, DataError, ModelError, UsageError, fault_of, shown
from seqlm.text.normalization import NO_STEPS, Normalizer, steps_in
from seqlm.text.reading import Block, read_blocks
from seqlm.text.vocabulary import DIRECTIONS, EOS, RESERVED, UNK, Direction, line_reversal
from seqlm.text.word_index import NO_ID, PackedWords, TokenSpans, WordIndex, find_tokens

if TYPE_CHECKING:
    import tokenizers

TokenizerKind = Literal["word", "char", "bpe", "pretrained"]
TOKENIZER_KINDS: tuple[TokenizerKind, ...] = ("word", "char", "bpe")
"""The kinds that are learned from text; pretrained ones are in `pretrained_tokenizer.py`."""

SENTINEL = re.compile(rb"(?<![^ \t\r\n\x0b\x0c])</?s>(?![^ \t\r\n\x0b\x0c])")
# Byte-level BPE writes bytes as printable characters. Two of them cannot occur inside a line of
# UTF-8 text, and so stand for the reserved entries: 0xFF, which is in no UTF-8, and the newline.
BPE_RESERVED = ["ÿ", "Ċ"]


class Tokenizer:
    """A vocabulary of one kind, which encodes text to ids and decodes ids to text."""

    packed: PackedWords | None = None
    """The types of a tokenizer of words that was read from a file."""

    def __init__(
        self,
        kind: TokenizerKind,
        types: list[bytes] | PackedWords,
        merges: list[list[str]] | None = None,
        normalizer: Normalizer = NO_STEPS,
        direction: Direction = "forward",
    ) -> None:
        """`types` in the order of their ids, the two reserved ones first; `merges` for BPE."""
        if isinstance(types, PackedWords):
            assert types.text.startswith(b"\n<unk>\n</s>\n"), types.text[:14]
            self.packed = types
        else:
            assert types[:2] == RESERVED, types[:2]
            self.types = types
        assert kind == "word" or not normalizer.splits_punctuation, "a step for words"
        self.kind, self.merges, self.normalizer, self.direction = (
            kind, merges, normalizer, direction,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.types) if self.packed is None else self.packed.size()

    @cached_property
    def types(self) -> list[bytes]:
        """(V,) what each id stands for."""
        assert self.packed is not None
        return self.packed.types()

    @property
    def words(self) -> list[str]:
        """All types but the reserved ones, as text."""
        return [type_.decode(errors="replace") for type_ in self.types[len(RESERVED) :]]

    @property
    def is_backward(self) -> bool:
        return self.direction == "backward"

    def in_direction(self, direction: Direction) -> Tokenizer:
        """The tokenizer of a model that reads lines in `direction`, the same in all else."""
        types = self.packed or self.types
        return Tokenizer(self.kind, types, self.merges, self.normalizer, direction)

    def with_words(self, types: PackedWords) -> Tokenizer:
        """The tokenizer of other words, the same in all else."""
        return Tokenizer(self.kind, types, None, self.normalizer, self.direction)

    # -- text <-> ids

    def encode(self, block: Block) -> np.ndarray:
        """(N,) int32 ids; a token outside the vocabulary is UNK.

        Errors: DataError where a *word* is literally `<s>` or `</s>`, or where a block that is read
        backward ends within a line.
        """
        if self.is_backward:
            check_whole_lines(block)
        return self.encode_part(block)

    def encode_part(self, block: Block) -> np.ndarray:
        """(N,) int32 ids of a block that may end within a line, of which no more is read."""
        ids = self.ids_in_text_order(self.normalize(block))
        return ids[line_reversal(ids)] if self.is_backward else ids

    def normalize(self, block: Block) -> Block:
        """The text that the model reads: the same lines, after the steps of the normalizer."""
        return block._replace(data=self.normalizer(block.data)) if self.normalizer else block

    def ids_in_text_order(self, block: Block) -> np.ndarray:
        """(N,) int32 ids of text in normal form. Errors: as `encode`."""
        if self.kind == "word":
            check_no_sentinels(block)
            _, word_ids = self.word_index.find_and_look_up(block.data)
            return np.where(word_ids == NO_ID, UNK, word_ids)
        if self.kind == "char":
            ids: np.ndarray = self.id_of_code_point[code_points(block.data)]
            return ids
        lines = block.data.decode().split("\n")
        ends_line = lines[-1] == ""  # a block may be a part of a line
        encoded = self.plain_library_tokenizer.encode_batch_fast(lines[:-1] if ends_line else lines)
        flat = [id for line in encoded for id in (*line.ids, EOS)]
        return np.array(flat if ends_line else flat[:-1], np.int32)

    def encode_text(self, text: str, file: str = "<prompt>", line: int = 1) -> np.ndarray:
        """(N,) ids of a part of a line, such as a prompt; `file` and `line` say where it is from.
        Errors: DataError."""
        try:
            return self.encode_part(Block(text.encode(), file, line))
        except UnicodeEncodeError:  # from bytes of the command line that are not UTF-8
            raise DataError(f"the prompt {text!r} is invalid UTF-8") from None

    def token_spans(self, block: Block, ids: np.ndarray) -> TokenSpans:
        """The bytes of `block`, the raw text, that each of its `ids` stands for; those of `</s>`
        are a newline."""
        text = self.normalize(block)
        spans = self.normalized_spans(text, ids)
        if self.normalizer:
            return self.normalizer.origins(block.data, text.data).of_spans(spans)
        return spans

    def normalized_spans(self, block: Block, ids: np.ndarray) -> TokenSpans:
        """The bytes of `block`, text in normal form, that each of its `ids` stands for."""
        if not self.is_backward:
            return self.spans_in_text_order(block, ids)
        order = line_reversal(ids)
        spans = self.spans_in_text_order(block, ids[order])
        return TokenSpans(spans.start[order], spans.length[order])

    def spans_in_text_order(self, block: Block, ids: np.ndarray) -> TokenSpans:
        """As `normalized_spans`, with `ids` and spans in the order of the text."""
        if self.kind == "word":
            return find_tokens(block.data)
        if self.kind == "char":
            data = np.frombuffer(block.data, np.uint8)
            start = np.flatnonzero(data & 0xC0 != 0x80)
            return TokenSpans(start, np.diff(start, append=len(data)))
        length = self.type_lengths[ids]
        return TokenSpans(np.cumsum(length) - length, length)

    def decode(self, ids: Iterable[int]) -> bytes:
        """The text of `ids`: `</s>` is a newline, and words are joined by one space."""
        lines: list[list[bytes]] = [[]]
        for id in ids:
            if id == EOS:
                lines.append([])
            else:
                lines[-1].append(self.types[id])
        return b"\n".join(map(self.join, lines))

    def join(self, types: list[bytes]) -> bytes:
        """The text of a line whose tokens, as they are read, have these types."""
        joined = b" ".join if self.kind == "word" else b"".join
        return self.strip_space(joined(types[::-1] if self.is_backward else types))

    def strip_space(self, line: bytes) -> bytes:
        """`line` without the space that a pretrained tokenizer may begin every line with."""
        return line

    @cached_property
    def id_of_type(self) -> dict[bytes, int]:
        return {type_: id for id, type_ in enumerate(self.types)}

    @cached_property
    def word_index(self) -> WordIndex:
        return WordIndex(self.packed or self.types)

    @cached_property
    def id_of_code_point(self) -> np.ndarray:
        """(0x110000,) int32, UNK for code points that are not in the vocabulary."""
        table = np.full(0x110000, UNK, np.int32)
        table[ord("\n")] = EOS
        table[[ord(type_.decode()) for type_ in self.types[2:]]] = np.arange(2, len(self.types))
        return table

    @cached_property
    def type_lengths(self) -> np.ndarray:
        """(V,) the number of bytes that each type stands for in text (BPE)."""
        return np.array([1, 1, *map(len, self.types[2:])])

    # -- on disk

    @cached_property
    def library_tokenizer(self) -> tokenizers.Tokenizer:
        """The equivalent of the `tokenizers` library, which encodes one line at a time."""
        import tokenizers

        if not self.normalizer:
            return self.plain_library_tokenizer
        library = tokenizers.Tokenizer.from_str(self.plain_library_tokenizer.to_str())
        library.normalizer = self.normalizer.library_normalizer
        if self.kind == "word":
            library.pre_tokenizer = self.normalizer.library_splitter
        return library

    @cached_property
    def plain_library_tokenizer(self) -> tokenizers.Tokenizer:
        """The equivalent for text in normal form."""
        import tokenizers
        from tokenizers import decoders, models, pre_tokenizers

        if self.kind == "bpe":
            printable = [*BPE_RESERVED, *map(to_printable, self.types[2:])]
            assert self.merges is not None
            merges = [(a, b) for a, b in self.merges]
            model: Any = models.BPE(vocab={t: i for i, t in enumerate(printable)}, merges=merges)
            library = tokenizers.Tokenizer(model)
            library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            library.decoder = decoders.ByteLevel()
            return library
        vocabulary = {type_.decode(): id for id, type_ in enumerate(self.types)}
        library = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        library.pre_tokenizer = (
            NO_STEPS.library_splitter
            if self.kind == "word"
            else pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
        )
        return library

    def to_json(self) -> str:
        text = self.library_tokenizer.to_str(pretty=True)
        if not self.is_backward:
            return text
        stored = json.loads(text)
        stored["pre_tokenizer"]["direction"] = self.direction  # the library passes over it
        return json.dumps(stored, ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Errors: ModelError if `text` is not from `to_json`."""
        try:
            stored = json.loads(text)
            model, splitter = stored["model"], stored["pre_tokenizer"]
            normalizer = Normalizer(steps_in(stored.get("normalizer"), splitter))
            direction = direction_named(splitter.get("direction", "forward"))
            types = types_by_id(model["vocab"])
            if model["type"] == "BPE":
                check_merges(types, model["merges"])
                merged = [from_printable(type_) for type_ in types[2:]]
                return cls("bpe", RESERVED + merged, model["merges"], normalizer, direction)
            if splitter["type"] == "Sequence":
                splitter = splitter["pretokenizers"][0]
            kind: TokenizerKind = "word" if splitter["behavior"] == "Removed" else "char"
            encoded = [type_.encode() for type_ in types]
            check_units(kind, encoded[2:])
            return cls(kind, encoded, normalizer=normalizer, direction=direction)
        except (*WRONG_VALUES, AssertionError) as error:
            raise ModelError(f"it is not a tokenizer that seqlm wrote{fault_of(error)}") from None

    @cached_property
    def digest(self) -> str:
        """The first 12 digits of a SHA-256, which names the vocabulary, the normalization of text
        before it is looked up there, the direction, and the merges of BPE, in a signature."""
        parts = [self.kind.encode()]
        parts += self.types if self.packed is None else [self.packed.text[1:-1]]
        if self.normalizer:
            parts.append(f"normalize:{self.normalizer}".encode())
        if self.is_backward:
            parts.append(f"direction:{self.direction}".encode())
        if self.merges is not None:
            parts.append(json.dumps(self.merges).encode())
        return hashlib.sha256(b"\n".join(parts)).hexdigest()[:12]


def types_by_id(vocabulary: Mapping[str, int]) -> list[str]:
    """The types in the order of their ids. Errors: ModelError unless these are 0, 1, 2, …"""
    types = sorted(vocabulary, key=vocabulary.__getitem__)
    if any(vocabulary[type_] != id for id, type_ in enumerate(types)):
        raise ModelError("the ids of its types are not 0, 1, 2, …")
    return types


def check_units(kind: TokenizerKind, types: Iterable[bytes]) -> None:
    """Errors: ModelError on a type that is not one word or one character, as `kind` says."""
    for type_ in types:
        if len(type_.split() if kind == "word" else type_.decode()) != 1 or type_ == b"\n":
            raise ModelError(f"its type {shown(type_)} is not one {kind}")


def check_merges(types: list[str], merges: list[list[str]]) -> None:
    """Errors: ModelError where the types do not begin with the reserved ones of BPE, or merges do
    not make types of types."""
    if types[:2] != BPE_RESERVED:
        raise ModelError("its types do not begin with the reserved ones")
    known = set(types)
    for left, right in merges:
        if not {left, right, left + right} <= known:
            raise ModelError(f"its merge of {shown(left)} and {shown(right)} makes no type")


def have_equal_ids(tokenizer: Tokenizer, other: Tokenizer) -> bool:
    """Whether both give equal ids to equal text."""
    if tokenizer is other:
        return True
    same_types = tokenizer.types == other.types and tokenizer.merges == other.merges
    same_text = tokenizer.normalizer.steps == other.normalizer.steps
    if tokenizer.kind == other.kind == "pretrained":
        return tokenizer.digest == other.digest
    same_order = tokenizer.direction == other.direction
    return same_types and same_text and same_order and tokenizer.kind == other.kind


def direction_named(name: object) -> Direction:
    """The direction that a file names. Errors: ModelError where there is no such."""
    for direction in DIRECTIONS:
        if name == direction:
            return direction
    raise ModelError(f"the direction {shown(name)} is neither {' nor '.join(DIRECTIONS)}")


def check_forward(tokenizer: Tokenizer, what: str) -> None:
    """Errors: UsageError where the model of `tokenizer` reads lines from their ends, and `what`,
    which begins the message, reads them from their beginnings."""
    if tokenizer.is_backward:
        raise UsageError(
            f"{what} reads from left to right, and this model was trained with"
            " `direction=backward`: use one that reads forward"
        )


def check_normalizer(normalizer: Normalizer, kind: TokenizerKind) -> None:
    """Errors: UsageError where a step is for words, and the tokens are others."""
    if normalizer.splits_punctuation and kind != "word":
        raise UsageError(
            f"`normalize`: punct makes words of punctuation, and the tokens are of kind {kind}:"
            " use it with `tokenizer=word`"
        )


def read_types(path: Path, kind: TokenizerKind) -> list[bytes]:
    """A vocabulary from a file with one type per line.

    `<unk>`, `<s>` and `</s>` are passed over, and so are blank lines at the end.
    Errors: DataError on a type that is not one word or one character, as `kind` says.
    """
    types: dict[bytes, None] = {}
    blank_line: int | None = None  # the number of the first one
    for block in read_blocks([path], "refuse"):
        for number, type_ in enumerate(block.data.split(b"\n")[:-1], block.line):
            if kind == "word":
                type_ = type_.strip()
            units = len(type_.decode()) if kind == "char" else len(type_.split())
            if not type_:
                blank_line = blank_line or number
            elif blank_line:
                raise DataError(f"{path}, line {blank_line}: '' is not one {kind}")
            elif type_ in (*RESERVED, b"<s>"):
                continue
            elif units != 1:
                raise DataError(f"{path}, line {number}: {type_.decode()!r} is not one {kind}")
            else:
                types[type_] = None
    if not types:
        raise DataError(f"{path} holds no types")
    return RESERVED + list(types)


def check_no_sentinels(block: Block) -> None:
    """Errors: DataError if a word is `<s>` or `</s>`."""
    if b"s>" in block.data and (match := SENTINEL.search(block.data)):
        raise DataError(
            f"{block.location(match.start())}: the token {match.group().decode()} is reserved for"
            " the boundaries of a line; remove it from the text"
        )


def check_whole_lines(block: Block) -> None:
    """Errors: DataError where a block ends within a line, whose end has to be read first."""
    if block.data and not block.data.endswith(b"\n"):
        raise DataError(
            f"{block.location(len(block.data))}: the line is too long to be read from its end, as a"
            " backward model does; break it into shorter ones"
        )


def code_points(data: bytes) -> np.ndarray:
    """(N,) the code points of UTF-8 text."""
    return np.frombuffer(data.decode().encode("utf-32-le"), np.uint32)


# The printable characters of byte-level BPE (Radford et al. 2019): a printable Latin-1 byte stands
# for itself, and the others are written as the code points from 256 on, in order.
PRINTABLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
UNPRINTABLE = [byte for byte in range(256) if byte not in PRINTABLE]
CHARACTER_OF = {byte: chr(byte) for byte in PRINTABLE}
CHARACTER_OF |= {byte: chr(256 + index) for index, byte in enumerate(UNPRINTABLE)}
BYTE_OF = {character: byte for byte, character in CHARACTER_OF.items()}


def to_printable(type_: bytes) -> str:
    return "".join(CHARACTER_OF[byte] for byte in type_)


def from_printable(text: str) -> bytes:
    return bytes(BYTE_OF[character] for character in text)
