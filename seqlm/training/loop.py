"""The training loop: segments in, weights out, and a state that resumes exactly.

Truncated back-propagation through time: the gradient of a segment stops at its first token, the
state goes on (detached) into the next. An update takes the gradient of one segment, or of several
in a row: the mean over all their tokens (`accumulate`). What is validated and saved is the average
of the weights where one is kept.

Whatever the next step depends on is in `Trainer.state()`: weights, optimiser moments, averages,
carried state, position in the data, random state, schedule and early-stopping counters. A run
killed and resumed is the unbroken run, bit for bit, on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from seqlm.errors import ModelError, SeqlmError
from seqlm.memory import trim_heap
from seqlm.models.base import LanguageNetwork, Network, State
from seqlm.models.tree import pack, unpack
from seqlm.runs.checkpoint import TrainingState
from seqlm.text.batches import Batch, Batches
from seqlm.training.config.training_settings import Settings
from seqlm.training.optimization.averaging import Average, make_average, put
from seqlm.training.optimization.compiling import compile_objective
from seqlm.training.optimization.objective import Objective
from seqlm.training.optimization.optimizer import make_optimizer, moments, restore_moments, set_rate
from seqlm.training.optimization.precision import Precision
from seqlm.training.optimization.scheduled_sampling import true_share
from seqlm.training.optimization.schedules import PLATEAU, cycled, factor

CHECK_EVERY = 50
"""Steps between looks at the loss on a GPU, where each look waits for it. A CPU looks at each."""
TRIM_EVERY = 5.0
"""Seconds of training on sentences, whose batches are each of another size, between two `trim`s."""


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
    """Lowest cost of a validation."""
    stalled: int = 0
    """Validations since then."""
    lowest: float | None = None
    """Lowest loss of a validation."""
    idle: int = 0
    """Validations since either fell."""
    slowed: float = 1.0
    """What plateaus have made of the rate."""
    seconds: float = 0.0
    tokens: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    """Of the figures of each step since the last validation, the loss among them."""
    looked: int = 0
    """Steps in those sums."""
    validations: list[float] = field(default_factory=list)
    """The costs of all so far."""
    phase_step: int = 0
    """Where the present schedule began; a resumed run with new flags begins a new one."""
    phase_epoch: int = 0
    phase_index: int = 0
    done: bool = False


Figures = dict[str, Tensor]
"""What a step reports, on its device: its `loss`, and what the network names."""

Validate = Callable[[], Mapping[str, float]]
"""Measures a network on held-out text: its `loss` in nats a token, and metrics where there are."""


def cost(row: Mapping[str, Any], metric: str) -> float:
    """What a validation is judged by, the less the better: its loss, or minus a metric."""
    figure = float(row[f"valid_{metric}"])
    return figure if metric == "loss" else -figure


class Trainer:
    def __init__(
        self,
        network: Network,
        batches: Batches,
        settings: Settings,
        validate: Validate | None,
    ) -> None:
        self.network, self.batches, self.settings = network, batches, settings
        self.validate = validate
        self.rate = settings.peak_rate
        self.precision = Precision(settings.precision, network.device)
        self.objective = Objective(network, settings.label_smoothing, self.precision)
        self.optimizer = make_optimizer(
            settings.optimizer, network, settings.beta1, settings.beta2, settings.epsilon
        )
        self.average = self.new_average()
        self.progress = Progress()
        self.cache: State = None
        self.epoch: Sequence[Batch] | None = None  # the one that `progress.epoch` numbers

    def new_average(self) -> Average:
        settings = self.settings
        return make_average(
            settings.average, self.network, settings.average_decay, settings.average_wait,
            settings.average_last,
        )  # fmt: skip

    @property
    def steps(self) -> int:
        """The step at which training ends."""
        if self.settings.steps is not None:
            return self.settings.steps
        progress, together = self.progress, self.settings.accumulate
        before = progress.phase_step - -(-progress.phase_index // together)
        epochs = self.settings.epochs - progress.phase_epoch
        return before + epochs * -(-len(self.batches) // together)

    @property
    def part_done(self) -> float:
        """Of the phase."""
        start = self.progress.phase_step
        return (self.progress.step - start) / max(1, self.steps - start)

    def factor(self) -> float:
        """Of the peak rate, by the schedule."""
        settings, schedule = self.settings, self.settings.schedule
        if schedule == "one-cycle" and self.progress.phase_step > 0:
            schedule = "cosine"  # a cycle goes up once
        return factor(schedule, self.part_done, settings.warmup, settings.cooldown)

    def current_rate(self) -> float:
        return self.rate * self.progress.slowed * self.factor()

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
        if self.settings.compile:
            first = self.batches.epoch(0)[0]
            compile_objective(self.objective, first, dynamic=self.settings.context == "sentence")
        unseen: list[Figures] = []  # of the steps since the last look at them
        trimmed = self.progress.seconds
        looks = 1 if self.network.device.type == "cpu" else CHECK_EVERY
        while not self.progress.done:
            unseen.append(self.step())
            self.progress.seconds = time.perf_counter() - started
            if self.settings.context == "sentence" and self.progress.seconds > trimmed + TRIM_EVERY:
                trim_heap()
                trimmed = self.progress.seconds
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

    def step(self) -> Figures:
        """One update, from as many segments as are accumulated (fewer at the end of an epoch)."""
        progress, settings = self.progress, self.settings
        if progress.index == 0 or self.epoch is None:
            self.epoch = self.batches.epoch(progress.epoch)
        end = min(progress.index + settings.accumulate, len(self.epoch))
        segments = [self.epoch[index] for index in range(progress.index, end)]
        tokens = sum(segment.tokens for segment in segments)
        share = true_share(
            settings.scheduled_sampling, self.part_done, settings.scheduled_sampling_last
        )
        self.optimizer.zero_grad()
        figures: Figures = {}
        for segment in segments:
            loss, cache, report = self.objective(segment, self.cache, share)
            self.cache = None if settings.context in ("sentence", "window") else cache
            part = segment.tokens / tokens
            self.precision.backward(loss if part == 1 else loss * part)
            for name, figure in report.items():
                own = figure if part == 1 else figure * part
                figures[name] = figures[name] + own if name in figures else own
        self.update(segments)
        self.average.stepped()
        progress.step += 1
        progress.tokens += tokens
        progress.index = end
        if end == len(self.epoch):
            progress.epoch, progress.index = progress.epoch + 1, 0
        return figures

    def update(self, segments: Sequence[Batch]) -> None:
        """A step of the optimiser with the gradients as they are."""
        settings, rate = self.settings, self.current_rate()
        if settings.variable_length:  # a short segment has a noisy gradient (Merity et al. 2018)
            read = sum(segment.inputs.shape[1] for segment in segments)
            rate *= read / (settings.length * len(segments))
        beta1 = None
        if settings.beta1_lowest is not None:
            usual = self.optimizer.defaults["betas"][0]
            beta1 = cycled(usual, settings.beta1_lowest, self.factor())
        set_rate(self.optimizer, rate, settings.weight_decay, beta1)
        self.precision.update(self.optimizer, settings.clip)

    def validation_due(self) -> bool:
        progress, every = self.progress, self.settings.valid_every
        at_mark = progress.index == 0 if every is None else progress.step % every == 0
        return at_mark or progress.step >= self.steps

    def look(self, unseen: list[Figures]) -> float:
        """Adds up what steps reported, empties the list, and gives the last loss.

        Errors: SeqlmError where one is not finite, naming its step.
        """
        progress = self.progress
        values: dict[str, list[float]] = {
            name: torch.stack([figures[name] for figures in unseen]).tolist() for name in unseen[0]
        }
        unseen.clear()
        losses = values["loss"]
        for step, loss in enumerate(losses, progress.step - len(losses) + 1):
            if not math.isfinite(loss):
                raise SeqlmError(
                    f"the loss is {loss} at step {step}; the saves before it are untouched."
                    f" Lower --lr (now {self.rate:g}) or --clip (now {self.settings.clip:g})"
                )
        for name, own in values.items():
            progress.sums[name] = sum(own, progress.sums.get(name, 0.0))
        progress.looked += len(losses)
        return losses[-1]

    def validation(self) -> tuple[dict[str, Any], bool]:
        """A row of figures, and whether they are the best so far."""
        progress, settings = self.progress, self.settings
        progress.done = progress.step >= self.steps
        means = {name: total / progress.looked for name, total in progress.sums.items()}
        progress.sums, progress.looked = {}, 0
        row: dict[str, Any] = {
            "step": progress.step,
            "epoch": progress.epoch,
            "train_loss": means.pop("loss"),
            "lr": self.current_rate(),
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 3),
            **means,
        }
        self.average.validating()
        if self.validate is None:
            if not all(bool(p.isfinite().all()) for p in self.network.parameters()):
                raise SeqlmError(f"a weight is not finite after step {progress.step}; lower --lr")
            return row, False
        with self.average.shown():
            row |= {f"valid_{name}": figure for name, figure in self.validate().items()}
        if not math.isfinite(row["valid_loss"]):
            raise SeqlmError(f"the validation loss is {row['valid_loss']} at step {progress.step}")
        own, loss = cost(row, settings.valid_metric), row["valid_loss"]
        progress.validations.append(own)
        self.average.validated(progress.validations)
        best = progress.best is None or own < progress.best
        improved = progress.best is None or own < progress.best - settings.tolerance
        progress.best = own if best else progress.best
        progress.stalled = 0 if improved else progress.stalled + 1
        # While the loss falls, a BLEU that is still 0, or goes up and down, is no reason to stop.
        falls = progress.lowest is None or loss < progress.lowest
        progress.lowest = loss if falls else progress.lowest
        gained = improved or (falls and settings.valid_metric != "loss")
        progress.idle = 0 if gained else progress.idle + 1
        if progress.stalled and settings.schedule == "plateau":
            progress.slowed *= PLATEAU
        if settings.patience is not None and progress.idle >= settings.patience:
            progress.done = True
        return row, best

    # -- what resuming needs

    def state(self) -> TrainingState:
        """All but the tensors of the model as it is saved, which are the averages."""
        tensors = named("optimizer", moments(self.optimizer, self.network))
        tensors |= named("average", self.average.tensors())
        if self.average.average:
            tensors |= named("weights", {n: p.clone() for n, p in self.average.weights.items()})
        tensors["random.cpu"] = torch.get_rng_state()
        if self.network.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.network.device)
        if self.cache is not None:
            tensors |= pack(self.cache, "cache")
        values = {
            "progress": asdict(self.progress),
            "rate": self.rate,
            "average": {"kind": self.settings.average, **self.average.values()},
            "scaler": self.precision.scaler.state_dict(),
        }
        return TrainingState(tensors, values)

    def restore(self, model: Mapping[str, Tensor], state: TrainingState) -> None:
        """Stands where `state` was taken. `model` has the tensors saved as the model.

        Where the settings keep another average than that run, training goes on from `model`, and
        not from the weights that were averaged.
        """
        device, values = self.network.device, state.values
        if "average" not in values:
            raise ModelError("the run is of an older seqlm, which alone can go on with it")
        if values["average"]["kind"] == self.settings.average:
            put({**model, **under("weights", state.tensors)}, self.network.state_dict())
            self.average.restore(under("average", state.tensors), values["average"])
        else:
            put(model, self.network.state_dict())
        restore_moments(self.optimizer, self.network, under("optimizer", state.tensors))
        if values["scaler"]:
            self.precision.scaler.load_state_dict(values["scaler"])
        self.progress = Progress(**values["progress"])
        self.rate = values["rate"]
        if any(name.startswith("cache") for name in state.tensors):
            assert isinstance(self.network, LanguageNetwork)  # a translation carries nothing on
            like = self.network.initial_cache(self.batches.rows)
            self.cache = unpack(like, {n: t.clone() for n, t in state.tensors.items()}, "cache")
        torch.set_rng_state(state.tensors["random.cpu"].clone())
        if device.type == "cuda" and "random.cuda" in state.tensors:
            torch.cuda.set_rng_state(state.tensors["random.cuda"].clone(), device)

    def begin_phase(self, rate: float) -> None:
        """A new schedule from here on, with `rate` as its peak; a plain mean begins anew."""
        if self.settings.average == "asgd":
            self.average = self.new_average()
        self.rate, progress = rate, self.progress
        progress.phase_step, progress.phase_epoch = progress.step, progress.epoch
        progress.phase_index = progress.index
        progress.slowed, progress.done = 1.0, False
        progress.stalled = progress.idle = 0


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `named`: those that have the prefix, without it."""
    mark = f"{prefix}."
    return {n.removeprefix(mark): t for n, t in tensors.items() if n.startswith(mark)}
