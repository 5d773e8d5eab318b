"""The settings of a training run: name, type, default, range and help of each, in one line.

They are what is not the model's own; the options of an architecture (`width`, `layers`, ...) are
defined in the same way by its configuration (`seqlm/models/config/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from seqlm.evaluation.translation_quality import BLEU_TOKENIZE_HELP
from seqlm.settings import Setting, bytes_of, number, setting

DEFAULT_LR = {
    **{"adamw": 5e-3, "adam": 5e-3, "rmsprop": 4e-3, "sgd": 20.0, "adagrad": 0.05},
    "implicit-sgd": 0.05,
}
"""Peak learning rates for recurrent networks, and the last for word vectors; SGD's suits gradients
clipped to 0.25. Orthogonal iteration has no rate."""

DEFAULT_EPSILON = 1e-8
"""The eps of Kingma & Ba 2015."""

DEFAULT_BETAS = {"adamw": (0.9, 0.99), "adam": (0.9, 0.99), "rmsprop": (0.0, 0.999)}

DEFAULT_MIN_COUNT = {"word": 2}
"""The setting `min_count` by tokenizer where the text has no `<unk>` of its own, else 1: rare words
become `<unk>`, so that there is something to learn it from."""
VECTORS_MIN_COUNT = 5
"""That of word vectors: of rarer words there is too little to learn."""


Format = Literal["conllu", "columns", "word-tag", "label-text", "fasttext", "csv", "tsv", "jsonl"]
"""The formats of labeled text, as `seqlm.text.labeled` has them."""


def list_by_name(values: Mapping[str, float]) -> str:
    """'adamw 0.005, sgd 20'."""
    return ", ".join(f"{name} {number(value)}" for name, value in values.items())


text = partial(setting, section="Text")
labels = partial(setting, section="Labels")
optimization = partial(setting, section="Optimization")
ADAM = ("optimizer", ("adam", "adamw", "rmsprop"))
ADAMW = ("optimizer", ("adamw",))
LANGUAGE_MODELING = ("task", ("lm",))
TRANSLATION = ("task", ("translation",))
LABELING = ("task", ("tagging", "classification"))
TAGGING = ("task", ("tagging",))
CLASSIFICATION = ("task", ("classification",))
PREDICTION = ("task", ("lm", "translation"))
"""The tasks that predict the next token."""
VECTORS = ("task", ("vectors",))
ONE_TEXT = ("task", ("lm", "tagging", "classification", "vectors"))
"""The tasks whose text is one corpus."""


@dataclass(frozen=True)
class TrainingSettings:
    # ------------------------------------------------------------------------------------ the model
    task: Literal["lm", "translation", "tagging", "classification", "vectors"] = setting(
        "lm", "Language modeling; translation, which `source` implies; tagging, a label for each"
        " word; classification, one for each text; or word vectors.", section="Model",
    )  # fmt: skip
    arch: str = setting(
        "lstm",
        "Architecture.",
        section="Model",
        default_by={"task": {"translation": "transformer", "vectors": "skipgram"}},
    )
    # ------------------------------------------------------------------------------------- the text
    tokenizer: str = text(
        "word", "Units of the text: word, char or bpe; or a file with a pretrained tokenizer, a"
        " tokenizer.json or a model of SentencePiece.", metavar="KIND|FILE",
        default_by={"task": {"translation": "bpe"}},
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
        None, "Maximum vocabulary size.", none_text="all types; bpe: 4000", low=3, high=2**31
    )
    min_count: int | None = text(
        None, "Occurrences that a type needs to enter the vocabulary.",
        none_text=f"1; word: {DEFAULT_MIN_COUNT['word']}, and word vectors: {VECTORS_MIN_COUNT}, if"
        " the text has no <unk>", low=1, high=2**31,
    )  # fmt: skip
    separate_vocab: bool = setting(
        False, "Use one vocabulary for each language instead of a joint one.",
        section="Translation", needs=TRANSLATION, negative="joint_vocab",
    )  # fmt: skip
    bpe_dropout: float = setting(
        0.0, "Probability of leaving out a merge of BPE in the training text, which is encoded anew"
        " in every epoch (Provilkov et al. 2020).",
        section="Translation", low=0, high=0.99, needs=TRANSLATION,
    )  # fmt: skip
    context: Literal["carried", "sentence", "window"] | None = text(
        None, "What is read before a token: all lines, its sentence, or a window.",
        none_text="window if the model has a context length, else carried", needs=LANGUAGE_MODELING,
    )  # fmt: skip
    direction: Literal["forward", "backward"] = text(
        "forward", "Order in which a language model reads each line.", needs=LANGUAGE_MODELING
    )
    valid_fraction: float | None = text(
        None, "Validate on this share of the corpus, taken from its end.",
        none_text="no validation", low=0, high=0.5, needs=ONE_TEXT,
    )  # fmt: skip
    # ----------------------------------------------------------------------------- labeled text
    format: Literal[
        "conllu", "columns", "word-tag", "label-text", "fasttext", "csv", "tsv", "jsonl"
    ] | None = labels(
        None, "Format of the labeled text.",
        none_text="recognized by its content", needs=LABELING,
    )  # fmt: skip
    label_column: str | None = labels(
        None, "Column of the labels; several with commas between them are learned together.",
        none_text="upos of CoNLL-U, the last of other columns, label of a table",
        metavar="NAME,...", needs=LABELING,
    )  # fmt: skip
    text_column: str | None = labels(
        None, "Column of the texts in a table.",
        none_text="text", metavar="NAME", needs=CLASSIFICATION,
    )  # fmt: skip
    feature_column: str | None = labels(
        None, "Columns that are read beside the words, such as pos.",
        none_text="none", metavar="NAME,...", needs=TAGGING,
    )  # fmt: skip
    scheme: Literal["iob1", "iob2", "bioes", "none"] | None = labels(
        None, "Scheme of tags that the model learns; what it writes is in the scheme of the text.",
        none_text="as in the text", needs=TAGGING,
    )  # fmt: skip
    affixes: int = labels(
        0, "Characters of the longest prefix and suffix of a word that has an embedding.",
        low=0, high=20, needs=LABELING, default_by={"task": {"tagging": 4}},
    )  # fmt: skip
    vectors: str | None = labels(
        None, "Start from the word vectors in this file: of word2vec, GloVe or fastText.",
        none_text="random vectors", metavar="FILE", needs=LABELING,
    )  # fmt: skip
    vectors_words: int = labels(
        100_000, "Words of the vectors, the first in their file, that are known beside those of the"
        " text.", low=0, high=10**8, needs=LABELING,
    )  # fmt: skip
    features_from: str | None = labels(
        None, "Read the states of trained language models beside the words, such as those of a"
        " forward and a backward one (ELMo).",
        none_text="no model", metavar="RUN,...", needs=LABELING,
    )  # fmt: skip
    # --------------------------------------------------------------------------------- word vectors
    phrases: int = setting(
        0, "Passes that make words of phrases, such as new_york; each doubles how long they can"
        " be.", low=0, high=10, section="Word vectors", needs=VECTORS,
    )  # fmt: skip
    phrase_threshold: float = setting(
        100.0, "Times that the words of a phrase are together more often than by chance.",
        low=0, high=1e12, section="Word vectors", needs=VECTORS,
    )  # fmt: skip
    probe: str | None = setting(
        None, "Words whose nearest words are shown after each validation.",
        none_text="three of middle frequency", metavar="WORD,...", section="Word vectors",
        needs=VECTORS,
    )  # fmt: skip
    # ---------------------------------------------------------------------------------- the batches
    epochs: int = optimization(
        6,
        "Passes over the text.",
        low=1,
        high=10**9,
        default_by={"task": {"translation": 15, "vectors": 5}},
    )
    steps: int | None = optimization(
        None,
        "Train for this many updates instead of `epochs`.",
        none_text="set by `epochs`",
        low=1,
        high=10**12,
    )
    minutes: float | None = optimization(
        None, "Train for this long instead of `epochs`: a short trial measures how many updates fit"
        " in. That depends on the clock; the run records which `steps` repeat it.",
        none_text="no limit", above=0, high=10**6,
    )  # fmt: skip
    batch_size: int = optimization(
        32, "Rows of text, sentences or texts trained side by side; of word vectors, the words"
        " of an update, or its pairs of words.",
        low=1, high=10**7, needs=ONE_TEXT, use_instead="batch_tokens",
        default_by={"task": {"vectors": 12_288}},
    )  # fmt: skip
    batch_tokens: int = setting(
        2048, "Size of a batch: sentence pairs times their longest side, in tokens.",
        section="Translation", low=2, high=10**9, needs=TRANSLATION, use_instead="batch_size",
    )  # fmt: skip
    seq_length: int = optimization(
        35, "Tokens of a segment that gradients flow through (BPTT length).",
        low=1, high=10**7, needs=LANGUAGE_MODELING, use_instead="max_length",
    )  # fmt: skip
    max_length: int = setting(
        100, "Maximum tokens of either side of a pair, </s> included; longer pairs are left out.",
        section="Translation", low=2, high=10**7, needs=TRANSLATION, use_instead="seq_length",
    )  # fmt: skip
    variable_length: bool = optimization(
        False, "Draw the length of each segment around `seq_length` (AWD-LSTM).",
        needs=LANGUAGE_MODELING,
    )  # fmt: skip
    grad_accumulation: int = optimization(
        1, "Segments or batches whose gradients make one update.", low=1, high=10**6
    )
    # --------------------------------------------------------------------------------- optimization
    optimizer: Literal[
        "adamw", "adam", "rmsprop", "sgd", "adagrad", "implicit-sgd", "orthogonal-iteration"
    ] = optimization(
        "adamw", "Optimizer.",
        default_by={"average": {"nt-asgd": "sgd"}, "task": {"vectors": "implicit-sgd"}},
    )  # fmt: skip
    lr: float | None = optimization(
        None, "Peak learning rate.",
        none_text=list_by_name(DEFAULT_LR), low=0, high=10**6, tuned_for=ADAMW,
    )  # fmt: skip
    beta1: float | None = optimization(
        None, "Adam's decay of the mean gradient.",
        none_text=list_by_name({name: betas[0] for name, betas in DEFAULT_BETAS.items()}),
        low=0, high=0.9999, needs=ADAM,
    )  # fmt: skip
    beta2: float | None = optimization(
        None, "Adam's decay of the mean squared gradient.",
        none_text=list_by_name({name: betas[1] for name, betas in DEFAULT_BETAS.items()}),
        low=0, high=0.999999, needs=ADAM, tuned_for=ADAMW,
    )  # fmt: skip
    beta1_min: float | None = optimization(
        None, "Lowest `beta1`, reached where the learning rate peaks.",
        none_text="`beta1` stays", low=0, high=0.9999, needs=("optimizer", ("adam", "adamw")),
    )  # fmt: skip
    epsilon: float | None = optimization(
        None, "Adam's epsilon.",
        none_text=number(DEFAULT_EPSILON), low=1e-12, high=1, needs=ADAM, tuned_for=ADAMW,
    )  # fmt: skip
    schedule: Literal["constant", "linear", "cosine", "one-cycle", "plateau", "wsd"] = optimization(
        "one-cycle", "How the learning rate changes.",
        default_by={
            "task": {"translation": "cosine", "vectors": "linear"},
            "average": {"nt-asgd": "constant"},
        },
    )  # fmt: skip
    warmup: float = optimization(
        0.0, "Share of the updates over which the learning rate rises.",
        low=0, high=1, default_by={"task": {"translation": 0.1}},
    )  # fmt: skip
    cooldown: float = optimization(
        0.1, "Share of the updates over which the learning rate falls at the end.",
        low=0, high=1, needs=("schedule", ("wsd",)),
    )  # fmt: skip
    clip: float = optimization(
        0.25, "Maximum norm of the gradient; 0 does not clip.",
        low=0, high=10**9, default_by={"task": {"translation": 1.0, "vectors": 0.0}},
    )  # fmt: skip
    weight_decay: float = setting(
        0.0, "Weight decay.", section="Regularization", low=0, high=10**3, tuned_for=ADAMW
    )
    label_smoothing: float = setting(
        0.0, "Share of a target's probability that is spread over all types.", needs=PREDICTION,
        section="Regularization", low=0, high=0.99, default_by={"task": {"translation": 0.1}},
        tuned_for=("softmax", ("full",)),
    )  # fmt: skip
    r_drop: float = setting(
        0.0, "Weight with which two passes with other dropout shall predict the same (Liang et al."
        " 2021); it doubles the time of training.",
        section="Regularization", low=0, high=10**3, needs=TRANSLATION,
    )  # fmt: skip
    scheduled_sampling: Literal["none", "linear", "exponential", "inverse-sigmoid"] = setting(
        "none", "Schedule by which true input tokens are replaced by the model's own samples"
        " (Bengio et al. 2015).",
        section="Regularization", needs=PREDICTION,
    )  # fmt: skip
    teacher_forcing_end: float = setting(
        0.75, "Share of true words in the input at the end of training.",
        section="Regularization", low=0.01, high=0.98,
        needs=("scheduled_sampling", ("linear", "exponential", "inverse-sigmoid")),
    )  # fmt: skip
    average: Literal["none", "ema", "asgd", "nt-asgd", "last"] = optimization(
        "none", "Average of the weights that is validated and saved."
    )
    average_decay: float = optimization(
        0.999, "Decay of the moving average.", low=0, high=0.9999999, needs=("average", ("ema",))
    )
    average_patience: int = optimization(
        5, "Validations without an improvement after which nt-asgd begins to average.",
        low=1, high=10**6, needs=("average", ("nt-asgd",)),
    )  # fmt: skip
    average_last: int = optimization(
        5, "Validations that are averaged over.", low=1, high=10**3, needs=("average", ("last",))
    )
    seed: int = optimization(1, "Seed of all random numbers.", low=0, high=2**63 - 1)
    # ---------------------------------------------------------------------------------- the machine
    precision: Literal["float32", "tf32", "bfloat16", "float16"] | None = setting(
        None, "Arithmetic of the matrix products in training.", section="Machine",
        none_text="tf32 on a GPU and bfloat16 on a CPU that are faster in it, else float32",
    )  # fmt: skip
    compile: bool = setting(
        False, "Compile the model by torch.compile.", section="Machine", needs=PREDICTION
    )
    tensorboard: bool = setting(
        False, "Write event files of TensorBoard into the run.", section="Validation"
    )
    memory: str | None = setting(
        None, "Memory to stay within, e.g. 1G; what does not fit goes to disk.",
        none_text="no bound", metavar="SIZE", section="Machine", needs=VECTORS,
    )  # fmt: skip
    # ----------------------------------------------------------------------------------- validation
    valid_every: int | None = setting(
        None, "Updates between validations.",
        none_text="an epoch", section="Validation", low=1, high=10**12,
    )  # fmt: skip
    valid_metric: Literal["loss", "bleu", "chrf", "accuracy", "f1", "macro-f1"] | None = setting(
        None, "Metric that chooses the best weights and decides early stopping: bleu or chrf of"
        " translations; accuracy, f1 or macro-f1 of labels.",
        none_text="loss; of labels, f1 where tags have a scheme and accuracy elsewhere",
        section="Validation", needs=("task", ("translation", "tagging", "classification")),
    )  # fmt: skip
    bleu_tokenize: Literal["13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "none"] = setting(
        "13a", BLEU_TOKENIZE_HELP, section="Translation", needs=("valid_metric", ("bleu", "chrf")),
    )  # fmt: skip
    patience: int | None = setting(
        3, "Validations without an improvement before training stops.",
        none_text="never", section="Validation", low=1, high=10**9,
        default_by={"average": {"nt-asgd": None}},
    )  # fmt: skip
    min_delta: float = setting(
        0.0, "Nats per token, or points of BLEU or chrF, that make an improvement.",
        section="Validation", low=0, high=10**3,
    )  # fmt: skip

    @property
    def default_min_count(self) -> int:
        """What stands for `min_count` where a vocabulary is learned and it is None."""
        if self.task == "vectors":
            return VECTORS_MIN_COUNT
        return DEFAULT_MIN_COUNT.get(self.tokenizer, 1)

    @property
    def memory_limit(self) -> int | None:
        """`memory` in bytes. Errors: UsageError where it is no size."""
        return None if self.memory is None else bytes_of("memory", self.memory)

    @property
    def peak_lr(self) -> float:
        """The peak learning rate, by default that of the optimizer."""
        return self.lr if self.lr is not None else DEFAULT_LR.get(self.optimizer, 1.0)


DROPOUT = Setting(
    "dropout",
    "Sets `dropout_input`, `dropout_hidden`, `dropout_attention` and `dropout_output` at once.",
    kind=float, default=None, optional=True, low=0, high=0.99, section="Regularization",
    metavar="X",
)  # fmt: skip
DROPOUTS = ("dropout_input", "dropout_hidden", "dropout_attention", "dropout_output")
"""What `dropout` sets at once, as far as the architecture has them."""

SECTIONS = (
    *(
        "Text",
        "Model",
        "Translation",
        "Labels",
        "Word vectors",
        "Feed-forward and recurrent networks",
        "Transformer",
    ),
    *("State-space models", "Regularization", "Optimization", "Validation", "Machine"),
)
"""The headings that settings stand under, in their order; others follow."""

ENDS = ("minutes", "steps", "epochs")
"""The settings that say when training ends. The first that is not None does."""


def end_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The one of ENDS that says when training ends, with its value; {} where none is there."""
    given = {name: settings[name] for name in ENDS if settings.get(name) is not None}
    return dict([*given.items()][:1])


SCHEDULE = frozenset(
    {
        *ENDS,
        *("lr", "schedule", "warmup", "cooldown"),
        *("average", "average_decay", "average_patience", "average_last"),
    }
)
"""Settings that begin a new phase of a resumed run."""
CHANGEABLE = SCHEDULE | {
    *("clip", "weight_decay", "label_smoothing", "precision", "compile", "tensorboard"),
    *("patience", "min_delta", "valid_every", "probe", "memory"),
}
"""Settings that a resumed run may change."""
