"""`seqlm.export`: what it writes is what the command writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import seqlm
from tests.command import Result
from tests.conftest import Toy

Command = Callable[..., Result]


@pytest.fixture
def pair(toy: Toy, ngram: Path, workplace: Path) -> list[seqlm.Model]:
    other = seqlm.count(
        toy.valid, order=2, smoothing="witten-bell", vocab=str(ngram), output="other"
    )
    return [seqlm.load(ngram, device="cpu"), other]


def test_every_form_is_that_of_the_command(
    ngram: Path, pair: list[seqlm.Model], seqlm_command: Command
) -> None:
    lm = pair[0]
    for to, settings, flags in [
        ("arpa", {}, []),
        ("arpa", {"prune": 1e-4}, ["--prune", "1e-4"]),
        ("words", {}, []),
        ("lexicon", {"word_end": "_"}, ["--word-end", "_"]),
    ]:
        assert seqlm.export(lm, "ours", to, overwrite=True, **settings) == Path("ours")
        expected = seqlm_command("export", "-m", ngram, "--to", to, *flags).out
        assert Path("ours").read_text() == expected
    assert seqlm.export(lm, "run", "run") == Path("run")
    assert seqlm.load("run", device="cpu").score("the old frog") == lm.score("the old frog")


def test_several_models_become_one(
    toy: Toy, ngram: Path, pair: list[seqlm.Model], seqlm_command: Command
) -> None:
    command = ["export", "-m", ngram, "-m", "other", "--to", "arpa"]
    seqlm.export(pair, "weighed.arpa", weights=[0.9, 0.1])
    assert Path("weighed.arpa").read_text() == seqlm_command(*command, "--mix", "0.9,0.1").out
    seqlm.export(pair, "tuned.arpa", tune=toy.valid)
    assert Path("tuned.arpa").read_text() == seqlm_command(*command, "--tune", toy.valid).out
    mixture = seqlm.mix(pair, weights=[0.9, 0.1])
    seqlm.export(mixture, "mixture.arpa")
    assert Path("mixture.arpa").read_bytes() == Path("weighed.arpa").read_bytes()


def test_what_means_nothing_is_refused(pair: list[seqlm.Model]) -> None:
    with pytest.raises(seqlm.UsageError, match="to is 'arpas'; did you mean 'arpa'"):
        seqlm.export(pair[0], "x", "arpas")
    with pytest.raises(seqlm.UsageError, match="mix weighs several models"):
        seqlm.export(pair[0], "x", weights=[1.0])
    with pytest.raises(seqlm.UsageError, match="tune finds the weights that mix gives"):
        seqlm.export(pair, "x", weights=[0.5, 0.5], tune="y")
    with pytest.raises(seqlm.UsageError, match="word_end is for the spellings of to lexicon"):
        seqlm.export(pair[0], "x", "words", word_end="_")
    with pytest.raises(seqlm.UsageError, match="no setting 'word_ends'"):
        seqlm.export(pair[0], "x", "lexicon", word_ends="_")
    with pytest.raises(seqlm.UsageError, match="is the model that is read"):
        seqlm.export(pair[1], "other", "run", overwrite=True)
    assert not Path("x").exists()


@pytest.fixture
def seqlm_command(workplace: Path) -> Command:
    from tests.command import seqlm_inside

    return seqlm_inside
