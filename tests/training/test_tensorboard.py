"""The TensorBoard watcher, where the library is installed; what is said where it is not."""

from __future__ import annotations

import importlib.util

import pytest

from seqlm.errors import UsageError
from seqlm.training import tensorboard
from seqlm.training.config.training_settings import Settings
from seqlm.training.tensorboard import Scalars, check_tensorboard
from tests.training.toy import Silent, make


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'seqlm\[log\]'"):
        check_tensorboard()


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="no tensorboard")
@pytest.mark.filterwarnings("ignore")  # of the library and what it imports
def test_figures_are_written_under_their_names(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars, silent = Scalars(tmp_path, 0), Silent()
    trainer = make(Settings(epochs=2, batch_size=4, length=7), lambda: 2.5)

    class Both:
        def stepped(self, trainer, loss):
            scalars.stepped(trainer, loss)

        def validated(self, trainer, row, best):
            scalars.validated(trainer, row, best)
            silent.validated(trainer, row, best)

    trainer.fit(Both(), lambda trainer, best: None)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    rows = silent.rows
    for name in ("train_loss", "valid_loss", "lr", "epoch"):
        found = {event.step: event.value for event in events.Scalars(name)}
        assert found == pytest.approx({row["step"]: row[name] for row in rows})
    assert len(events.Scalars("step/loss")) == trainer.steps
