"""The walk in machine code against the walk in array code, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.models.ngram import compiled_walk, ngram_model, walk
from seqlm.models.ngram.ngram_order import NGramOrder
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
    for name in ("put", "put_states", "read_unigrams", "walk_up", "find_near"):
        monkeypatch.setattr(compiled_walk, name, getattr(compiled_walk, name).py_func)


def check_all(
    text: list[int], tokens: np.ndarray, smoothing: str, context: str, order: int
) -> None:
    """Part by part, each from the state after the one before."""
    model = build(text, smoothing, context, order)
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
    model.verify = lambda k, rows: verified.append((k, int(rows.min()), int(rows.max())))
    monkeypatch.setattr(ngram_model, "LARGE_TEXT", 0)
    model.score(model.start(B), tokens)
    assert {(k, 0, len(model.order(k))) for k in (1, 2, 3)} <= set(verified)


def test_a_token_that_is_no_id_is_refused(text: list[int]) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    for token in (-1, V):
        with pytest.raises(IndexError):
            compiled_walk.walk(model.orders, model.start(1).rows, np.array([[token]]), 0.0, True)


class Watched(np.ndarray):
    """Records that refuse rows that they do not have, which machine code would read."""

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        assert place[0] >= 0
        return super().__getitem__(place)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.usefixtures("uncompiled")
def test_no_records_lead_out_of_their_order(text: list[int], tokens: np.ndarray) -> None:
    """Over records of noise, every row that is read is there."""
    model = build(text, "modified-kneser-ney", "sentence", 4)
    noise = np.random.default_rng(0)
    for kind in ("all bits", "rows", "zeros"):
        orders = []
        for order in model.orders:
            records = order.records.copy()
            columns = records.view(np.int32).reshape(len(records), -1)
            if kind == "all bits":
                columns[:] = noise.integers(-(2**31), 2**31, columns.shape)
            elif kind == "rows":
                columns[:] = noise.integers(-2, 2 * len(records), columns.shape)
            else:
                columns[:] = 0
            orders.append(NGramOrder(records))
        for order in orders:
            order.records = order.records.view(Watched)
        walked = compiled_walk.walk(orders, model.start(B).rows, tokens, 0.0, False)
        assert walked.scores.shape == tokens.shape
