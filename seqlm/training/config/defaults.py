"""What holds where neither flags nor recipes say otherwise, by task and by architecture.

These are settings and model options that differ from those of `Settings` and of a model's own
configuration, which are those of its paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OF_TASK: dict[str, dict[str, Any]] = {
    "lm": {"dropout_input": 0.1, "dropout_hidden": 0.1, "dropout_output": 0.2},
    "translation": {
        "arch": "transformer", "tokenizer": "bpe", "epochs": 15, "clip": 1.0,
        "label_smoothing": 0.1, "schedule": "cosine", "warmup": 0.1,
    },
}  # fmt: skip

RECURRENT_TRANSLATOR: dict[str, Any] = {
    "lr": 2e-3, "dropout_input": 0.3, "dropout_hidden": 0.3, "dropout_output": 0.3,
}  # fmt: skip

ARCHITECTURES: dict[tuple[str, str], dict[str, Any]] = {
    ("lm", "lstm"): {"lr": 0.012, "epsilon": 1e-4},
    ("lm", "transformer"): {
        "length": 128, "lr": 1e-3, "clip": 1.0, "weight_decay": 0.1, "warmup": 0.05,
        "schedule": "cosine",
    },
    ("lm", "s4d"): {"length": 64, "lr": 8e-3, "clip": 1.0},
    ("lm", "mamba"): {"length": 64, "lr": 6e-3, "clip": 1.0},
    ("lm", "mamba2"): {"length": 64, "lr": 6e-3, "clip": 1.0},
    ("translation", "rnn"): RECURRENT_TRANSLATOR,
    ("translation", "lstm"): RECURRENT_TRANSLATOR,
    ("translation", "gru"): RECURRENT_TRANSLATOR,
    ("translation", "transformer"): {
        "lr": 1e-3, "beta2": 0.98, "dropout_input": 0.2, "dropout_hidden": 0.2,
    },
}  # fmt: skip

USUAL = "adamw"
"""The optimiser that rates and the like are for."""

OF_OPTIMIZER = ("lr", "beta2", "weight_decay", "epsilon")
"""Those that are left out where another optimiser is chosen."""

OF_FULL_SOFTMAX = ("label_smoothing",)
"""Those that are left out where another output layer is."""

AVERAGED: dict[str, Any] = {"optimizer": "sgd", "schedule": "constant", "patience": None}
"""Where `average` is nt-asgd: it waits for validations without a gain."""


FED: dict[str, Any] = {"attention": "general"}
"""Where `input_feeding` is asked for, which additive attention does not have."""


def defaults(task: str, arch: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for an architecture of `task` beside what is `given`."""
    own = {**OF_TASK[task], "arch": arch, **ARCHITECTURES.get((task, arch), {})}
    if given.get("average") == "nt-asgd":
        own |= AVERAGED
    if given.get("input_feeding"):
        own |= FED
    if given.get("optimizer", own.get("optimizer", USUAL)) != USUAL:
        own = {name: value for name, value in own.items() if name not in OF_OPTIMIZER}
    if given.get("softmax", "full") != "full":
        own = {name: value for name, value in own.items() if name not in OF_FULL_SOFTMAX}
    return own
