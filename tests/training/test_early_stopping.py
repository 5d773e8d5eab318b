"""Early stopping: which validations count as improvements, and when patience ends."""

from __future__ import annotations

import pytest

from seqlm.training.early_stopping import EarlyStopping, validation_cost


def run(stopping: EarlyStopping, losses: list[float], bleu: list[float] | None = None) -> list[int]:
    """Feeds validations until it stops; the indices of those that were the best so far."""
    best = []
    for index, loss in enumerate(losses):
        figures = {"valid_loss": loss} | ({"valid_bleu": bleu[index]} if bleu else {})
        if stopping.update(figures):
            best.append(index)
        if stopping.should_stop:
            break
    return best


def test_a_cost_is_a_loss_or_minus_a_metric() -> None:
    figures = {"valid_loss": 2.0, "valid_bleu": 30.0}
    assert validation_cost(figures, "loss") == 2.0
    assert validation_cost(figures, "bleu") == -30.0


@pytest.mark.parametrize(
    ("patience", "losses", "validations"),
    [
        (1, [3.0, 2.0, 2.5, 1.0], 3),
        (2, [3.0, 2.0, 2.5, 1.0, 1.5, 1.0], 6),  # an equal loss is no improvement
        (3, [3.0, 4.0, 4.0, 4.0, 1.0], 4),
        (None, [3.0, 4.0, 4.0, 4.0, 4.0], 5),
    ],
)
def test_patience_counts_bad_validations_in_a_row(
    patience: int | None, losses: list[float], validations: int
) -> None:
    stopping = EarlyStopping("loss", patience, 0.0)
    run(stopping, losses)
    assert len(stopping.costs) == validations
    assert stopping.best_cost == min(losses[:validations])


def test_small_improvements_are_the_best_but_count_as_bad() -> None:
    stopping = EarlyStopping("loss", 2, min_delta=0.1)
    assert run(stopping, [3.0, 2.95, 2.91, 1.0]) == [0, 1, 2]
    assert stopping.bad_evals == stopping.bad_metric_evals == 2


def test_while_bleu_stays_at_zero_the_loss_decides() -> None:
    stopping = EarlyStopping("bleu", 2, 0.0)
    assert run(stopping, [5.0, 4.0, 3.0, 3.5, 3.6], [0.0] * 5) == [0, 1, 2]
    assert len(stopping.costs) == 5
    assert (stopping.bad_metric_evals, stopping.bad_evals) == (2, 2)
    assert stopping.on_plateau
    assert stopping.never_moved


def test_equal_bleu_is_decided_by_the_loss_of_the_best_and_not_by_the_lowest_loss() -> None:
    stopping = EarlyStopping("bleu", None, 0.0)
    best = run(stopping, [3.0, 5.0, 4.0, 4.5, 2.0], [10.0, 20.0, 20.0, 20.0, 19.0])
    assert best == [0, 1, 2]
    assert (stopping.best_cost, stopping.loss_at_best, stopping.best_loss) == (-20.0, 4.0, 2.0)
    assert not stopping.never_moved


def test_a_falling_loss_is_no_reason_to_stop_while_bleu_falls() -> None:
    stopping = EarlyStopping("bleu", 2, 0.0)
    assert run(stopping, [5.0, 4.0, 3.0, 3.5, 3.6], [2.0, 1.0, 1.0, 1.0, 1.0]) == [0]
    assert len(stopping.costs) == 5
    assert (stopping.bad_metric_evals, stopping.bad_evals) == (4, 2)
    assert stopping.on_plateau


def test_reset_counts_keeps_the_best() -> None:
    stopping = EarlyStopping("loss", 1, 0.0)
    run(stopping, [2.0, 3.0])
    assert stopping.should_stop
    stopping.reset_counts()
    assert not stopping.should_stop
    assert not stopping.on_plateau
    assert not stopping.update({"valid_loss": 2.5})
    assert stopping.should_stop


def test_a_restored_state_goes_on_as_the_first() -> None:
    first, second = (EarlyStopping("loss", 3, 0.0) for _ in range(2))
    run(first, [3.0, 2.0, 2.5])
    second.load_state_dict(first.state_dict())
    for stopping in (first, second):
        run(stopping, [2.6, 2.7])
    assert first.state_dict() == second.state_dict()
    assert first.should_stop
    assert second.should_stop
