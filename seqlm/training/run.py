"""A training run from end to end: corpus and settings in, a finished run folder out."""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from seqlm import __version__
from seqlm.errors import DataError, UsageError
from seqlm.evaluation.scoring import validation_loss
from seqlm.models import model_class
from seqlm.models.base import LanguageNetwork
from seqlm.runs.folder import RunFolder, now, write_text
from seqlm.runs.save import load_best, load_training, read_tensors, write_save, write_tensors
from seqlm.runs.vocabulary import given_tokenizer
from seqlm.text.batches import (
    Batches,
    LineBatches,
    StreamBatches,
    VariableBatches,
    WindowBatches,
)
from seqlm.text.corpus import Corpus, once_only, read_corpus, tail
from seqlm.text.reading import absolute, title
from seqlm.text.vocabulary import UNK
from seqlm.training.loop import Trainer, Watcher
from seqlm.training.precision import check_precision
from seqlm.training.settings import CHANGEABLE, SCHEDULE, Settings, resolve
from seqlm.training.signals import Stopped, catching_signals
from seqlm.training.tensorboard import Scalars, check_tensorboard
from seqlm.training.watchers import Recorder, Watchers

RARE = 2
"""`--min-count` for words where the text marks no unknown ones: `<unk>` must be trained on some."""


class Texts(NamedTuple):
    train: np.ndarray  # (N,) ids
    valid: np.ndarray | None


