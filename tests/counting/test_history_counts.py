"""Counts of what follows a history, against dictionaries of tuples."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqlm.counting.counting_run import count
from seqlm.counting.counting_settings import CountingSettings
from seqlm.counting.history_counts import HistoryCounts, count_again, read_history_counts
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.decoding.prompt import read_ids
from seqlm.errors import UsageError
from seqlm.models.arrays import to_numpy
from seqlm.runs.loading.load_model import LoadedModel, load_model
from seqlm.runs.loading.locate import locate
from seqlm.text.vocabulary import EOS
from tests.counting.oracle import Gram, array, raw_counts, stream

SIZE = 7


def expected(counts: dict[int, Counter[Gram]], ids: list[int], order: int, resets: bool) -> list:
    """c(hw) for every w, by trying the longest history first."""
    text = [EOS, *ids]
    if resets:
        text = text[len(text) - 1 - text[::-1].index(EOS) :]
    for length in range(min(order - 1, len(text)), -1, -1):
        h = tuple(text[len(text) - length :])
        found = [counts[length + 1][*h, w] for w in range(SIZE)]
        if sum(found):
            return found
    raise AssertionError("a text has tokens")


@pytest.mark.parametrize("context", ["sentence", "carried"])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_counts_after_a_history_are_those_of_dictionaries(context: str, order: int) -> None:
    rng = random.Random(order)
    lines = [[rng.choice([2, 2, 3, 4, 5]) for _ in range(rng.randrange(6))] for _ in range(40)]
    ids = stream(lines)
    counts = HistoryCounts(count_ngrams(array(ids), SIZE, order, context), context == "sentence")
    dictionaries = raw_counts(ids, order, context)
    for _ in range(200):
        history = [rng.choice([EOS, 2, 3, 4, 5, 6]) for _ in range(rng.randrange(6))]
        found = counts.after(np.array(history, np.int64))
        assert found.tolist() == expected(dictionaries, history, order, context == "sentence")


@pytest.fixture
def run(tmp_path: Path) -> LoadedModel:
    text = tmp_path / "text"
    text.write_text("a b a c\nb a b\n\na b d\n")
    settings = CountingSettings(order=3, smoothing="mle", write_counts=str(tmp_path / "counts"))
    return load_model(locate(str(count([str(text)], settings, tmp_path / "run").path)))


def test_counts_come_from_a_count_file_or_from_the_text(run: LoadedModel) -> None:
    file = run.path.parent / "counts"
    again, read = count_again(run), read_history_counts(run, str(file))
    assert again is not None
    for history in ("", "a", "a b", "b a", "c", "d d", "zyzzyva", "a b\n"):
        ids = run.tokenizer.encode_text(history).astype(np.int64)
        counts = again.after(ids)
        assert counts.tolist() == read.after(ids).tolist()
        state = read_ids(run.model, ids)  # type: ignore[arg-type]
        p = np.exp(to_numpy(run.model.log_probs(state))[0])
        np.testing.assert_allclose(counts / counts.sum(), p, atol=1e-6, err_msg=history)


def test_a_text_that_has_changed_or_gone_is_not_counted_again(run: LoadedModel) -> None:
    text = run.path.parent / "text"
    text.write_text("a b a c\nb a b\n\na b a\n")
    assert count_again(run) is None
    text.unlink()
    assert count_again(run) is None
    file = str(run.path.parent / "counts")
    assert read_history_counts(run, file).after(np.array([2])).sum() == 2  # <s> a b
    characters = run._replace(tokenizer=run.tokenizer.__class__("char", run.tokenizer.types))
    with pytest.raises(UsageError, match="needs a model of words"):
        read_history_counts(characters, file)


def test_a_large_text_is_not_counted_again(
    run: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqlm.counting.history_counts.LARGEST_TEXT", 10)
    assert count_again(run) is None


def test_a_run_of_count_files_reads_them_again(tmp_path: Path, run: LoadedModel) -> None:
    file = str(run.path.parent / "counts")
    settings = CountingSettings(order=2, smoothing="mle", from_counts=True)
    merged = load_model(locate(str(count([file], settings, tmp_path / "merged").path)))
    again = count_again(merged)
    assert again is not None
    assert len(again.tables) == 2
    other = merged._replace(config=replace(merged.config, data={}))
    assert count_again(other) is None
