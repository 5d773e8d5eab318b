"""A training run from end to end: text and settings in, a finished run folder out.

What a run is made of is the same for every task. What its text is, how that is batched and what is
measured on the held-out part, a task says itself (`language.py`, `translation.py`).
"""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqlm import __version__
from seqlm.errors import DataError, UsageError
from seqlm.models import model_class
from seqlm.models.base import Network
from seqlm.runs.checkpoint import load_best, load_training, write_save
from seqlm.runs.run_folder import RunFolder, now, write_text
from seqlm.text.corpus import once_only
from seqlm.text.reading import absolute
from seqlm.training.config.training_settings import CHANGEABLE, SCHEDULE, Settings, resolve
from seqlm.training.loop import Trainer, Watcher, cost
from seqlm.training.optimization.precision import check_precision
from seqlm.training.signals import Stopped, catching_signals
from seqlm.training.tasks.language_modeling import LanguageText
from seqlm.training.tasks.task import Files, Text
from seqlm.training.tasks.translation_task import ParallelText
from seqlm.training.tensorboard import Scalars, check_tensorboard
from seqlm.training.watchers import Recorder, Watchers

TEXTS: dict[str, type[Text]] = {"lm": LanguageText, "translation": ParallelText}


def train(
    files: Files,
    settings: Settings,
    model_options: Mapping[str, Any],
    output: Path | None,
    device: torch.device,
    watcher: Watcher,
    command: Sequence[str],
    overwrite: bool = False,
    errors: str = "strict",
    announce: Callable[[str], None] = lambda message: None,
) -> RunFolder:
    """Trains a model on `files`, each role's in order, and returns its run.

    Errors: DataError, UsageError, SeqlmError (a loss that is not finite), Stopped.
    """
    if output is not None:
        RunFolder.check_free(output, overwrite)
    text = TEXTS[settings.task].read(files, settings, errors)
    announce(text.describe())
    settings = replace(settings, tokenizer=text.tokenizer.kind)

    # Drawn on the CPU, so that every device starts from the same weights.
    torch.manual_seed(settings.seed)
    network = model_class(settings.task, settings.arch).from_settings(
        {**text.sizes(), **model_options}
    )
    assert isinstance(network, Network)
    settings = fitted(settings, network, text, device)
    announce(f"{settings.arch}: {sum(p.numel() for p in network.parameters()):,} parameters")

    data = {
        **{role: [absolute(source) for source in files[role]] for role in text.roles},
        "errors": errors,
        **{digest_key(role): None for role in text.roles},
        **{digest_key(role): digest for role, digest in text.digests().items()},
        **text.facts(settings),
    }
    run = RunFolder.create(output or RunFolder.fresh(f"{settings.arch}-{text.title}"), overwrite)
    config = {
        "seqlm": __version__,
        "task": settings.task,
        "arch": settings.arch,
        "context": settings.context,
        "model": network.settings(),
        "settings": asdict(settings),
        "data": data,
        "command": shlex.join(command),
        "torch": str(torch.__version__),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "finished": None,
    }
    run.write_tokenizer(text.tokenizer, text.source_tokenizer)
    if any(once_only(source) for sources in files.values() for source in sources):
        text.keep(run)
    run.write_config(config)
    return fit(run, config, trainer(network.to(device), text, settings), watcher)


def digest_key(role: str) -> str:
    """What the digest of a role's text is called in config.yaml."""
    return "sha256" if role == "corpus" else f"{role}_sha256"


def fitted(settings: Settings, network: Network, text: Text, device: torch.device) -> Settings:
    """The settings as the model and the text complete them.

    Errors: UsageError where the model, the text or the device does not do what they ask for.
    """
    check_precision(settings.precision, device)
    if settings.label_smoothing and not network.output_layer.supports_label_smoothing:
        raise UsageError("--label-smoothing needs the full softmax, which spreads over all types")
    if settings.tensorboard:
        check_tensorboard()
    for waiting, name in ((settings.average, "nt-asgd"), (settings.schedule, "plateau")):
        if waiting == name and not text.validated:
            raise UsageError(f"{name} waits for validations: {text.validated_by}")
    if settings.scheduled_sampling != "none" and device.type == "mps":
        raise UsageError("--scheduled-sampling draws in float64, which mps has not: --device cpu")
    if settings.valid_metric != "loss" and device.type == "mps":
        raise UsageError("--valid-metric searches in float64, which mps has not: --device cpu")
    return text.fitted(settings, network)


def trainer(network: Network, text: Text, settings: Settings) -> Trainer:
    batches, validation = text.batches(network, settings), text.validation(network, settings)
    return Trainer(network, batches, settings, validation)