def train(
    sources: Sequence[str],
    valid: Sequence[str],
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
    """Trains a language model on `sources` and returns its run.

    Errors: DataError, UsageError, SeqlmError (a loss that is not finite), Stopped.
    """
    if output is not None:
        RunFolder.check_free(output, overwrite)
    corpus = read_corpus(
        sources,
        tokenizer=given_tokenizer(settings.vocab, settings.tokenizer),
        kind=settings.tokenizer,
        vocab_size=settings.vocab_size,
        min_count=settings.min_count,
        errors=errors,
        rare=RARE if settings.tokenizer == "word" else 1,
        held_out=settings.valid_fraction or 0.0,
    )
    settings = replace(settings, tokenizer=corpus.tokenizer.kind)
    held_out = read_corpus(valid, corpus.tokenizer, errors=errors) if valid else None
    texts = split(corpus.ids, held_out, settings.valid_fraction)
    unknown = float(np.mean(texts.train == UNK))
    announce(describe(corpus, texts, unknown))
    if unknown > 0.5:
        warnings.warn("most of the corpus is <unk>; --min-count 1 keeps rare types", stacklevel=2)

    # Drawn on the CPU, so that every device starts from the same weights.
    torch.manual_seed(settings.seed)
    model = model_class("lm", settings.arch).from_settings(
        {"vocab_size": len(corpus.tokenizer), **model_options}
    )
    assert isinstance(model, LanguageNetwork)
    settings = fitted(settings, model, device, texts.valid is not None)
    announce(f"{settings.arch}: {sum(p.numel() for p in model.parameters()):,} parameters")

    run = RunFolder.create(
        output or RunFolder.fresh(f"{settings.arch}-{title(sources[0])}"), overwrite
    )
    config = {
        "seqlm": __version__,
        "task": "lm",
        "arch": settings.arch,
        "context": settings.context,
        "model": model.settings(),
        "settings": asdict(settings),
        "data": {
            "corpus": [absolute(source) for source in sources],
            "valid": [absolute(source) for source in valid],
            "errors": errors,
            "sha256": corpus.digest,
            "valid_sha256": held_out.digest if held_out else None,
            "tokens": len(texts.train),
            "valid_tokens": len(texts.valid) if texts.valid is not None else 0,
        },
        "command": shlex.join(command),
        "torch": str(torch.__version__),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "finished": None,
    }
    run.write_tokenizer(corpus.tokenizer)
    if any(map(once_only, (*sources, *valid))):
        kept = {"corpus": corpus.ids} | ({"valid": held_out.ids} if held_out else {})
        write_tensors(
            run / "corpus.safetensors", {n: torch.from_numpy(ids) for n, ids in kept.items()}
        )
    run.write_config(config)
    return fit(run, config, trainer(model.to(device), texts, settings), watcher)


def fitted(
    settings: Settings, model: LanguageNetwork, device: torch.device, validated: bool
) -> Settings:
    """The settings with the model's context, where they name none. `validated`: there is a text.

    Errors: UsageError where the model or the device does not do what they ask for.
    """
    check_precision(settings.precision, device)
    if settings.label_smoothing and not model.head.smooths:
        raise UsageError("--label-smoothing needs the full softmax, which spreads over all types")
    if settings.tensorboard:
        check_tensorboard()
    for waiting, name in ((settings.average, "nt-asgd"), (settings.schedule, "plateau")):
        if waiting == name and not validated:
            raise UsageError(f"{name} waits for validations: --valid or --valid-fraction")
    if settings.scheduled_sampling != "none" and device.type == "mps":
        raise UsageError("--scheduled-sampling draws in float64, which mps has not: --device cpu")
    bounded = model.horizon is not None
    context = settings.context or ("window" if bounded else "carried")
    if context == "carried" and bounded:
        raise UsageError(
            f"--context carried: {settings.arch} reads {model.horizon} tokens at most;"
            " window or sentence"
        )
    if context == "window" and not bounded:
        raise UsageError(
            f"--context window: {settings.arch} has no window to fill; carried or sentence"
        )
    if settings.variable_length and context != "carried":
        raise UsageError(f"--variable-length is for carried context; this one is {context}")
    return replace(settings, context=context)


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
    model = model_class("lm", config["arch"]).from_settings(config["model"]).to(device)
    assert isinstance(model, LanguageNetwork)
    validated = config["data"]["valid_tokens"] > 0
    before = fitted(Settings(**config["settings"]), model, device, validated)
    texts = texts_of(run, config, before)
    going = trainer(model, texts, before)
    going.restore(weights, state)
    rate = going.current_rate()
    if given:
        by_epochs = {"steps": None} if "epochs" in given and "steps" not in given else {}
        settings, _ = resolve(asdict(before) | by_epochs | given, idle=True)
        settings = fitted(settings, model, device, validated)
        config["settings"] = asdict(settings)
        if settings.average != before.average:
            weights, best = load_best(run)
            announce(f"the weights are those of step {best}, averaged by {settings.average}")
        going = trainer(model, texts, settings)
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
        config["result"] = min(rows, key=lambda row: row.get("valid_loss", -row["step"]))
        run.write_config(config)
        write_text(run / "README.md", readme(config))
    finally:
        run.unlock()
    return run


def trainer(model: LanguageNetwork, texts: Texts, settings: Settings) -> Trainer:
    valid, context = texts.valid, settings.context
    assert context is not None

    def validate() -> float:
        assert valid is not None
        return validation_loss(model, valid, context, settings.batch_size)

    batches = batches_of(texts.train, model, settings)
    return Trainer(model, batches, settings, validate if valid is not None else None)


def batches_of(ids: np.ndarray, model: LanguageNetwork, settings: Settings) -> Batches:
    rows, length, seed, device = settings.batch_size, settings.length, settings.seed, model.device
    if settings.context == "sentence":
        return LineBatches(ids, rows, seed, device, longest=model.horizon)
    if settings.context == "window":
        return WindowBatches(ids, rows, length, seed, device)
    if settings.variable_length:
        return VariableBatches(ids, rows, length, seed, device)
    return StreamBatches(ids, rows, length, device)


# -------------------------------------------------------------------------------------------- text


def split(ids: np.ndarray, held_out: Corpus | None, fraction: float | None) -> Texts:
    """Training and validation ids: another text's, or the last `fraction` of this one."""
    if held_out is not None:
        return Texts(ids, held_out.ids)
    if not fraction:
        return Texts(ids, None)
    cut = tail(ids, fraction)
    return Texts(ids[:cut], ids[cut:])


def texts_of(run: RunFolder, config: Mapping[str, Any], settings: Settings) -> Texts:
    """The text a run was trained on, read again. Errors: DataError where it has changed."""
    data = config["data"]
    if (run / "corpus.safetensors").exists():
        kept = {n: t.numpy() for n, t in read_tensors(run / "corpus.safetensors").items()}
        if "valid" in kept:
            return Texts(kept["corpus"], kept["valid"])
        return split(kept["corpus"], None, settings.valid_fraction)
    corpus = read_corpus(data["corpus"], run.tokenizer, errors=data["errors"])
    held_out = None
    if data["valid"]:
        held_out = read_corpus(data["valid"], run.tokenizer, errors=data["errors"])
    for found, digest, files in (
        (corpus, data["sha256"], data["corpus"]),
        (held_out, data["valid_sha256"], data["valid"]),
    ):
        if found is not None and found.digest != digest:
            raise DataError(f"{', '.join(files)} has changed since {run.path} was begun")
    return split(corpus.ids, held_out, settings.valid_fraction)


# ------------------------------------------------------------------------------------------- words


def describe(corpus: Corpus, texts: Texts, unknown: float) -> str:
    tokenizer, valid = corpus.tokenizer, texts.valid
    held = f", {len(valid):,} to validate on" if valid is not None else ", no validation text"
    return (
        f"corpus: {len(texts.train):,} {tokenizer.kind} tokens{held};"
        f" {len(tokenizer):,} types, {unknown:.2%} <unk>"
    )


def readme(config: Mapping[str, Any]) -> str:
    result, data = config["result"], config["data"]
    figures = [f"- training loss {result['train_loss']:.4f} nats a token"]
    if "valid_loss" in result:
        loss = result["valid_loss"]
        figures.append(f"- validation loss {loss:.4f}, perplexity {math.exp(min(loss, 700)):.2f}")
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
            f"Corpus: {', '.join(data['corpus'])} ({data['tokens']:,} tokens),"
            f" SHA-256 {data['sha256']}",
            "",
        ]
    )
