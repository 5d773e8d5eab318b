"""The excess of models over sources of known entropy, and the distance over which they remember.

    python -m benchmarks.known_entropy [--seed 1]

*Known entropy.* `corpora/markov` is a chain of order 2, `corpora/hidden` a hidden Markov model;
their generators know the probability of every token of the test text (more than 200 000). Prints a
model's excess over the source's own log-loss on that text. No model can be below it except by
chance; one that is has seen what it should predict.

*Distance.* In `corpora/brackets` the closer depends only on the opener, which stands 20 random
fillers and a cue before it. Prints how often a model's likeliest closer is right; chance is 1/4.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from corpora import brackets, hidden, markov
from seqlm.counting.estimation.estimate import estimate
from seqlm.evaluation.scoring import Scorer
from seqlm.models import model_class
from seqlm.models.base import LanguageModel
from seqlm.models.ngram.ngram_language_model import NGramLanguageModel
from seqlm.text.batches import StreamBatches
from seqlm.text.corpus import Corpus, read_corpus
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.trainer import Trainer
from seqlm.training.watchers import SilentWatcher

CORPORA = Path(__file__).parent.parent / "corpora"
SOURCES = {"markov": markov, "hidden": hidden}
SMALL_COUNTS = (0.5, 1.0, 1.5)


class Excess(NamedTuple):
    """A model's log-loss and the source's own on the same tokens, in nats per token."""

    truth: float
    model: float
    error: float
    """Standard error of the mean difference of the two."""

    @property
    def relative(self) -> float:
        return self.model / self.truth - 1

    @property
    def leaks(self) -> bool:
        return self.model < self.truth - 3 * self.error


def texts(name: str, test: str | None = None) -> tuple[Corpus, Corpus]:
    train = read_corpus([str(CORPORA / f"{name}.train.txt")])
    return train, read_corpus([str(CORPORA / (test or f"{name}.test.txt"))], train.tokenizer)


def counted(train: Corpus, order: int) -> LanguageModel:
    """A modified Kneser-Ney model with sentence context."""
    ngrams = estimate(train.ids, len(train.tokenizer), order, discount_fallback=SMALL_COUNTS)
    return NGramLanguageModel(ngrams)


def trained(
    arch: str, train: Corpus, epochs: int, width: int = 96, layers: int = 1, lr: float = 5e-3,
    length: int = 60, seed: int = 1,
) -> LanguageModel:  # fmt: skip
    """A network without dropout, as these texts leave little to overfit."""
    settings = TrainingSettings(epochs=epochs, batch_size=32, seq_length=length, lr=lr, clip=1.0)
    torch.manual_seed(seed)
    model = model_class("lm", arch).from_settings(
        {"vocab_size": len(train.tokenizer), "width": width, "layers": layers}
    )
    batches = StreamBatches(train.ids, 32, length, torch.device("cpu"))
    Trainer(model, batches, settings, None).fit(SilentWatcher(), lambda trainer, is_best: None)
    assert isinstance(model, LanguageModel)
    return model.eval()


def excess(name: str, model: LanguageModel, test: Corpus, context: str) -> Excess:
    lines = (CORPORA / f"{name}.test.txt").read_text().splitlines()
    truth = SOURCES[name].source().log_probs(lines)
    scores = Scorer(model, context)(test.ids).log_probs
    assert len(truth) == len(scores) >= 200_000
    error = float((truth - scores).std()) / math.sqrt(len(truth))
    return Excess(-float(truth.mean()), -float(scores.mean()), error)


@torch.inference_mode()
def closer_accuracy(model: LanguageModel, train: Corpus, test: Corpus) -> float:
    """Share of the test's closers that are the likeliest of the four at their position."""
    index = train.tokenizer.id_of_type
    closers = torch.tensor([index[closer.encode()] for closer in brackets.CLOSERS])
    lines = (CORPORA / "brackets.20.test.txt").read_text().splitlines()
    right = 0
    ids = torch.from_numpy(test.ids.astype(np.int64))
    positions = brackets.closer_positions(lines)
    state, at = model.start(1), 0
    for position in map(int, positions):
        state = model.advance(state, ids[None, at:position])
        at = position
        choice = closers[model.log_probs(state)[0, closers].argmax()]
        right += int(choice == ids[position])
    return right / len(positions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    for name, order in (("markov", 3), ("hidden", 5)):
        train, test = texts(name)
        results = {f"{order}-gram": excess(name, counted(train, order), test, "sentence")}
        for arch in ("lstm", "gru", "rnn"):
            started = time.perf_counter()
            model = trained(arch, train, epochs=6, seed=seed)
            label = f"{arch} ({time.perf_counter() - started:.0f} s)"
            results[label] = excess(name, model, test, "carried")
        for label, result in results.items():
            print(
                f"{name}  {label:14}  {result.model / math.log(2):.4f} bits per token,"
                f" truth {result.truth / math.log(2):.4f}: {result.relative:+.2%}"
                f" ({(result.model - result.truth) / result.error:+.1f} sigma)"
            )
    train, test = texts("brackets", "brackets.20.test.txt")
    print(f"brackets, 20 fillers  3-gram  {closer_accuracy(counted(train, 3), train, test):.1%}")
    for arch in ("lstm", "gru", "rnn"):
        model = trained(arch, train, epochs=4, width=64, seed=seed)
        print(f"brackets, 20 fillers  {arch}  {closer_accuracy(model, train, test):.1%}")


if __name__ == "__main__":
    main()
