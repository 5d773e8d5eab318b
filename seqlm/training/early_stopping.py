"""Early stopping: training ends once validation no longer improves (Prechelt 1998).

Every validation has a cost, the lower the better: the loss, or minus a metric such as BLEU. It
improves on those before it when its cost is below their lowest by more than `min_delta`. After
`patience` validations in a row without an improvement, training should stop.

BLEU may stay at 0, or rise and fall, while a translator still learns. So where the cost is a
metric, a validation with a new lowest loss does not count against the patience either. The plateau
schedule, which lowers the learning rate, looks at the cost alone.
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
        self.best_loss: float | None = None
        self.bad_metric_evals = 0
        """Validations in a row whose cost did not improve."""
        self.bad_evals = 0
        """Validations in a row in which neither the cost nor the loss improved."""

    def update(self, figures: Mapping[str, Any]) -> bool:
        """Takes in the figures of a validation; returns whether its cost is the lowest so far."""
        cost, loss = validation_cost(figures, self.metric), figures["valid_loss"]
        self.costs.append(cost)
        is_best = self.best_cost is None or cost < self.best_cost
        improved = self.best_cost is None or cost < self.best_cost - self.min_delta
        loss_fell = self.best_loss is None or loss < self.best_loss
        self.best_cost = cost if is_best else self.best_cost
        self.best_loss = loss if loss_fell else self.best_loss
        self.bad_metric_evals = 0 if improved else self.bad_metric_evals + 1
        improved |= loss_fell and self.metric != "loss"
        self.bad_evals = 0 if improved else self.bad_evals + 1
        return is_best

    @property
    def on_plateau(self) -> bool:
        """Whether the cost of the last validation did not improve."""
        return self.bad_metric_evals > 0

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
            "best_loss": self.best_loss,
            "bad_metric_evals": self.bad_metric_evals,
            "bad_evals": self.bad_evals,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.costs = list(state["costs"])
        self.best_cost, self.best_loss = state["best_cost"], state["best_loss"]
        self.bad_metric_evals, self.bad_evals = state["bad_metric_evals"], state["bad_evals"]
