"""seqlm: train, score, sample and compare language models from one command line.

The names below are imported when they are asked for: `import seqlm` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

PUBLIC = {
    "RunFolder": "seqlm.runs.run_folder",
    "locate": "seqlm.runs.locate",
    "load_model": "seqlm.runs.load_model",
    "read_corpus": "seqlm.text.corpus",
    "Tokenizer": "seqlm.text.tokenizer",
    "LanguageModel": "seqlm.models.base",
    "model_class": "seqlm.models",
    "estimate": "seqlm.counting.estimation.estimate",
    "Scorer": "seqlm.evaluation.scoring",
    "beam_search": "seqlm.decoding.beam_search",
}


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'seqlm' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *PUBLIC]
