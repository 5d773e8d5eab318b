"""A tiny network, a tiny text, and a trainer of one on the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from seqlm.models import model_class
from seqlm.models.base import LanguageNetwork
from seqlm.text.batches import LineBatches, StreamBatches, VariableBatches, WindowBatches
from seqlm.training.config.training_settings import Settings
from seqlm.training.loop import Trainer

CPU = torch.device("cpu")


class Silent:
    def __init__(self) -> None:
        self.rows: list[dict] = []

    def stepped(self, trainer, loss) -> None:
        pass

    def validated(self, trainer, row, best) -> None:
        self.rows.append({**row, "best": best})


def corpus(tokens: int = 600) -> np.ndarray:
    ids = np.random.default_rng(1).integers(1, 12, tokens).astype(np.int32)
    ids[-1] = 1
    return ids


def network(arch: str = "lstm", **options: Any) -> LanguageNetwork:
    own = {"width": 6, "layers": 2} | ({"horizon": 7, "heads": 2} if arch == "transformer" else {})
    model = model_class("lm", arch).from_settings({"vocab_size": 12, **own, **options})
    assert isinstance(model, LanguageNetwork)
    return model


def make(settings: Settings, validate=None, dropout: float = 0.3, **options: Any) -> Trainer:
    torch.manual_seed(settings.seed)
    model = network(settings.arch, dropout_hidden=dropout, **options)
    ids, rows, length = corpus(), settings.batch_size, settings.length
    if settings.context == "sentence":
        batches = LineBatches(ids, rows, settings.seed, CPU, longest=model.context_length)
    elif settings.context == "window":
        batches = WindowBatches(ids, rows, length, settings.seed, CPU)
    elif settings.variable_length:
        batches = VariableBatches(ids, rows, length, settings.seed, CPU)
    else:
        batches = StreamBatches(ids, rows, length, CPU)
    return Trainer(model, batches, settings, validate and (lambda: {"loss": validate()}))


def finish(trainer: Trainer, saves: list | None = None, stop_at: int | None = None) -> Silent:
    """Trains to the end, or up to a step; `saves` collects what was saved."""
    watcher = Silent()

    def save(trainer: Trainer, best: bool) -> None:
        if saves is not None:
            state = trainer.state()
            # In the order of their names, as they come from a file.
            tensors = {name: tensor.clone() for name, tensor in sorted(state.tensors.items())}
            with trainer.average.shown():
                weights = {n: t.clone() for n, t in trainer.network.state_dict().items()}
            saves.append((weights, state._replace(tensors=tensors)))

    trainer.fit(watcher, save, lambda: trainer.progress.step == stop_at)
    return watcher
