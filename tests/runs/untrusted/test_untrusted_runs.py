"""A run that somebody edited, or that a disk has damaged: one line that says what is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from seqlm.errors import ModelError
from seqlm.models.ngram import table_checks
from seqlm.models.ngram.ngram_order import HIGHEST, RECORD
from seqlm.runs.checkpoint import write_checkpoint
from seqlm.runs.loading.load_model import LoadedModel, load_model
from seqlm.runs.loading.load_vectors import load_vectors
from seqlm.runs.loading.locate import locate
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.untrusted import file_digest
from tests.runs.untrusted.fuzzer import forge_manifest, make_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrusted")
    before = Path.cwd()
    os.chdir(folder)
    try:
        make_runs(folder / "runs")
    finally:
        os.chdir(before)
    return folder / "runs"


@pytest.fixture
def copy(runs: Path, tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        return Path(shutil.copytree(runs / name, tmp_path / name))

    return make


def load(path: Path) -> LoadedModel:
    return load_model(locate(path))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = yaml.safe_load((path / "config.yaml").read_text())
    change(values)
    (path / "config.yaml").write_text(yaml.safe_dump(values))


def weights_of(path: Path) -> Path:
    return next(path.glob("steps/*/model.safetensors"))


# ---------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vocab_size", 0, "vocab_size is 0, and the tokenizer has 6 types"),
        ("vocab_size", 1.5, "vocab_size is 1.5; it takes a whole number"),
        ("vocab_size", -1, "vocab_size is -1; it must be at least 0"),
        ("width", 0, "width is 0; it must be from 1"),
        ("width", "8", "width is '8'; it takes a whole number"),
        ("width", True, "width is True; it takes a whole number"),
        ("width", None, "width is None"),
        ("width", [4], r"width is \[4\]"),
        ("layers", 1_000_000, "layers is 1000000; it must be from 1 to 1000"),
        ("layers", 1000, "far fewer tensors than such a model has"),
        ("width", 999_999, "the weights do not fit"),
        ("tied", 1, "tied is 1; it takes true or false"),
        ("softmax", "soft", "softmax is 'soft'"),
        ("softmax_cutoffs", [0.5], "softmax_cutoffs is"),
        ("dropout_input", 1, "dropout_input is 1.0; it must be from 0 to 0.99"),
        ("widht", 4, "no option 'widht'; did you mean 'width'"),
    ],
)
def test_an_option_that_no_model_has_is_refused_before_it_is_built(name, value, message, copy):
    run = copy("lstm")
    edit(run, lambda values: values["model"].update({name: value}))
    with pytest.raises(ModelError, match=message):
        load(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arch": "gru"}, "no option 'peephole'|no option 'coupled_gates'"),
        ({"task": "translation"}, "no option"),
        ({"task": "dance"}, "no architecture"),
        ({"model": None}, "model cannot be None"),
        ({"model": {}}, "vocab_size is missing"),
        ({"context": "foo"}, "context cannot be 'foo'"),
        ({"threads": -1}, "threads cannot be -1"),
    ],
)
def test_another_configuration_is_refused(change, message, copy):
    run = copy("lstm")
    edit(run, lambda values: values.update(change))
    with pytest.raises(ModelError, match=message):
        load(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": [1]}, r"config\.yaml: rows \(1,\) are not of 3 orders over 6 types"),
        ({"rows": [6, 2**63, 1]}, "the weights do not fit"),
        ({"rows": "x"}, "rows is 'x'; it takes whole numbers"),
        ({"order": 0}, "are not of 0 orders"),
        ({"context": "carried"}, "the context is sentence, and this model has carried"),
    ],
)
def test_another_shape_of_n_grams_is_refused(change, message, copy):
    run = copy("ngram")
    edit(run, lambda values: values["model"].update(change))
    with pytest.raises(ModelError, match=message):
        load(run)


def test_an_option_that_changes_figures_changes_the_signature(copy):
    run = copy("transformer")
    before = load(run).weights_digest
    edit(run, lambda values: values["model"].update(heads=1))
    assert load(run).weights_digest != before


# --------------------------------------------------------------------------------------- tensors


@pytest.mark.parametrize(
    "change",
    [
        lambda tensor: tensor.double(),
        lambda tensor: tensor.half(),
        lambda tensor: tensor.int(),
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: torch.cat([tensor, tensor]),
        lambda tensor: tensor[None],
        lambda tensor: tensor * torch.nan,
        lambda tensor: tensor - torch.inf,
        lambda tensor: None,
    ],
)
@pytest.mark.parametrize("name", ["lstm", "transformer", "translator", "chars"])
def test_no_odd_tensor_of_a_network_is_read(name, change, copy):
    run = copy(name)
    path = weights_of(run)
    tensors = load_file(path)
    for key, tensor in tensors.items():
        odd = {**tensors, key: change(tensor)}
        save_file({k: t for k, t in odd.items() if t is not None}, path)
        forge_manifest(run)
        with pytest.raises(ModelError, match=r"model\.safetensors: the weights do not fit"):
            load(run)


RECORDS: dict[str, tuple[int, Callable[[np.ndarray], object]]] = {
    "rows beyond the next order": (0, lambda n: np.add(n["first"], 1000, out=n["first"])),
    "rows that fall": (1, lambda n: np.copyto(n["first"], n["first"][::-1].copy())),
    "rows below 0": (1, lambda n: n["first"][:1].fill(-5)),
    "words below 0": (1, lambda n: n["word"].fill(-1)),
    "words beyond the last": (2, lambda n: n["word"].fill(99)),
    "rows that begin later": (0, lambda n: n["first"][:1].fill(1)),
    "rows that end before": (0, lambda n: n["first"][-1:].fill(n["first"][-2])),
    "a probability of NaN": (2, lambda n: n["log_prob"][:1].fill(np.nan)),
    "a backoff beyond all bounds": (1, lambda n: n["backoff"][-2:].fill(np.inf)),
    "a probability above 1": (2, lambda n: n["log_prob"][:1].fill(5)),
    "probabilities beyond all bounds": (0, lambda n: n["log_prob"].fill(np.inf)),
}


def change_records(run: Path, order: int, change: Callable[[np.ndarray], object]) -> None:
    """Changes the records of an order of a run of n-grams, in place."""
    tensors = {key: tensor.clone() for key, tensor in load_file(weights_of(run)).items()}
    records = tensors[f"orders.{order}.records"].numpy()
    change(records.view(RECORD if records.shape[1] == 4 else HIGHEST)[:, 0])
    save_file(tensors, weights_of(run))
    forge_manifest(run)


@pytest.mark.parametrize(("order", "change"), RECORDS.values(), ids=RECORDS)
def test_no_record_leads_out_of_its_order(order, change, copy):
    run = copy("ngram")
    change_records(run, order, change)
    with pytest.raises(ModelError, match=rf"orders\.{order}: "):
        load(run)


def test_no_code_stands_for_a_probability_above_1(copy):
    run = copy("compact")
    tensors = {key: tensor.clone() for key, tensor in load_file(weights_of(run)).items()}
    tensors["orders.1.log_probs"].fill_(5)
    save_file(tensors, weights_of(run))
    forge_manifest(run)
    with pytest.raises(ModelError, match=r"orders\.1: the log-probability 5 is above 0"):
        load(run)


def test_words_out_of_order_are_found_wherever_a_block_begins(copy, monkeypatch):
    run = copy("ngram")
    first = load(run).model.order(1).first
    row = int(first[np.flatnonzero(np.diff(first) > 1)[0]])

    def swap(records: np.ndarray) -> None:
        records["word"][row : row + 2] = records["word"][row : row + 2][::-1].copy()

    change_records(run, 1, swap)
    for size in (1, 2, 3, 1 << 20):
        monkeypatch.setattr(table_checks, "BLOCK", size)
        with pytest.raises(ModelError, match=r"orders\.1: the words of a context are not in order"):
            load(run)


NGRAMS: dict[str, tuple[str, Callable[[torch.Tensor], object]]] = {
    "rows below the first": ("row_of", lambda rows: rows.fill_(-1)),
    "rows beyond the last": ("row_of", lambda rows: rows.fill_(10**6)),
    "n-grams below the first": ("ngrams", lambda rows: rows[-1:].fill_(-1)),
    "n-grams beyond the last": ("ngrams", lambda rows: rows[:1].fill_(10**6)),
    "ends that fall": ("ends", lambda ends: ends.copy_(ends.flip(0))),
    "ends below 0": ("ends", lambda ends: ends[:1].fill_(-5)),
    "ends beyond the last": ("ends", lambda ends: ends.add_(1)),
    "ends before the last": ("ends", lambda ends: ends[-1:].sub_(1)),
}


@pytest.mark.parametrize(("name", "change"), NGRAMS.values(), ids=NGRAMS)
def test_no_ngram_leads_out_of_its_table(name, change, copy):
    run = copy("fasttext")
    tensors = {key: tensor.clone() for key, tensor in load_file(weights_of(run)).items()}
    assert len(load_vectors(locate(run)).words) == 4
    change(tensors[f"inputs.{name}"])
    save_file(tensors, weights_of(run))
    forge_manifest(run)
    with pytest.raises(ModelError, match="name rows that the table does not have"):
        load_vectors(locate(run))


# ---------------------------------------------------------------------------------------- digests


@pytest.mark.parametrize("piece", [1 << 26, 1000])
def test_damage_is_found_anywhere_in_a_file_of_any_size(piece, copy, monkeypatch):
    run = RunFolder(copy("lstm"))
    loaded = load(run.path)
    shutil.rmtree(run / "steps")
    monkeypatch.setattr(file_digest, "PIECE", piece)
    write_checkpoint(run, 7, loaded.model, best=True)
    data = weights_of(run.path).read_bytes()
    assert len(data) > 1000
    for at in (len(data) - 1, len(data) // 2, 900):
        damaged = bytearray(data)
        damaged[at] ^= 1
        weights_of(run.path).write_bytes(damaged)
        with pytest.raises(ModelError, match="is damaged: its digest is not the one"):
            load(run.path)
    weights_of(run.path).write_bytes(data)
    load(run.path)


def test_the_tokenizer_of_another_run_is_refused(copy):
    run = copy("lstm")
    text = (run / "tokenizer.json").read_text()
    (run / "tokenizer.json").write_text(text.replace('"a": 2', '"e": 2').replace('"a"', '"e"'))
    assert load_error(run).startswith(f"{run}/tokenizer.json is damaged: its digest")
    before = forge_manifest(run)
    assert before
    assert load(run).tokenizer.id_of_type.keys() >= {b"e"}


def load_error(run: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(run)
    return str(caught.value)


@pytest.mark.parametrize("name", ["ngram", "lstm"])
@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer", lambda data: b"[]", "it is not a tokenizer that seqlm wrote"),
        (
            "tokenizer",
            lambda data: b"[",
            "it is not a tokenizer that seqlm wrote: Expecting value: line 1 column 2 (char 1)",
        ),
        ("tokenizer", lambda data: b"\xff", "its byte 1 is not UTF-8"),
        ("weights", lambda data: data[:-3], "its header is damaged, or its end is cut off"),
        (
            "weights",
            lambda data: data.replace(b'"dtype"', b'"dtyqe"', 1),
            "its header is damaged, or its end is cut off",
        ),
    ],
)
def test_a_damaged_file_is_said_in_plain_words(name, file, change, message, copy):
    run = copy(name)
    path = run / "tokenizer.json" if file == "tokenizer" else weights_of(run)
    path.write_bytes(change(path.read_bytes()))
    forge_manifest(run)
    problem = "cannot be read" if file == "tokenizer" else "is not a safetensors file"
    assert load_error(run) == f"{path} {problem}: {message}"


def test_a_tokenizer_that_the_manifest_does_not_name_is_refused(copy):
    run = copy("lstm")
    (manifest,) = run.glob("steps/*/manifest.json")
    values = json.loads(manifest.read_text())
    del values["tokenizer.json"]
    manifest.write_text(json.dumps(values))
    assert "its manifest does not name tokenizer.json" in load_error(run)
    manifest.write_text(json.dumps({**values, "../../../etc/passwd": {}}))
    assert "names '../../../etc/passwd'" in load_error(run)


def test_weights_so_large_that_nothing_can_be_computed_are_said(copy, seqlm, tmp_path):
    run = copy("lstm")
    tensors = load_file(weights_of(run))
    save_file({key: tensor.sign() * 3e38 for key, tensor in tensors.items()}, weights_of(run))
    forge_manifest(run)
    (tmp_path / "text").write_text("a b\n")
    for command in (["eval", tmp_path / "text"], ["sample"], ["sample", "--beam", 2], ["next"]):
        result = seqlm(command[0], "-m", run, *command[1:], stdin=b"a\n")
        assert (result.code, "gives NaN" in result.error) == (4, True), command


# --------------------------------------------------------------------------------------- resuming


def lose_a_tensor(run: Path) -> None:
    tensors = load_file(weights_of(run))
    del tensors[min(tensors)]
    save_file(tensors, weights_of(run))
    forge_manifest(run)


RESUMED: dict[str, tuple[Callable[[Path], object], str]] = {
    "vocab_size": (lambda run: edit(run, lambda v: v["model"].update(vocab_size=0)), "vocab_size"),
    "setting": (lambda run: edit(run, lambda v: v["settings"].update(lr=[])), r"lr is \[\]"),
    "data": (lambda run: edit(run, lambda v: v.update(data={})), "lacks the settings or the data"),
    "texts": (
        lambda run: edit(run, lambda v: v["data"].update(texts={})),
        "data does not say what was trained on",
    ),
    "errors": (
        lambda run: edit(run, lambda v: v["data"].update(errors="x")),
        "data does not say what was trained on",
    ),
    "tokens": (
        lambda run: edit(run, lambda v: v["data"].update(tokens="x")),
        "data does not say what was trained on",
    ),
    "tensor": (lose_a_tensor, "the weights do not fit config.yaml"),
    "metrics": (
        lambda run: (run / "metrics.jsonl").write_text('{"step": 1}\n'),
        "metrics.jsonl, line 1 lacks epoch",
    ),
}


@pytest.mark.parametrize(("change", "message"), RESUMED.values(), ids=RESUMED)
def test_an_edited_run_is_not_resumed(change, message, copy, seqlm):
    run = copy("lstm")
    change(run)
    result = seqlm("train", "--resume", run, "--steps", 3)
    assert result.code == 4
    assert re.search(message, result.error), result.error


@pytest.mark.parametrize(
    "ids", [torch.tensor([2, 99]), torch.tensor([-1]), torch.tensor([2.0]), torch.zeros(0).int()]
)
def test_a_stored_text_of_other_ids_is_not_resumed(ids, copy, seqlm):
    run = copy("lstm")
    ids = ids if ids.is_floating_point() else ids.int()
    save_file({"corpus": ids}, run / "corpus.safetensors")
    result = seqlm("train", "--resume", run, "--steps", 3)
    assert (result.code, "corpus.safetensors: corpus holds" in result.error) == (4, True)
