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

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from seqlm.errors import UsageError

BleuTokenization = Literal["13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "none"]
"""sacrebleu's names: that of mteval-v13a, its international one, characters, Chinese characters,
Japanese and Korean words by MeCab, and white space."""
BLEU_TOKENIZE_HELP = "How BLEU cuts text into tokens (sacrebleu's names)."

MAX_WORD_LENGTH = 12
"""Mean characters of a word; beyond that a language has words that spaces do not separate."""


class Score(NamedTuple):
    """A number, and what it depends on: two can be compared where all but the model agrees."""

    value: float
    signature: str


def bleu(
    hypotheses: Sequence[str], *references: Sequence[str], tokenize: BleuTokenization = "13a"
) -> Score:
    """Corpus BLEU of raw lines, 0 to 100, cased; each of `references` has one for every line.

    A warning says where the references have too few spaces for the tokenization.
    Errors: UsageError where sacrebleu, or what it needs for the tokenization, is not installed.
    """
    if tokenize in ("13a", "intl", "none") and has_few_spaces(references[0]):
        warnings.warn(
            f"the references have hardly any spaces, and BLEU (`bleu_tokenize={tokenize}`) takes"
            " what stands between spaces for words: use `bleu_tokenize=char`, zh for Chinese,"
            " ja-mecab for Japanese, or chrF",
            stacklevel=1,
        )
    return corpus_score("BLEU", hypotheses, references, force=True, tokenize=tokenize)


def chrf(hypotheses: Sequence[str], *references: Sequence[str]) -> Score:
    """Corpus chrF2 of raw lines, 0 to 100; white space does not count. Errors: as `bleu`."""
    return corpus_score("CHRF", hypotheses, references)


def has_few_spaces(lines: Sequence[str]) -> bool:
    """Whether a line is about one word, or words are longer than those of any language."""
    words = [line.split() for line in lines if line.strip()]
    number = sum(map(len, words))
    length = sum(len(word) for line in words for word in line)
    return number > 0 and (number < 1.1 * len(words) or length > MAX_WORD_LENGTH * number)


def corpus_score(
    name: str, hypotheses: Sequence[str], references: Sequence[Sequence[str]], **options: Any
) -> Score:
    """The metric `name` of sacrebleu. Errors: as `bleu`."""
    assert all(len(hypotheses) == len(one) for one in references), "a reference for every line"
    try:
        from sacrebleu import metrics
    except ImportError:
        raise UsageError("BLEU and chrF need a library: pip install 'seqlm[translate]'") from None
    try:
        metric = getattr(metrics, name)(**options)
    except (ImportError, RuntimeError):
        needed = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}
        library = needed.get(str(options.get("tokenize")), "sacrebleu")
        raise UsageError(
            f"`bleu_tokenize={options.get('tokenize')}` needs a library: pip install '{library}'"
        ) from None
    value = metric.corpus_score(hypotheses, references).score
    return Score(value, str(metric.get_signature()))
