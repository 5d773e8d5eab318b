"""The Python front door: what `import seqlm` offers, and that it gives what the commands print."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqlm
from seqlm.errors import DataError, UsageError
from seqlm.models.ngram.ngram_language_model import in_tensors
from tests.command import seqlm_inside
from tests.conftest import REPOSITORY, Toy

NAMES = [
    "DataError", "Evaluation", "Model", "ModelError", "SeqlmError", "UsageError", "Vectors",
    "__version__", "count", "export", "load", "mix", "resume", "train",
]  # fmt: skip


def test_what_the_package_offers() -> None:
    assert sorted(seqlm.__all__) == NAMES
    assert all(hasattr(seqlm, name) for name in NAMES)


def test_import_costs_nothing() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import seqlm;"
        "print(time.perf_counter() - start, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    runs = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(3)]
    assert all(run.split()[1:] == ["False", "False"] for run in runs)


CLIENT = """
import seqlm

lm = seqlm.load("lstm")
reveal: float = lm.score("a line")
several: list[float] = lm.score(["a line", "another"])
for row in lm.surprisal(["a line"]):
    surprisal: float = row.surprisal
    token: str = row.token
perplexity: float = lm.perplexity("test.txt")
figures: dict[str, float] = lm.evaluate("test.txt", metrics=["ppl"]).figures
token = lm.next("a", k=3).tokens[0].token
text: str = lm.sample(n=1, temperature=0.5)[0]
best: float = lm.search("a", beam=2)[0].log_prob
shape: tuple[int, ...] = lm.embed("a line").shape
mixed: seqlm.Model = seqlm.mix([lm, lm], weights=[0.5, 0.5])
line: str = lm.translate("a line")
lines: list[str] = lm.translate(["a line"])
counted: seqlm.Model = seqlm.count("a.txt", order=3)
trained: seqlm.Model = seqlm.train("a.txt", callback=lambda row: None, arch="gru")
seqlm.resume("lstm", epochs=3)
vectors = seqlm.load("glove.txt")
assert isinstance(vectors, seqlm.Vectors)
neighbor: str = vectors.nearest("king", k=3)[0].word
answer: float = vectors.analogy("man", "king", "woman", formula="mul")[0].similarity
accuracy: float = vectors.evaluate("questions.txt", case="keep").figures["accuracy"]
odd: str = vectors.odd_one_out(["a", "b", "c"])
"""


def check_types(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """What mypy says of a user's file."""
    (folder / "client.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "client.py"],
        capture_output=True, text=True, cwd=folder, env={**os.environ, "MYPYPATH": str(REPOSITORY)},
    )  # fmt: skip


def test_a_client_passes_mypy_strict(tmp_path: Path) -> None:
    done = check_types(tmp_path, CLIENT)
    assert done.returncode == 0, done.stdout
    done = check_types(tmp_path, "import seqlm\n\nseqlm.nonsense\n")
    assert "has no attribute" in done.stdout, done.stdout


@pytest.fixture(scope="module")
def runs(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, seqlm.Model]:
    folder = tmp_path_factory.mktemp("api")
    ngram = seqlm.count(toy.train, order=3, output=folder / "ngram")
    rows: list[Any] = []
    lstm = seqlm.train(
        toy.train,
        valid=toy.valid,
        arch="lstm",
        width=16,
        steps=4,
        valid_every=2,
        vocab=str(ngram.path),
        output=folder / "lstm",
        device="cpu",
        callback=rows.append,
    )
    assert [row["step"] for row in rows] == [2, 4]
    assert all(math.isfinite(row["valid_loss"]) for row in rows)
    return {"ngram": ngram, "lstm": lstm}


@pytest.mark.parametrize("name", ["ngram", "lstm"])
def test_figures_are_those_of_the_command(
    name: str, runs: dict[str, seqlm.Model], toy: Toy
) -> None:
    lm = runs[name]
    printed = json.loads(
        seqlm_inside("eval", "-m", lm.path, toy.test, "--json", "--metric", "ppl,bits-per-byte").out
    )
    result = lm.evaluate(toy.test, metrics=["ppl", "bits-per-byte"])
    assert result.figures == {k: pytest.approx(printed[k], rel=1e-12) for k in result.figures}
    assert lm.perplexity(toy.test) == result.figures["ppl"]
    assert result.signature == printed["signature"] == lm.signature
    assert (result.tokens, result.lines, result.oov) == tuple(
        printed[k] for k in ("tokens", "lines", "oov")
    )


