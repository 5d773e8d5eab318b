"""Whose vocabulary `--vocab` takes: that of an ARPA file, or of a list of types."""

from __future__ import annotations

import gzip
import os
import threading
import warnings
from pathlib import Path

import pytest

from seqlm.errors import UsageError
from seqlm.models.ngram.arpa.arpa_reader import read_arpa
from seqlm.runs.loading.borrowed_vocabulary import borrowed_tokenizer
from tests.models.ngram.arpa.test_arpa_reader import FORMS, POND


@pytest.mark.parametrize("form", FORMS)
def test_an_arpa_file_gives_the_ids_of_its_model(form: str, tmp_path: Path) -> None:
    path = tmp_path / "pond"
    path.write_bytes(FORMS[form](POND))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer = borrowed_tokenizer(str(path), "word")
    assert tokenizer is not None
    assert (tokenizer.kind, tokenizer.types) == ("word", read_arpa(path)[1].types)


def test_only_the_unigrams_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pond.arpa.gz"
    path.write_bytes(gzip.compress(POND[: POND.index(b"\\3-grams")].replace(b"<unk>", b"toad")))
    tokenizer = borrowed_tokenizer(str(path), "word")
    assert tokenizer is not None
    assert tokenizer.types == [b"<unk>", b"</s>", b"toad", b"frog", b"heron", b"old"]


def test_words_are_no_characters(tmp_path: Path) -> None:
    path = tmp_path / "pond.arpa"
    path.write_bytes(POND)
    with pytest.raises(UsageError, match="is an ARPA file: it has words, not tokenizer char"):
        borrowed_tokenizer(str(path), "char")


@pytest.mark.parametrize("text", ["\\data\\\nngram\n1=3\n", "ngram\n\\data\\\n\\end\\\n"])
def test_a_list_of_words_like_those_of_a_head_is_no_arpa_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text(text)
    tokenizer = borrowed_tokenizer(str(path), "word")
    assert tokenizer is not None
    assert [type_.decode() for type_ in tokenizer.types[2:]] == text.split()


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("frog\nheron\n",))
    writer.start()
    tokenizer = borrowed_tokenizer(str(path), "word")
    writer.join()
    assert tokenizer is not None
    assert tokenizer.types[2:] == [b"frog", b"heron"]
