"""`seqlm sample`: text on stdout, the same for the same seed, however it is made."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from seqlm.decoding import text_generation
from tests.command import Result


@pytest.fixture
def sample(seqlm: Callable[..., Result]) -> Callable[..., str]:
    """What `seqlm sample -m` prints."""

    def run(model: object, *flags: object, **options: object) -> str:
        result = seqlm("sample", "-m", model, *flags, **options)
        assert result.code == 0, result.err
        return result.out

    return run


# ----------------------------------------------------------------------------------------- how many


def test_there_are_ten_samples_one_a_line(family, sample):
    lines = sample(family).split("\n")
    assert lines.pop() == ""
    assert len(lines) == 10
    assert len(set(lines)) > 1


@pytest.mark.parametrize("number", [1, 3, 130])
def test_there_are_as_many_samples_as_asked_for(number, lstm, sample):
    assert sample(lstm, "-n", number, "--max-tokens", 3).count("\n") == number


def test_a_sample_has_no_more_tokens_than_allowed(lstm, sample):
    for line in sample(lstm, "--max-tokens", 4, "-n", 40).splitlines():
        assert len(line.split()) <= 4


def test_without_a_stop_every_sample_has_all_its_tokens(lstm, sample):
    out = sample(lstm, "--stop", "none", "--max-tokens", 300, "-n", 1)
    assert out.count("\n") > 1  # ends of lines are printed
    tokens = len(out.split()) + out.count("\n")
    assert tokens in (300, 301)  # the last line may be unfinished


# ----------------------------------------------------------------------------------------- the seed


def test_a_seed_gives_the_same_samples_and_another_others(family, sample):
    assert sample(family, "--seed", 5) == sample(family, "--seed", 5)
    assert sample(family, "--seed", 5) != sample(family, "--seed", 6)
    assert sample(family) == sample(family, "--seed", 1)


def test_a_default_seed_is_said(lstm, seqlm):
    said = "seed: 1 (the default; use --seed for other samples)"
    assert said in seqlm("sample", "-m", lstm, "-n", 1).err.splitlines()
    for flags in (["--seed", 1], ["-q"], ["--temperature", 0], ["--beam", 2]):
        assert "seed" not in seqlm("sample", "-m", lstm, *flags).err


def test_the_first_of_many_samples_are_the_few(family, sample):
    few, many = sample(family, "-n", 3), sample(family, "-n", 12)
    assert many.startswith(few)


def test_the_batch_changes_no_sample(family, sample, monkeypatch):
    together = sample(family, "-n", 9)
    original = text_generation.sample

    def in_twos(*arguments: object, **options: object):
        return original(*arguments, **options, batch_size=2)

    monkeypatch.setattr(text_generation, "sample", in_twos)
    assert sample(family, "-n", 9) == together


@pytest.mark.parametrize("flags", [["--temperature", "0"], ["--top-k", "1"], ["--top-p", "1e-9"]])
def test_greedy_samples_are_all_alike(flags, family, sample):
    assert len(set(sample(family, *flags, "--max-tokens", "20").splitlines())) == 1


# --------------------------------------------------------------------------------------- the prompt


@pytest.mark.parametrize("prompt", ["the frog", "a heron sees", "the "])
def test_a_sample_goes_on_from_its_prompt(prompt, family, sample):
    for line in sample(family, "--prompt", prompt, "--max-tokens", 5).splitlines():
        assert line.startswith(prompt)
        assert "  " not in line or "char" in str(family) or "bpe" in str(family)


def test_prompts_are_read_from_stdin_one_a_line(lstm, sample):
    out = sample(lstm, "--prompt", "-", "-n", 2, stdin="the frog\r\n\nno älteste\n".encode())
    lines = out.split("\n")
    assert [line.startswith("the frog") for line in lines[:4]] == [True, True, False, False]
    assert all(line.startswith("no älteste") for line in lines[4:6])
    assert len(lines) == 7


def test_a_prompt_of_stdin_is_that_of_the_flag(lstm, sample):
    assert sample(lstm, "--prompt", "-", stdin=b"the frog\n") == sample(
        lstm, "--prompt", "the frog"
    )


def test_without_prompts_there_are_no_samples(lstm, sample):
    assert sample(lstm, "--prompt", "-", stdin=b"") == ""


def test_a_prompt_may_have_lines_of_its_own(lstm, sample):
    out = sample(lstm, "--prompt", "the frog .\nno", "-n", 1)
    assert out.startswith("the frog .\nno")
    assert sample(lstm, "--prompt", "the frog .\n", "-n", 1).split("\n")[1][:1] != " "


@pytest.mark.parametrize("token", ["<s>", "</s>"])
def test_a_boundary_in_a_prompt_is_refused(token, lstm, seqlm):
    result = seqlm("sample", "-m", lstm, "--prompt", f"the {token} frog")
    assert (result.code, result.out) == (3, "")
    assert f"<prompt>, line 1: the token {token} is reserved" in result.error


def test_a_prompt_that_is_no_text_is_refused(lstm, seqlm):
    result = seqlm("sample", "-m", lstm, "--prompt", "caf\udce9")
    assert (result.code, result.out) == (3, "")
    assert "invalid UTF-8" in result.error


def test_a_prompt_may_hold_unknown_words(lstm, sample):
    assert sample(lstm, "--prompt", "zyzzyva ü", "-n", 1).startswith("zyzzyva ü")


# ------------------------------------------------------------------------------------------- others


def test_json_is_one_object_with_the_same_samples(family, sample):
    out = sample(family, "--json", "--prompt", "the")
    found = json.loads(out)
    assert out.count("\n") == 1
    assert "".join(found["samples"]) == sample(family, "--prompt", "the")
    assert found["seed"] == 1


def test_a_beam_finds_the_best_and_prints_as_many_as_asked(family, sample):
    flags = ["--beam", 4, "--nbest", 3, "--prompt", "the", "--max-tokens", 100]
    lines = sample(family, *flags).splitlines(keepends=True)
    assert len(set(lines)) == 3
    found = json.loads(sample(family, *flags, "--json"))
    assert [one["text"] for one in found["found"]] == lines
    scores = [one["score"] for one in found["found"]]
    assert scores == sorted(scores, reverse=True)


# --------------------------------------------------------------------------------------- repetition


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.split()
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


@pytest.mark.parametrize("flags", [["-t", "0"], ["--top-k", "3"], ["--beam", "3", "--nbest", "3"]])
def test_no_ngram_occurs_twice_in_a_text_and_its_prompt(flags, lstm, sample):
    prompt = "the frog sees the frog"
    lines = sample(lstm, *flags, "--no-repeat-ngram", 2, "--prompt", prompt).splitlines()
    for line in lines:
        after = ngrams(line, 2)[3:]  # of its own prompt "the frog" comes twice
        assert len(set(after)) == len(after)
        assert ("frog", "sees") not in after[1:]
        assert ("the", "frog") not in after[1:]


def test_a_repetition_penalty_leaves_fewer_repeated_words(lstm, sample):
    def repeated(*flags: object) -> int:
        lines = sample(lstm, "--stop", "none", "-n", 1, "--max-tokens", 300, *flags)
        return len(lines.split()) - len(set(lines.split()))

    assert repeated("--repetition-penalty", 2) < repeated()
    assert sample(lstm, "--repetition-penalty", 1) == sample(lstm)


def test_a_length_penalty_prefers_longer_texts(ngram, sample):
    flags = ["--beam", 8, "--max-tokens", 30, "--json", "--length-penalty"]
    plain, longer = (json.loads(sample(ngram, *flags, alpha))["found"][0] for alpha in (0, 5))
    assert len(longer["text"].split()) > len(plain["text"].split())
    assert longer["log_prob"] < plain["log_prob"]
    assert plain["score"] == plain["log_prob"]


@pytest.mark.parametrize("normalization", ["simple", "gnmt"])
def test_a_length_penalty_means_what_it_means_in_translate(normalization, ngram, sample):
    flags = ["--beam", 4, "--nbest", 4, "--json", "--length-penalty", 0.5]
    out = sample(ngram, *flags, "--normalization", normalization)
    for one in json.loads(out)["found"]:
        tokens = len(one["text"].split()) + 1
        length = tokens if normalization == "simple" else (5 + tokens) / 6
        assert one["score"] == pytest.approx(one["log_prob"] / length**0.5)
    assert (out == sample(ngram, *flags)) == (normalization == "simple")


def test_a_repetition_penalty_changes_the_score_and_not_the_log_probability(ngram, sample):
    flags = ["--beam", 6, "--nbest", 6, "--prompt", "the frog sees", "--json"]
    plain, found = (
        {one["text"]: one for one in json.loads(sample(ngram, *flags, *more))["found"]}
        for more in ([], ["--repetition-penalty", 1.02])
    )
    both = {text for text in plain.keys() & found.keys() if text.count("frog") > 1}
    assert both
    for text in both:
        assert found[text]["log_prob"] == plain[text]["log_prob"]
        assert found[text]["score"] < plain[text]["score"]


# ----------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--temperature", "-1"], "--temperature is -1.0; it must be at least 0"),
        (["--temperature", "nan"], "--temperature is nan; it must be at least 0"),
        (["--temperature", "inf"], "--temperature is inf; it must be at least 0"),
        (["--temperature", "hot"], "--temperature is 'hot'; it takes a number"),
        (["--top-k", "0"], "--top-k is 0; it must be at least 1"),
        (["--top-p", "0"], "--top-p is 0.0; it must be above 0"),
        (["--top-p", "1.1"], "it must be above 0 and at most 1"),
        (["--min-p", "-0.1"], "--min-p is -0.1; it must be from 0 to 1"),
        (["--repetition-penalty", "0.5"], "it must be at least 1"),
        (["--repetition-penalty", "nan"], "it must be at least 1"),
        (["--no-repeat-ngram", "0"], "--no-repeat-ngram is 0; it must be at least 1"),
        (["--beam", "2", "--length-penalty", "-1"], "--length-penalty"),
        (["--length-penalty", "1"], "--length-penalty is for a search: it needs --beam"),
        (["--normalization", "gnmt"], "--normalization is for a search: it needs --beam"),
        (["--nbest", "2"], "--nbest is for a search: it needs --beam"),
        (["-n", "0"], "--num-samples"),
        (["--max-tokens", "0"], "--max-tokens"),
        (["--stop", "non"], "did you mean 'none'?"),
        (["--beam", "2", "--nbest", "3"], "--nbest 3 needs a --beam at least as wide"),
        (["--beam", "2", "--top-k", "3"], "--beam searches and does not draw: leave out --top-k"),
        (["--device", "abacus"], "no device 'abacus'"),
        (["--num-threads", "0"], "--num-threads"),
    ],
)
def test_options_that_do_not_fit_are_refused(flags, message, lstm, seqlm):
    result = seqlm("sample", "-m", lstm, *flags)
    assert (result.code, result.out) == (2, "")
    assert message in result.error
