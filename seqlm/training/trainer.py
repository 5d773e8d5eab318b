"""The trainer: batches in, trained weights out.

Truncated back-propagation through time: the gradient of a segment stops at its first token, and the
hidden state is carried (detached) into the next segment. An update uses the gradient of one
segment, or of several in a row (`grad_accumulation`): the mean over all their tokens. Where an
average of the weights is kept, validation and the checkpoint use the average.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from seqlm.errors import ModelError, SeqlmError
from seqlm.machine.memory import trim_heap
from seqlm.models.base import Network, State
from seqlm.models.labeling.labeler import Labeler
from seqlm.models.stored_model import StoredModel, is_finite
from seqlm.models.vectors.word_vector_model import WordVectorModel
from seqlm.text.batches import Batch, Batches
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.early_stopping import EarlyStopping
from seqlm.training.optimization.averaging import Average, make_average
from seqlm.training.optimization.compiling import compile_objective
from seqlm.training.optimization.objective import Objective
from seqlm.training.optimization.optimizer import make_optimizer, set_learning_rate
from seqlm.training.optimization.precision import Precision
from seqlm.training.optimization.scheduled_sampling import teacher_forcing_rate
from seqlm.training.optimization.schedules import PLATEAU_FACTOR, cycled_beta1, schedule_factor
from seqlm.training.optimization.whole_objective import WholeObjective
from seqlm.training.random_states import random_state, set_random_state
from seqlm.training.signals import GivenUp, Interruption
from seqlm.training.training_progress import TrainingProgress

LOSS_CHECK_INTERVAL = 50
"""Steps between two readings of the loss on a GPU, as each waits for the device. A CPU reads every
loss."""
TRIM_INTERVAL = 5.0
"""Seconds between two calls of `trim_heap` where every batch of sentences has another size."""


class StepReport(NamedTuple):
    """What a step reports."""

    tokens: int
    figures: dict[str, Tensor]
    """Means over these tokens, on their device: the `loss`, and what the network names."""


ValidationFunction = Callable[[], Mapping[str, float]]
"""Measures a network on held-out text: its `loss` in nats per token, and metrics if it has any."""


class Watcher(Protocol):
    """Callbacks of a training run. A subclass of `SilentWatcher` defines only those it needs."""

    def on_message(self, message: str) -> None:
        """Called with a line for people, such as the size of the corpus or of the model."""

    def on_step(self, trainer: Trainer, loss: float) -> None:
        """Called after an update with the loss of its tokens, in nats per token.

        On a GPU that is not every update: reading a loss waits for the device.
        """

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        """Called after each validation, before its checkpoint is written.

        `figures` is what `metrics.jsonl` records: `step`, `epoch`, `train_loss`, `lr`, `tokens`,
        `seconds`, and `valid_loss` where there is validation text. `is_best` says whether these
        weights are the best so far.
        """


class Trainer:
    """Trains a network on batches. `step` makes one update, and `fit` all of them."""

    def __init__(
        self,
        network: StoredModel,
        batches: Batches,
        settings: TrainingSettings,
        validate: ValidationFunction | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`clock` tells the time in seconds."""
        self.clock, self.started = clock, 0.0  # `progress.seconds` count from then
        self.network, self.batches, self.settings = network, batches, settings
        self.validate = validate
        self.peak_lr = settings.peak_lr
        self.precision = Precision(settings.precision, network)
        self.objective = make_objective(network, settings, self.precision)
        self.optimizer = make_optimizer(
            settings.optimizer, network, settings.beta1, settings.beta2, settings.epsilon
        )
        self.average = self.new_average()
        self.early_stopping = EarlyStopping(
            settings.valid_metric or "loss", settings.patience, settings.min_delta
        )
        self.progress = TrainingProgress()
        self.carried_cache: State = None
        self.epoch_batches: Sequence[Batch] | None = None  # of the epoch `progress.epoch`
        self.interruption = Interruption()

    def new_average(self) -> Average:
        settings = self.settings
        return make_average(
            settings.average, self.network, settings.average_decay, settings.average_patience,
            settings.average_last,
        )  # fmt: skip

    @property
    def total_steps(self) -> int:
        """The step at which training ends."""
        if self.settings.steps is not None:
            return self.settings.steps
        progress, segments_per_step = self.progress, self.settings.grad_accumulation
        # The step at which the epoch began in which this phase began.
        epoch_start = progress.phase_start_step - -(
            -progress.phase_start_segment // segments_per_step
        )
        epochs = self.settings.epochs - progress.phase_start_epoch
        return epoch_start + epochs * self.steps_per_epoch

    @property
    def position(self) -> str:
        """'step 120 of 300', or 'step 120' where there is no plan yet."""
        end = f" of {self.total_steps}" if self.is_planned else ""
        return f"step {self.progress.step}{end}"

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.batches) // self.settings.grad_accumulation)

    @property
    def is_planned(self) -> bool:
        """Whether it is known at which step training ends."""
        return True

    @property
    def has_time(self) -> bool:
        """Whether a part of the time that training may take is left."""
        return True

    @property
    def phase_fraction(self) -> float:
        """The part of the phase that is done, from 0 to 1."""
        start = self.progress.phase_start_step
        return (self.progress.step - start) / max(1, self.total_steps - start)

    def schedule_factor(self) -> float:
        """The factor of the peak learning rate that the schedule gives now."""
        settings, schedule = self.settings, self.settings.schedule
        if schedule == "one-cycle" and self.progress.phase_start_step > 0:
            schedule = "cosine"  # a cycle rises only once
        return schedule_factor(schedule, self.phase_fraction, settings.warmup, settings.cooldown)

    def current_lr(self) -> float:
        return self.peak_lr * self.progress.plateau_factor * self.schedule_factor()

    # -- the loop

    def fit(
        self,
        watcher: Watcher,
        save: Callable[[Trainer, bool], None],
        interruption: Interruption | None = None,
    ) -> None:
        """Trains to the end. `save(trainer, is_best)` is called after each validation.

        After an interruption, the trainer saves and returns with `progress.done` False. Errors:
        SeqlmError naming the step of a loss that is not finite.
        """
        self.interruption = interruption or Interruption()
        self.started = self.clock() - self.progress.seconds
        self.network.train()
        if self.settings.compile:
            assert isinstance(self.objective, Objective)
            first = self.batches.epoch(0)[0]
            has_any_length = self.settings.context == "sentence" or self.settings.variable_length
            watcher.on_message("the network is compiled, which may take minutes")
            compile_objective(self.objective, first, has_any_length, self.interruption)
        pending: list[StepReport] = []  # of the steps since the last call of collect_figures
        last_trim, is_saved = self.progress.seconds, False
        check_interval = 1 if self.network.device.type == "cpu" else LOSS_CHECK_INTERVAL
        with suppress(GivenUp):
            self.begin(watcher)
            progress = self.progress
            while not progress.done and not self.interruption.is_requested:
                if not progress.awaits_validation:
                    pending.append(self.step())
                    is_saved = False
                    seconds = progress.seconds = self.clock() - self.started
                    if self.settings.context == "sentence" and seconds > last_trim + TRIM_INTERVAL:
                        trim_heap()
                        last_trim = seconds
                    if self.is_validation_due():
                        self.average.before_validation()
                        progress.awaits_validation = True
                    if progress.awaits_validation or len(pending) >= check_interval:
                        updates = len(pending)
                        watcher.on_step(self, self.collect_figures(pending))
                        self.after_updates(updates, watcher)
                if progress.awaits_validation:
                    begun = self.clock()
                    figures, is_best = self.run_validation()
                    progress.awaits_validation = False
                    progress.done = self.should_stop()
                    progress.seconds = self.clock() - self.started
                    # Recorded before it is saved; if it is not, resuming removes the row.
                    watcher.on_validation(self, figures, is_best)
                    save(self, is_best)
                    is_saved = True
                    self.after_validation(self.clock() - begun)
        if not self.progress.done and not is_saved:
            if pending:
                self.collect_figures(pending)
            save(self, False)

    def begin(self, watcher: Watcher) -> None:
        """Called before the first step, for a subclass. Errors: GivenUp."""

    def after_updates(self, updates: int, watcher: Watcher) -> None:
        """Called after so many updates whose losses are read, for a subclass."""

    def after_validation(self, seconds: float) -> None:
        """Called after a validation and its checkpoint, which took so long, for a subclass."""

    def step(self) -> StepReport:
        """One update, from as many segments as are accumulated (fewer at the end of an epoch).

        Errors: GivenUp, which leaves all as it was before the step.
        """
        progress, settings = self.progress, self.settings
        if progress.segments_done == 0 or self.epoch_batches is None:
            self.epoch_batches = self.batches.epoch(progress.epoch)
        end = min(progress.segments_done + settings.grad_accumulation, len(self.epoch_batches))
        segments = [self.epoch_batches[index] for index in range(progress.segments_done, end)]
        random_numbers = random_state(self.network.device)
        try:
            with self.interruption.may_give_up():
                report, carried = self.compute_gradients(segments)
        except GivenUp:
            set_random_state(random_numbers, self.network.device)
            raise
        self.carried_cache = carried
        self.update(segments)
        self.average.after_step()
        progress.step += 1
        progress.tokens += report.tokens
        progress.segments_done = end
        if end == len(self.epoch_batches):
            progress.epoch, progress.segments_done = progress.epoch + 1, 0
        return report

    def compute_gradients(self, segments: Sequence[Batch]) -> tuple[StepReport, State]:
        """Sets the gradients of the mean over all tokens of `segments`; returns what the step
        reports, and the cache to carry on."""
        settings, carried = self.settings, self.carried_cache
        tokens = sum(segment.num_targets for segment in segments)
        forcing_rate = teacher_forcing_rate(
            settings.scheduled_sampling, self.phase_fraction, settings.teacher_forcing_end
        )
        self.optimizer.zero_grad()
        figures: dict[str, Tensor] = {}
        for segment in segments:
            loss, cache, report = self.objective(segment, carried, forcing_rate)
            carried = None if settings.context in ("sentence", "window") else cache
            weight = segment.num_targets / tokens
            self.precision.backward(loss if weight == 1 else loss * weight)
            for name, figure in report.items():
                weighted = figure if weight == 1 else figure * weight
                figures[name] = figures[name] + weighted if name in figures else weighted
        return StepReport(tokens, figures), carried

    def update(self, segments: Sequence[Batch]) -> None:
        """One step of the optimizer with the gradients accumulated over `segments`."""
        settings, lr = self.settings, self.current_lr()
        if settings.variable_length:  # a short segment has a noisy gradient (Merity et al. 2018)
            length = sum(segment.inputs.shape[1] for segment in segments)
            lr *= length / (settings.seq_length * len(segments))
        beta1 = None
        if settings.beta1_min is not None:
            largest = self.optimizer.defaults["betas"][0]
            beta1 = cycled_beta1(largest, settings.beta1_min, self.schedule_factor())
        done = self.phase_fraction
        set_learning_rate(self.optimizer, lr, settings.weight_decay, beta1, done)
        self.precision.step(self.optimizer, settings.clip)

    def is_validation_due(self) -> bool:
        progress, every = self.progress, self.settings.valid_every
        at_interval = progress.segments_done == 0 if every is None else progress.step % every == 0
        return at_interval or progress.step >= self.total_steps

    def validations_within(self, updates: int) -> int:
        """The number of validations during so many further updates and after the last."""
        every, done = self.settings.valid_every, self.progress.step
        if every is None:
            every = self.steps_per_epoch
            done = -(-self.progress.segments_done // self.settings.grad_accumulation)
        return -(-(done % every + updates) // every)

    def collect_figures(self, pending: list[StepReport]) -> float:
        """Adds up what steps reported, empties the list, and returns the last loss.

        Errors: SeqlmError if a loss is not finite, naming its step.
        """
        progress = self.progress
        values: dict[str, list[float]] = {
            name: torch.stack([report.figures[name] for report in pending]).tolist()
            for name in pending[0].figures
        }
        tokens = [report.tokens for report in pending]
        pending.clear()
        losses = values["loss"]
        for step, loss in enumerate(losses, progress.step - len(losses) + 1):
            if not math.isfinite(loss):
                raise SeqlmError(
                    f"the loss is {loss} at step {step}; the checkpoints before it are intact."
                    f" {self.advice()}"
                )
        for name, means in values.items():
            total = sum(n * mean for n, mean in zip(tokens, means))
            progress.figure_sums[name] = progress.figure_sums.get(name, 0.0) + total
        progress.tokens_since_report += sum(tokens)
        return losses[-1]

    def advice(self) -> str:
        """What helps where numbers grow beyond all bounds."""
        clip, slower = self.settings.clip, f"Lower `lr` (now {self.peak_lr:g})"
        if self.network.has_sparse_gradients:  # which are not clipped
            return slower
        clipping = f"lower `clip` (now {clip:g})" if clip else "set `clip`, which is off"
        return f"{slower}, or {clipping}"

    def run_validation(self) -> tuple[dict[str, Any], bool]:
        """The figures since the last validation and of this one, and whether it is the best yet.

        Errors: GivenUp, which leaves all as it was before the validation.
        """
        progress = self.progress
        means = {
            name: total / progress.tokens_since_report
            for name, total in progress.figure_sums.items()
        }
        figures: dict[str, Any] = {
            "step": progress.step,
            "epoch": progress.epoch,
            "train_loss": means.pop("loss"),
            "lr": self.current_lr(),
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 3),
            **means,
        }
        if self.validate is None:
            if not all(is_finite(p) for p in self.network.parameters()):
                raise SeqlmError(f"a weight is not finite after step {progress.step}; lower `lr`")
            progress.figure_sums, progress.tokens_since_report = {}, 0
            return figures, False
        validated = self.measure()
        progress.figure_sums, progress.tokens_since_report = {}, 0
        figures |= {f"valid_{name}": figure for name, figure in validated.items()}
        if not math.isfinite(figures["valid_loss"]):
            loss = figures["valid_loss"]
            raise SeqlmError(
                f"the validation loss is {loss} at step {progress.step}; the checkpoints before it"
                f" are intact. {self.advice()}"
            )
        is_best = self.early_stopping.update(figures)
        self.average.after_validation(self.early_stopping.costs)
        if self.early_stopping.on_plateau and self.settings.schedule == "plateau":
            progress.plateau_factor *= PLATEAU_FACTOR
        return figures, is_best

    def measure(self) -> Mapping[str, float]:
        """What validation says of the averaged weights. Errors: GivenUp."""
        assert self.validate is not None
        with self.average.in_place_of_weights(), self.interruption.may_give_up():
            try:
                return self.validate()
            except ModelError:  # the network gives NaN
                return {"loss": math.nan}

    def should_stop(self) -> bool:
        """Whether training ends after this validation: at its last step, or by early stopping."""
        return self.progress.step >= self.total_steps or self.early_stopping.should_stop

    def begin_phase(self, peak_lr: float) -> None:
        """A new schedule from here on, up to `peak_lr`; a plain mean of the weights starts anew."""
        if self.settings.average == "asgd":
            self.average = self.new_average()
        self.peak_lr, progress = peak_lr, self.progress
        progress.phase_start_step, progress.phase_start_epoch = progress.step, progress.epoch
        progress.phase_start_segment = progress.segments_done
        progress.plateau_factor, progress.done = 1.0, False
        self.early_stopping.reset_counts()


def make_objective(
    network: StoredModel, settings: TrainingSettings, precision: Precision
) -> Objective | WholeObjective:
    """What a network of its kind minimizes."""
    if isinstance(network, Labeler | WordVectorModel):
        return WholeObjective(network, precision)
    assert isinstance(network, Network)
    return Objective(network, settings.label_smoothing, precision, settings.r_drop)
