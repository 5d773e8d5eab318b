"""The contract of every translator, beyond that of the language model that it is for one source."""

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
    """(B, S) sources that end in `</s>`, with `padding` after it, and their lengths."""
    noise, lengths = torch.Generator().manual_seed(3), torch.tensor(LENGTHS)
    source = torch.randint(2, VOCAB_SIZE, (B, S), generator=noise)
    position = torch.arange(S)
    source[position == lengths[:, None] - 1] = EOS
    source[position >= lengths[:, None]] = padding
    return source, lengths


@pytest.fixture
def targets() -> Tensor:
    """(B, T) with everything in it, `<unk>` and `</s>` too."""
    return torch.randint(0, VOCAB_SIZE, (B, T), generator=torch.Generator().manual_seed(4))


def assert_close(a: Tensor, b: Tensor) -> None:
    """Equal up to the rounding of float64."""
    torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def assert_alignments_close(a: Tensor | None, b: Tensor | None, tolerance: float = 1e-12) -> None:
    """Both are close, or there is no attention in either."""
    assert (a is None) == (b is None)
    torch.testing.assert_close(a, b, atol=tolerance, rtol=0)


def scores_and_alignment(
    model: Translator, source: Tensor, lengths: Tensor, targets: Tensor
) -> Tensor:
    """(B, T) scores, and beside them the last alignment (B, S) where there is attention."""
    scores, state = model.score(model.start(source, lengths), targets)
    alignment = model.alignment(state)
    return scores if alignment is None else torch.cat([scores, alignment], 1)


# ---------------------------------------------------------------------------------- the source


def test_the_source_is_read(translator: Translator, targets: Tensor) -> None:
    source, lengths = sentences()
    before = scores_and_alignment(translator, source, lengths, targets)
    for position in range(S - 1):  # each word makes a difference, to its own row alone
        changed = source.clone()
        changed[0, position] = 2 + (changed[0, position] - 1) % (VOCAB_SIZE - 2)
        after = scores_and_alignment(translator, changed, lengths, targets)
        assert (after[0] - before[0]).abs().max() > 1e-5
        assert torch.equal(after[1:], before[1:])


def test_a_batch_of_sources_is_each_alone(translator: Translator, targets: Tensor) -> None:
    model = translator.double()
    source, lengths = sentences()
    scores, state = model.score(model.start(source, lengths), targets)
    together = model.alignment(state)
    for row, length in enumerate(LENGTHS):
        start = model.start(source[row : row + 1, :length], lengths[row : row + 1])
        alone, state = model.score(start, targets[row : row + 1])
        assert_close(alone[0], scores[row])
        expected = None if together is None else together[row : row + 1, :length]
        assert_alignments_close(model.alignment(state), expected)


def test_padding_and_its_content_change_nothing(translator: Translator, targets: Tensor) -> None:
    model = translator.double()
    source, lengths = sentences()
    wider = torch.cat([source, torch.full((B, 3), 4)], 1)
    expected, _ = model.score(model.start(source, lengths), targets)
    for other in (sentences(padding=3)[0], sentences(padding=EOS)[0], wider):
        scores, _ = model.score(model.start(other, lengths), targets)
        assert_close(scores, expected)


def test_attention_is_on_the_sentence_alone(
    attentive_translator: Translator, targets: Tensor
) -> None:
    source, lengths = sentences(padding=3)
    state = attentive_translator.start(source, lengths)
    for token in targets.split(1, 1):
        alignment = attentive_translator.alignment(state)
        assert alignment is not None
        assert alignment.shape == (B, S)
        assert (alignment >= 0).all()
        torch.testing.assert_close(alignment.sum(1), torch.ones(B))
        assert (alignment[torch.arange(S) >= lengths[:, None]] == 0).all()
        state = attentive_translator.advance(state, token)


def test_score_is_the_slow_loop(translator: Translator, targets: Tensor) -> None:
    start = translator.start(*sentences())
    scores, state = translator.score(start, targets)
    slow, slow_state = SequenceModel.score(translator, start, targets)
    torch.testing.assert_close(scores, slow, atol=1e-5, rtol=1e-5)
    alignment, slow_alignment = translator.alignment(state), translator.alignment(slow_state)
    assert_alignments_close(alignment, slow_alignment, tolerance=1e-5)