@pytest.mark.parametrize("name", ["ngram", "lstm"])
def test_every_line_starts_afresh(name: str, runs: dict[str, seqlm.Model], toy: Toy) -> None:
    """A score is the sum of a slow loop from the start, whatever stands beside the line."""
    lm = runs[name]
    decoder = in_tensors(lm.decoder).requires_grad_(False)
    lines = toy.test.read_text().splitlines()[:5]
    scores = lm.score(lines)
    for line, score in zip(lines, scores, strict=True):
        ids = lm.tokenizer.encode_text(line + "\n").tolist()
        state, total = decoder.start(1), 0.0
        for id in ids:
            total += float(decoder.log_probs(state)[0, id])
            state = decoder.advance(state, torch.tensor([[id]]))
        assert score == pytest.approx(total, abs=1e-4)
        assert lm.score(line) == pytest.approx(score, abs=1e-6)
    assert lm.score("\n".join(lines)) == pytest.approx(sum(scores), abs=1e-4)


def test_surprisals_add_up_to_the_score(runs: dict[str, seqlm.Model]) -> None:
    text = ["the pond .", "a word unseen"]
    for lm in runs.values():
        rows = lm.surprisal(text)
        assert [row.token for row in rows if row.sentence_id == 1] == ["the", "pond", ".", "</s>"]
        bits = -sum(row.surprisal for row in rows) * math.log(2)
        assert bits == pytest.approx(sum(lm.score(text)), abs=1e-4)
        assert sum(row.oov for row in rows) > 0


def test_next_is_the_distribution(runs: dict[str, seqlm.Model]) -> None:
    lm = runs["ngram"]
    everything = lm.next("the", k=10**6).tokens
    assert sum(each.probability for each in everything) == pytest.approx(1, abs=1e-5)
    assert len(everything) == len(lm.tokenizer)
    falling = [each.probability for each in everything]
    assert falling == sorted(falling, reverse=True)
    assert lm.next("the", k=3).tokens == everything[:3]
    best = everything[0]
    assert best.probability == pytest.approx(2**-best.surprisal)
    assert lm.next("the", words=[best.token]).tokens == [best]


def test_next_has_the_counts_of_the_text(runs: dict[str, seqlm.Model], toy: Toy) -> None:
    words = toy.train.read_text(encoding="utf-8").split()
    found = runs["ngram"].next("zyzzyva the", words=["frog"])
    assert found.history_count == words.count("the")
    pairs = list(pairwise(words))
    assert found.tokens[0].count == pairs.count(("the", "frog"))
    assert runs["lstm"].next("the").history_count is None
    both = seqlm.mix([runs["ngram"], runs["lstm"]])
    assert both.next("the").history_count is None
    with pytest.raises(seqlm.UsageError, match="not for a mixture"):
        both.next("the", counts="counts")


def test_samples_are_those_of_the_command(runs: dict[str, seqlm.Model]) -> None:
    lm = runs["ngram"]
    printed = seqlm_inside(
        "sample", "-m", lm.path, "-n", 3, "--seed", 5, "-t", 0.7, "--prompt", "the"
    )
    assert lm.sample(n=3, prompt="the", seed=5, temperature=0.7) == printed.out.splitlines()
    printed = seqlm_inside("sample", "-m", lm.path, "--prompt", "the", "--beam", 4, "--nbest", 2)
    found = lm.search("the", beam=4, nbest=2)
    assert [each.text for each in found] == printed.out.splitlines()


def test_a_transformer_goes_on_past_its_context_length(tmp_path: Path, toy: Toy) -> None:
    small = {"width": 8, "layers": 1, "heads": 2, "context_length": 6, "steps": 2}
    lm = seqlm.train(toy.train, arch="transformer", output=tmp_path / "run", **small)
    text = "the frog " * 5
    assert lm.score(text) == pytest.approx(
        -sum(row.surprisal for row in lm.surprisal(text)) * math.log(2), abs=1e-4
    )
    assert len(lm.search("the frog sees the frog sees", beam=3, max_tokens=20)) == 1
    assert len(lm.sample(max_tokens=30, stop="none")[0].split()) > 10
    assert lm.next(text).tokens[0].rank == 1
    decoder = lm.decoder
    scores, _ = decoder.score(decoder.start(1), torch.full((1, 30), 3))
    assert scores.shape == (1, 30)


