"""`seqlm export --to words|lexicon`: the words of a model for decoders of speech."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from seqlm.runs.run_folder import RunFolder


@pytest.fixture
def pond(seqlm) -> Path:
    flags = ["--order", 2, "--smoothing", "witten-bell", "-o", "pond", "--arpa", "pond.arpa"]
    assert seqlm("count", *flags, stdin="der Häher sieht\nein Häher hört\n".encode()).code == 0
    return Path("pond")


WORDS = ["Häher", "der", "ein", "hört", "sieht"]


@pytest.mark.parametrize("name", ["pond", "pond.arpa"])
def test_words_stand_one_on_each_line(name, pond, seqlm):
    result = seqlm("export", "-m", name, "--to", "words")
    assert (result.code, result.out.split("\n")) == (0, [*WORDS, ""])
    assert seqlm("export", "-m", name, "--to", "words", "-o", "words.txt.gz").code == 0
    assert gzip.decompress(Path("words.txt.gz").read_bytes()).decode() == result.out
    # They are a vocabulary again.
    Path("words").write_text(result.out)
    flags = ["--order", 2, "--smoothing", "witten-bell", "--vocab", "words", "-o", "again"]
    assert seqlm("count", *flags, stdin=b"der\n").code == 0
    assert RunFolder(Path("again")).tokenizer.types == RunFolder(pond).tokenizer.types


def test_a_lexicon_spells_every_word_up_to_the_token_between_words(pond, seqlm):
    out = seqlm("export", "-m", pond, "--to", "lexicon").out
    assert out.split("\n")[:2] == ["Häher\tH ä h e r |", "der\td e r |"]
    for line in out.splitlines():  # as flashlight reads them
        word, *spelling = line.split()
        assert "".join(spelling) == word + "|"
    out = seqlm("export", "-m", pond, "--to", "lexicon", "--word-end", "<sp>").out
    assert out.split("\n")[1] == "der\td e r <sp>"
    out = seqlm("export", "-m", pond, "--to", "lexicon", "--word-end", "").out
    assert out.split("\n")[1] == "der\td e r"


def test_words_that_the_letters_cannot_spell_are_left_out(pond, seqlm):
    Path("tokens.txt").write_text("- |\nd D\ne E\nr\ni\nn\ns\nh\nt\n")
    result = seqlm("export", "-m", pond, "--to", "lexicon", "--letters", "tokens.txt")
    assert [line.split("\t")[0] for line in result.out.splitlines()] == ["der", "ein", "sieht"]
    assert result.warnings == [
        "2 of 5 words have characters that are not in tokens.txt; they are left out"
    ]
    Path("tokens.txt").write_text("A\nB\n")
    result = seqlm("export", "-m", pond, "--to", "lexicon", "--letters", "tokens.txt")
    assert (result.code, result.out) == (3, "")
    assert "--letters tokens.txt: no word can be spelled with its tokens" in result.error
    result = seqlm("export", "-m", pond, "--to", "lexicon", "--letters", "nowhere")
    assert (result.code, result.out) == (3, "")


@pytest.mark.parametrize("end", ["a b", " ", "|\n", "\t|", "a\u3000b"])
def test_a_word_ends_with_one_token(end, pond, seqlm):
    result = seqlm("export", "-m", pond, "--to", "lexicon", "--word-end", end, "-o", "lexicon")
    assert (result.code, result.out) == (2, "")
    assert f"--word-end is {end!r}, which is more than one token" in result.error
    assert not Path("lexicon").exists()


def test_no_option_is_named_that_the_command_does_not_have(pond, seqlm):
    """Files that --errors is not about, which their commands may not have."""
    Path("bad").write_bytes(b"a\n\xff\n")
    Path("lists").write_text("0 ||| der\n")
    for flags in (
        ["export", "-m", pond, "--to", "lexicon", "--letters", "bad"],
        ["export", "-m", pond, "-m", pond, "--to", "arpa", "--tune", "bad"],
        ["rescore", "-m", pond, "lists", "--tune", "lists", "--tune-reference", "bad"],
        ["count", "lists", "--order", 2, "--vocab", "bad", "-o", "no"],
        ["count", "--from-counts", "bad", "--order", 2, "-o", "no"],
    ):
        result = seqlm(*flags)
        assert (result.code, result.out) == (3, "")
        assert result.error == "bad, line 2: invalid UTF-8 at byte 2"


def test_the_words_of_several_models_are_listed_once(pond, models, seqlm):
    lstm = models("lstm-word")
    one = seqlm("export", "-m", lstm, "--to", "words").out.split("\n")[:-1]
    assert "<unk>" not in one
    assert len(one) == len(RunFolder(lstm).tokenizer) - 2
    both = seqlm("export", "-m", pond, "-m", lstm, "--to", "words").out.split("\n")[:-1]
    assert both == [*WORDS, *(word for word in one if word not in WORDS)]


def test_what_has_no_words_and_what_means_nothing_is_refused(pond, models, seqlm):
    for to in ("words", "lexicon"):
        result = seqlm("export", "-m", models("lstm-bpe"), "--to", to, "-o", "no")
        assert (result.code, result.out) == (4, "")
        assert result.error.endswith("has bpe tokens, and no words to list")
        for flags, message in {
            ("--prune", "1e-4"): "--prune is for n-gram models, which are exported to arpa or run",
            ("-o", "."): ". is a folder, not a file",
            ("-o", "pond.arpa", "-m", "pond.arpa"): "pond.arpa is the model that is read",
        }.items():
            result = seqlm("export", "-m", pond, "--to", to, *flags)
            assert (result.code, result.out) == (2, "")
            assert result.error == message or message in result.error
    for flags in (["--word-end", "x"], ["--letters", "x"]):
        result = seqlm("export", "-m", pond, "--to", "words", *flags)
        assert (result.code, result.out) == (2, "")
        assert result.error == f"{flags[0]} is for the spellings of --to lexicon"
    assert not Path("no").exists()
