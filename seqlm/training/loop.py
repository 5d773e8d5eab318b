"""The training loop: segments in, weights out, and a state that resumes exactly.

Truncated back-propagation through time: the gradient of a segment stops at its first token, the
state goes on (detached) into the next. Whatever the next step depends on is in `Trainer.state()`:
weights, optimiser moments, carried state, position in the data, random state, schedule and
early-stopping counters. A run killed and resumed is the unbroken run, bit for bit, on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seqlm.errors import SeqlmError
from seqlm.models.base import Network, State, pack, unpack
from seqlm.runs.save import TrainingState
from seqlm.text.batches import Batch, Batches
from seqlm.training.objective import Objective
from seqlm.training.optim import PLATEAU, factor, optimizer
from seqlm.training.settings import Settings

CHECK_EVERY = 50
"""Steps between looks at the loss on a GPU, where each look waits for it. A CPU looks at each."""


class Watcher(Protocol):
    """Who is told how training goes."""

    def stepped(self, trainer: Trainer, loss: float) -> None: ...

    def validated(self, trainer: Trainer, row: Mapping[str, Any], best: bool) -> None: ...


@dataclass
class Progress:
    """Where training stands; plain values, saved as they are."""

    step: int = 0
    epoch: int = 0
    index: int = 0
    """Segments of this epoch already used."""
    best: float | None = None
    """Lowest validation loss, nats a token."""
    stalled: int = 0
    """Validations since then."""
    slowed: float = 1.0
    """What plateaus have made of the rate."""
    seconds: float = 0.0
    tokens: int = 0
    loss_sum: float = 0.0
    """Of the segments since the last validation."""
    losses: int = 0
    phase_step: int = 0
    """Where the present schedule began; a resumed run with new flags begins a new one."""
    phase_epoch: int = 0
    phase_index: int = 0
    done: bool = False


class Trainer:
    def __init__(
        self,
        network: Network,
        batches: Batches,
        settings: Settings,
        validate: Callable[[], float] | None,
    ) -> None:
        """`validate` gives the validation loss in nats a token."""
        self.network, self.batches, self.settings = network, batches, settings
        self.validate = validate
        self.objective = Objective(network)
        self.rate = settings.peak_rate
        self.optimizer = optimizer(
            settings.optimizer, network.parameters(), self.rate, settings.weight_decay
        )
        self.progress = Progress()
        self.inner: State = None
        self.epoch: Sequence[Batch] | None = None  # the one that `progress.epoch` numbers

    @property
    def steps(self) -> int:
        """The step at which training ends."""
        if self.settings.steps is not None:
            return self.settings.steps
        epochs = self.settings.epochs - self.progress.phase_epoch
        before = self.progress.phase_step - self.progress.phase_index
        return before + epochs * len(self.batches)

    def current_rate(self) -> float:
        at, start = self.progress.step, self.progress.phase_step
        done = (at - start) / max(1, self.steps - start)
        schedule = self.settings.schedule
        if schedule == "one-cycle" and start > 0:
            schedule = "cosine"  # a cycle goes up once
        return self.rate * self.progress.slowed * factor(schedule, done, self.settings.warmup)

    # -- the loop

    def fit(
        self,
        watcher: Watcher,
        save: Callable[[Trainer, bool], None],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Trains to the end. `save(trainer, best)` is called after each validation.

        `interrupted` is asked after each step; once it says so, the trainer saves and returns with
        `progress.done` False. Errors: SeqlmError naming the step of a loss that is not finite.
        """
        started = time.perf_counter() - self.progress.seconds
        self.network.train()
        unseen: list[Tensor] = []  # losses since the last look at them
        looks = 1 if self.network.device.type == "cpu" else CHECK_EVERY
        while not self.progress.done:
            unseen.append(self.step())
            self.progress.seconds = time.perf_counter() - started
            due = self.validation_due()
            if due or len(unseen) >= looks:
                watcher.stepped(self, self.look(unseen))
            if due:
                row, best = self.validation()
                watcher.validated(self, row, best)  # a row too many is cut again, one lost is not
                save(self, best)
            if interrupted() and not self.progress.done:
                if not due:
                    if unseen:
                        self.look(unseen)
                    save(self, False)
                return

    def step(self) -> Tensor:
        """One segment, one update; -> its loss, still on its device."""
        progress = self.progress
        if progress.index == 0 or self.epoch is None:
            self.epoch = self.batches.epoch(progress.epoch)
        batch = self.epoch[progress.index]
        self.optimizer.zero_grad()
        loss, self.inner, report = self.objective(batch, self.inner)
        loss.backward()
        if self.settings.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        rate = self.current_rate()
        for group in self.optimizer.param_groups:
            group["lr"], group["weight_decay"] = rate, self.settings.weight_decay
        self.optimizer.step()
        progress.step += 1
        progress.tokens += batch.tokens
        progress.index += 1
        if progress.index == len(self.epoch):
            progress.epoch, progress.index = progress.epoch + 1, 0
        seen: Tensor = report["loss"]
        return seen

    def validation_due(self) -> bool:
        progress, every = self.progress, self.settings.valid_every
        at_mark = progress.index == 0 if every is None else progress.step % every == 0
        return at_mark or progress.step >= self.steps

    def look(self, losses: list[Tensor]) -> float:
        """Adds up `losses`, empties them, and gives the last.

        Errors: SeqlmError where one is not finite, naming its step.
        """
        values: list[float] = torch.stack(losses).tolist()
        losses.clear()
        for step, value in enumerate(values, self.progress.step - len(values) + 1):
            if not math.isfinite(value):
                raise SeqlmError(
                    f"the loss is {value} at step {step}; the saves before it are untouched."
                    f" Lower --lr (now {self.rate:g}) or --clip (now {self.settings.clip:g})"
                )
            self.progress.loss_sum += value
            self.progress.losses += 1
        return values[-1]

    def validation(self) -> tuple[dict[str, Any], bool]:
        """A row of figures, and whether they are the best so far."""
        progress, settings = self.progress, self.settings
        progress.done = progress.step >= self.steps
        train_loss = progress.loss_sum / progress.losses
        progress.loss_sum, progress.losses = 0.0, 0
        row: dict[str, Any] = {
            "step": progress.step,
            "epoch": progress.epoch,
            "train_loss": train_loss,
            "lr": self.current_rate(),
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 3),
        }
        if self.validate is None:
            if not all(bool(p.isfinite().all()) for p in self.network.parameters()):
                raise SeqlmError(f"a weight is not finite after step {progress.step}; lower --lr")
            return row, False
        row["valid_loss"] = loss = self.validate()
        if not math.isfinite(loss):
            raise SeqlmError(f"the validation loss is {loss} at step {progress.step}")
        best = progress.best is None or loss < progress.best
        improved = progress.best is None or loss < progress.best - settings.tolerance
        progress.best = loss if best else progress.best
        progress.stalled = 0 if improved else progress.stalled + 1
        if progress.stalled and settings.schedule == "plateau":
            progress.slowed *= PLATEAU
        if settings.patience is not None and progress.stalled >= settings.patience:
            progress.done = True
        return row, best

    # -- what resuming needs

    def state(self) -> TrainingState:
        tensors = {
            f"optimizer.{number}.{name}": value
            for number, moments in self.optimizer.state_dict()["state"].items()
            for name, value in moments.items()
            if isinstance(value, Tensor)
        }
        tensors["random.cpu"] = torch.get_rng_state()
        if self.network.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.network.device)
        if self.inner is not None:
            tensors |= pack(self.inner, "inner")
        return TrainingState(tensors, {"progress": asdict(self.progress), "rate": self.rate})

    def restore(self, weights: Mapping[str, Tensor], state: TrainingState) -> None:
        """Stands where `state` was taken."""
        device = self.network.device
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                tensor.copy_(weights[name])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in state.tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".", 2)
                moments.setdefault(int(number), {})[key] = tensor.clone()
        stored = self.optimizer.state_dict() | {"state": moments}
        self.optimizer.load_state_dict(stored)
        self.progress = Progress(**state.values["progress"])
        self.rate = state.values["rate"]
        if any(name.startswith("inner") for name in state.tensors):
            like = self.network.initial(self.batches.rows)
            self.inner = unpack(like, {n: t.clone() for n, t in state.tensors.items()}, "inner")
        torch.set_rng_state(state.tensors["random.cpu"].clone())
        if device.type == "cuda" and "random.cuda" in state.tensors:
            torch.cuda.set_rng_state(state.tensors["random.cuda"].clone(), device)

    def begin_phase(self, settings: Settings, rate: float) -> None:
        """A new schedule from here on, with `rate` as its peak."""
        self.settings, self.rate = settings, rate
        progress = self.progress
        progress.phase_step, progress.phase_epoch = progress.step, progress.epoch
        progress.phase_index = progress.index
        progress.slowed, progress.stalled, progress.done = 1.0, 0, False