# ------------------------------------------------------------------------------------ the rows


@pytest.mark.parametrize("rows", [[2, 0, 3, 1, 4], [1, 1, 0], [3], [0, 0, 2, 2, 4, 4, 4]], ids=str)
def test_rows_move_with_their_sentences(
    translator: Translator, targets: Tensor, rows: list[int]
) -> None:
    model, index = translator.double(), torch.tensor(rows)
    state = model.advance(model.start(*sentences()), targets[:, :2])
    expected, after = model.score(state, targets[:, 2:])
    moved, moved_after = model.score(select(state, index), targets[index, 2:])
    assert_close(moved, expected[index])
    alignment = model.alignment(after)
    expected_alignment = None if alignment is None else alignment[index]
    assert_alignments_close(model.alignment(moved_after), expected_alignment)
    again, _ = model.score(state, targets[:, 2:])  # the state passed in has not changed
    assert_close(again, expected)


def test_a_beam_over_a_batch_is_that_over_each_source(translator: Translator) -> None:
    model = translator.double()
    source, lengths = sentences()
    together = beam_search(
        model, model.start(source, lengths), 3, lengths + 3, EOS,
        length_penalty=1.0, coverage_penalty=0.2, source_lengths=lengths,
    )  # fmt: skip
    for row, length in enumerate(LENGTHS):
        row_lengths = lengths[row : row + 1]
        [alone] = beam_search(
            model, model.start(source[row : row + 1, :length], row_lengths), 3, length + 3, EOS,
            length_penalty=1.0, coverage_penalty=0.2, source_lengths=row_lengths,
        )  # fmt: skip
        assert [hypothesis.tokens.tolist() for hypothesis in alone] == [
            hypothesis.tokens.tolist() for hypothesis in together[row]
        ]
        for found, other in zip(alone, together[row], strict=True):
            assert found.score == pytest.approx(other.score, abs=1e-10)
            expected = None if other.alignment is None else other.alignment[:, :length]
            assert_alignments_close(found.alignment, expected)


# ------------------------------------------------------------------------------------ networks


def test_the_loss_of_forced_targets_is_their_mean_score(
    translation_network: TranslationNetwork, targets: Tensor
) -> None:
    source, lengths = sentences()
    inputs = torch.cat([torch.full((B, 1), EOS), targets[:, :-1]], 1)
    features, _, penalty, _ = translation_network(
        inputs, translation_network.encode(source, lengths)
    )
    assert penalty is None
    scores, _ = translation_network.score(translation_network.start(source, lengths), targets)
    loss = translation_network.output_layer.loss(features, targets).item()
    assert loss == pytest.approx(-scores.double().mean().item(), abs=1e-5)


def test_save_and_load_change_nothing(
    translation_network: TranslationNetwork, targets: Tensor
) -> None:
    tensors = {name: tensor.clone() for name, tensor in translation_network.state_dict().items()}
    loaded = type(translation_network).from_tensors(translation_network.settings(), tensors)
    assert not loaded.training
    assert loaded.settings() == translation_network.settings()
    source, lengths = sentences()
    expected = scores_and_alignment(translation_network, source, lengths, targets)
    assert torch.equal(scores_and_alignment(loaded, source, lengths, targets), expected)


def test_every_weight_is_trained(translation_network: TranslationNetwork, targets: Tensor) -> None:
    source, lengths = sentences()
    with torch.enable_grad():
        features, *_ = translation_network.train()(
            targets, translation_network.encode(source, lengths)
        )
        translation_network.output_layer.loss(features, targets).backward()
    parameters = dict(translation_network.named_parameters())
    trained = {name for name, p in parameters.items() if p.grad is not None and p.grad.any()}
    assert parameters.keys() == trained


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives(translator: Translator, targets: Tensor) -> None:
    source, lengths = sentences()
    expected = scores_and_alignment(translator, source, lengths, targets)
    on_gpu = scores_and_alignment(
        translator.to("cuda"), source.cuda(), lengths.cuda(), targets.cuda()
    )
    torch.testing.assert_close(on_gpu.cpu(), expected, atol=1e-4, rtol=1e-4)
