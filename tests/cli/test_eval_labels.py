"""`seqlm eval` of taggers and classifiers: its numbers, how they are printed, what it refuses."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seqlm.cli import console
from seqlm.evaluation.labeling.bootstrap import interval, sample_figures
from seqlm.evaluation.labeling.label_counts import count_labels
from seqlm.evaluation.labeling.label_metrics import LABEL_METRICS
from seqlm.text.labeled.label_vocabulary import LabelColumn
from tests.command import Result
from tests.evaluation.labeling.lexicon import write_classifier, write_tagger

POS = LabelColumn("tag", ("NN", "DT", "VB"))
NUMBER = LabelColumn("number", ("sg", "pl"))
LEXICON = {
    "the": [0.1, 0.8, 0.1], "pike": [0.7, 0.1, 0.2], "swims": [0.2, 0.1, 0.7],
    "<unk>": [0.5, 0.25, 0.25],
}  # fmt: skip
BETTER = {**LEXICON, "swims": [0.6, 0.2, 0.2], "<unk>": [0.2, 0.1, 0.7]}
GOLD = [["DT", "NN", "VB"], ["DT", "NN", "NN"], ["VB", "UH"]]
PREDICTED = [["DT", "NN", "VB"], ["DT", "VB", "NN"], ["NN", "NN"]]
TEXT = "the DT\npike NN\nswims VB\n\nthe DT\nswims NN\neel NN\n\n\neel VB\npike UH\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of labelers and a text for each."""
    folder = tmp_path_factory.mktemp("labelers")
    write_tagger(folder / "tagger", {POS: LEXICON})
    write_tagger(folder / "better", {POS: BETTER})
    counts = {word: [0.6, 0.4] for word in LEXICON}
    write_tagger(folder / "joint", {POS: LEXICON, NUMBER: counts})
    films = {"warm": [0.9, 0.1], "dull": [0.2, 0.8], "<unk>": [0.5, 0.5]}
    write_classifier(folder / "films", LabelColumn("label", ("good", "bad")), films)
    (folder / "text").write_text(TEXT, encoding="utf-8")
    (folder / "joint.txt").write_text(TEXT.replace("\n", " sg\n").replace("\n sg", "\n"))
    (folder / "films.txt").write_text("good\ta warm film\nbad\ta dull film\ngood\tdull\n")
    return folder


@pytest.fixture
def evaluated(runs: Path, seqlm: Callable[..., Result]) -> Callable[..., Result]:
    def evaluate_run(*arguments: object, model: str = "tagger", text: str = "text") -> Result:
        return seqlm("eval", "-m", runs / model, runs / text, *arguments)

    return evaluate_run


def rows_of(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out), dialect=csv.excel_tab))


def test_one_metric_is_a_number_and_nothing_else(evaluated):
    result = evaluated("-q")
    assert (result.code, result.out) == (0, "0.625\n")
    assert result.err.count("\n") == len(result.warnings) == 1


def test_every_metric_can_be_asked_for(evaluated):
    names = [name for name, metric in LABEL_METRICS.items() if "tagging" in metric.tasks]
    result = evaluated("--metric", ",".join(names))
    figures = dict(line.split("\t") for line in result.out.splitlines())
    assert list(figures) == names
    assert {name: float(figures[name]) for name in names[:7]} == pytest.approx(
        {
            "accuracy": 5 / 8, "precision": 5 / 8, "recall": 5 / 8, "f1": 5 / 8,
            "macro-f1": (1 + 4 / 7 + 1 / 2) / 4, "sentence-accuracy": 1 / 3,
            "unseen-accuracy": 1 / 2,
        }
    )  # fmt: skip
    assert "accuracy: 62.50 %, 95 % interval " in result.err
    assert "log-loss: 5.11" in result.err
    assert "3 sentences, 8 labels of tag, 2 of words that training did not have" in result.err


def test_intervals_are_those_of_the_bootstrap(evaluated):
    result = json.loads(evaluated("--json", "--samples", "50", "--seed", "7").out)
    counts, _ = count_labels(GOLD, PREDICTED, "none")
    samples = sample_figures(counts, [LABEL_METRICS["accuracy"]], 50, 7)["accuracy"]
    assert result["intervals"] == {"accuracy": list(interval(samples))}


def test_json_is_one_object(evaluated, runs):
    result = evaluated("--json", "-q")
    record = json.loads(result.out)
    assert result.out.count("\n") == 1
    assert list(record) == [
        "accuracy", "intervals", "records", "labels", "unknown_labels", "model", "signatures",
    ]  # fmt: skip
    assert (record["accuracy"], record["records"], record["labels"]) == (5 / 8, 3, 8)
    assert record["unknown_labels"] == 1
    assert record["model"] == str(runs / "tagger")
    signature = record["signatures"]["tag"]
    assert signature.startswith("metric:accuracy|unit:token|outside:O|labels:4|interval:bootstrap")
    assert "|column:tag|format:columns|unknown-labels:1|arch:ffnn|weights:" in signature
    without = json.loads(evaluated("--json", "--samples", 0).out)
    assert without["intervals"] == {}


