"""n-gram models against the slow loop, their formula and dictionaries."""

import numpy as np
import pytest

from seqlm.counting.estimation.estimate import estimate
from seqlm.models.ngram import interpolation_search, ngram_model
from seqlm.models.ngram.ngram_model import NGramModel, NGramState
from seqlm.models.ngram.scrambling import scramble_ids, unscramble_ids
from seqlm.text.vocabulary import EOS, UNK
from tests.counting.oracle import array, distribution, history, raw_counts

V, B, T = 40, 3, 50
FALLBACK = (0.5, 1.0, 1.5)
WEIGHTS = ((0.9,), (0.7,), (0.5,), (0.3,))
KINDS = [
    pytest.param(smoothing, context, order, id=f"{smoothing} {context} {order}")
    for smoothing in ("modified-kneser-ney", "mle", "add-k", "good-turing", "jelinek-mercer")
    for context in ("sentence", "carried")
    for order in (1, 2, 4)
]


@pytest.fixture
def text() -> list[int]:
    """(N,) skewed ids, without `<unk>`, some lines empty, the last type nowhere."""
    drawn = (np.random.default_rng(0).random(3000) ** 3 * (V - 2)).astype(int) + 1
    return [*drawn.tolist(), EOS]


@pytest.fixture
def tokens() -> np.ndarray:
    """(B, T) of everything in the vocabulary, half of it frequent."""
    return (np.random.default_rng(1).random((B, T)) ** 2 * V).astype(np.int64)


def slow_score(model: NGramModel, tokens: np.ndarray) -> tuple[np.ndarray, NGramState]:
    """Token by token, each from the distribution before it."""
    state, scores = model.start(len(tokens)), []
    for token in tokens.T:
        scores.append(model.log_probs(state)[np.arange(len(token)), token])
        state = model.advance(state, token[:, None])
    return np.stack(scores, 1), state


def build(
    text: list[int], smoothing: str, context: str, order: int, cutoffs: tuple[int, ...] = ()
) -> NGramModel:
    return estimate(
        array(text), V, order, smoothing, context,
        cutoffs=cutoffs, discount_fallback=FALLBACK, weights=WEIGHTS,
    )  # fmt: skip


