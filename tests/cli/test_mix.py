"""Several models as one: `eval` and `sample` with more than one -m, --mix, --tune and --cache."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqlm.cli.options.mixture_options import parse_weights
from seqlm.errors import UsageError
from seqlm.evaluation.scoring import Scorer
from seqlm.runs.loading.load_model import load_model
from seqlm.runs.loading.locate import locate
from seqlm.text import reading
from seqlm.text.reading import read_blocks
from tests.command import Result, seqlm_inside


class Runs(NamedTuple):
    """Models of one vocabulary."""

    ngram: Path  # sentence by sentence
    other: Path  # an n-gram model that numbers the types in another order
    lstm: Path  # carried over lines
    gru: Path  # sentence by sentence


@pytest.fixture(scope="module")
def runs(toy: Any, models: Callable[[str], Path], tmp_path_factory: Any) -> Runs:
    folder, ngram = tmp_path_factory.mktemp("mix"), models("ngram-word")
    words = sorted({*toy.train.read_text(encoding="utf-8").split()}, reverse=True)
    (folder / "types").write_text("\n".join(words) + "\n", encoding="utf-8")
    small = ["--valid", toy.valid, "--steps", "60", "--width", "8", "--layers", "1", "--lr", "0.02"]
    commands = {
        "other": ["count", "--order", "2", "--discount-fallback", "--vocab", folder / "types"],
        "lstm": ["train", "--arch", "lstm", *small, "--vocab", ngram],
        "gru": ["train", "--arch", "gru", "--context", "sentence", *small, "--vocab", ngram],
    }
    for name, (command, *flags) in commands.items():
        result = seqlm_inside(command, toy.train, "-o", folder / name, *flags)
        assert result.code == 0, result.err
    return Runs(ngram, *(folder / name for name in commands))


@pytest.fixture
def log_probs(seqlm: Callable[..., Result]) -> Callable[..., list[float]]:
    """Of every token, natural, as --per-token prints them."""

    def run(*arguments: object) -> list[float]:
        result = seqlm("eval", "--per-token", *arguments)
        assert result.code == 0, result.err
        rows = [line.split("\t") for line in result.out.split("\n")[1:-1]]
        return [-math.log(2) * float(row[3]) for row in rows]

    return run


@pytest.fixture
def figures(seqlm: Callable[..., Result]) -> Callable[..., dict]:
    def run(*arguments: object, **options: object) -> dict:
        result = seqlm("eval", "--json", *arguments, **options)
        assert result.code == 0, result.err
        return json.loads(result.out)

    return run


def named(*models: Path) -> list[object]:
    return [part for model in models for part in ("-m", model)]


# ------------------------------------------------------------------------------------------ figures


def test_a_mixture_adds_up_the_models_each_in_its_own_context(runs, toy, log_probs, figures):
    each = [log_probs("-m", model, toy.test) for model in runs]
    weights = [0.4, 0.3, 0.2, 0.1]
    slow = [math.log(sum(w * math.exp(x) for w, x in zip(weights, row))) for row in zip(*each)]
    arguments = [*named(*runs), "--mix", "0.4,0.3,0.2,0.1", toy.test]
    assert log_probs(*arguments) == pytest.approx(slow, abs=1e-6)
    assert figures(*arguments)["ppl"] == pytest.approx(math.exp(-math.fsum(slow) / len(slow)))


def test_a_cache_counts_the_words_just_read(ngram, toy, log_probs):
    words = [w for line in toy.test.read_text().splitlines() for w in (*line.split(), "</s>")]
    slow = []
    types = len({*toy.train.read_text().split()} - {"<unk>"}) + 2
    known = {*toy.train.read_text().split(), "</s>"}
    words = [word if word in known else "<unk>" for word in words]
    for at, (word, base) in enumerate(zip(words, log_probs("-m", ngram, toy.test))):
        window = words[max(0, at - 30) : at]
        p = window.count(word) / len(window) if window else 1 / types
        slow.append(math.log(0.8 * math.exp(base) + 0.2 * p))
    flags = ["--cache", 30, "--cache-decay", 0, "--mix", "0.8,0.2"]
    assert log_probs("-m", ngram, *flags, toy.test) == pytest.approx(slow, abs=1e-6)


@pytest.mark.parametrize("size", [1, 7])
def test_neither_batches_nor_blocks_change_a_figure(size, runs, toy, figures, monkeypatch):
    arguments = [*named(*runs), "--cache", 50, "--tune", toy.valid, toy.test]
    whole = figures(*arguments)
    monkeypatch.setattr(reading, "BLOCK_SIZE", 100 * size)
    parts = figures(*arguments, "--batch-size", size)
    assert parts["ppl"] == pytest.approx(whole["ppl"], rel=1e-6)
    assert parts["weights"] == pytest.approx(whole["weights"], abs=2e-6)


def test_a_model_with_itself_or_all_the_weight_is_that_model(runs, toy, figures):
    alone = figures("-m", runs.lstm, toy.test)["log_prob"]
    assert figures(*named(runs.lstm, runs.lstm), toy.test)["log_prob"] == pytest.approx(alone)
    mixed = figures(*named(runs.lstm, runs.other), "--mix", "1,0", toy.test)
    assert mixed["log_prob"] == alone


def test_the_orders_are_those_of_a_single_model(runs, toy, seqlm):
    def column(*arguments: object) -> set[str]:
        out = seqlm("eval", "--per-token", *arguments, toy.test).out
        return {row.split("\t")[7] for row in out.split("\n")[1:-1]}

    assert column("-m", runs.ngram) == {"1", "2", "3"}
    assert column(*named(runs.ngram, runs.other)) == {""}


# ------------------------------------------------------------------------------------------- tuning


def test_tuned_weights_can_be_given_again_and_are_better_than_others(runs, toy, seqlm, figures):
    models = [*named(runs.ngram, runs.gru), "--cache", 100]
    result = seqlm("eval", "--json", *models, "--tune", toy.valid, toy.test)
    (line,) = [line for line in result.err.splitlines() if line.startswith("tuned on ")]
    record = json.loads(result.out)
    *constants, mix, weights = line.split(": ", 1)[1].split()
    assert constants[::2] == ["--softmax-temperature"]
    assert mix == "--mix"
    assert [float(weight) for weight in weights.split(",")] == record["weights"]
    again = figures(*models, *constants, "--mix", weights, toy.test)
    assert again["ppl"] == pytest.approx(record["ppl"], rel=1e-12)
    assert again["signature"] == record["signature"]

    held_out = figures(*models, *constants, "--mix", weights, toy.valid)["ppl"]
    for other in ("0.5,0.3,0.2", "0.9,0.05,0.05", "0.2,0.7,0.1", "1,0,0", "0,1,0"):
        assert figures(*models, *constants, "--mix", other, toy.valid)["ppl"] >= held_out
    equal = seqlm("eval", *models, toy.test)
    assert "equal weights: --mix 0.333333,0.333333,0.333333" in equal.err


@pytest.mark.parametrize("form", ["file", "link", "copy", "gz", "stdin"])
def test_the_evaluated_text_is_not_held_out(form, runs, toy, seqlm, workplace):
    text, source = toy.test.read_bytes(), workplace / form
    if form == "link":
        source.symlink_to(toy.test)
    elif form != "stdin":
        source.write_bytes(gzip.compress(text) if form == "gz" else text)
    evaluated = {"file": toy.test, "stdin": "-"}.get(form, source)
    models = named(runs.ngram, runs.other)
    result = seqlm("eval", *models, "--tune", toy.test, evaluated, stdin=text)
    assert (result.code, result.out) == (2, "")
    assert f"{evaluated} is the text of --tune, which has to be another" in result.error


def test_a_held_out_text_may_be_piped_in(runs, toy, figures):
    models = named(runs.ngram, runs.other)
    piped = figures(*models, "--tune", "-", toy.test, stdin=toy.valid.read_bytes())
    assert piped == figures(*models, "--tune", toy.valid, toy.test)


# ------------------------------------------------------------------------------------ what is said


def test_the_signature_names_models_and_weights(runs, toy, figures):
    models = [*named(runs.ngram, runs.lstm), "--cache", 60]
    record = figures(*models, "--mix", "0.5,0.3,0.2", toy.test)
    assert record["models"] == [str(runs.ngram), str(runs.lstm), "cache"]
    assert record["weights"] == [0.5, 0.3, 0.2]
    assert "model" not in record
    parts = dict(part.split(":", 1) for part in record["signature"].split("|"))
    ngram, lstm, cache = (each.split("*") for each in parts["mix"].split("+"))
    assert (ngram[0], lstm[0], cache[0]) == ("0.5", "0.3", "0.2")
    assert ngram[1].startswith("ngram.sentence.")
    assert lstm[1].startswith("lstm.carried.")
    assert cache[1] == "cache.carried.60,0.008"
    single = figures("-m", runs.lstm, toy.test)
    assert single["signature"].split("weights:")[1].startswith(lstm[1].split(".")[2] + "|")
    assert single["model"] == str(runs.lstm)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--mix", "0.5,0.5,0"], "--mix 0.5,0.5,0: 2 models take 2 weights, not 3"),
        (["--mix", "1", "--cache", "9"], "--mix 1: 3 models take 3 weights, not 1"),
        (["--mix", "0.5,0.4"], "the weights sum to 0.9 instead of 1"),
        (["--mix", "1.5,-0.5"], "every weight is a number of 0 or more"),
        (["--mix", "nan,1"], "every weight is a number of 0 or more"),
        (["--mix", "inf,0"], "every weight is a number of 0 or more"),
        (["--mix", "half,half"], "--mix half,half is not a list of numbers"),
        (["--mix", "0.5;0.5"], "is not a list of numbers"),
        (["--mix", ""], "is not a list of numbers"),
        (["--cache", "0"], "--cache"),
        (["--cache-decay", "0.1"], "--cache-decay has no effect without --cache"),
        (["--cache", "9", "--cache-decay", "-1"], "must be at least 0"),
        (["--cache", "9", "--cache-decay", "nan"], "must be at least 0"),
    ],
)
@pytest.mark.parametrize("command", ["eval", "sample"])
def test_weights_that_do_not_fit_are_refused(command, flags, message, runs, toy, seqlm):
    text = [toy.test] if command == "eval" else []
    result = seqlm(command, *named(runs.ngram, runs.other), *flags, *text)
    assert (result.code, result.out) == (2, "")
    assert message in result.error


@given(st.text(max_size=20) | st.lists(st.floats(), max_size=4).map(repr), st.integers(1, 4))
@example(" 0.25,7.5e-1", 2)
@example("1e308,1e308", 2)
def test_any_weights_are_a_distribution_or_one_error(mix, models):
    try:
        weights = parse_weights(mix.strip("[]"), models)
    except UsageError:
        return
    assert len(weights) == models
    assert min(weights) >= 0
    assert math.fsum(weights) == pytest.approx(1)


def test_weights_may_miss_one_by_a_rounding_error(runs, toy, figures):
    record = figures(*named(*runs[:3]), "--mix", "0.333,0.333,0.333", toy.test)
    assert record["weights"] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("flags", [["--mix", "1"], ["--tune", "valid"]])
def test_one_model_needs_no_weights(flags, runs, toy, seqlm):
    result = seqlm("eval", "-m", runs.ngram, *flags, toy.test)
    assert (result.code, result.out) == (2, "")
    assert (
        f"{flags[0]} weighs several models: name another --model, or add a --cache" in result.error
    )


def test_weights_are_given_or_tuned(runs, toy, seqlm):
    flags = ["--mix", "0.5,0.5", "--tune", toy.valid]
    result = seqlm("eval", *named(runs.ngram, runs.other), *flags, toy.test)
    assert result.code == 2
    assert "leave out one of them" in result.error


def test_models_of_other_vocabularies_are_refused(runs, lstm, models, toy, seqlm):
    for command, *text in (["eval", toy.test], ["sample"]):
        result = seqlm(command, *named(runs.ngram, lstm), *text)
        assert (result.code, result.out) == (4, "")
        assert "they need the same types, but have" in result.error
        assert f"only {runs.ngram} has '" in result.error
        result = seqlm(command, *named(runs.ngram, models("ngram-char")), *text)
        assert (result.code, result.out) == (4, "")
        assert "tokens of one are of kind word, of the other char" in result.error


def test_a_missing_model_is_named_before_anything_is_loaded(runs, toy, seqlm):
    result = seqlm("eval", *named(runs.ngram, Path("nowhere")), toy.test)
    assert (result.code, result.out) == (4, "")
    assert result.err == "seqlm: error: no model nowhere\n"


def test_scores_have_no_perplexity_and_cannot_be_mixed(runs, toy, seqlm, log_probs):
    flags = ["--smoothing", "stupid-backoff", "--order", "2", "--vocab", runs.ngram]
    assert seqlm("count", toy.train, *flags, "-o", "scores").code == 0
    for metric in ("ppl", "bits-per-byte"):
        result = seqlm("eval", "-m", "scores", "--metric", metric, toy.test)
        assert (result.code, result.out) == (4, "")
        assert "scores gives scores, not probabilities: it has no perplexity" in result.error
    loaded = load_model(locate("scores"))
    ids = np.concatenate([loaded.tokenizer.encode(block) for block in read_blocks([toy.test])])
    expected = Scorer(loaded.model, "sentence")(ids).log_probs
    assert log_probs("-m", "scores", toy.test) == pytest.approx(expected, rel=1e-6)
    (warning,) = seqlm("eval", "-m", "scores", "--per-token", toy.test).warnings
    assert warning.startswith("scores gives scores, not probabilities: what is printed is -log2")
    (warning,) = seqlm("eval", "-m", "scores", "--per-line", toy.test).warnings
    assert "what is printed is their natural logarithm" in warning
    result = seqlm("eval", *named(runs.lstm, Path("scores")), "--per-token", toy.test)
    assert result.code == 4
    assert "scores gives scores, not probabilities: it cannot be mixed" in result.error


# ------------------------------------------------------------------------------------ what -m names

ARPA = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.1
-0.7\t</s>
-0.4\tfrog\t-0.2
-0.6\theron

\\2-grams:
-0.3\t<s> frog
-0.5\tfrog heron

\\end\\
"""


