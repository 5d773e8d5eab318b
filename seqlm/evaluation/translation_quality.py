"""BLEU and chrF of translations, compared with references.

    c, r   tokens of all translations, and of all references
    p_n    share of the translations' n-grams that the references have too, n = 1 .. 4
    P, R   shares of character n-grams, of the translations and of the references, mean of 1 .. 6

    BLEU  =  100 min(1, exp(1 - r/c)) (p_1 p_2 p_3 p_4)^(1/4)
    chrF  =  100 (1 + 2^2) P R / (2^2 P + R)

Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation"; Popović
2015, "chrF: character n-gram F-score for automatic MT evaluation". Both are sacrebleu's: they
depend on how text is cut into tokens, on case and on smoothing, so that each comes with a signature
that records these (Post 2018, "A call for clarity in reporting BLEU scores").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from seqlm.errors import UsageError


class Score(NamedTuple):
    """A number, and what it depends on: two can be compared where all but the model agrees."""

    value: float
    signature: str


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Corpus BLEU of raw lines, 0 to 100: cased, cut into tokens as mteval-v13a does.

    Errors: UsageError where sacrebleu is not installed.
    """
    return corpus_score("BLEU", hypotheses, references, force=True)  # tokenized or not


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Corpus chrF2 of raw lines, 0 to 100; white space does not count. Errors: as `bleu`."""
    return corpus_score("CHRF", hypotheses, references)


def corpus_score(
    name: str, hypotheses: Sequence[str], references: Sequence[str], **options: bool
) -> Score:
    """The metric `name` of sacrebleu. Errors: as `bleu`."""
    assert len(hypotheses) == len(references), "a translation has one reference"
    try:
        from sacrebleu import metrics
    except ImportError:
        raise UsageError("BLEU and chrF need a library: pip install 'seqlm[translate]'") from None
    metric = getattr(metrics, name)(**options)
    value = metric.corpus_score(hypotheses, [references]).score
    return Score(value, str(metric.get_signature()))