# -- scrambling


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 10, 97, 1000, 30030])
def test_scrambling_is_one_to_one_and_spreads_the_low_ids(size: int) -> None:
    ids = np.arange(size)
    scrambled = scramble_ids(ids, size)
    assert np.array_equal(np.sort(scrambled), ids)
    assert np.array_equal(unscramble_ids(scrambled, size), ids)
    if size >= 97:
        low = np.sort(scrambled[: size // 10])
        assert np.diff(low).max() <= 3 * size / len(low)


# -- verbs


@pytest.mark.parametrize(("smoothing", "context", "order"), KINDS)
def test_score_is_the_slow_loop_in_chunks_or_at_once(
    text: list[int],
    tokens: np.ndarray,
    smoothing: str,
    context: str,
    order: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(text, smoothing, context, order)
    slow, after_slow = slow_score(model, tokens)
    scores, after = model.score(model.start(B), tokens)
    assert not np.isnan(slow).any()
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, slow, atol=1e-5, rtol=1e-5)
    assert np.array_equal(after.rows, after_slow.rows)
    assert np.array_equal(model.advance(model.start(B), tokens).rows, after.rows)
    monkeypatch.setattr(ngram_model, "CHUNK", 7 * B)
    cut, after_cut = model.score(model.start(B), tokens)
    assert np.array_equal(cut, scores)
    assert np.array_equal(after_cut.rows, after.rows)


@pytest.mark.parametrize(("smoothing", "context", "order"), KINDS)
def test_every_distribution_sums_to_one(
    text: list[int], tokens: np.ndarray, smoothing: str, context: str, order: int
) -> None:
    model = build(text, smoothing, context, order)
    state = model.start(B)
    for token in tokens.T:
        log_probs = model.log_probs(state)
        assert log_probs.shape == (B, V)
        np.testing.assert_allclose(np.exp(log_probs).sum(1), 1, atol=1e-5)
        state = model.advance(state, token[:, None])


def test_a_line_s_end_is_a_start_unless_context_is_carried(text: list[int]) -> None:
    end = np.array([[2, 3, EOS]])
    model = build(text, "modified-kneser-ney", "sentence", 4)
    assert model.resets_at_eos
    assert np.array_equal(model.advance(model.start(1), end).rows, model.start(1).rows)
    model = build(text, "modified-kneser-ney", "carried", 4)
    assert not model.resets_at_eos
    assert not np.array_equal(model.advance(model.start(1), end).rows, model.start(1).rows)


@pytest.mark.parametrize("context", ["sentence", "carried"])
def test_matched_is_the_longest_n_gram_of_the_text(
    text: list[int], tokens: np.ndarray, context: str
) -> None:
    model = build(text, "modified-kneser-ney", context, 4)
    seen: set[tuple[int, ...]] = set()
    for grams in raw_counts(text, 4, context).values():
        seen |= set(grams)
    matched = model.ngram_length(model.start(B), tokens)
    for row, lengths in zip(tokens.tolist(), matched.tolist(), strict=True):
        for t, length in enumerate(lengths):
            gram = (*history(row[:t], 4, context), row[t])
            longest = next((len(gram) - i for i in range(len(gram)) if gram[i:] in seen), 1)
            assert length == longest


@pytest.mark.parametrize("order", [1, 3])
def test_the_states_before_tokens_are_those_of_the_walk(
    text: list[int], tokens: np.ndarray, order: int
) -> None:
    model = build(text, "modified-kneser-ney", "sentence", order)
    before = model.states_before(model.start(B), tokens).rows.reshape(B, T, order - 1)
    state = model.start(B)
    for t, token in enumerate(tokens.T):
        assert np.array_equal(before[:, t], state.rows)
        state = model.advance(state, token[:, None])


def test_no_tokens_change_nothing(text: list[int]) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    state, none = model.start(B), np.empty((B, 0), np.int64)
    scores, after = model.score(state, none)
    assert scores.shape == (B, 0)
    assert model.ngram_length(state, none).shape == (B, 0)
    assert np.array_equal(after.rows, state.rows)
    assert np.array_equal(model.advance(state, none).rows, state.rows)


def test_rows_of_a_state_can_be_reordered(text: list[int], tokens: np.ndarray) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 4)
    order = np.array([2, 0, 0, 1])
    rows = model.advance(model.start(B), tokens).rows[order]
    assert np.array_equal(rows, model.advance(model.start(4), tokens[order]).rows)


def test_a_search_that_guesses_badly_still_ends(
    text: list[int], tokens: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 4)
    expected, _ = model.score(model.start(B), tokens)
    monkeypatch.setattr(interpolation_search, "INTERPOLATIONS", 0)
    assert np.array_equal(model.score(model.start(B), tokens)[0], expected)
    monkeypatch.setattr(interpolation_search, "INTERPOLATIONS", 1)
    assert np.array_equal(model.score(model.start(B), tokens)[0], expected)


def test_probability_zero_stays_zero() -> None:
    ids = np.array([2, 3, EOS, 2, 4, EOS], np.int32)
    model = estimate(ids, V, 3, "mle")
    scores, _ = model.score(model.start(1), np.array([[2, 5, 3, UNK, EOS, 3]]))
    # After an unknown history the next shorter one that has been seen is asked: here none.
    expected = [1, 0, 1 / 6, 0, 2 / 6, 0]
    np.testing.assert_allclose(np.exp(scores)[0], expected, atol=1e-6)


@pytest.mark.parametrize(("cutoffs", "longest"), [((0, 1, 2), 3), ((0, 0, 10**6), 2)])
def test_where_the_longer_orders_have_gaps_or_nothing(
    text: list[int], tokens: np.ndarray, cutoffs: tuple[int, ...], longest: int
) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 4, cutoffs)
    slow, _ = slow_score(model, tokens)
    np.testing.assert_allclose(model.score(model.start(B), tokens)[0], slow, atol=1e-5, rtol=1e-5)
    assert model.ngram_length(model.start(B), tokens).max() == longest
    assert distribution(model, tokens[0].tolist()).sum() == pytest.approx(1, abs=1e-6)