def test_features_predict_the_next_token(runs: dict[str, seqlm.Model]) -> None:
    lm = runs["lstm"]
    features = lm.embed("the pond")
    assert features.shape == (2, 16)
    assert features.dtype == np.float32
    last = torch.from_numpy(features[-1:])
    best = int(lm.model.output_layer.log_probs(last).argmax())  # type: ignore[union-attr, operator]
    assert lm.next("the pond", k=1).tokens[0].token == lm.tokenizer.types[best].decode()
    with pytest.raises(seqlm.ModelError, match="has no features"):
        runs["ngram"].embed("the pond")


def test_mixtures(runs: dict[str, seqlm.Model], toy: Toy) -> None:
    both = seqlm.mix(list(runs.values()), [0.25, 0.75])
    assert both.weights == [0.25, 0.75]
    parts = [np.exp(model.score("the pond .")) for model in runs.values()]
    assert both.score("the pond .") != pytest.approx(np.log(parts).mean())
    tuned = seqlm.mix(list(runs.values()), tune=toy.valid)
    assert sum(tuned.weights) == pytest.approx(1)
    paths = [part for model in runs.values() for part in ("-m", model.path)]
    printed = seqlm_inside("eval", *paths, "--tune", toy.valid, toy.test, "-q").out
    assert tuned.perplexity(toy.test) == pytest.approx(float(printed), rel=1e-9)
    cached = seqlm.mix([runs["ngram"]], cache=50)
    assert cached.perplexity(toy.test) > 1
    with pytest.raises(seqlm.UsageError, match="tune"):
        seqlm.mix(list(runs.values()), [0.5, 0.5], tune=toy.valid)


def test_what_a_model_does_not_have(runs: dict[str, seqlm.Model]) -> None:
    with pytest.raises(seqlm.ModelError, match="is a language model, and this needs a translator"):
        runs["lstm"].translate("the pond")
    with pytest.raises(seqlm.UsageError, match="no metric 'perplexity'; did you mean 'ppl'"):
        runs["lstm"].evaluate("x", metrics=["perplexity"])


def test_errors_name_settings(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(seqlm.UsageError, match=r"^arch is 'lstn'; did you mean 'lstm'"):
        seqlm.train(toy.train, arch="lstn")
    with pytest.raises(seqlm.UsageError, match=r"^no setting 'ordr'; did you mean 'order'"):
        seqlm.count(toy.train, ordr=3)
    with pytest.raises(seqlm.UsageError) as caught:
        seqlm.train(toy.train, arch="lstm", widht=3)
    assert "width" in str(caught.value)
    assert "--" not in str(caught.value)
    with pytest.raises(seqlm.ModelError, match="no model"):
        seqlm.load(tmp_path / "nowhere")


# ----------------------------------------------------------------------------- what is given wrong


@pytest.mark.parametrize("wrong", [float("nan"), None, 3, [None], ["a", float("nan")], [["a"]]])
def test_what_is_no_text_is_said(wrong: Any, lstm: Path) -> None:
    lm = seqlm.load(lstm)
    for method in (lm.score, lm.surprisal, lm.word_surprisal):
        with pytest.raises(UsageError, match="it takes a text"):
            method(wrong)


def test_one_of_several_texts_is_one_line(lstm: Path) -> None:
    lm = seqlm.load(lstm)
    assert lm.surprisal(["the old\n", "a"])[-1].sentence_id == 2
    assert lm.surprisal("the old\na")[-1].sentence_id == 2
    for method in (lm.surprisal, lm.word_surprisal):
        with pytest.raises(DataError, match="text 2 has a line break"):
            method(["the", "old\nfrog"])


def test_no_models_are_no_mixture(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no models"):
        seqlm.mix([])
    with pytest.raises(UsageError, match="no model"):
        seqlm.export([], tmp_path / "x.arpa")


def test_one_metric_may_be_named_alone(lstm: Path, toy: Toy) -> None:
    lm = seqlm.load(lstm)
    assert lm.evaluate(toy.test, "ppl") == lm.evaluate(toy.test, ["ppl"])
