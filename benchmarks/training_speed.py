"""Training speed of the LSTM against a plain PyTorch loop of the same model, in one process.

    python benchmarks/training_speed.py [--runs 7] [--steps 20] [--threads 1]

Two layers of 200 units, tied, 10 000 types, batch 20 x 35, dropout 0.2 between all layers, SGD with
clipping: the model of PyTorch's own word-language-model example, whose loop (two-layer `nn.LSTM`,
`log_softmax` + `nll_loss`) is written out below as the baseline. Both take the same segments of
ids drawn with Zipf's frequencies (the time does not depend on the text), in interleaved runs; what
is printed is the ratio of the medians, once as seqlm runs and once with its output layer on torch's
own products (MKL) instead of oneDNN, which differ on AMD processors. The baseline's share of the
float32 matrix-product rate, measured in the same run, tells whether it is a fair one: below 0.50
the comparison is void.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlm.models import softmax
from seqlm.models.recurrent import LSTM, RecurrentConfig
from seqlm.text.batches import StreamBatches
from seqlm.training.loop import Trainer
from seqlm.training.settings import Settings

V, D, B, T = 10_000, 200, 20, 35
RATE, CLIP, DROPOUT = 1.0, 0.25, 0.2


class Plain(nn.Module):
    """The example's model."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(DROPOUT)
        self.encoder = nn.Embedding(V, D)
        self.rnn = nn.LSTM(D, D, 2, dropout=DROPOUT)
        self.decoder = nn.Linear(D, V)
        self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)

    def forward(self, tokens: Tensor, hidden: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple]:
        output, hidden = self.rnn(self.drop(self.encoder(tokens)), hidden)
        decoded = self.decoder(self.drop(output)).view(-1, V)
        return F.log_softmax(decoded, dim=1), hidden


def plain_steps(stream: np.ndarray) -> Callable[[int], None]:
    model = Plain()
    each = len(stream) // B
    data = torch.from_numpy(stream[: each * B].astype(np.int64)).view(B, each).t().contiguous()
    hidden = (torch.zeros(2, B, D), torch.zeros(2, B, D))
    total = 0.0
    at = 0

    def run(steps: int) -> None:
        nonlocal hidden, total, at
        for _ in range(steps):
            inputs, targets = data[at : at + T], data[at + 1 : at + 1 + T].reshape(-1)
            at = (at + T) % (each - T - 1)
            model.zero_grad()
            hidden = tuple(h.detach() for h in hidden)
            log_probs, hidden = model(inputs, hidden)
            loss = F.nll_loss(log_probs, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            for p in model.parameters():
                p.data.add_(p.grad, alpha=-RATE)
            total += loss.item()

    return run


def our_steps(stream: np.ndarray) -> Callable[[int], None]:
    settings = Settings(optimizer="sgd", lr=RATE, clip=CLIP, schedule="constant", epochs=10**6)
    dropouts = dict.fromkeys(("dropout_input", "dropout_hidden", "dropout_output"), DROPOUT)
    model = LSTM(RecurrentConfig(V, width=D, layers=2, **dropouts))
    trainer = Trainer(model, StreamBatches(stream, B, T, torch.device("cpu")), settings, None)
    model.train()

    def run(steps: int) -> None:
        for _ in range(steps):
            trainer.look([trainer.step()])

    return run


def with_torch_products(run: Callable[[int], None]) -> Callable[[int], None]:
    def instead(steps: int) -> None:
        onednn, softmax.onednn_linear = softmax.onednn_linear, None
        try:
            run(steps)
        finally:
            softmax.onednn_linear = onednn

    return instead


def product_rate() -> float:
    """Multiply-adds of a 2048^3 float32 product, in flop/s: the best of five."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - started)
    return 2 * 2048**3 / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20, help="segments a run")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    zipf = 1 / np.arange(1, V + 1)
    stream = rng.choice(V, 400_000, p=zipf / zipf.sum()).astype(np.int32)

    loops = {
        "plain": plain_steps(stream),
        "seqlm": our_steps(stream),
        "seqlm, torch's products": with_torch_products(our_steps(stream)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    rates = []
    for run in loops.values():
        run(5)
    for _ in range(options.runs):
        rates.append(product_rate())
        for name, run in loops.items():
            started = time.perf_counter()
            run(options.steps)
            seconds[name].append((time.perf_counter() - started) / options.steps)

    median = {name: statistics.median(times) for name, times in seconds.items()}
    # Forward and backward: three products of each weight with each position.
    flop = 3 * 2 * B * T * (V * D + 2 * 4 * D * (D + D))
    print(
        f"float32 product: {statistics.median(rates) / 1e9:.0f} Gflop/s, {options.threads} threads"
    )
    for name, each in median.items():
        share = flop / each / statistics.median(rates)
        print(f"{name}: {B * T / each:,.0f} tokens/s, {share:.2f} of the product rate")
    for name in list(loops)[1:]:
        pairs = sorted(p / s for p, s in zip(seconds["plain"], seconds[name], strict=True))
        print(
            f"{name}: {median['plain'] / median[name]:.2f} x plain"
            f" (pairs {pairs[0]:.2f} to {pairs[-1]:.2f}, {options.runs} interleaved runs)"
        )


if __name__ == "__main__":
    main()
