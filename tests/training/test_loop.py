"""The loop: schedules, stopping, and a resumed run that is the unbroken one bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seqlm.errors import SeqlmError
from seqlm.models import model_class
from seqlm.text.batches import LineBatches, StreamBatches
from seqlm.training.loop import Trainer
from seqlm.training.optim import SCHEDULES, factor
from seqlm.training.settings import Settings

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


def make(settings: Settings, validate=None, dropout: float = 0.3, width: int = 6) -> Trainer:
    torch.manual_seed(settings.seed)
    model = model_class("lm", settings.arch).from_settings(
        {"vocab_size": 12, "width": width, "layers": 2, "dropout_hidden": dropout}
    )
    if settings.context == "sentence":
        batches = LineBatches(corpus(), settings.batch_size, settings.seed, CPU)
    else:
        batches = StreamBatches(corpus(), settings.batch_size, settings.length, CPU)
    return Trainer(model, batches, settings, validate)


def finish(trainer: Trainer, saves=None, stop_at: int | None = None) -> Silent:
    watcher = Silent()

    def save(trainer, best):
        if saves is not None:
            weights = {n: t.clone() for n, t in trainer.network.state_dict().items()}
            state = trainer.state()
            tensors = {name: tensor.clone() for name, tensor in state.tensors.items()}
            saves.append((weights, state._replace(tensors=tensors)))

    trainer.fit(watcher, save, lambda: trainer.progress.step == stop_at)
    return watcher


@pytest.mark.parametrize("arch", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("context", ["carried", "sentence"])
@pytest.mark.parametrize(
    ("optimizer", "schedule"), [("adamw", "one-cycle"), ("sgd", "plateau"), ("adamw", "cosine")]
)
def test_a_resumed_run_is_the_unbroken_one(arch, context, optimizer, schedule):
    settings = Settings(
        arch=arch, context=context, optimizer=optimizer, schedule=schedule, epochs=3,
        batch_size=4, length=7, lr=0.1, warmup=0.1, weight_decay=0.01, patience=None,
    )  # fmt: skip
    losses = iter([2.0, 3.0, 2.5, 3.0] * 9)
    unbroken = make(settings, lambda: next(losses))
    finish(unbroken)

    losses = iter([2.0, 3.0, 2.5, 3.0] * 9)
    broken, saves = make(settings, lambda: next(losses)), []
    stop_at = len(broken.batches) + 3  # within the second epoch
    finish(broken, saves, stop_at)
    assert not broken.progress.done
    torch.manual_seed(99)  # what another process would have drawn
    resumed = make(Settings(**{**vars(settings), "seed": 5}), lambda: next(losses))
    resumed.settings = settings
    resumed.batches = broken.batches
    resumed.restore(*saves[-1])
    finish(resumed)

    assert resumed.progress.step == unbroken.progress.step == unbroken.steps
    for name, tensor in unbroken.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name


def test_training_lowers_the_loss_below_the_unigram_entropy():
    ids = np.tile(np.array([2, 3, 4, 5, 1], np.int32), 200)
    trainer = make(Settings(epochs=8, batch_size=4, length=10, lr=0.03), dropout=0.0, width=32)
    trainer.batches = StreamBatches(ids, 4, 10, CPU)
    watcher = finish(trainer)
    assert watcher.rows[-1]["train_loss"] < 0.5 < math.log(5)


def test_early_stopping_counts_validations_without_a_gain_beyond_the_tolerance():
    losses = iter([3.0, 2.0, 1.995, 1.99, 1.0, 0.5])
    settings = Settings(epochs=9, patience=2, tolerance=0.01, batch_size=4)
    trainer = make(settings, lambda: next(losses))
    watcher = finish(trainer)
    assert [row["valid_loss"] for row in watcher.rows] == [3.0, 2.0, 1.995, 1.99]
    # A loss within the tolerance is still the best one to keep.
    assert [row["best"] for row in watcher.rows] == [True, True, True, True]
    assert trainer.progress.done


def test_a_plateau_slows_the_rate():
    losses = iter([3.0, 3.5, 2.0, 2.5])
    trainer = make(
        Settings(epochs=4, schedule="plateau", lr=0.4, patience=None, batch_size=4),
        lambda: next(losses),
    )
    rows = finish(trainer).rows
    assert [row["lr"] for row in rows] == pytest.approx([0.4, 0.4, 0.1, 0.1])
    assert trainer.current_rate() == pytest.approx(0.025)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_within_the_peak_and_rise_through_their_warm_up(name):
    rates = [factor(name, x / 100, 0.1) for x in range(101)]
    assert max(rates) <= 1.0 + 1e-9
    assert min(rates) > 0
    assert rates[:10] == sorted(rates[:10])
    if name in ("cosine", "one-cycle"):
        assert rates[-1] == pytest.approx(1e-3)


def test_one_cycle_peaks_at_thirty_per_cent():
    rates = [factor("one-cycle", x / 1000, 0.0) for x in range(1001)]
    assert rates.index(max(rates)) == 300
    assert rates[0] == pytest.approx(1 / 25)


def test_a_loss_that_is_not_finite_names_its_step():
    trainer = make(Settings(epochs=2, batch_size=4, length=7))
    finish_at = trainer.step

    def poisoned():
        loss = finish_at()
        return loss * math.nan if trainer.progress.step == 5 else loss

    trainer.step = poisoned
    with pytest.raises(SeqlmError, match="nan at step 5;"):
        finish(trainer)


def test_steps_end_training_in_the_middle_of_an_epoch():
    trainer = make(Settings(steps=5, batch_size=4, length=7, valid_every=2), lambda: 1.0)
    rows = finish(trainer).rows
    assert [row["step"] for row in rows] == [2, 4, 5]


def test_a_new_phase_starts_from_the_rate_it_is_given():
    trainer = make(Settings(epochs=2, batch_size=4, schedule="constant", lr=0.1))
    finish(trainer)
    trainer.begin_phase(Settings(epochs=3, batch_size=4, schedule="cosine"), 0.03)
    assert trainer.current_rate() == pytest.approx(0.03)
    before = trainer.progress.step
    finish(trainer)
    assert trainer.progress.step == before + len(trainer.batches)
    assert trainer.current_rate() == pytest.approx(0.03 * 1e-3)


def test_a_new_phase_in_mid_epoch_ends_with_its_last_epoch():
    trainer = make(Settings(epochs=2, batch_size=4, length=7))
    finish(trainer, [], stop_at=len(trainer.batches) + 3)
    trainer.begin_phase(Settings(epochs=4, batch_size=4, length=7), 0.01)
    finish(trainer)
    assert trainer.progress.step == 4 * len(trainer.batches)
    assert (trainer.progress.epoch, trainer.progress.index) == (4, 0)


def test_a_cycle_that_is_continued_only_falls():
    trainer = make(Settings(epochs=1, batch_size=4, length=7))
    finish(trainer)
    trainer.begin_phase(Settings(epochs=2, batch_size=4, length=7), 0.01)
    rates = []
    while trainer.progress.step < trainer.steps:
        rates.append(trainer.current_rate())
        trainer.step()
    assert rates[0] == pytest.approx(0.01)
    assert rates == sorted(rates, reverse=True)


def test_the_warm_up_of_a_cycle_is_its_rise():
    rates = [factor("one-cycle", x / 1000, 0.1) for x in range(1001)]
    assert rates.index(max(rates)) == 100
    assert rates[:101] == sorted(rates[:101])
