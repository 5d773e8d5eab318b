"""The arguments of the library, checked where they come in: Python lets them be of any type.

    check_text("history", history)        a text
    list_texts("texts", texts)            a text, or several, as a list
    list_paths("files", files)            a path, or several, as a list
    check_number("k", k, low=1)           a number, as that of a setting is checked

Each returns what it is given, in one form, or raises an error that names the argument and says what
it takes: UsageError, or DataError for a text with half a character, which UTF-8 cannot write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, get_args

from seqlm.errors import DataError, UsageError, shown
from seqlm.settings import Setting, check_value

StrPath = str | os.PathLike[str]


def wrong_argument(name: str, value: Any, wanted: str) -> UsageError:
    return UsageError(f"{name} is {shown(value)}; it takes {wanted}")


def each_of(
    name: str, value: Any, one: type | tuple[type, ...], wanted: str
) -> Iterator[tuple[str, Any]]:
    """`value` alone where its type is `one`; else each thing in it, of any type, as it is asked
    for; with what a message calls it, as 'files' or 'files[0]'.

    A mapping is no sequence of its keys, nor are bytes one of numbers. Errors: UsageError where
    there are no things in it.
    """
    if isinstance(value, one):
        return iter([(name, value)])
    if isinstance(value, str | bytes | bytearray | Mapping):
        raise wrong_argument(name, value, wanted)
    try:
        things = iter(value)
    except TypeError:
        raise wrong_argument(name, value, wanted) from None
    return ((f"{name}[{number}]", thing) for number, thing in enumerate(things))


# ------------------------------------------------------------------------------------------- texts


def check_text(name: str, text: Any) -> str:
    """Errors: UsageError where it is no text; DataError where it has half a character."""
    if not isinstance(text, str):
        raise wrong_argument(name, text, "a text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise DataError(f"{name} has {half!r}, which is half of a character") from None
    return text


def optional_text(name: str, text: Any) -> str | None:
    """As `check_text`; None stays None."""
    return None if text is None else check_text(name, text)


def each_text(name: str, texts: Any) -> Iterator[str]:
    """One text, or each of several, as it is asked for. Errors: those of `check_text`."""
    given = each_of(name, texts, str, "a text, or several")
    return (check_text(place, text) for place, text in given)


def list_texts(name: str, texts: Any) -> list[str]:
    """One text, or each of several. Errors: those of `check_text`."""
    return list(each_text(name, texts))


def list_words(name: str, words: Any) -> list[str]:
    """Errors: those of `check_text`; UsageError where `words` are one text, whose letters would be
    taken for words."""
    if isinstance(words, str):
        raise UsageError(f"{name} is one text, and not a list of words: write [{shown(words)}]")
    return list_texts(name, words)


def each_sentence(name: str, sentences: Any) -> Iterator[str | list[str]]:
    """One sentence that is a text; or each of several, which are texts or lists of words, as it is
    asked for. Errors: those of `check_text`."""
    given = each_of(name, sentences, str, "a text, or several texts or lists of words")
    return (
        check_text(place, sentence) if isinstance(sentence, str) else list_texts(place, sentence)
        for place, sentence in given
    )


# ------------------------------------------------------------------------------------------- paths


def check_path(name: str, path: Any) -> str:
    """Errors: UsageError where it is no path."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise wrong_argument(name, path, "a path")
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError:
        data = b"\0"
    if b"\0" in data:
        raise UsageError(f"{name} is {shown(path)}, and no file can have such a name")
    return text


def optional_path(name: str, path: Any) -> str | None:
    """As `check_path`; None stays None."""
    return None if path is None else check_path(name, path)


def list_paths(name: str, paths: Any, least: int = 1) -> list[str]:
    """One path, or each of several. Errors: UsageError where one is no path, or there are fewer
    than `least`."""
    wanted = "a path, or several"
    given = each_of(name, paths, (str, os.PathLike), wanted)
    listed = [check_path(place, path) for place, path in given]
    if len(listed) < least:
        raise wrong_argument(name, paths, wanted)
    return listed


# ---------------------------------------------------------------------------- numbers and the rest


def check_number(name: str, value: Any, kind: type = int, **limits: Any) -> Any:
    """A whole number, or one of another `kind`, within `limits`, which are fields of `Setting`.

    Errors: those of `check_value`.
    """
    return check_value(Setting(name, "", kind, None, **limits), value)


def check_switch(name: str, value: Any) -> bool:
    """Errors: UsageError where it is neither True nor False."""
    return bool(check_value(Setting(name, "", bool, None), value))


def list_numbers(name: str, numbers: Any) -> list[float]:
    """Errors: UsageError where they are no numbers."""
    wanted = "a list of numbers"
    listed = [number for _, number in each_of(name, numbers, (), wanted)]
    if not all(isinstance(number, Real) for number in listed):
        raise wrong_argument(name, numbers, wanted)
    return listed


def check_choice(name: str, value: Any, choices: Any) -> Any:
    """One of a Literal's `choices`. Errors: UsageError, with the nearest one."""
    return check_value(Setting(name, "", str, None, choices=get_args(choices)), value)


def check_mapping(name: str, value: Any, kind: type, wanted: str) -> None:
    """Errors: UsageError where it does not map texts to things of a `kind`."""
    is_mapping = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if not is_mapping or not all(isinstance(each, kind) for each in value.values()):
        raise wrong_argument(name, value, wanted)


def check_function(name: str, function: Any) -> None:
    """Errors: UsageError where it is neither a function nor None."""
    if function is not None and not callable(function):
        raise wrong_argument(name, function, "a function")
