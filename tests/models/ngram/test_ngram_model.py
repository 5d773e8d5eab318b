"""The tables of an n-gram model and the walk over them, against the slow loop and dictionaries."""

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlm.counting.estimation.estimate import estimate
from seqlm.models.base import SequenceModel
from seqlm.models.ngram import interpolation_search, ngram_model
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.scrambling import scramble_ids, unscramble_ids
from seqlm.models.tree import select
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
    drawn = (torch.rand(3000, generator=torch.Generator().manual_seed(0)) ** 3 * (V - 2)).long() + 1
    return [*drawn.tolist(), EOS]


@pytest.fixture
def tokens() -> Tensor:
    """(B, T) of everything in the vocabulary, half of it frequent."""
    return (torch.rand(B, T, generator=torch.Generator().manual_seed(1)) ** 2 * V).long()


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
    ids = torch.arange(size)
    scrambled = scramble_ids(ids, size)
    assert torch.equal(scrambled.sort().values.long(), ids)
    assert torch.equal(unscramble_ids(scrambled, size), ids)
    if size >= 97:
        low = scrambled[: size // 10].sort().values
        assert low.diff().max() <= 3 * size / len(low)


# -- verbs


@pytest.mark.parametrize(("smoothing", "context", "order"), KINDS)
def test_score_is_the_slow_loop_in_chunks_or_at_once(
    text: list[int],
    tokens: Tensor,
    smoothing: str,
    context: str,
    order: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(text, smoothing, context, order)
    slow, after_slow = SequenceModel.score(model, model.start(B), tokens)
    scores, after = model.score(model.start(B), tokens)
    assert not slow.isnan().any()
    torch.testing.assert_close(scores, slow, atol=1e-5, rtol=1e-5)
    assert torch.equal(after.rows, after_slow.rows)
    assert torch.equal(model.advance(model.start(B), tokens).rows, after.rows)
    monkeypatch.setattr(ngram_model, "CHUNK", 7 * B)
    cut, after_cut = model.score(model.start(B), tokens)
    assert torch.equal(cut, scores)
    assert torch.equal(after_cut.rows, after.rows)


@pytest.mark.parametrize(("smoothing", "context", "order"), KINDS)
def test_every_distribution_sums_to_one(
    text: list[int], tokens: Tensor, smoothing: str, context: str, order: int
) -> None:
    model = build(text, smoothing, context, order)
    state = model.start(B)
    for token in tokens.split(1, 1):
        log_probs = model.log_probs(state)
        assert log_probs.shape == (B, V)
        torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(B), atol=1e-5, rtol=0)
        state = model.advance(state, token)


def test_a_line_s_end_is_a_start_unless_context_is_carried(text: list[int]) -> None:
    end = torch.tensor([[2, 3, EOS]])
    model = build(text, "modified-kneser-ney", "sentence", 4)
    assert model.resets_at_eos
    assert torch.equal(model.advance(model.start(1), end).rows, model.start(1).rows)
    model = build(text, "modified-kneser-ney", "carried", 4)
    assert not model.resets_at_eos
    assert not torch.equal(model.advance(model.start(1), end).rows, model.start(1).rows)


@pytest.mark.parametrize("context", ["sentence", "carried"])
def test_matched_is_the_longest_n_gram_of_the_text(
    text: list[int], tokens: Tensor, context: str
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


def test_no_tokens_change_nothing(text: list[int]) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    state, none = model.start(B), torch.empty(B, 0, dtype=torch.int64)
    scores, after = model.score(state, none)
    assert scores.shape == (B, 0)
    assert model.ngram_length(state, none).shape == (B, 0)
    assert torch.equal(after.rows, state.rows)
    assert torch.equal(model.advance(state, none).rows, state.rows)


def test_rows_of_a_state_can_be_reordered(text: list[int], tokens: Tensor) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 4)
    order = torch.tensor([2, 0, 0, 1])
    state = select(model.advance(model.start(B), tokens), order)
    assert torch.equal(state.rows, model.advance(model.start(4), tokens[order]).rows)


def test_a_search_that_guesses_badly_still_ends(
    text: list[int], tokens: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 4)
    expected, _ = model.score(model.start(B), tokens)
    monkeypatch.setattr(interpolation_search, "INTERPOLATIONS", 0)
    assert torch.equal(model.score(model.start(B), tokens)[0], expected)
    monkeypatch.setattr(interpolation_search, "INTERPOLATIONS", 1)
    assert torch.equal(model.score(model.start(B), tokens)[0], expected)


def test_probability_zero_stays_zero() -> None:
    ids = np.array([2, 3, EOS, 2, 4, EOS], np.int32)
    model = estimate(ids, V, 3, "mle")
    scores, _ = model.score(model.start(1), torch.tensor([[2, 5, 3, UNK, EOS, 3]]))
    # After an unknown history the next shorter one that has been seen is asked: here none.
    expected = [1, 0, 1 / 6, 0, 2 / 6, 0]
    torch.testing.assert_close(scores.exp()[0], torch.tensor(expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("cutoffs", "longest"), [((0, 1, 2), 3), ((0, 0, 10**6), 2)])
def test_where_the_longer_tables_have_gaps_or_nothing(
    text: list[int], tokens: Tensor, cutoffs: tuple[int, ...], longest: int
) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 4, cutoffs)
    slow, _ = SequenceModel.score(model, model.start(B), tokens)
    torch.testing.assert_close(model.score(model.start(B), tokens)[0], slow, atol=1e-5, rtol=1e-5)
    assert model.ngram_length(model.start(B), tokens).max() == longest
    assert distribution(model, tokens[0].tolist()).sum() == pytest.approx(1, abs=1e-6)


def test_scores_that_are_no_probabilities_say_so(text: list[int], tokens: Tensor) -> None:
    model = build(text, "stupid-backoff", "sentence", 3)
    assert not model.normalized
    assert build(text, "mle", "sentence", 3).normalized
    slow, _ = SequenceModel.score(model, model.start(B), tokens)
    torch.testing.assert_close(model.score(model.start(B), tokens)[0], slow, atol=1e-5, rtol=1e-5)
    assert abs(distribution(model, []).sum() - 1) > 1e-3


# -- tensors


def test_a_model_is_its_tensors(text: list[int], tokens: Tensor) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    settings, tensors = model.settings(), model.state_dict()
    settings["rows"] = list(settings["rows"])  # as YAML gives them back
    again = NGramModel.from_tensors(settings, tensors)
    assert again.config == model.config
    assert torch.equal(
        again.score(again.start(B), tokens)[0], model.score(model.start(B), tokens)[0]
    )
    for name, tensor in again.state_dict().items():
        assert tensor.data_ptr() == tensors[name].data_ptr()
    # No table drags a larger buffer along.
    assert all(t.untyped_storage().nbytes() == t.nbytes for t in tensors.values())


def test_a_misfit_is_an_error(text: list[int]) -> None:
    model = build(text, "modified-kneser-ney", "sentence", 3)
    with pytest.raises(RuntimeError):
        NGramModel.from_tensors(model.settings() | {"rows": (V, 1, 1)}, model.state_dict())
    with pytest.raises(TypeError):
        NGramModel.from_settings(model.settings() | {"width": 1})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("smoothing", "context", "order"), KINDS)
def test_a_gpu_scores_alike(
    text: list[int], tokens: Tensor, smoothing: str, context: str, order: int
) -> None:
    model = build(text, smoothing, context, order)
    scores, _ = model.score(model.start(B), tokens)
    log_probs = model.log_probs(model.advance(model.start(B), tokens))
    there = model.to("cuda")
    moved, after = there.score(there.start(B), tokens.cuda())
    torch.testing.assert_close(moved.cpu(), scores, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(there.log_probs(after).cpu(), log_probs, atol=1e-5, rtol=1e-5)
