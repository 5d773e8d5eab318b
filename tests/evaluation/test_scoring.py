"""Models with a context length, scored: streams and lines longer than they can read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from seqlm.errors import UsageError
from seqlm.evaluation.scoring import Scorer, validation_loss
from seqlm.models import model_class
from seqlm.models.base import LanguageNetwork
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.transformer import Transformer
from seqlm.text.vocabulary import EOS
from tests.models.wrappers.test_sliding_window import slow

W, V = 8, 9


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(1)
    config = TransformerConfig(V, width=8, layers=1, heads=2, context_length=W, dropout_hidden=0.5)
    made = Transformer(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-1, 1)
    return made


def text(length: int) -> np.ndarray:
    """Lines of up to some forty tokens, beyond the context length."""
    p = [0.05, 0.1, *[0.85 / 7] * 7]
    return np.random.default_rng(1).choice(V, length, p=p).astype(np.int32)


@torch.no_grad()
@pytest.mark.parametrize("stride", [None, 1, 3, W])
@pytest.mark.parametrize("context", ["window", "sentence"])
def test_scores_are_those_of_windows_however_the_text_is_cut(model, context, stride):
    ids = text(300)
    whole = Scorer(model, context, stride=stride)(ids).log_probs
    texts = [ids]
    if context == "sentence":
        texts = np.split(ids, np.flatnonzero(ids == EOS) + 1)
        assert max(map(len, texts)) > 2 * W
    expected = [score for part in texts for score in slow(model, part.tolist(), stride or W // 2)]
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    for batch_size in (1, 64):
        scorer = Scorer(model, context, batch_size, stride=stride)
        pieces = [scorer(ids[a:b]).log_probs for a, b in pairwise([0, 1, 40, 41, 200, 299, 300])]
        np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_a_stride_beyond_the_context_length_is_refused(model):
    with pytest.raises(UsageError, match="1 to 8 do"):
        Scorer(model, "window", stride=9)


@torch.no_grad()
@pytest.mark.parametrize("length", [5, 10 * W, 10 * W + 3])
def test_validation_scores_every_token_in_blocks_that_do_not_overlap(model, length):
    ids = torch.from_numpy(text(length).astype(np.int64))
    stream = torch.cat([torch.tensor([EOS]), ids])
    total = 0.0
    for begin in range(0, length, W):  # as nanoGPT evaluates, and the short block at the end
        block = stream[begin : begin + W + 1]
        features = model(block[None, :-1], model.initial_cache(1)).features
        total += float(model.output_layer.loss(features[0], block[1:])) * (len(block) - 1)
    loss = validation_loss(model, ids.numpy(), "window", rows=4)
    assert loss == pytest.approx(total / length, abs=1e-5)


def test_validation_changes_neither_mode_nor_random_state(model):
    ids = text(100)
    quiet = validation_loss(model, ids, "window", rows=4)
    before = torch.get_rng_state()
    model.train()
    assert validation_loss(model, ids, "window", rows=4) == quiet
    assert model.training
    assert torch.equal(before, torch.get_rng_state())
    model.eval()


# ---------------------------------------------------------- validation of a stream cut into rows


def with_large_weights(arch: str, **options: int) -> LanguageNetwork:
    """A random network whose predictions depend much on what it has read."""
    torch.manual_seed(1)
    network = model_class("lm", arch).from_settings({"vocab_size": V, "width": 8, **options})
    assert isinstance(network, LanguageNetwork)
    with torch.no_grad():
        network.output_layer.weight.uniform_(-2, 2)
    return network.eval()


@pytest.mark.parametrize("rows", [1, 3, 200])
@pytest.mark.parametrize("length", [1, 69, 128, 1152, 2175, 2176, 2177, 3333, 9000])
def test_validation_counts_every_token_once(length, rows):
    network = with_large_weights("ffnn", order=4)  # it forgets all that is before the warm-up
    ids = text(length)
    exact = -Scorer(network, "carried")(ids).log_probs.mean()
    assert validation_loss(network, ids, "carried", rows) == pytest.approx(exact, abs=1e-5)


@pytest.mark.parametrize("arch", ["rnn", "lstm", "gru", "s4d", "mamba", "mamba2"])
def test_validation_has_no_cold_starts(arch):
    network, ids = with_large_weights(arch, layers=1), text(6000)
    exact = -Scorer(network, "carried")(ids).log_probs.mean()
    # Half a percent of perplexity.
    assert validation_loss(network, ids, "carried", rows=32) == pytest.approx(exact, abs=0.005)
    assert validation_loss(network, ids[:69], "carried", rows=32) == pytest.approx(
        -Scorer(network, "carried")(ids[:69]).log_probs.mean(), abs=1e-5
    )
