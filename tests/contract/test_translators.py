"""What is true of every translator, beyond the laws it obeys as a language model of one source."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from seqlm.decoding.beam_search import beam_search
from seqlm.models.base import SequenceModel, TranslationNetwork, Translator
from seqlm.models.tree import select
from seqlm.text.vocabulary import EOS
from tests.contract.models import VOCAB_SIZE

B, S, T = 5, 6, 7
LENGTHS = [6, 1, 3, 6, 2]


@pytest.fixture(autouse=True)
def no_graph() -> Iterator[None]:
    with torch.no_grad():
        yield


def sentences(padding: int = 0) -> tuple[Tensor, Tensor]:
    """(B, S) sources that end in `</s>`, with `padding` behind it, and their lengths."""
    noise, lengths = torch.Generator().manual_seed(3), torch.tensor(LENGTHS)
    source = torch.randint(2, VOCAB_SIZE, (B, S), generator=noise)
    place = torch.arange(S)
    source[place == lengths[:, None] - 1] = EOS
    source[place >= lengths[:, None]] = padding
    return source, lengths


@pytest.fixture
def targets() -> Tensor:
    """(B, T) with everything in it, `<unk>` and `</s>` too."""
    return torch.randint(0, VOCAB_SIZE, (B, T), generator=torch.Generator().manual_seed(4))


def same(a: Tensor, b: Tensor) -> None:
    """Exact, as far as float64 goes."""
    torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def told(model: Translator, source: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """(B, T) scores, and behind them what attention there was, (B, S)."""
    scores, state = model.score(model.start(source, lengths), targets)
    alignment = model.alignment(state)
    return scores if alignment is None else torch.cat([scores, alignment], 1)


# ---------------------------------------------------------------------------------- the source


def test_the_source_is_read(translator: Translator, targets: Tensor) -> None:
    source, lengths = sentences()
    before = told(translator, source, lengths, targets)
    for place in range(S - 1):  # each word counts, and for its own row alone
        changed = source.clone()
        changed[0, place] = 2 + (changed[0, place] - 1) % (VOCAB_SIZE - 2)
        after = told(translator, changed, lengths, targets)
        assert (after[0] - before[0]).abs().max() > 1e-5
        assert torch.equal(after[1:], before[1:])


def test_a_batch_of_sources_is_each_alone(translator: Translator, targets: Tensor) -> None:
    model = translator.double()
    source, lengths = sentences()
    scores, state = model.score(model.start(source, lengths), targets)
    together = model.alignment(state)
    for row, length in enumerate(LENGTHS):
        begun = model.start(source[row : row + 1, :length], lengths[row : row + 1])
        alone, state = model.score(begun, targets[row : row + 1])
        same(alone[0], scores[row])
        alignment = model.alignment(state)
        assert (alignment is None) == (together is None)
        if alignment is not None and together is not None:
            same(alignment[0], together[row, :length])


def test_padding_and_what_stands_in_it_change_nothing(
    translator: Translator, targets: Tensor
) -> None:
    model = translator.double()
    source, lengths = sentences()
    wider = torch.cat([source, torch.full((B, 3), 4)], 1)
    expected, _ = model.score(model.start(source, lengths), targets)
    for other in (sentences(padding=3)[0], sentences(padding=EOS)[0], wider):
        scores, _ = model.score(model.start(other, lengths), targets)
        same(scores, expected)


def test_attention_is_on_the_sentence_alone(translator: Translator, targets: Tensor) -> None:
    source, lengths = sentences(padding=3)
    state = translator.start(source, lengths)
    for token in targets.split(1, 1):
        alignment = translator.alignment(state)
        if alignment is not None:
            assert alignment.shape == (B, S)
            assert (alignment >= 0).all()
            torch.testing.assert_close(alignment.sum(1), torch.ones(B))
            assert (alignment[torch.arange(S) >= lengths[:, None]] == 0).all()
        state = translator.advance(state, token)


def test_score_is_the_slow_loop(translator: Translator, targets: Tensor) -> None:
    begun = translator.start(*sentences())
    scores, state = translator.score(begun, targets)
    slow, slow_state = SequenceModel.score(translator, begun, targets)
    torch.testing.assert_close(scores, slow, atol=1e-5, rtol=1e-5)
    alignment, slow_alignment = translator.alignment(state), translator.alignment(slow_state)
    if alignment is not None:
        torch.testing.assert_close(alignment, slow_alignment, atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------ the rows


@pytest.mark.parametrize("rows", [[2, 0, 3, 1, 4], [1, 1, 0], [3], [0, 0, 2, 2, 4, 4, 4]], ids=str)
def test_rows_move_with_their_sentences(
    translator: Translator, targets: Tensor, rows: list[int]
) -> None:
    model, index = translator.double(), torch.tensor(rows)
    state = model.advance(model.start(*sentences()), targets[:, :2])
    expected, after = model.score(state, targets[:, 2:])
    moved, moved_after = model.score(select(state, index), targets[index, 2:])
    same(moved, expected[index])
    alignment, moved_alignment = model.alignment(after), model.alignment(moved_after)
    if alignment is not None and moved_alignment is not None:
        same(moved_alignment, alignment[index])
    again, _ = model.score(state, targets[:, 2:])  # what was passed in still means what it meant
    same(again, expected)


def test_a_beam_over_a_batch_is_that_over_each_source(translator: Translator) -> None:
    model = translator.double()
    source, lengths = sentences()
    together = beam_search(
        model, model.start(source, lengths), 3, lengths + 3, EOS,
        length_penalty=1.0, coverage_penalty=0.2, source_lengths=lengths,
    )  # fmt: skip
    for row, length in enumerate(LENGTHS):
        own = lengths[row : row + 1]
        [alone] = beam_search(
            model, model.start(source[row : row + 1, :length], own), 3, length + 3, EOS,
            length_penalty=1.0, coverage_penalty=0.2, source_lengths=own,
        )  # fmt: skip
        assert [one.tokens.tolist() for one in alone] == [
            one.tokens.tolist() for one in together[row]
        ]
        for one, other in zip(alone, together[row], strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-10)
            if one.alignment is not None and other.alignment is not None:
                assert one.alignment.shape == (len(one.tokens), length)
                same(one.alignment, other.alignment[:, :length])


# ------------------------------------------------------------------------------------ networks


def test_the_loss_of_forced_targets_is_their_mean_score(
    network: TranslationNetwork, targets: Tensor
) -> None:
    source, lengths = sentences()
    inputs = torch.cat([torch.full((B, 1), EOS), targets[:, :-1]], 1)
    features, _, penalty, _ = network(inputs, network.encode(source, lengths))
    assert penalty is None
    scores, _ = network.score(network.start(source, lengths), targets)
    loss = network.output_layer.loss(features, targets).item()
    assert loss == pytest.approx(-scores.double().mean().item(), abs=1e-5)


def test_save_and_load_change_nothing(network: TranslationNetwork, targets: Tensor) -> None:
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    loaded = type(network).from_tensors(network.settings(), tensors)
    assert not loaded.training
    assert loaded.settings() == network.settings()
    source, lengths = sentences()
    expected = told(network, source, lengths, targets)
    assert torch.equal(told(loaded, source, lengths, targets), expected)


def test_every_weight_is_trained(network: TranslationNetwork, targets: Tensor) -> None:
    source, lengths = sentences()
    with torch.enable_grad():
        features, *_ = network.train()(targets, network.encode(source, lengths))
        network.output_layer.loss(features, targets).backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert (parameter.grad != 0).any(), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_gpu_gives_what_the_cpu_gives(translator: Translator, targets: Tensor) -> None:
    source, lengths = sentences()
    expected = told(translator, source, lengths, targets)
    on_gpu = told(translator.to("cuda"), source.cuda(), lengths.cuda(), targets.cuda())
    torch.testing.assert_close(on_gpu.cpu(), expected, atol=1e-4, rtol=1e-4)
