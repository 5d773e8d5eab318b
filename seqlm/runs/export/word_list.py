"""The words of a model as decoders of speech want them: a list, or a lexicon with their spellings.

    word list                                lexicon
    the                                      the<TAB>t h e |
    cat                                      cat<TAB>c a t |

A word list is what pyctcdecode takes as `unigrams`. A lexicon (flashlight; `ctc_decoder` of
torchaudio) spells each word in the tokens of an acoustic model, here its characters, and ends it
with the token between words.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from seqlm.errors import DataError, ModelError
from seqlm.runs.export.export_settings import LexiconSettings
from seqlm.runs.loading.locate import ModelPath
from seqlm.text.reading import read_lines
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED


def words_of(tokenizers: Iterable[tuple[Path, Tokenizer]]) -> list[str]:
    """The words of all models, in the order of their ids, without `<unk>` and `</s>`.

    The tokenizers come with the paths of their models. Errors: ModelError where the tokens of one
    are no words.
    """
    words: dict[bytes, None] = {}
    for path, tokenizer in tokenizers:
        if tokenizer.kind != "word":
            raise ModelError(f"{path} has {tokenizer.kind} tokens, and no words to list")
        words |= dict.fromkeys(tokenizer.types[len(RESERVED) :])
    return [word.decode() for word in words]


def tokenizer_of(model_path: ModelPath) -> Tokenizer:
    """The tokenizer of a model, of which no more is read than it takes."""
    if model_path.run is not None:
        return model_path.run.tokenizer
    if model_path.arpa is not None:
        from seqlm.models.ngram.arpa.arpa_reader import read_arpa_types

        return Tokenizer("word", read_arpa_types(model_path.arpa))
    from seqlm.runs.loading.load_model import load_model

    return load_model(model_path).tokenizer


def word_lines(words: Sequence[str]) -> Iterator[bytes]:
    for word in words:
        yield f"{word}\n".encode()


def lexicon_lines(words: Sequence[str], settings: LexiconSettings) -> Iterator[bytes]:
    """The words with their spellings; a warning says how many cannot be spelled.

    Errors: DataError where no word can be spelled, or `letters` cannot be read.

    >>> list(lexicon_lines(["cat"], LexiconSettings()))
    [b'cat\\tc a t |\\n']
    """
    spellable = words
    if settings.letters is not None:
        letters = read_letters(settings.letters)
        spellable = [word for word in words if letters.issuperset(word)]
        lost = len(words) - len(spellable)
        if not spellable:
            raise DataError(
                f"`letters={settings.letters}`: no word can be spelled with its tokens; are they of"
                " the same case as the words?"
            )
        if lost:
            warnings.warn(
                f"{lost:,} of {len(words):,} words have characters that are not in"
                f" {settings.letters}; they are left out",
                stacklevel=2,
            )
    return (spelled(word, settings.word_end) for word in spellable)


def spelled(word: str, word_end: str) -> bytes:
    tokens = [*word, word_end] if word_end else list(word)
    return f"{word}\t{' '.join(tokens)}\n".encode()


def read_letters(file: str) -> set[str]:
    """The tokens of an acoustic model; several on a line are one to the model.

    Errors: DataError where there are none.
    """
    letters = {token for line in read_lines([Path(file)], "refuse") for token in line.split()}
    if not letters:
        raise DataError(f"`letters={file}` holds no tokens")
    return letters
