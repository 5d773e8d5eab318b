"""The models by (task, architecture).

They are named here and not imported: a listing of them, and the flags that are made from their
options, must not cost an import of torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from seqlm.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from seqlm.models.base import SequenceModel


class Architecture(NamedTuple):
    """The paths of a model's two classes, as module:class below this package."""

    model: str
    config: str
    """The frozen dataclass of its options, in a module that does not import torch."""


REGISTRY = {
    ("lm", "ngram"): Architecture("ngram.ngram_model:NGramModel", "ngram_config:NGramConfig"),
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
}


def architectures(task: str = "lm") -> list[str]:
    """The names of the architectures for `task`."""
    return [arch for registered_task, arch in REGISTRY if registered_task == task]


def model_class(task: str, arch: str) -> type[SequenceModel]:
    """The class registered under (task, arch). Errors: UsageError with the nearest name."""
    loaded: type[SequenceModel] = load_class(registered(task, arch).model)
    return loaded


def config_class(task: str, arch: str) -> type:
    """The dataclass of its options, without an import of torch.

    Errors: UsageError with the nearest name.
    """
    loaded: type = load_class(f"config.{registered(task, arch).config}")
    return loaded


def registered(task: str, arch: str) -> Architecture:
    """Errors: UsageError with the nearest name."""
    if (task, arch) not in REGISTRY:
        raise UsageError(f"no architecture {arch!r}{did_you_mean(arch, architectures(task))}")
    return REGISTRY[task, arch]


def load_class(path: str) -> Any:
    """The class at `path`, module:class below this package."""
    module, name = path.split(":")
    return getattr(import_module(f"{__name__}.{module}"), name)
