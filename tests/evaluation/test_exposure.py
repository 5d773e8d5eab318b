"""Exposure of models whose every distribution is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlm.errors import DataError, ModelError, UsageError
from seqlm.evaluation import exposure
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
from seqlm.evaluation.exposure import (
    choose_passages,
    measure_exposure,
    measure_translator_exposure,
)
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.models import model_class
from seqlm.models.base import LanguageModel, Translator
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED
from tests.evaluation.fixed import loaded

V = 5
WORDS = Tokenizer("word", [*RESERVED, b"a", b"b", b"c"])


class Chain(LanguageModel):
    """p(next | last) from a table; the text begins behind `</s>`."""

    def __init__(self, table: np.ndarray) -> None:
        super().__init__(None)
        self.register_buffer("table", torch.from_numpy(table).log())  # (V, V)

    def start(self, rows: int) -> tuple[Tensor]:
        return (torch.full((rows,), EOS),)

    def log_probs(self, state: tuple[Tensor]) -> Tensor:
        return self.table[state[0]]

    def advance(self, state: tuple[Tensor], tokens: Tensor) -> tuple[Tensor]:
        return (tokens[:, -1],) if tokens.shape[1] else state


def chain(seed: int, name: str, context: str = "carried") -> tuple[np.ndarray, LoadedModel]:
    table = np.random.default_rng(seed).dirichlet(np.full(V, 0.7), V) * 0.95 + 0.05 / V
    one = loaded(Chain(table), WORDS, context, name)
    return table, one._replace(weights_digest=name)


MODEL, LOADED_MODEL = chain(1, "model")
ORACLE, LOADED_ORACLE = chain(2, "oracle")
KL = (ORACLE * np.log(ORACLE / MODEL)).sum(1)  # (V,), behind each token
IDS = np.random.default_rng(3).integers(0, V, 900).astype(np.int32)


def test_divergence_after_true_prefixes_is_the_mean_over_the_text():
    figures = measure_exposure(LoadedMixture.of([LOADED_MODEL]), LOADED_ORACLE, IDS)
    starts, lengths = choose_passages(IDS, by_line=False)
    places = np.concatenate([np.arange(s, s + n - 1) for s, n in zip(starts, lengths)])
    assert figures["kl-true-prefix"] == pytest.approx(KL[IDS[places]].mean())


def test_divergence_after_sampled_prefixes_is_the_mean_over_the_samples(monkeypatch):
    monkeypatch.setattr(exposure, "PASSAGES", 10**4)
    monkeypatch.setattr(exposure, "LENGTH", 6)
    ids = np.tile(np.array([2, EOS], np.int32), 4000)
    figures = measure_exposure(LoadedMixture.of([LOADED_MODEL]), LOADED_ORACLE, ids)
    at, expected = np.eye(V)[EOS], []
    for _ in range(5):
        at = at @ MODEL
        expected.append(at @ KL)
    assert figures["kl-own-prefix"] == pytest.approx(np.mean(expected), rel=0.03)
    true, own = (figures[name] for name in ("kl-true-prefix", "kl-own-prefix"))
    assert figures["exposure"] == pytest.approx(100 * (own / true - 1))


def test_nothing_after_the_end_of_a_line_counts(monkeypatch):
    """Sampled ones too: nothing behind the first `</s>` counts."""
    monkeypatch.setattr(exposure, "PASSAGES", 10**4)
    monkeypatch.setattr(exposure, "LENGTH", 6)
    _, model = chain(1, "model", "sentence")
    ids = np.tile(np.array([2, 3, EOS, 4, EOS], np.int32), 2000)
    figures = measure_exposure(LoadedMixture.of([model]), LOADED_ORACLE, ids)
    assert figures["kl-true-prefix"] == pytest.approx((KL[2] + KL[3] + KL[4]) / 3)
    alive, nats, places = np.eye(V)[EOS], 0.0, 0.0
    for _ in range(5):
        alive = alive @ MODEL
        alive[EOS] = 0.0  # has ended
        nats, places = nats + alive @ KL, places + alive.sum()
    assert figures["kl-own-prefix"] == pytest.approx(nats / places, rel=0.03)


def test_the_batch_and_the_numbering_of_types_change_nothing_and_the_seed_does(monkeypatch):
    mix = LoadedMixture.of([LOADED_MODEL])
    figures = measure_exposure(mix, LOADED_ORACLE, IDS, seed=3)
    assert measure_exposure(mix, LOADED_ORACLE, IDS, seed=3) == figures
    assert (
        measure_exposure(mix, LOADED_ORACLE, IDS, seed=4)["kl-own-prefix"]
        != figures["kl-own-prefix"]
    )
    monkeypatch.setattr(exposure, "PROBABILITIES_AT_ONCE", 3 * V)
    assert measure_exposure(mix, LOADED_ORACLE, IDS, seed=3) == pytest.approx(figures)
    turned = Tokenizer("word", [*RESERVED, b"c", b"b", b"a"])
    order = [0, 1, 4, 3, 2]
    other = loaded(Chain(ORACLE[order][:, order].copy()), turned, name="turned")
    assert measure_exposure(mix, other, IDS, seed=3) == pytest.approx(figures)


def test_a_model_as_good_as_the_oracle_has_no_excess():
    twin = loaded(Chain(ORACLE), WORDS, name="twin")
    figures = measure_exposure(LoadedMixture.of([twin]), LOADED_ORACLE, IDS)
    assert figures["kl-true-prefix"] == pytest.approx(0, abs=1e-9)
    assert figures["kl-own-prefix"] == pytest.approx(0, abs=1e-9)


def translator(arch: str, **options: object) -> Translator:
    torch.manual_seed(1)
    model = model_class("translation", arch).from_settings({"vocab_size": V, "width": 8, **options})
    assert isinstance(model, Translator)
    for parameter in model.parameters():
        parameter.data.uniform_(-1, 1)
    return model.double().eval()


def test_translators_never_read_beyond_a_context_length(monkeypatch):
    """Of either: what they could not read is left out of sources and targets alike."""
    short = translator("transformer", positions="learned", context_length=6, layers=1)
    other = translator("gru")
    long = [[2, 3, 4, 2, 3, 4, 2, EOS], [3, EOS], [2, 2, 2, 4, 3, 3, 3, 3, EOS]]
    for pair in ((short, other), (other, short)):
        found = measure_translator_exposure(*pair, long, long)
        read = [[2, 3, 4, 2, 3, EOS], [3, EOS], [2, 2, 2, 4, 3, EOS]]
        with monkeypatch.context() as patch:
            patch.setattr(exposure, "LENGTH", 6)
            assert found == measure_translator_exposure(
                *pair, read, [target[:6] for target in long]
            )


def test_what_cannot_be_measured_is_refused():
    mix = LoadedMixture.of([LOADED_MODEL])
    with pytest.raises(UsageError, match="model is the model itself"):
        measure_exposure(mix, LOADED_MODEL, IDS)
    with pytest.raises(UsageError, match="leave out neural_cache and dynamic"):
        measure_exposure(mix._replace(adaptation=Adaptation(neural_cache=5)), LOADED_ORACLE, IDS)
    _, lines = chain(2, "lines", "sentence")
    with pytest.raises(DataError, match="nothing but empty lines"):
        measure_exposure(mix, lines, np.full(5, EOS, np.int32))
    few = loaded(Chain(np.full((2, 2), 0.5)), Tokenizer("word", list(RESERVED)), name="few")
    with pytest.raises(ModelError, match="they need the same types"):
        measure_exposure(mix, few, IDS)