def test_a_terminal_shows_percent_and_intervals(evaluated, monkeypatch):
    monkeypatch.setattr(console, "is_tty", lambda stream: stream is sys.stdout)
    result = evaluated("--metric", "accuracy,log-loss")
    accuracy, log_loss = result.out.splitlines()
    assert accuracy.split()[:3] == ["accuracy", "62.50", "%"]
    assert "95 % interval 0.00 % to 100.00 %" in accuracy
    assert log_loss.split()[:2] == ["log-loss", "5.11152"]
    assert "interval " not in result.err


def test_the_signature_and_warnings_are_on_stderr(evaluated, runs):
    result = evaluated()
    assert result.warnings == [
        "gold labels of tag that training did not have count as wrong: 1, the first 'UH' in"
        f" {runs / 'text'}, line 11"
    ]
    assert result.err.splitlines()[-1].startswith("metric:accuracy|unit:token|")


def test_the_classes_have_a_table(evaluated):
    rows = rows_of(evaluated("--per-class"))
    assert list(rows[0]) == ["class", "gold", "predicted", "correct", "precision", "recall", "f1"]
    assert [[*row.values()] for row in rows] == [
        ["NN", "3", "4", "2", "0.5", "0.666666667", "0.571428571"],
        ["DT", "2", "2", "2", "1", "1", "1"],
        ["VB", "2", "2", "1", "0.5", "0.5", "0.5"],
        ["UH", "1", "0", "0", "0", "0", "0"],
    ]


def test_confusions_come_before_what_is_right(evaluated):
    rows = rows_of(evaluated("--confusion"))
    assert [tuple(row.values()) for row in rows] == [
        ("NN", "VB", "1"), ("VB", "NN", "1"), ("UH", "NN", "1"),
        ("NN", "NN", "2"), ("DT", "DT", "2"), ("VB", "VB", "1"),
    ]  # fmt: skip
    lines = evaluated("--confusion", "--json").out.splitlines()
    assert json.loads(lines[0]) == {"gold": "NN", "predicted": "VB", "times": 1}


def test_errors_stand_between_their_neighbors(evaluated, runs):
    rows = rows_of(evaluated("--first-errors", 2))
    expected = {
        "file": str(runs / "text"), "line": "6", "sentence": "2", "position": "2",
        "token": "swims", "gold": "NN", "predicted": "VB", "left": "the", "right": "eel",
    }  # fmt: skip
    assert rows[0] == expected
    assert [row["line"] for row in rows] == ["6", "10"]
    assert len(rows_of(evaluated("--first-errors", 9))) == 3


def test_a_table_of_no_rows_has_its_header(evaluated, tmp_path):
    (tmp_path / "right").write_text("the DT\npike NN\nswims VB\n\n")
    result = evaluated("--first-errors", 5, text=tmp_path / "right")
    assert result.out == "file\tline\tsentence\tposition\ttoken\tgold\tpredicted\tleft\tright\n"


def test_a_classifier_has_figures_and_errors(evaluated, runs):
    result = evaluated(model="films", text="films.txt")
    assert result.out == f"accuracy\t{2 / 3:.10g}\nmacro-f1\t{(2 / 3 + 2 / 3) / 2:.10g}\n"
    assert "3 texts" in result.err
    [row] = rows_of(evaluated("--first-errors", 3, model="films", text="films.txt"))
    assert (row["line"], row["token"], row["predicted"]) == ("3", "dull", "bad")


def test_columns_of_a_joint_model_have_their_names(evaluated):
    arguments = ("--label-column", "2,tag", "-q")
    result = evaluated(*arguments, model="joint", text="joint.txt")
    assert result.out == "tag:accuracy\t0.625\nnumber:accuracy\t1\n"
    rows = rows_of(evaluated(*arguments, "--per-class", model="joint", text="joint.txt"))
    assert [(row["column"], row["class"]) for row in rows][-2:] == [("tag", "UH"), ("number", "sg")]


def test_two_models_are_compared_on_the_same_samples(evaluated, runs):
    """The second is right at `swims` and `eel` as VB, and wrong where the first was right."""
    rows = rows_of(evaluated("-m", runs / "better", "--metric", "accuracy,log-loss"))
    assert list(rows[0]) == [
        "model", "metric", "value", "low", "high",
        "difference", "difference_low", "difference_high", "p",
    ]  # fmt: skip
    assert [(Path(row["model"]).name, row["metric"]) for row in rows] == [
        ("tagger", "accuracy"), ("tagger", "log-loss"),
        ("better", "accuracy"), ("better", "log-loss"),
    ]  # fmt: skip
    assert [row["difference"] for row in rows[:2]] == ["", ""]
    assert float(rows[2]["value"]) == 5 / 8
    assert float(rows[2]["difference"]) == 0
    assert float(rows[2]["p"]) == 1
    nats = -sum(map(math.log, (0.6 / 0.2, 0.2 / 0.7, 0.2 / 0.5, 0.7 / 0.25))) / 8
    assert float(rows[3]["difference"]) == pytest.approx(nats, rel=1e-5)
    lines = evaluated("-m", runs / "better", "--json", "-q").out.splitlines()
    assert [json.loads(line)["p"] for line in lines] == [None, 1.0]


