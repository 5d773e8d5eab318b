"""A training run from end to end: text and settings in, a finished run folder out.

A run is made the same way for every task. The task itself (`tasks/`) knows its text, its batches
and how the network is validated.
"""

from __future__ import annotations

import shlex
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from seqlm.errors import DataError, ModelError, UsageError
from seqlm.models import model_class
from seqlm.models.base import Network
from seqlm.models.stored_model import StoredModel
from seqlm.runs.checkpoint import load_best, load_training
from seqlm.runs.loading.borrowed_vocabulary import recorded_name
from seqlm.runs.loading.load_model import build_model, check_config
from seqlm.runs.loading.locate import ModelPath
from seqlm.runs.own_files import STEPS
from seqlm.runs.run_config import RunConfig, plain
from seqlm.runs.run_folder import RunFolder
from seqlm.settings import any_of, make_settings
from seqlm.text.corpus import is_stream
from seqlm.text.reading import STDIN, absolute_path
from seqlm.training.config.resolve import check_ends, choose_softmax, resolve
from seqlm.training.config.training_settings import (
    CHANGEABLE,
    ENDS,
    SCHEDULE,
    TrainingSettings,
    end_of,
)
from seqlm.training.optimization.precision import check_precision, default_precision
from seqlm.training.resuming import restore_training
from seqlm.training.run_training import run_training
from seqlm.training.stored_state import part
from seqlm.training.tasks.labeling_task import LabelingTask
from seqlm.training.tasks.language_modeling import LanguageModelingTask
from seqlm.training.tasks.task import FilesByRole, TrainingTask
from seqlm.training.tasks.translation_task import TranslationTask
from seqlm.training.tasks.vectors_task import VectorsTask
from seqlm.training.tensorboard import check_tensorboard
from seqlm.training.timed_trainer import TimedTrainer
from seqlm.training.trainer import Trainer, Watcher
from seqlm.training.watchers import (
    SilentWatcher,
)

TASKS: dict[str, type[TrainingTask]] = {
    "lm": LanguageModelingTask,
    "translation": TranslationTask,
    "tagging": LabelingTask,
    "classification": LabelingTask,
    "vectors": VectorsTask,
}


def train(
    files: FilesByRole,
    settings: TrainingSettings,
    model_options: Mapping[str, Any],
    *,
    output: Path | None = None,
    overwrite: bool = False,
    errors: str = "strict",
    device: torch.device | None = None,
    watcher: Watcher | None = None,
    command: Sequence[str] = ("seqlm.train",),
    started: float | None = None,
) -> RunFolder:
    """Trains a model on the files of each role, in their order, and returns its finished run.

    `settings` and `model_options` are what `resolve` returns. `output` is the folder of the run (by
    default a new one in ./checkpoints), which `overwrite` allows to hold another run. `errors` is
    'strict' (invalid UTF-8 is refused) or 'replace'. `device` is the CPU by default. `command` is
    recorded in the run, for people. `started` is the time of `time.perf_counter` from which
    `minutes` count, by default now.
    Errors: DataError, UsageError, SeqlmError (a loss that is not finite), TrainingInterrupted.
    """
    started = time.perf_counter() if started is None else started
    device, watcher = device or torch.device("cpu"), watcher or SilentWatcher()
    RunFolder.check_free(output, overwrite)
    if settings.precision is not None:
        check_precision(settings.precision, device)
    task = TASKS[settings.task].read(files, settings, errors)
    watcher.on_message(task.describe())
    settings = replace(settings, tokenizer=recorded_name(settings.tokenizer, task.tokenizer))

    # Drawn on the CPU, so that every device starts from the same weights.
    torch.manual_seed(settings.seed)
    sizes = task.vocabulary_sizes()
    model_options, about_softmax = choose_softmax(settings, model_options, sizes["vocab_size"])
    network = model_class(settings.task, settings.arch).from_settings({**sizes, **model_options})
    task.initialize(network)
    settings = complete_settings(settings, network, task, device)
    size = sum(parameter.numel() for parameter in network.parameters())
    about_precision = (
        "" if settings.precision == "float32" else f", products of {settings.precision}"
    )
    watcher.on_message(f"{settings.arch}: {size:,} parameters{about_precision}")
    if about_softmax:
        watcher.on_message(about_softmax)
    if settings.context == "window" and task.has_validation:
        watcher.on_message(
            f"validation: blocks of {network.context_length} tokens that do not overlap, as in"
            " training; seqlm eval lets them overlap by half"
        )

    texts = {
        role: {"files": [absolute_path(file) for file in files[role]], "sha256": digest}
        for role, digest in task.digests().items()
    }
    assert settings.context is not None
    config = RunConfig(
        task=settings.task,
        arch=settings.arch,
        context=settings.context,
        model=network.settings(),
        settings=asdict(settings),
        data={"texts": texts, "errors": errors, **task.statistics(settings)},
        command=shlex.join(command),
        torch=str(torch.__version__),
        device=str(device),
        threads=torch.get_num_threads(),
    )
    with RunFolder.create(output, overwrite, f"{settings.arch}-{task.title}") as run:
        task.write_vocabulary(run)
        if any(is_stream(source) for sources in files.values() for source in sources):
            task.save_corpus(run)
        run.write_config(config)
        trainer = make_trainer(network.to(device), task, settings)
        run_training(run, config, trainer, task, watcher, started)
    return run


