"""Normalization: raw text to the text that a model reads, `Say "Hi."` to `say " hi . "`.

    lower                    small letters
    nfc, nfd, nfkc, nfkd     the normal forms of Unicode
    strip-accents            no combining marks, after a decomposition (nfd)
    punct                    each punctuation character is a word; `<unk>` remains whole

The steps are those of the `tokenizers` library, its normalizers in the order in which they are
named, and then its pre-tokenizer for punctuation. All of them map text to text, so that the ways
from text to ids need not know them:

    raw text  --steps-->  normalized text  --words, characters or BPE-->  ids

No step looks beyond white space: the normal form of a text is that of its words, with the white
space between them. ASCII has short ways here, and the library is asked once for every word that is
not ASCII. *Origins* say which bytes of the raw text every normalized byte stands for, so that a
token has a span of the raw text. A character and its combining marks have one origin, as a normal
form may change their order, and what a step removes belongs to the character before it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, get_args

import numpy as np

from seqlm.errors import ModelError, UsageError, did_you_mean, shown
from seqlm.text.word_index import IS_SPACE, NEWLINE, TokenSpans

if TYPE_CHECKING:
    import tokenizers
    from tokenizers import normalizers, pre_tokenizers

T = TypeVar("T")
Step = Literal["lower", "nfc", "nfd", "nfkc", "nfkd", "strip-accents", "punct"]
STEPS: tuple[Step, ...] = get_args(Step)

LIBRARY_STEPS: dict[Step, list[str]] = {
    "lower": ["Lowercase"],
    "nfc": ["NFC"],
    "nfd": ["NFD"],
    "nfkc": ["NFKC"],
    "nfkd": ["NFKD"],
    "strip-accents": ["NFD", "StripAccents"],
}
"""The normalizers of the library that each step stands for."""

# The reserved words remain whole: a literal `<unk>` means what it says, and a word `<s>` or `</s>`
# is refused with its line.
PUNCTUATION = r"\A</?s>\z|<unk>|\p{P}|[$+<=>^`|~]"
ASCII_PUNCTUATION = re.compile(rb"(?<![^ \t\r\n\v\f])</?s>(?![^ \t\r\n\v\f])|<unk>|[!-/:-@\[-`{-~]")
WIDE_WORD = re.compile(
    rb"((?<![^ \t\r\n\v\f])[^ \t\r\n\v\f\x80-\xff]*+[\x80-\xff][^ \t\r\n\v\f]*+)"
)
"""A word that is not ASCII."""
WHITE_SPACE = r"[ \t\r\x0b\x0c]+"


class Origins(NamedTuple):
    """Where in the raw text M normalized bytes come from; an inserted space comes from nowhere."""

    start: np.ndarray  # (M,) int64, byte offsets
    end: np.ndarray  # (M,) int64

    def of_spans(self, spans: TokenSpans) -> TokenSpans:
        """The raw bytes that tokens, which are spans of the normalized text, stand for."""
        start = self.start[spans.start]
        return TokenSpans(start, self.end[spans.start + spans.length - 1] - start)


class Remembered(dict[bytes, T]):
    """What a function gives for words, computed once for each that is not very long."""

    MAX_WORDS = 1 << 17
    """All are forgotten after so many."""
    MAX_LENGTH = 1 << 10

    def __init__(self, function: Callable[[bytes], T]) -> None:
        self.function = function

    def __missing__(self, word: bytes) -> T:
        result = self.function(word)
        if len(word) <= self.MAX_LENGTH:
            if len(self) >= self.MAX_WORDS:
                self.clear()
            self[word] = result
        return result


class Normalizer:
    """Some steps, in order. Without steps it changes nothing, and is false."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        """Errors: UsageError on a name that is no step, or one that is named twice."""
        for step in steps:
            if step not in STEPS:
                raise UsageError(f"`normalize`: there is no {step!r}{did_you_mean(step, STEPS)}")
            if steps.count(step) > 1:
                raise UsageError(f"`normalize`: {step} is named twice")
        # Punctuation is split last, wherever it is named.
        self.steps = tuple(sorted(steps, key=lambda step: step == "punct"))
        self.normal_form = Remembered(self.normalize_by_library)
        self.origins_of_word = Remembered(self.align_by_library)

    @classmethod
    def parse(cls, text: str | None) -> Normalizer:
        """'lower,punct' -> its normalizer; None stands for no steps. Errors: UsageError."""
        names = [] if text is None else [name.strip() for name in text.split(",")]
        return cls(names)  # type: ignore[arg-type]  # the names are checked

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __str__(self) -> str:
        return ",".join(self.steps)

    @property
    def splits_punctuation(self) -> bool:
        return "punct" in self.steps

    # -- text to text

    def __call__(self, data: bytes) -> bytes:
        """The normal form of whole words of UTF-8 text."""
        if not self.steps:
            return data
        lowers = "lower" in self.steps
        if data.isascii():
            data = data.lower() if lowers else data
        else:
            parts = WIDE_WORD.split(data)  # ASCII, a wide word, ASCII, ...
            parts[1::2] = [self.normal_form[word] for word in parts[1::2]]
            if lowers:
                parts[::2] = [part.lower() for part in parts[::2]]
            data = b"".join(parts)
        return ASCII_PUNCTUATION.sub(rb" \g<0> ", data) if self.splits_punctuation else data

    def normalize_by_library(self, word: bytes) -> bytes:
        text = self.library_normalizer.normalize_str(word.decode())
        if self.splits_punctuation:
            text = " ".join(piece for piece, _ in self.library_splitter.pre_tokenize_str(text))
        return text.encode()

    # -- normalized text to raw text

    def origins(self, data: bytes, normalized: bytes) -> Origins:
        """(M,) where each byte of `normalized`, the normal form of `data`, comes from.

        The n-th of the bytes that are kept is the n-th of the raw ones, but in odd words.
        """
        raw_kept = self.kept_bytes(data)
        starts, ends, done = [], [], 0
        for match in WIDE_WORD.finditer(data):
            if (origins := self.origins_of_word[match.group()]) is not None:
                first, after = np.searchsorted(raw_kept, match.span())
                in_order = raw_kept[done:first]
                starts += [in_order, origins.start + match.start()]
                ends += [in_order + 1, origins.end + match.start()]
                done = after
        kept = self.kept_bytes(normalized)
        origins = Origins(np.zeros(len(normalized), np.int64), np.zeros(len(normalized), np.int64))
        origins.start[kept] = np.concatenate([*starts, raw_kept[done:]])
        origins.end[kept] = np.concatenate([*ends, raw_kept[done:] + 1])
        return origins

    def kept_bytes(self, data: bytes) -> np.ndarray:
        """The positions of the bytes of ASCII words that stand in raw and normalized text alike:
        where spaces are inserted, all bytes but spaces."""
        if not self.splits_punctuation:
            return np.arange(len(data))
        text = np.frombuffer(data, np.uint8)
        return np.flatnonzero(~IS_SPACE[text] | (text == NEWLINE))

    def align_by_library(self, word: bytes) -> Origins | None:
        """The origins, from the start of the word, of the kept bytes of its normal form; None where
        they are the bytes of the word in order."""
        raw = word.decode()
        text = self.library_normalizer.normalize_str(raw)
        if not text:
            return Origins(np.empty(0, np.int64), np.empty(0, np.int64))
        starts, ends = np.array(self.character_aligner.encode(raw).offsets).T
        # What is removed or composed belongs to the character before it, the first to the first.
        starts[0], next_starts = 0, np.append(starts[1:], len(raw))
        starts = np.minimum.accumulate(starts[::-1])[::-1]
        ends = np.maximum.accumulate(np.maximum(ends, next_starts))
        if not {"lower", "punct"}.issuperset(self.steps):
            starts, ends = with_marks(raw, starts, ends)
        # From characters to bytes: `at` (len(raw) + 1,) is where each raw character begins.
        at = np.concatenate([[0], np.cumsum([len(character.encode()) for character in raw])])
        sizes = np.array([len(character.encode()) for character in text])
        start, end = np.repeat(at[starts], sizes), np.repeat(at[ends], sizes)
        # A character that alone stands for one of the same size keeps the places of its bytes.
        place = np.arange(len(start)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        differs = np.concatenate([[True], np.diff(starts) > 0, [True]])
        alone = differs[:-1] & differs[1:]
        same = np.repeat(alone & (at[ends] - at[starts] == sizes), sizes)
        start, end = np.where(same, start + place, start), np.where(same, start + place + 1, end)
        kept = self.kept_bytes(text.encode())
        start, end = start[kept], end[kept]
        in_order = np.arange(len(word))
        if np.array_equal(start, in_order) and np.array_equal(end, in_order + 1):
            return None
        return Origins(start, end)

    # -- the library's own

    @cached_property
    def library_normalizer(self) -> normalizers.Normalizer:
        """The steps of the library that map text to text."""
        from tokenizers import normalizers

        names = [name for step in self.steps for name in LIBRARY_STEPS.get(step, [])]
        return normalizers.Sequence([getattr(normalizers, name)() for name in names])

    @cached_property
    def library_splitter(self) -> pre_tokenizers.PreTokenizer:
        """The pre-tokenizer of words."""
        import tokenizers
        from tokenizers import pre_tokenizers

        at_space = pre_tokenizers.Split(tokenizers.Regex(WHITE_SPACE), "removed")
        if not self.splits_punctuation:
            return at_space
        at_punctuation = pre_tokenizers.Split(tokenizers.Regex(PUNCTUATION), "isolated")
        return pre_tokenizers.Sequence([at_space, at_punctuation])

    @cached_property
    def character_aligner(self) -> tokenizers.Tokenizer:
        """Gives the characters of a text in normal form, with their places in the raw text."""
        import tokenizers
        from tokenizers import models, pre_tokenizers

        aligner = tokenizers.Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
        aligner.normalizer = self.library_normalizer
        aligner.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
        return aligner


NO_STEPS = Normalizer()


def with_marks(text: str, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spans of `text`, grown to hold each character of theirs with all its combining marks."""
    begins = np.array([unicodedata.combining(character) == 0 for character in text])
    begins[0] = True
    first = np.flatnonzero(begins)
    number = np.cumsum(begins) - 1
    return first[number[starts]], np.append(first[1:], len(text))[number[ends - 1]]


def steps_in(stored_normalizer: object, stored_splitter: object) -> list[Step]:
    """The steps that a tokenizer.json names; the inverse of the library's own.

    Errors: ModelError, KeyError or TypeError where it names others.
    """
    if stored_normalizer is None:
        names: list[str] = []
    elif isinstance(stored_normalizer, dict) and stored_normalizer["type"] == "Sequence":
        names = [normalizer["type"] for normalizer in stored_normalizer["normalizers"]]
    else:
        raise ModelError("an unknown normalizer")
    steps: list[Step] = []
    while names:
        # That of strip-accents begins with nfd, and is the longer one, the last.
        found = [
            step for step, library in LIBRARY_STEPS.items() if names[: len(library)] == library
        ]
        if not found:
            raise ModelError(f"an unknown normalizer {shown(names[0])}")
        steps.append(found[-1])
        names = names[len(LIBRARY_STEPS[found[-1]]) :]
    if isinstance(stored_splitter, dict) and stored_splitter["type"] == "Sequence":
        steps.append("punct")
    return steps
