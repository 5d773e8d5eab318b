"""Skip-gram and CBOW with hierarchical softmax, against loops by the printed equations.

The loops compute in float64, and torch differentiates them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from seqlm.models.config.vectors_config import CBOWConfig, SkipGramConfig
from seqlm.models.vectors import cbow, prediction, skipgram
from seqlm.models.vectors.cbow import CBOW
from seqlm.models.vectors.prediction import PredictionModel, unit_of
from seqlm.models.vectors.skipgram import SkipGram
from seqlm.models.vectors.window import Window
from seqlm.text.word_batches import WordBatch
from tests.models.vectors.hierarchical.test_word_paths import slow_path
from tests.models.vectors.test_skipgram import CASES, assert_close, batch_of

COUNTS = [900, 0, 50, 20, 9, 8, 4, 3, 1, 0, 2]
"""Of the reserved entries, which are in no tree; of the words of a batch (`batch_of`); and of one
that the text does not have, and one more."""
V, D = len(COUNTS), 3
SEED = 11
"""Of the radii of CBOW."""
both_models = pytest.mark.parametrize(
    ("model", "config"), [(SkipGram, SkipGramConfig), (CBOW, CBOWConfig)]
)


def model_of(model: type[PredictionModel], config: type, window: int) -> PredictionModel:
    """With large weights, in float64."""
    made = model(config(V, width=D, window=window, hierarchical_softmax=True)).double()
    made.learn_from(np.array(COUNTS), [b""] * V)
    torch.manual_seed(3)
    with torch.no_grad():
        for table in made.parameters():
            table.uniform_(-1, 1)
    return made


@pytest.fixture(params=[1, 3, 1000], autouse=True)
def top(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees that have but a root at the top, that have a top and a rest, and that are all top."""
    for module in (skipgram, cbow):
        monkeypatch.setattr(module, "TOP", request.param)


class Slow(NamedTuple):
    """What the loop gives."""

    objective: Tensor
    """J"""
    pairs: float
    """The weights of the predictions, added up."""
    row_pairs: tuple[Tensor, Tensor]
    """The weights of the decisions that each row of a table is in."""


def log_p(word: int, h: Tensor, u: Tensor) -> Tensor:
    """log p(x | h) = sum of log σ(d_n u_n · h) over the nodes n on the path to x."""
    terms = [logsigmoid(d * (u[node] @ h)) for node, d in slow_path([0, 0, *COUNTS[2:]], word)]
    return torch.stack(terms).sum()


def slow_skipgram(batch: WordBatch, model: PredictionModel) -> Slow:
    """A word predicts the paths of the words around it, as the paper has it."""
    words, lines = batch.words.tolist(), batch.lines.tolist()
    v, u, w = model.inputs.table, model.outputs, model.config.window
    objective, pairs = torch.zeros((), dtype=torch.float64), 0.0
    of_v, of_u = torch.zeros(len(v)).double(), torch.zeros(len(u)).double()
    for t, x in enumerate(words):
        for s in range(t - w, t + w + 1):
            if s != t and 0 <= s < len(words) and lines[s] == lines[t]:
                a = (w - abs(s - t) + 1) / w
                objective = objective - a * log_p(words[s], v[x], u)
                for node, _ in slow_path([0, 0, *COUNTS[2:]], words[s]):
                    of_v[x] += a
                    of_u[node] += a
                pairs += a
    return Slow(objective, pairs, (of_v, of_u))


def slow_cbow(batch: WordBatch, model: PredictionModel) -> Slow:
    """Each word around a position gets the gradient of h as it is: h is the mean, and its gradient
    that of the sum."""
    words, lines = batch.words.tolist(), batch.lines.tolist()
    v, u, b = model.inputs.table, model.outputs, radii(batch, model.config.window)
    objective, predicted = torch.zeros((), dtype=torch.float64), 0.0
    of_v, of_u = torch.zeros(len(v)).double(), torch.zeros(len(u)).double()
    for t, x in enumerate(words):
        around = [
            words[s] for s in range(t - b[t], t + b[t] + 1)
            if s != t and 0 <= s < len(words) and lines[s] == lines[t]
        ]  # fmt: skip
        if not around:
            continue
        total = torch.stack([v[y] for y in around]).sum(0)
        h = total + (total / len(around) - total).detach()
        objective = objective - log_p(x, h, u)
        for node, _ in slow_path([0, 0, *COUNTS[2:]], x):
            of_u[node] += 1
            for y in around:
                of_v[y] += 1
        predicted += 1
    return Slow(objective, predicted, (of_v, of_u))


