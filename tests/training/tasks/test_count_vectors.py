"""Word vectors from counts, as the task of vectors makes them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from seqlm.errors import DataError, UsageError
from seqlm.models import model_class
from seqlm.training.config.resolve import resolve
from seqlm.training.tasks import vectors_task
from seqlm.training.tasks.vectors_task import VectorsTask
from seqlm.training.trainer import Trainer
from seqlm.training.training_run import complete_settings, make_trainer

CPU = torch.device("cpu")
ARCHITECTURES = ("glove", "ppmi-svd")


def make(folder: Path, arch: str, text: str = "", **given: object) -> Trainer:
    """A trainer of new vectors, as `seqlm train` makes it."""
    settings, options = resolve(
        {"task": "vectors", "arch": arch, "width": 6, "window": 3, "min_count": 1, **given}
    )
    (folder / "text").write_text(text or random_text())
    task = VectorsTask.read({"corpus": [str(folder / "text")]}, settings, "strict")
    torch.manual_seed(settings.seed)
    network = model_class("vectors", arch).from_settings({**task.vocabulary_sizes(), **options})
    task.initialize(network)
    return make_trainer(network, task, complete_settings(settings, network, task, CPU))


def random_text() -> str:
    rng = random.Random(1)
    lines = [[f"w{int(40 * rng.random() ** 2)}" for _ in range(8)] for _ in range(200)]
    return "".join(" ".join(line) + "\n" for line in lines)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_limit_of_memory_changes_no_number(arch: str, tmp_path: Path) -> None:
    found = []
    for memory in (None, "100G"):
        trainer = make(tmp_path, arch, memory=memory)
        losses = [float(trainer.step().figures["loss"]) for _ in range(4)]
        found.append((losses, [p.detach() for p in trainer.network.parameters()]))
    assert found[0][0] == found[1][0]
    assert all(map(torch.equal, found[0][1], found[1][1]))


def test_an_epoch_has_updates_enough_however_few_the_pairs_are(tmp_path: Path) -> None:
    assert len(make(tmp_path, "glove").batches) == vectors_task.FEWEST_BATCHES
    assert len(make(tmp_path, "glove", batch_size=10).batches) > vectors_task.FEWEST_BATCHES


def test_one_side_has_half_of_the_pairs(tmp_path: Path) -> None:
    text = "a b c d e f\n"
    for sides, pairs in (("both", 30), ("left", 15)):
        batches = make(tmp_path, "glove", text, window=5, sides=sides).batches
        assert sum(batch.num_targets for batch in batches.epoch(0)) == pairs


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_validation_text_is_refused(arch: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="learns from the counts of its text"):
        make(tmp_path, arch, valid_fraction=0.2)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_another_optimizer_is_refused(arch: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"optimizer adam does not suit arch {arch}"):
        make(tmp_path, arch, optimizer="adam")


def test_a_matrix_without_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no two words are together more often than by chance"):
        make(tmp_path, "ppmi-svd", "a b\n" * 9, context_smoothing=1.0, shift=50.0)
