"""The table of metrics, and what a name selects from it."""

from __future__ import annotations

import pytest

from seqlm.errors import UsageError
from seqlm.evaluation.metrics import DEFAULTS, METRICS, select_metrics


def names(wanted: list[str] | None, task: str = "lm", has_oracle: bool = False) -> list[str]:
    return [metric.name for metric in select_metrics(wanted, task, has_oracle)]


def test_every_metric_is_computed_in_one_way():
    for metric in METRICS.values():
        ways = (
            metric.of_tally, metric.of_translations, metric.of_labels, metric.of_vectors or None,
            metric.needs_oracle or None,
        )  # fmt: skip
        assert sum(way is not None for way in ways) == 1
        assert metric.help
        assert {*metric.tasks} <= {*DEFAULTS}


def test_no_synonym_is_a_metric_or_another_synonym():
    synonyms = [synonym for metric in METRICS.values() for synonym in metric.synonyms]
    assert len({*synonyms, *METRICS}) == len(synonyms) + len(METRICS)


def test_names_are_split_at_commas_and_asked_for_once():
    assert names(["ppl,bits-per-char", "ppl"]) == ["ppl", "bits-per-char"]
    assert names(["bleu, ppl", "bleu,"], "translation") == ["bleu", "ppl"]
    assert names(None) == ["ppl"]
    assert names(None, "translation") == ["bleu", "chrf"]
    assert names(None, "tagging") == ["accuracy", "f1"]
    assert names(None, "classification") == ["accuracy", "macro-f1"]
    assert names(None, "vectors")[:2] == ["accuracy", "semantic-accuracy"]


@pytest.mark.parametrize(
    ("name", "task", "nearest"),
    [
        ("pplx", "lm", "ppl"),
        ("blue", "translation", "bleu"),
        ("perplexity", "lm", "ppl"),
        ("Perplexity", "translation", "ppl"),
        ("surprisal", "lm", "bits-per-token"),
        ("nll", "lm", "cross-entropy"),
        ("entropy", "lm", "cross-entropy"),
        ("bpc", "lm", "bits-per-char"),
        ("bpb", "lm", "bits-per-byte"),
        ("chrF", "translation", "chrf"),
        ("oov-accuracy", "tagging", "unseen-accuracy"),
        ("acc", "classification", "accuracy"),
    ],
)
def test_an_unknown_name_gets_the_nearest_or_the_one_of_its_meaning(name, task, nearest):
    with pytest.raises(UsageError, match=f"no metric '{name}'; did you mean '{nearest}'"):
        names([name], task)


def test_a_name_of_another_task_or_of_nothing_gets_all_there_are():
    with pytest.raises(UsageError, match="no metric 'bleu'; there are ppl, ppl-excluding"):
        names(["bleu"])
    for nothing in ([""], [","]):
        with pytest.raises(UsageError, match="no metric named; there are ppl"):
            names(nothing)


def test_exposure_and_an_oracle_need_each_other():
    assert names(["exposure", "ppl"], has_oracle=True) == ["exposure", "ppl"]
    with pytest.raises(UsageError, match="metric exposure is measured against an oracle"):
        names(["bleu", "exposure"], "translation")
    with pytest.raises(UsageError, match="oracle has no effect without metric exposure"):
        names(["bleu"], "translation", has_oracle=True)
