"""Labels of records: in order, whatever the batch, and equal to what a model says of one sentence
alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seqlm.decoding.labeling.label_records import (
    LabeledRecord,
    label_records,
    records_of,
)
from seqlm.decoding.labeling.label_sentences import encode_for, read_sentences
from seqlm.decoding.labeling.labeling_settings import LabelingSettings
from seqlm.errors import DataError, UsageError
from seqlm.runs.loading.load_labeler import LoadedLabeler, load_labeler
from seqlm.runs.loading.locate import locate
from seqlm.text.labeled.record import FormatOptions, Record
from seqlm.text.labeled.record_files import parse_records
from tests.decoding.labeling.labelers import (
    SENTENCES,
    columns,
    train_chunker,
    train_classifier,
    train_tagger,
)

MAKERS = {"tagger": train_tagger, "chunker": train_chunker, "classifier": train_classifier}
TEXTS = [*SENTENCES, "sleeps", "the unseen newt sleeps , and is old", "", "a . . . . . . . . . ."]
EVERYTHING = LabelingSettings(nbest=7, probabilities=True)


@pytest.fixture(scope="module")
def labelers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedLabeler]:
    folder = tmp_path_factory.mktemp("labelers")
    return {name: load_labeler(locate(make(folder))) for name, make in MAKERS.items()}


@pytest.fixture(params=MAKERS)
def labeler(request: pytest.FixtureRequest, labelers: dict[str, LoadedLabeler]) -> LoadedLabeler:
    return labelers[request.param]


def records_for(loaded: LoadedLabeler) -> list[Record]:
    """TEXTS, with the columns that the labeler reads."""
    if not loaded.labels.features:
        return list(records_of(TEXTS, loaded.labels.task))
    lines = [*columns(SENTENCES, tagged=False).split("\n"), "newt t _", "naps s _", "", ""]
    options = FormatOptions("columns")
    return list(parse_records(iter(lines), "text", "tagging", options, labels_needed=False))


def label(loaded: LoadedLabeler, settings: LabelingSettings = EVERYTHING) -> list[LabeledRecord]:
    return list(label_records(loaded, records_for(loaded), settings))


def assert_alike(found: list[LabeledRecord], wanted: list[LabeledRecord]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.labels == other.labels
        for a, b in zip(one.columns.values(), other.columns.values(), strict=True):
            assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)
            assert a.distribution == pytest.approx(b.distribution, abs=1e-5)
            assert [n.log_prob for n in a.nbest] == pytest.approx(
                [n.log_prob for n in b.nbest], abs=1e-4
            )


def test_there_is_one_for_each_record_in_order(labeler: LoadedLabeler) -> None:
    found, records = label(labeler), records_for(labeler)
    assert [each.record.lines for each in found] == [record.lines for record in records]
    for each in found:
        assert (each.columns == {}) == each.record.is_blank
        for labels in each.labels.values():
            of_tagger = labeler.labels.task == "tagging"
            assert len(labels) == (len(each.record.tokens) if of_tagger else 1)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_changes_nothing(labeler: LoadedLabeler, batch_size: int) -> None:
    settings = LabelingSettings(nbest=7, probabilities=True, batch_size=batch_size)
    assert_alike(label(labeler, settings), label(labeler))
    eager = label_records(labeler, records_for(labeler), settings, eager=True)
    assert_alike(list(eager), label(labeler))


def test_figures_are_those_of_enumeration(labeler: LoadedLabeler) -> None:
    """Each sentence alone: the log-likelihood of all its labelings, without those that the scheme
    forbids."""
    column = labeler.labels.labels[0]
    size = len(column.labels)
    for labeled in label(labeler):
        if labeled.record.is_blank or size ** len(labeled.record.tokens) > 5000:
            continue
        sentences = encode_for(labeler, [labeled.record])
        ((_, _, (distribution,)),) = read_sentences(labeler.model, sentences, 1)
        length = int(distribution.lengths)
        every = torch.tensor([*itertools.product(range(size), repeat=length)])
        many = distribution._replace(
            scores=distribution.scores.expand(len(every), -1, -1),
            lengths=distribution.lengths.expand(len(every)),
        )
        with torch.inference_mode():
            p = many.log_likelihood(every).exp()
        p = p * torch.tensor([is_allowed(distribution.output, ids) for ids in every])
        p = p / p.sum()
        (found,) = labeled.columns.values()
        best = every[p.argmax()]
        scores = [each.log_prob for each in found.nbest]
        top = p.topk(min(7, int((p > 0).sum()))).values.log().tolist()
        assert scores == pytest.approx(top, abs=1e-3)
        if column.model_scheme == column.text_scheme:
            assert found.labels == [column.labels[id] for id in best]
        marginals = [float(p[every[:, t] == best[t]].sum()) for t in range(length)]
        assert found.probabilities == pytest.approx(marginals, abs=1e-4)
        if labeler.labels.task == "classification":
            assert found.distribution == pytest.approx(dict(zip(column.labels, p.tolist())))


def is_allowed(output: object, ids: torch.Tensor) -> bool:
    if not hasattr(output, "allowed_transitions"):
        return True
    inside = all(output.allowed_transitions[a, b] for a, b in itertools.pairwise(ids))
    return bool(inside and output.allowed_start[ids[0]] and output.allowed_end[ids[-1]])


def test_labels_are_written_in_the_scheme_of_the_text(labelers: dict[str, LoadedLabeler]) -> None:
    found = {tag for each in label(labelers["chunker"]) for tag in each.labels.get("tag", [])}
    assert "I-NP" in found
    assert found <= {"O", "B-NP", "I-NP"}


def test_what_is_not_asked_for_is_not_there(labeler: LoadedLabeler) -> None:
    plain = label(labeler, LabelingSettings())
    assert [each.labels for each in plain] == [each.labels for each in label(labeler)]
    for each in plain:
        for column in each.columns.values():
            assert (column.nbest, column.probabilities, column.distribution) == ([], [], {})


def test_long_words_and_sentences_are_labeled(labelers: dict[str, LoadedLabeler]) -> None:
    texts = ["x" * 10_000, "the frog " * 2500, "the frog sleeps ."]
    for name in ("tagger", "classifier"):
        task = labelers[name].labels.task
        found = list(label_records(labelers[name], records_of(texts, task), LabelingSettings()))
        sizes = [len(labels) for each in found for labels in each.labels.values()]
        assert sizes == ([1, 5000, 4] if task == "tagging" else [1, 1, 1])
        alone = label_records(labelers[name], records_of(texts[2:], task), LabelingSettings())
        assert next(alone).labels == found[2].labels


@pytest.mark.parametrize("eager", [False, True])
def test_an_error_comes_after_the_labels_before_it(
    labelers: dict[str, LoadedLabeler], eager: bool
) -> None:
    def failing() -> Iterator[Record]:
        yield from records_of(TEXTS[:3], "tagging")
        raise DataError("the fourth is none")

    found: list[LabeledRecord] = []
    labeled = label_records(labelers["tagger"], failing(), LabelingSettings(), eager)
    with pytest.raises(DataError, match="the fourth is none"):
        found.extend(labeled)
    assert len(found) == 3


def test_a_missing_column_is_named(labelers: dict[str, LoadedLabeler], tmp_path: Path) -> None:
    chunker = labelers["chunker"]
    with pytest.raises(DataError) as error:
        list(label_records(chunker, records_of(["the frog"], "tagging"), LabelingSettings()))
    assert str(error.value).startswith("the text, line 1: there is no column 'pos', which ")


@pytest.mark.parametrize("wrong", [{"nbest": 0}, {"batch_size": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        LabelingSettings(**wrong)
