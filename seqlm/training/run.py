"""A training run from end to end: corpus and settings in, a finished run folder out."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from seqlm import __version__
from seqlm.errors import DataError, UsageError
from seqlm.evaluation.scoring import validation_loss
from seqlm.models import model_class
from seqlm.models.base import Network
from seqlm.runs.folder import RunFolder, now, write_text
from seqlm.runs.save import load_training, write_save
from seqlm.runs.vocabulary import given_tokenizer
from seqlm.text.batches import Batches, LineBatches, StreamBatches
from seqlm.text.corpus import Corpus, read_corpus
from seqlm.text.reading import STDIN
from seqlm.text.vocabulary import EOS
from seqlm.training.loop import Trainer, Watcher
from seqlm.training.settings import SCHEDULING, Settings, resolve
from seqlm.training.signals import Stopped, catching_signals

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
    )
    held_out = read_corpus(valid, corpus.tokenizer, errors=errors) if valid else None
    texts = split(corpus.ids, held_out, settings.valid_fraction)
    announce(describe(corpus, texts))

    # Drawn on the CPU, so that every device starts from the same weights.
    torch.manual_seed(settings.seed)
    model = model_class("lm", settings.arch).from_settings(
        {"vocab_size": len(corpus.tokenizer), **model_options}
    )
    assert isinstance(model, Network)
    announce(f"{settings.arch}: {sum(p.numel() for p in model.parameters()):,} parameters")

    run = RunFolder.create(output or RunFolder.fresh(name(settings, sources)), overwrite)
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
    if STDIN in (*sources, *valid):  # it cannot be read again
        np.savez_compressed(run / "corpus.npz", corpus=corpus.ids, valid=ids_or_none(held_out))
    run.write_config(config)
    return fit(run, config, trainer(model.to(device), texts, settings), watcher)


def resume(
    path: Path,
    given: Mapping[str, Any],
    device: torch.device,
    watcher: Watcher,
    threads: int | None = None,
    announce: Callable[[str], None] = lambda message: None,
) -> RunFolder:
    """Goes on with an interrupted run; settings that change its schedule begin a new phase.

    `threads` None takes as many as before: sums in another order would differ in the last bit.
    Errors: UsageError on another setting or a finished run, DataError where the text has changed.
    """
    run = RunFolder(path)
    config = run.read_config()
    if "settings" not in config:
        raise UsageError(f"{path} was counted, not trained: there is nothing to resume")
    stored = config["model"] | config["settings"]
    given = {name: value for name, value in given.items() if stored.get(name) != value}
    for name in given:
        if name not in SCHEDULING:
            raise UsageError(f"--{name.replace('_', '-')} cannot change in a resumed run")
    before = Settings(**config["settings"])
    run.lock()
    torch.set_num_threads(threads or config["threads"])
    weights, state = load_training(run)
    texts = texts_of(run, config, before)
    model = model_class("lm", config["arch"]).from_settings(config["model"]).to(device)
    assert isinstance(model, Network)
    old = trainer(model, texts, before)
    old.restore(weights, state)
    new = old
    if given:
        settings, _ = resolve(asdict(before) | dict(given))
        new = trainer(model, texts, settings)
        new.restore(weights, state)
        new.begin_phase(float(given.get("lr") or old.current_rate()))
        announce(f"a new phase from step {new.progress.step}, at rate {new.rate:g}")
        config["settings"] = asdict(settings)
    if new.progress.step >= new.steps or new.progress.done:
        raise UsageError(f"{path} is finished; --epochs or --steps beyond it goes on")
    run.truncate_metrics(new.progress.step)
    config["finished"] = None
    run.write_config(config)
    announce(
        f"resumed at step {new.progress.step} of {new.steps}, {torch.get_num_threads()} threads"
    )
    return fit(run, config, new, watcher)


def fit(run: RunFolder, config: dict[str, Any], trainer: Trainer, watcher: Watcher) -> RunFolder:
    """Trains, saves after each validation, and writes down what came of it."""

    def save(trainer: Trainer, best: bool) -> None:
        write_save(run, trainer.progress.step, trainer.network, trainer.state(), best)

    recorded = Recorded(run, watcher)
    with catching_signals() as caught:
        trainer.fit(recorded, save, interrupted=lambda: bool(caught))
    if not trainer.progress.done:
        raise Stopped(
            f"stopped at step {trainer.progress.step} of {trainer.steps}, which is saved;"
            f" go on with: seqlm train --resume {shlex.quote(str(run.path))}",
            caught[0],
        )
    config["finished"] = now()
    config["result"] = recorded.result
    run.write_config(config)
    write_text(run / "README.md", readme(config))
    run.unlock()
    return run


class Recorded:
    """A watcher that also writes metrics.jsonl."""

    def __init__(self, run: RunFolder, watcher: Watcher) -> None:
        self.run, self.watcher = run, watcher
        self.result: dict[str, Any] = {}

    def stepped(self, trainer: Trainer, loss: float) -> None:
        self.watcher.stepped(trainer, loss)

    def validated(self, trainer: Trainer, row: Mapping[str, Any], best: bool) -> None:
        self.run.append_metrics(dict(row))
        if best or "valid_loss" not in row:
            self.result = dict(row)
        self.watcher.validated(trainer, row, best)


def trainer(model: Network, texts: Texts, settings: Settings) -> Trainer:
    device = model.device
    batches: Batches
    if settings.context == "sentence":
        batches = LineBatches(texts.train, settings.batch_size, settings.seed, device)
    else:
        batches = StreamBatches(texts.train, settings.batch_size, settings.length, device)
    valid = texts.valid

    def validate() -> float:
        assert valid is not None
        return validation_loss(model, valid, settings.context, settings.batch_size)

    return Trainer(model, batches, settings, validate if valid is not None else None)


# -------------------------------------------------------------------------------------------- text


def split(ids: np.ndarray, held_out: Corpus | None, fraction: float | None) -> Texts:
    """Training and validation ids. `fraction` of the tokens, at the end, in whole lines."""
    if held_out is not None:
        return Texts(ids, held_out.ids)
    if not fraction:
        return Texts(ids, None)
    ends = np.flatnonzero(ids == EOS) + 1
    place = int(np.searchsorted(ends, len(ids) * (1 - fraction)))
    cut = int(ends[min(place, len(ends) - 1)])
    if cut == len(ids):
        cut = int(ends[-2]) if len(ends) > 1 else 0
    if cut == 0:
        raise DataError("one line cannot be split: --valid-fraction needs two or more")
    return Texts(ids[:cut], ids[cut:])


def texts_of(run: RunFolder, config: Mapping[str, Any], settings: Settings) -> Texts:
    """The text a run was trained on, read again. Errors: DataError where it has changed."""
    data = config["data"]
    if (run / "corpus.npz").exists():
        kept = np.load(run / "corpus.npz", allow_pickle=False)
        held = kept["valid"] if len(kept["valid"]) else None
        return (
            Texts(kept["corpus"], held)
            if held is not None
            else split(kept["corpus"], None, settings.valid_fraction)
        )
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


def ids_or_none(corpus: Corpus | None) -> np.ndarray:
    return corpus.ids if corpus is not None else np.empty(0, np.int32)


# ------------------------------------------------------------------------------------------- words


def name(settings: Settings, sources: Sequence[str]) -> str:
    """lstm-shakespeare: the architecture and the corpus."""
    first = "stdin" if sources[0] == STDIN else Path(sources[0]).name.split(".")[0]
    return f"{settings.arch}-{first}"


def absolute(source: str) -> str:
    return source if source == STDIN else str(Path(source).absolute())


def describe(corpus: Corpus, texts: Texts) -> str:
    tokenizer, valid = corpus.tokenizer, texts.valid
    held = f", {len(valid):,} to validate on" if valid is not None else ", no validation text"
    unknown = np.count_nonzero(texts.train == 0) / len(texts.train)
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