def test_scores_that_are_no_probabilities_say_so(text: list[int], tokens: np.ndarray) -> None:
    model = build(text, "stupid-backoff", "sentence", 3)
    assert not model.normalized
    assert build(text, "mle", "sentence", 3).normalized
    slow, _ = slow_score(model, tokens)
    np.testing.assert_allclose(model.score(model.start(B), tokens)[0], slow, atol=1e-5, rtol=1e-5)
    assert abs(distribution(model, []).sum() - 1) > 1e-3


# -- arrays


def test_a_model_is_its_arrays(text: list[int], tokens: np.ndarray) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    settings, arrays = model.settings(), model.arrays()
    settings["rows"] = list(settings["rows"])  # as YAML gives them back
    again = NGramModel.from_arrays(settings, arrays)
    assert again.config == model.config
    assert np.array_equal(
        again.score(again.start(B), tokens)[0], model.score(model.start(B), tokens)[0]
    )
    for name, records in again.arrays().items():
        assert np.shares_memory(records, arrays[name])


@pytest.mark.parametrize(
    ("settings", "arrays", "message"),
    [
        ({"rows": (V, 1, 1)}, {}, r"orders\.1\.records is int32 \(\d+, 4\), not int32 \(2, 4\)"),
        ({"order": 2, "rows": (V, 1)}, {}, r"orders\.2\.records is no array of n-grams"),
        ({}, {"orders.3.records": np.zeros((1, 2), np.int32)}, "is no array of n-grams"),
        ({}, {"orders.2.records": np.zeros((1, 2), np.int64)}, "is int64"),
        ({}, {"orders.2.records": None}, r"orders\.2\.records is missing"),
    ],
)
def test_a_misfit_is_an_error(text: list[int], settings: dict, arrays: dict, message: str) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    changed = {name: a for name, a in (model.arrays() | arrays).items() if a is not None}
    with pytest.raises(ValueError, match=message):
        NGramModel.from_arrays(model.settings() | settings, changed)


def test_an_unknown_setting_is_an_error(text: list[int]) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    with pytest.raises(TypeError):
        NGramModel.from_arrays(model.settings() | {"width": 1}, model.arrays())


@pytest.mark.parametrize(("smoothing", "context", "order"), KINDS)
def test_records_are_verified_before_they_are_read(
    text: list[int], tokens: np.ndarray, smoothing: str, context: str, order: int
) -> None:
    """A record that has not been verified holds nonsense, which would change the answers."""
    model = build(text, smoothing, context, order)
    hidden = [order.records.copy() for order in model.orders]
    for records in hidden:
        records.view(np.int32)[:] = -7

    def reveal(k: int, rows: np.ndarray | None) -> None:
        rows = np.arange(len(model.order(k)) + 1) if rows is None else rows
        assert rows.min(initial=0) >= 0
        units = np.unique(rows // 100)
        rows = (units[:, None] * 100 + np.arange(100)).ravel()
        rows = rows[rows <= len(model.order(k))]
        hidden[k - 1][rows] = model.order(k).records[rows]

    lazy = NGramModel(model.config, hidden)
    lazy.verify = reveal
    for few in (tokens[:1, :2], tokens):
        start = model.start(len(few))
        assert np.array_equal(lazy.score(start, few)[0], model.score(start, few)[0])
        state = lazy.advance(start, few)
        assert np.array_equal(lazy.log_probs(state), model.log_probs(state))
        if order == 4 and len(few) == 1:
            assert (hidden[3]["word"] == -7).any()  # what is not needed is not verified
    assert np.array_equal(lazy.order(order).log_prob, model.order(order).log_prob)
