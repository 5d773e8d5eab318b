"""The walk in machine code against the walk in array code, to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from seqlm.models.ngram import compiled_rows, compiled_walk, ngram_model, walk
from seqlm.models.ngram.compact.compact_order import CompactOrder
from seqlm.models.ngram.derived.compact_ngrams import compact
from seqlm.models.ngram.ngram_model import NGramModel
from tests.models.ngram.test_ngram_model import KINDS, B, V, build, text, tokens

pytest.importorskip("numba")
__all__ = ["text", "tokens"]  # fixtures

LONGER = [kind for kind in KINDS if kind.values[2] > 1]
LONGER.append(pytest.param("stupid-backoff", "carried", 3, id="stupid-backoff"))


def assert_same(ours: walk.Walked, theirs: walk.Walked) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        assert np.array_equal(mine, other)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions are those of Python that are compiled otherwise."""
    for module in (compiled_rows, compiled_walk):
        for name, function in vars(module).copy().items():
            if hasattr(function, "py_func"):
                monkeypatch.setattr(module, name, function.py_func)


def check_all(
    text: list[int], tokens: np.ndarray, smoothing: str, context: str, order: int
) -> None:
    """A plain and a compact model, part by part, each from the state after the one before."""
    plain = build(text, smoothing, context, order)
    for model in (plain, compact(plain)):
        rows = model.start(B).rows
        for part in (tokens[:, :1], tokens[:, 1:30], tokens[:, 30:30], tokens[:, 30:]):
            arguments = (model.orders, rows, part, model.unseen_backoff, model.resets_at_eos)
            expected = walk.walk(*arguments)
            assert_same(compiled_walk.walk(*arguments), expected)
            rows = expected.rows


@pytest.mark.parametrize(("smoothing", "context", "order"), LONGER)
def test_it_says_what_array_code_says(
    text: list[int], tokens: np.ndarray, smoothing: str, context: str, order: int
) -> None:
    check_all(text, tokens, smoothing, context, order)


@pytest.mark.parametrize("near", [1, 2])
@pytest.mark.usefixtures("uncompiled")
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # that of 64 bits is meant
def test_what_is_far_from_a_guess_is_found(
    text: list[int], tokens: np.ndarray, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_walk, "NEAR", near)
    check_all(text, tokens, "modified-kneser-ney", "carried", 3)


def test_states_of_no_n_grams(text: list[int], tokens: np.ndarray) -> None:
    model = build(text, "stupid-backoff", "sentence", 4)
    states = np.array([[walk.UNSEEN] * 3, [walk.BEFORE_START] * 3, [5, walk.UNSEEN, 0]], np.int32)
    arguments = (model.orders, states, tokens, model.unseen_backoff, True)
    assert_same(compiled_walk.walk(*arguments), walk.walk(*arguments))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("order", [1, 4])
def test_a_large_text_is_walked_over_in_machine_code(
    text: list[int],
    tokens: np.ndarray,
    order: int,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(text, "modified-kneser-ney", "sentence", order)
    state = model.advance(model.start(B), tokens[:, :7])
    scores, after = model.score(state, tokens)
    lengths = model.ngram_length(state, tokens)
    asked = []

    def counted(*arguments: object) -> walk.Walked:
        asked.append(arguments)
        return machine_code(*arguments)

    machine_code = compiled_walk.walk
    monkeypatch.setattr(compiled_walk, "walk", counted)
    monkeypatch.setattr(compiled_walk, "CHUNK", 5 * B)
    monkeypatch.setattr(ngram_model, "LARGE_TEXT", 0)
    monkeypatch.setattr(ngram_model, "num_threads", lambda: threads)
    ours, our_lengths, our_state = model.score_and_length(state, tokens)
    assert (len(asked) >= 10) == (order > 1)
    assert np.array_equal(ours, scores)
    assert np.array_equal(our_lengths, lengths)
    assert np.array_equal(our_state.rows, after.rows)


def test_all_is_verified_before_machine_code_reads(
    text: list[int], tokens: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    verified = []
    model.verify = lambda k, rows: verified.append(k) if rows is None else None
    monkeypatch.setattr(ngram_model, "LARGE_TEXT", 0)
    model.score(model.start(B), tokens)
    assert set(verified) == {1, 2, 3}


def test_a_token_that_is_no_id_is_refused(text: list[int]) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    for token in (-1, V):
        with pytest.raises(IndexError):
            compiled_walk.walk(model.orders, model.start(1).rows, np.array([[token]]), 0.0, True)


class Watched(np.ndarray):
    """An array that refuses places before its beginning, too, which machine code would read."""

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        assert (place[0] if isinstance(place, tuple) else place) >= 0
        return super().__getitem__(place)


def damage(model: NGramModel, kind: str) -> None:
    """Makes noise of all arrays, and watches how they are read."""
    noise = np.random.default_rng(0)
    for order in model.orders:
        for array in order.arrays().values():
            if kind == "all bits":
                array[:] = noise.integers(0, 2**32, array.shape).astype(array.dtype)
            elif kind == "rows":
                array[:] = noise.integers(0, 2 * len(array), array.shape)
            else:
                array[:] = 0
        if isinstance(order, CompactOrder):
            order.packed = order.packed.view(Watched)
            if "low" in order.arrays():
                coded = order.first_coded
                order.first_coded = coded._replace(
                    low=coded.low.view(Watched),
                    high=coded.high.view(Watched),
                    samples=coded.samples.view(Watched),
                )
        else:
            order.records = order.records.view(Watched)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("kind", ["all bits", "rows", "zeros"])
@pytest.mark.parametrize("form", [lambda model: model, compact], ids=["plain", "compact"])
def test_no_arrays_lead_out_of_themselves(
    text: list[int], tokens: np.ndarray, form: Callable[[NGramModel], NGramModel], kind: str
) -> None:
    """Over arrays of noise, everything that is read is there."""
    model = form(build(text, "modified-kneser-ney", "sentence", 4))
    damage(model, kind)
    walked = compiled_walk.walk(model.orders, model.start(B).rows, tokens, 0.0, False)
    assert walked.scores.shape == tokens.shape
