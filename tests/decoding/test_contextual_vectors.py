"""The vectors of words, against a loop that reads one token after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlm.decoding import contextual_vectors
from seqlm.decoding.contextual_vectors import ContextualVectors, Pieces
from seqlm.errors import ModelError
from seqlm.models import model_class
from seqlm.models.base import LanguageNetwork, SequenceModel
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.runs.run_config import RunConfig
from seqlm.text.corpus import read_corpus
from seqlm.text.normalization import Normalizer
from seqlm.text.pretrained_tokenizer import LibraryFile, PretrainedTokenizer
from seqlm.text.reading import Block
from seqlm.text.tokenizer import TOKENIZER_KINDS, Tokenizer
from seqlm.text.vocabulary import EOS, UNK, Direction
from tests.contract.models import LANGUAGE_MODELS, LanguageModelInstance
from tests.decoding.tabular import Tabular

SENTENCES = [
    ["the", "old", "pond"],
    [],
    ["a", "frog"],
    ["Frogs", "see", "the", "älteste", "pond", "of", "all", "the", "ponds", "."],
    ["."],
]
CORPUS = "the old pond , a frog sees the pond\nfrogs see ponds of old .\n" * 3

ARCHITECTURES = [
    ("ffnn", {"width": 5, "embedding": 3, "order": 3}, [3, 5]),
    ("rnn", {"width": 4, "layers": 1}, [4, 4]),
    ("lstm", {"width": 6, "layers": 2, "embedding": 4}, [4, 6, 4]),
    ("lstm", {"width": 4, "layers": 2, "peephole": True}, [4, 4, 4]),
    ("gru", {"width": 4, "layers": 2, "tied": False, "embedding": 3}, [3, 4, 4]),
    ("transformer", {"width": 8, "layers": 2, "heads": 2, "context_length": 6}, [8, 8, 8]),
    (
        "transformer",
        {"width": 8, "layers": 1, "heads": 2, "context_length": 60, "positions": "rotary"},
        [8, 8],
    ),
    ("s4d", {"width": 5, "layers": 2, "state_size": 4}, [5, 5, 5]),
    ("mamba", {"width": 6, "layers": 2, "state_size": 4}, [6, 6, 6]),
    ("mamba2", {"width": 6, "layers": 1, "state_size": 4, "head_width": 3}, [6, 6]),
]
NETWORKS = pytest.mark.parametrize(("arch", "options", "widths"), ARCHITECTURES)


@pytest.fixture(scope="module")
def tokenizers_by_kind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    path = tmp_path_factory.mktemp("text") / "corpus"
    path.write_text(CORPUS, encoding="utf-8")
    made = {
        kind: read_corpus([str(path)], kind=kind, vocab_size=280, min_count=1).tokenizer
        for kind in TOKENIZER_KINDS
    }
    library = PretrainedTokenizer(LibraryFile(made["bpe"].to_json()))
    steps = Normalizer(["lower", "strip-accents", "punct"])
    normalized = Tokenizer("word", made["word"].types, normalizer=steps)
    return {**made, "pretrained": library, "normalized": normalized}


def loaded_model(
    tokenizer: Tokenizer, arch: str = "lstm", options: dict | None = None
) -> LoadedModel:
    torch.manual_seed(1)
    settings = {"vocab_size": len(tokenizer), "width": 6, "layers": 2, **(options or {})}
    if arch == "ffnn":
        del settings["layers"]
    model: SequenceModel = model_class("lm", arch).from_settings(settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    return loaded(model.eval(), tokenizer, arch)


def loaded(model: SequenceModel, tokenizer: Tokenizer, arch: str = "lstm") -> LoadedModel:
    config = RunConfig(task="lm", arch=arch, context="carried", model={})
    return LoadedModel(model, tokenizer, config, Path("run"), "digest")


def pieces_of_words(tokenizer: Tokenizer, words: list[str]) -> tuple[list[int], list[list[int]]]:
    """The ids of a sentence in reading order, and the numbers of those that are pieces of each
    word, from 1: a loop over the texts that its first words, or its last, make."""
    text = " ".join(words)
    ids = tokenizer.encode_text(text)
    spans = tokenizer.token_spans(Block(text.encode(), "text", 1), ids)
    numbers, at = [], 0
    for word in words:
        start, end = at, at + len(word.encode())
        read = [
            number
            for number, (first, length) in enumerate(zip(spans.start, spans.length), 1)
            if first < end and first + length > start
        ]
        numbers.append(read)
        at = end + 1
    return ids.tolist(), numbers


@torch.inference_mode()
def vectors_one_by_one(
    loaded: LoadedModel, words: list[str], pieces: Pieces = "last"
) -> list[list[np.ndarray]]:
    """The slow oracle: for every word, the outputs of the layers for the tokens read up to one of
    its pieces, or the mean over its pieces."""
    ids, numbers = pieces_of_words(loaded.tokenizer, words)
    tokens, found = [EOS, *ids], []
    for of_word in numbers:
        chosen = {"last": of_word[-1:], "first": of_word[:1], "mean": of_word}[pieces]
        outputs = [outputs_after(loaded, tokens[: number + 1]) for number in chosen]
        found.append([np.mean(layer, axis=0) for layer in zip(*outputs)])
    return found


def outputs_after(loaded: LoadedModel, tokens: list[int]) -> list[np.ndarray]:
    """What the layers make of the last of `tokens`; in a model with a context length, in the window
    that it is in."""
    network = loaded.model
    assert isinstance(network, LanguageNetwork)
    start, limit = 0, network.context_length
    while limit is not None and len(tokens) > start + limit:
        start += limit // 2
    read = torch.tensor([tokens[start:]])
    outputs = network.layer_outputs(read, network.initial_cache(1))
    return [output[0, -1].numpy() for output in outputs]


def check_vectors(loaded: LoadedModel, sentences: list[list[str]], pieces: Pieces = "last") -> None:
    vectors = ContextualVectors(loaded, pieces)
    widths = vectors.layer_widths
    found = vectors.embed(sentences)
    assert len(found) == len(sentences)
    for words, array in zip(sentences, found):
        assert array.shape == (len(words), len(widths), max(widths))
        assert array.dtype == np.float32
        for layers, wanted in zip(array, vectors_one_by_one(loaded, words, pieces)):
            for layer, width, one in zip(layers, widths, wanted):
                np.testing.assert_allclose(layer[:width], one, atol=1e-5)
                assert not layer[width:].any()


@NETWORKS
def test_every_architecture_has_its_layers(
    arch: str, options: dict, widths: list[int], tokenizers_by_kind
) -> None:
    loaded = loaded_model(tokenizers_by_kind["word"], arch, options)
    assert ContextualVectors(loaded).layer_widths == widths
    check_vectors(loaded, SENTENCES)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("kind", [*TOKENIZER_KINDS, "pretrained", "normalized"])
def test_every_tokenizer_is_read_word_by_word(
    kind: str, direction: Direction, tokenizers_by_kind
) -> None:
    check_vectors(loaded_model(tokenizers_by_kind[kind].in_direction(direction)), SENTENCES)


@pytest.mark.parametrize("pieces", ["first", "mean"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("kind", ["word", "char", "bpe", "normalized"])
def test_other_pieces_than_the_last(
    kind: str, direction: Direction, pieces: Pieces, tokenizers_by_kind
) -> None:
    loaded = loaded_model(tokenizers_by_kind[kind].in_direction(direction))
    check_vectors(loaded, SENTENCES, pieces)


@pytest.mark.parametrize("pieces", ["last", "first", "mean"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_long_sentence_is_read_in_windows(
    direction: Direction, pieces: Pieces, tokenizers_by_kind
) -> None:
    options = {"width": 8, "heads": 2, "context_length": 7}
    tokenizer = tokenizers_by_kind["char"].in_direction(direction)
    check_vectors(loaded_model(tokenizer, "transformer", options), SENTENCES, pieces)


@pytest.mark.parametrize("positions", [1, 7, 1000])
def test_the_batch_changes_nothing(positions: int, tokenizers_by_kind, monkeypatch) -> None:
    monkeypatch.setattr(contextual_vectors, "POSITIONS", positions)
    vectors = ContextualVectors(loaded_model(tokenizers_by_kind["bpe"]))
    together = vectors.embed(SENTENCES)
    for words, array in zip(SENTENCES, together):
        (alone,) = vectors.embed([words])
        np.testing.assert_allclose(array, alone, atol=1e-5)


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@pytest.mark.parametrize(("direction", "changed"), [("forward", 1), ("backward", 2)])
def test_a_word_knows_of_one_side_only(kind, direction, changed, tokenizers_by_kind) -> None:
    """A word is changed: the words on its other side have the vectors that they had."""
    tokenizer = tokenizers_by_kind[kind].in_direction(direction)
    vectors = ContextualVectors(loaded_model(tokenizer))
    before, after = vectors.embed([["the", "old", "pond"], ["the", "frog", "pond"]])
    context = np.abs(before - after)[:, 1:].max((1, 2))  # without the embedding
    same = 0 if direction == "forward" else 2
    assert context[same] == 0
    assert (np.delete(context, same) > 1e-3).all()


@pytest.mark.parametrize("pieces", ["last", "first", "mean"])
def test_no_sentences(pieces: Pieces, tokenizers_by_kind) -> None:
    for direction in ("forward", "backward"):
        tokenizer = tokenizers_by_kind["word"].in_direction(direction)
        vectors = ContextualVectors(loaded_model(tokenizer), pieces)
        assert vectors.embed([]) == []
        assert [array.shape for array in vectors.embed([[], []])] == [(0, 3, 6)] * 2


@pytest.mark.parametrize("word", ["unheard", "</s>", "<s>", "</S>"])
def test_a_word_that_cannot_be_read_is_unknown(word: str, tokenizers_by_kind) -> None:
    vectors = ContextualVectors(loaded_model(tokenizers_by_kind["normalized"]))
    found, wanted = vectors.embed([["the", word, "pond"], ["the", "<unk>", "pond"]])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_end_of_a_text_within_a_word_is_unknown(tokenizers_by_kind) -> None:
    made = tokenizers_by_kind["bpe"].plain_library_tokenizer
    made = type(made).from_str(made.to_str())
    made.add_special_tokens(["</s>"])
    vectors = ContextualVectors(loaded_model(PretrainedTokenizer(LibraryFile(made.to_str()))))
    found, wanted = vectors.embed([["the", "a</s>b", "pond"], ["the", "<unk>", "pond"]])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_word_without_pieces_has_the_state_before_it(tokenizers_by_kind) -> None:
    for direction, before in (("forward", 0), ("backward", 2)):
        tokenizer = tokenizers_by_kind["normalized"].in_direction(direction)
        for pieces in ("last", "mean"):
            vectors = ContextualVectors(loaded_model(tokenizer), pieces)
            (array,) = vectors.embed([["the", "\u0301", "pond"]])
            assert (array[1] == array[before]).all()


def test_a_word_with_white_space_is_one_word(tokenizers_by_kind) -> None:
    vectors = ContextualVectors(loaded_model(tokenizers_by_kind["word"]))
    found, wanted = vectors.embed([["the\nold pond", "."], ["the", "old", "pond", "."]])
    np.testing.assert_allclose(found, wanted[2:], atol=1e-5)


STRANGE = st.lists(
    st.sampled_from([*"ab \t\n\r\v<>/s", "ä", "\ud800", "\0", "</s>", "\u3000"]), max_size=6
).map("".join)


@settings(max_examples=30)
@given(sentences=st.lists(st.lists(STRANGE, max_size=4), max_size=4))
@pytest.mark.parametrize("kind", [*TOKENIZER_KINDS, "pretrained", "normalized"])
def test_any_words_have_vectors(kind: str, sentences, tokenizers_by_kind) -> None:
    for direction in ("forward", "backward"):
        tokenizer = tokenizers_by_kind[kind].in_direction(direction)
        loaded = loaded_model(tokenizer, options={"layers": 1})
        for pieces in ("last", "mean"):
            found = ContextualVectors(loaded, pieces).embed(sentences)
            assert [len(array) for array in found] == [len(words) for words in sentences]
            assert all(np.isfinite(array).all() for array in found)


def test_a_model_that_is_no_network_has_none(tokenizers_by_kind) -> None:
    table = Tabular(torch.zeros(2, 2).log_softmax(1))
    with pytest.raises(ModelError, match="run has no vectors: it is no neural language model"):
        ContextualVectors(loaded(table, tokenizers_by_kind["word"]))


INSTANCES = [one for one in LANGUAGE_MODELS if one.is_network]


@pytest.mark.parametrize("instance", INSTANCES, ids=str)
def test_the_last_layer_is_what_the_output_layer_reads(instance: LanguageModelInstance) -> None:
    """And two segments make the same of a text as one."""
    network = instance.build()
    assert isinstance(network, LanguageNetwork)
    tokens = torch.tensor([[2, 5, EOS, UNK, 3], [4, 4, 2, 2, 5]])
    start = network.start(2).cache
    whole = network.layer_outputs(tokens, start)
    features, cache, *_ = network(tokens[:, :2], start)
    if instance.arch != "ffnn":  # whose output layer may read its window as well
        torch.testing.assert_close(whole[-1][:, :2], features)
    for layer, rest in zip(whole, network.layer_outputs(tokens[:, 2:], cache), strict=True):
        torch.testing.assert_close(layer[:, 2:], rest)
