"""`seqlm count`: an n-gram model in a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqlm.runs.folder import RunFolder

DEGENERATE = b"a b c\n" * 5  # every n-gram is counted five times


def test_a_run_is_made_and_can_be_used(toy, seqlm, workplace):
    result = seqlm("count", toy.train)
    assert (result.code, result.out) == (0, "checkpoints/5gram-train\n")
    run = RunFolder(workplace / "checkpoints" / "5gram-train")
    config = run.read_config()
    assert config["finished"]
    assert config["data"]["lines"] == 600
    assert str(toy.train) in (run / "README.md").read_text()
    assert float(seqlm("eval", toy.test).out) > 1
    assert seqlm("sample").out.count("\n") == 10


def test_counting_twice_gives_equal_weights(toy, seqlm):
    for name in ("one", "two"):
        assert seqlm("count", toy.train, "--order", 3, "-o", name).code == 0
    files = [next(Path(name).glob("saves/*/model.safetensors")) for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("form", ["stdin", "crlf", "no end", "bom", "two files"])
def test_how_the_text_comes_makes_no_difference(form, toy, seqlm, workplace):
    text = toy.train.read_bytes()
    half = text.index(b"\n", len(text) // 2) + 1
    made = {
        "crlf": [text.replace(b"\n", b"\r\n")],
        "no end": [text[:-1]],
        "bom": [b"\xef\xbb\xbf" + text],
        "two files": [text[:half], text[half:]],
        "stdin": [],
    }[form]
    for number, part in enumerate(made):
        (workplace / str(number)).write_bytes(part)
    sources = [str(number) for number in range(len(made))]
    assert seqlm("count", toy.train, "--order", 3, "-o", "plain").code == 0
    assert seqlm("count", *sources, "--order", 3, "-o", "other", stdin=text).code == 0
    files = [next(Path(name).glob("saves/*/model.safetensors")) for name in ("plain", "other")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_characters_are_carried_and_words_are_not(toy, seqlm):
    for tokenizer, context in {"word": "sentence", "bpe": "sentence", "char": "carried"}.items():
        flags = ["--tokenizer", tokenizer, "--order", 2, "-o", tokenizer, "--discount-fallback"]
        assert seqlm("count", toy.train, *flags).code == 0
        assert RunFolder(Path(tokenizer)).read_config()["context"] == context


def test_counts_too_regular_for_kneser_ney_are_explained_with_a_way_out(seqlm, workplace):
    result = seqlm("count", "-o", "run", stdin=DEGENERATE)
    assert (result.code, result.out) == (3, "")
    assert "--discount-fallback" in result.error
    assert not (workplace / "run").exists()
    for way in (["--discount-fallback"], ["--smoothing", "add-k"], ["--smoothing", "mle"]):
        assert seqlm("count", "-o", "run", "--overwrite", *way, stdin=DEGENERATE).code == 0
        found = json.loads(seqlm("eval", "-m", "run", "--json", stdin=DEGENERATE).out)
        assert found["ppl"] is not None


def test_a_second_run_in_the_same_place_is_refused_and_the_first_intact(toy, seqlm, workplace):
    assert seqlm("count", toy.train, "--order", 2, "-o", "run").code == 0
    before = {p: p.read_bytes() for p in (workplace / "run").rglob("*") if p.is_file()}
    result = seqlm("count", toy.valid, "--order", 1, "-o", "run")
    assert (result.code, result.out) == (2, "")
    assert "run holds a run already" in result.error
    assert {p: p.read_bytes() for p in (workplace / "run").rglob("*") if p.is_file()} == before


def test_a_refused_count_counts_nothing_first(toy, seqlm, workplace):
    """Minutes of counting must not end in 'there is a run already'."""
    (workplace / "run").mkdir()
    (workplace / "run" / "thesis.tex").write_text("mine")
    result = seqlm("count", "nowhere", "-o", "run")
    assert (result.code, result.err.count("counting")) == (2, 0), result.err


def test_a_failed_count_leaves_its_place_free(toy, seqlm, workplace, monkeypatch):
    from seqlm.runs import save

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(save, "write_tensors", full)
        result = seqlm("count", toy.train, "--order", 2, "-o", "run")
    assert result.code == 1
    assert "could not be saved: [Errno 28] No space left on device" in result.error
    assert seqlm("count", toy.train, "--order", 2, "-o", "run").code == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--order", "0"], "--order"),
        (["--order", "65"], "--order"),
        (["--smoothing", "knesser-ney"], "did you mean 'kneser-ney'?"),
        (["--tokenizer", "chars"], "did you mean 'char'?"),
        (["--context", "carry"], "did you mean 'carried'?"),
        (["--add-k", "-1"], "--add-k"),
        (["--min-count", "0"], "--min-count"),
        (["--vocab-size", "2"], "--vocab-size"),
        (["--errors", "no"], "--errors"),
    ],
)
def test_what_means_nothing_is_a_mistake_of_usage(flags, message, toy, seqlm, workplace):
    result = seqlm("count", toy.train, *flags)
    assert (result.code, result.out) == (2, "")
    assert message in result.error
    assert not (workplace / "checkpoints").exists()


def test_a_vocabulary_can_be_given(toy, lstm, seqlm, workplace):
    assert seqlm("count", toy.train, "--order", 2, "--vocab", lstm, "-o", "run").code == 0
    assert (workplace / "run" / "tokenizer.json").read_bytes() == (
        lstm / "tokenizer.json"
    ).read_bytes()
    result = seqlm("count", toy.train, "--vocab", "nowhere", "-o", "other")
    assert result.code == 3
    result = seqlm("count", toy.train, "--vocab", toy.valid, "--tokenizer", "bpe", "-o", "other")
    assert result.code == 2
