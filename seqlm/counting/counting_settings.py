"""The settings of counting: name, type, default, range and help of each.

`seqlm count` makes its flags from them. Combinations that contradict each other are refused in
`counting_checks.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from seqlm.counting.smoothing.smoothing_settings import FALLBACK_DISCOUNTS, Smoothing
from seqlm.settings import bytes_of, setting

Context = Literal["sentence", "carried"]
DEFAULT_ORDER = 5
MAX_ORDER = 64

text = partial(setting, section="Text")
model = partial(setting, section="Model")
size = partial(setting, section="Model size")
files = partial(setting, section="Counts and ARPA files")
machine = partial(setting, section="Machine")


@dataclass(frozen=True)
class CountingSettings:
    # ------------------------------------------------------------------------------------ the text
    tokenizer: str = text(
        "word", "Units of the text: word, char or bpe; or a file with a pretrained tokenizer, a"
        " tokenizer.json or a model of SentencePiece.", metavar="KIND|FILE",
    )  # fmt: skip
    normalize: str | None = text(
        None, "Normalize text, now and wherever the model reads text: lower, nfc, nfd, nfkc, nfkd,"
        " strip-accents, and punct, which makes a word of each punctuation mark.",
        none_text="text as it is", metavar="STEPS",
    )  # fmt: skip
    vocab: str | None = text(
        None, "Take the vocabulary of a run, an ARPA file, or a file with a type on each line.",
        none_text="from the text", metavar="RUN|FILE",
    )  # fmt: skip
    vocab_size: int | None = text(
        None, "Maximum vocabulary size.", none_text="all types; bpe: 4000", low=3
    )
    min_count: int | None = text(
        None, "Occurrences that a type needs to enter the vocabulary.", none_text="1", low=1
    )
    context: Literal["sentence", "carried"] | None = text(
        None, "Whether n-grams stay within a line (sentence) or go on to the next (carried).",
        none_text="char: carried, else sentence",
    )  # fmt: skip
    errors: Literal["strict", "replace"] = setting(
        "strict", "Invalid UTF-8 is an error (strict), or becomes U+FFFD (replace).",
        section="Input",
    )  # fmt: skip
    # ----------------------------------------------------------------------------------- the model
    order: int | None = model(
        None, "Order of the model: the length of its longest n-grams.",
        none_text=f"{DEFAULT_ORDER}; count files: all orders they have", low=1, high=MAX_ORDER,
    )  # fmt: skip
    smoothing: Literal[
        "modified-kneser-ney", "kneser-ney", "absolute", "witten-bell", "good-turing",
        "jelinek-mercer", "add-k", "stupid-backoff", "mle",
    ] = model(
        "modified-kneser-ney",
        "Smoothing: modified-kneser-ney, kneser-ney, absolute, witten-bell, good-turing (Katz),"
        " jelinek-mercer, add-k, stupid-backoff, or mle for none.", metavar="METHOD",
    )  # fmt: skip
    backoff: bool = model(
        False, "Use backoff instead of interpolation (Kneser-Ney, absolute, Witten-Bell)."
    )
    discount_fallback: bool = model(
        False,
        "If discounts cannot be estimated (tiny or deduplicated text), use"
        " {:g}, {:g} and {:g}.".format(*FALLBACK_DISCOUNTS),
        needs=("smoothing", ("modified-kneser-ney", "kneser-ney", "absolute")),
    )
    add_k: float = model(
        1.0, "What add-k adds to every count.", low=0, needs=("smoothing", ("add-k",))
    )
    tune: str | None = model(
        None, "Held-out text on which to tune k of add-k or the weights of jelinek-mercer.",
        metavar="FILE", needs=("smoothing", ("add-k", "jelinek-mercer")),
    )  # fmt: skip
    weights: tuple[tuple[float, ...], ...] = ()
    """The weights of jelinek-mercer that `tune` has found."""
    # ------------------------------------------------------------------------ its size, and files
    cutoffs: tuple[int, ...] = size(
        (0,),
        "Drop n-grams seen at most N times; one N for each order, e.g. 0,0,1. The last N serves all"
        " higher orders.",
        low=0,
        high=2**62,
    )
    prune: float | None = size(
        None, "Entropy pruning: drop n-grams whose removal changes perplexity by less than this"
        " share, e.g. 1e-8.", above=0,
    )  # fmt: skip
    prune_to: int | None = size(
        None, "Keep this many n-grams, those whose removal changes perplexity most.", low=1
    )
    compact: bool = size(
        False, "Save the model in a third of the space, with probabilities of 8 bits."
    )
    from_counts: bool = files(
        False, "Input files are counts (n-gram TAB count), not text; several are summed."
    )
    write_counts: str | None = files(
        None, "Write the counts to a file too (n-gram TAB count; - is standard output); from Spark,"
        " to a Parquet folder.", metavar="FILE",
    )  # fmt: skip
    arpa: str | None = files(
        None,
        "Write the model as an ARPA file too; .gz compresses it, - is standard output.",
        metavar="FILE",
    )
    # --------------------------------------------------------------------------------- the machine
    memory: str | None = machine(
        None, "Memory to stay within, e.g. 1G; what does not fit goes to disk.",
        none_text="no bound", metavar="SIZE",
    )  # fmt: skip
    engine: Literal["local", "spark"] = machine(
        "local", "Count on this machine (local), or on a Spark cluster (spark)."
    )
    master: str | None = machine(
        None, "Master of the Spark cluster, e.g. spark://host:7077; local[2] is this machine.",
        metavar="URL", needs=("engine", ("spark",)),
    )  # fmt: skip

    def context_of(self, tokenizer: str) -> Context:
        """The context of n-grams: the one set, or the default of `tokenizer`."""
        return self.context or ("carried" if tokenizer == "char" else "sentence")

    @property
    def memory_limit(self) -> int | None:
        """`memory` in bytes. Errors: UsageError where it is no size."""
        return None if self.memory is None else bytes_of("memory", self.memory)

    @property
    def smoothing_parameters(self) -> Smoothing:
        return Smoothing(
            method=self.smoothing,
            backoff=self.backoff,
            cutoffs=self.cutoffs,
            discount_fallback=FALLBACK_DISCOUNTS if self.discount_fallback else None,
            add_k=self.add_k,
            weights=self.weights,
        )
