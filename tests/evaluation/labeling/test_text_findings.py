"""What is said of a checked text: its figures, and which findings are serious."""

from __future__ import annotations

import pytest

from seqlm.evaluation.labeling.text_check import TextCheck, check_text
from seqlm.evaluation.labeling.text_findings import LONG_SENTENCE, figures_of, findings_of
from tests.evaluation.labeling.test_text_check import HELD_OUT, TRAIN, check, records_of


def texts(text: str, train: TextCheck | None = None) -> TextCheck:
    records = records_of(text, "classification", "valid" if train else "train")
    return check_text("texts", records, "classification", ["label"], train)


def said(text: TextCheck) -> list[tuple[str, bool]]:
    return [*findings_of(text)]


def test_every_figure_of_a_training_text() -> None:
    assert [tuple(figure) for figure in figures_of(check(TRAIN))] == [
        ("sentences", None, None, 4),
        ("tokens", None, None, 11),
        ("types", None, None, 5),
        ("longest", None, None, 3),
        ("duplicates", None, None, 2),
        ("conflicts", None, None, 1),
        ("labels", "tag", None, 4),
        ("scheme", "tag", None, "iob2"),
        ("ill-formed", "tag", None, 0),
        ("count", "tag", "B-NP", 4),
        ("count", "tag", "I-NP", 4),
        ("count", "tag", "B-VP", 2),
        ("count", "tag", "O", 1),
    ]


def test_a_held_out_text_and_texts_have_figures_of_their_own() -> None:
    held_out = check(HELD_OUT, train=check(TRAIN))
    figures = {figure.figure: figure.value for figure in figures_of(held_out)}
    assert figures["oov-tokens"] == 1 / 6
    assert figures["oov-types"] == 1 / 5
    assert (figures["new-labels"], figures["ill-formed"]) == (1, 2)
    of_texts = {figure.figure: figure.value for figure in figures_of(texts("bad\t\ngood\ta\n"))}
    assert (of_texts["texts"], of_texts["empty"]) == (2, 1)
    assert not {"scheme", "ill-formed", "oov-tokens"} & of_texts.keys()


def test_the_findings_in_a_training_text() -> None:
    assert said(check(TRAIN)) == [
        (
            "train, labels of tag with fewer than 5 examples: 'B-NP' (4, train, line 1), 'I-NP' (4,"
            " train, line 2), 'B-VP' (2, train, line 3), 'O' (1, train, line 10)",
            False,
        ),
        (
            "train, sentences with the words of an earlier one: 2 of 4, 54.55% of the tokens; the"
            " first is train, line 5, as line 1",
            False,
        ),
        (
            "train, sentences with the words of an earlier one, but other labels: 1; the first is"
            " train, line 5, as line 1",
            True,
        ),
    ]


def test_the_findings_in_a_held_out_text() -> None:
    assert said(check(HELD_OUT, train=check(TRAIN))) == [
        (
            "valid, tags of tag that are ill-formed in the scheme iob2: 2; the first is 'I-NP' in"
            " valid, line 4",
            True,
        ),
        (
            "valid, labels of tag that the training text does not have, and no model predicts:"
            " 'I-XP' (1, valid, line 5)",
            True,
        ),
        (
            "valid, sentences with the words of one of the training text: 1 of 2, 33.33% of the"
            " tokens; the first is valid, line 1, as train, line 9",
            True,
        ),
    ]


def test_a_good_text_has_no_findings() -> None:
    text = "".join(f"frog{n} NN\nsings{n} VB\n\n" for n in range(5))
    assert said(check(text)) == []
    assert said(check("frog0 NN\nsings1 VB\n", train=check(text))) == []


def test_many_rare_labels_are_not_all_named() -> None:
    [(message, _)] = said(check("".join(f"word{n} T{n}\n" for n in range(8))))
    assert message.count("train, line") == 5
    assert message.endswith(" and 3 more")


@pytest.mark.parametrize(("lines", "is_serious"), [(99, True), (101, False)])
def test_a_few_duplicates_are_only_a_note(lines: int, is_serious: bool) -> None:
    """One token of a held-out text of so many is in a sentence of the training text."""
    train = check("".join(f"w{n} NN\n" for n in range(200)) + "\nw0 NN\n")
    held_out = "w0 NN\n\n" + "".join(f"w{n} NN\n" for n in range(1, lines))
    [finding] = said(check(held_out, train=train))
    assert "the words of one of the training text: 1 of 2" in finding[0]
    assert finding[1] == is_serious


def test_other_words_are_serious_from_half_of_them_on() -> None:
    train = check("".join(f"w{n} NN\n" for n in range(9)))
    assert said(check("w0 NN\nW0 NN\nw1 NN\n", train=train)) == []
    [(message, is_serious)] = said(check("w0 NN\nW0 NN\n", train=train))
    assert message.startswith("valid, tokens that the training text does not have: 50.00%")
    assert is_serious


def test_a_sentence_without_end_is_serious() -> None:
    lines = [f"word{n} {'NN' if n % 2 else 'VB'}\n" for n in range(LONG_SENTENCE + 1)]
    assert said(check("".join(lines[:-1]))) == []
    [(message, is_serious)] = said(check("".join(lines)))
    assert (
        message
        == "train, the longest sentence: 301 tokens, from train, line 1 on; it may be several"
    )
    assert is_serious


def test_texts_without_words_and_of_one_class_are_serious() -> None:
    text = "".join(f"good\tfilm {n}\n" for n in range(5)) + "good\t\n"
    assert said(texts(text)) == [
        ("texts, labels of label: all are 'good'", True),
        ("texts, texts without words: 1; the first is train, line 6", True),
    ]
    assert said(texts("good\tfilm 3 4\n", texts(text))) == []


def test_a_label_is_shown_in_one_line() -> None:
    train = texts("".join(f"l{n % 2}\tw{n}\n" for n in range(12)))
    [(message, _)] = said(texts(f"{'x' * 200}\tw0 w1\n", train))
    assert len(message) < 200
