"""`seqlm sample`: text on stdout, the same for the same seed, however it is made."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable

import pytest

from seqlm.decoding import text_generation
from tests.command import COMMAND, Result, environment


@pytest.fixture
def sample(seqlm: Callable[..., Result]) -> Callable[..., str]:
    """What `seqlm sample -m` prints, the same every time."""

    def run(model: object, *flags: object, **options: object) -> str:
        options.setdefault("env", {"SEQLM_SEED": "1"})
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


def test_without_a_seed_a_new_one_is_drawn_and_said(lstm, seqlm, sample):
    first, second = (seqlm("sample", "-m", lstm) for _ in range(2))
    assert first.out != second.out
    (seed,) = re.findall(r"^seed: (\d+) \(--seed \1 draws the same again\)$", first.err, re.M)
    assert sample(lstm, "--seed", seed) == first.out
    for flags in (["--seed", 1], ["-q"], ["--temperature", 0], ["--beam", 2]):
        assert "seed" not in seqlm("sample", "-m", lstm, *flags).err


def test_the_first_of_many_samples_are_the_few(family, sample):
    few, many = (sample(family, "-n", n, "--seed", 1) for n in (3, 12))
    assert many.startswith(few)


def test_the_batch_changes_no_sample(family, sample, monkeypatch):
    together = sample(family, "-n", 9, "--seed", 1)
    original = text_generation.sample

    def in_twos(*arguments: object, **options: object):
        return original(*arguments, **options, batch_size=2)

    monkeypatch.setattr(text_generation, "sample", in_twos)
    assert sample(family, "-n", 9, "--seed", 1) == together


@pytest.mark.parametrize("flags", [["--temperature", "0"], ["--top-k", "1"], ["--top-p", "1e-9"]])
def test_greedy_samples_are_all_alike(flags, family, sample):
    assert len(set(sample(family, *flags, "--max-tokens", "20").splitlines())) == 1


# --------------------------------------------------------------------------------------- the prompt


@pytest.mark.parametrize("prompt", ["the frog", "a heron sees", "the "])
def test_a_sample_goes_on_from_its_prompt(prompt, family, sample):
    out = sample(family, "--prompt", prompt, "--max-tokens", 5)
    for line in out.removesuffix("\n").split("\n"):  # other line breaks are characters
        assert line.startswith(prompt)
        assert "  " not in line or "char" in str(family) or "bpe" in str(family)


def test_prompts_are_read_from_stdin_one_a_line(lstm, sample):
    out = sample(lstm, "--prompt", "-", "-n", 2, stdin="the frog\r\n\nno älteste\n".encode())
    lines = out.split("\n")
    assert [line.startswith("the frog") for line in lines[:4]] == [True, True, False, False]
    assert all(line.startswith("no älteste") for line in lines[4:6])
    assert len(lines) == 7


def test_a_prompt_of_stdin_is_that_of_the_flag(lstm, sample):
    flags = ["--seed", 1, "--prompt"]
    assert sample(lstm, *flags, "-", stdin=b"the frog\n") == sample(lstm, *flags, "the frog")


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
    assert f"the prompt, line 1: the token {token} is reserved" in result.error


def test_a_prompt_that_is_no_text_is_refused(lstm, seqlm):
    result = seqlm("sample", "-m", lstm, "--prompt", "caf\udce9")
    assert (result.code, result.out) == (3, "")
    assert "invalid UTF-8" in result.error


def test_unknown_words_of_a_prompt_are_said(lstm, ngram, seqlm):
    result = seqlm("sample", "-m", lstm, "--prompt", "zyzzyva the ü", "-n", 1)
    assert result.out.startswith("zyzzyva the ü")
    assert result.warnings == ["the prompt: the model does not know 'zyzzyva', 'ü' and reads <unk>"]
    result = seqlm("sample", "-m", lstm, "--prompt", "-", "--beam", 2, stdin=b"the\nzyzzyva\n")
    assert result.warnings == ["prompt 2: the model does not know 'zyzzyva' and reads <unk>"]
    assert seqlm("sample", "-m", lstm, "--prompt", "the <unk> frog").warnings == []


def test_a_prompt_without_end_is_refused(lstm, seqlm):
    flags = ["--prompt", "-", "-n", 1]
    result = seqlm("sample", "-m", lstm, *flags, stdin=b"the\n" + b"frog " * 300_000)
    assert result.code == 3
    assert "<stdin>, line 2: the line is longer than 1,048,576 bytes" in result.error
    assert result.out.count("\n") == 1


# ------------------------------------------------------------------------------------------- others


def test_json_has_an_object_for_each_prompt(family, sample):
    flags = ["--prompt", "-", "-n", 3, "--seed", 5]
    prompts = b"the\n\nthe frog\n"
    lines = sample(family, "--json", *flags, stdin=prompts).splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["prompt"] for one in found] == ["the", "", "the frog"]
    assert [one["seed"] for one in found] == [5, 5, 5]
    texts = [one["text"] for prompt in found for one in prompt["samples"]]
    assert "".join(texts) == sample(family, *flags, stdin=prompts)


def test_scores_are_printed_before_the_texts(family, sample, seqlm):
    flags = ["--prompt", "the", "-n", 3, "--seed", 5, "--temperature", 0.7]
    rows = [line.split("\t", 1) for line in sample(family, "--scores", *flags).splitlines()]
    assert [text for _, text in rows] == sample(family, *flags).splitlines()
    found = json.loads(sample(family, "--json", *flags))["samples"]
    assert [float(score) for score, _ in rows] == pytest.approx(
        [one["log_prob"] for one in found], abs=1e-5
    )
    search = ["--prompt", "the", "--beam", 3, "--nbest", 3]
    rows = [line.split("\t", 1) for line in sample(family, "--scores", *search).splitlines()]
    found = json.loads(sample(family, "--json", *search))["found"]
    assert [text for _, text in rows] == [one["text"].removesuffix("\n") for one in found]
    assert [float(score) for score, _ in rows] == pytest.approx(
        [one["score"] for one in found], abs=1e-5
    )


def test_the_score_of_a_whole_line_is_that_of_eval(ngram, sample, seqlm):
    flags = ["--scores", "-n", 20, "--seed", 3, "--no-unk"]
    rows = [line.split("\t") for line in sample(ngram, *flags).splitlines()]
    for score, text in rows[:5]:
        out = seqlm("eval", "-m", ngram, "--json", stdin=f"{text}\n".encode()).out
        assert float(score) == pytest.approx(json.loads(out)["log_prob"], abs=1e-4)


def test_unk_is_not_generated_where_it_is_not_wanted(seqlm, sample, toy):
    flags = ["--order", 2, "--smoothing", "witten-bell", "--min-count", 40]
    result = seqlm("count", toy.train, *flags, "-o", "few")
    assert result.code == 0, result.err
    assert "<unk>" in sample("few", "--seed", 1)
    assert "<unk>" not in sample("few", "--seed", 1, "--no-unk", "-n", 50)
    assert "<unk>" in sample("few", "--beam", 8, "--nbest", 8)
    assert "<unk>" not in sample("few", "--beam", 8, "--nbest", 8, "--no-unk")


@pytest.mark.parametrize("flags", [[], ["--json"], ["--scores"]])
def test_any_number_of_samples_is_written_as_they_come(flags, ngram):
    endless = [*COMMAND, "sample", "-m", str(ngram), "-n", "2147483648", "--max-tokens", "3"]
    with subprocess.Popen(
        [*endless, "-q", *flags], stdout=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert len(process.stdout.read(20_000)) == 20_000
        process.terminate()
    assert process.returncode == 143


def test_each_prompt_of_a_pipe_is_answered_before_the_next(ngram):
    command = [*COMMAND, "sample", "-m", str(ngram), "-n", "2", "--json", "--prompt", "-", "-q"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for prompt in (b"the\n", b"the frog\n"):
            process.stdin.write(prompt)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["prompt"] == prompt.decode().strip()
        process.stdin.close()
    assert process.returncode == 0


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
        lines = sample(lstm, "--stop", "none", "-n", 1, "--max-tokens", 300, "--seed", 1, *flags)
        return len(lines.split()) - len(set(lines.split()))

    assert repeated("--repetition-penalty", 2) < repeated()
    flags = ["--seed", 1]
    assert sample(lstm, "--repetition-penalty", 1, *flags) == sample(lstm, *flags)


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
        (["--scores", "--json"], "--json prints scores in any case: leave out --scores"),
        (["--device", "abacus"], "no device 'abacus'"),
        (["--num-threads", "0"], "--num-threads"),
    ],
)
def test_options_that_do_not_fit_are_refused(flags, message, lstm, seqlm):
    result = seqlm("sample", "-m", lstm, *flags)
    assert (result.code, result.out) == (2, "")
    assert message in result.error
