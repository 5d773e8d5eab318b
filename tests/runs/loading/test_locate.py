"""What a name means: a run, a checkpoint, an ARPA file, or without one the latest run."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import ModelError, UsageError
from seqlm.runs.loading.locate import locate
from seqlm.runs.run_config import RunConfig
from tests.command import seqlm_inside
from tests.runs.vector_files.vector_file_bytes import fasttext_bytes, word2vec_binary

# ------------------------------------------------------------------------------- without a name


def test_the_run_that_finished_last_is_chosen(finished):
    finished("b", "2026-01-02T00:00:00+00:00")
    finished("a", "2026-01-03T00:00:00+00:00")
    finished("z-unfinished", None)
    latest = locate()
    assert latest.path == Path("checkpoints/a")
    assert latest.is_default


def test_a_run_being_written_is_not_chosen(finished):
    finished("old", "2026-01-01")
    busy = finished("new", "2026-01-02")
    busy.lock()
    assert locate().path.name == "old"
    busy.unlock()
    assert locate().path.name == "new"


def test_a_folder_that_is_no_run_is_passed_over_aloud(finished, workplace):
    finished("good", "2026-01-01")
    (workplace / "checkpoints" / "other").mkdir()
    (workplace / "checkpoints" / "other" / "config.yaml").write_text("hidden_size: 3")
    (workplace / "checkpoints" / "file").write_text("")
    with pytest.warns(UserWarning, match=r"other/config\.yaml is not .* passed over"):
        assert locate().path.name == "good"


def test_without_a_finished_run_there_is_no_model(finished):
    with pytest.raises(UsageError, match="no model is named"):
        locate()
    finished("unfinished", None)
    with pytest.raises(UsageError, match="no model is named"):
        locate()


def test_the_latest_run_must_do_the_task_and_the_newest_that_does_is_named(finished):
    finished("old", "2026-01-01", task="translation")
    finished("new", "2026-01-02")
    assert locate(task="lm").path.name == "new"
    message = (
        "new, is a language model, and this needs a translator; the newest translator is .*old"
    )
    with pytest.raises(UsageError, match=message):
        locate(task="translation")


# ------------------------------------------------------------------------------------ with a name


def test_a_run_is_found_by_its_path_and_its_name(finished):
    run = finished("one", None)
    by_path, by_name = locate(run.path), locate("one")
    assert by_path.path == run.path
    assert by_name.path == Path("checkpoints/one")
    assert by_path.config == by_name.config == run.read_config()
    assert by_path.checkpoint is by_name.checkpoint is by_path.arpa is None
    assert not by_name.is_default


@pytest.mark.parametrize("name", ["checkpoints/one/steps/00000005", "one/steps/00000005"])
def test_a_checkpoint_is_found_in_its_run(name, finished):
    run = finished("one", None)
    (run / "steps" / "00000005").mkdir(parents=True)
    found = locate(name)
    assert found.run is not None
    assert found.run.path == Path("checkpoints/one")
    assert found.checkpoint == "00000005"
    assert found.path == Path("checkpoints/one/steps/00000005")


def test_a_file_is_an_arpa_file(workplace):
    (workplace / "model.arpa").write_text("a trigram model\n\n\\data\\ \nngram 1=4\n")
    found = locate("model.arpa", "lm")
    assert (found.path, found.arpa, found.run) == (Path("model.arpa"), Path("model.arpa"), None)
    assert found.config.arch == "ngram"


@pytest.mark.parametrize(
    "data",
    [
        b"2 3\nfrog 1 2 3\npond 4 5 6\n",
        b"frog 1 2 -3e-1\n",
        b"\xef\xbb\xbffrog 1 2\r\n",
        b"\\data\\ 0.1 0.2\n",
        gzip.compress(b"frog 1 2 3\n"),
        word2vec_binary(),
        fasttext_bytes([b"frog"], np.ones((9, 2))),
    ],
)
def test_a_file_of_word_vectors_is_told_by_its_content(data, workplace):
    (workplace / "model.arpa").write_bytes(data)
    found = locate("model.arpa", "vectors")
    assert (found.path, found.vectors, found.arpa) == (Path("model.arpa"),) * 2 + (None,)
    message = "model.arpa is a set of word vectors, and this needs a language model"
    with pytest.raises(ModelError, match=message):
        locate("model.arpa", "lm")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty, and no model"),
        (
            b"Call me Ishmael.\n1 2\n",
            "is no model: neither an ARPA file, .* begins with 'Call me Ishmael.'",
        ),
        (b"frog\0 1 2\n", "is no model"),
        (b"PK\x03\x04", "is a zip archive: unpack it first"),
        (b"\x80\x04\x95", "is a pickle, which is not read"),
        ("frog 1 2\n".encode("utf-16"), "is UTF-16LE text"),
        (b"\x1f\x8b\x08", "model.vec is truncated"),
    ],
)
def test_a_file_of_neither_kind_is_no_model(data, message, workplace):
    (workplace / "model.vec").write_bytes(data)
    with pytest.raises(ModelError, match=message):
        locate("model.vec")


def test_the_variable_names_a_run_and_an_argument_goes_before_it(finished, monkeypatch):
    finished("one", "2026-01-02")
    finished("two", "2026-01-01")
    monkeypatch.setenv("SEQLM_MODEL", "two")
    assert locate().path.name == "two"
    assert not locate().is_default
    assert locate("one").path.name == "one"


def test_a_model_that_is_not_there_is_named_with_the_nearest(finished):
    finished("lstm-toy", "2026")
    with pytest.raises(ModelError, match="no model lstm-toi; did you mean 'lstm-toy'"):
        locate("lstm-toi")


def test_a_folder_without_a_configuration_is_no_run(tmp_path):
    with pytest.raises(ModelError, match=r"is not a run: it has no config\.yaml"):
        locate(tmp_path)


def test_a_named_model_of_another_task_is_refused(finished):
    finished("one", "2026", task="translation")
    message = "one is a translator, and this needs a language model"
    with pytest.raises(ModelError, match=message):
        locate("one", "lm")


# ------------------------------------------------------------------------------ reading each once


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the config.yaml of each run was parsed, by the name of the run."""
    counts: Counter[str] = Counter()
    read = RunConfig.read.__func__  # type: ignore[attr-defined]

    def counting(cls: type[RunConfig], path: Path) -> RunConfig:
        counts[path.parent.name] += 1
        result: RunConfig = read(cls, path)
        return result

    monkeypatch.setattr(RunConfig, "read", classmethod(counting))
    return counts


