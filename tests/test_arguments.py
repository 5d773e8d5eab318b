"""Arguments in Python of another type, or easily taken for something else, are said."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import chain, product, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqlm
from seqlm.arguments import each_sentence, each_text
from seqlm.cli.app import load_command
from seqlm.errors import DataError, SeqlmError, UsageError
from seqlm.training.config.resolve import resolve
from tests.conftest import Toy


@pytest.fixture
def vectors(tmp_path: Path) -> seqlm.Vectors:
    path = tmp_path / "v.txt"
    path.write_text("a 1 0\nb 0 1\nc 1 1\nking 1 2\n")
    loaded = seqlm.load(path)
    assert isinstance(loaded, seqlm.Vectors)
    return loaded


@pytest.mark.parametrize("method", ["plot", "bias", "odd_one_out"])
def test_a_text_is_no_list_of_letters(vectors: seqlm.Vectors, method: str) -> None:
    with pytest.raises(UsageError, match="one text, and not a list of words"):
        getattr(vectors, method)("abc")


def test_a_number_is_neither_a_word_nor_a_vector(vectors: seqlm.Vectors) -> None:
    with pytest.raises(UsageError, match="3 is neither a word nor a vector"):
        vectors.nearest(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"arch": "skipgram"}, "`arch=skipgram` needs `task=vectors`"),
        ({"arch": "mamba", "task": "vectors"}, "`arch=mamba` needs `task=lm`"),
        ({"arch": "cnn", "task": "tagging"}, "`arch=cnn` needs `task=classification`"),
    ],
)
def test_an_architecture_of_another_task_says_which(given: dict[str, str], needed: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(given)
    assert caught.value.marked == needed


def test_a_command_of_seqlm_is_not_looked_for_in_a_group() -> None:
    group = load_command("vectors")
    with pytest.raises(UsageError, match="no command vectors eval: there is seqlm eval"):
        group.resolve_command(group.make_context("vectors", [], resilient_parsing=True), ["eval"])


# -------------------------------------------------------------------- every argument, any value

WRONG: list[Any] = [
    None, True, 5, -1, 1.5, float("nan"), "x", "\ud800", "\0", "", b"x", [], [None], [5], ["x", 5],
    [["x", 5]], ["\ud800"], {"x": 5}, {5: "x"}, object(), np.array(3), np.ones((2, 2)),
]  # fmt: skip
FUNCTIONS = ["train", "count", "export", "load", "mix", "resume"]


def arguments_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [each for each in parameters if each.kind not in several]


def test_nothing_that_is_given_is_an_error_of_python(
    vectors: seqlm.Vectors, ngram: Path, toy: Toy, workplace: Path
) -> None:
    """Every argument of every function and method takes each of WRONG, or says that it does not."""
    lm = seqlm.load(ngram)
    usual = {
        "text": "a", "texts": "a", "files": toy.test, "file": toy.test, "lines": "a", "models": lm,
        "sentences": "a", "name": ngram, "output": "out", "word": "a", "words": ["a", "b", "c"],
        "first": "a", "second": "b", "query": "a", "a": "a", "b": "b", "c": "c", "test": "weat1",
        "labels": {"a": "x", "b": "y"}, "corpus": "no file",
    }  # fmt: skip
    functions = [getattr(seqlm, name) for name in FUNCTIONS]
    for thing in (lm, vectors):
        names = [name for name, of in vars(type(thing)).items() if inspect.isfunction(of)]
        functions += [getattr(thing, name) for name in names if not name.startswith("_")]
    failed = []
    for function in functions:
        arguments = arguments_of(function)
        needed = {
            each.name: usual.get(each.name) for each in arguments if each.default is each.empty
        }
        for each, wrong in product(arguments, WRONG):
            try:
                found = function(**needed | {each.name: wrong})
                if isinstance(found, Iterator):
                    list(found)
            except SeqlmError:
                pass
            except Exception as error:
                failed.append(f"{function.__name__}({each.name}={wrong!r}): {error!r}")
    assert failed == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("lm.next(None)", "history is None; it takes a text"),
        ("lm.next('the', words=['a', 1])", r"words\[1\] is 1; it takes a text"),
        ("lm.next(words=5)", "words is 5; it takes a text, or several"),
        ("lm.next('the', k=1.5)", "k is 1.5; it takes a whole number"),
        ("lm.next('the', k=True)", "k is True; it takes a whole number"),
        ("lm.sample(prompt=['the'])", r"prompt is \['the'\]; it takes a text"),
        ("lm.search(None)", "prompt is None; it takes a text"),
        ("lm.score(b'the')", "text is b'the'; it takes a text, or several"),
        ("lm.score({'a': 1})", "text is {'a': 1}; it takes a text, or several"),
        (r"lm.score('\ud800')", r"text has '\\ud800', which is half of a character"),
        (r"lm.score(['a', '\ud800'])", r"text\[1\] has '\\ud800', which is half of a character"),
        ("lm.perplexity([])", r"files is \[\]; it takes a path, or several"),
        ("lm.perplexity(b'x')", "files is b'x'; it takes a path, or several"),
        ("lm.evaluate('x', metrics=5)", "metrics is 5; it takes a text, or several"),
        ("lm.rescore('x', {'lm': '1'})", "weights is {'lm': '1'}; it takes a number for each"),
        ("seqlm.count('x', output=5)", "output is 5; it takes a path"),
        ("seqlm.count('x', overwrite='no')", "overwrite is 'no'; it takes true or false"),
        ("seqlm.load(['x'])", r"name is \['x'\]; it takes a path"),
        ("seqlm.load('\\0')", "no file can have such a name"),
        ("seqlm.mix('x')", "models is 'x'; it takes a model, or several, loaded first by seqlm"),
        ("seqlm.mix([lm, 'x'])", r"models\[1\] is 'x'; it takes a model"),
        ("seqlm.mix([lm, lm], 'ab')", "weights is 'ab'; it takes a list of numbers"),
        ("seqlm.export('x', 'y')", "models is 'x'; it takes a model"),
        ("seqlm.export(lm, 'y', prune='x')", "prune is 'x'; it takes a number"),
        ("seqlm.train('x', callback=5)", "callback is 5; it takes a function"),
        ("seqlm.train('x', errors='y')", "errors is 'y'; there are strict, replace"),
        ("vectors.vectors('king')", r"words is one text, .* write \['king'\]"),
        ("vectors.debias(keep='king')", "keep is one text"),
        ("vectors.bias(pairs=['ab'])", "is no pair of two different words"),
        ("vectors.plot(['a', 'b'], method='pcb')", "method is 'pcb'; did you mean 'pca'?"),
        ("vectors.nearest(10**400)", "neither a word nor a vector"),
        ("seqlm.mix(lm, cache=10**400)", "it must be from 1 to 1,?000,?000"),
        ("seqlm.mix(lm, [0.3])", "weighs several models"),
        ("vectors.erase({'a': 5})", "labels is {'a': 5}; it takes a label for each word"),
    ],
)
def test_a_message_names_the_argument_and_what_it_takes(
    call: str, message: str, vectors: seqlm.Vectors, ngram: Path
) -> None:
    wanted = DataError if "half" in message else UsageError
    with pytest.raises(wanted, match=message):
        eval(call, {"lm": seqlm.load(ngram), "seqlm": seqlm, "vectors": vectors})


def test_numbers_of_numpy_are_numbers(vectors: seqlm.Vectors, ngram: Path) -> None:
    lm = seqlm.load(ngram)
    assert lm.next("the", k=np.int64(3)) == lm.next("the", k=3)  # type: ignore[arg-type]
    assert vectors.nearest("a", k=np.int32(2)) == vectors.nearest("a", k=2)  # type: ignore[arg-type]
    assert lm.sample(seed=1, temperature=np.float32(0.5)) == lm.sample(seed=1, temperature=0.5)


@pytest.mark.parametrize("each", [each_text, each_sentence])
def test_texts_are_read_as_they_are_asked_for(
    each: Callable[[str, Any], Iterator[str | list[str]]],
) -> None:
    endless = each("lines", chain(["a", "b", 5], repeat("c")))
    assert [next(endless), next(endless)] == ["a", "b"]
    with pytest.raises(UsageError, match=r"lines\[2\] is 5; it takes a text"):
        next(endless)
    assert list(each("lines", "abc")) == ["abc"]
