"""The contract of every language model, whatever it is made of; see `seqlm/models/base.py`."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from seqlm.models.base import LanguageModel, LanguageNetwork, SequenceModel, State
from seqlm.models.tree import detach, pack, select, unpack
from seqlm.text.vocabulary import EOS
from tests.contract.models import FROZEN, VOCAB_SIZE

B, T = 4, 13


@pytest.fixture
def tokens() -> Tensor:
    """(B, T) with every type among them, `<unk>` and `</s>` too."""
    return torch.randint(0, VOCAB_SIZE, (B, T), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def no_graph() -> Any:
    with torch.no_grad():
        yield


def assert_close(a: Any, b: Any) -> None:
    """Within 1e-5, and -inf only where the other is -inf."""
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def assert_states_close(a: State, b: State) -> None:
    assert type(a) is type(b)
    assert_close(pack(a), pack(b))


# ---------------------------------------------------------------------------------------- methods


def test_every_type_has_a_log_probability(model: LanguageModel, tokens: Tensor) -> None:
    state = model.start(B)
    for token in tokens.split(1, 1):
        assert model.log_probs(state).shape == (B, VOCAB_SIZE)
        state = model.advance(state, token)


def test_probabilities_sum_to_one(normalized_model: LanguageModel, tokens: Tensor) -> None:
    state = normalized_model.start(B)
    for token in tokens.split(1, 1):
        log_probs = normalized_model.log_probs(state)
        assert_close(log_probs.exp().sum(1), log_probs.new_ones(B))
        state = normalized_model.advance(state, token)


def test_score_is_the_slow_loop(model: LanguageModel, tokens: Tensor) -> None:
    scores, state = model.score(model.start(B), tokens)
    slow_scores, slow_state = SequenceModel.score(model, model.start(B), tokens)
    assert scores.shape == (B, T)
    assert_close(scores, slow_scores)
    assert_states_close(state, slow_state)


def test_advance_is_token_by_token(model: LanguageModel, tokens: Tensor) -> None:
    state = model.start(B)
    for token in tokens.split(1, 1):
        state = model.advance(state, token)
    assert_states_close(state, model.advance(model.start(B), tokens))


@pytest.mark.parametrize("cut", [0, 1, 5, T - 1, T])
def test_two_segments_are_one(model: LanguageModel, tokens: Tensor, cut: int) -> None:
    whole, end = model.score(model.start(B), tokens)
    first, state = model.score(model.start(B), tokens[:, :cut])
    second, state = model.score(state, tokens[:, cut:])
    assert_close(torch.cat([first, second], 1), whole)
    assert_states_close(state, end)


def test_no_tokens_change_nothing(model: LanguageModel, tokens: Tensor) -> None:
    state = model.advance(model.start(B), tokens)
    scores, after = model.score(state, tokens[:, :0])
    assert scores.shape == (B, 0)
    assert_states_close(after, state)
    assert_states_close(model.advance(state, tokens[:, :0]), state)


def test_rows_are_independent(model: LanguageModel, tokens: Tensor) -> None:
    together, _ = model.score(model.start(B), tokens)
    for row in range(B):
        alone, _ = model.score(model.start(1), tokens[row : row + 1])
        assert_close(alone[0], together[row])


def test_a_model_that_resets_at_the_end_of_a_line_is_at_its_start_there(
    resetting_model: LanguageModel, tokens: Tensor
) -> None:
    model = resetting_model
    tokens[:, -1] = EOS
    after = model.advance(model.start(B), tokens)
    assert_close(model.score(after, tokens)[0], model.score(model.start(B), tokens)[0])


# ------------------------------------------------------------------------------ state is a value


def test_one_state_can_be_advanced_twice(model: LanguageModel, tokens: Tensor) -> None:
    state = model.advance(model.start(B), tokens[:, :6])
    before = {path: tensor.clone() for path, tensor in pack(state).items()}
    first = model.advance(state, tokens[:, 6:9])
    second = model.advance(state, tokens[:, 9:])
    model.score(state, tokens)
    model.advance(first, tokens[:, :1])
    torch.testing.assert_close(pack(state), before, rtol=0, atol=0)
    assert_close(
        model.log_probs(first), model.log_probs(model.advance(model.start(B), tokens[:, :9]))
    )
    text = torch.cat([tokens[:, :6], tokens[:, 9:]], 1)
    assert_close(model.log_probs(second), model.log_probs(model.advance(model.start(B), text)))


@pytest.mark.parametrize("rows", [[2, 0, 3, 1], [1, 1, 1, 0, 2], [3], []], ids=str)
def test_select_commutes_with_advance(
    model: LanguageModel, tokens: Tensor, rows: list[int]
) -> None:
    index = torch.tensor(rows, dtype=torch.long)
    state = model.advance(model.start(B), tokens[:, :6])
    after = model.advance(state, tokens[:, 6:])
    if rows:
        assert_states_close(
            select(after, index), model.advance(select(state, index), tokens[index, 6:])
        )
    assert_close(model.log_probs(select(after, index)), model.log_probs(after)[index])


def test_every_tensor_of_a_state_has_the_rows_first(model: LanguageModel, tokens: Tensor) -> None:
    for state in (model.start(B), model.advance(model.start(B), tokens)):
        assert {tensor.shape[0] for tensor in pack(state).values()} == {B}


def test_a_packed_state_is_unpacked_as_it_was(model: LanguageModel, tokens: Tensor) -> None:
    state = model.advance(model.start(B), tokens[:, :6])
    restored = unpack(model.start(B), pack(state))
    assert_states_close(restored, state)
    assert_close(model.score(restored, tokens)[0], model.score(state, tokens)[0])


# ------------------------------------------------------------------------------- tensors, devices


def test_save_and_load_change_nothing(saved_model: LanguageModel, tokens: Tensor) -> None:
    saved = saved_model
    tensors = {name: tensor.clone() for name, tensor in saved.state_dict().items()}
    loaded = type(saved).from_tensors(saved.settings(), tensors)
    assert not loaded.training
    assert loaded.settings() == saved.settings()
    expected, got = saved.score(saved.start(B), tokens), loaded.score(loaded.start(B), tokens)
    assert torch.equal(got[0], expected[0])


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives(model: LanguageModel, tokens: Tensor) -> None:
    on_gpu = copy.deepcopy(model).to("cuda")
    scores, state = on_gpu.score(on_gpu.start(B), tokens.cuda())
    expected, expected_state = model.score(model.start(B), tokens)
    torch.testing.assert_close(scores.cpu(), expected, atol=1e-4, rtol=1e-4)
    log_probs = on_gpu.log_probs(state).cpu()
    torch.testing.assert_close(log_probs, model.log_probs(expected_state), atol=1e-4, rtol=1e-4)


# --------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("cuts", [[], [1], [6, 7], [3, 5, 12], list(range(1, T))], ids=str)
def test_the_loss_of_a_text_cut_anywhere_is_its_mean_score(
    network: LanguageNetwork, tokens: Tensor, cuts: list[int]
) -> None:
    """What training minimizes is what evaluation reports, with the state carried over the cuts."""
    inputs = torch.cat([torch.full((B, 1), EOS), tokens[:, :-1]], 1)
    cache, total = network.initial_cache(B), 0.0
    for begin, end in zip([0, *cuts], [*cuts, T]):
        features, cache, penalty, _ = network(inputs[:, begin:end], cache)
        cache = detach(cache)
        assert penalty is None  # nothing is added in eval mode
        total += network.output_layer.loss(features, tokens[:, begin:end]).item() * (end - begin)
    scores, _ = network.score(network.start(B), tokens)
    assert total / T == pytest.approx(-scores.double().mean().item(), abs=1e-5)


def test_detach_leaves_the_values_and_cuts_the_graph(
    network: LanguageNetwork, tokens: Tensor
) -> None:
    with torch.enable_grad():
        state = network.advance(network.start(B), tokens)
    assert any(tensor.requires_grad for tensor in pack(state).values())
    detached = detach(state)
    assert not any(tensor.requires_grad for tensor in pack(detached).values())
    assert_states_close(detached, detach(state))


def test_every_weight_is_trained(network: LanguageNetwork, tokens: Tensor) -> None:
    network.train()
    inputs = torch.cat([torch.full((B, 1), EOS), tokens[:, :-1]], 1)
    with torch.enable_grad():
        features, _, penalty, _ = network(inputs, network.initial_cache(B))
        loss = network.output_layer.loss(features, tokens)
        (loss if penalty is None else loss + penalty).backward()
    parameters = dict(network.named_parameters())
    trained = {name for name, p in parameters.items() if p.grad is not None and p.grad.any()}
    assert parameters.keys() - trained <= FROZEN.keys()
