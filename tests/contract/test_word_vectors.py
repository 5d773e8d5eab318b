"""The contract of word vectors; see `seqlm/models/vectors/word_vector_model.py`."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlm.errors import DataError, UsageError
from seqlm.models.config.count_vectors_config import CountVectorConfig
from seqlm.models.vectors import prediction
from seqlm.models.vectors.word_vector_model import WordVectorModel
from seqlm.runs.loading.load_vectors import load_vectors
from seqlm.runs.loading.locate import locate
from seqlm.text.vocabulary import RESERVED
from seqlm.training.resuming import restore_training
from seqlm.training.trainer import Trainer
from seqlm.training.training_run import train
from tests.contract.word_vectors import (
    TWINS,
    VECTORS,
    VectorsInstance,
    make_vectors,
    text_of_topics,
)
from tests.training.toy import Checkpoints, finish

FIRST = len(RESERVED)


@pytest.fixture(scope="module", params=VECTORS, ids=str)
def instance(request: pytest.FixtureRequest) -> VectorsInstance:
    """Every kind of word vectors."""
    chosen: VectorsInstance = request.param
    return chosen


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("text") / "topics.txt"
    path.write_text(text_of_topics())
    return path


class Trained(NamedTuple):
    """Word vectors before and after, and the weights."""

    words: list[str]
    vectors_before: Tensor  # (V, D)
    vectors: Tensor  # (V, D)
    weights: dict[str, Tensor]
    """With the buffers."""
    still: list[str]
    """The names of parameters that training has not changed."""
    losses: list[float]


@pytest.fixture(scope="module")
def trained(instance: VectorsInstance, text: Path) -> Trained:
    return trained_to_the_end(instance, text)


def trained_to_the_end(instance: VectorsInstance, text: Path, **given: Any) -> Trained:
    task, trainer = make_vectors(instance, text, **given)
    network = network_of(trainer)
    vectors, before = network.word_vectors().clone(), weights_of(trainer)
    losses = [row["train_loss"] for row in finish(trainer).rows]
    still = [name for name, table in network.named_parameters() if torch.equal(table, before[name])]
    return Trained(task.words, vectors, network.word_vectors(), weights_of(trainer), still, losses)


def network_of(trainer: Trainer) -> WordVectorModel:
    assert isinstance(trainer.network, WordVectorModel)
    return trainer.network


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Bit for bit."""
    assert ours.keys() == theirs.keys()
    different = [name for name, tensor in ours.items() if not torch.equal(tensor, theirs[name])]
    assert not different


# -------------------------------------------------------------------------------- what is learned


def test_the_vector_of_every_word_is_trained(trained: Trained) -> None:
    assert trained.vectors.shape == trained.vectors_before.shape
    assert trained.vectors.dtype == torch.float32
    assert trained.vectors.isfinite().all()
    moved = (trained.vectors != trained.vectors_before).any(1)
    assert moved[FIRST:].all()


def test_every_table_is_trained(trained: Trained) -> None:
    assert trained.still == []


def test_the_loss_falls(trained: Trained) -> None:
    assert all(map(math.isfinite, trained.losses))
    assert trained.losses[-1] < 0.9 * trained.losses[0]


def test_words_that_are_used_alike_have_similar_vectors(trained: Trained) -> None:
    """Twins are never in one line, so that only what is around them can tell."""
    unit = torch.nn.functional.normalize(trained.vectors[FIRST:], dim=1)
    row = {word: number for number, word in enumerate(trained.words)}
    twins = [[unit[row[twin]] for twin in pair] for pair in TWINS]
    for number, (a, b) in enumerate(twins):
        others = torch.stack([c for pair in twins[:number] + twins[number + 1 :] for c in pair])
        assert a @ b > 0.1 + (others @ a).max()


