"""Small word vectors of every architecture in the registry, and a language to learn them from.

A new line in the registry has an instance here at once; variants of it are listed.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seqlm.models import architectures, model_class
from seqlm.models.vectors.word_vector_model import WordVectorModel
from seqlm.training.config.defaults import TRAINING, options_of
from seqlm.training.config.resolve import resolve
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.tasks.vectors_task import VectorsTask
from seqlm.training.trainer import Trainer
from seqlm.training.training_run import make_trainer

# -------------------------------------------------------------------------------- the language

TOPICS = 4
TWINS = [(f"twin{topic}a", f"twin{topic}b") for topic in range(TOPICS)]
"""Words that are used alike, and never in one line."""


def text_of_topics(lines: int = 500, seed: int = 1) -> str:
    """Each line is about one topic: most of its words are of it, and one of its twins is there."""
    rng, text = random.Random(seed), []
    for _ in range(lines):
        topic = rng.randrange(TOPICS)
        topics = [topic if rng.random() < 0.8 else rng.randrange(TOPICS) for _ in range(9)]
        words = [f"word{each}{rng.choice('uvwxyz')}" for each in topics[: rng.randrange(4, 9)]]
        words.insert(rng.randrange(len(words) + 1), rng.choice(TWINS[topic]))
        words.insert(rng.randrange(len(words) + 1), "the")
        text.append(" ".join(words) + "\n")
    return "".join(text)


# ------------------------------------------------------------------------------- the instances

SMALL: dict[str, Any] = {
    "width": 8, "window": 4, "subsample": 0.0, "buckets": 500, "batch_size": 800, "epochs": 8,
    "min_count": 1,
}  # fmt: skip
"""What is given where an architecture has it and an instance does not say."""
SUITED = {"glove": {"lr": 0.3}}
"""What so small a text needs of an architecture."""


class VectorsInstance(NamedTuple):
    """How to train one set of word vectors."""

    arch: str
    variant: str = ""
    given: dict[str, Any] = {}  # noqa: RUF012

    def __str__(self) -> str:
        return f"{self.arch} {self.variant}".strip()

    def resolve(self, **given: Any) -> tuple[TrainingSettings, dict[str, Any]]:
        """The settings, and the options of the model."""
        known = {**TRAINING, **options_of("vectors", self.arch)}
        small = {name: value for name, value in SMALL.items() if name in known}
        return resolve({"task": "vectors", "arch": self.arch, **small, **self.given, **given})


VECTORS = [
    *(VectorsInstance(arch, given=SUITED.get(arch, {})) for arch in architectures("vectors")),
    VectorsInstance("skipgram", "by a tree", {"hierarchical_softmax": True}),
    VectorsInstance("cbow", "by a tree", {"hierarchical_softmax": True}),
    VectorsInstance("fasttext", "of cbow", {"predict": "cbow"}),
    VectorsInstance("fasttext", "by a tree", {"hierarchical_softmax": True}),
    VectorsInstance("skipgram", "by adagrad", {"optimizer": "adagrad", "lr": 0.3}),
    VectorsInstance("skipgram", "with a window of one", {"window": 1, "negatives": 1}),
    VectorsInstance("skipgram", "of sampled words", {"subsample": 0.005}),
]


def make_vectors(
    instance: VectorsInstance, text: Path, **given: Any
) -> tuple[VectorsTask, Trainer]:
    """The task of a text, and a trainer of new vectors on it, as `seqlm train` makes them."""
    settings, options = instance.resolve(**given)
    task = VectorsTask.read({"corpus": [str(text)]}, settings, "strict")
    torch.manual_seed(settings.seed)
    model = model_class("vectors", instance.arch)
    network = model.from_settings({**task.vocabulary_sizes(), **options})
    assert isinstance(network, WordVectorModel)
    task.initialize(network)
    settings = task.complete_settings(settings, network)
    return task, make_trainer(network, task, settings)