def test_the_latest_run_may_be_a_tagger(runs, seqlm, workplace):
    (workplace / "checkpoints").mkdir()
    (workplace / "checkpoints" / "tagger").symlink_to(runs / "tagger")
    result = seqlm("eval", runs / "text")
    assert (result.code, result.out) == (0, "0.625\n")
    assert "(the latest run)" in result.err


def test_text_may_come_from_a_pipe(runs, seqlm):
    result = seqlm("eval", "-m", runs / "tagger", stdin=TEXT.encode())
    assert result.out == "0.625\n"


@pytest.mark.parametrize("size", [1, 2])
def test_the_batch_size_changes_no_figure(size, evaluated):
    names = ("--metric", "accuracy,log-loss,ece", "--json", "-q")
    whole, parts = (
        json.loads(evaluated(*names, *more).out) for more in ((), ("--batch-size", size))
    )
    assert parts.pop("signatures") == whole.pop("signatures")
    assert parts.pop("intervals")["ece"] == pytest.approx(whole.pop("intervals")["ece"], rel=1e-6)
    assert parts.pop("model") == whole.pop("model")
    assert parts == pytest.approx(whole, rel=1e-6)


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("flags", "code", "fault"),
    [
        ("--metric acuracy", 2, "no metric 'acuracy'; did you mean 'accuracy'"),
        ("--metric ppl", 2, "no metric 'ppl'; there are accuracy"),
        ("--oracle x", 2, "--oracle has no effect"),
        ("--stride 3", 2, "--stride is for language models, and not for taggers"),
        ("--per-token", 2, "--per-token is for language models, and not for taggers"),
        ("--beam 3", 2, "--beam is for translators"),
        ("--samples -1", 2, "--samples is -1; it must be from 0 to 1000000"),
        ("--first-errors 0", 2, "--first-errors is 0; it must be at least 1"),
        ("--per-class --confusion", 2, "--per-class and --confusion print a table each"),
        ("--per-class --metric f1", 2, "--per-class prints a table of its own"),
        ("--label-column tog", 2, "has no column 'tog' (--label-column); "),
        ("--label-column 1,2", 2, "--label-column names 2 columns"),
        ("--format csv", 2, "--format csv is no format of tagging; there are conllu"),
        ("--format conllu", 2, "has no column 'tag' (--label-column)"),
        ("--format conllu --label-column upos", 3, "line 1: 1 columns, where conllu has 10"),
        ("--text-column words", 2, "--text-column is for csv, tsv and jsonl"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(flags, code, fault, evaluated):
    result = evaluated(*flags.split())
    assert (result.code, result.out) == (code, "")
    assert fault in result.error


@pytest.mark.parametrize(
    ("flags", "code", "fault"),
    [
        ("-m films", 4, "is a classifier, and this needs a tagger"),
        ("-m joint", 2, "names"),
        ("-m better --confusion", 2, "--confusion is of one model"),
        ("-m better --samples 0", 2, "models are compared on bootstrap samples"),
    ],
)
def test_models_that_do_not_compare_are_refused(flags, code, fault, evaluated, runs, workplace):
    for run in ("films", "joint", "better"):
        (workplace / run).symlink_to(runs / run)
    result = evaluated("--label-column", "tag", *flags.split())
    assert (result.code, result.out) == (code, "")
    assert fault in result.error


def test_several_models_cannot_share_a_pipe(runs, seqlm):
    result = seqlm("eval", "-m", runs / "tagger", "-m", runs / "better", stdin=TEXT.encode())
    assert result.code == 2
    assert "standard input can be read once" in result.error


def test_bad_text_is_bad_data(evaluated, tmp_path):
    for text, fault in (
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("the DT\npike\n\n", "line 2: 1 columns, where the first token has 2"),
    ):
        (tmp_path / "bad").write_text(text)
        result = evaluated("--format", "columns", text=tmp_path / "bad")
        assert (result.code, result.out) == (3, "")
        assert fault in result.error
    assert evaluated(text=tmp_path / "missing").code == 3


def test_options_of_labels_are_refused_for_other_models(lstm, toy, seqlm, evaluated):
    result = seqlm("eval", "-m", lstm, toy.test, "--per-class")
    assert result.code == 2
    assert "--per-class is for taggers and classifiers" in result.error
    result = evaluated("--source", toy.test, "--target", toy.test, "--samples", 3)
    assert result.code == 2
    assert "TEXT is for language models" in result.error


def test_a_tagger_translates_nothing(runs, toy, seqlm):
    result = seqlm("eval", "-m", runs / "tagger", "--source", toy.test, "--target", toy.test)
    assert result.code == 4
    assert "is a tagger, and this needs a translator" in result.error


def test_a_run_without_labels_is_a_bad_model(runs, seqlm, tmp_path):
    broken = write_tagger(tmp_path / "broken", {POS: LEXICON})
    (broken / "labels.json").write_text("{}")
    result = seqlm("eval", "-m", broken, runs / "text")
    assert (result.code, result.out) == (4, "")
    assert "labels.json" in result.error
