"""What is asked of word vectors: words on the command line, or a question a line of a pipe.

A question with a word that has no vector is an error on the command line. In a line of a pipe it is
warned of and has an empty answer, so that there is an answer to every line, in their order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from seqlm.cli import console
from seqlm.errors import DataError, UsageError

T = TypeVar("T")


class Question(NamedTuple):
    words: list[str]
    line: int | None
    """The line of standard input, from 1; None for words on the command line."""


class Size(NamedTuple):
    """How many words a question has."""

    least: int
    most: float

    def problem(self, words: Sequence[str]) -> str:
        """What is wrong with the number of `words`, or ''."""
        if self.least <= len(words) <= self.most:
            return ""
        wanted = f"{self.least}" if self.least == self.most else f"at least {self.least}"
        count = "1 word" if len(words) == 1 else f"{len(words)} words"
        return f"{count}, where a question has {wanted}"


def is_on_command_line(arguments: Sequence[str] | None) -> bool:
    """Whether the words are there, and not on standard input. Errors: UsageError where both are
    named."""
    if arguments and "-" in arguments and len(arguments) > 1:
        raise UsageError("- stands for standard input, and not beside words: pipe in all, or none")
    return bool(arguments) and arguments != ["-"]


def read_questions(arguments: Sequence[str] | None, size: Size) -> Iterator[Question]:
    """The questions on the command line or on standard input, each as it comes; empty lines are
    passed over. Of one word each, every argument is a question, and every line as a whole.

    Errors: UsageError, or DataError naming the line, where a question has too few words or too
    many; DataError on a line that is too long.
    """
    from seqlm.text.reading import LONGEST_LINE, read_lines

    if is_on_command_line(arguments):
        words = list(arguments or ())
        for group in [[word] for word in words] if size.most == 1 else [words]:
            if problem := size.problem(group):
                raise UsageError(problem)
            yield Question(group, None)
        return
    if sys.stdin.isatty():
        console.say("type one question per line; Ctrl-D ends")
    for number, line in enumerate(read_lines(["-"], "replace", LONGEST_LINE), 1):
        if not line.strip():
            continue
        group = [line.strip()] if size.most == 1 else split_words(line)
        if problem := size.problem(group):
            raise DataError(f"<stdin>, line {number}: {problem}")
        yield Question(group, number)


def split_words(line: str) -> list[str]:
    """The words of a line, between tabs where it has one, else between white space."""
    words = line.split("\t") if "\t" in line else line.split()
    return [word.strip() for word in words]


def answer_questions(
    arguments: Sequence[str] | None, size: Size, answer: Callable[[list[str]], T]
) -> Iterable[tuple[list[str], T | None]]:
    """The words of each question and its answer: of the command line all together, so that nothing
    is printed before an error, and of standard input each as it comes.

    Errors: those of `read_questions`, and UsageError of `answer` for words on the command line.
    """
    answers = answer_each(read_questions(arguments, size), answer)
    return list(answers) if is_on_command_line(arguments) else answers


def answer_each(
    questions: Iterable[Question], answer: Callable[[list[str]], T]
) -> Iterator[tuple[list[str], T | None]]:
    """The words of each question and the answer, or None where there is none and it was warned of.

    Errors: UsageError of `answer` for words on the command line.
    """
    for question in questions:
        found: T | None = None
        try:
            found = answer(question.words)
        except UsageError as error:
            if question.line is None:
                raise
            console.warn(f"<stdin>, line {question.line}: {error}")
        yield question.words, found
