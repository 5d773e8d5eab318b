"""`seqlm eval`: its numbers, how they are printed, and that how they are made changes none."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from seqlm.cli.options.spelling import flag_of
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
from seqlm.evaluation.metrics import METRICS as METRICS_BY_NAME
from seqlm.settings import settings_of
from seqlm.text import reading
from tests.command import Result

METRICS = [
    "ppl", "ppl-excluding", "cross-entropy", "bits-per-token", "bits-per-char", "bits-per-byte",
]  # fmt: skip


@pytest.fixture
def figures(seqlm: Callable[..., Result]) -> Callable[..., dict]:
    """All figures of a model on texts."""

    def measure(model: Path, *arguments: object, **options: object) -> dict:
        result = seqlm(
            "eval", "-m", model, "--json", "--metric", ",".join(METRICS), *arguments, **options
        )
        assert result.code == 0, result.err
        record = json.loads(result.out)
        return {name: value for name, value in record.items() if not isinstance(value, str)}

    return measure


# ---------------------------------------------------------------------------------- what is printed


def test_one_metric_is_a_number_and_nothing_else(lstm, toy, seqlm):
    result = seqlm("eval", "-m", lstm, "--metric", "ppl", "-q", stdin=toy.test.read_bytes())
    assert result.code == 0
    assert result.err == ""
    number, end = result.out[:-1], result.out[-1]
    assert end == "\n"
    assert 1 < float(number) < 1000


def test_the_signature_names_unit_vocabulary_context_and_model(lstm, toy, seqlm):
    result = seqlm("eval", "-m", lstm, toy.test)
    signature = result.err.splitlines()[-1]
    for part in ("unit:word", "context:carried", "arch:lstm", "oov:as-unk", "weights:", "seqlm:"):
        assert part in signature


@pytest.mark.parametrize("names", [METRICS, METRICS[::-1], ["cross-entropy", "ppl"]])
def test_several_metrics_come_in_the_order_asked(names, lstm, toy, seqlm):
    commas = seqlm("eval", "-m", lstm, toy.test, "--metric", ",".join(names))
    repeated = seqlm(
        "eval", "-m", lstm, toy.test, *(x for name in names for x in ("--metric", name))
    )
    assert commas.out == repeated.out
    rows = [line.split("\t") for line in commas.out.splitlines()]
    assert [name for name, _ in rows] == names
    assert all(float(value) > 0 for _, value in rows)


def test_json_is_one_object(lstm, toy, seqlm):
    result = seqlm("eval", "-m", lstm, toy.test, "--json", "--metric", "ppl,bits-per-byte")
    record = json.loads(result.out)
    assert result.out.count("\n") == 1
    assert list(record)[:2] == ["ppl", "bits-per-byte"]
    assert record["lines"] == 60
    assert record["bytes"] == len(
        b"\n".join(b" ".join(x.split()) for x in toy.test.read_bytes().split(b"\n"))
    )
    assert record["signature"] in result.err


def test_the_figures_agree_with_each_other(family, toy, figures):
    record = figures(family, toy.test)
    nats = record["cross-entropy"]
    assert record["ppl"] == pytest.approx(math.exp(nats))
    assert record["bits-per-token"] == pytest.approx(nats / math.log(2))
    assert record["log_prob"] == pytest.approx(-nats * record["tokens"])
    bits = record["tokens"] * record["bits-per-token"]
    if not record["oov"]:
        assert record["bits-per-byte"] == pytest.approx(bits / record["bytes"])
        assert record["bits-per-char"] == pytest.approx(bits / record["characters"])
    else:  # what the unknown words are must be spelled out
        assert record["bits-per-byte"] > bits / record["bytes"]


# ---------------------------------------------------------------------------------------- per token


def test_surprisals_sum_to_tokens_times_entropy(family, toy, seqlm, figures):
    result = seqlm("eval", "-m", family, "--per-token", toy.test)
    header, *rows = [line.split("\t") for line in result.out.split("\n")[:-1]]
    assert header == [
        "sentence_id",
        "token_id",
        "token",
        "surprisal",
        "oov",
        "start",
        "end",
        "order",
    ]
    record = figures(family, toy.test)
    assert len(rows) == record["tokens"]
    total = math.fsum(float(row[3]) for row in rows)
    assert total == pytest.approx(record["tokens"] * record["bits-per-token"], rel=1e-6)
    assert sum(int(row[4]) for row in rows) == record["oov"]


def test_offsets_of_a_row_are_those_of_its_token(family, toy, seqlm):
    result = seqlm("eval", "-m", family, "--per-token", toy.test)
    lines = toy.test.read_text(encoding="utf-8").split("\n")
    sentences: dict[int, int] = {}
    for row in result.out.split("\n")[1:-1]:
        sentence, token, text, _, _, start, end, order = row.split("\t")
        number = int(sentence)
        assert int(token) == sentences.get(number, 0) + 1
        sentences[number] = int(token)
        if text == "</s>":
            assert int(start) == int(end) == len(lines[number - 1])
        elif "\\x" not in text:
            assert lines[number - 1][int(start) : int(end)] == text
        assert order == "" or int(order) >= 1
    assert list(sentences) == list(range(1, 61))


def test_per_token_is_a_table_of_its_own(lstm, toy, seqlm):
    result = seqlm("eval", "-m", lstm, "--per-token", toy.test, "--metric", "ppl")
    assert result.code == 2
    assert "--per-token" in result.error


def test_per_token_json_has_the_rows_of_the_table(lstm, toy, seqlm):
    table = seqlm("eval", "-m", lstm, "--per-token", toy.test).out
    rows = list(csv.DictReader(io.StringIO(table), dialect=csv.excel_tab))
    objects = seqlm("eval", "-m", lstm, "--per-token", toy.test, "--json").out.splitlines()
    assert len(rows) == len(objects)
    for row, line in zip(rows, objects):
        assert {name: str(value) for name, value in json.loads(line).items()} == row | {
            "surprisal": str(json.loads(line)["surprisal"])
        }


# --------------------------------------------------------------------- what must make no difference


def test_the_batch_size_changes_no_figure(family, toy, figures):
    figures_of = [figures(family, toy.test, "--batch-size", size) for size in (1, 7, 64)]
    for metric in METRICS:
        assert figures_of[1][metric] == pytest.approx(figures_of[0][metric], rel=1e-6)
        assert figures_of[2][metric] == pytest.approx(figures_of[0][metric], rel=1e-6)


def test_how_the_text_is_cut_into_blocks_changes_no_figure(family, toy, figures, monkeypatch):
    whole = figures(family, toy.test)
    monkeypatch.setattr(reading, "BLOCK_SIZE", 50)
    assert figures(family, toy.test) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("form", ["crlf", "bom", "no end", "stdin"])
def test_newlines_and_marks_change_no_score(form, family, toy, figures, workplace):
    text = toy.test.read_bytes()
    path = workplace / "text"
    path.write_bytes(
        {
            "crlf": text.replace(b"\n", b"\r\n"),
            "bom": b"\xef\xbb\xbf" + text,
            "no end": text[:-1],
        }.get(form, text)
    )
    other = figures(family, stdin=text) if form == "stdin" else figures(family, path)
    # A last line without its end is a block of its own: float32 may round it in another batch.
    assert other == pytest.approx(figures(family, toy.test), rel=1e-7)


def test_texts_of_a_sentence_model_may_be_joined(models, toy, figures, workplace):
    model = models("gru-word-sentence")
    both = figures(model, toy.valid, toy.test)
    (workplace / "joined").write_bytes(toy.valid.read_bytes() + toy.test.read_bytes())
    assert both == pytest.approx(figures(model, workplace / "joined"), rel=1e-9)


def test_each_text_of_a_carried_model_starts_afresh(lstm, toy, figures):
    both = figures(lstm, toy.valid, toy.test)
    alone = [figures(lstm, text) for text in (toy.valid, toy.test)]
    assert both["log_prob"] == pytest.approx(sum(one["log_prob"] for one in alone), rel=1e-9)


# ------------------------------------------------------------------------------------ unknown words


def test_unknown_words_and_literal_unk_are_counted_apart(ngram, seqlm, figures):
    record = figures(ngram, stdin=b"the <unk> sees a zyzzyva .\n")
    assert (record["oov"], record["literal_unk"], record["tokens"]) == (1, 1, 7)
    assert record["lower_bound"]
    result = seqlm("eval", "-m", ngram, "--metric", "bits-per-byte", stdin=b"the <unk> .\n")
    assert result.warnings == ["1 literal <unk> in the text: rates are lower bounds"]


def test_a_zero_probability_is_an_infinite_perplexity_with_a_warning(toy, seqlm):
    assert seqlm("count", toy.train, "--smoothing", "mle", "-o", "mle").code == 0
    result = seqlm("eval", "-m", "mle", stdin=b"otter otter otter\n")
    assert (result.code, result.out) == (0, "inf\n")
    assert "probability 0" in result.warnings[0]
    record = json.loads(seqlm("eval", "-m", "mle", "--json", stdin=b"otter otter otter\n").out)
    assert record["ppl"] is None


# --------------------------------------------------------------------------------------- adaptation

ADAPTED = [
    ["--softmax-temperature", "1.3"],
    ["--neural-cache", "50"],
    ["--dynamic", "10", "--dynamic-lr", "0.05"],
    ["--dynamic", "10", "--neural-cache", "50", "--softmax-temperature", "1.1"],
]


@pytest.mark.parametrize("flags", ADAPTED, ids=" ".join)
def test_adapted_figures_are_marked_and_do_not_depend_on_the_batch(
    flags, lstm, toy, figures, seqlm, monkeypatch
):
    static = json.loads(seqlm("eval", "-m", lstm, "--json", toy.test).out)
    record = json.loads(seqlm("eval", "-m", lstm, "--json", *flags, toy.test).out)
    mode = "static" if flags[0] == "--softmax-temperature" else "adaptive"
    assert (static["mode"], record["mode"]) == ("static", mode)
    assert f"|mode:{mode}|constants:" in record["signature"]
    assert "constants" not in static
    assert "|mode:static|arch:" in static["signature"]
    assert record["ppl"] != pytest.approx(static["ppl"], rel=1e-4)
    assert record["constants"].get("window") == (50 if "--neural-cache" in flags else None)
    monkeypatch.setattr(reading, "BLOCK_SIZE", 50)
    again = figures(lstm, *flags, toy.test, "--batch-size", 7)
    assert again["ppl"] == pytest.approx(record["ppl"], rel=1e-6)


def test_other_constants_have_another_digest(lstm, toy, seqlm):
    def constants(*flags: str) -> str:
        signature = json.loads(seqlm("eval", "-m", lstm, "--json", *flags, toy.test).out)[
            "signature"
        ]
        return signature.split("|constants:")[1].split("|")[0]

    some = [
        constants("--neural-cache", "50"),
        constants("--neural-cache", "60"),
        constants("--neural-cache", "50", "--neural-cache-weight", "0.2"),
        constants("--dynamic", "50"),
        constants("--dynamic", "50", "--dynamic-statistics", str(toy.train)),
    ]
    assert len(set(some)) == len(some)
    assert constants("--neural-cache", "50", "--neural-cache-weight", "0.1") == some[0]


def test_tuned_constants_can_be_given_again_and_are_no_worse(lstm, toy, seqlm, monkeypatch):
    monkeypatch.setattr("seqlm.evaluation.mixtures.tuning.HILL_CLIMBING_TOKENS", 200)
    flags = ["--neural-cache", "80", "--dynamic", "20", "--dynamic-statistics", toy.train]
    result = seqlm("eval", "-m", lstm, "--json", *flags, "--tune", toy.valid, toy.test)
    assert result.code == 0, result.err
    (line,) = [line for line in result.err.splitlines() if line.startswith("tuned on ")]
    given = shlex.split(line.split(": ", 1)[1])
    every_flag = {flag_of(name) for name in settings_of(Adaptation)}
    assert {word for word in given if word.startswith("--")} == every_flag
    again = json.loads(seqlm("eval", "-m", lstm, "--json", *given, toy.test).out)
    record = json.loads(result.out)
    assert again["ppl"] == pytest.approx(record["ppl"], rel=1e-6)
    assert again["signature"] == record["signature"]
    tuned, plain = (
        json.loads(seqlm("eval", "-m", lstm, "--json", *some, toy.valid).out)["ppl"]
        for some in (given, flags)
    )
    assert tuned <= plain * (1 + 1e-6)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--neural-cache-weight", "0.1"], "has no effect without --neural-cache"),
        (["--neural-cache-theta", "1"], "--neural-cache-theta has no effect without"),
        (["--dynamic-lr", "1"], "--dynamic-lr has no effect without --dynamic"),
        (["--dynamic-decay", "1"], "--dynamic-decay has no effect without --dynamic"),
        (["--dynamic-statistics", "text"], "--dynamic-statistics has no effect without --dynamic"),
        (["--dynamic", "5", "--dynamic-statistics", "-"], "--dynamic-statistics names a file"),
        (["--dynamic", "5", "--dynamic-decay", "1.5"], "is 1.5; it must be from 0 to 1"),
        (["--dynamic", "5", "--dynamic-lr", "nan"], "--dynamic-lr is nan; it must be at least 0"),
        (["--dynamic", "0"], "--dynamic"),
        (
            ["--neural-cache", "9", "--neural-cache-weight", "1"],
            "it must be at least 0 and below 1",
        ),
        (["--softmax-temperature", "0"], "is 0.0; it must be above 0"),
        (["--softmax-temperature", "1", "--tune", "held-out"], "every constant is given"),
        (["--oracle", "other"], "--oracle has no effect without --metric exposure"),
        (["--metric", "exposure"], "--metric exposure is measured against an --oracle"),
    ],
)
def test_adaptation_that_has_no_effect_is_refused(flags, message, lstm, toy, seqlm):
    result = seqlm("eval", "-m", lstm, *flags, toy.test)
    assert (result.code, result.out) == (2, "")
    assert message in result.error


def test_a_model_that_cannot_be_adapted_is_named(ngram, models, toy, seqlm):
    for model, flag, message in (
        (ngram, "--neural-cache", "is no network: it has no temperature, cache or gradient"),
        (models("gru-word-sentence"), "--dynamic", "starts every line afresh"),
    ):
        result = seqlm("eval", "-m", model, flag, "9", toy.test)
        assert (result.code, result.out) == (2, "")
        assert f"{model} {message}" in result.error


@pytest.mark.parametrize("copied", [False, True])
def test_gradients_of_the_evaluated_text_are_refused(copied, lstm, toy, seqlm, workplace):
    text = toy.test
    if copied:
        text = workplace / "copy"
        text.write_bytes(toy.test.read_bytes())
    flags = ["--dynamic", "9", "--dynamic-statistics", text]
    result = seqlm("eval", "-m", lstm, *flags, toy.test)
    assert (result.code, result.out) == (2, "")
    assert f"{toy.test} is the text of --dynamic-statistics" in result.error


def test_exposure_is_measured_against_an_oracle(lstm, toy, seqlm):
    oracle = ["--discount-fallback", "--order", "3", "--vocab", lstm]
    assert seqlm("count", toy.train, *oracle, "-o", "oracle").code == 0
    flags = [
        "--json",
        "--oracle",
        "oracle",
        "--metric",
        "exposure,ppl,kl-true-prefix,kl-own-prefix",
    ]
    record = json.loads(seqlm("eval", "-m", lstm, *flags, toy.test).out)
    assert list(record)[:2] == ["exposure", "ppl"]
    own, true = record["kl-own-prefix"], record["kl-true-prefix"]
    assert min(own, true) > 0
    assert record["exposure"] == pytest.approx(100 * (own / true - 1))
    assert "|oracle:ngram." in record["signature"]
    assert json.loads(seqlm("eval", "-m", lstm, *flags, toy.test).out) == record
    other = json.loads(seqlm("eval", "-m", lstm, *flags, "--seed", "2", toy.test).out)
    assert other["kl-own-prefix"] != own
    assert other["kl-true-prefix"] == true
    learns = seqlm("eval", "-m", lstm, *flags, "--dynamic", "9", toy.test)
    assert learns.code == 2
    assert "leave out --neural-cache and --dynamic" in learns.error


# ----------------------------------------------------------------------------------------- choosing


def test_the_latest_run_is_the_default(toy, seqlm):
    quick = ["--steps", "2", "--width", "4"]
    for name in ("one", "two"):
        assert seqlm("train", toy.train, *quick, "-o", f"checkpoints/{name}").code == 0
    record = json.loads(seqlm("eval", toy.test, "--json").out)
    assert record["model"] == "checkpoints/two"
    record = json.loads(seqlm("eval", toy.test, "--json", env={"SEQLM_MODEL": "one"}).out)
    assert record["model"] == "checkpoints/one"


def test_a_checkpoint_of_a_run_can_be_evaluated(lstm, toy, seqlm):
    (checkpoint,) = (lstm / "steps").iterdir()
    named = seqlm("eval", "-m", checkpoint, toy.test)
    assert named.out == seqlm("eval", "-m", lstm, toy.test).out


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("pp", "did you mean 'ppl'?"),
        ("bits-per-bite", "did you mean 'bits-per-byte'?"),
        ("perplexity", "did you mean 'ppl'?"),
    ],
)
def test_an_unknown_metric_gets_the_nearest_name(metric, message, lstm, toy, seqlm):
    result = seqlm("eval", "-m", lstm, toy.test, "--metric", metric)
    assert result.code == 2
    assert message in result.error
    assert result.out == ""


def test_a_comma_without_a_name_is_no_metric(lstm, toy, seqlm):
    with_comma = seqlm("eval", "-m", lstm, toy.test, "--metric", "ppl,")
    assert with_comma.code == 0
    assert with_comma.out == seqlm("eval", "-m", lstm, toy.test, "--metric", "ppl").out


def test_no_metric_at_all_is_a_mistake(lstm, toy, seqlm):
    result = seqlm("eval", "-m", lstm, toy.test, "--metric", "")
    assert result.code == 2
    assert "no metric named; there are ppl, ppl-excluding" in result.error


def test_every_metric_has_its_name_in_the_help(seqlm):
    out = "".join(seqlm("eval", "--help").out.split())  # lines break within names
    assert all(name in out for name in METRICS_BY_NAME)


def test_an_empty_text_is_bad_data(lstm, seqlm):
    result = seqlm("eval", "-m", lstm, stdin=b"")
    assert (result.code, result.out) == (3, "")
    assert "no text to evaluate" in result.error


# ------------------------------------------------------------------------------------------ windows


def test_windows_overlap_by_their_length_less_the_stride(seqlm, models, toy):
    """By default by half; wider overlaps give each token more to go by, cold blocks least."""
    run = models("transformer-char")
    figures, signatures = {}, {}
    for stride in (None, 64, 128, 16):
        flags = [] if stride is None else ["--stride", stride]
        result = seqlm("eval", "-m", run, *flags, toy.test)
        assert result.code == 0, result.err
        figures[stride], signatures[stride] = float(result.out), result.err.splitlines()[-1]
    assert figures[None] == figures[64]
    assert figures[128] != figures[64]
    assert "|context:window-128/64|" in signatures[None]
    assert "|context:window-128/16|" in signatures[16]


@pytest.mark.parametrize(
    ("family", "flags", "message"),
    [
        ("lstm-word", ["--stride", "8"], "is for models that read windows"),
        ("transformer-char", ["--stride", "129"], "--stride 129 is longer than the window of 128"),
        ("transformer-char", ["--stride", "8", "--neural-cache", "9"], "is for static evaluation"),
    ],
)
def test_a_stride_that_has_no_effect_is_refused(seqlm, models, toy, family, flags, message):
    result = seqlm("eval", "-m", models(family), *flags, toy.test)
    assert result.code == 2
    assert message in result.error
