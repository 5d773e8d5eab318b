"""Skip-gram with negative sampling, against a loop over the pairs by the printed equation.

The loop computes in float64, and torch differentiates it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from seqlm.models.config.vectors_config import SkipGramConfig
from seqlm.models.vectors import prediction
from seqlm.models.vectors.prediction import GROUP, NOISE_WORDS
from seqlm.models.vectors.skipgram import SkipGram
from seqlm.text.word_batches import WordBatch

V, D = 9, 3

CASES: dict[str, tuple[list[int], int]] = {
    "fewer words than a group": ([3, 1, 5, 2], 2),
    "a window longer than the lines": ([4, 3, 2, 6], 30),
    "a window longer than a usual block": ([50, 13], 20),
    "a window longer than a group": ([50, 40], 70),
    "several groups": ([30, 1, 70, 45], 5),
    "whole groups": ([2 * GROUP], 3),
    "a window of one": ([9, 9, 70], 1),
}
"""The lengths of lines, and the window."""


def batch_of(lengths: list[int], seed: int = 1) -> WordBatch:
    """Random words in lines of these lengths."""
    noise = torch.Generator().manual_seed(seed)
    words = torch.randint(2, V, (sum(lengths),), generator=noise)
    lines = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths, dtype=torch.int64))
    return WordBatch(words, lines.int(), max(1, sum(lengths)))


def model_of(window: int, negatives: int = 5) -> SkipGram:
    """With large weights, in float64."""
    config = SkipGramConfig(V, width=D, window=window, negatives=negatives)
    model = SkipGram(config).double()
    model.learn_from(np.array([0, 0, 50, 20, 9, 8, 4, 3, 1]), [b""] * V)
    torch.manual_seed(3)
    with torch.no_grad():
        for table in model.parameters():
            table.uniform_(-1, 1)
    return model


def fix_noise(model: SkipGram, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """(groups, K), the noise that every batch has from now on."""
    noise = torch.randint(2, V, (20, NOISE_WORDS), generator=torch.Generator().manual_seed(7))
    monkeypatch.setattr(model, "noise_words", lambda number: noise[:number].flatten())
    return noise


class Slow(NamedTuple):
    """What the loop gives."""

    objective: Tensor
    """J"""
    pairs: float
    """The weights of the pairs, added up."""
    row_pairs: tuple[Tensor, Tensor]
    """(V,) those that each row of a table is in, noise included."""


def slow_objective(batch: WordBatch, noise: Tensor, model: SkipGram) -> Slow:
    words, lines = batch.words.tolist(), batch.lines.tolist()
    v, u = model.inputs.table, model.outputs
    w, k = model.config.window, model.config.negatives
    objective, pairs = torch.zeros((), dtype=torch.float64), 0.0
    of_v, of_u = torch.zeros(V, dtype=torch.float64), torch.zeros(V, dtype=torch.float64)
    for t, x in enumerate(words):
        m = 0.0
        for s in range(t - w, t + w + 1):
            if s != t and 0 <= s < len(words) and lines[s] == lines[t]:
                a = (w - abs(s - t) + 1) / w
                objective = objective - a * logsigmoid(u[words[s]] @ v[x])
                of_u[words[s]] += a
                m += a
        shared, weight = noise[t // GROUP], k * m / NOISE_WORDS
        objective = objective - weight * logsigmoid(-u[shared] @ v[x]).sum()
        for n in shared.tolist():
            of_u[n] += weight
        of_v[x] += m * (1 + k)
        pairs += m
    return Slow(objective, pairs, (of_v, of_u))


def gradients(model: SkipGram, loss: Tensor) -> tuple[Tensor, Tensor]:
    """(V, D) those of the two tables."""
    tables = model.inputs.table, model.outputs
    for table in tables:
        table.grad = None
    loss.backward()
    found = []
    for table in tables:
        assert table.grad is not None
        found.append(table.grad.to_dense())
    return found[0], found[1]


def row_pairs(table: Tensor) -> Tensor:
    """(V,), where the model has left the pairs of those rows that have a gradient."""
    assert table.grad is not None
    pairs = torch.zeros(V, dtype=torch.float64)
    pairs[table.grad._indices()[0]] = table.row_pairs.double()  # type: ignore[attr-defined]
    return pairs


def assert_close(a: object, b: object) -> None:
    """Up to the rounding of the weights of pairs, which are float32."""
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------ the loop


@pytest.mark.parametrize("negatives", [1, 5])
@pytest.mark.parametrize(("lengths", "window"), CASES.values(), ids=CASES)
def test_the_objective_and_its_gradient_are_those_of_the_loop(
    lengths: list[int], window: int, negatives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = model_of(window, negatives), batch_of(lengths)
    slow = slow_objective(batch, fix_noise(model, monkeypatch), model)
    expected = gradients(model, slow.objective)
    loss = model.loss(batch)
    assert loss.item() == pytest.approx(slow.objective.item() / slow.pairs)
    assert_close(gradients(model, loss), expected)
    found = row_pairs(model.inputs.table), row_pairs(model.outputs)
    assert_close(found, slow.row_pairs)


@pytest.mark.parametrize("piece", [GROUP, 2 * GROUP])
def test_pieces_change_nothing(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = model_of(window=6), batch_of([70, 200, 3, 90])
    fix_noise(model, monkeypatch)
    whole = gradients(model, model.loss(batch))
    monkeypatch.setattr(prediction, "PIECE", piece)
    assert_close(gradients(model, model.loss(batch)), whole)


def test_the_gradient_is_the_slope_of_the_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    """By finite differences, along a random direction of both tables."""
    model, batch = model_of(window=4), batch_of([20, 5, 30])
    noise = fix_noise(model, monkeypatch)
    pairs = slow_objective(batch, noise, model).pairs
    slopes = gradients(model, model.loss(batch))
    tables = model.inputs.table, model.outputs
    directions = [torch.randn_like(table) for table in tables]
    step, values = 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            for table, direction in zip(tables, directions):
                table += sign * step * direction
            values.append(model.loss(batch).item() * pairs)
            for table, direction in zip(tables, directions):
                table -= sign * step * direction
    expected = sum((slope * direction).sum() for slope, direction in zip(slopes, directions))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(float(expected), rel=1e-5)


def test_noise_in_the_shares_of_its_distribution_gives_the_expectation_of_the_paper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Equation 4, with k times the expectation over P for each pair."""
    model, batch = model_of(window=3, negatives=4), batch_of([12, 30])
    p = {2: 0.5, 3: 0.25, 4: 0.125, 5: 0.125}
    shared = [word for word, share in p.items() for _ in range(int(share * NOISE_WORDS))]
    monkeypatch.setattr(model, "noise_words", lambda groups: torch.tensor(shared * groups))
    words, lines = batch.words.tolist(), batch.lines.tolist()
    v, u = model.inputs.table.detach(), model.outputs.detach()
    objective = pairs = 0.0
    for t, x in enumerate(words):
        for s, y in enumerate(words):
            if 0 < abs(s - t) <= 3 and lines[s] == lines[t]:
                a = (3 - abs(s - t) + 1) / 3
                noise = sum(share * logsigmoid(-u[n] @ v[x]) for n, share in p.items())
                objective -= a * float(logsigmoid(u[y] @ v[x]) + 4 * noise)
                pairs += a
    assert model.loss(batch).item() == pytest.approx(objective / pairs)


