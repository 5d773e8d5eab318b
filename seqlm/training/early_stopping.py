"""Early stopping: training ends once validation no longer improves (Prechelt 1998).

Every validation has a cost, the lower the better: the loss, or minus a metric such as BLEU. Of
equal costs the one with the lower loss is better: BLEU is 0 until four words in a row are right. A
validation improves on those before it when its cost is below their lowest by more than `min_delta`,
or equal to it with a lower loss. After `patience` validations in a row without an improvement,
training should stop.

BLEU may rise and fall while a translator still learns. So where the cost is a metric, a validation
with a new lowest loss does not count against the patience either. The plateau schedule, which
lowers the learning rate, looks at the cost first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def validation_cost(figures: Mapping[str, Any], metric: str) -> float:
    """What a validation is judged by, the lower the better: its loss, or minus another metric."""
    figure = float(figures[f"valid_{metric}"])
    return figure if metric == "loss" else -figure


class EarlyStopping:
    """Compares each validation with those before it, and says when to stop."""

    def __init__(self, metric: str, patience: int | None, min_delta: float) -> None:
        """A `patience` of None never stops. `min_delta` is in the unit of `metric`."""
        self.metric, self.patience, self.min_delta = metric, patience, min_delta
        self.costs: list[float] = []
        """The cost of every validation so far."""
        self.best_cost: float | None = None
        self.loss_at_best: float | None = None
        """The loss of the validation that is the best so far."""
        self.best_loss: float | None = None
        self.bad_metric_evals = 0
        """Validations in a row whose cost did not improve."""
        self.bad_evals = 0
        """Validations in a row in which neither the cost nor the loss improved."""

    def update(self, figures: Mapping[str, Any]) -> bool:
        """Takes in the figures of a validation; returns whether it is the best so far."""
        cost, loss = validation_cost(figures, self.metric), figures["valid_loss"]
        self.costs.append(cost)
        breaks_tie = (
            cost == self.best_cost and self.loss_at_best is not None and loss < self.loss_at_best
        )
        is_best = self.best_cost is None or cost < self.best_cost or breaks_tie
        improved = self.best_cost is None or cost < self.best_cost - self.min_delta or breaks_tie
        loss_fell = self.best_loss is None or loss < self.best_loss
        if is_best:
            self.best_cost, self.loss_at_best = cost, loss
        self.best_loss = loss if loss_fell else self.best_loss
        self.bad_metric_evals = 0 if improved else self.bad_metric_evals + 1
        improved |= loss_fell and self.metric != "loss"
        self.bad_evals = 0 if improved else self.bad_evals + 1
        return is_best

    @property
    def on_plateau(self) -> bool:
        """Whether the last validation did not improve on the cost, or on the loss at equal cost."""
        return self.bad_metric_evals > 0

    @property
    def never_moved(self) -> bool:
        """Whether several validations all had one cost."""
        return len(self.costs) > 1 and len(set(self.costs)) == 1

    @property
    def should_stop(self) -> bool:
        return self.patience is not None and self.bad_evals >= self.patience

    def reset_counts(self) -> None:
        """Resets the counters and keeps the best values."""
        self.bad_metric_evals = self.bad_evals = 0

    def state_dict(self) -> dict[str, Any]:
        """The state in plain values. Settings are not stored."""
        return {
            "costs": list(self.costs),
            "best_cost": self.best_cost,
            "loss_at_best": self.loss_at_best,
            "best_loss": self.best_loss,
            "bad_metric_evals": self.bad_metric_evals,
            "bad_evals": self.bad_evals,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.costs = list(state["costs"])
        self.best_cost, self.loss_at_best = state["best_cost"], state["loss_at_best"]
        self.best_loss = state["best_loss"]
        self.bad_metric_evals, self.bad_evals = state["bad_metric_evals"], state["bad_evals"]
