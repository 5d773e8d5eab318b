"""Why words are unknown: the reason is found, and named with a remedy."""

from __future__ import annotations

import re
import warnings

import pytest

from seqlm.evaluation.perplexity import Tally, tally_text
from seqlm.evaluation.unknown_words import explain, warn_of_unknown
from seqlm.text.normalization import Normalizer
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED

WORDS = re.findall(r"\S+", 'the dog sat quickly . , ! " café on a mat and she sang')
TOKENIZER = Tokenizer("word", RESERVED + [word.encode() for word in WORDS])


def tally_of(text: str, tokenizer: Tokenizer = TOKENIZER) -> Tally:
    return tally_text(tokenizer, [Block(text.encode(), "text", 1)])[0]


@pytest.mark.parametrize(
    ("text", "remedy", "example"),
    [
        ("The DOG sat .\n", "lower", "'The', 'DOG'"),
        ("the dog sat, quickly.\n", "punct", "'sat,', 'quickly.'"),
        ('The dog sat. She sang, "quickly!"\n', "lower,punct", "'The', 'sat.', 'She'"),
        ("cafe\u0301 cafe\u0301\n", "nfc", "'cafe\u0301'"),
        ("Cafe\u0301. Cafe\u0301!\n", "lower,punct,nfc", "'Cafe\u0301.'"),
        ("The DOG Sat . quickly,\n" + "A MAT\n" * 5, "lower", "'The', 'DOG'"),
    ],
)
def test_the_reason_is_the_fewest_steps_that_help(text, remedy, example) -> None:
    explanation = explain(tally_of(text), TOKENIZER)
    assert explanation is not None
    assert f"`normalize={remedy}`" in explanation
    assert example in explanation


@pytest.mark.parametrize(
    "text",
    [
        "the dog sat .\n" * 40 + "Quickly.\n",
        "the zyx sat on a mat .\n" * 99,  # rare words are usual
        "zyx xyz\n",  # two words mean nothing
        "<unk> <unk> the\n",
    ],
)
def test_few_unknown_words_are_not_spoken_of(text) -> None:
    assert explain(tally_of(text), TOKENIZER) is None


def test_many_words_without_a_reason_are_shown() -> None:
    explanation = explain(tally_of("ein Hund saß da\n" * 9), TOKENIZER)
    assert explanation is not None
    assert explanation.startswith("'ein', 'Hund', 'saß'; the text may be of another kind")


def test_a_vocabulary_of_raw_text_is_recognized() -> None:
    raw = ["The", "dog", "sat.", "She", "sang", "quickly,", "and", "the", "mat", "moved!"]
    tokenizer = Tokenizer("word", RESERVED + [word.encode() for word in raw])
    explanation = explain(tally_of("sat . moved ! quickly ,\n" * 9, tokenizer), tokenizer)
    assert explanation is not None
    assert "words with punctuation attached, such as 'sat.'" in explanation


def test_normalized_text_has_no_such_reason() -> None:
    tokenizer = Tokenizer("word", TOKENIZER.types, normalizer=Normalizer.parse("lower,punct,nfc"))
    text = 'The Dog sat. She sang, "Cafe\u0301!"\n'
    assert tally_of(text, tokenizer).oov == 0
    assert explain(tally_of(text, tokenizer), tokenizer) is None


def test_characters_have_no_words() -> None:
    tokenizer = Tokenizer("char", [*RESERVED, b"a", b" "])
    assert explain(tally_of("ABC abc\n" * 20, tokenizer), tokenizer) is None


def test_a_warning_names_the_share_and_the_text() -> None:
    with pytest.warns(UserWarning, match=r"^60\.0% of the tokens of the source are out of voc"):
        warn_of_unknown(tally_of("The DOG Sat .\n"), TOKENIZER, "the source")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_unknown(tally_of("the dog\n"), TOKENIZER)
        warn_of_unknown(Tally(), TOKENIZER)


def test_the_words_that_are_remembered_are_bounded() -> None:
    text = "".join(f"Unknown{n} " for n in range(3000)) + "\n"
    assert tally_of(text).unknown_words.total() == 1000
