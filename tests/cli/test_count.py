"""`seqlm count`: an n-gram model in a run folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from seqlm.runs.run_folder import RunFolder
from tests.command import COMMAND, environment

DEGENERATE = b"a b c\n" * 5  # every n-gram is counted five times


def test_a_run_is_made_and_can_be_used(toy, seqlm, workplace):
    result = seqlm("count", toy.train)
    assert (result.code, result.out) == (0, "checkpoints/5gram-train\n")
    run = RunFolder(workplace / "checkpoints" / "5gram-train")
    config = run.read_config()
    assert config.finished
    assert config.data["lines"] == 600
    assert str(toy.train) in (run / "README.md").read_text()
    assert float(seqlm("eval", toy.test).out) > 1
    assert seqlm("sample").out.count("\n") == 10


def test_counting_twice_gives_equal_weights(toy, seqlm):
    for name in ("one", "two"):
        assert seqlm("count", toy.train, "--order", 3, "-o", name).code == 0
    files = [next(Path(name).glob("steps/*/model.safetensors")) for name in ("one", "two")]
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
    files = [next(Path(name).glob("steps/*/model.safetensors")) for name in ("plain", "other")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_characters_are_carried_and_words_are_not(toy, seqlm):
    for tokenizer, context in {"word": "sentence", "bpe": "sentence", "char": "carried"}.items():
        flags = ["--tokenizer", tokenizer, "--order", 2, "-o", tokenizer, "--discount-fallback"]
        assert seqlm("count", toy.train, *flags).code == 0
        assert RunFolder(Path(tokenizer)).read_config().context == context


@pytest.mark.parametrize("smoothing", ["modified-kneser-ney", "kneser-ney", "absolute"])
def test_counts_too_regular_for_discounts_are_explained_with_a_way_out(smoothing, seqlm, workplace):
    result = seqlm("count", "--smoothing", smoothing, "-o", "run", stdin=DEGENERATE)
    assert (result.code, result.out) == (3, "")
    assert "no 1-gram has the count" in result.error
    for remedy in ("--discount-fallback", "--smoothing witten-bell"):
        assert remedy in result.error
    assert not (workplace / "run").exists()
    for way in (["--discount-fallback"], ["--smoothing", "witten-bell"]):
        flags = ["--smoothing", smoothing, *way]
        assert seqlm("count", "-o", "run", "--overwrite", *flags, stdin=DEGENERATE).code == 0
        found = json.loads(seqlm("eval", "-m", "run", "--json", stdin=DEGENERATE).out)
        assert found["ppl"] is not None


def test_counts_too_regular_for_good_turing_are_explained(seqlm, workplace):
    result = seqlm("count", "--smoothing", "good-turing", "-o", "run", stdin=DEGENERATE)
    assert (result.code, result.out) == (3, "")
    assert "2-grams have the counts 1, 2, 3, 4" in result.error
    assert "--smoothing witten-bell" in result.error


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
    from seqlm.runs import checkpoint

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_tensors", full)
        result = seqlm("count", toy.train, "--order", 2, "-o", "run")
    assert result.code == 1
    assert "could not be saved: No space left on device" in result.error
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
        (["--smoothing", "mle", "--backoff"], "comes in one form; --backoff is for"),
        (
            ["--smoothing", "good-turing", "--backoff"],
            "comes in one form; --backoff is for",
        ),
        (
            ["--cutoffs", "1,0"],
            "--cutoffs must begin with 0: for single words there is --min-count",
        ),
        (["--cutoffs", "0,2,1"], "--cutoffs 0,2,1 must not fall from one order to the next"),
        (["--cutoffs", "x"], "--cutoffs is 'x'; it takes whole numbers, as 2000,6000"),
        (["--smoothing", "jelinek-mercer"], "held-out text: it needs --tune"),
        (
            ["--smoothing", "kneser-ney", "--tune", "x"],
            "--tune needs --smoothing add-k or jelinek-mercer",
        ),
        (["--prune", "0"], "--prune is 0.0; it must be above 0"),
        (["--prune", "nan"], "--prune is nan; it must be above 0"),
        (["--prune", "little"], "--prune"),
        (["--prune-to", "0"], "--prune-to"),
        (["--smoothing", "stupid-backoff", "--prune", "1e-8"], "stupid-backoff has none"),
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


# --------------------------------------------------------------------------------------- smoothing

METHODS = {
    "modified-kneser-ney": [],
    "modified-kneser-ney as backoff": ["--backoff"],
    "kneser-ney": [],
    "kneser-ney as backoff": ["--backoff"],
    "absolute": [],
    "absolute as backoff": ["--backoff"],
    "witten-bell": [],
    "witten-bell as backoff": ["--backoff"],
    "good-turing": ["--order", 2],
    "jelinek-mercer": ["--tune", "held-out"],
    "add-k": ["--tune", "held-out"],
    "mle": ["--vocab-size", 3],
}


@pytest.fixture
def held_out(toy, workplace):
    return shutil.copy(toy.valid, workplace / "held-out")


@pytest.mark.parametrize("name", METHODS)
def test_every_smoothing_makes_a_model(name, toy, seqlm, workplace, held_out):
    method, flags = name.split()[0], ["--order", 3, *METHODS[name]]
    result = seqlm("count", toy.train, "--smoothing", method, *flags, "-o", "run")
    assert result.code == 0, result.err
    config = RunFolder(workplace / "run").read_config()
    assert config.settings["smoothing"] == config.model["smoothing"] == method
    assert config.settings["backoff"] == ("--backoff" in flags)
    assert f"({method})" in (workplace / "run" / "README.md").read_text()
    ppl = float(seqlm("eval", "-m", "run", toy.test, "-q").out)
    assert 1 < ppl < 100


def test_stupid_backoff_gives_scores(toy, seqlm):
    assert seqlm("count", toy.train, "--smoothing", "stupid-backoff", "-o", "run").code == 0
    result = seqlm("eval", "-m", "run", toy.test)
    assert (result.code, result.out) == (4, "")
    assert "scores, not probabilities" in result.error
    assert seqlm("eval", "-m", "run", "--per-token", toy.test).out.count("\n") > 60
    assert seqlm("sample", "-m", "run").out.count("\n") == 10


def test_what_was_tuned_is_written_down(toy, seqlm, workplace, held_out):
    flags = ["--order", 2, "--smoothing", "add-k"]
    result = seqlm("count", toy.train, *flags, "--tune", "held-out", "-o", "tuned")
    assert result.code == 0
    k = RunFolder(workplace / "tuned").read_config().settings["add_k"]
    assert f"tuned: add_k {k:.4g}" in result.err
    assert seqlm("count", toy.train, *flags, "--add-k", k, "-o", "told").code == 0
    files = [next(Path(name).glob("steps/*/model.safetensors")) for name in ("tuned", "told")]
    assert files[0].read_bytes() == files[1].read_bytes()

    flags = ["--order", 2, "--smoothing", "jelinek-mercer", "--tune", "held-out"]
    assert seqlm("count", toy.train, *flags, "-o", "mixed").code == 0
    weights = RunFolder(workplace / "mixed").read_config().settings["weights"]
    assert len(weights) == 2
    assert all(0 <= weight < 1 for of in weights for weight in of)


def test_the_text_itself_is_no_held_out_text(toy, seqlm, workplace):
    """Even under another name."""
    (workplace / "copy").write_bytes(toy.train.read_bytes())
    flags = ["--smoothing", "add-k", "--tune", "copy", "-o", "run"]
    result = seqlm("count", toy.train, *flags)
    assert (result.code, result.out) == (2, "")
    assert "--tune copy is the corpus; held-out text must be another" in result.error
    assert not (workplace / "run").exists()


def test_standard_input_is_one_text(toy, seqlm):
    flags = ["--smoothing", "add-k", "--tune", "-", "-o", "run"]
    result = seqlm("count", "-", *flags, stdin=b"a b\n")
    assert (result.code, result.out) == (2, "")
    assert "standard input, which can be read once" in result.error
    assert seqlm("count", toy.train, *flags, stdin=toy.valid.read_bytes()).code == 0


def test_held_out_text_that_is_not_there_is_missed_before_counting(toy, seqlm):
    result = seqlm("count", toy.train, "--smoothing", "add-k", "--tune", "nowhere", "-o", "run")
    assert result.code == 3
    assert "nowhere" in result.error
    assert "counting" not in result.err


# --------------------------------------------------------------------------------- smaller models


def rows(run: Path) -> list[int]:
    return RunFolder(run).read_config().model["rows"]


def test_cutoffs_leave_out_what_is_rare(toy, seqlm, workplace):
    for name, flags in {
        "all": [],
        "some": ["--cutoffs", "0,0,1"],
        "0 1": ["--cutoffs", "0 1"],
    }.items():
        flags += ["--smoothing", "witten-bell", "--order", 3, "-o", name]
        assert seqlm("count", toy.train, *flags).code == 0
    whole, some, fewer = (rows(workplace / name) for name in ("all", "some", "0 1"))
    assert whole[:2] == some[:2]
    assert whole[2] > some[2] > 0
    assert whole[0] == fewer[0]
    assert whole[1] > fewer[1] > 0
    config = RunFolder(workplace / "some").read_config()
    assert config.settings["cutoffs"] == [0, 0, 1]
    assert 1 < float(seqlm("eval", "-m", "some", toy.test, "-q").out) < 100


def test_pruning_makes_models_smaller_at_a_small_price(toy, seqlm, workplace):
    flags = {"all": [], "some": ["--prune", "1e-4"], "few": ["--prune-to", "900"]}
    ppl = {}
    for name in flags:
        result = seqlm("count", toy.train, "--order", 3, *flags[name], "-o", name)
        assert result.code == 0
        assert f"saved: {sum(rows(workplace / name)):,} n-grams" in result.err
        ppl[name] = float(seqlm("eval", "-m", name, toy.train, "-q").out)
    sizes = {name: sum(rows(workplace / name)) for name in flags}
    assert sizes["all"] > sizes["some"] > sizes["few"]
    assert 890 <= sizes["few"] <= 900
    assert ppl["all"] < ppl["some"] < ppl["few"] < 100
    assert RunFolder(workplace / "some").read_config().settings["prune"] == 1e-4


def test_a_model_cannot_be_pruned_to_less_than_its_words(toy, seqlm, workplace):
    result = seqlm("count", toy.train, "--prune-to", 20, "-o", "run")
    assert (result.code, result.out) == (2, "")
    assert "--prune-to 20: it must be at least" in result.error
    assert "the number of unigrams" in result.error
    assert not (workplace / "run").exists()


def test_a_vocabulary_can_be_given(toy, lstm, seqlm, workplace):
    assert seqlm("count", toy.train, "--order", 2, "--vocab", lstm, "-o", "run").code == 0
    assert (workplace / "run" / "tokenizer.json").read_bytes() == (
        lstm / "tokenizer.json"
    ).read_bytes()
    result = seqlm("count", toy.train, "--vocab", "nowhere", "-o", "other")
    assert result.code == 3
    result = seqlm("count", toy.train, "--vocab", toy.valid, "--tokenizer", "bpe", "-o", "other")
    assert result.code == 2


@pytest.mark.parametrize("flag", ["--arpa", "--write-counts"])
def test_what_is_read_is_not_written_over(flag, toy, seqlm, workplace):
    text = toy.train.read_bytes()
    Path("text").write_bytes(text)
    for name in ("text", "./text"):
        result = seqlm("count", "text", flag, name, "-o", "run")
        assert (result.code, result.out) == (2, "")
        assert "would be overwritten" in result.error
    assert Path("text").read_bytes() == text
    assert not Path("run").exists()


@pytest.mark.parametrize("flag", ["--arpa", "--write-counts"])
def test_a_file_goes_to_standard_output_and_nothing_else(flag, toy, seqlm, workplace):
    flags = ["--order", "2", "--discount-fallback", flag]
    assert seqlm("count", toy.train, *flags, "file", "-o", "run").out == "run\n"
    result = seqlm("count", toy.train, *flags, "-", "-o", "again")
    assert (result.code, result.out) == (0, Path("file").read_text())
    assert result.err.splitlines()[-1] == "run: again"
    piped = seqlm("count", *flags, "-", "-o", "piped", stdin=toy.train.read_bytes())
    assert piped.out == result.out
    assert not (workplace / "-").exists()


@pytest.mark.parametrize(
    "method", ["witten-bell", "good-turing", "jelinek-mercer", "add-k", "stupid-backoff", "mle"]
)
def test_discounts_are_for_methods_that_have_them(method, toy, seqlm):
    result = seqlm("count", toy.train, "--smoothing", method, "--discount-fallback", "-o", "run")
    assert (result.code, result.out) == (2, "")
    assert "--discount-fallback needs --smoothing modified-kneser-ney" in result.error
    assert not Path("run").exists()


def test_two_files_do_not_go_to_standard_output(toy, seqlm, workplace):
    result = seqlm("count", toy.train, "--arpa", "-", "--write-counts", "-", "-o", "run")
    assert (result.code, result.out) == (2, "")
    assert result.error == "--arpa and --write-counts cannot both be -, standard output"
    assert not Path("run").exists()


def test_a_reader_of_the_arpa_file_that_has_enough_leaves_the_run(toy, workplace):
    flags = ["--order", "4", "--discount-fallback", "--arpa", "-", "-o", "run", "-q"]
    command = [*COMMAND, "count", str(toy.train), *flags]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout.readline() == b"\\data\\\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert RunFolder(Path("run")).read_config().finished


def test_two_results_do_not_go_to_one_file(toy, seqlm):
    result = seqlm("count", toy.train, "--arpa", "x", "--write-counts", "x", "-o", "run")
    assert result.code == 2
    assert not Path("x").exists()


def test_a_cutoff_above_all_counts_leaves_the_vocabulary(toy, seqlm):
    flags = ["--order", "2", "--cutoffs", f"0,{2**62}", "-o", "run"]
    assert seqlm("count", toy.train, *flags).code == 0
    rows = RunFolder(Path("run")).read_config().model["rows"]
    assert rows[0] > 0
    assert rows[1] == 0