# ------------------------------------------------------------------------------------ determinism


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a batch of a small text has several, for several threads."""
    monkeypatch.setattr(prediction, "PIECE", 2 * prediction.GROUP)


def test_equal_seeds_give_equal_weights(
    instance: VectorsInstance, text: Path, trained: Trained
) -> None:
    again = trained_to_the_end(instance, text)
    assert_equal(again.weights, trained.weights)
    assert again.losses == trained.losses
    other = trained_to_the_end(instance, text, seed=2, epochs=1)
    assert not torch.equal(other.vectors, trained.vectors)


@pytest.mark.usefixtures("small_pieces")
def test_the_number_of_threads_changes_no_bit(instance: VectorsInstance, text: Path) -> None:
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(trained_to_the_end(instance, text, steps=5, batch_size=2000, width=33))
    finally:
        torch.set_num_threads(1)
    for other in results[1:]:
        assert_equal(other.weights, results[0].weights)
        assert other.losses == results[0].losses


def test_a_resumed_training_is_the_unbroken_one(instance: VectorsInstance, text: Path) -> None:
    ends: Checkpoints = []
    finish(make_vectors(instance, text, epochs=3)[1], ends)
    _, broken = make_vectors(instance, text, epochs=3)
    checkpoints: Checkpoints = []
    finish(broken, checkpoints, stop_at=round(0.4 * broken.total_steps))
    assert not broken.progress.done
    _, resumed = make_vectors(instance, text, epochs=3)
    with torch.no_grad():
        for tensor in resumed.network.state_dict().values():
            tensor.zero_()
    torch.manual_seed(99)
    restore_training(resumed, *checkpoints[-1])
    ends_again: Checkpoints = []
    finish(resumed, ends_again)
    (model, state), (model_again, state_again) = ends[-1], ends_again[-1]
    assert_equal(model_again | state_again.tensors, model | state.tensors)
    state.values["progress"]["seconds"] = state_again.values["progress"]["seconds"]
    assert state.values == state_again.values


# -------------------------------------------------------------------------------------- the text


def test_a_batch_may_be_larger_than_the_text(instance: VectorsInstance, text: Path) -> None:
    task, trainer = make_vectors(instance, text, batch_size=10**7, epochs=2)
    losses = [row["train_loss"] for row in finish(trainer).rows]
    assert losses[1] < losses[0]
    if not isinstance(network_of(trainer).config, CountVectorConfig):
        assert trainer.progress.tokens == 2 * int(task.counts[FIRST:].sum())


@pytest.mark.parametrize("lines", ["a b\n", "a a\n", "b\n\na b c\n", "a b c d e f g h\n" * 3])
def test_the_smallest_texts(instance: VectorsInstance, lines: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text(lines)
    if lines == "a a\n" and instance.arch == "ppmi-svd":
        with pytest.raises(DataError, match="more often than by chance"):
            make_vectors(instance, tmp_path / "text")
        return
    _, trainer = make_vectors(instance, tmp_path / "text", epochs=2)
    finish(trainer)
    assert all(tensor.isfinite().all() for tensor in trainer.network.state_dict().values())


def test_words_without_a_vector_are_not_read(
    instance: VectorsInstance, text: Path, tmp_path: Path
) -> None:
    """Where rare words stand between the others, the vectors are the same."""
    lines = text.read_text().splitlines()[:60]
    rare = [f"rare{n} " + line.replace(" the", f" rare{n} the", 1) for n, line in enumerate(lines)]
    for name, some in (("usual", lines), ("rare", rare)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in some))
    given = {"min_count": 3, "batch_size": 10**7, "epochs": 2}  # one batch, of equal words
    task, trainer = make_vectors(instance, tmp_path / "rare", **given)
    finish(trainer)
    if "subsample" not in instance.given:
        expected = trained_to_the_end(instance, tmp_path / "usual", **given)
        assert task.words == expected.words
        assert_equal(weights_of(trainer), expected.weights)
    assert task.counts[0] > len(lines)
    assert trainer.network.state_dict()["counts"][:FIRST].tolist() == [0, 0]


def test_validation_measures_the_same_each_time(instance: VectorsInstance, text: Path) -> None:
    if issubclass(config_class_of(instance), CountVectorConfig):
        with pytest.raises(UsageError, match="leave out valid and valid_fraction"):
            make_vectors(instance, text, valid_fraction=0.2)
        return
    _, trainer = make_vectors(instance, text, valid_fraction=0.2)
    assert trainer.validate is not None
    before = torch.get_rng_state()
    first = trainer.validate()
    assert torch.equal(torch.get_rng_state(), before)
    assert trainer.validate() == first
    finish(trainer)
    assert trainer.validate()["loss"] < 0.9 * first["loss"]


def config_class_of(instance: VectorsInstance) -> type:
    from seqlm.models import config_class

    return config_class("vectors", instance.arch)


# --------------------------------------------------------------------------------------- the run


def test_a_run_has_the_vectors_that_were_trained(
    instance: VectorsInstance, text: Path, trained: Trained, tmp_path: Path
) -> None:
    settings, options = instance.resolve()
    run = train({"corpus": [str(text)]}, settings, options, output=tmp_path / "run")
    loaded = load_vectors(locate(run.path))
    np.testing.assert_array_equal(loaded.vectors, trained.vectors[FIRST:].numpy())
    assert loaded.words == trained.words
    counts = Counter(text.read_text().split())
    assert loaded.counts is not None
    assert dict(zip(loaded.words, loaded.counts.tolist())) == counts
    again = load_vectors(locate(run.path))
    assert again.weights_digest == loaded.weights_digest
    [first, *_, last] = [row["train_loss"] for row in run.read_metrics()]
    assert [first, last] == [trained.losses[0], trained.losses[-1]]


def test_the_nearest_words_are_shown(instance: VectorsInstance, text: Path) -> None:
    task, trainer = make_vectors(instance, text, probe="twin0a,the", epochs=1)
    finish(trainer)
    remark = task.remark(trainer.network, trainer.settings)
    unit = torch.nn.functional.normalize(network_of(trainer).word_vectors()[FIRST:], dim=1)
    parts = []
    for word in ("twin0a", "the"):
        similarity = unit @ unit[task.words.index(word)]
        nearest = [task.words[row] for row in similarity.argsort(descending=True).tolist()]
        parts.append(f"{word}: {', '.join([near for near in nearest if near != word][:4])}")
    assert remark == f"nearest to {parts[0]}; to {parts[1]}"


# ---------------------------------------------------------------------------------------- a GPU


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives(
    instance: VectorsInstance, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss and the gradients of a batch, with the same windows and the same noise."""
    _, trainer = make_vectors(instance, text)
    network = network_of(trainer)
    radii = torch.randint(1, 5, (10**5,))
    monkeypatch.setattr(
        torch, "randint", lambda low, high, size, device: radii[: size[0]].to(device)
    )
    if isinstance(network, prediction.PredictionModel) and not network.config.hierarchical_softmax:
        drawn = network.noise_words(100).cpu()
        monkeypatch.setattr(
            network, "noise_words",
            lambda groups: drawn[: groups * prediction.NOISE_WORDS].to(network.device),
        )  # fmt: skip
    results = []
    for device in ("cpu", "cuda"):
        network.to(device)
        [batch, *_] = make_batches_on(trainer, torch.device(device))
        network.zero_grad()
        loss = network.loss(batch)
        loss.backward()
        gradients = [table.grad.to_dense().cpu() for table in network.parameters()]  # type: ignore[union-attr]
        results.append((loss.detach().cpu(), gradients))
    torch.testing.assert_close(results[0], results[1], atol=1e-4, rtol=1e-4)


def make_batches_on(trainer: Trainer, device: torch.device) -> list[Any]:
    """The first batch of an epoch, on a device."""
    batches: Any = trainer.batches
    batches.device = device
    return [batches.epoch(0)[0]]
