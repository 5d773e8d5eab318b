"""CBOW with negative sampling, against a loop over the positions by the printed equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from seqlm.models.config.vectors_config import CBOWConfig
from seqlm.models.vectors import prediction
from seqlm.models.vectors.cbow import CBOW
from seqlm.models.vectors.prediction import GROUP, NOISE_WORDS, unit_of
from seqlm.models.vectors.window import Window
from seqlm.text.word_batches import WordBatch
from tests.models.vectors.test_skipgram import CASES, D, V, assert_close, batch_of, row_pairs

SEED = 11
"""Of the radii."""


def model_of(window: int, negatives: int = 5) -> CBOW:
    """With large weights, in float64."""
    model = CBOW(CBOWConfig(V, width=D, window=window, negatives=negatives)).double()
    model.learn_from(np.array([0, 0, 50, 20, 9, 8, 4, 3, 1]), [b""] * V)
    torch.manual_seed(3)
    with torch.no_grad():
        for table in model.parameters():
            table.uniform_(-1, 1)
    return model


def fix_noise(model: CBOW, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """(groups, K), the noise that every batch has from now on."""
    noise = torch.randint(2, V, (20, NOISE_WORDS), generator=torch.Generator().manual_seed(7))
    monkeypatch.setattr(model, "noise_words", lambda number: noise[:number].flatten())
    return noise


def loss_of(model: CBOW, batch: WordBatch) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and the gradients (V, D) of the two tables, with the radii of SEED."""
    torch.manual_seed(SEED)
    loss = model.loss(batch)
    tables = model.inputs.table, model.outputs
    for table in tables:
        table.grad = None
    loss.backward()
    d_v, d_u = (table.grad.to_dense() for table in tables if table.grad is not None)
    return loss.detach(), d_v, d_u


def radii(batch: WordBatch, window: int) -> list[int]:
    """b_t, as the model draws them: first of all, for whole groups and blocks."""
    unit = unit_of(Window(window))
    torch.manual_seed(SEED)
    size = max(1, -(-len(batch.words) // unit)) * unit
    drawn: list[int] = torch.randint(1, window + 1, (size,)).tolist()
    return drawn


@pytest.mark.parametrize("negatives", [1, 5])
@pytest.mark.parametrize(("lengths", "window"), CASES.values(), ids=CASES)
def test_the_objective_and_its_gradient_are_those_of_the_loop(
    lengths: list[int], window: int, negatives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = model_of(window, negatives), batch_of(lengths)
    noise, b = fix_noise(model, monkeypatch), radii(batch, window)
    words, lines = batch.words.tolist(), batch.lines.tolist()
    v, u = model.inputs.table.detach(), model.outputs.detach()
    d_v, d_u = torch.zeros_like(v), torch.zeros_like(u)
    of_v, of_u = (torch.zeros(V, dtype=torch.float64) for _ in range(2))
    objective, predicted = 0.0, 0
    for t, x in enumerate(words):
        around = [
            s for s in range(t - b[t], t + b[t] + 1)
            if s != t and 0 <= s < len(words) and lines[s] == lines[t]
        ]  # fmt: skip
        if not around:
            continue
        h = torch.stack([v[words[s]] for s in around]).mean(0)
        targets = [(x, 1.0, 1.0)]  # the word, its label, its weight
        targets += [(n, 0.0, negatives / NOISE_WORDS) for n in noise[t // GROUP].tolist()]
        d_h = torch.zeros_like(h)
        for y, label, weight in targets:
            score = u[y] @ h
            objective -= weight * float(logsigmoid(score if label else -score))
            slope = weight * (score.sigmoid() - label)
            d_u[y] += slope * h
            d_h += slope * u[y]
            of_u[y] += weight
        for s in around:
            d_v[words[s]] += d_h
            of_v[words[s]] += 1 + negatives
        predicted += 1
    loss, found_v, found_u = loss_of(model, batch)
    assert loss.item() == pytest.approx(objective / predicted)
    assert_close((found_v, found_u), (d_v, d_u))
    assert_close(row_pairs(model.inputs.table), of_v)
    assert_close(row_pairs(model.outputs), of_u)


def test_the_gradient_of_outputs_is_the_slope_of_the_objective(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By finite differences. (That of inputs is not: see the head of the file.)"""
    model, batch = model_of(window=4), batch_of([20, 5, 30])
    fix_noise(model, monkeypatch)
    _, _, d_u = loss_of(model, batch)
    direction, step, values = torch.randn_like(d_u), 1e-5, []
    for sign in (1, -1):
        model.outputs.data += sign * step * direction
        values.append(loss_of(model, batch)[0].item() * len(batch.words))
        model.outputs.data -= sign * step * direction
    slope = (values[0] - values[1]) / (2 * step)
    assert slope == pytest.approx(float((d_u * direction).sum()), rel=1e-5)


@pytest.mark.parametrize("piece", [GROUP, 2 * GROUP])
def test_pieces_change_nothing(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = model_of(window=6), batch_of([70, 200, 3, 90])
    fix_noise(model, monkeypatch)
    _, *whole = loss_of(model, batch)
    monkeypatch.setattr(prediction, "PIECE", piece)
    assert_close(loss_of(model, batch)[1:], tuple(whole))


@pytest.mark.parametrize("lengths", [[], [1], [1] * 100], ids=["no word", "one", "alone"])
def test_words_without_neighbors_predict_nothing(lengths: list[int]) -> None:
    model = model_of(window=5)
    loss, d_v, d_u = loss_of(model, batch_of(lengths))
    assert loss.item() == 0
    assert not d_v.any()
    assert not d_u.any()
