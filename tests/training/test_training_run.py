"""Settings are completed by the model and the text, or refused with the name of the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqlm.errors import UsageError
from seqlm.models.base import Network
from seqlm.runs.loading.locate import locate
from seqlm.text.batches import LineBatches, StreamBatches, VariableBatches, WindowBatches
from seqlm.text.corpus import Corpus
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED
from seqlm.training.config.resolve import resolve
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.tasks.language_modeling import LanguageModelingTask
from seqlm.training.training_run import complete_settings, resume, train
from seqlm.training.watchers import SilentWatcher
from tests.training.toy import CPU, corpus, network

TOKENIZER = Tokenizer("word", RESERVED + [str(n).encode() for n in range(10)])


def task(validated: bool = True) -> LanguageModelingTask:
    ids = Corpus(corpus(), TOKENIZER, "digest")
    return LanguageModelingTask(ids, ids if validated else None, None, TOKENIZER, "toy")


def complete(
    settings: TrainingSettings, model: Network, validated: bool = True
) -> TrainingSettings:
    return complete_settings(settings, model, task(validated), CPU)


@pytest.mark.parametrize(
    ("arch", "given", "context", "kind"),
    [
        ("lstm", {}, "carried", StreamBatches),
        ("lstm", {"variable_length": True}, "carried", VariableBatches),
        ("lstm", {"context": "sentence"}, "sentence", LineBatches),
        ("transformer", {}, "window", WindowBatches),
        ("transformer", {"context": "sentence"}, "sentence", LineBatches),
    ],
)
def test_the_context_is_that_of_the_model_unless_it_is_set(arch, given, context, kind) -> None:
    model = network(arch)
    settings = complete(TrainingSettings(arch=arch, seq_length=7, batch_size=4, **given), model)
    assert settings.context == context
    batches = task().batches(model, settings)
    assert type(batches) is kind
    longest = max(batch.inputs.shape[1] for batch in batches.epoch(0))
    assert longest <= (model.context_length or len(corpus()))


@pytest.mark.parametrize(
    ("arch", "options", "given", "message"),
    [
        ("transformer", {}, {"context": "carried"}, "transformer reads at most 7 tokens"),
        ("gru", {}, {"context": "window"}, "context window: gru has no window"),
        (
            "gru",
            {},
            {"context": "sentence", "variable_length": True},
            "variable_length needs context carried",
        ),
        ("lstm", {}, {"precision": "float16"}, "cpu does not compute in it here"),
        (
            "lstm",
            {"softmax": "adaptive", "softmax_cutoffs": (4,)},
            {"label_smoothing": 0.1},
            "label_smoothing needs softmax full",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arch, options, given, message) -> None:
    with pytest.raises(UsageError, match=message):
        complete(TrainingSettings(arch=arch, **given), network(arch, **options))


@pytest.mark.parametrize("given", [{"average": "nt-asgd"}, {"schedule": "plateau"}], ids=str)
def test_what_waits_for_validations_needs_a_text_for_them(given) -> None:
    settings = TrainingSettings(arch="lstm", **given)
    assert complete(settings, network("lstm")).context == "carried"
    with pytest.raises(UsageError, match="needs validation text: valid or valid_fraction"):
        complete(settings, network("lstm"), validated=False)


def test_a_run_from_python(tmp_path: Path) -> None:
    (tmp_path / "corpus").write_text("the cat sat .\nthe dog ran .\n" * 20)
    messages, losses, figures = [], [], []

    class Collector(SilentWatcher):
        def on_message(self, message):
            messages.append(message)

        def on_step(self, trainer, loss):
            losses.append((trainer.progress.step, loss))

        def on_validation(self, trainer, row, is_best):
            figures.append((row, is_best))

    files = {"corpus": [str(tmp_path / "corpus")]}
    settings, options = resolve(
        {
            "arch": "gru",
            "width": 8,
            "layers": 1,
            "steps": 6,
            "valid_every": 3,
            "valid_fraction": 0.2,
        }
    )
    run = train(files, settings, options, output=tmp_path / "run", watcher=Collector())
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row, _ in figures] == [3, 6]
    assert run.read_metrics() == [row for row, _ in figures]
    assert figures[0][1]
    assert messages[0].startswith("corpus: ")
    assert run.read_config().command == "seqlm.train"
    silent = train(files, settings, options, output=tmp_path / "silent")
    assert [row["valid_loss"] for row in silent.read_metrics()] == [
        row["valid_loss"] for row, _ in figures
    ]


def test_the_softmax_that_the_vocabulary_decides_is_recorded_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "corpus").write_text(" ".join(f"w{i}" for i in range(10_100)) + "\n")
    settings, options = resolve(
        {"arch": "rnn", "width": 2, "layers": 1, "steps": 1, "min_count": 1}
    )
    files = {"corpus": [str(tmp_path / "corpus")]}
    run = train(files, settings, options, output=tmp_path / "run")
    assert run.read_config().model["softmax"] == "adaptive"
    resumed = resume(locate(str(run.path)), {"steps": 2, "lr": 0.01})
    assert resumed.read_config().model == run.read_config().model
    full = train(files, settings, {**options, "softmax": "full"}, output=tmp_path / "full")
    assert full.read_config().model["softmax"] == "full"
