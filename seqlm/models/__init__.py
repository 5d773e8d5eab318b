"""The models by (task, arch), named and not imported: a listing must not cost a torch import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from seqlm.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from seqlm.models.base import SequenceModel

REGISTRY = {
    ("lm", "ngram"): "seqlm.models.ngram.ngram_model:NGramModel",
    ("lm", "ffnn"): "seqlm.models.language.ffnn:FeedForward",
    ("lm", "rnn"): "seqlm.models.language.recurrent:Elman",
    ("lm", "lstm"): "seqlm.models.language.recurrent:LSTM",
    ("lm", "gru"): "seqlm.models.language.recurrent:GRU",
    ("lm", "transformer"): "seqlm.models.language.transformer:Transformer",
    ("lm", "s4d"): "seqlm.models.language.s4d:S4D",
    ("lm", "mamba2"): "seqlm.models.language.mamba2:Mamba2",
    ("translation", "rnn"): "seqlm.models.translation.recurrent_seq2seq:ElmanTranslator",
    ("translation", "lstm"): "seqlm.models.translation.recurrent_seq2seq:LSTMTranslator",
    ("translation", "gru"): "seqlm.models.translation.recurrent_seq2seq:GRUTranslator",
    (
        "translation",
        "transformer",
    ): "seqlm.models.translation.transformer_seq2seq:TransformerTranslator",
}


def architectures(task: str = "lm") -> list[str]:
    """The names `--arch` takes for `task`."""
    return [arch for of, arch in REGISTRY if of == task]


def model_class(task: str, arch: str) -> type[SequenceModel]:
    """The class registered under (task, arch). Errors: UsageError with the nearest name."""
    if (task, arch) not in REGISTRY:
        raise UsageError(f"no architecture {arch!r}{did_you_mean(arch, architectures(task))}")
    module, name = REGISTRY[task, arch].split(":")
    loaded: type[SequenceModel] = getattr(import_module(module), name)
    return loaded
