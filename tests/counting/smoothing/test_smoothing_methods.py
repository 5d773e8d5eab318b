"""Every probability of every smoothing against its formula, and what cannot be smoothed."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqlm.counting.counting_settings import CountingSettings
from seqlm.counting.estimation.estimate import estimate
from seqlm.counting.smoothing.smoothing_methods import METHODS, method_of
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.tables import array_passes
from seqlm.errors import DataError, UsageError
from seqlm.machine import compilation
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.settings import settings_of
from seqlm.text.vocabulary import EOS, UNK
from tests.counting import formulas
from tests.counting.formulas import FORMS, Method, Undefined
from tests.counting.oracle import array, distribution, history, spelled, stream

MANY = 100
FALLBACK = (0.5, 1.0, 1.5)
WEIGHTS = ((0.9, 0.7, 0.8, 0.95), (0.2, 0.4, 0.6), (0.1, 0.3, 0.5, 0.6), (0.05,))
CUTOFFS = [(), (0, 1), (0, 0, 1), (0, 0, 1, 2)]
CONTEXTS = ["sentence", "carried"]


def model_and_formula(
    form: tuple[str, bool],
    ids: list[int],
    vocab_size: int,
    order: int,
    context: str,
    **options: Any,
) -> tuple[NGramModel, Method]:
    """The model and the formula, with the fallback discounts `fallback`.

    Errors: Undefined, if the model is refused too.
    """
    method, backoff = form
    cutoffs, fallback = options.get("cutoffs", ()), options.get("fallback")
    parameters: dict[str, Any] = {
        "backoff": backoff,
        "cutoffs": cutoffs,
        "discount_fallback": fallback,
    }
    if method == "jelinek-mercer":
        parameters["weights"] = WEIGHTS
    if method == "add-k":
        parameters["add_k"] = 0.3
    try:
        oracle = formulas.METHODS[method](
            ids, vocab_size, order, context, backoff, cutoffs, fallback
        )
    except Undefined:
        with pytest.raises(DataError, match=r"too small or too regular|no line is long enough"):
            estimate(array(ids), vocab_size, order, method, context, **parameters)
        raise
    if isinstance(oracle, formulas.JelinekMercer):
        oracle.weights = WEIGHTS
    if isinstance(oracle, formulas.AddK):
        oracle.k = 0.3
    return estimate(array(ids), vocab_size, order, method, context, **parameters), oracle


def compare(model: NGramModel, oracle: Method, prefix: list[int]) -> None:
    """Compares the distributions after the words of `prefix`."""
    h = history(prefix, oracle.order, oracle.context)
    expected, actual = oracle.probs(h), distribution(model, prefix)
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    if not isinstance(oracle, formulas.StupidBackoff):
        assert sum(expected) == pytest.approx(1)
        assert actual.sum() == pytest.approx(1, abs=1e-6)


def test_every_method_has_a_formula_and_is_a_choice() -> None:
    assert METHODS.keys() == formulas.METHODS.keys()
    smoothing = settings_of(CountingSettings)["smoothing"]
    assert tuple(METHODS) == smoothing.choices
    assert all(name in smoothing.help for name in METHODS)
    assert {name for name, of in METHODS.items() if of.has_backoff} == {
        name for name, backoff in FORMS if backoff
    }


# ---------------------------------------------------------------------------------- small texts


@st.composite
def questions(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    """A vocabulary so small that some histories see all of it, a text, and a prefix."""
    size = draw(st.integers(2, 7))
    words = st.sampled_from([UNK, *range(2, size)])
    lines = draw(st.lists(st.lists(words, max_size=6), min_size=1, max_size=12))
    return size, stream(lines), draw(st.lists(st.integers(0, size - 1), max_size=8))


@pytest.mark.parametrize("form", FORMS, ids=str)
@settings(max_examples=50)
@example((7, [EOS], [0, 0, EOS]), 3, "carried", (), FALLBACK)
@given(
    questions(),
    st.integers(1, 4),
    st.sampled_from(CONTEXTS),
    st.sampled_from(CUTOFFS),
    st.sampled_from([FALLBACK, FALLBACK, None]),
)
def test_a_small_text(
    form: tuple[str, bool],
    question: tuple[int, list[int], list[int]],
    order: int,
    context: str,
    cutoffs: tuple[int, ...],
    fallback: formulas.Fallback,
) -> None:
    vocab_size, ids, prefix = question
    try:
        model, oracle = model_and_formula(
            form, ids, vocab_size, order, context, cutoffs=cutoffs, fallback=fallback
        )
    except Undefined:
        return
    compare(model, oracle, prefix)


# --------------------------------------------------------------------------- a text like real ones


@pytest.fixture(scope="module")
def zipf() -> list[int]:
    """Words with frequencies like real ones, so that discounts of every order can be estimated."""
    noise = np.random.default_rng(0)
    lines = [2 + noise.zipf(1.5, noise.integers(0, 12)) % (MANY - 2) for _ in range(250)]
    return stream([line.tolist() for line in lines])


@pytest.mark.parametrize("cutoffs", [(), (0, 1, 1, 3)], ids=str)
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_zipfian_text(
    form: tuple[str, bool],
    context: str,
    cutoffs: tuple[int, ...],
    zipf: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(array_passes, "BLOCK", 100)
    model, oracle = model_and_formula(form, zipf, MANY, 4, context, cutoffs=cutoffs)
    for k, grams in enumerate(spelled(model), 1):
        expected = [oracle.probs(gram[:-1])[gram[-1]] for gram in grams]
        np.testing.assert_allclose(np.exp(model.order(k).log_prob), expected, atol=1e-7, rtol=1e-5)
    noise = np.random.default_rng(1)
    for place in noise.integers(0, len(zipf), 20).tolist():
        compare(model, oracle, zipf[max(0, place - 8) : place])
        compare(model, oracle, noise.integers(0, MANY, 5).tolist())


def test_an_unknown_word_that_never_occurred_gets_the_uniform_share(zipf: list[int]) -> None:
    model = estimate(array(zipf), MANY, 2)
    counts = formulas.ModifiedKneserNey(zipf, MANY, 2, "sentence")
    d, after = counts.discounts[1], counts.counts.after[()]
    weight = sum(d[min(a, 3)] for a in after.values()) / sum(after.values())
    assert model.order(1).log_prob[UNK].item() == pytest.approx(math.log(weight / MANY), abs=1e-5)


def test_stupid_backoff_charges_every_word_it_leaves_out_of_the_history() -> None:
    a, b, c, d = 2, 3, 4, 5
    text = stream([[a, b, a, b, b], [b, a], [a], [c, c, c, c], [a, b]])
    model = estimate(array(text), 6, 3, "stupid-backoff")
    assert distribution(model, [a, b, c])[EOS] == pytest.approx(0.4 * 1 / 4)  # `b c` was never seen
    assert distribution(model, [a, d, d])[EOS] == pytest.approx(0.4**2 * 5 / 19)  # nor was `d`
    assert distribution(model, [c, d])[EOS] == pytest.approx(0.4**2 * 5 / 19)
    # The start of a line is one word of history, and there is no longer one to leave out.
    assert distribution(model, [])[d] == pytest.approx(0.4 * 0.4 / 6)
    assert distribution(model, [a, EOS])[c] == pytest.approx(1 / 5)
    tokens = np.array([[a, b, c, EOS, d, d, EOS, c, EOS]])
    scores = np.exp(model.score(model.start(1), tokens)[0][0])
    read = tokens[0].tolist()
    expected = [distribution(model, read[:t])[token] for t, token in enumerate(read)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize("cutoffs", CUTOFFS)
@pytest.mark.parametrize("method", ["modified-kneser-ney", "kneser-ney", "absolute"])
def test_a_compiled_loop_smooths_alike(
    method: str, cutoffs: tuple[int, ...], zipf: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    expected = estimate(array(zipf), MANY, 4, method, cutoffs=cutoffs).arrays()
    monkeypatch.setattr(compilation, "LARGE", 0)
    found = estimate(array(zipf), MANY, 4, method, cutoffs=cutoffs).arrays()
    for name, records in expected.items():
        assert np.array_equal(found[name], records), name


# --------------------------------------------------------------------------------- what is no text


def test_an_order_longer_than_any_line_names_the_longest_usable() -> None:
    ids = array([2, 3, EOS, 4, 5, EOS])
    with pytest.raises(DataError, match="5-gram: use order 4"):
        estimate(ids, 7, 9)
    model = estimate(ids, 7, 9, discount_fallback=FALLBACK)
    assert model.config.rows[4:] == (0, 0, 0, 0, 0)
    assert distribution(model, [2, 3, 4, 5, 2, 3, 4, 5, 2, 3]).sum() == pytest.approx(1)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("ids", [[EOS], [2, EOS], [EOS] * 9, [2] * 9 + [EOS]], ids=str)
def test_texts_of_next_to_nothing(ids: list[int], form: tuple[str, bool]) -> None:
    for order in (1, 2, 3):
        for fallback in (None, FALLBACK):
            try:
                model, oracle = model_and_formula(
                    form, ids, 7, order, "sentence", fallback=fallback
                )
            except Undefined:
                continue
            compare(model, oracle, [])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"smoothing": "kneser"}, "did you mean 'kneser-ney'?"),
        ({"smoothing": "x"}, "there are modified-kneser-ney, kneser-ney, absolute"),
        ({"smoothing": "mle", "backoff": True}, "mle comes in one form; backoff is for modified"),
        ({"smoothing": "good-turing", "backoff": True}, "comes in one form"),
        ({"context": "window"}, "there are sentence and carried"),
        ({"order": 0}, "at least 1"),
        ({"cutoffs": (1,)}, "min_count"),
    ],
    ids=str,
)
def test_options_that_mean_nothing(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        estimate(array([2, EOS]), 7, **wrong)
    assert message in str(error.value)


def test_the_backoff_form_is_another_way_to_combine() -> None:
    plain, backoff = (method_of(Smoothing("absolute", form)) for form in (False, True))
    assert plain.discount is backoff.discount
    assert plain.combine is not backoff.combine
