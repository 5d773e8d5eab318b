"""`seqlm eval --source F --target F`: its numbers, how they are printed, and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seqlm.evaluation import evaluate_translator
from seqlm.models import model_class
from seqlm.runs.checkpoint import write_checkpoint
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder
from seqlm.text.bitext import learn_tokenizer, read_side
from tests.command import Result

SOURCE = "le chat\nla maison rouge\n\nun chien voit le chat\n"
TARGET = "the cat\nthe red house\n\na dog sees the cat\n"


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("texts")
    for name, text in (("source", SOURCE), ("target", TARGET)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "source", folder / "target"


@pytest.fixture(scope="session")
def run(texts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translator of random weights, with a vocabulary for each side."""
    path = tmp_path_factory.mktemp("translators") / "gru"
    reads, writes = (learn_tokenizer([read_side([str(one)])], "word") for one in texts)
    torch.manual_seed(1)
    settings = {"vocab_size": len(writes), "source_vocab_size": len(reads), "width": 8}
    model = model_class("translation", "gru").from_settings(settings)
    folder = RunFolder.create(path)
    folder.write_tokenizer(writes, reads)
    folder.write_config(
        RunConfig(
            task="translation",
            arch="gru",
            context="sentence",
            model=model.settings(),
            finished="2026-11-21T00:00:00+00:00",
        )
    )
    write_checkpoint(folder, 1, model)
    folder.unlock()
    return path


@pytest.fixture
def evaluated(
    run: Path, texts: tuple[Path, Path], seqlm: Callable[..., Result]
) -> Callable[..., Result]:
    def evaluate_run(*arguments: object, **options: object) -> Result:
        source, target = texts
        return seqlm(
            "eval", "-m", run, "--source", source, "--target", target, *arguments, **options
        )

    return evaluate_run


def test_one_metric_is_a_number_and_nothing_else(evaluated):
    result = evaluated("--metric", "bleu", "-q")
    assert result.code == 0, result.err
    assert result.err == ""
    assert result.out.endswith("\n")
    assert 0 <= float(result.out) < 100


def test_several_metrics_come_in_the_order_asked(evaluated):
    record = {}
    for names in ("bleu,chrf,ppl", "ppl,bleu,chrf"):
        result = evaluated("--metric", names)
        assert result.code == 0, result.err
        rows = [line.split("\t") for line in result.out.splitlines()]
        assert ",".join(name for name, _ in rows) == names
        record[names] = sorted(rows)
    first, second = record.values()
    assert first == second


def test_bleu_and_chrf_are_the_default(evaluated):
    rows = evaluated().out.splitlines()
    assert [row.split("\t")[0] for row in rows] == ["bleu", "chrf"]


