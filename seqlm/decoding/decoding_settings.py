"""The settings of decoding: of text that a language model generates, and of translations.

Tokens are drawn one after the other (`token_sampling.py`), or hypotheses are found by a beam
(`beam_search.py`). A setting has one meaning in both classes. This module imports no torch, as the
command line makes its flags from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from seqlm.errors import UsageError
from seqlm.settings import check_fields, setting

MAX_INPUT_LENGTH = 1000
"""Tokens of a source that are read by default, so that a line without end exhausts no memory."""
Normalization = Literal["simple", "gnmt"]
"""What the length of a hypothesis is in its score (`beam_search.py`)."""


# ----------------------------------------------------------------- settings that both classes have


def beam_setting(default: int | None, help: str) -> Any:
    return setting(default, help, low=1, high=1 << 16, section="Search")


def nbest_setting() -> Any:
    return setting(
        1, "Number of hypotheses to print for each line or prompt, best first.",
        low=1, section="Search",
    )  # fmt: skip


def length_penalty_setting(default: float) -> Any:
    return setting(
        default, "Exponent of the length normalization of scores (0: none, 1: per-token mean).",
        low=0, section="Search",
    )  # fmt: skip


def normalization_setting() -> Any:
    return setting(
        "simple", "Length that scores are normalized by: the number of tokens n (simple), or"
        " (5 + n) / 6 (gnmt).", section="Search",
    )  # fmt: skip


def temperature_setting() -> Any:
    return setting(
        1.0, "Temperature of the samples: below 1 favors likely tokens, and 0 always takes the"
        " likeliest.", low=0, section="Sampling",
    )  # fmt: skip


def top_k_setting() -> Any:
    return setting(
        None, "Draw from the K likeliest tokens only.", low=1, metavar="K", section="Sampling"
    )


def top_p_setting() -> Any:
    return setting(
        None, "Draw from the smallest set of most likely tokens whose total probability reaches P"
        " (nucleus sampling).", above=0, high=1, metavar="P", section="Sampling",
    )  # fmt: skip


def seed_setting() -> Any:
    return setting(
        None, "Seed of the samples: equal seeds give equal samples.",
        none_text="a new one, which is printed", section="Sampling",
    )  # fmt: skip


# ------------------------------------------------------------------------------------- the classes


@dataclass(frozen=True)
class GenerationSettings:
    """How a language model goes on from a prompt. Errors: UsageError for a value out of range."""

    num_samples: int = setting(10, "Number of samples of each prompt.", low=1, section="Sampling")
    max_tokens: int = setting(
        200, "Maximum number of tokens to generate for a text.", low=1, section="Output"
    )
    unk: bool = setting(True, "Allow <unk> in what is generated.", section="Output")
    stop: Literal["eos", "none"] = setting(
        "eos", "Where a sample stops: at the end of its line (eos), or only at the maximum number"
        " of tokens (none).", section="Sampling",
    )  # fmt: skip
    temperature: float = temperature_setting()
    top_k: int | None = top_k_setting()
    top_p: float | None = top_p_setting()
    min_p: float | None = setting(
        None, "Keep tokens at least P times as likely as the likeliest.",
        low=0, high=1, metavar="P", section="Sampling",
    )  # fmt: skip
    seed: int | None = seed_setting()
    beam: int | None = beam_setting(
        None, "Width of a beam that searches the likeliest text, instead of sampling."
    )
    nbest: int = nbest_setting()
    length_penalty: float = length_penalty_setting(0.0)
    normalization: Literal["simple", "gnmt"] = normalization_setting()
    repetition_penalty: float = setting(
        1.0, "Penalty on tokens that the text already holds: their log-probabilities are multiplied"
        " by this number; 1.2 is common.", low=1, section="Repetition",
    )  # fmt: skip
    no_repeat_ngram: int | None = setting(
        None, "Never generate the same N tokens in a row twice, the prompt included.",
        low=1, section="Repetition",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        if self.beam is not None:
            check_nbest(self.nbest, self.beam)

    @property
    def draws_as_the_model_predicts(self) -> bool:
        """Whether samples are drawn from the model's own distribution, and no other."""
        cuts = (self.top_k, self.top_p, self.min_p, self.no_repeat_ngram)
        as_it_is = (self.temperature, self.repetition_penalty, self.unk) == (1, 1, True)
        return as_it_is and cuts == (None, None, None, None)


@dataclass(frozen=True)
class TranslationSettings:
    """How translations are found. Errors: UsageError for a value out of range."""

    beam: int = beam_setting(
        5, "Width of the beam; 1 is greedy search, on which the penalties have no effect."
    )
    nbest: int = nbest_setting()
    length_penalty: float = length_penalty_setting(1.0)
    normalization: Literal["simple", "gnmt"] = normalization_setting()
    coverage_penalty: float = setting(
        0.0, "Weight of GNMT's coverage penalty on source words without attention.",
        low=0, section="Search",
    )  # fmt: skip
    beam_threshold: float | None = setting(
        None, "Drop hypotheses whose log-probability is lower by more than D than that of the best"
        " one of their line, e.g. by more than 1: a beam is quicker then, and may miss some.",
        none_text="none is dropped", low=0, metavar="D", section="Search",
    )  # fmt: skip
    max_length_ratio: float = setting(
        2.0, "Stop a translation at RATIO x source tokens + 10.",
        above=0, high=1000, metavar="RATIO", section="Translation",
    )  # fmt: skip
    max_input_length: int = setting(
        MAX_INPUT_LENGTH, "Maximum number of tokens of a source line; a longer line is cut.",
        low=1, section="Translation",
    )  # fmt: skip
    precision: Literal["float32", "bfloat16"] = setting(
        "float32", "Factors of the matrix products on a CPU. With bfloat16 they are rounded to 8"
        " bits, which changes a few translations; it is faster on processors that have"
        " instructions for it.", section="Translation",
    )  # fmt: skip
    replace_unk: bool = setting(
        False, "Replace each <unk> of a translation by the source word that has most attention.",
        section="Translation",
    )  # fmt: skip
    align: bool = setting(
        False, "Print the word alignment after each translation: ||| 0-0 1-2.", section="Output"
    )
    sample: bool = setting(
        False, "Sample one translation of each line, instead of searching.", section="Sampling"
    )
    temperature: float = temperature_setting()
    top_k: int | None = top_k_setting()
    top_p: float | None = top_p_setting()
    seed: int | None = seed_setting()

    def __post_init__(self) -> None:
        check_fields(self)
        check_nbest(self.nbest, self.beam)

    @property
    def greedy(self) -> bool:
        """Whether the one prefix of the beam has no rival, so that penalties have no effect."""
        return self.beam == 1

    @property
    def needs_attention(self) -> bool:
        return self.align or self.replace_unk


def check_nbest(nbest: int, beam: int) -> None:
    """Errors: UsageError where a beam is too narrow."""
    if nbest > beam:
        raise UsageError(f"`nbest={nbest}` needs a `beam` at least as wide")
