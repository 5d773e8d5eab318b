"""The TensorBoard watcher where the library is installed, and the error where it is not."""

from __future__ import annotations

import importlib.util

import pytest

from seqlm.errors import UsageError
from seqlm.training import tensorboard
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.tensorboard import TensorBoardWatcher, check_tensorboard
from seqlm.training.watchers import WatcherList
from tests.training.toy import ValidationRows, make


def test_the_missing_library_is_named(monkeypatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'seqlm\[log\]'"):
        check_tensorboard()


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="no tensorboard")
@pytest.mark.filterwarnings("ignore")  # of the library and what it imports
def test_figures_are_written_under_their_names(tmp_path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars, recorded = TensorBoardWatcher(tmp_path, 0), ValidationRows()
    trainer = make(TrainingSettings(epochs=2, batch_size=4, seq_length=7), lambda: 2.5)

    trainer.fit(WatcherList([scalars, recorded]), lambda trainer, is_best: None)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    rows = recorded.rows
    for name in ("train_loss", "valid_loss", "lr", "epoch"):
        written = {event.step: event.value for event in events.Scalars(name)}
        assert written == pytest.approx({row["step"]: row[name] for row in rows})
    assert len(events.Scalars("step/loss")) == trainer.total_steps
