"""A tiny network, a tiny text, and a trainer of one on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlm.models import model_class
from seqlm.models.base import LanguageNetwork
from seqlm.runs.checkpoint import TrainingState
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.resuming import training_state
from seqlm.training.signals import Interruption
from seqlm.training.tasks.language_modeling import make_batches
from seqlm.training.timed_trainer import TimedTrainer
from seqlm.training.trainer import Trainer
from seqlm.training.watchers import SilentWatcher

CPU = torch.device("cpu")

Checkpoints = list[tuple[dict[str, Tensor], TrainingState]]


class ValidationRows(SilentWatcher):
    """Collects the figures of every validation."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        self.rows.append({**figures, "best": is_best})


def corpus(tokens: int = 600) -> np.ndarray:
    ids = np.random.default_rng(1).integers(1, 12, tokens).astype(np.int32)
    ids[-1] = 1
    return ids


def network(arch: str = "lstm", **options: Any) -> LanguageNetwork:
    small = {"width": 6, "layers": 2}
    small |= {"context_length": 7, "heads": 2} if arch == "transformer" else {}
    model = model_class("lm", arch).from_settings({"vocab_size": 12, **small, **options})
    assert isinstance(model, LanguageNetwork)
    return model


def make(
    settings: TrainingSettings,
    validate: Callable[[], float] | None = None,
    dropout: float = 0.3,
    **options: Any,
) -> Trainer:
    torch.manual_seed(settings.seed)
    model = network(settings.arch, dropout_hidden=dropout, **options)
    batches = make_batches(corpus(), model, settings)
    kind = Trainer if settings.minutes is None else TimedTrainer
    return kind(model, batches, settings, validate and (lambda: {"loss": validate()}))


def finish(
    trainer: Trainer,
    checkpoints: Checkpoints | None = None,
    stop_at: int | None = None,
    interruption: Interruption | None = None,
) -> ValidationRows:
    """Trains to the end, up to a step, or until an interruption; `checkpoints` collects what was
    saved."""
    watcher = ValidationRows()

    def save(trainer: Trainer, is_best: bool) -> None:
        if checkpoints is not None:
            state = training_state(trainer)
            # In the order of their names, as they come from a file.
            tensors = {name: tensor.clone() for name, tensor in sorted(state.tensors.items())}
            with trainer.average.in_place_of_weights():
                weights = {n: t.clone() for n, t in trainer.network.state_dict().items()}
            checkpoints.append((weights, state._replace(tensors=tensors)))

    stop = interruption or Interruption(lambda: trainer.progress.step == stop_at)
    trainer.fit(watcher, save, stop)
    return watcher
