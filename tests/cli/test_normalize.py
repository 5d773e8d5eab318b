"""A model that normalizes raw text does what one does with text that was normalized before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.command import Result
from tests.command import seqlm_inside as seqlm

RAW = 'The Dog sat, quickly.\nThe CAT said: "The dog sat!"\nA cat SAT.\n' * 4
CLEAN = 'the dog sat , quickly .\nthe cat said : " the dog sat ! "\na cat sat .\n' * 4
STEPS = ("--normalize", "lower,punct,nfc")
MODELS = {
    "count": ("count", "-n", "3", "--discount-fallback"),
    "train": ("train", "--width", "8", "--layers", "1", "--steps", "3", "--batch-size", "2"),
}


def done(*arguments: Any) -> Result:
    result = seqlm(*arguments)
    assert result.code == 0, result.err
    return result


class Texts(NamedTuple):
    raw: Path
    clean: Path


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Texts:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "raw").write_text(RAW)
    (folder / "clean").write_text(CLEAN)
    return Texts(folder / "raw", folder / "clean")


@pytest.fixture(scope="module", params=MODELS)
def runs(request, texts, tmp_path_factory) -> Texts:
    folder = tmp_path_factory.mktemp("runs")
    done(*MODELS[request.param], texts.raw, *STEPS, "-o", folder / "raw")
    done(*MODELS[request.param], texts.clean, "-o", folder / "clean")
    return Texts(folder / "raw", folder / "clean")


def test_the_figures_are_equal(runs, texts) -> None:
    names = ("ppl", "ppl-excluding", "bits-per-byte", "bits-per-char", "bits-per-token")
    metrics = [part for name in names for part in ("--metric", name)]
    raw = done("eval", "-m", runs.raw, texts.raw, *metrics)
    clean = done("eval", "-m", runs.clean, texts.clean, *metrics)
    assert raw.out == clean.out
    assert "|normalize:lower,nfc,punct|" in raw.err
    assert "normalize" not in clean.err


def test_a_table_points_into_the_raw_text(runs, texts) -> None:
    table = [
        [
            json.loads(line)
            for line in seqlm("eval", "-m", run, text, "--per-token", "--json").out.splitlines()
        ]
        for run, text in zip(runs, texts)
    ]
    lines = RAW.splitlines()
    for raw, clean in zip(*table, strict=True):
        assert raw["surprisal"] == clean["surprisal"]
        if clean["token"] != "</s>":
            assert raw["token"].lower() == clean["token"]
            assert lines[raw["sentence_id"] - 1][raw["start"] : raw["end"]] == raw["token"]


def test_words_are_those_of_the_raw_text(runs, texts) -> None:
    words, tokens = (
        [
            json.loads(line)
            for line in done("eval", "-m", runs.raw, texts.raw, flag, "--json").out.splitlines()
        ]
        for flag in ("--per-word", "--per-token")
    )
    assert [row["word"] for row in words if row["word"] != "</s>"] == RAW.split()
    bits = [sum(row["surprisal"] for row in rows) for rows in (words, tokens)]
    assert bits[0] == pytest.approx(bits[1])


def test_a_history_is_normalized(runs) -> None:
    raw, clean = (
        done("next", "-m", run, history, "-q").out
        for run, history in zip(runs, ("The CAT said:", "the cat said :"))
    )
    assert raw == clean


def test_a_prompt_is_normalized_and_shown_as_it_is(runs) -> None:
    raw, clean = (
        seqlm("sample", "-m", run, "--prompt", prompt, "--seed", "1", "-n", "3").out
        for run, prompt in zip(runs, ('The CAT said, "The', 'the cat said , " the'))
    )
    assert raw.replace('The CAT said, "The', 'the cat said , " the') == clean


def test_both_sides_of_a_translation_are_normalized(texts, tmp_path) -> None:
    runs = Texts(tmp_path / "raw", tmp_path / "clean")
    options = ("--tokenizer", "word", "--arch", "gru", "--width", "8", "--steps", "3")
    for run, text, steps in zip(runs, texts, (STEPS, ())):
        done("train", "--source", text, "--target", text, *options, *steps, "-o", run)
    metrics = ("--metric", "ppl", "--metric", "bits-per-byte")
    figures = [
        seqlm("eval", "-m", run, "--source", text, "--target", text, *metrics).out
        for run, text in zip(runs, texts)
    ]
    assert figures[0] == figures[1]
    translated = [
        seqlm("translate", "-m", run, text, "--score").out for run, text in zip(runs, texts)
    ]
    assert translated[0] == translated[1]


def test_a_word_that_is_split_is_one_word_of_an_alignment(texts, tmp_path) -> None:
    options = ("--tokenizer", "word", "--arch", "gru", "--attention", "dot", "--width", "8")
    run = tmp_path / "run"
    done(
        "train", "--source", texts.raw, "--target", texts.raw, *options, *STEPS, "--steps", "2",
        "-o", run,
    )  # fmt: skip
    printed = seqlm("translate", "-m", run, "--align", stdin=b'"Dog!" sat.\n').out
    links = printed.split("|||")[-1].split()
    assert {int(link.split("-")[0]) for link in links} <= {0, 1}


def test_a_vocabulary_comes_with_its_normalization(texts, tmp_path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    done(*MODELS["count"], texts.raw, *STEPS, "-o", first)
    done(*MODELS["count"], texts.raw, "--vocab", first, "-o", second)
    assert (first / "tokenizer.json").read_text() == (second / "tokenizer.json").read_text()
    other = seqlm(
        *MODELS["count"], texts.raw, "--vocab", first, "--normalize", "lower", "-o", tmp_path / "x"
    )
    assert other.code == 2
    assert "comes with its own normalization, lower,nfc,punct" in other.err


def test_models_that_normalize_otherwise_are_not_mixed(texts, tmp_path) -> None:
    for name, steps in (("a", STEPS), ("b", ())):
        done(*MODELS["count"], texts.clean, *steps, "-o", tmp_path / name)
    mixed = seqlm("eval", "-m", tmp_path / "a", "-m", tmp_path / "b", texts.clean)
    assert mixed.code == 4
    assert "they normalize text by lower,nfc,punct and by nothing" in mixed.err


@pytest.mark.parametrize("flags", [("--from-counts",), ("--tokenizer", "bpe")])
def test_what_cannot_be_normalized_is_refused(flags, texts, tmp_path) -> None:
    refused = seqlm(*MODELS["count"], *flags, texts.raw, *STEPS, "-o", tmp_path / "run")
    assert refused.code == 2
    assert "--normalize" in refused.err


def test_an_arpa_file_cannot_say_it(texts, tmp_path) -> None:
    arpa = tmp_path / "model.arpa"
    said = seqlm(*MODELS["count"], texts.raw, *STEPS, "--arpa", arpa, "-o", tmp_path / "run")
    assert "normalize it (lower,nfc,punct)" in said.err
    run, file = (
        seqlm("eval", "-m", model, text).out
        for model, text in ((tmp_path / "run", texts.raw), (arpa, texts.clean))
    )
    assert run == file


def test_raw_text_is_pointed_out_to_a_model_of_tokenized_text(texts, tmp_path) -> None:
    run = tmp_path / "run"
    done(*MODELS["count"], texts.clean, "-o", run)
    (warning,) = done("eval", "-m", run, texts.raw).warnings
    assert "of the tokens of the text are out of vocabulary: in small letters and" in warning
    assert "--normalize lower,punct" in warning
    assert done("eval", "-m", run, texts.clean).warnings == []
    (warning,) = done(
        *MODELS["train"], texts.clean, "--valid", texts.raw, "-o", run, "--overwrite"
    ).warnings
    assert "of the tokens of the validation text are out of vocabulary" in warning


def test_raw_text_is_pointed_out_to_a_translator(texts, tmp_path) -> None:
    run = tmp_path / "run"
    sides = ("--source", texts.clean, "--target", texts.clean)
    options = ("--tokenizer", "word", "--arch", "gru", "--width", "8", "--steps", "1")
    raw = ("--valid-source", texts.clean, "--valid-target", texts.raw)
    said = done("train", *sides, *options, *raw, "-o", run).warnings
    assert any("of the tokens of the validation target are out of vocabulary" in x for x in said)
    said = done(
        "eval", "-m", run, "--source", texts.raw, "--target", texts.clean, "--metric", "ppl"
    ).warnings
    assert any("of the tokens of the source are out of vocabulary" in x for x in said)