@pytest.fixture
def arpa(workplace: Path) -> Path:
    path = workplace / "tiny.arpa"
    path.write_text(ARPA)
    return path


def test_a_file_is_an_arpa_model(arpa, figures):
    text = b"frog heron\nheron frog toad\n"
    log10s = [-0.3, -0.5, -0.7, -0.1 - 0.6, -0.4, -0.2 - 1.0, -0.7]
    record = figures("-m", arpa, stdin=text)
    assert record["log_prob"] == pytest.approx(math.log(10) * sum(log10s))
    assert record["model"] == str(arpa)
    digest = hashlib.sha256(arpa.read_bytes()).hexdigest()[:12]
    assert (
        f"context:sentence|eos:scored|mode:static|arch:ngram|weights:{digest}"
        in record["signature"]
    )
    assert figures(stdin=text, env={"SEQLM_MODEL": str(arpa)}) == record


def test_an_arpa_model_is_mixed_and_sampled_like_a_run(arpa, seqlm, figures):
    text = b"frog heron\nheron frog toad\n"
    Path("text").write_bytes(text.replace(b"toad", b"<unk>"))
    flags = ["--order", "1", "--smoothing", "add-k", "--vocab", "types"]
    Path("types").write_text("heron\nfrog\n")
    assert seqlm("count", "text", *flags, "-o", "run").code == 0
    # Of the 7 tokens of the text and one more of each of the 4 types.
    counted = {"frog": 3 / 11, "heron": 3 / 11, "</s>": 3 / 11, "<unk>": 2 / 11}
    log10s = [-0.3, -0.5, -0.7, -0.1 - 0.6, -0.4, -0.2 - 1.0, -0.7]
    words = ["frog", "heron", "</s>", "heron", "frog", "<unk>", "</s>"]
    slow = sum(math.log(0.5 * 10**x + 0.5 * counted[w]) for x, w in zip(log10s, words))
    assert figures(*named(arpa, Path("run")), stdin=text)["log_prob"] == pytest.approx(slow)
    sampled = seqlm("sample", *named(arpa, Path("run")), "--cache", 5, "--max-tokens", 5)
    assert sampled.code == 0
    assert {*sampled.out.split()} <= {"frog", "heron", "<unk>"}


