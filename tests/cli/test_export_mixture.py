"""`seqlm export` of several n-gram models: one ARPA file, or one run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from seqlm.models.ngram.arpa.arpa_reader import read_arpa
from tests.models.arpa_oracle import read_slowly, score_slowly


@pytest.fixture
def domain(toy, ngram, seqlm) -> Path:
    """A model of another text with the vocabulary of `ngram`."""
    flags = ["--order", 2, "--smoothing", "witten-bell", "--vocab", ngram, "-o", "domain"]
    assert seqlm("count", toy.valid, *flags).code == 0
    return Path("domain")


@pytest.fixture
def elsewhere(seqlm) -> Path:
    """An ARPA file of a text with words of its own, and without most of the others."""
    text = b"the pike sees an eel .\nan eel follows the moon .\nthe eel hears no frog !\n"
    flags = ["--order", 4, "--smoothing", "witten-bell", "-o", "other", "--arpa", "eels.arpa"]
    assert seqlm("count", *flags, stdin=text).code == 0
    return Path("eels.arpa")


def ppl(seqlm, text, *models, mix=None) -> float:
    names = [flag for model in models for flag in ("-m", model)]
    return float(seqlm("eval", *names, *(["--mix", mix] if mix else []), text, "-q").out)


def test_one_arpa_file_is_near_the_mixture(toy, ngram, domain, seqlm):
    flags = ["-m", ngram, "-m", domain, "--mix", "0.8,0.2", "--to", "arpa", "-o", "both.arpa"]
    made = seqlm("export", *flags, "-q")
    assert (made.code, made.out, made.err) == (0, "both.arpa\n", "")
    dynamic = ppl(seqlm, toy.test, ngram, domain, mix="0.8,0.2")
    assert ppl(seqlm, toy.test, "both.arpa") == pytest.approx(dynamic, rel=0.01)
    assert seqlm("eval", "-m", "both.arpa", "-m", ngram, toy.test).code == 0  # the same types


def test_every_n_gram_has_the_probability_of_the_mixture(ngram, elsewhere, seqlm):
    assert seqlm("export", "-m", ngram, "--to", "arpa", "-o", "pond.arpa").code == 0
    flags = ["-m", "pond.arpa", "-m", elsewhere, "--mix", "0.7,0.3", "--to", "arpa"]
    text = seqlm("export", *flags, "-q").out.encode()
    ours = read_slowly(text)
    theirs = [read_slowly(path.read_bytes()) for path in (Path("pond.arpa"), elsewhere)]
    assert ours.keys() == theirs[0].keys() | theirs[1].keys()
    for gram, (log10, _) in ours.items():
        if gram[-1:] != (b"<s>",):
            scores = [score_slowly(grams, gram[:-1], gram[-1])[0] for grams in theirs]
            expected = sum(weight * 10**score for weight, score in zip((0.7, 0.3), scores))
            assert 10**log10 == pytest.approx(expected, rel=1e-5)
    words = read_arpa_types(text)
    assert words[:2] == [b"<unk>", b"</s>"]
    assert {b"eel", b"moon", b"heron"} <= set(words)
    vocabulary = [word for word in words if word != b"<s>"]
    for history in [(), (b"<s>",), (b"the",), (b"eel",), (b"<s>", b"the"), (b"the", b"heron")]:
        total = sum(10 ** score_slowly(ours, history, word)[0] for word in vocabulary)
        assert total == pytest.approx(1, abs=1e-5)


def read_arpa_types(text: bytes) -> list[bytes]:
    Path("read.arpa").write_bytes(text)
    return read_arpa("read.arpa")[1].types


def test_kenlm_reads_it(toy, ngram, elsewhere, seqlm):
    kenlm = pytest.importorskip("kenlm")
    flags = ["-m", ngram, "-m", elsewhere, "--to", "arpa", "-o", "both.arpa"]
    assert seqlm("export", *flags).code == 0
    theirs, tokens, total = kenlm.Model("both.arpa"), 0, 0.0
    for line in [*toy.test.read_text().splitlines(), "an eel sees the moon ."]:
        scores = [log10 for log10, _, _ in theirs.full_scores(line)]
        tokens, total = tokens + len(scores), total + sum(scores)
    Path("text").write_bytes(toy.test.read_bytes() + b"an eel sees the moon .\n")
    assert ppl(seqlm, "text", "both.arpa") == pytest.approx(10 ** (-total / tokens), rel=1e-5)


def test_tuned_weights_are_those_of_eval(toy, ngram, domain, seqlm):
    models = ["-m", ngram, "-m", domain, "--tune", toy.valid]
    made = seqlm("export", *models, "--to", "arpa", "-o", "both.arpa")
    assert made.code == 0
    tuned = [line for line in made.err.splitlines() if line.startswith("tuned on")]
    evaluated = seqlm("eval", *models, toy.test).err
    assert [line.split("--mix ")[1] for line in tuned] == [
        line.split("--mix ")[1] for line in evaluated.splitlines() if line.startswith("tuned on")
    ]


def test_weights_are_equal_unless_given_and_said(ngram, domain, seqlm):
    models = ["-m", ngram, "-m", domain, "--to", "arpa"]
    plain = seqlm("export", *models)
    assert "equal weights: --mix 0.5,0.5" in plain.err.splitlines()
    assert plain.out == seqlm("export", *models, "--mix", "0.5,0.5").out


def test_a_mixture_becomes_a_run_that_says_what_it_is(toy, ngram, domain, seqlm):
    models = ["-m", ngram, "-m", domain, "--mix", "0.25,0.75"]
    assert seqlm("export", *models, "--to", "run").out == "checkpoints/mixture\n"
    assert seqlm("export", *models, "--to", "run").out == "checkpoints/mixture-2\n"
    config = yaml.safe_load(Path("checkpoints/mixture/config.yaml").read_text())
    assert config["exported"] == f"0.25 of {ngram}, 0.75 of {domain.absolute()}"
    assert (config["model"]["smoothing"], config["context"]) == ("mixture", "sentence")
    assert seqlm("export", *models, "--to", "arpa", "-o", "both.arpa").code == 0
    assert ppl(seqlm, toy.test, "mixture") == ppl(seqlm, toy.test, "both.arpa")
    assert seqlm("runs", "show", "mixture").code == 0


def test_three_models_are_mixed_and_pruned(toy, ngram, domain, elsewhere, seqlm):
    models = ["-m", ngram, "-m", domain, "-m", elsewhere, "--mix", ".6,.3,.1", "--to", "arpa"]
    assert seqlm("export", *models, "-o", "whole.arpa").code == 0
    assert seqlm("export", *models, "--prune", "1e-4", "-o", "small.arpa").code == 0
    assert Path("small.arpa").stat().st_size < Path("whole.arpa").stat().st_size
    whole = ppl(seqlm, toy.test, "whole.arpa")
    assert whole < ppl(seqlm, toy.test, "small.arpa") < 2 * whole


def test_characters_are_mixed_too(toy, models, seqlm):
    chars = models("ngram-char")
    flags = ["--tokenizer", "char", "--order", 2, "--smoothing", "witten-bell", "-o", "bigram"]
    assert seqlm("count", toy.valid, *flags).code == 0
    made = seqlm("export", "-m", chars, "-m", "bigram", "--mix", "0.9,0.1", "--to", "run")
    assert made.out == "checkpoints/mixture\n"
    assert ppl(seqlm, toy.test, "mixture") == pytest.approx(ppl(seqlm, toy.test, chars), rel=0.2)


def test_what_cannot_be_mixed_is_refused(toy, ngram, domain, models, seqlm):
    counted = {"scores": ["--smoothing", "stupid-backoff"], "carried": ["--context", "carried"]}
    for name, flags in counted.items():
        fallback = ["--discount-fallback"] if name == "carried" else []
        order = ["--order", 2, *fallback, *flags]
        assert seqlm("count", toy.valid, *order, "-o", name).code == 0
    for other, code, message in [
        (models("lstm-word"), 4, "is a network (lstm), and only an n-gram model can become"),
        (models("ngram-char"), 4, "the context of one is sentence, of the other carried"),
        ("scores", 4, "scores gives scores, not probabilities: it cannot be mixed"),
        ("carried", 4, "the context of one is sentence, of the other carried"),
    ]:
        result = seqlm("export", "-m", ngram, "-m", other, "--to", "arpa", "-o", "no.arpa")
        assert (result.code, result.out) == (code, "")
        assert message in result.error
    pair = ["-m", ngram, "-m", domain]
    for flags, message in {
        ("--to", "arpa", "--mix", "0.5"): "2 models take 2 weights, not 1",
        ("--to", "arpa", "--mix", "0.5,0.6"): "the weights sum to 1.1 instead of 1",
        ("--to", "arpa", "--mix", "0.5,x"): "is not a list of numbers",
        ("--to", "arpa", "--mix", "0.5,0.5", "--tune", "x"): "leave out one of them",
        ("--to", "hf", "-o", "no"): "--to hf writes one model: name one --model",
        ("--to", "words", "--mix", "0.5,0.5"): "--mix is for n-gram models",
        ("--to", "arpa", "-o", "domain"): "domain is the model that is read",
        ("--to", "run", "-o", "domain", "--overwrite"): "domain is the model that is read",
    }.items():
        result = seqlm("export", *pair, *flags)
        assert (result.code, result.out) == (2, ""), flags
        assert message in result.error
    for flags in (["--mix", "1"], ["--tune", toy.valid]):
        result = seqlm("export", "-m", ngram, "--to", "arpa", *flags)
        assert (result.code, result.out) == (2, "")
        assert result.error == f"{flags[0]} weighs several models: name another --model"
    assert not [path for path in Path().iterdir() if path.name.startswith("no")]
