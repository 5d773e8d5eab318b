"""Training a labeler: its text, its loss and validation, and what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from seqlm.errors import DataError, UsageError
from seqlm.models import model_class
from seqlm.models.labeling.outputs.crf import CRF
from seqlm.text.labeled.encode_records import convert_tags
from seqlm.text.labeled.labeled_batches import LabeledBatches
from seqlm.text.labeled.spans import find_spans
from seqlm.training.config.resolve import resolve
from seqlm.training.optimization.whole_objective import WholeObjective
from seqlm.training.tasks.files_by_role import files_by_role
from seqlm.training.tasks.labeling_task import LabelingTask
from tests.training.labeled_toy import (
    make_labeler,
    make_task,
    rated_text,
    settings_of,
    tagged_text,
)
from tests.training.toy import CPU, finish

VALID = tagged_text(9, seed=2)


def trained(text: str, valid: str | None = None, **given: Any) -> Any:
    """The task, the labeler, and the rows of its validations."""
    task, settings, options = make_task(text, valid, **given)
    network, trainer = make_labeler(task, settings, options)
    return task, network, finish(trainer).rows


# ------------------------------------------------------------------------------------ the text


def test_tagging_reads_the_last_column_and_its_scheme() -> None:
    task, _, _ = make_task(tagged_text(), VALID)
    [column] = task.labels.labels
    assert (column.name, column.text_scheme, column.model_scheme) == ("tag", "iob1", "iob1")
    assert set(column.labels) == {"I-NP", "B-NP", "I-VP", "O"}
    assert len(task.train) == 24
    assert len(task.valid) == 9
    statistics = task.statistics(settings_of()[0])
    tokens = sum(len(record.tokens) for record in task.train)
    assert statistics["tokens"] == statistics["words"] == tokens
    assert statistics["valid_tokens"] == sum(len(record.tokens) for record in task.valid)
    assert "corpus: 24 sentences of " in task.describe()
    assert "tag: 4 labels, scheme iob1" in task.describe()


def test_classification_counts_texts() -> None:
    task, settings, _ = make_task(rated_text(), rated_text(7, 2), task="classification")
    statistics = task.statistics(settings)
    assert (statistics["lines"], statistics["tokens"], statistics["valid_tokens"]) == (24, 24, 7)
    assert statistics["words"] == sum(len(record.tokens) for record in task.train)
    assert "corpus: 24 texts of" in task.describe()


def test_the_end_of_the_corpus_is_held_out() -> None:
    whole, _, _ = make_task(tagged_text())
    task, _, _ = make_task(tagged_text(), valid_fraction=0.25)
    assert [record.lines for record in task.train + task.valid] == [
        record.lines for record in whole.train
    ]
    assert len(task.valid) == 6
    assert task.has_validation
    words = {token for record in task.train for token in record.tokens}
    assert {type_.decode() for type_ in task.tokenizer.types[2:]} == words
    with pytest.raises(DataError, match=r"1 records cannot be split: valid_fraction 0\.2 n"):
        make_task(tagged_text(1), valid_fraction=0.2)


def test_several_columns_are_learned_together() -> None:
    task, network, rows = trained(
        tagged_text(), VALID, label_column="tag,pos", scheme="bioes", crf=True
    )
    assert task.labels.columns == ["tag", "pos"]
    assert [column.model_scheme for column in task.labels.labels] == ["bioes", "none"]
    assert network.config.label_types == (
        len(task.labels.labels[0].labels),
        len({"NN", "DT", "VBD", "RB", "."}),
    )
    assert "tag: 5 labels, scheme iob1, learned as bioes" in task.describe()
    assert "pos: 5 labels" in task.describe()
    assert {"valid_loss", "valid_f1"} <= rows[-1].keys()


def test_a_column_is_read_as_a_feature() -> None:
    task, network, rows = trained(
        tagged_text(), VALID, feature_column="pos", casing=False, epochs=8
    )
    assert network.config.column_types == (6,)
    assert task.encoded.columns.shape[1] == 1
    assert rows[-1]["valid_f1"] > rows[0]["valid_f1"]


def test_affixes_have_embeddings() -> None:
    task, network, _ = trained(tagged_text(), affixes=2, epochs=1)
    assert len(network.config.affix_types) == 4
    assert all(types > 1 for types in network.config.affix_types)
    assert [len(kind) + 1 for kind in task.labels.affixes] == [*network.config.affix_types]


# ---------------------------------------------------------------------------------- the figures


@pytest.mark.parametrize(
    ("given", "text", "valid"),
    [
        ({}, tagged_text(), VALID),
        ({"crf": True, "scheme": "bioes"}, tagged_text(), VALID),
        ({"arch": "transformer", "heads": 2, "label_column": "pos"}, tagged_text(), VALID),
        ({"task": "classification"}, rated_text(), rated_text(9, 2)),
        ({"task": "classification", "arch": "cnn"}, rated_text(), rated_text(9, 2)),
    ],
    ids=str,
)
def test_the_figures_are_those_of_one_record_at_a_time(
    given: dict[str, Any], text: str, valid: str
) -> None:
    """The mean log-likelihood, and accuracy or F1 by counting; for every size of a batch."""
    task, settings, options = make_task(text, valid, dropout=0.3, **given)
    network, trainer = make_labeler(task, settings, options)
    finish(trainer)
    network.double()
    [column] = task.labels.labels
    network.eval()
    total, gold, predicted = 0.0, [], []
    for record in task.valid:
        [batch] = LabeledBatches(task.encode([record]), 1, 1, CPU).epoch(0)
        with torch.no_grad():
            [distribution] = network(batch)
            total -= distribution.log_likelihood(batch.labels[..., 0]).item()
        labels = [column.labels[id] for id in distribution.decode()[0]]
        predicted.append(convert_tags(labels, column.model_scheme, column.text_scheme))
        gold.append(record.columns[column.name])
    pairs = [(a, b) for ours, theirs in zip(gold, predicted) for a, b in zip(ours, theirs)]
    metric = "accuracy"
    expected = sum(a == b for a, b in pairs) / len(pairs)
    if column.text_scheme != "none":
        spans, found = (
            {(n, *span) for n, tags in enumerate(lines) for span in find_spans(tags)}
            for lines in (gold, predicted)
        )
        metric, expected = "f1", 2 * len(spans & found) / (len(spans) + len(found))
    for batch_size in (1, 4, 1000):
        figures = task.validate(network, metric, batch_size)
        assert figures["loss"] == pytest.approx(total / len(pairs), abs=1e-9)
        assert figures[metric] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:validation text")
def test_the_loss_of_training_is_that_of_validation() -> None:
    """On the same records, without dropout; a label that is not known counts for neither."""
    text = tagged_text(8)
    unknown = text.replace("I-VP", "I-XP", 1)
    for valid in (text, unknown):
        task, settings, options = make_task(text, valid)
        network, trainer = make_labeler(task, settings, options)
        network.double()
        objective = WholeObjective(network, trainer.precision)
        batches = task.batches(network, settings).epoch(0)
        total = sum(objective(batch, None)[0].item() * batch.num_targets for batch in batches)
        tokens = sum(batch.num_targets for batch in batches)
        figures = task.validate(network, "accuracy", 3)
        if valid == text:
            assert figures["loss"] == pytest.approx(total / tokens, abs=1e-9)
        else:
            assert figures["loss"] < total / tokens


def test_validation_leaves_the_mode_as_it_is() -> None:
    task, settings, options = make_task(tagged_text(), VALID, dropout=0.5)
    network, trainer = make_labeler(task, settings, options)
    assert trainer.validate is not None
    network.train()
    state = torch.get_rng_state()
    figures = trainer.validate()
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert trainer.validate() == figures
    network.eval()
    assert trainer.validate() == figures
    assert not network.training


@pytest.mark.parametrize(
    ("given", "metric"),
    [
        ({}, "f1"),
        ({"label_column": "pos"}, "accuracy"),
        ({"valid_metric": "accuracy"}, "accuracy"),
        ({"valid_metric": "macro-f1", "label_column": "pos"}, "macro-f1"),
        ({"valid_metric": "loss"}, "loss"),
    ],
)
def test_the_metric_is_that_of_the_labels(given: dict[str, Any], metric: str) -> None:
    task, settings, options = make_task(tagged_text(), VALID, **given)
    _, trainer = make_labeler(task, settings, options)
    assert trainer.settings.valid_metric == metric
    assert trainer.settings.context == "sentence"
    assert trainer.validate is not None
    figures = trainer.validate()
    assert figures.keys() == {"loss", "accuracy" if metric == "loss" else metric}


@pytest.mark.parametrize("metric", ["f1", "loss"])
def test_the_metric_decides_what_is_best_and_when_to_stop(metric: str) -> None:
    task, settings, options = make_task(
        tagged_text(), VALID, valid_metric=metric, patience=2, epochs=9
    )
    _, trainer = make_labeler(task, settings, options)
    figures = iter([(3.0, 50.0), (2.0, 40.0), (2.5, 60.0), (2.6, 55.0), (2.7, 50.0), (2.8, 1.0)])
    trainer.validate = lambda: dict(zip(("loss", "f1"), next(figures)))
    best = [row["best"] for row in finish(trainer).rows]
    expected = {"loss": [True, True, False, False], "f1": [True, False, True, False, False]}
    assert best == expected[metric]


# ---------------------------------------------------------------------------------- what it learns


@pytest.mark.parametrize(
    "given",
    [
        {"arch": "lstm", "crf": True, "scheme": "bioes"},
        {"arch": "ffnn"},
        {"arch": "transformer", "heads": 2, "layers": 1},
    ],
    ids=str,
)
def test_it_learns_the_chunks(given: dict[str, Any]) -> None:
    quick = {"width": 16, "epochs": 14, "batch_size": 16, "patience": None}
    _, _, rows = trained(tagged_text(80), VALID, **quick, **given)
    assert rows[-1]["valid_f1"] > 0.95


@pytest.mark.parametrize("arch", ["cnn", "lstm"])
def test_it_learns_to_rate_texts(arch: str) -> None:
    quick = {"epochs": 12, "batch_size": 16, "patience": None}
    _, _, rows = trained(
        rated_text(100), rated_text(30, 2), task="classification", arch=arch, **quick
    )
    assert rows[-1]["valid_accuracy"] > 0.9


def test_a_crf_keeps_to_the_scheme_that_it_learned() -> None:
    task, network, _ = trained(tagged_text(), crf=True, scheme="bioes", epochs=1)
    [output], [column] = network.outputs, task.labels.labels
    assert isinstance(output, CRF)
    at = column.labels.index
    assert output.allowed_transitions[at("B-NP"), at("E-NP")]
    assert not output.allowed_transitions[at("B-NP"), at("O")]
    assert not output.allowed_start[at("E-NP")]
    assert not output.allowed_end[at("B-NP")]
    bare = make_labeler(*make_task(tagged_text(), crf=True, label_column="pos"))[0].outputs[0]
    assert isinstance(bare, CRF)
    assert bare.allowed_transitions.all()


@pytest.mark.parametrize("training", ["tuned", "frozen", "warmed"])
def test_vectors_are_trained_when_they_are_to_be(training: str) -> None:
    task, settings, options = make_task(
        tagged_text(), vectors_training=training, epochs=5, weight_decay=0.1
    )
    network, trainer = make_labeler(task, settings, options)
    vectors, first = network.word_features.embedding, None
    before = vectors.detach().clone()
    other = network.outputs[0].get_parameter("linear.weight").detach().clone()
    total = trainer.total_steps
    while trainer.progress.step < total:
        trainer.step()
        if first is None and not torch.equal(vectors, before):
            first = trainer.progress.step
    assert not torch.equal(network.outputs[0].get_parameter("linear.weight"), other)
    # The step after a fifth of them is the first that changes something.
    assert first == {"tuned": 1, "frozen": None, "warmed": total // 5 + 1}[training]


# -------------------------------------------------------------------------------------- refusals


def build(given: dict[str, Any]) -> None:
    """The network of resolved settings."""
    settings, options = resolve({"task": "tagging", "arch": "lstm", **given})
    sizes = make_task(tagged_text())[0].vocabulary_sizes()
    model_class(settings.task, settings.arch).from_settings({**sizes, **options})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"label_column": "chunk"}, "has no column 'chunk' (label_column)"),
        ({"label_column": "tag,chunk"}, "there is no column 'chunk'"),
        ({"feature_column": "poss"}, "there is no column 'poss'; did you mean 'pos'"),
        ({"feature_column": "tag"}, "label_column and feature_column name tag twice"),
        ({"feature_column": "pos, pos"}, "label_column and feature_column name pos twice"),
        ({"label_column": "pos,pos"}, "label_column and feature_column name pos twice"),
        ({"scheme": "bioes", "label_column": "pos"}, "scheme bioes: the labels of pos are no tags"),
        ({"valid_metric": "bleu"}, "valid_metric bleu is for translations; use loss, accuracy"),
    ],
)
def test_what_the_text_does_not_have_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        make_labeler(*make_task(tagged_text(), VALID, **given))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"arch": "cnn"}, "arch cnn needs task classification"),
        ({"arch": "mamba"}, "arch mamba needs task lm"),
        ({"width": 7}, "bidirectional needs an even width; 7 is odd"),
        ({"characters": "lstm", "character_width": 5}, "needs an even character_width; 5 is odd"),
        ({"arch": "transformer", "heads": 3, "width": 8}, "heads 3 does not divide width 8"),
        (
            {"arch": "transformer", "characters": "lstm", "character_width": 5, "heads": 2},
            "needs an even character_width; 5 is odd",
        ),
        ({"characters": "none", "character_width": 4}, "character_width needs characters"),
        ({"pooling": "mean"}, "pooling needs task classification"),
        ({"text_column": "text"}, "text_column needs task classification"),
        ({"seq_length": 5}, "seq_length needs task lm"),
        ({"context": "carried"}, "context needs task lm"),
        ({"max_length": 5}, "max_length needs task translation"),
        ({"batch_tokens": 50}, "batch_tokens needs task translation"),
        ({"label_smoothing": 0.1}, "label_smoothing needs task lm or translation"),
        ({"scheduled_sampling": "linear"}, "scheduled_sampling needs task lm or translation"),
        ({"compile": True}, "compile needs task lm or translation"),
        ({"direction": "backward"}, "direction needs task lm"),
        ({"optimizer": "sgd"}, "optimizer sgd has no default learning rate for arch lstm"),
        ({"task": "classification", "crf": True}, "crf needs task tagging"),
        ({"task": "classification", "scheme": "bioes"}, "scheme needs task tagging"),
        ({"task": "classification", "feature_column": "pos"}, "feature_column needs task tagging"),
        ({"task": "classification", "arch": "ffnn"}, "arch ffnn needs task lm or task tagging"),
        ({"task": "lm", "label_column": "pos"}, "label_column needs task tagging"),
        ({"task": "lm", "crf": True}, "crf needs task tagging"),
    ],
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        build(given)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tokenizer": "char"}, "tokenizer char: a labeler reads words"),
        ({"vocab": "run"}, "vocab: a labeler takes its words from its text and its vectors"),
        ({"normalize": "lower,punct"}, "normalize: punct makes several words of one"),
    ],
)
def test_units_other_than_words_are_refused(given: dict[str, Any], message: str) -> None:
    settings, _ = settings_of(**given)
    with pytest.raises(UsageError) as error:
        LabelingTask.read({"corpus": ["nowhere"], "valid": []}, settings, "strict")
    assert message in str(error.value)


def test_validation_in_another_format_needs_the_column_too() -> None:
    conllu = "1\tfrog\t_\tNOUN\tNN\t_\t_\t_\t_\t_\n\n"
    with pytest.raises(UsageError, match="toy, line 1: there is no column 'tag'"):
        make_task(tagged_text(), conllu)


@pytest.mark.parametrize("task", ["tagging", "classification"])
def test_the_files_of_a_labeler(task: str) -> None:
    settings, _ = resolve({"task": task, "arch": "lstm"})
    nothing: dict[str, list[str]] = {
        name: [] for name in ("corpus", "valid", "source", "target", "valid_source", "valid_target")
    }
    files = files_by_role(settings, {**nothing, "corpus": ["a", "b"], "valid": ["c"]})
    assert files == {"corpus": ["a", "b"], "valid": ["c"]}
    for given, message in (
        ({}, "a labeler learns from a corpus: name a text file"),
        ({"corpus": ["a"], "source": ["b"]}, "source, target and the like are for task transl"),
        ({"corpus": ["-"], "valid": ["-"]}, "- stands for standard input, which can be read once"),
    ):
        with pytest.raises(UsageError) as error:
            files_by_role(settings, {**nothing, **given})
        assert message in str(error.value)
    fraction, _ = resolve({"task": task, "arch": "lstm", "valid_fraction": 0.1})
    with pytest.raises(UsageError, match="valid and valid_fraction exclude each other"):
        files_by_role(fraction, {**nothing, "corpus": ["a"], "valid": ["b"]})


def test_equal_text_has_equal_digests() -> None:
    first, _, _ = make_task(tagged_text(), VALID)
    again, _, _ = make_task(tagged_text(), VALID)
    other, _, _ = make_task(tagged_text(), VALID.replace("frog", "toad"))
    assert first.digests() == again.digests()
    assert first.digests()["corpus"] == other.digests()["corpus"]
    assert first.digests()["valid"] != other.digests()["valid"]
    assert np.array_equal(first.encoded.form_of, again.encoded.form_of)