def test_a_variable_names_one_model_and_may_have_spaces(runs, toy, seqlm, figures, workplace):
    place = workplace / "a run of ours"
    place.symlink_to(runs.ngram)
    alone = figures("-m", runs.ngram, toy.test)
    assert figures(toy.test, env={"SEQLM_MODEL": str(place)})["ppl"] == alone["ppl"]


# ----------------------------------------------------------------------------------------- sampling


def test_samples_come_from_the_mixture(runs, seqlm):
    def sample(*flags: object) -> str:
        result = seqlm("sample", *flags, "--max-tokens", 12, env={"SEQLM_SEED": "1"})
        assert result.code == 0, result.err
        return result.out

    models = named(runs.ngram, runs.gru, runs.other)
    adjusted = ("--top-k", 20)  # without it samples of one n-gram model are drawn in another way
    assert sample(*models, "--mix", "1,0,0", *adjusted) == sample("-m", runs.ngram, *adjusted)
    assert sample(*models, "--mix", "0,0,1", *adjusted) != sample("-m", runs.ngram, *adjusted)
    mixed = sample(*models, "--mix", "0.2,0.5,0.3")
    assert mixed not in (sample("-m", runs.ngram), sample("-m", runs.gru))
    cached = [*models, "--mix", "0.2,0.2,0.1,0.5", "--cache", 20]
    assert sample(*cached, "--seed", 3) == sample(*cached, "--seed", 3)
    assert len(set(sample(*cached, "--temperature", 0).splitlines())) == 1
    greedy = sample(*cached, "--temperature", 0, "-n", 1)
    assert sample(*cached, "--beam", 1) == greedy
    assert sample(*cached, "--prompt", "the frog", "-n", 2).startswith("the frog")


def test_the_score_of_a_beam_is_that_of_eval(runs, seqlm, figures):
    models = [*named(runs.ngram, runs.gru), "--mix", "0.3,0.7"]
    out = seqlm("sample", *models, "--beam", 12, "--nbest", 6, "--json").out
    lines = [record for record in json.loads(out)["found"] if record["text"].strip()]
    assert len(lines) >= 3
    for line in lines:
        record = figures(*models, stdin=line["text"].encode())
        assert record["log_prob"] == pytest.approx(line["log_prob"], abs=1e-5)
