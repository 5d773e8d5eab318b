"""Lines that are read from their ends, against the same lines read forward."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import DataError, ModelError
from seqlm.text import vocabulary
from seqlm.text.corpus import read_corpus
from seqlm.text.normalization import Normalizer
from seqlm.text.pretrained_tokenizer import LibraryFile, PretrainedTokenizer, tokenizer_from_json
from seqlm.text.reading import Block
from seqlm.text.tokenizer import TOKENIZER_KINDS, Tokenizer, have_equal_ids
from seqlm.text.vocabulary import EOS, line_reversal, reverse_lines

SAMPLE = "the old pond\n\na frog sees älteste — 文字 𝄞\nthe  spaces\tare wide \n<unk> .\n" * 3
KINDS = [*TOKENIZER_KINDS, "pretrained", "normalized"]


def block(text: str) -> Block:
    return Block(text.encode(), "text", 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    path = tmp_path_factory.mktemp("text") / "sample"
    path.write_text(SAMPLE, encoding="utf-8")
    ours = {
        kind: read_corpus([str(path)], kind=kind, vocab_size=300, min_count=1).tokenizer
        for kind in TOKENIZER_KINDS
    }
    library = tokenizers.Tokenizer(tokenizers.models.Unigram([("<unk>", 0.0), ("▁", -1.0)], 0))
    library.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=40, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    library.train_from_iterator(SAMPLE.split("\n"), trainer)
    steps = Normalizer(["lower", "strip-accents", "punct"])
    return {
        **ours,
        "pretrained": PretrainedTokenizer(LibraryFile(library.to_str())),
        "normalized": Tokenizer("word", ours["word"].types, normalizer=steps),
    }


@pytest.fixture(params=KINDS)
def forward(request: pytest.FixtureRequest, made: dict[str, Tokenizer]) -> Tokenizer:
    return made[request.param]


LINES = st.lists(st.sampled_from([*"aü文. ", "the", " pond", "<unk>", "\t", "Frog-s"]), max_size=9)
TEXTS = st.lists(LINES.map("".join), max_size=4).map(lambda lines: "".join(x + "\n" for x in lines))


def reversed_by_line(tokens: list[int], rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The slow oracle: `rows` of the `tokens`, those of each line in reverse before its `</s>`."""
    found: list[tuple[int, ...]] = []
    line: list[tuple[int, ...]] = []
    for token, row in zip(tokens, rows, strict=True):
        if token == EOS:
            found += [*reversed(line), row]
            line = []
        else:
            line.append(row)
    return found + line[::-1]


@given(ids=st.lists(st.integers(0, 4), max_size=30))
def test_lines_are_reversed_and_nothing_else(ids: list[int]) -> None:
    array = np.array(ids, np.int32)
    order = line_reversal(array)
    wanted = [token for (token,) in reversed_by_line(ids, [(token,) for token in ids])]
    assert array[order].tolist() == wanted
    assert array[order][line_reversal(array[order])].tolist() == ids


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_lines_are_reversed_in_place(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "LINES_AT_ONCE", at_once)
    ids = np.array([2, 3, EOS, EOS, 4, 5, 6, EOS, 7, 8], np.int32)
    reverse_lines(ids)
    assert ids.tolist() == [3, 2, EOS, EOS, 6, 5, 4, EOS, 8, 7]


@given(text=TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_spans_are_those_of_the_text_in_reverse(
    kind: str, text: str, made: dict[str, Tokenizer]
) -> None:
    forward, backward = made[kind], made[kind].in_direction("backward")
    read = block(text)
    ids = forward.encode(read)
    start, length = forward.token_spans(read, ids)
    rows = list(zip(ids.tolist(), start.tolist(), length.tolist()))
    read_backward = backward.encode(read)
    spans = backward.token_spans(read, read_backward)
    found = list(zip(read_backward.tolist(), spans.start.tolist(), spans.length.tolist()))
    assert found == reversed_by_line(ids.tolist(), rows)
    assert backward.decode(read_backward.tolist()) == forward.decode(ids.tolist())


def test_a_part_of_a_line_is_reversed_as_far_as_it_goes(forward: Tokenizer) -> None:
    backward = forward.in_direction("backward")
    ids = forward.encode_text("the pond\nthe frog")
    assert backward.encode_text("the pond\nthe frog").tolist() == ids[line_reversal(ids)].tolist()


def test_a_line_that_is_cut_is_refused(forward: Tokenizer) -> None:
    backward = forward.in_direction("backward")
    with pytest.raises(DataError, match="text, line 2: the line is too long to be read from its"):
        backward.encode(block("the pond\nthe fr"))


def test_the_direction_is_stored_and_keeps_vocabularies_apart(forward: Tokenizer) -> None:
    backward = forward.in_direction("backward")
    again = tokenizer_from_json(backward.to_json())
    assert type(again) is type(backward)
    assert (again.direction, again.digest) == ("backward", backward.digest)
    assert have_equal_ids(again, backward)
    assert not have_equal_ids(forward, backward)
    assert forward.digest != backward.digest
    assert tokenizer_from_json(forward.to_json()).direction == "forward"
    assert have_equal_ids(backward.in_direction("forward"), forward)


@pytest.mark.parametrize("kind", [*TOKENIZER_KINDS, "normalized"])
def test_the_library_reads_the_file_and_gives_the_order_of_the_text(
    kind: str, made: dict[str, Tokenizer]
) -> None:
    library = tokenizers.Tokenizer.from_str(made[kind].in_direction("backward").to_json())
    ids = made[kind].encode(block("the old pond\n"))
    assert [*library.encode("the old pond").ids, EOS] == ids.tolist()


def test_a_stored_direction_that_does_not_exist_is_refused(forward: Tokenizer) -> None:
    stored = json.loads(forward.in_direction("backward").to_json())
    stored.get("pre_tokenizer", stored)["direction"] = "sideways"
    with pytest.raises(ModelError, match="the direction 'sideways' is neither forward nor"):
        tokenizer_from_json(json.dumps(stored))


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
def test_a_vocabulary_is_learned_in_either_direction_alike(kind, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(SAMPLE, encoding="utf-8")
    ids, forward, _ = read_corpus([str(path)], kind=kind, vocab_size=280)
    learned = read_corpus([str(path)], kind=kind, vocab_size=280, direction="backward")
    assert learned.tokenizer.direction == "backward"
    assert learned.tokenizer.types == forward.types
    assert learned.ids.tolist() == ids[line_reversal(ids)].tolist()
    assert read_corpus([str(path)], learned.tokenizer).ids.tolist() == learned.ids.tolist()


def test_a_long_line_is_refused_while_a_vocabulary_is_learned(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("the pond\n" + "frog " * 900_000, encoding="utf-8")
    assert read_corpus([str(path)]).lines == 2
    with pytest.raises(DataError, match="text, line 2: the line is too long"):
        read_corpus([str(path)], direction="backward")
