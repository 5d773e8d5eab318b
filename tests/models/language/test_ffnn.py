"""The feed-forward model against the equations of Bengio et al. 2003, one position at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seqlm.errors import UsageError
from seqlm.models.config.ffnn_config import FFNNConfig
from seqlm.models.language.ffnn import EMBEDDING_SCALE, FFNN
from seqlm.text.vocabulary import EOS

V, B, T = 11, 3, 7


def build(**options: Any) -> FFNN:
    torch.manual_seed(1)
    return FFNN(FFNNConfig(V, **{"width": 5, "order": 4, **options})).eval()


def logits(model: FFNN, words: list[int]) -> Tensor:
    """y = b + W x + U tanh(d + H x) after the n-1 `words`, (V,)."""
    C = model.output_layer.weight if model.config.tied else model.embedding
    x = torch.cat([EMBEDDING_SCALE * C[word] for word in words])
    a = torch.tanh(model.hidden.bias + model.hidden.weight @ x)
    matrix = model.output_layer.weight
    if model.config.tied:
        matrix = C @ model.projection.weight
    U, W = matrix[:, : len(a)], matrix[:, len(a) :]
    assert W.shape[1] == (len(x) if model.config.direct else 0)
    return model.output_layer.bias + (W @ x if model.config.direct else 0) + U @ a


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("options", [{}, {"embedding": 3}, {"order": 2}, {"order": T + 3}])
def test_forward_is_the_equations(options: dict[str, Any], tied: bool, direct: bool) -> None:
    model = build(tied=tied, direct=direct, **options).double()
    with torch.no_grad():
        model.output_layer.bias.normal_()
        tokens = torch.randint(V, (B, T))
        features, cache, *_ = model(tokens, model.initial_cache(B))
        found = model.output_layer.log_probs(features)
        before = model.config.order - 1
        for row in range(B):
            text = [EOS] * before + tokens[row].tolist()
            for t in range(T):
                expected = logits(model, text[t + 1 : t + 1 + before]).log_softmax(0)
                torch.testing.assert_close(found[row, t], expected)
            assert cache[row].tolist() == text[-before:]


def test_words_before_the_window_are_forgotten() -> None:
    model = build(order=3)
    with torch.no_grad():
        first = model.advance(model.start(1), torch.tensor([[2, 3, 4, 5]]))
        second = model.advance(model.start(1), torch.tensor([[9, 8, 4, 5]]))
        third = model.advance(model.start(1), torch.tensor([[2, 3, 9, 5]]))
    assert torch.equal(model.log_probs(first), model.log_probs(second))
    assert not torch.allclose(model.log_probs(first), model.log_probs(third))


def test_tied_direct_connections_need_no_matrix_of_vocabulary_size() -> None:
    sizes = {
        (tied, direct): sum(p.numel() for p in build(tied=tied, direct=direct).parameters())
        for tied in (False, True)
        for direct in (False, True)
    }
    window, embedding = 3 * 5, 5
    assert sizes[False, True] - sizes[False, False] == V * window
    assert sizes[True, True] - sizes[True, False] == embedding * window


def test_both_ends_train_a_tied_embedding() -> None:
    model = build()
    assert not hasattr(model, "embedding")
    model(torch.tensor([[2, 3]]), model.initial_cache(1)).features.sum().backward()
    used = model.output_layer.weight.grad.abs().sum(1).nonzero()[:, 0]
    assert used.tolist() == [EOS, 2, 3]  # through the embedding alone


@pytest.mark.parametrize("dropout", ["embedding", "input", "output"])
def test_dropout_is_for_training_only(dropout: str) -> None:
    model = build(tied=False, direct=True, **{f"dropout_{dropout}": 0.5})
    tokens = torch.randint(V, (B, T))
    quiet = model(tokens, model.initial_cache(B)).features
    assert torch.equal(
        quiet, build(tied=False, direct=True)(tokens, model.initial_cache(B)).features
    )
    noisy = [model.train()(tokens, model.initial_cache(B)).features for _ in range(2)]
    assert not torch.equal(*noisy)


@pytest.mark.parametrize("order", [1, 0, -3])
def test_a_model_that_reads_nothing_is_refused(order: int) -> None:
    with pytest.raises(UsageError, match=f"order {order} reads no words"):
        build(order=order)