def complete_settings(
    settings: TrainingSettings, network: StoredModel, task: TrainingTask, device: torch.device
) -> TrainingSettings:
    """The settings with what the network and the text decide filled in, such as `context`.

    Errors: UsageError if the network, the text or the device does not support a setting.
    """
    precision = settings.precision or default_precision(network, device)
    check_precision(precision, device)
    settings = replace(settings, precision=precision)
    if settings.label_smoothing and not (
        isinstance(network, Network) and network.output_layer.supports_label_smoothing
    ):
        raise UsageError("`label_smoothing` needs `softmax=full`, which computes every type")
    check_optimizer(settings, network)
    if settings.tensorboard:
        check_tensorboard()
    for name, value in (("average", "nt-asgd"), ("schedule", "plateau")):
        if getattr(settings, name) == value and not task.has_validation:
            raise UsageError(f"`{name}={value}` needs validation text: {task.validation_settings}")
    if settings.scheduled_sampling != "none" and device.type == "mps":
        raise UsageError("`scheduled_sampling` draws in float64, which mps lacks: use `device=cpu`")
    if settings.valid_metric in ("bleu", "chrf") and device.type == "mps":
        raise UsageError("`valid_metric` searches in float64, which mps lacks: use `device=cpu`")
    return task.complete_settings(settings, network)


def check_optimizer(settings: TrainingSettings, network: StoredModel) -> None:
    """Errors: UsageError where the settings ask for an optimizer that does not suit the network."""
    first, *others = network.optimizers
    if settings.optimizer not in network.optimizers:
        raise UsageError(
            f"`optimizer={settings.optimizer}` does not suit `arch={settings.arch}`, which needs "
            + any_of([f"`optimizer={first}`", *others])
        )
    if network.has_sparse_gradients and settings.clip:
        raise UsageError(f"`clip={settings.clip:g}`: `arch={settings.arch}` needs `clip=0`")


def make_trainer(network: StoredModel, task: TrainingTask, settings: TrainingSettings) -> Trainer:
    kind = Trainer if settings.minutes is None else TimedTrainer
    batches = task.batches(network, settings)
    return kind(network, batches, settings, task.validation_function(network, settings))


# ---------------------------------------------------------------------------------------- resuming


def resume(
    model_path: ModelPath,
    changed: Mapping[str, Any],
    *,
    device: torch.device | None = None,
    watcher: Watcher | None = None,
    started: float | None = None,
) -> RunFolder:
    """Continues an interrupted run, or a finished one for longer, and returns it.

    `changed` are settings that differ from the run's own; those of its schedule begin a new phase.
    `device` is the CPU by default; `started` is as in `train`. Errors: UsageError on a setting that
    cannot change or a run with nothing left to do, DataError if the text has changed, ModelError,
    and those of `train`.
    """
    started = time.perf_counter() if started is None else started
    device, watcher = device or torch.device("cpu"), watcher or SilentWatcher()
    check_ends(changed)
    check_resumable(model_path)
    run = model_path.run
    assert run is not None
    run.lock()
    try:
        resume_locked(run, changed, device, watcher, started)
    finally:
        run.unlock()
    return run


def resume_locked(
    run: RunFolder,
    asked: Mapping[str, Any],
    device: torch.device,
    watcher: Watcher,
    started: float,
) -> None:
    """`resume` of a run that is locked.

    config.yaml holds what is asked for, and the checkpoint what it was trained with. What is not
    the same in both has changed: settings of an earlier resumption that did not come to its first
    checkpoint take effect now.
    """
    config = run.read_config()
    options = check_config(run, config)
    weights, state = load_training(run)
    build_model(config, options, weights, run / STEPS)  # which fails where they do not fit
    check_settings(run, config.settings)
    checked = check_settings(run, {**config.settings, **part(state.values, "settings")})
    trained = asdict(checked)
    changed = changed_settings(config, trained, asked)
    config = replace(config, settings=trained)
    network = model_class(config.task, config.arch).from_settings(options).to(device)
    check_figures(run)
    task = reload_corpus(run, config)
    stored_settings = complete_settings(TrainingSettings(**config.settings), network, task, device)
    trainer = make_trainer(network, task, stored_settings)
    restore_training(trainer, weights, state)
    lr = trainer.current_lr()
    if changed:
        settings, _ = resolve(asdict(stored_settings), changed, allow_unused=True)
        settings = complete_settings(settings, network, task, device)
        config = replace(config, settings=asdict(settings))
        if settings.average != stored_settings.average:
            weights, best = load_best(run)
            watcher.on_message(
                f"the weights are those of step {best}, averaged by {settings.average}"
            )
        trainer = make_trainer(network, task, settings)
        restore_training(trainer, weights, state)
        if SCHEDULE & changed.keys():
            lr = float(changed.get("lr") or lr)
            if lr < settings.peak_lr / 100:
                warnings.warn(
                    f"the learning rate is only {lr:g}; set `lr` to raise it", stacklevel=2
                )
            trainer.begin_phase(lr)
            watcher.on_message(f"a new phase from step {trainer.progress.step}, from rate {lr:g}")
    step = trainer.progress.step
    ends = trainer.is_planned and step >= trainer.total_steps
    if (trainer.progress.done or ends) and config.finished:
        raise UsageError(
            f"{run.path} is finished; give more `epochs`, `steps` or `minutes` to continue"
        )
    if not trainer.is_planned and not trainer.has_time:
        raise UsageError(
            f"{run.path} was trained for {trainer.progress.seconds / 60:.3g} minutes; give more"
            " `minutes` to continue"
        )
    run.truncate_metrics(step)
    config = replace(config, finished=None)
    run.write_config(config)  # so that what is asked for is recorded before it begins
    watcher.on_message(f"resumed at {trainer.position}")
    run_training(run, config, trainer, task, watcher, started)