def test_a_configuration_is_parsed_once_for_each_model_named(reads, models, toy, seqlm):
    ngram, lstm = models("ngram-word"), models("lstm-word")
    reads.clear()
    assert seqlm("eval", "-m", ngram, toy.test).code == 0
    assert reads == {"ngram-word": 1}
    reads.clear()
    assert seqlm("sample", "-m", lstm, "-n", 1).code == 0
    assert reads == {"lstm-word": 1}
    reads.clear()
    assert seqlm("export", "-m", ngram, "--to", "arpa").code == 0
    assert reads == {"ngram-word": 1}


def test_without_a_name_each_candidate_is_parsed_once_and_the_one_taken_is_said(
    reads, models, toy, seqlm, workplace
):
    (workplace / "checkpoints").mkdir()
    for name in ("ngram-word", "lstm-word"):
        (workplace / "checkpoints" / name).symlink_to(models(name))
    last = max(("ngram-word", "lstm-word"), key=lambda name: locate(name).config.finished or "")
    for command in (["eval", toy.test], ["sample", "-n", 1]):
        reads.clear()
        result = seqlm_inside(*command)
        assert result.code == 0, result.err
        assert f"model: checkpoints/{last} (the latest run)\n" in result.err
        assert set(reads.values()) == {1}
        assert set(reads) == {"ngram-word", "lstm-word"}
