"""`seqlm translate`: translations on stdout, as many lines as came in, and nothing else."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlm.cli.translation_output import as_object
from seqlm.decoding.translation.translation_search import Translation
from seqlm.machine import device
from seqlm.runs.run_folder import RunFolder
from seqlm.text.vocabulary import EOS
from tests.command import COMMAND, Result, environment, seqlm_inside

TEXT = """the frog sees the pike

a heron sleeps
   \t
the old newt sees a heron near the pike
the pike sleeps
"""


@pytest.fixture(scope="session")
def pond(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two languages of a pond, in which words change places."""
    folder = tmp_path_factory.mktemp("pond")
    names = {"frog": "Frosch", "pike": "Hecht", "heron": "Reiher"}
    lines = [
        (f"{a} {old}{one} sees {b} {other}", f"{b} {names[other]} {a} {names[one]}{old} sieht")
        for one in names
        for other in names
        for a in ("the", "a")
        for b in ("the", "a")
        for old in ("", "old ")
    ]
    lines += [(f"the {name} sleeps", f"{names[name]} schläft the") for name in names]
    (folder / "source").write_text("".join(f"{one}\n" for one, _ in lines), encoding="utf-8")
    (folder / "target").write_text("".join(f"{two}\n" for _, two in lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def runs(pond: Path) -> Callable[..., Path]:
    """A tiny translator of the pond, by name and flags; not to be changed."""

    def run_of(name: str, *flags: object) -> Path:
        path = pond / name
        if not path.exists():
            text = ["--source", pond / "source", "--target", pond / "target"]
            small = [
                "--arch",
                "gru",
                "--attention",
                "general",
                "--width",
                16,
                "--steps",
                60,
                "--lr",
                0.01,
                "--min-count",
                2,
            ]
            result = seqlm_inside("train", *text, *small, "-o", path, *flags)
            assert result.code == 0, result.err
        return path

    return run_of


@pytest.fixture
def run(runs: Callable[..., Path]) -> Path:
    return runs("words", "--tokenizer", "word")


@pytest.fixture
def bpe(runs: Callable[..., Path]) -> Path:
    return runs("bpe", "--tokenizer", "bpe", "--vocab-size", 280)


@pytest.fixture
def translate(seqlm: Callable[..., Result]) -> Callable[..., str]:
    """What `seqlm translate -m` prints of TEXT."""

    def translated(model: object, *flags: object, text: str = TEXT) -> str:
        result = seqlm("translate", "-m", model, *flags, stdin=text.encode())
        assert result.code == 0, result.err
        return result.out

    return translated


# ------------------------------------------------------------------------------------------- lines


@pytest.mark.parametrize("flags", [[], ["--beam", 1], ["--sample"], ["--replace-unk"]], ids=str)
def test_there_is_a_line_for_every_line(flags, run, bpe, translate):
    for model in (run, bpe):
        lines = translate(model, *flags).split("\n")
        assert lines.pop() == ""
        assert len(lines) == 6
        assert (lines[1], lines[3]) == ("", "")


@pytest.mark.parametrize("flags", [["--batch-size", 1], ["--batch-size", 2], ["-q"]], ids=str)
def test_the_batch_size_changes_no_translation(flags, run, translate):
    assert translate(run, *flags) == translate(run)


def test_a_file_is_what_is_piped_in(run, seqlm, workplace):
    (workplace / "one").write_text(TEXT[:24])
    (workplace / "two").write_text(TEXT[24:-1])  # the last newline is supplied
    piped = seqlm("translate", "-m", run, stdin=TEXT.encode())
    read = seqlm("translate", "-m", run, "one", "two")
    mixed = seqlm("translate", "-m", run, "one", "-", stdin=TEXT[24:].encode())
    assert read.out == mixed.out == piped.out
    assert seqlm("translate", "-m", run).out == ""


def test_invalid_text_is_refused_or_replaced(run, seqlm):
    for batch_size in (1, 64):
        flags = ["translate", "-m", run, "--batch-size", batch_size]
        strict = seqlm(*flags, stdin=b"the frog\nthe \xff\n")
        assert strict.code == 3
        assert "<stdin>, line 2: invalid UTF-8 at byte 13" in strict.error
        assert strict.out.count("\n") == 1  # what came before it is answered
        replaced = seqlm(*flags, "--errors", "replace", stdin=b"the frog\nthe \xff\n")
        assert (replaced.code, replaced.out.count("\n")) == (0, 2)


def test_a_missing_file_is_reported_before_the_first_line_is_translated(run, seqlm, workplace):
    (workplace / "one").write_text(TEXT)
    for files in (["one", "two"], ["one", "--score-target", "two"]):
        result = seqlm("translate", "-m", run, *files)
        assert (result.code, result.out) == (3, "")
        assert "no file two" in result.error


def test_lines_are_read_alike_one_by_one_and_in_blocks(run, seqlm):
    text = b"\xef\xbb\xbfthe frog\r\r\nthe pike\r\n\r\na heron\r"
    for data in (text, gzip.compress(text)):
        flags = (["--batch-size", 1], ["--buffer", 1], [], ["--buffer", 2, "--json"])
        found = [seqlm("translate", "-m", run, *each, stdin=data) for each in flags]
        assert found[0].out == found[1].out == found[2].out
        read = [json.loads(line)["source"] for line in found[3].out.splitlines()]
        assert read == ["the frog\r", "the pike", "", "a heron\r"]


def test_a_reserved_word_does_not_end_the_stream(run, seqlm, workplace):
    text = b"the frog\nthe </s> sleeps\na pike\n"
    result = seqlm("translate", "-m", run, "--json", stdin=text)
    assert result.code == 0
    assert result.warnings == ["line 2: <s> and </s> are reserved, and read as <unk>"]
    assert [json.loads(line)["source"] for line in result.out.splitlines()][1] == "the </s> sleeps"
    (workplace / "text").write_bytes(text)
    for command in (
        ["translate", "text", "--score-target", "text"],
        ["eval", "--source", "text", "--target", "text"],
    ):
        refused = seqlm(command[0], "-m", run, *command[1:])
        assert refused.code == 3
        assert "line 2: the token </s> is reserved" in refused.error


def test_a_line_without_end_is_cut(run, seqlm):
    text = b"the frog\n" + b"the frog " * 5000 + b"\n"
    result = seqlm("translate", "-m", run, "--max-input-length", 4, stdin=text)
    (warning,) = result.warnings
    assert "line 2 is cut: it has 10001 tokens, and the model reads 4" in warning
    short = seqlm("translate", "-m", run, stdin=b"the frog\nthe frog the\n")
    assert (result.code, result.out) == (0, short.out)


def test_translations_cut_at_their_limit_are_counted(run, seqlm):
    result = seqlm(
        "translate", "-m", run, "--max-length-ratio", 0.1, "--sample", "-t", 5, stdin=b"the\n"
    )
    assert "1 lines in" in result.err
    cut = "1 were cut at their limit; --max-length-ratio allows longer ones"
    assert (cut in result.err) == (len(result.out.split()) == 10)


def test_a_translation_that_is_cut_is_not_ended(run, translate):
    ends = {(): True, (2, EOS): True, (2, 3): False}
    for tokens, ended in ends.items():
        translation = Translation("text", [], list(tokens), -1.0, -1.0, None)
        assert as_object(None, translation, align=False)["ended"] == ended
    lines = map(json.loads, translate(run, "--json").splitlines())
    assert all(found["ended"] for line in lines for found in line["found"])


# ----------------------------------------------------------------------------------------- formats


def test_the_nbest_are_in_the_format_of_moses(run, translate):
    lines = translate(run, "--nbest", 3).splitlines()
    best = translate(run).splitlines()
    numbers = [int(line.split(" ||| ")[0]) for line in lines]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(6))
    for number, text in enumerate(best):
        own = [line.split(" ||| ") for line in lines if line.startswith(f"{number} |||")]
        assert own[0][1] == text
        scores = [float(fields[3]) for fields in own]
        assert scores == sorted(scores, reverse=True)
        for _, _, features, score in own:
            name, log_prob, length, tokens = features.split()
            assert (name, length) == ("LogProb=", "Length=")
            mean = float(log_prob) / max(int(tokens), 1)
            assert float(score) == pytest.approx(mean, abs=1e-5)


def test_scores_stand_before_a_tab(run, translate):
    lines = [line.split("\t") for line in translate(run, "--scores").splitlines()]
    assert [text for _, text in lines] == translate(run).splitlines()
    assert all(float(score) <= 0 for score, _ in lines)
    assert float(lines[1][0]) == 0


@pytest.mark.parametrize("beam", [1, 5])
def test_links_are_between_words_whatever_the_tokens(beam, run, bpe, translate):
    for model in (run, bpe):
        lines = translate(model, "--align", "--beam", beam).splitlines()
        assert [line.split(" |||")[0] for line in lines] == translate(
            model, "--beam", beam
        ).splitlines()
        for line, source in zip(lines, TEXT.splitlines(), strict=True):
            text, links = line.split(" |||")
            pairs = [tuple(map(int, link.split("-"))) for link in links.split()]
            assert [j for _, j in pairs] == [*range(len(text.split()))]
            assert all(0 <= i < max(len(source.split()), 1) for i, _ in pairs)


def test_json_is_an_object_a_line(run, translate):
    objects = [*map(json.loads, translate(run, "--json", "--nbest", 2, "--align").splitlines())]
    assert [one["source"] for one in objects] == TEXT.splitlines()
    assert [one["line"] for one in objects] == [*range(1, 7)]
    assert [one["found"][0]["text"] for one in objects] == translate(run).splitlines()
    assert {len(one["found"]) for one in objects} == {1, 2}
    assert set(objects[0]["found"][0]) == {
        "text", "log_prob", "score", "tokens", "ended", "align",
    }  # fmt: skip


def test_unknown_words_can_be_copied(run, translate):
    plain, copied = (translate(run, *flags) for flags in ([], ["--replace-unk"]))
    assert "<unk>" not in copied
    assert plain.count("\n") == copied.count("\n")


# ----------------------------------------------------------------------------------------- samples


def test_a_device_without_float64_is_not_chosen(run, seqlm, monkeypatch):
    monkeypatch.setattr(device, "choose_device", lambda _: torch.device("mps"))
    result = seqlm("translate", "-m", run, stdin=b"the frog\n")
    assert result.code == 0
    assert "device: cpu" in result.err
    assert "mps" not in result.err


def test_a_seed_gives_the_same_samples_and_another_others(run, translate):
    flags = ["--sample", "-t", 2, "--seed"]
    assert translate(run, *flags, 1) == translate(run, *flags, 1, "--batch-size", 2)
    assert translate(run, *flags, 1) != translate(run, *flags, 2)
    assert translate(run, "--sample", "--top-k", 1) == translate(run, "--beam", 1)


def test_without_a_seed_a_new_one_is_drawn_and_said(run, seqlm, translate):
    flags = ["translate", "-m", run, "--sample", "-t", 2]
    first, second = (seqlm(*flags, stdin=b"the frog\nthe heron\n" * 4) for _ in range(2))
    assert first.out != second.out
    (seed,) = re.findall(r"^seed: (\d+) ", first.err, re.M)
    assert seqlm(*flags, "--seed", seed, stdin=b"the frog\nthe heron\n" * 4).out == first.out
    assert "seed" not in seqlm("translate", "-m", run, stdin=b"the frog\n").err


def test_a_line_without_end_is_refused(run, seqlm):
    result = seqlm("translate", "-m", run, stdin=b"the frog\n" + b"frog " * 300_000)
    assert result.code == 3
    assert "<stdin>, line 2: the line is longer than 1,048,576 bytes" in result.error
    assert result.out.count("\n") == 1


# ------------------------------------------------------------------------------------ given targets


def test_given_targets_are_scored(run, pond, seqlm, workplace):
    flags = ["translate", "-m", run, pond / "source", "--score-target"]
    plain = [line.split("\t") for line in seqlm(*flags, pond / "target").out.splitlines()]
    targets = (pond / "target").read_text(encoding="utf-8").splitlines()
    assert [int(tokens) for _, tokens in plain] == [len(line.split()) + 1 for line in targets]
    objects = [*map(json.loads, seqlm(*flags, pond / "target", "--json").out.splitlines())]
    for (log_prob, _), one, target in zip(plain, objects, targets, strict=True):
        assert one["target"] == target
        assert one["tokens"][-1] == "</s>"
        assert sum(one["log_probs"]) == pytest.approx(float(log_prob), abs=1e-5)
    linked = seqlm(*flags, pond / "target", "--align").out.splitlines()[0].split("\t")[2]
    assert len(linked.split()) == len(targets[0].split())

    for text, message in [("the\n", "ends after 1 lines"), ("the\n" * 200, "goes on")]:
        (workplace / "other").write_text(text)
        result = seqlm(*flags, "other")
        assert result.code == 3
        assert f"other {message}" in result.error
        assert result.out.count("\n") == min(len(text.splitlines()), len(targets))


# ---------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    ("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_a_plot_has_colors_on_a_terminal_that_wants_them(
    run, seqlm, variables, colored, monkeypatch
):
    monkeypatch.setattr("tests.command.Output.isatty", lambda self: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    env = {"TERM": "xterm", **variables}
    drawn = seqlm("translate", "-m", run, "--plot", "-", stdin=b"the frog sleeps\n", env=env)
    assert ("\x1b[48;5;" in drawn.err) == colored


def test_the_attention_of_the_first_sentence_is_plotted(run, seqlm, workplace):
    result = seqlm(
        "translate", "-m", run, "-q", "--plot", "-", stdin=b"\nthe frog sleeps\na pike\n"
    )
    assert result.out.count("\n") == 3
    assert "█" in result.err
    assert result.err.splitlines()[-2].startswith("</s>")
    pytest.importorskip("matplotlib")
    drawn = seqlm("translate", "-m", run, "--plot", "it.svg", stdin=b"\nthe frog sleeps\na pike\n")
    assert drawn.out == result.out
    assert (workplace / "it.svg").read_bytes().startswith(b"<?xml")


# ----------------------------------------------------------------------------------- several models


def test_an_ensemble_of_a_model_with_itself_is_the_model(run, seqlm, translate):
    result = seqlm("translate", "-m", run, "-m", run, stdin=TEXT.encode())
    assert (result.code, result.out) == (0, translate(run))


def test_models_of_other_vocabularies_cannot_translate_together(run, bpe, seqlm):
    result = seqlm("translate", "-m", run, "-m", bpe)
    assert result.code == 4
    assert "do not have the same vocabularies" in result.error


# ------------------------------------------------------------------------------- the wrong model


def test_a_model_of_another_task_is_refused(run, lstm, seqlm):
    result = seqlm("translate", "-m", lstm)
    assert (result.code, result.out) == (4, "")
    assert result.error == f"{lstm} is a language model, and this needs a translator"
    for command in ("sample", "eval"):
        result = seqlm(command, "-m", run, stdin=b"a\n")
        assert (result.code, result.out) == (4, "")
        assert result.error.startswith(f"{run} is a translator, and this needs a language model")


def test_a_latest_run_of_another_task_is_refused_and_the_newest_that_fits_is_named(
    run, lstm, seqlm, workplace
):
    for name, model, when in [("old", run, "2026-01-01"), ("new", lstm, "2026-01-02")]:
        copy = RunFolder(Path(shutil.copytree(model, workplace / "checkpoints" / name)))
        copy.write_config(replace(copy.read_config(), finished=when))
    result = seqlm("translate", stdin=b"the frog\n")
    assert result.code == 2
    assert "the latest run, checkpoints/new, is a language model" in result.error
    assert result.error.endswith("; the newest translator is checkpoints/old")
    shutil.rmtree(workplace / "checkpoints" / "old")
    assert seqlm("translate").error.endswith("; no run there is a translator")


def test_a_model_without_attention_aligns_nothing(runs, seqlm):
    blind = runs("blind", "--tokenizer", "word", "--attention", "none", "--steps", 2)
    for flag in (["--align"], ["--replace-unk"], ["--plot", "-"]):
        result = seqlm("translate", "-m", blind, *flag, stdin=b"the frog\n")
        assert (result.code, result.out) == (4, "")
        assert "no attention" in result.error
    assert seqlm("translate", "-m", blind, stdin=b"the frog\n").code == 0


# ---------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--beam", 0], "--beam"),
        (["--nbest", 6], "--nbest 6 needs a --beam at least as wide"),
        (["--length-penalty", -1], "--length-penalty is -1.0; it must be at least 0"),
        (["--length-penalty", "inf"], "--length-penalty is inf; it must be at least 0"),
        (["--coverage-penalty", "nan"], "--coverage-penalty is nan; it must be at least 0"),
        (["--max-length-ratio", 0], "it must be above 0"),
        (["--max-length-ratio", "inf"], "it must be above 0 and at most 1000"),
        (["--max-length-ratio", 1e30], "it must be above 0 and at most 1000"),
        (["--max-length-ratio", "nan"], "it must be above 0 and at most 1000"),
        (["-", "-"], "- stands for standard input"),
        (["--score-target", "-"], "- stands for standard input"),
        (["--beam", 2, "--nbest", 3], "--nbest 3 needs a --beam at least as wide"),
        (["--buffer", 0], "--buffer"),
        (["--max-input-length", 0], "--max-input-length"),
        (["--normalization", "gmnt"], "did you mean 'gnmt'?"),
        (["--sample", "--beam", 2], "--beam has no effect with --sample; leave out one of the two"),
        (["--temperature", 2], "--temperature has no effect without --sample"),
        (["--sample", "--top-p", 0], "--top-p is 0.0; it must be above 0"),
        (["--scores", "--json"], "leave out --scores"),
        (["--score-target", "x", "--nbest", 2], "--score-target cannot be combined with --nbest"),
        (["--plot", "it.doc"], "the name of a plot ends in .png"),
        (["--errors", "ignore"], "--errors 'ignore'"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused(flags, message, run, seqlm):
    result = seqlm("translate", "-m", run, *flags, stdin=b"the frog\n")
    assert (result.code, result.out) == (2, "")
    assert message in result.error


# ---------------------------------------------------------------------------------- as a process


def process(run: Path, *flags: object, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "translate", "-m", str(run), "-q", *map(str, flags)],
        env=environment(TERM="xterm"), **streams,
    )  # fmt: skip


def test_a_closed_pipe_is_no_error(run, tmp_path):
    (tmp_path / "text").write_text("the frog sees the pike\n" * 600)
    pipe = subprocess.PIPE
    with process(
        run, tmp_path / "text", "--batch-size", 4, stdout=pipe, stderr=pipe
    ) as translating:
        assert translating.stdout is not None
        assert translating.stderr is not None
        assert translating.stdout.readline().endswith(b"\n")
        translating.stdout.close()
        assert translating.wait() == 0
        assert translating.stderr.read() == b""


@pytest.mark.parametrize("flags", [["--batch-size", 1], ["--buffer", 1]], ids=str)
def test_a_pipe_is_answered_line_by_line_where_that_is_asked(flags, run):
    pipe = subprocess.PIPE
    with process(run, *flags, stdin=pipe, stdout=pipe) as translating:
        assert translating.stdin is not None
        assert translating.stdout is not None
        for line in (b"the frog sees the pike\n", b"\n", b"a heron sleeps\n"):
            translating.stdin.write(line)
            translating.stdin.flush()
            assert translating.stdout.readline().endswith(b"\n")
        translating.stdin.close()
        assert translating.wait() == 0


def test_at_a_terminal_every_line_is_answered_at_once_until_it_is_stopped(run):
    ours, theirs = pty.openpty()
    with process(run, stdin=theirs, stdout=subprocess.PIPE) as translating:
        os.close(theirs)
        assert translating.stdout is not None
        for line in (b"the frog sees the pike\n", b"\n", b"a heron sleeps\n"):
            os.write(ours, line)
            assert translating.stdout.readline().endswith(b"\n")
        assert translating.poll() is None
        translating.send_signal(signal.SIGINT)
        assert translating.stdout.read() == b""
        assert translating.wait() == 130
    os.close(ours)