def check_settings(run: RunFolder, stored: Mapping[str, Any]) -> TrainingSettings:
    """The settings that are `stored` in a run. Errors: ModelError where they are none."""
    try:
        return make_settings(TrainingSettings, stored)
    except UsageError as error:
        raise ModelError(f"{run / 'config.yaml'}: {error}") from None


def check_figures(run: RunFolder) -> None:
    """Errors: ModelError where a line of metrics.jsonl lacks what the README of a run tells."""
    for number, row in enumerate(run.read_metrics(), 1):
        if missing := REPORTED - row.keys():
            raise ModelError(f"{run / 'metrics.jsonl'}, line {number} lacks {min(missing)}")


REPORTED = {"step", "epoch", "seconds", "train_loss"}


def changed_settings(
    config: RunConfig, trained: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings `asked` for now, or in config.yaml, that are not those that the checkpoint was
    `trained` with. Errors: UsageError where one of them cannot change in a resumed run."""
    end = end_of(asked) or end_of(config.settings)
    before = {**config.model, **trained, **dict.fromkeys(ENDS), **end_of(trained)}
    wanted = {**config.model, **config.settings, **asked}
    wanted = {name: value for name, value in wanted.items() if name not in ENDS} | end
    changed = {
        name: value for name, value in wanted.items() if plain(before.get(name)) != plain(value)
    }
    for name in changed:
        if name not in CHANGEABLE:
            raise UsageError(f"`{name}` cannot change in a resumed run")
    return changed


def check_resumable(model_path: ModelPath) -> ModelPath:
    """`model_path` itself. Errors: UsageError unless it is a run that training wrote, ModelError
    where its configuration does not say how."""
    if model_path.run is None or model_path.config.arch == "ngram":
        raise UsageError(f"{model_path.path} was counted, not trained: there is nothing to resume")
    config = model_path.config
    if not config.settings or not config.data.keys() >= {"texts", "errors"}:
        raise ModelError(
            f"{model_path.run / 'config.yaml'} lacks the settings or the data of a training"
        )
    return model_path


def reload_corpus(run: RunFolder, config: RunConfig) -> TrainingTask:
    """The text a run was trained on.

    Errors: DataError if it has changed since; ModelError where the run does not say which it is.
    """
    texts, task_class = config.data["texts"], TASKS[config.task]
    check_texts(run, config)
    settings = TrainingSettings(**config.settings)
    if (run / "corpus.safetensors").exists():
        return task_class.load_corpus(run, texts, settings)
    files = {role: texts[role]["files"] if role in texts else [] for role in task_class.roles}
    for file in chain.from_iterable(files.values()):
        if Path(file).exists() and not Path(file).is_file():
            raise DataError(f"{file} is no file, and cannot be read again")
    task = task_class.read(files, settings, config.data["errors"], run)
    for role, digest in task.digests().items():
        if digest != texts[role]["sha256"]:
            raise DataError(f"{', '.join(files[role])} has changed since {run.path} was begun")
    return task


def check_texts(run: RunFolder, config: RunConfig) -> None:
    """Errors: ModelError where config.yaml does not name the files of each role that the task
    needs, and how they were read."""
    data, roles = config.data, TASKS[config.task].roles
    files = {role: text["files"] for role, text in data["texts"].items() if text["files"]}
    needed = {role for role in roles if not role.startswith("valid")}
    is_complete = needed <= files.keys() <= set(roles) and data["errors"] in ("strict", "replace")
    is_there = (run / "corpus.safetensors").exists() or STDIN not in chain(*files.values())
    are_numbers = all(type(data.get(name, 0)) is int for name in ("tokens", "words", "lines"))
    if not (is_complete and is_there and are_numbers):
        raise ModelError(f"{run / 'config.yaml'}: data does not say what was trained on")
