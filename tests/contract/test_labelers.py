"""The contract of every labeler; see `seqlm/models/labeling/labeler.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from seqlm.models.labeling.labeler import LabelDistribution, Labeler
from seqlm.text.labeled.labeled_batches import EncodedSentences, LabeledBatch
from tests.contract.labelers import (
    CHARACTER_TYPES,
    LENGTHS,
    VOCAB_SIZE,
    batch_of,
    is_classifier,
    random_sentences,
)

EVERY = list(range(len(LENGTHS)))
B, LONGEST = len(LENGTHS), max(LENGTHS)


@pytest.fixture(autouse=True)
def no_graph() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def sentences(labeler: Labeler) -> EncodedSentences:
    return random_sentences(labeler, LENGTHS)


def assert_close(a: Any, b: Any) -> None:
    """Equal up to the rounding of float64."""
    torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def real_scores(distribution: LabelDistribution) -> list[Tensor]:
    """The scores (positions, L) of each sentence without those of its padding."""
    scores, lengths = distribution.scores, distribution.lengths.tolist()
    return [row[:length] for row, length in zip(scores, lengths, strict=True)]


def read(labeler: Labeler, batch: LabeledBatch) -> list[list[Tensor]]:
    """The scores of each sentence, those of all columns of labels one after the other."""
    by_column = [real_scores(distribution) for distribution in labeler(batch)]
    return [list(of_sentence) for of_sentence in zip(*by_column, strict=True)]


# ------------------------------------------------------------------------------------- sentences


def test_every_position_has_every_label(labeler: Labeler, sentences: EncodedSentences) -> None:
    distributions = labeler.double()(batch_of(sentences, EVERY))
    positions = [1] * B if is_classifier(labeler) else LENGTHS
    assert len(distributions) == len(labeler.config.label_types)
    for distribution, labels in zip(distributions, labeler.config.label_types):
        assert distribution.lengths.tolist() == positions
        assert distribution.marginals().shape == (B, max(positions), labels)


def test_a_batch_is_each_sentence_alone(labeler: Labeler, sentences: EncodedSentences) -> None:
    labeler.double()
    together = read(labeler, batch_of(sentences, EVERY))
    for row in EVERY:
        [alone] = read(labeler, batch_of(sentences, [row]))
        assert_close(alone, together[row])


@pytest.mark.parametrize("rows", [[6, 5, 4, 3, 2, 1, 0], [1, 1, 6, 0], [4, 2]], ids=str)
def test_sentences_beside_change_nothing(
    labeler: Labeler, sentences: EncodedSentences, rows: list[int]
) -> None:
    labeler.double()
    together = read(labeler, batch_of(sentences, EVERY))
    assert_close(read(labeler, batch_of(sentences, rows)), [together[row] for row in rows])


def test_padding_and_its_content_change_nothing(
    labeler: Labeler, sentences: EncodedSentences
) -> None:
    """Longer sentences and longer words beside, and other numbers where nothing stands."""
    labeler.double()
    batch = batch_of(sentences, EVERY)
    expected = read(labeler, batch)
    noise = torch.Generator().manual_seed(5)
    is_padding = torch.arange(LONGEST + 3) >= batch.lengths[:, None]  # (B, T)

    def longer(values: Tensor, types: int) -> Tensor:
        """(B, T, ..) with random ids in three more positions and in the padding."""
        shape = (B, LONGEST + 3, *values.shape[2:])
        wide = torch.randint(0, types, shape, generator=noise)
        wide[~is_padding] = values[~is_padding[:, :LONGEST]]
        return wide

    vectors = []
    for of_model in batch.contextual:
        wide = torch.randn(B, LONGEST + 3, *of_model.shape[2:], generator=noise).double()
        wide[~is_padding] = of_model[~is_padding[:, :LONGEST]]
        vectors.append(wide)
    columns = batch.columns
    if columns.shape[2]:
        columns = longer(columns, min(labeler.config.column_types))
    else:
        columns = columns.new_zeros(B, LONGEST + 3, 0)
    one_more = torch.randint(1, CHARACTER_TYPES, (1, 20), generator=noise)  # a long word
    characters = torch.nn.functional.pad(batch.characters, (0, 20 - batch.characters.shape[1]))
    other = LabeledBatch(
        form_of=longer(batch.form_of, len(batch.words)),
        lengths=batch.lengths,
        words=torch.cat([batch.words, batch.words[:1]]),
        characters=torch.cat([characters, one_more]),
        affixes=torch.cat([batch.affixes, batch.affixes[:1]]),
        casing=torch.cat([batch.casing, batch.casing[:1]]),
        columns=columns,
        contextual=tuple(vectors),
        labels=batch.labels,
        num_targets=batch.num_targets,
    )
    assert_close(read(labeler, other), expected)


def test_all_that_is_known_of_a_word_is_read(labeler: Labeler, sentences: EncodedSentences) -> None:
    """Each of it changes the scores of its own sentence, and of no other."""
    labeler.double()
    config: Any = labeler.config
    batch = batch_of(sentences, EVERY)
    before = read(labeler, batch)
    first = torch.arange(LONGEST) < batch.lengths[0]
    changes: dict[str, LabeledBatch] = {}
    # The forms of the first sentence, changed and at the end, where no other sentence has them.
    own_forms = batch.form_of.clone()
    own_forms[0, first] = torch.arange(LENGTHS[0]) + len(batch.words)
    of_first = batch.form_of[0, first]
    batch = batch._replace(
        form_of=own_forms,
        **{
            name: torch.cat([values, values[of_first]])
            for name in ("words", "characters", "affixes", "casing")
            for values in [getattr(batch, name)]
        },
    )
    assert_close(read(labeler, batch), before)

    def change(name: str, types: int, column: Any = ...) -> None:
        values = getattr(batch, name).clone()
        part = values[-LENGTHS[0] :][column]
        values[-LENGTHS[0] :][column] = (part + 1) % types
        changes[f"{name} {column}"] = batch._replace(**{name: values})

    change("words", VOCAB_SIZE)
    if getattr(config, "characters", "none") != "none":
        change("characters", CHARACTER_TYPES, (slice(None), 0))
        change("characters", CHARACTER_TYPES, (slice(None), 1))
    if getattr(config, "casing", False):
        change("casing", 7)
    for column, types in enumerate(config.affix_types):
        change("affixes", types, (slice(None), column))
    for column, types in enumerate(config.column_types):
        values = batch.columns.clone()
        values[0, :, column] = (values[0, :, column] + 1) % types
        changes[f"columns {column}"] = batch._replace(columns=values)
    for number, vectors in enumerate(batch.contextual):
        for layer in range(vectors.shape[2]):
            changed = [*batch.contextual]
            changed[number] = vectors.clone()
            changed[number][0, :, layer] += 1
            changes[f"model {number}, layer {layer}"] = batch._replace(contextual=tuple(changed))
    for name, other in changes.items():
        after = read(labeler, other)
        different = [
            (a - b).abs().max() > 1e-6 for a, b in zip(after[0], before[0]) if a.shape[1] > 0
        ]
        assert all(different), name
        assert_close(after[1:], before[1:])


# ----------------------------------------------------------------------------- the distribution


def test_the_loss_is_minus_the_log_likelihoods(
    labeler: Labeler, sentences: EncodedSentences
) -> None:
    """One sentence and one column at a time gives the mean over all tokens, or texts."""
    labeler.double()
    total = 0.0
    for row in EVERY:
        batch = batch_of(sentences, [row])
        for distribution, labels in zip(labeler(batch), batch.labels.unbind(2), strict=True):
            total += distribution.log_likelihood(labels).item()
    targets = B if is_classifier(labeler) else sum(LENGTHS)
    batch = batch_of(sentences, EVERY)
    assert batch.num_targets == targets
    assert labeler.loss(batch).item() == pytest.approx(-total / targets, abs=1e-12)


def test_marginals_sum_to_one(labeler: Labeler, sentences: EncodedSentences) -> None:
    for distribution in labeler.double()(batch_of(sentences, EVERY)):
        marginals = distribution.marginals()
        assert (marginals >= 0).all()
        positions = torch.arange(marginals.shape[1])
        has_label = positions < distribution.lengths[:, None]
        assert_close(marginals.sum(2), has_label.double())


def test_the_labels_are_the_best_of_the_n_best(
    labeler: Labeler, sentences: EncodedSentences
) -> None:
    for distribution in labeler.double()(batch_of(sentences, EVERY)):
        best, labels = distribution.nbest(3), distribution.decode()
        assert torch.equal(best.labels[:, 0], labels)
        assert (best.log_probs.diff(dim=1).nan_to_num(nan=0.0) <= 0).all()
        for n in range(3):
            exists = best.log_probs[:, n].isfinite()
            likelihood = distribution.log_likelihood(best.labels[:, n])
            assert_close(likelihood[exists], best.log_probs[exists, n])


def test_samples_are_labels(labeler: Labeler, sentences: EncodedSentences) -> None:
    for distribution in labeler(batch_of(sentences, EVERY, torch.float32)):
        sampled = distribution.sample(torch.Generator().manual_seed(1))
        assert torch.equal(sampled == -1, distribution.decode() == -1)
        assert sampled.max() < distribution.marginals().shape[2]


# ------------------------------------------------------------------------------------ the model


def test_save_and_load_change_nothing(labeler: Labeler, sentences: EncodedSentences) -> None:
    tensors = {name: tensor.clone() for name, tensor in labeler.state_dict().items()}
    loaded = type(labeler).from_tensors(labeler.settings(), tensors)
    assert not loaded.training
    assert loaded.settings() == labeler.settings()
    loaded.check_tensors()
    batch = batch_of(sentences, EVERY, torch.float32)
    for ours, theirs in zip(labeler(batch), loaded(batch), strict=True):
        assert torch.equal(ours.scores, theirs.scores)
        assert torch.equal(ours.decode(), theirs.decode())


def test_every_weight_is_trained(labeler: Labeler, sentences: EncodedSentences) -> None:
    batch = batch_of(sentences, EVERY, torch.float32)
    torch.manual_seed(1)
    with torch.enable_grad():
        labeler.train().loss(batch).backward()
    parameters = dict(labeler.named_parameters())
    still = {n for n, p in parameters.items() if p.grad is None or not p.grad.to_dense().any()}
    expected = set()
    if getattr(labeler.config, "vectors_training", "tuned") == "frozen":
        expected.add("word_features.embedding")
    if labeler.config.label_types == (1,):  # there is nothing to decide
        expected |= parameters.keys()
    assert still == expected


def test_every_weight_is_in_one_group(labeler: Labeler) -> None:
    grouped = [p for group in labeler.parameter_groups() for p in group.parameters]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == set(labeler.parameters())


def test_training_changes_the_mode_and_not_what_is_read_without_dropout(
    labeler: Labeler, sentences: EncodedSentences
) -> None:
    batch = batch_of(sentences, EVERY, torch.float32)
    dropout = [value for name, value in vars(labeler.config).items() if "dropout" in name]
    torch.manual_seed(1)
    expected, trained = labeler(batch), labeler.train()(batch)
    is_same = all(torch.equal(a.scores, b.scores) for a, b in zip(expected, trained))
    assert is_same == (not any(dropout))


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives(labeler: Labeler, sentences: EncodedSentences) -> None:
    labeler.double()
    batch = batch_of(sentences, EVERY)
    expected = labeler(batch)
    labels, loss = [one.decode() for one in expected], labeler.loss(batch)
    labeler.to("cuda")
    moved = LabeledBatch(
        *(
            part.cuda() if isinstance(part, Tensor) else part
            for part in batch._replace(contextual=tuple(v.cuda() for v in batch.contextual))
        )
    )
    on_gpu = labeler(moved)
    torch.testing.assert_close(
        [one.scores.cpu() for one in on_gpu], [one.scores for one in expected], atol=1e-6, rtol=0
    )  # positions are computed in float32
    torch.testing.assert_close(labeler.loss(moved).cpu(), loss, atol=1e-6, rtol=0)
    assert all(torch.equal(a.decode().cpu(), b) for a, b in zip(on_gpu, labels))
