"""`seqlm tag`: the text on stdout, with other labels and nothing else changed."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import seqlm as library
from seqlm.errors import DataError, ModelError, UsageError
from seqlm.runs.run_folder import RunFolder
from tests.command import COMMAND, Result, environment
from tests.decoding.labeling.labelers import (
    SENTENCES,
    TEXTS,
    chunk_tags,
    columns,
    conllu,
    train,
    train_chunker,
    train_classifier,
    train_tagger,
)

WAIT = 60  # seconds, for what takes less than one on an idle machine
TEXT = "the frog sleeps .\n\na heron sees\n \t\nthe old newt\n"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labelers")


@pytest.fixture(scope="session")
def tagger(folder: Path) -> Path:
    return train_tagger(folder)


@pytest.fixture(scope="session")
def chunker(folder: Path) -> Path:
    return train_chunker(folder)


@pytest.fixture(scope="session")
def classifier(folder: Path) -> Path:
    return train_classifier(folder)


@pytest.fixture
def tag(seqlm: Callable[..., Result]) -> Callable[..., str]:
    """What `seqlm tag -m` prints of a text."""

    def tagged(model: object, *flags: object, text: str = TEXT) -> str:
        result = seqlm("tag", "-m", model, *flags, stdin=text.encode())
        assert result.code == 0, result.err
        return result.out

    return tagged


# ----------------------------------------------------------------------------------------- formats


def test_only_the_predicted_column_changes(tagger, chunker, tag):
    found = tag(tagger, text=conllu(SENTENCES, upos="X"))
    tags = iter(library.load(tagger, device="cpu").tag(SENTENCES))
    wanted = conllu(SENTENCES, upos="?").split("\n\n")
    for sentence, labels in zip(wanted, tags):
        for label in labels:
            sentence = sentence.replace("\t?\t", f"\t{label}\t", 1)
        assert sentence in found
    assert found.replace("\t?\t", "").count("\n") == conllu(SENTENCES).count("\n")
    assert tag(tagger, text=found) == found
    assert tag(chunker, text=columns(SENTENCES, tagged=False)) == tag(
        chunker, text=columns(SENTENCES)
    )


def test_training_was_learned(tagger, chunker, tag):
    """So that the other tests are not about one constant label."""
    assert tag(tagger, text=conllu(SENTENCES, upos="_")) == conllu(SENTENCES)
    assert tag(chunker, text=columns(SENTENCES, tagged=False)) == columns(SENTENCES)
    assert {"B-NP", "I-NP", "O"} == {label for each in SENTENCES for label in chunk_tags(each)}


def test_comments_ranges_and_the_end_of_the_file_stay_as_they_are(tagger, tag):
    text = "\n\n# text = frogs\n1-2\tfr-ogs\t" + "\t".join("_" * 8) + "\n" + "".join(
        f"{id}\tfrog\t_\t{tag}\t_\t_\t_\t_\t_\t_\n" for id, tag in [(1, "?"), (2, "?"), (2.1, "X")]
    )  # fmt: skip
    for ending in ("", "\n", "\n\n\n"):
        found = tag(tagger, text=text + ending)
        assert found.count("\t?\t") == 0
        restored = found.split("\n")
        for line, wanted in zip(restored, (text + ending).split("\n"), strict=True):
            cells, those = line.split("\t"), wanted.split("\t")
            assert cells[:3] + cells[4:] == those[:3] + those[4:]


def test_labels_go_to_the_column_that_is_named(tagger, tag, seqlm):
    found = tag(tagger, "--label-column", "xpos", text=conllu(SENTENCES))
    rows = [line.split("\t") for line in found.splitlines() if "\t" in line]
    assert all(row[3] == row[4] for row in rows)
    for name, message in [("xps", "has no column 'xps'"), ("upos,xpos", "the model has 1 columns")]:
        refused = seqlm(
            "tag", "-m", tagger, "--label-column", name, stdin=conllu(SENTENCES).encode()
        )
        assert (refused.code, refused.out) == (2, "")
        assert message in refused.error


def test_sentences_become_words_with_tags(tagger, tag):
    lines = tag(tagger, "--format", "text").split("\n")
    assert len(lines) == 6
    assert (lines[1], lines[3], lines[5]) == ("", " \t", "")
    assert [word.rpartition("_")[0] for word in lines[0].split()] == ["the", "frog", "sleeps", "."]
    assert tag(tagger, text="\n".join(lines)) == "\n".join(lines)


def test_a_classifier_writes_each_format(classifier, tag):
    text = "".join(f"{text}\n" for _, text in TEXTS)
    labels = library.load(classifier, device="cpu").classify(text.splitlines())
    assert labels == [label for label, _ in TEXTS]
    rows = [f"{label}\t{text}\n" for label, text in TEXTS]
    assert tag(classifier, "--format", "text", text=text) == "".join(rows)
    assert tag(classifier, text="".join(rows).replace("bad", "?")) == "".join(rows)
    objects = "".join(json.dumps({"text": text}) + "\n" for _, text in TEXTS)
    found = map(json.loads, tag(classifier, text=objects).splitlines())
    assert [one["label"] for one in found] == labels
    table = 'tone,review\n?,"a warm , funny film"\n'
    flags = ["--text-column", "review", "--label-column", "tone"]
    assert tag(classifier, *flags, text=table) == table.replace("?", "good")


@pytest.mark.filterwarnings("ignore:.*all are .X.")
def test_several_columns_are_written_together(folder, tag, seqlm):
    (folder / "two.conllu").write_text(conllu(SENTENCES))
    run = folder / "two"
    if not run.exists():
        train(folder / "two.conllu", run, task="tagging", label_column="upos,xpos", steps=4)
    found = [*map(json.loads, tag(run, "--json", "--format", "text").splitlines())]
    assert set(found[0]["labels"]) == set(found[0]["log_prob"]) == {"upos", "xpos"}
    rows = tag(run, text=conllu(SENTENCES)).splitlines()
    assert all(row.split("\t")[4] == "X" for row in rows if "\t" in row)
    refused = seqlm("tag", "-m", run, "--format", "text", stdin=TEXT.encode())
    assert (refused.code, refused.out) == (2, "")
    assert "text, which has one label for each word, and the model gives 2" in refused.error


# ---------------------------------------------------------------------- probabilities, n-best lists


def test_probabilities_stand_beside_tokens(tagger, classifier, tag):
    found = tag(tagger, "--format", "text", "--probabilities")
    sentences = [block.splitlines() for block in found.split("\n\n")[:-1]]
    plain = [line.split() for line in tag(tagger, "--format", "text").splitlines() if line.strip()]
    for rows, words in zip(sentences, plain, strict=True):
        cells = [row.split("\t") for row in rows]
        assert [f"{token}_{label}" for token, label, _ in cells] == words
        assert all(0 < float(p) <= 1 for _, _, p in cells)
    label, p, text = tag(classifier, "--probabilities", text="good\ta warm film\n").split("\t")
    assert (label, text) == ("good", "a warm film\n")
    assert 0.3 < float(p) <= 1


@pytest.mark.parametrize("kind", ["tagger", "classifier"])
def test_the_nbest_are_in_the_format_of_moses(kind, request, tag):
    run = request.getfixturevalue(kind)
    lines = tag(run, "--format", "text", "--nbest", 3).splitlines()
    fields = [line.split(" ||| ") for line in lines]
    assert [int(number) for number, *_ in fields] == [0] * 3 + [1] * 3 + [2] * 3
    scores = [float(score) for *_, score in fields]
    column = "upos" if kind == "tagger" else "label"
    assert [features for _, _, features, _ in fields] == [f"{column}= {x:.6f}" for x in scores]
    for at in (0, 3, 6):
        assert scores[at : at + 3] == sorted(scores[at : at + 3], reverse=True)
    best = [json.loads(line) for line in tag(run, "--format", "text", "--json").splitlines()]
    wanted = [one["labels"][column] for one in best]
    of_lines = [fields[at][1] for at in (0, 3, 6)]
    assert of_lines == [" ".join(each) if kind == "tagger" else each for each in wanted]


def test_json_is_an_object_a_record(tagger, classifier, tag):
    flags = ["--format", "text", "--json"]
    plain = [*map(json.loads, tag(tagger, *flags).splitlines())]
    assert [one["line"] for one in plain] == [1, 3, 5]
    assert set(plain[0]) == {"line", "tokens", "labels", "log_prob"}
    full = [*map(json.loads, tag(tagger, *flags, "--nbest", 2, "--probabilities").splitlines())]
    for one, other in zip(plain, full, strict=True):
        assert one == {name: other[name] for name in one}
        best, second = other["nbest"]["upos"]
        assert best == {"labels": one["labels"]["upos"], "log_prob": one["log_prob"]["upos"]}
        assert second["log_prob"] < best["log_prob"]
        assert len(other["probabilities"]["upos"]) == len(other["tokens"])
    (one,) = map(
        json.loads, tag(classifier, *flags, "--probabilities", text="a warm film\n").splitlines()
    )
    assert one["labels"] == {"label": "good"}
    assert sum(one["probabilities"]["label"].values()) == pytest.approx(1, abs=1e-5)


# ------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("flags", [["--batch-size", 1], ["--batch-size", 2], ["-q"]], ids=str)
def test_the_batch_size_changes_nothing(flags, tagger, chunker, tag):
    assert tag(tagger, "--format", "text", *flags) == tag(tagger, "--format", "text")
    text = columns(SENTENCES)
    assert tag(chunker, *flags, "--probabilities", text=text) == tag(
        chunker, "--probabilities", text=text
    )


def test_files_are_what_is_piped_in(tagger, tag, seqlm, workplace):
    (workplace / "one").write_text(TEXT[:19])
    (workplace / "two").write_text(TEXT[19:-1])  # the last newline is supplied
    wanted = tag(tagger, "--format", "text")
    assert seqlm("tag", "-m", tagger, "--format", "text", "one", "two").out == wanted
    mixed = seqlm("tag", "-m", tagger, "--format", "text", "one", "-", stdin=TEXT[19:].encode())
    assert mixed.out == wanted


@pytest.mark.parametrize("flags", [[], ["--format", "text"], ["--format", "conllu"], ["--json"]])
def test_no_text_has_no_labels(flags, tagger, classifier, seqlm):
    for run in (tagger, classifier):
        if run == classifier and "conllu" in flags:
            continue
        for text in (b"", b"\n\n"):
            result = seqlm("tag", "-m", run, *flags, stdin=text)
            assert (result.code, result.out) == (0, "" if "--json" in flags else text.decode())


def test_bad_text_is_refused_after_the_labels_before_it(tagger, seqlm):
    flags = ["tag", "-m", tagger, "--format", "text"]
    strict = seqlm(*flags, stdin=b"the frog\nthe \xff\n")
    assert (strict.code, strict.out) == (3, "")  # what is read at once is checked at once
    assert "<stdin>, line 2: invalid UTF-8 at byte 13" in strict.error
    replaced = seqlm(*flags, "--errors", "replace", stdin=b"the frog\nthe \xff\n")
    assert (replaced.code, replaced.out.count("\n")) == (0, 2)
    broken = conllu(SENTENCES) + "1\tfrog\n"
    result = seqlm("tag", "-m", tagger, stdin=broken.encode())
    assert result.code == 3
    assert "<stdin>, line" in result.error
    assert result.out == conllu(SENTENCES)


def test_a_column_that_the_model_reads_is_missing(chunker, seqlm):
    result = seqlm("tag", "-m", chunker, "--format", "text", stdin=TEXT.encode())
    assert (result.code, result.out) == (3, "")
    assert result.error == (
        f"<stdin>, line 1: there is no column 'pos', which {chunker} reads beside the words;"
        " there are token"
    )


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--format", "csv"], 2, "--format csv is no format of tagging"),
        (["--format", "conll"], 2, "--format is 'conll'; did you mean 'conllu'"),
        (["--nbest", "0"], 2, "--nbest is 0"),
        (["--nbest", "2", "--probabilities"], 2, "--nbest and --probabilities together"),
        (["--text-column", "x", "--format", "text"], 2, "--text-column is for csv, tsv and jsonl"),
        (["nothing"], 3, "no file nothing"),
        (["-", "-"], 2, "standard input, which can be read once"),
    ],
)
def test_a_wrong_request_is_one_line(flags, code, message, tagger, seqlm):
    result = seqlm("tag", "-m", tagger, *flags, stdin=TEXT.encode())
    assert (result.code, result.out) == (code, "")
    assert message in result.error


# ---------------------------------------------------------------------------------- the wrong model


def test_a_model_that_labels_nothing_is_refused(lstm, tagger, seqlm):
    result = seqlm("tag", "-m", lstm, stdin=TEXT.encode())
    assert (result.code, result.out) == (4, "")
    assert result.error == f"{lstm} is a language model, and this needs a tagger or a classifier"
    for command in (["sample"], ["translate"], ["next", "the"]):
        result = seqlm(command[0], "-m", tagger, *command[1:], stdin=b"a\n")
        assert (result.code, result.out) == (4, "")
        assert f"{tagger} is a tagger, and this needs a " in result.error


def test_a_latest_run_of_another_task_is_refused(tagger, lstm, seqlm, workplace):
    for name, model, when in [("old", tagger, "2026-01-01"), ("new", lstm, "2026-01-02")]:
        copy = RunFolder(Path(shutil.copytree(model, workplace / "checkpoints" / name)))
        copy.write_config(replace(copy.read_config(), finished=when))
    result = seqlm("tag", stdin=TEXT.encode())
    assert result.code == 2
    assert result.error.endswith("; the newest tagger is checkpoints/old")
    shutil.rmtree(workplace / "checkpoints" / "old")
    assert seqlm("tag").error.endswith("; no run there is a tagger or a classifier")


# ------------------------------------------------------------------------------------- as a process


def start(run: Path, *flags: str, **more: Any) -> subprocess.Popen[bytes]:
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*COMMAND, "tag", "-m", str(run), "--device", "cpu", *flags]
    return subprocess.Popen(command, env=environment(), **{**pipes, **more})


def test_each_line_is_answered_before_the_next_is_written(tagger):
    """And then Ctrl-C ends a process that waits for more."""
    with start(tagger, "--format", "text") as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        for line in (b"the frog\n", b"\n", b"a heron sleeps\n"):
            process.stdin.write(line)
            process.stdin.flush()
            answer = process.stdout.readline()
            assert [word.split(b"_")[0] for word in answer.split()] == line.split()
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT) == 130
        errors = process.stderr.read()
        assert b"Traceback" not in errors
        assert b"Fatal" not in errors


def test_a_closed_pipe_ends_it(tagger):
    """While the writer still waits."""
    with start(tagger, "--format", "text", "-q") as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(b"the frog\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"a heron\n")
        process.stdin.flush()
        assert process.wait(WAIT) == 0
        assert process.stderr.read() == b""
        process.stdin.close()


def test_on_a_terminal_each_line_is_answered(tagger):
    main, terminal = pty.openpty()
    with start(tagger, stdin=terminal) as process:
        os.close(terminal)
        assert process.stdout
        assert process.stderr
        os.write(main, b"the frog\n")
        assert process.stdout.readline().startswith(b"the_")
        os.write(main, b"\x04")
        assert process.wait(WAIT) == 0
        assert b"type one sentence per line; Ctrl-D ends\n" in process.stderr.read()
    os.close(main)


# ---------------------------------------------------------------------------------------- in Python


def test_models_label_text_in_python(tagger, chunker, classifier, lstm, tag):
    model = library.load(tagger, device="cpu")
    assert model.task == "tagging"
    printed = [
        [word.rpartition("_")[2] for word in line.split()]
        for line in tag(tagger, "--format", "text").splitlines()
    ]
    assert model.tag(TEXT.splitlines()) == printed
    assert model.tag([["the", "frog"], "the frog", []]) == [*[model.tag("the frog")] * 2, []]
    assert model.tag("the frog", column="upos") == model.tag("the frog")
    with pytest.raises(UsageError, match="no column 'xpos'"):
        model.tag("the frog", column="xpos")
    with pytest.raises(DataError, match="no column 'pos'"):
        library.load(chunker, device="cpu").tag("the frog")
    (labeled,) = model.labelings(["the frog"], probabilities=True, nbest=2)
    assert len(labeled.columns["upos"].nbest) == len(labeled.columns["upos"].probabilities) == 2

    reviews = library.load(classifier, device="cpu")
    assert reviews.classify("a warm film") == "good"
    assert reviews.classify(["a warm film", ""])[0] == "good"
    for wrong in (
        lambda: model.classify("the frog"),
        lambda: reviews.tag("a film"),
        lambda: model.translate("the frog"),
        lambda: model.score("the frog"),
        lambda: model.embed("the frog"),
        lambda: library.mix([model, model]),
        lambda: library.load(lstm, device="cpu").tag("the frog"),
    ):
        with pytest.raises(ModelError, match="and this needs a"):
            wrong()