def test_counts_and_signatures_are_printed_on_stderr(evaluated):
    messages = evaluated("--metric", "bleu,ppl", "--beam", "2").err
    assert "4 lines; 14 tokens of the source (0 out of vocabulary), 14 of the target" in messages
    bleu, ppl = messages.splitlines()[-2:]
    assert bleu.startswith("bleu: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "|beam:2|length:simple.1|" in bleu
    assert ppl.startswith("ppl: unit:word|vocab:")
    assert "given:source.word" in ppl
    assert "weights:" in bleu
    assert "weights:" in ppl


def test_json_is_one_object(evaluated, run):
    result = evaluated("--metric", "ppl,chrf", "--json", "-q")
    assert result.out.count("\n") == 1
    record = json.loads(result.out)
    assert list(record)[:2] == ["ppl", "chrf"]
    assert (record["lines"], record["tokens"], record["source_tokens"]) == (4, 14, 14)
    assert record["model"] == str(run)
    assert set(record["signatures"]) == {"ppl", "chrf"}
    one_by_one = json.loads(evaluated("--metric", "ppl,chrf", "--json", "--batch-size", "1").out)
    assert one_by_one.pop("signatures") == record.pop("signatures")
    assert one_by_one.pop("model") == record.pop("model")
    assert one_by_one == pytest.approx(record, rel=1e-6)


def test_the_flags_of_the_search_arrive(evaluated, monkeypatch):
    asked = []
    measured = evaluate_translator.evaluate_translator

    def seen(models, source, target, metrics, settings, *rest):
        asked.append(settings)
        return measured(models, source, target, metrics, settings, *rest)

    monkeypatch.setattr(evaluate_translator, "evaluate_translator", seen)
    flags = (
        "--beam 3 --length-penalty 0.6 --normalization gnmt --coverage-penalty 0.2"
        " --max-length-ratio 3"
    )
    assert evaluated(*flags.split()).code == 0
    assert evaluated().code == 0
    given, default = asked
    assert (given.beam, given.length_penalty, given.normalization) == (3, 0.6, "gnmt")
    assert (given.coverage_penalty, given.max_length_ratio) == (0.2, 3)
    assert (default.beam, default.length_penalty, default.normalization) == (5, 1, "simple")


def test_a_side_may_come_from_a_pipe(evaluated, run, texts, seqlm):
    source, target = texts
    piped = seqlm("eval", "-m", run, "--source", "-", "--target", target, stdin=source.read_bytes())
    assert piped.out == evaluated().out


def test_the_tokenization_of_bleu_stands_in_the_signature(evaluated):
    assert "|tok:char|" in evaluated("--bleu-tokenize", "char").err
    assert "|tok:13a|" in evaluated().err


def test_translations_are_compared_with_several_references(evaluated, texts, tmp_path):
    assert "nrefs:2|" in evaluated("--reference", texts[0]).err
    assert "nrefs:3|" in evaluated("--reference", texts[0], "--reference", texts[1]).err
    short = tmp_path / "short"
    short.write_text("the cat\n")
    assert f"{texts[0]} has 4 lines, {short} has 1" in evaluated("--reference", short).error


# ------------------------------------------------------------------------------------- refusals


def test_sides_of_unequal_length_are_bad_data(run, texts, tmp_path, seqlm):
    short = tmp_path / "short"
    short.write_text("the cat\n", encoding="utf-8")
    result = seqlm("eval", "-m", run, "--source", texts[0], "--target", short)
    assert result.code == 3
    assert f"{texts[0]} has 4 lines, {short} has 1" in result.error


def test_several_files_are_compared_one_by_one(run, tmp_path, seqlm):
    for name, lines in (("a.s", 3), ("b.s", 1), ("a.t", 1), ("b.t", 3)):
        (tmp_path / name).write_text("the cat\n" * lines)
    sides = [
        part
        for side in ("source", "target")
        for name in "ab"
        for part in (f"--{side}", tmp_path / f"{name}.{side[0]}")
    ]
    result = seqlm("eval", "-m", run, *sides)
    assert result.code == 3
    assert f"{tmp_path / 'a.s'} has 3 lines, {tmp_path / 'a.t'} has 1" in result.error


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        ("--metric blue", "did you mean 'bleu'"),
        ("--stride 3", "--stride is for language models"),
        ("--cache 10", "--cache is for language models"),
        ("--dynamic 10", "--dynamic is for language models"),
        ("--per-token", "--per-token is for language models"),
        ("text", "TEXT is for language models"),
        ("--length-penalty -1", "--length-penalty is -1.0; it must be at least 0"),
        ("--max-length-ratio 0", "--max-length-ratio is 0.0; it must be above 0"),
        ("--normalization simpel", "did you mean 'simple'"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(flags, fault, evaluated):
    result = evaluated(*flags.split())
    assert result.code == 2
    assert fault in result.error


def test_one_side_is_not_enough(run, texts, seqlm):
    result = seqlm("eval", "-m", run, "--source", texts[0])
    assert result.code == 2
    assert "name --target as well" in result.error


def test_options_of_translation_are_refused_for_a_language_model(lstm, toy, seqlm):
    result = seqlm("eval", "-m", lstm, toy.test, "--beam", "5")
    assert result.code == 2
    assert "--beam is for translators: it needs --source and --target" in result.error


def test_a_language_model_translates_nothing(lstm, texts, seqlm):
    result = seqlm("eval", "-m", lstm, "--source", texts[0], "--target", texts[1])
    assert result.code == 4
    assert "is a language model, and this needs a translator" in result.error


def test_without_sacrebleu_one_line_says_what_to_install(evaluated, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    result = evaluated("--metric", "bleu")
    assert result.code == 2
    assert "pip install 'seqlm[translate]'" in result.error
    assert evaluated("--metric", "ppl").code == 0
