"""A labeler with known probabilities on a text small enough to count by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import seqlm
from seqlm.errors import DataError, UsageError
from seqlm.evaluation.labeling.evaluate_labeler import (
    Finding,
    evaluate_labeler,
    figures_of,
    read_gold,
)
from seqlm.evaluation.labeling.label_counts import SMALLEST
from seqlm.runs.loading.load_labeler import LoadedLabeler, load_labeler
from seqlm.runs.loading.locate import locate
from seqlm.text.labeled.label_vocabulary import LabelColumn
from seqlm.text.labeled.record import FormatOptions
from seqlm.text.labeled.record_files import read_records, write_record
from seqlm.text.labeled.spans import find_spans
from tests.evaluation.labeling.lexicon import write_classifier, write_tagger

POS = LabelColumn("tag", ("NN", "DT", "VB"))
LEXICON = {
    "the": [0.1, 0.8, 0.1], "pike": [0.7, 0.1, 0.2], "swims": [0.2, 0.1, 0.7],
    "<unk>": [0.5, 0.25, 0.25],
}  # fmt: skip
TEXT = "the DT\npike NN\nswims VB\n\nthe DT\nswims NN\neel NN\n\n\neel VB\npike UH\n"
"""Predicted: DT NN VB, DT VB NN, NN NN."""
EXPECTED = {
    "accuracy": 5 / 8,
    "precision": 5 / 8,
    "recall": 5 / 8,
    "f1": 5 / 8,
    "macro-f1": (1 + 4 / 7 + 1 / 2 + 0) / 4,  # DT, NN, VB, UH
    "sentence-accuracy": 1 / 3,
    "unseen-accuracy": 1 / 2,  # eel, eel
    "log-loss": -sum(map(math.log, (0.8, 0.7, 0.7, 0.8, 0.2, 0.5, 0.25, SMALLEST))) / 8,
    "ece": (abs(1.6 - 2) + abs(2.8 - 2) + abs(1.0 - 1)) / 8,  # of 0.8, 0.7 and 0.5
}


def load(path: Path) -> LoadedLabeler:
    return load_labeler(locate(path))


@pytest.fixture
def tagger(tmp_path: Path) -> LoadedLabeler:
    return load(write_tagger(tmp_path / "tagger", {POS: LEXICON}))


def write(folder: Path, text: str) -> list[str]:
    path = folder / "text"
    path.write_text(text, encoding="utf-8")
    return [str(path)]


def test_every_figure_of_a_tagger_is_what_a_person_counts(tagger, tmp_path):
    records = read_gold(tagger, write(tmp_path, TEXT))
    for batch_size in (1, 2, 64):
        [column] = evaluate_labeler(tagger, records, list(EXPECTED), batch_size=batch_size)
        assert column.predicted == [["DT", "NN", "VB"], ["DT", "VB", "NN"], ["NN", "NN"]]
        assert column.evaluation.figures == pytest.approx(EXPECTED, rel=1e-6)
        assert column.unknown == Finding(1, "UH", str(tmp_path / "text"), 11)
        assert column.ill_formed == (None, None)
    assert "|column:tag|format:columns|unknown-labels:1|arch:ffnn|weights:" in column.signature


def test_words_that_only_have_vectors_are_unseen(tmp_path):
    """The first 4 types, 2 of them reserved, are of the training text: `the`, `pike`."""
    tagger = load(write_tagger(tmp_path / "run", {POS: LEXICON}, types=4))
    records = read_gold(tagger, write(tmp_path, TEXT))
    [column] = evaluate_labeler(tagger, records, ["unseen-accuracy"])
    assert column.evaluation.counts.total().unseen == 4  # swims, swims, eel, eel
    assert column.evaluation.figures["unseen-accuracy"] == 2 / 4


def test_the_default_metrics_of_tags_without_spans_are_accuracy(tagger, tmp_path):
    records = read_gold(tagger, write(tmp_path, TEXT))
    [column] = evaluate_labeler(tagger, records)
    assert [*column.evaluation.figures] == ["accuracy"]


def test_figures_of_spans_are_those_of_the_text_that_is_written(tmp_path):
    """By the definition of conlleval, on what `seqlm tag` writes: a softmax tagger predicts an I-X
    behind O, which begins a span."""
    names = LabelColumn("tag", ("O", "B-X", "I-X", "B-Y"), "iob2", "iob2")
    lexicon = {
        "a": [0.1, 0.7, 0.1, 0.1], "b": [0.1, 0.1, 0.7, 0.1], "c": [0.1, 0.1, 0.1, 0.7],
        "<unk>": [0.7, 0.1, 0.1, 0.1],
    }  # fmt: skip
    tagger = load(write_tagger(tmp_path / "run", {names: lexicon}))
    text = "a B-X\nb I-X\n- O\nb B-X\n\nc B-Y\na B-X\na I-X\n\n- I-X\nc B-Y\n"
    files = write(tmp_path, text)
    [column] = evaluate_labeler(tagger, read_gold(tagger, files))
    # Predicted are B-X I-X O I-X, B-Y B-X B-X and O B-Y, which stand for 6 spans, as the gold tags
    # do. Both have X 0-2, X 3-4; Y 0-1; Y 1-2.
    assert column.evaluation.figures == {"accuracy": 6 / 9, "f1": 2 * 4 / (6 + 6)}
    gold_finding, predicted_finding = column.ill_formed
    assert (gold_finding.times, gold_finding.label, gold_finding.line) == (1, "I-X", 10)
    assert (predicted_finding.times, predicted_finding.label) == (1, "I-X")
    assert predicted_finding.line == 4

    plain = read_records(files, "tagging", FormatOptions())
    records = [record for record in plain if not record.is_blank]
    pairs = zip(records, column.predicted)
    written = "".join(write_record(record, {"tag": labels}) for record, labels in pairs)
    spans = {
        name: [
            (number, *span)
            for number, sentence in enumerate(each.split("\n\n"))
            for span in find_spans([line.split()[1] for line in sentence.split("\n") if line])
        ]
        for name, each in {"gold": text, "predicted": written}.items()
    }
    matched = len({*spans["gold"]} & {*spans["predicted"]})
    total = len(spans["gold"]) + len(spans["predicted"])
    assert column.evaluation.figures["f1"] == 2 * matched / total


def test_probabilities_are_of_the_labels_in_the_scheme_of_the_model(tmp_path):
    chunks = LabelColumn("tag", ("O", "S-X", "B-X", "E-X"), "iob2", "bioes")
    lexicon = {
        "one": [0.1, 0.7, 0.1, 0.1], "first": [0.1, 0.1, 0.6, 0.2], "last": [0.1, 0.1, 0.2, 0.6],
        "<unk>": [0.7, 0.1, 0.1, 0.1],
    }  # fmt: skip
    tagger = load(write_tagger(tmp_path / "run", {chunks: lexicon}))
    files = write(tmp_path, "one B-X\n\nfirst B-X\nlast I-X\n- O\n\none I-Y\n")
    [column] = evaluate_labeler(tagger, read_gold(tagger, files), ["accuracy", "log-loss"])
    assert column.predicted == [["B-X"], ["B-X", "I-X", "O"], ["B-X"]]
    nats = -sum(map(math.log, (0.7, 0.6, 0.6, 0.7, SMALLEST))) / 5
    assert column.evaluation.figures == pytest.approx({"accuracy": 4 / 5, "log-loss": nats})
    assert column.unknown is not None
    assert column.unknown.label == "I-Y"


def test_each_column_of_a_joint_model_has_its_figures(tmp_path):
    number = LabelColumn("number", ("sg", "pl"))
    counts = {"the": [0.6, 0.4], "pike": [0.6, 0.4], "swims": [0.9, 0.1], "<unk>": [0.2, 0.8]}
    tagger = load(write_tagger(tmp_path / "run", {POS: LEXICON, number: counts}))
    text = "the DT sg\npike NN pl\nswims VB sg\n\n"
    files = write(tmp_path, text)
    records = read_gold(tagger, files, label_columns=["2", "3"])
    columns = evaluate_labeler(tagger, records, ["accuracy", "log-loss"])
    assert {name: figure.value for name, figure in figures_of(columns).items()} == pytest.approx(
        {
            "tag:accuracy": 1,
            "tag:log-loss": -sum(map(math.log, (0.8, 0.7, 0.7))) / 3,
            "number:accuracy": 2 / 3,
            "number:log-loss": -sum(map(math.log, (0.6, 0.4, 0.9))) / 3,
        }
    )
    with pytest.raises(UsageError, match=r"label_column names 1 columns, and .* predicts 2"):
        read_gold(tagger, files, label_columns=["2"])
    with pytest.raises(UsageError, match="line 1: there is no column 'number'"):
        read_gold(tagger, files)


def test_gold_labels_may_stand_in_another_column(tagger, tmp_path):
    files = write(tmp_path, TEXT.replace(" ", " _ "))
    by_number = read_gold(tagger, files, label_columns=["3"])
    [column] = evaluate_labeler(tagger, by_number, ["accuracy"])
    assert column.evaluation.figures["accuracy"] == 5 / 8
    [column] = evaluate_labeler(tagger, read_gold(tagger, files, label_columns=["2"]))
    assert column.evaluation.figures["accuracy"] == 0
    with pytest.raises(UsageError, match=r"has no column 'pso' .*did you mean 'pos'"):
        read_gold(tagger, files, label_columns=["pso"])


def test_every_figure_of_a_classifier_is_what_a_person_counts(tmp_path):
    column = LabelColumn("label", ("good", "bad"))
    lexicon = {"warm": [0.9, 0.1], "dull": [0.2, 0.8], "<unk>": [0.5, 0.5]}
    classifier = load(write_classifier(tmp_path / "run", column, lexicon))
    files = write(tmp_path, "good\ta warm film\nbad\ta dull film\nbad\twarm warm\nodd\tdull\n")
    records = read_gold(classifier, files)
    [found] = evaluate_labeler(classifier, records)
    assert found.predicted == [["good"], ["bad"], ["good"], ["bad"]]
    # good: 1 gold, 2 predicted, 1 right; bad: 2, 2, 1; odd: 1, 0, 0
    macro = (2 / 3 + 2 / 4 + 0) / 3
    assert found.evaluation.figures == pytest.approx({"accuracy": 2 / 4, "macro-f1": macro})
    [found] = evaluate_labeler(classifier, records, ["log-loss", "ece"])
    nats = -sum(map(math.log, (0.9, 0.8, 0.1, SMALLEST))) / 4
    gap = (abs(1.8 - 1) + abs(1.6 - 1)) / 4
    assert found.evaluation.figures == pytest.approx({"log-loss": nats, "ece": gap}, rel=1e-6)
    assert found.unknown == Finding(1, "odd", files[0], 4)
    assert "|unit:text|labels:3|" in found.signature


def test_no_record_is_bad_data_and_no_metric_a_mistake(tagger, tmp_path):
    with pytest.raises(DataError, match="there is no labeled text"):
        evaluate_labeler(tagger, [])
    with pytest.raises(UsageError, match="no metric 'acuracy'; did you mean 'accuracy'"):
        evaluate_labeler(tagger, read_gold(tagger, write(tmp_path, TEXT)), ["acuracy"])


def test_python_has_the_same_figures(tmp_path):
    model = seqlm.load(write_tagger(tmp_path / "run", {POS: LEXICON}), device="cpu")
    files = write(tmp_path, TEXT)
    result = model.evaluate(files, ["accuracy", "log-loss"])
    [column] = evaluate_labeler(
        model.loaded[0], read_gold(model.loaded[0], files), ["accuracy", "log-loss"]
    )
    assert result.figures == column.evaluation.figures
    assert result.intervals == column.evaluation.intervals
    assert result.signature == column.signature
    assert (result.tokens, result.lines, result.oov) == (8, 3, 1)
    assert model.evaluate(files, label_column="2").figures == {"accuracy": 5 / 8}
    for arguments, message in (
        ({"context": "sentence"}, "context is for language models"),
        ({"metrics": "ppl"}, "no metric 'ppl'"),
        ({"format": "xml"}, "format xml is no format of tagging"),
    ):
        with pytest.raises(UsageError, match=message):
            model.evaluate(files, **arguments)