def resume(
    run: RunFolder,
    given: Mapping[str, Any],
    device: torch.device,
    watcher: Watcher,
    announce: Callable[[str], None] = lambda message: None,
) -> RunFolder:
    """Goes on with an interrupted run; settings that change its schedule begin a new phase.

    Errors: UsageError on another setting or a finished run, DataError where the text has changed.
    """
    config = resumable(run)
    stored = config["model"] | config["settings"]
    given = {name: value for name, value in given.items() if stored.get(name) != value}
    for name in given:
        if name not in CHANGEABLE:
            raise UsageError(f"--{name.replace('_', '-')} cannot change in a resumed run")
    run.lock()
    weights, state = load_training(run)
    network = model_class(config["task"], config["arch"]).from_settings(config["model"]).to(device)
    assert isinstance(network, Network)
    text = read_again(run, config)
    before = fitted(Settings(**config["settings"]), network, text, device)
    going = trainer(network, text, before)
    going.restore(weights, state)
    rate = going.current_rate()
    if given:
        by_epochs = {"steps": None} if "epochs" in given and "steps" not in given else {}
        settings, _ = resolve(asdict(before) | by_epochs | given, idle=True)
        settings = fitted(settings, network, text, device)
        config["settings"] = asdict(settings)
        if settings.average != before.average:
            weights, best = load_best(run)
            announce(f"the weights are those of step {best}, averaged by {settings.average}")
        going = trainer(network, text, settings)
        going.restore(weights, state)
        if SCHEDULE & given.keys():
            rate = float(given.get("lr") or rate)
            if rate < settings.peak_rate / 100:
                warnings.warn(f"the rate has come down to {rate:g}; --lr raises it", stacklevel=2)
            going.begin_phase(rate)
            announce(f"a new phase from step {going.progress.step}, from rate {rate:g}")
    over = going.progress.done or going.progress.step >= going.steps
    if over and config.get("finished"):
        raise UsageError(f"{run.path} is finished; --epochs or --steps beyond it goes on")
    run.truncate_metrics(going.progress.step)
    config["finished"] = None
    run.write_config(config)
    announce(f"resumed at step {going.progress.step} of {going.steps}")
    return fit(run, config, going, watcher)


def resumable(run: RunFolder) -> dict[str, Any]:
    """The configuration of a run that training wrote. Errors: UsageError, ModelError."""
    config = run.read_config()
    if "settings" not in config:
        raise UsageError(f"{run.path} was counted, not trained: there is nothing to resume")
    return config


def read_again(run: RunFolder, config: Mapping[str, Any]) -> Text:
    """The text a run was trained on. Errors: DataError where it has changed."""
    data, task = config["data"], TEXTS[config["task"]]
    settings = Settings(**config["settings"])
    if (run / "corpus.safetensors").exists():
        return task.kept(run, data, settings)
    text = task.read({role: data[role] for role in task.roles}, settings, data["errors"], run)
    for role, digest in text.digests().items():
        if digest != data[digest_key(role)]:
            raise DataError(f"{', '.join(data[role])} has changed since {run.path} was begun")
    return text


def fit(run: RunFolder, config: dict[str, Any], trainer: Trainer, watcher: Watcher) -> RunFolder:
    """Trains, saves after each validation, and writes down what came of it."""

    def save(trainer: Trainer, best: bool) -> None:
        state = trainer.state()
        with trainer.average.shown():
            write_save(run, trainer.progress.step, trainer.network, state, best)

    watchers = [Recorder(run), watcher]
    try:
        with ExitStack() as closing_after, catching_signals() as caught:
            if trainer.settings.tensorboard:
                scalars = Scalars(run / "tensorboard", trainer.progress.step)
                watchers.append(closing_after.enter_context(closing(scalars)))
            trainer.fit(Watchers(watchers), save, interrupted=lambda: bool(caught))
        if not trainer.progress.done:
            raise Stopped(
                f"stopped at step {trainer.progress.step} of {trainer.steps}, which is saved;"
                f" go on with: seqlm train --resume {shlex.quote(str(run.path))}",
                caught[0],
            )
        rows = run.read_metrics()
        config["finished"] = now()
        config["result"] = min(rows, key=partial(judged, trainer.settings.valid_metric))
        run.write_config(config)
        write_text(run / "README.md", readme(config))
    finally:
        run.unlock()
    return run


def judged(metric: str, row: Mapping[str, Any]) -> float:
    """The less the better: what a validation cost; without one, the last is the best."""
    return cost(row, metric) if "valid_loss" in row else -float(row["step"])


def readme(config: Mapping[str, Any]) -> str:
    result, data = config["result"], config["data"]
    figures = [f"- training loss {result['train_loss']:.4f} nats a token"]
    if "valid_loss" in result:
        loss = result["valid_loss"]
        figures.append(f"- validation loss {loss:.4f}, perplexity {math.exp(min(loss, 700)):.2f}")
    for name in ("bleu", "chrf"):
        if f"valid_{name}" in result:
            figures.append(f"- validation {name} {result[f'valid_{name}']:.2f}")
    if "valid_metric" in data:
        figures.append(f"- its signature {data['valid_metric']}")
    texts = [
        f"- {role.replace('_', ' ')} {', '.join(data[role])}, SHA-256 {data[digest_key(role)]}"
        for role in TEXTS[config["task"]].roles
        if data[role]
    ]
    return "\n".join(
        [
            f"# {config['arch']}, trained by seqlm {config['seqlm']}",
            "",
            f"    {config['command']}",
            "",
            f"Kept from step {result['step']}, epoch {result['epoch']}, after"
            f" {result['seconds']:.0f} seconds on {config['device']}, torch {config['torch']},"
            f" seed {config['settings']['seed']}:",
            "",
            *figures,
            "",
            f"Trained on {data['tokens']:,} tokens:",
            "",
            *texts,
            "",
        ]
    )