# ----------------------------------------------------------------------------------- what is rare


@pytest.mark.parametrize("lengths", [[], [1], [1] * 100], ids=["no word", "one", "alone"])
def test_words_without_neighbors_change_nothing(lengths: list[int]) -> None:
    model = model_of(window=5)
    loss = model.loss(batch_of(lengths))
    assert loss.item() == 0
    for gradient in gradients(model, loss):
        assert not gradient.any()
    assert not row_pairs(model.inputs.table).any()


def test_the_words_that_fill_a_group_change_nothing() -> None:
    model, batch = model_of(window=5), batch_of([30])
    for gradient in gradients(model, model.loss(batch)):
        assert not gradient[:2].any()
    assert row_pairs(model.inputs.table)[:2].tolist() == [0, 0]


def test_numbers_as_large_as_training_may_make_them_give_no_nan() -> None:
    model, batch = model_of(window=2).float(), batch_of([20])
    with torch.no_grad():
        for table in model.parameters():
            table *= 1e4
    loss = model.loss(batch)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(model, loss))


def test_a_batch_after_another_has_other_noise() -> None:
    model, batch = model_of(window=2), batch_of([40])
    torch.manual_seed(1)
    first, second = model.loss(batch).item(), model.loss(batch).item()
    torch.manual_seed(1)
    assert model.loss(batch).item() == first != second


def test_reserved_entries_are_no_noise() -> None:
    model = model_of(window=2)
    model.learn_from(np.array([900, 900, 50, 20, 9, 8, 4, 3, 1]), [b""] * V)
    assert model.noise_words(40).min() >= 2
