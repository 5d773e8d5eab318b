"""The models by (task, architecture).

They are named here and not imported: a listing of them, and the flags that are made from their
options, must not cost an import of torch.

Another package adds an architecture by an entry point of the group `seqlm.architectures`, whose
name is the architecture (or task:architecture) and whose value is the dataclass of its options:

    [project.entry-points."seqlm.architectures"]
    qrnn = "my_package.qrnn_config:QRNNConfig"

The dataclass extends `NetworkConfig` and names the model in `model_path`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from seqlm.errors import ModelError, UsageError, did_you_mean

if TYPE_CHECKING:
    from seqlm.models.stored_model import StoredModel


class Architecture(NamedTuple):
    """The paths of a model's two classes, as module:class below this package."""

    model: str
    config: str
    """The frozen dataclass of its options, in a module that does not import torch."""


ENTRY_POINTS = "seqlm.architectures"


REGISTRY = {
    ("lm", "ngram"): Architecture(
        "ngram.ngram_language_model:NGramLanguageModel", "ngram_config:NGramConfig"
    ),
    ("lm", "ffnn"): Architecture("language.ffnn:FFNN", "ffnn_config:FFNNConfig"),
    ("lm", "rnn"): Architecture("language.recurrent:Elman", "recurrent_config:ElmanConfig"),
    ("lm", "lstm"): Architecture("language.recurrent:LSTM", "recurrent_config:LSTMConfig"),
    ("lm", "gru"): Architecture("language.recurrent:GRU", "recurrent_config:RecurrentConfig"),
    ("lm", "transformer"): Architecture(
        "language.transformer:Transformer", "transformer_config:TransformerConfig"
    ),
    ("lm", "s4d"): Architecture("language.s4d:S4D", "state_space_config:S4DConfig"),
    ("lm", "mamba"): Architecture("language.mamba:Mamba", "state_space_config:MambaConfig"),
    ("lm", "mamba2"): Architecture("language.mamba2:Mamba2", "state_space_config:Mamba2Config"),
    ("translation", "rnn"): Architecture(
        "translation.recurrent_seq2seq:ElmanTranslator",
        "translator_config:RecurrentTranslatorConfig",
    ),
    ("translation", "lstm"): Architecture(
        "translation.recurrent_seq2seq:LSTMTranslator",
        "translator_config:RecurrentTranslatorConfig",
    ),
    ("translation", "gru"): Architecture(
        "translation.recurrent_seq2seq:GRUTranslator",
        "translator_config:RecurrentTranslatorConfig",
    ),
    ("translation", "transformer"): Architecture(
        "translation.transformer_seq2seq:TransformerTranslator",
        "translator_config:TransformerTranslatorConfig",
    ),
    ("tagging", "ffnn"): Architecture(
        "labeling.window_tagger:WindowTagger", "labeler_config:WindowTaggerConfig"
    ),
    ("tagging", "rnn"): Architecture(
        "labeling.recurrent_labelers:ElmanTagger", "labeler_config:ElmanTaggerConfig"
    ),
    ("tagging", "lstm"): Architecture(
        "labeling.recurrent_labelers:LSTMTagger", "labeler_config:LSTMTaggerConfig"
    ),
    ("tagging", "gru"): Architecture(
        "labeling.recurrent_labelers:GRUTagger", "labeler_config:GRUTaggerConfig"
    ),
    ("tagging", "transformer"): Architecture(
        "labeling.transformer_labelers:TransformerTagger", "labeler_config:TransformerTaggerConfig"
    ),
    ("classification", "bag-of-ngrams"): Architecture(
        "labeling.bag_of_ngrams:BagOfNgrams", "bag_of_ngrams_config:BagOfNgramsConfig"
    ),
    ("classification", "cnn"): Architecture(
        "labeling.convolutional_classifier:ConvolutionalClassifier",
        "labeler_config:ConvolutionalClassifierConfig",
    ),
    ("classification", "rnn"): Architecture(
        "labeling.recurrent_labelers:ElmanClassifier", "labeler_config:ElmanClassifierConfig"
    ),
    ("classification", "lstm"): Architecture(
        "labeling.recurrent_labelers:LSTMClassifier", "labeler_config:LSTMClassifierConfig"
    ),
    ("classification", "gru"): Architecture(
        "labeling.recurrent_labelers:GRUClassifier", "labeler_config:GRUClassifierConfig"
    ),
    ("classification", "transformer"): Architecture(
        "labeling.transformer_labelers:TransformerClassifier",
        "labeler_config:TransformerClassifierConfig",
    ),
    ("vectors", "skipgram"): Architecture(
        "vectors.skipgram:SkipGram", "vectors_config:SkipGramConfig"
    ),
    ("vectors", "cbow"): Architecture("vectors.cbow:CBOW", "vectors_config:CBOWConfig"),
    ("vectors", "fasttext"): Architecture(
        "vectors.fasttext:FastText", "vectors_config:FastTextConfig"
    ),
    ("vectors", "glove"): Architecture("vectors.glove:GloVe", "count_vectors_config:GloVeConfig"),
    ("vectors", "ppmi-svd"): Architecture(
        "vectors.ppmi_svd:PPMISVD", "count_vectors_config:PPMIConfig"
    ),
}

LABELERS = ("tagging", "classification")
"""The tasks of models that label text."""
PREDICTORS = ("lm", "translation")
"""The tasks of models that predict the next token; their loss has a perplexity."""


def architectures(task: str = "lm") -> list[str]:
    """The names of the architectures for `task`, those of other packages last."""
    return [arch for registered_task, arch in {**REGISTRY, **plugins()} if registered_task == task]


def model_class(task: str, arch: str) -> type[StoredModel]:
    """The class registered under (task, arch).

    Errors: UsageError with the nearest name, ModelError where another package has none.
    """
    check_registered(task, arch)
    if (task, arch) in REGISTRY:
        path = f"{__name__}.{REGISTRY[task, arch].model}"
    else:
        path = config_class(task, arch).model_path  # type: ignore[attr-defined]
    loaded: type[StoredModel] = load_class(path, arch)
    return loaded


def config_class(task: str, arch: str) -> type:
    """The dataclass of its options, without an import of torch.

    Errors: UsageError with the nearest name, ModelError where another package has none.
    """
    check_registered(task, arch)
    if (task, arch) in REGISTRY:
        path = f"{__name__}.config.{REGISTRY[task, arch].config}"
    else:
        path = plugins()[task, arch]
    loaded: type = load_class(path, arch)
    return loaded


def check_registered(task: str, arch: str) -> None:
    """Errors: UsageError with the nearest name."""
    if (task, arch) not in REGISTRY and (task, arch) not in plugins():
        raise UsageError(f"no architecture {arch!r}{did_you_mean(arch, architectures(task))}")


@cache
def plugins() -> Mapping[tuple[str, str], str]:
    """The architectures of other packages, each with the path of its dataclass of options."""
    from importlib.metadata import entry_points

    found = {}
    for point in entry_points(group=ENTRY_POINTS):
        task, _, arch = point.name.rpartition(":")
        found[task or "lm", arch] = point.value
    return found


def load_class(path: str, arch: str) -> Any:
    """The class at `path`, module:class. Errors: ModelError where there is none."""
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        if (module + ".").startswith(__name__ + "."):
            raise  # a mistake of this package
        raise ModelError(f"the architecture {arch} cannot be loaded from {path}: {error}") from None
