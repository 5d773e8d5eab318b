"""Training a translator: its loss, its validation, and what it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from seqlm.errors import UsageError
from seqlm.models import model_class
from seqlm.models.base import TranslationNetwork
from seqlm.text.batches import IGNORE_INDEX, Batch
from seqlm.text.bitext import Side, encode_bitext
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.training.config.resolve import resolve
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.early_stopping import validation_cost
from seqlm.training.optimization.objective import Objective
from seqlm.training.optimization.scheduled_sampling import mix_in_samples
from seqlm.training.resuming import restore_training
from seqlm.training.tasks.translation_task import TranslationTask, validation_loss
from seqlm.training.trainer import Trainer
from tests.training.toy import finish

WORDS = ["rot", "blau", "Hund", "Haus", "und", "klein"]


def side(lines: list[str]) -> Side:
    return Side([Block("".join(f"{line}\n" for line in lines).encode(), "lines", 1)], "lines")


def reversed_words(count: int = 60, **given) -> tuple[TranslationTask, TrainingSettings]:
    """A task whose targets are the source words in reverse order, and its settings."""
    words = {"tokenizer": "word", "min_count": 1}
    settings = TrainingSettings(task="translation", **{**words, **given})
    sides = {}
    for prefix, seed in (("", 1), ("valid_", 2)):
        torch.manual_seed(seed)
        drawn = [
            [WORDS[n] for n in torch.randint(0, 6, (2 + i % 4,)).tolist()] for i in range(count)
        ]
        sides[f"{prefix}source"] = side([" ".join(line) for line in drawn])
        sides[f"{prefix}target"] = side([" ".join(line[::-1]) for line in drawn])
    return TranslationTask.from_sides(sides, settings, None, "words.de"), settings


def encode(tokenizer: Tokenizer, line: str) -> torch.Tensor:
    """(1, T) ids of a line and its `</s>`."""
    return torch.from_numpy(tokenizer.encode(Block(f"{line}\n".encode(), "", 1))).long()[None]


def network(pairs: TranslationTask, arch: str = "gru", **options) -> TranslationNetwork:
    torch.manual_seed(1)
    small = {"heads": 2, "layers": 1} if arch == "transformer" else {}
    model = model_class("translation", arch).from_settings(
        {**pairs.vocabulary_sizes(), "width": 8, **small, **options}
    )
    assert isinstance(model, TranslationNetwork)
    return model


def make(
    pairs: TranslationTask, settings: TrainingSettings, arch: str = "gru", **options
) -> Trainer:
    model = network(pairs, arch, **options)
    settings = pairs.complete_settings(settings, model)
    torch.manual_seed(settings.seed)
    return Trainer(
        model, pairs.batches(model, settings), settings, pairs.validation_function(model, settings)
    )


@pytest.mark.parametrize("arch", ["gru", "transformer"])
@pytest.mark.parametrize("separate", [False, True])
def test_the_loss_is_that_of_each_target_token_given_its_source(arch, separate) -> None:
    pairs, _ = reversed_words(separate_vocab=separate)
    assert (pairs.source_tokenizer is not None) == separate
    model = network(pairs, arch, dropout_hidden=0.5).double()
    assert pairs.valid is not None
    total, count = 0.0, 0
    with torch.no_grad():
        model.eval()
        for source, target in zip(*pairs.validation_lines()):
            source_ids = encode(pairs.encoder_tokenizer, source)
            target_ids = encode(pairs.tokenizer, target)
            state = model.start(source_ids, torch.tensor([source_ids.shape[1]]))
            scores, _ = model.score(state, target_ids)
            total -= scores.sum().item()
            count += target_ids.shape[1]
    for positions in (12, 64, 10**6):
        batches = pairs.validation_batches(model, positions)
        assert validation_loss(model, batches) == pytest.approx(total / count, abs=1e-9)
        loss = sum(
            Objective(model)(batch, None)[0].item() * batch.num_targets
            for batch in batches.epoch(2)
        )
        assert loss / count == pytest.approx(total / count, abs=1e-9)


def test_validation_changes_neither_the_mode_nor_the_random_state() -> None:
    pairs, settings = reversed_words(valid_metric="chrf")
    trainer = make(pairs, settings, dropout_hidden=0.5)
    trainer.network.train()
    assert trainer.validate is not None
    before = torch.get_rng_state()
    figures = trainer.validate()
    assert trainer.network.training
    assert torch.equal(torch.get_rng_state(), before)
    assert list(figures) == ["loss", "bleu", "chrf"]
    assert trainer.validate() == figures


OPTIONS = {
    "gru": ("gru", {}, {}),
    "lstm, input feeding": (
        "lstm",
        {"attention": "general", "input_feeding": True},
        {"grad_accumulation": 2},
    ),
    "transformer": ("transformer", {}, {"average": "last", "label_smoothing": 0.1}),
    "scheduled sampling": ("gru", {"attention": "additive"}, {"scheduled_sampling": "linear"}),
    "bleu, plateau": ("gru", {}, {"valid_metric": "bleu", "schedule": "plateau"}),
    "R-drop": ("transformer", {"dropout_hidden": 0.2}, {"r_drop": 5.0, "label_smoothing": 0.1}),
    "BPE-dropout": ("gru", {}, {"tokenizer": "bpe", "vocab_size": 275, "bpe_dropout": 0.3}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_resumed_run_is_the_unbroken_one(name) -> None:
    arch, options, given = OPTIONS[name]
    usual = {"epochs": 3, "batch_tokens": 60, "lr": 0.02, "patience": None, **given}
    pairs, settings = reversed_words(**usual)
    options = {"dropout_input": 0.2, "dropout_output": 0.2, **options}
    finish(make(pairs, settings, arch, **options), ends := [])
    broken, checkpoints = make(pairs, settings, arch, **options), []
    finish(broken, checkpoints, stop_at=broken.total_steps // 2)
    resumed = make(pairs, settings, arch, **options)
    torch.manual_seed(99)
    restore_training(resumed, *checkpoints[-1])
    finish(resumed, ends_again := [])
    (model, state), (model_again, state_again) = ends[-1], ends_again[-1]
    for name, tensor in (model | state.tensors).items():
        assert torch.equal(tensor, (model_again | state_again.tensors)[name]), name
    state.values["progress"]["seconds"] = state_again.values["progress"]["seconds"]
    assert state.values == state_again.values


def test_with_bpe_dropout_an_epoch_has_the_same_pairs_in_other_tokens() -> None:
    usual = {"tokenizer": "bpe", "vocab_size": 275, "batch_tokens": 60}
    pairs, settings = reversed_words(**usual, bpe_dropout=0.5)
    batches = pairs.batches(network(pairs), settings)
    decode = pairs.tokenizer.decode
    lines = list(zip(pairs.sides["source"].lines, pairs.sides["target"].lines))
    epochs = []
    for number in (0, 1, 0):
        tokens, texts = [], []
        for batch in batches.epoch(number):
            assert batch.source is not None
            assert batch.source_lengths is not None
            for row, length in enumerate(batch.source_lengths.tolist()):
                source = batch.source[row, :length].tolist()
                target = [id for id in batch.targets[row].tolist() if id != IGNORE_INDEX]
                assert batch.inputs[row, 1 : len(target)].tolist() == target[:-1]
                tokens.append((source, target))
                texts.append((decode(source).decode()[:-1], decode(target).decode()[:-1]))
        assert sorted(texts) == sorted(lines)
        epochs.append(tokens)
        # Pairs of similar length share a batch: the lengths of batches do not overlap.
        sides = [sorted(longer(batch)) for batch in batches.epoch(number)]
        assert all(one[-1] <= other[0] for one, other in pairwise(sorted(sides)))
    assert epochs[0] == epochs[2]
    assert sorted(epochs[0]) != sorted(epochs[1])
    assert len(batches) == len(pairs.batches(network(pairs), replace(settings, bpe_dropout=0.0)))


def longer(batch: Batch) -> list[int]:
    """The tokens of the longer side of each pair."""
    assert batch.source_lengths is not None
    targets = (batch.targets != IGNORE_INDEX).sum(1)
    return torch.maximum(batch.source_lengths, targets).tolist()


def test_bpe_dropout_leaves_out_the_pairs_that_are_left_out_without_it() -> None:
    usual = {"tokenizer": "bpe", "vocab_size": 275, "batch_tokens": 60}
    pairs, settings = reversed_words(**usual, bpe_dropout=0.2, max_length=5)
    assert 0 < pairs.train.num_long < 60
    batches = list(pairs.batches(network(pairs), settings).epoch(0))
    assert sum(len(batch.inputs) for batch in batches) == pairs.train.num_pairs
    assert max(batch.inputs.shape[1] for batch in batches) <= 5


def test_scheduled_sampling_encodes_the_source_without_dropout() -> None:
    pairs, settings = reversed_words()
    model = network(pairs, dropout_hidden=0.5, dropout_input=0.5).train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    batch = pairs.batches(model, settings).epoch(0)[0]
    torch.manual_seed(3)
    torch.rand(batch.inputs.shape)
    uniform = torch.rand(batch.inputs.shape, dtype=torch.float64)
    torch.manual_seed(3)
    start = lambda: model.encode(batch.source, batch.source_lengths)  # noqa: E731
    inputs = mix_in_samples(model, batch.inputs, start, forcing_rate=0.0)
    assert model.training
    model.eval()
    state = model.start(batch.source, batch.source_lengths)
    for t in range(1, inputs.shape[1]):
        p = model.log_probs(state).double().exp().cumsum(1)
        sampled = (p / p[:, -1:] <= uniform[:, t, None]).sum(1)
        assert inputs[:, t].tolist() == sampled.tolist()
        state = model.advance(state, sampled[:, None])


@pytest.mark.parametrize("metric", ["loss", "bleu"])
def test_the_metric_decides_what_is_best_and_when_to_stop(metric) -> None:
    pairs, settings = reversed_words(valid_metric=metric, patience=2, epochs=9, batch_tokens=400)
    trainer = make(pairs, settings)
    rows = iter(
        [(3.0, 5.0), (2.0, 4.0), (2.5, 6.0), (2.6, 5.5), (1.0, 5.0), (2.1, 4.0), (2.2, 5.9)]
    )
    trainer.validate = lambda: dict(zip(("loss", "bleu"), next(rows)))
    watcher = finish(trainer)
    best = [row["best"] for row in watcher.rows]
    if metric == "loss":
        assert best == [True, True, False, False]
    else:  # a lower loss counts as an improvement too
        assert best == [True, False, True, False, False, False, False]
        assert trainer.early_stopping.best_cost == -6.0
    assert validation_cost({"valid_loss": 2.0, "valid_bleu": 30.0}, "bleu") == -30.0


def test_it_learns_to_reverse_words() -> None:
    pairs, settings = reversed_words(
        400, valid_metric="bleu", valid_every=10**6, epochs=25, batch_tokens=200, lr=0.01,
        clip=1.0, patience=None, schedule="cosine", warmup=0.1,
    )  # fmt: skip
    [row] = finish(make(pairs, settings, width=32, attention="additive")).rows
    assert row["valid_loss"] < 0.1 < math.log(8)
    assert row["valid_bleu"] > 95


# --------------------------------------------------------------------------------------- refusals


def test_a_metric_needs_validation_text() -> None:
    pairs, settings = reversed_words(valid_metric="bleu")
    without_validation = TranslationTask(
        pairs.sides, pairs.tokenizer, None, pairs.train, None, "toy", 100
    )
    with pytest.raises(UsageError, match="needs validation text: valid_source and valid_target"):
        without_validation.complete_settings(settings, network(pairs))
    pairs, settings = reversed_words(r_drop=5.0)
    with pytest.raises(UsageError, match="r_drop needs softmax full, which computes every type"):
        pairs.complete_settings(settings, network(pairs, softmax="adaptive"))
    pairs, settings = reversed_words(bpe_dropout=0.1)
    with pytest.raises(UsageError, match="bpe_dropout needs tokens that seqlm learns"):
        pairs.complete_settings(settings, network(pairs))


def test_validation_leaves_out_pairs_beyond_the_learned_positions_with_a_warning() -> None:
    pairs, _ = reversed_words()
    model = network(pairs, "transformer", positions="learned", context_length=4)
    with pytest.warns(UserWarning, match=r"30 validation pairs are beyond .* length of 4 tokens"):
        batches = pairs.validation_batches(model, 100)
    assert max(batch.source.shape[1] for batch in batches.epoch(0)) == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seq_length": 5}, "seq_length needs task lm"),
        ({"batch_size": 5}, "batch_size needs task lm"),
        ({"context": "sentence"}, "context needs task lm"),
        ({"variable_length": True}, "variable_length needs task lm"),
        ({"valid_fraction": 0.1}, "valid_fraction needs task lm"),
        ({"experts": 2}, "experts needs task lm"),
        ({"task": "lm", "batch_tokens": 99}, "batch_tokens needs task translation"),
        ({"task": "lm", "max_length": 99}, "max_length needs task translation"),
        ({"task": "lm", "valid_metric": "bleu"}, "valid_metric needs task translation"),
        ({"task": "lm", "attention": "dot"}, "attention needs task translation"),
        ({"task": "parsing"}, "task is 'parsing'; did you mean 'tagging'?"),
        ({"arch": "mamba"}, "arch mamba needs task lm"),
        ({"arch": "gru", "heads": 2}, "heads is an option of transformer, not of gru"),
        ({"attention": "dot"}, "attention is an option of rnn, lstm, gru, not of transformer"),
        ({"arch": "gru", "attention": "bahdanau"}, "attention is 'bahdanau'"),
        (
            {"separate_vocab": True, "share_embeddings": True},
            "share_embeddings needs separate_vocab False",
        ),
        ({"max_length": 99, "batch_tokens": 50}, "max_length 99 is longer than batch_tokens 50"),
        ({"context_length": 30}, "context_length needs positions learned"),
        (
            {"positions": "learned", "context_length": 30, "max_length": 31},
            "max_length 31 is longer than context_length 30",
        ),
        ({"optimizer": "sgd"}, "optimizer sgd has no default learning rate"),
    ],
)
def test_settings_of_another_task_are_refused(given, message) -> None:
    with pytest.raises(UsageError) as error:
        resolve({"task": "translation", **given})
    assert message in str(error.value)


def test_the_longest_pair_fits_a_batch_and_the_model() -> None:
    settings, _ = resolve({"task": "translation", "batch_tokens": 50})
    assert settings.max_length == 50
    settings, model = resolve({"task": "translation", "positions": "learned"})
    assert settings.max_length == model["context_length"]
    settings, _ = resolve({"task": "translation", "positions": "learned", "context_length": 30})
    assert settings.max_length == 30


def test_label_smoothing_is_no_default_of_a_softmax_that_has_none() -> None:
    assert resolve({"task": "translation"})[0].label_smoothing > 0
    settings, _ = resolve({"task": "translation", "softmax": "adaptive"})
    assert settings.label_smoothing == 0


def test_the_joint_vocabulary_numbers_both_sides() -> None:
    pairs, _ = reversed_words()
    again = encode_bitext(
        pairs.sides["target"], pairs.sides["source"], pairs.tokenizer, pairs.tokenizer
    )
    assert again.source.tolist() == pairs.train.target.tolist()
    assert pairs.vocabulary_sizes() == {"vocab_size": 8}
