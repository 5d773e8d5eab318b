"""BLEU and chrF against their equations."""

from __future__ import annotations

import math
import sys
from collections import Counter

import pytest

from seqlm.errors import UsageError
from seqlm.evaluation.translation_quality import bleu, chrf

HYPOTHESES = ["the black cat sees a bird here", "we often look at the old house", "she sings"]
REFERENCES = [
    "the black cat sees the bird there",
    "we look at the old house often",
    "she sings too",
]

# ---------------------------------------------------------------------------- the equations


def grams(tokens, n):
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def shared(some, other):
    return sum((some & other).values())


def bleu_by_hand(hypotheses, references):
    pairs = [(h.split(), r.split()) for h, r in zip(hypotheses, references, strict=True)]
    c, r = (sum(len(pair[side]) for pair in pairs) for side in (0, 1))
    logs = 0.0
    for n in (1, 2, 3, 4):
        right = sum(shared(grams(h, n), grams(r, n)) for h, r in pairs)
        logs += math.log(right / sum(grams(h, n).total() for h, _ in pairs)) / 4
    return 100 * min(1, math.exp(1 - r / c)) * math.exp(logs)


def chrf_by_hand(hypotheses, references):
    precisions, recalls = [], []
    for n in range(1, 7):
        pairs = [
            (grams(h.replace(" ", ""), n), grams(r.replace(" ", ""), n))
            for h, r in zip(hypotheses, references, strict=True)
        ]
        right = sum(shared(h, r) for h, r in pairs)
        precisions.append(right / sum(h.total() for h, _ in pairs))
        recalls.append(right / sum(r.total() for _, r in pairs))
    p, r = sum(precisions) / 6, sum(recalls) / 6
    return 100 * 5 * p * r / (4 * p + r)


def test_bleu_is_its_equation():
    score = bleu(HYPOTHESES, REFERENCES).value
    assert 10 < score < 90
    assert score == pytest.approx(bleu_by_hand(HYPOTHESES, REFERENCES))


def test_short_translations_are_penalized():
    short = [line.rsplit(" ", 1)[0] for line in REFERENCES]
    assert bleu(short, REFERENCES).value == pytest.approx(bleu_by_hand(short, REFERENCES))
    assert bleu(short, REFERENCES).value == pytest.approx(100 * math.exp(1 - 17 / 14))


def test_chrf_is_its_equation():
    score = chrf(HYPOTHESES, REFERENCES).value
    assert score == pytest.approx(chrf_by_hand(HYPOTHESES, REFERENCES))


@pytest.mark.parametrize("figure", [bleu, chrf])
def test_the_reference_itself_has_100_and_nothing_has_0(figure):
    assert figure(REFERENCES, REFERENCES).value == pytest.approx(100)
    assert figure([""] * 3, REFERENCES).value == 0


def test_signatures_are_those_of_sacrebleu():
    assert bleu(HYPOTHESES, REFERENCES).signature.startswith(
        "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"
    )
    assert chrf(HYPOTHESES, REFERENCES).signature.startswith(
        "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:"
    )


def test_tokenized_text_raises_no_warning_of_sacrebleu(capfd):
    bleu(["he sleeps ."] * 200, ["he sleeps ."] * 200)
    assert capfd.readouterr().err == ""


def test_without_sacrebleu_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UsageError, match=r"pip install 'seqlm\[translate\]'"):
        bleu(HYPOTHESES, REFERENCES)


# ------------------------------------------------------------------------------- the tokenization

CHINESE = ["我喜欢这本书。", "他今天去了北京的一个大学。"]


@pytest.mark.parametrize("tokenize", ["zh", "char"])
def test_text_without_spaces_has_tokenizations_of_its_own(tokenize):
    score = bleu(CHINESE, CHINESE, tokenize=tokenize)
    assert score.value == pytest.approx(100)
    assert f"|tok:{tokenize}|" in score.signature


@pytest.mark.parametrize("tokenize", ["13a", "intl", "none"])
@pytest.mark.parametrize("references", [CHINESE, ["HELLO", "WORLD", ""], ["中文。" * 19 + " A b"]])
def test_references_without_spaces_are_pointed_out(tokenize, references):
    with pytest.warns(UserWarning, match=r"hardly any spaces.* use `bleu_tokenize=char`"):
        bleu(references, references, tokenize=tokenize)


@pytest.mark.parametrize("references", [REFERENCES, ["", "Donaudampfschifffahrt ist lang"], [""]])
def test_usual_references_are_not(references):
    bleu(references, references)


def test_a_library_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "MeCab", None)
    with pytest.raises(UsageError, match=r"bleu_tokenize ja-mecab needs .*sacrebleu\[ja\]"):
        bleu(CHINESE, CHINESE, tokenize="ja-mecab")


def test_a_translation_is_right_if_one_reference_says_so():
    others = REFERENCES[:1] + HYPOTHESES[1:]
    score = bleu(HYPOTHESES, HYPOTHESES[:1] + REFERENCES[1:], others)
    assert score.value == pytest.approx(100)
    assert score.signature.startswith("nrefs:2|")
    assert chrf(HYPOTHESES, HYPOTHESES[:1] + REFERENCES[1:], others).value == pytest.approx(100)
