"""A tiny labeled text, and the task of a labeler on it."""

from __future__ import annotations

import random
from typing import Any

import torch

from seqlm.models import model_class
from seqlm.models.labeling.labeler import Labeler
from seqlm.text.labeled.record import Record
from seqlm.text.labeled.record_files import parse_records
from seqlm.training.config.defaults import TRAINING, options_of
from seqlm.training.config.resolve import resolve
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.tasks.labeling_task import LabelingTask, format_options
from seqlm.training.trainer import Trainer
from seqlm.training.training_run import make_trainer

NOUNS, VERBS = ["frog", "heron", "Reed", "pond"], ["sees", "froze", "waits", "sank"]
SMALL: dict[str, Any] = {
    "width": 8, "embedding": 6, "character_width": 4, "batch_size": 4, "lr": 0.02, "epochs": 3,
    "filters": 4, "dropout_word": 0.0, "dropout_input": 0.0, "dropout_output": 0.0,
}  # fmt: skip


def tagged_text(count: int = 24, seed: int = 1, scheme: str = "iob1") -> str:
    """Sentences of a noun phrase, a verb and a noun phrase, with parts of speech and chunks."""
    rng, lines = random.Random(seed), []
    first = {"iob1": "I-NP", "iob2": "B-NP"}[scheme]
    for number in range(count):
        words = []
        for part in ("noun", "verb", "noun"):
            if part == "verb":
                words.append((rng.choice(VERBS), "VBD", "I-VP" if scheme == "iob1" else "B-VP"))
                continue
            if rng.random() < 0.6:
                words.append((rng.choice(["the", "no"]), "DT", first))
                words.append((f"{rng.choice(NOUNS)}{rng.randrange(5)}", "NN", "I-NP"))
            else:
                words.append((rng.choice(NOUNS), "NN", first))
        if number % 5 == 0:  # a phrase beside the last one, which iob1 begins with B
            words.append(("today", "RB", "B-NP"))
        lines += [*map(" ".join, words), ". . O", ""]
    return "\n".join(lines) + "\n"


def rated_text(count: int = 24, seed: int = 1) -> str:
    """Texts and their labels, as `label<TAB>text`."""
    rng, lines = random.Random(seed), []
    for _ in range(count):
        label = rng.choice(["good", "bad", "fair"])
        words = [rng.choice([*NOUNS, *VERBS]) for _ in range(rng.randrange(3, 9))]
        words.insert(rng.randrange(len(words) + 1), {"good": "warm", "bad": "dull"}.get(label, "a"))
        lines.append(f"{label}\t{' '.join(words)}")
    return "\n".join(lines) + "\n"


def settings_of(task: str = "tagging", **given: Any) -> tuple[TrainingSettings, dict[str, Any]]:
    """Resolved settings, small where nothing is given."""
    arch = given.setdefault("arch", "lstm")
    known = {**TRAINING, **options_of(task, arch)}
    small = {name: value for name, value in SMALL.items() if name in known}
    return resolve({"task": task, **small, **given})


def make_task(
    text: str, valid: str | None = None, **given: Any
) -> tuple[LabelingTask, TrainingSettings, dict[str, Any]]:
    """The task of a text and of another to validate on, its settings and the model's options."""
    settings, options = settings_of(**given)
    texts = {"corpus": records_of(text, settings)}
    if valid is not None:
        texts["valid"] = records_of(valid, settings)
    return LabelingTask.from_texts(texts, settings, None, "toy"), settings, options


def records_of(text: str, settings: TrainingSettings) -> list[Record]:
    lines = iter(text.split("\n")[:-1])
    task: Any = settings.task
    return [*parse_records(lines, "toy", task, format_options(settings))]


def make_labeler(
    task: LabelingTask, settings: TrainingSettings, options: dict[str, Any]
) -> tuple[Labeler, Trainer]:
    """A new labeler for a task, and its trainer."""
    torch.manual_seed(settings.seed)
    sizes = task.vocabulary_sizes()
    network = model_class(settings.task, settings.arch).from_settings({**sizes, **options})
    assert isinstance(network, Labeler)
    task.initialize(network)
    settings = task.complete_settings(settings, network)
    return network, make_trainer(network, task, settings)
