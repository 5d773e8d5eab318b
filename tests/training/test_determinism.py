"""Equal seeds give equal weights, bit by bit, with two threads as with one.

Every architecture is trained twice with every softmax, and once with each setting that adds an
operation. The batches are large enough that PyTorch's parallel loops, which begin at 32 768
elements, are really taken, and the vocabulary is small, so that many positions of a batch add to
the same row: a sum in the order in which threads happen to come shows at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlm.models import architectures, config_class, model_class
from seqlm.models.base import Network, TranslationNetwork
from seqlm.settings import settings_of
from seqlm.text.bitext import EncodedBitext, PairBatches
from seqlm.text.vocabulary import EOS
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.resuming import training_state
from seqlm.training.tasks.language_modeling import make_batches
from seqlm.training.trainer import Trainer
from tests.training.toy import CPU

V, ROWS, LENGTH, STEPS = 30, 64, 24, 3
SMALL = {
    "width": 32, "layers": 1, "heads": 2, "context_length": LENGTH, "state_size": 4, "order": 3,
    "softmax_cutoffs": (5, 12), "softmax_samples": 40,
}  # fmt: skip


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


CASES: list[tuple[str, str, dict[str, Any]]] = [
    *(
        (task, arch, {"softmax": softmax})
        for task in ("lm", "translation")
        for arch in architectures(task)
        for softmax in ("full", "adaptive", "sampled")
        if arch != "ngram"
    ),
    *(("translation", arch, {"label_smoothing": 0.1}) for arch in ("gru", "transformer")),
    ("translation", "transformer", {"r_drop": 5.0, "dropout_hidden": 0.2}),
    *(
        ("translation", "gru", {"attention": attention, "layers": 2, "dropout_hidden": 0.2})
        for attention in ("none", "additive", "dot", "general", "scaled-dot")
    ),
    (
        "translation",
        "lstm",
        {"attention": "dot", "input_feeding": True, "scheduled_sampling": "linear"},
    ),
    ("translation", "lstm", {"bidirectional": False, "tied": False, "share_embeddings": False}),
    ("translation", "transformer", {"source_vocab_size": 40, "positions": "learned"}),
    ("lm", "ffnn", {"direct": True, "dropout_input": 0.2}),
    ("lm", "rnn", {"activation": "relu", "context": "sentence"}),
    ("lm", "lstm", {"label_smoothing": 0.1, "context": "sentence"}),
    ("lm", "lstm", {"dropout_weight": 0.3, "ar": 1.0, "tar": 1.0, "variable_length": True}),
    ("lm", "lstm", {"dropout_embedding": 0.2, "dropout_input": 0.2, "dropout_output": 0.2}),
    ("lm", "lstm", {"peephole": True, "layers": 2, "dropout_hidden": 0.2}),
    ("lm", "lstm", {"coupled_gates": True, "tied": False, "embedding": 24}),
    ("lm", "gru", {"scheduled_sampling": "linear", "average": "ema"}),
    ("lm", "gru", {"optimizer": "sgd", "lr": 1.0, "average": "asgd", "grad_accumulation": 2}),
    ("lm", "gru", {"optimizer": "rmsprop", "weight_decay": 0.01, "precision": "bfloat16"}),
    ("lm", "lstm", {"precision": "bfloat16", "softmax": "adaptive", "width": 128}),
    ("lm", "transformer", {"precision": "bfloat16", "width": 128}),
    ("translation", "gru", {"precision": "bfloat16", "width": 128}),
    ("lm", "transformer", {"experts": 4, "experts_per_token": 2}),
    ("lm", "transformer", {"experts": 3, "experts_per_token": 1, "label_smoothing": 0.1}),
    (
        *("lm", "transformer"),
        {"kv_heads": 1, "norm": "rms", "positions": "rotary", "activation": "swiglu"},
    ),
    ("lm", "transformer", {"dropout_attention": 0.2, "positions": "sinusoidal", "bias": False}),
    ("lm", "transformer", {"context": "sentence", "softmax": "sampled", "pre_norm": False}),
    ("lm", "mamba", {"dropout_hidden": 0.2, "layers": 2}),
    ("lm", "mamba2", {"context": "sentence", "head_width": 8}),
    ("lm", "s4d", {"dropout_embedding": 0.2, "softmax": "adaptive", "tied": False}),
]
"""The task, the architecture, and the settings and options that are not the usual ones."""


@pytest.mark.parametrize(("task", "arch", "given"), CASES, ids=str)
def test_training_twice_gives_equal_weights(task: str, arch: str, given: dict[str, Any]) -> None:
    once, again = trained(task, arch, given), trained(task, arch, given)
    different = [name for name, tensor in once.items() if not torch.equal(tensor, again[name])]
    assert not different, f"{len(different)} of {len(once)} tensors differ"


def trained(task: str, arch: str, given: dict[str, Any]) -> dict[str, Tensor]:
    """The weights, the moments and the averages after a few steps."""
    options = settings_of(config_class(task, arch))
    general = settings_of(TrainingSettings)
    window = {"context": "window"} if arch == "transformer" and task == "lm" else {}
    settings = TrainingSettings(
        **{
            **{"task": task, "arch": arch, "context": "carried", "batch_size": ROWS},
            **{"seq_length": LENGTH, "steps": STEPS, "lr": 0.01},
            **window,
            **{name: value for name, value in given.items() if name in general},
        }
    )
    torch.manual_seed(settings.seed)
    model = {name: value for name, value in (SMALL | given).items() if name in options}
    sizes = {name: given[name] for name in ("source_vocab_size",) if name in given}
    if model.get("softmax", "full") != "adaptive":
        model.pop("softmax_cutoffs", None)
    network = model_class(task, arch).from_settings({"vocab_size": V, **sizes, **model})
    assert isinstance(network, Network)
    network.train()
    if isinstance(network, TranslationNetwork):
        lines = random_lines(2_000), random_lines(2_000)
        pairs = EncodedBitext(*lines, np.ones(2_000, bool), 0, 0)
        trainer = Trainer(network, PairBatches(pairs, ROWS * LENGTH, 1, CPU), settings, None)
    else:
        trainer = Trainer(
            network, make_batches(random_lines(2_000), network, settings), settings, None
        )
    for _ in range(STEPS):
        trainer.step()
    return network.state_dict() | training_state(trainer).tensors


@cache
def random_lines(count: int) -> np.ndarray:
    """Lines of some ten tokens, by Zipf's law."""
    rng = np.random.default_rng(count)
    p = 1 / np.arange(1, V - 1)
    lines = [
        [*rng.choice(np.arange(2, V), rng.integers(2, 20), p=p / p.sum()), EOS]
        for _ in range(count)
    ]
    return np.concatenate(lines).astype(np.int32)