def radii(batch: WordBatch, window: int) -> list[int]:
    """b_t, as the model draws them: first of all, for whole groups and blocks."""
    unit = unit_of(Window(window))
    torch.manual_seed(SEED)
    size = max(1, -(-len(batch.words) // unit)) * unit
    drawn: list[int] = torch.randint(1, window + 1, (size,)).tolist()
    return drawn


def loss_of(model: PredictionModel, batch: WordBatch) -> Tensor:
    torch.manual_seed(SEED)
    return model.loss(batch)


def gradients(model: PredictionModel, loss: Tensor) -> list[Tensor]:
    """Those of the two tables."""
    tables = model.inputs.table, model.outputs
    for table in tables:
        table.grad = None
    if loss.requires_grad:
        loss.backward()
    return [
        torch.zeros_like(table) if table.grad is None else table.grad.to_dense() for table in tables
    ]


def row_pairs(table: Tensor) -> Tensor:
    """Where the model has left the pairs of those rows that have a gradient."""
    assert table.grad is not None
    pairs = torch.zeros(len(table), dtype=torch.float64)
    pairs[table.grad._indices()[0]] = table.row_pairs.double()  # type: ignore[attr-defined]
    return pairs


@pytest.mark.parametrize(
    ("model", "config", "slow"),
    [(SkipGram, SkipGramConfig, slow_skipgram), (CBOW, CBOWConfig, slow_cbow)],
)
@pytest.mark.parametrize(("lengths", "window"), CASES.values(), ids=CASES)
def test_the_objective_and_its_gradient_are_those_of_the_loop(
    model: type[PredictionModel],
    config: type,
    slow: Callable[[WordBatch, PredictionModel], Slow],
    lengths: list[int],
    window: int,
) -> None:
    network, batch = model_of(model, config, window), batch_of(lengths)
    expected = slow(batch, network)
    slopes = gradients(network, expected.objective)
    loss = loss_of(network, batch)
    assert loss.item() == pytest.approx(expected.objective.item() / max(1, expected.pairs))
    assert_close(gradients(network, loss), slopes)
    found = row_pairs(network.inputs.table), row_pairs(network.outputs)
    assert_close(found, expected.row_pairs)


# ----------------------------------------------------------------------------------- pieces, bits


@both_models
@pytest.mark.parametrize("piece", [1, 500])
def test_pieces_change_nothing(
    model: type[PredictionModel], config: type, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, batch = model_of(model, config, window=6), batch_of([70, 200, 3, 90])
    whole = gradients(network, loss_of(network, batch))
    monkeypatch.setattr(prediction, "PIECE", piece)
    assert_close(gradients(network, loss_of(network, batch)), whole)


@both_models
def test_the_number_of_threads_changes_no_bit(
    model: type[PredictionModel], config: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "PIECE", 256)
    network, batch = model_of(model, config, window=6).float(), batch_of([70, 200, 3, 90])
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            loss = loss_of(network, batch)
            results.append([loss.detach(), *gradients(network, loss)])
    finally:
        torch.set_num_threads(1)
    for other in results[1:]:
        assert all(map(torch.equal, other, results[0]))


@pytest.mark.parametrize(
    ("model", "config", "name"),
    [(SkipGram, SkipGramConfig, "inputs.table"), (SkipGram, SkipGramConfig, "outputs"),
     (CBOW, CBOWConfig, "outputs")],
)  # fmt: skip
def test_the_gradient_is_the_slope_of_the_objective(
    model: type[PredictionModel], config: type, name: str
) -> None:
    """By finite differences. (The gradient of CBOW's inputs is not the true one.)"""
    network, batch = model_of(model, config, window=4), batch_of([20, 5, 30])
    slow = slow_skipgram if model is SkipGram else slow_cbow
    pairs, table = slow(batch, network).pairs, network.get_parameter(name)
    slopes = dict(zip(("inputs.table", "outputs"), gradients(network, loss_of(network, batch))))
    direction, step, values = torch.randn_like(table), 1e-5, []
    for sign in (1, -1):
        table.data += sign * step * direction
        values.append(loss_of(network, batch).item() * pairs)
        table.data -= sign * step * direction
    slope = (values[0] - values[1]) / (2 * step)
    assert slope == pytest.approx(float((slopes[name] * direction).sum()), rel=1e-5)


# ----------------------------------------------------------------------------------- what is rare


@both_models
@pytest.mark.parametrize("lengths", [[], [1], [1] * 100], ids=["no word", "one", "alone"])
def test_words_without_neighbors_change_nothing(
    model: type[PredictionModel], config: type, lengths: list[int]
) -> None:
    network = model_of(model, config, window=5)
    loss = loss_of(network, batch_of(lengths))
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in gradients(network, loss))
    assert not row_pairs(network.inputs.table).any()
    assert not row_pairs(network.outputs).any()


@both_models
def test_a_text_of_one_word_leaves_nothing_to_predict(
    model: type[PredictionModel], config: type
) -> None:
    network = model(config(3, width=D, window=2, hierarchical_softmax=True))
    network.learn_from(np.array([0, 0, 4]), [b""] * 3)
    batch = WordBatch(torch.full((4,), 2), torch.zeros(4, dtype=torch.int32), 4)
    loss = loss_of(network, batch)
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in gradients(network, loss))


@both_models
def test_only_rows_of_the_tree_are_touched(model: type[PredictionModel], config: type) -> None:
    """There is a row for each inner node that the vocabulary may have; one word is not in it."""
    network, batch = model_of(model, config, window=5), batch_of([300])
    d_v, d_u = gradients(network, loss_of(network, batch))
    nodes = sum(count > 0 for count in COUNTS[2:]) - 1
    assert len(d_u) == V - 3 == nodes + 1
    assert not d_u[nodes:].any()
    assert not d_v[COUNTS.index(0, 2)].any()
    assert not d_v[:2].any()


@both_models
def test_numbers_as_large_as_training_may_make_them_give_no_nan(
    model: type[PredictionModel], config: type
) -> None:
    network, batch = model_of(model, config, window=2).float(), batch_of([20])
    with torch.no_grad():
        for table in network.parameters():
            table *= 1e4
    loss = loss_of(network, batch)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(network, loss))


def test_the_loss_is_that_of_the_first_words() -> None:
    """More words after them, in another line, change the gradient but not the loss."""
    network, number = model_of(SkipGram, SkipGramConfig, window=3), prediction.LOSS_WORDS // 2
    long = batch_of([number, 1000])
    short = WordBatch(long.words[:number], long.lines[:number], number)
    losses = [loss_of(network, batch) for batch in (long, short)]
    assert losses[0].item() == pytest.approx(losses[1].item())
    assert not torch.equal(*(gradients(network, loss)[0] for loss in losses))
