"""Training speed compared with a plain PyTorch loop of the same model, in one process.

    python -m benchmarks.training_speed [--cases lstm-200 ...] [--runs 7] [--steps 20] [--threads 1]
                                        [--device cpu]

    lstm-200, lstm-650   two layers, tied, 10 000 types, 20 rows x 35, dropout 0.2, SGD, clipped:
                         the model of PyTorch's own word-language-model example, whose loop
                         (two-layer nn.LSTM, log_softmax + nll_loss) is the baseline; with the full
                         softmax, the full one on torch's own products, and the adaptive one
    transformer          4 layers of 128, 4 heads, 65 types, 12 rows x 64, no dropout, AdamW: the
                         small configuration of nanoGPT, whose loop, written anew, is the baseline

seqlm's loops run in float32 and, where the device has them, with products of tf32 and bfloat16. All
train on the same ids, drawn with Zipf's frequencies (the time does not depend on the text, except
for the adaptive softmax, which needs rare words as often as Zipf's law says), in interleaved runs.

Prints the ratios of the medians, by the time of the processor and by the clock: on a machine that
does other work only the former means something. On a GPU both are by the clock. "Torch's own
products" are MKL's; seqlm's are oneDNN's, but on Intel's processors MKL's, too. The baseline's
share of the float32 matrix-product rate, measured in the same run, shows whether it is a fair one.
It has an advantage from running beside seqlm: the C library then keeps the memory that a step frees
(`keep_freed_memory`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlm.machine.device import describe_device, set_up_device
from seqlm.models.config.recurrent_config import LSTMConfig
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.language.recurrent import LSTM
from seqlm.models.language.transformer import Transformer
from seqlm.models.layers import linear
from seqlm.text.batches import StreamBatches, WindowBatches
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.optimization.precision import is_supported
from seqlm.training.trainer import Trainer

Run = Callable[[int], None]  # trains for a number of steps

# ------------------------------------------------------------------- PyTorch's word language model

V, B, T = 10_000, 20, 35
RATE, CLIP, DROPOUT = 1.0, 0.25, 0.2


class Plain(nn.Module):
    """The model of PyTorch's example."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(DROPOUT)
        self.encoder = nn.Embedding(V, width)
        self.rnn = nn.LSTM(width, width, 2, dropout=DROPOUT)
        self.decoder = nn.Linear(width, V)
        self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)

    def forward(self, tokens: Tensor, hidden: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple]:
        output, hidden = self.rnn(self.drop(self.encoder(tokens)), hidden)
        decoded = self.decoder(self.drop(output)).view(-1, V)
        return F.log_softmax(decoded, dim=1), hidden


def plain_lstm(stream: np.ndarray, width: int, device: torch.device) -> Run:
    model = Plain(width).to(device)
    row_length = len(stream) // B
    data = (
        torch.from_numpy(stream[: row_length * B].astype(np.int64))
        .view(B, row_length)
        .t()
        .contiguous()
        .to(device)
    )
    hidden = tuple(torch.zeros(2, B, width, device=device) for _ in range(2))
    total = 0.0
    at = 0

    def run(steps: int) -> None:
        nonlocal hidden, total, at
        for _ in range(steps):
            inputs, targets = data[at : at + T], data[at + 1 : at + 1 + T].reshape(-1)
            at = (at + T) % (row_length - T - 1)
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


def our_lstm(
    stream: np.ndarray, width: int, device: torch.device, head: str, precision: str = "float32"
) -> Run:
    settings = TrainingSettings(
        optimizer="sgd", lr=RATE, clip=CLIP, schedule="constant", epochs=10**6, precision=precision
    )  # type: ignore[arg-type]
    dropouts = dict.fromkeys(("dropout_input", "dropout_hidden", "dropout_output"), DROPOUT)
    model = LSTM(LSTMConfig(V, softmax=head, width=width, layers=2, **dropouts)).to(device)
    return steps_of(Trainer(model, StreamBatches(stream, B, T, device), settings, None))


def steps_of(trainer: Trainer) -> Run:
    trainer.network.train()

    def run(steps: int) -> None:
        for _ in range(steps):
            trainer.collect_figures([trainer.step()])

    return run


def with_torch_products(run: Run) -> Run:
    def run_with_torch(steps: int) -> None:
        onednn, linear.USES_ONEDNN = linear.USES_ONEDNN, False
        try:
            run(steps)
        finally:
            linear.USES_ONEDNN = onednn

    return run_with_torch


def lstm_case(width: int, device: torch.device) -> tuple[dict[str, Run], int, float]:
    stream = zipf(V, 400_000)
    loops = {
        "plain": plain_lstm(stream, width, device),
        "seqlm": our_lstm(stream, width, device, "full"),
        "seqlm, adaptive softmax": our_lstm(stream, width, device, "adaptive"),
    }
    if device.type == "cpu":
        loops["seqlm, torch's products"] = with_torch_products(loops["seqlm"])
    for precision in ("tf32", "bfloat16"):
        if is_supported(precision, device):
            for name, head in ("", "full"), (", adaptive softmax", "adaptive"):
                loops[f"seqlm, {precision}{name}"] = our_lstm(
                    stream, width, device, head, precision
                )
    # Forward and backward are three products of each weight with each position.
    return loops, B * T, 3 * 2 * B * T * (V * width + 2 * 4 * width * 2 * width)


# ----------------------------------------------------------------------------- nanoGPT's small GPT

LAYERS, HEADS, WIDTH, TYPES = 4, 4, 128, 65
ROWS, BLOCK = 12, 64
BETAS, DECAY, PEAK = (0.9, 0.99), 0.1, 1e-3


class PlainBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.LayerNorm(WIDTH, bias=False)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.second = nn.LayerNorm(WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, steps, width = x.shape
        parts = self.qkv(self.first(x)).split(width, 2)
        q, k, v = (p.view(rows, steps, HEADS, width // HEADS).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(rows, steps, width))
        return x + self.down(F.gelu(self.up(self.second(x))))


class PlainGPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(TYPES, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.blocks = nn.ModuleList(PlainBlock() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, TYPES, bias=False)
        self.head.weight = self.tokens.weight
        for p in self.parameters():
            if p.ndim > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(inputs) + self.places(torch.arange(BLOCK, device=inputs.device))
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).view(-1, TYPES), targets.view(-1))


def plain_gpt(stream: np.ndarray, device: torch.device) -> Run:
    model = PlainGPT().to(device)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=BETAS)
    data = torch.from_numpy(stream.astype(np.int64))

    def run(steps: int) -> None:
        for step in range(steps):
            starts = torch.randint(len(data) - BLOCK, (ROWS,))
            inputs = torch.stack([data[i : i + BLOCK] for i in starts])
            targets = torch.stack([data[i + 1 : i + 1 + BLOCK] for i in starts])
            if device.type == "cuda":
                inputs, targets = (
                    x.pin_memory().to(device, non_blocking=True) for x in (inputs, targets)
                )
            for group in optimizer.param_groups:
                group["lr"] = PEAK
            loss = model(inputs, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % 10 == 0:
                loss.item()

    return run


def our_gpt(stream: np.ndarray, device: torch.device, precision: str = "float32") -> Run:
    settings = TrainingSettings(
        optimizer="adamw", lr=PEAK, beta2=BETAS[1], weight_decay=DECAY, clip=1.0,
        schedule="constant", epochs=10**6, precision=precision,
    )  # type: ignore[arg-type]  # fmt: skip
    model = Transformer(
        TransformerConfig(
            TYPES, width=WIDTH, layers=LAYERS, heads=HEADS, context_length=BLOCK, bias=False
        )
    ).to(device)
    batches = WindowBatches(stream, ROWS, BLOCK, 1, device)
    return steps_of(Trainer(model, batches, settings, None))


def transformer_case(device: torch.device) -> tuple[dict[str, Run], int, float]:
    stream = zipf(TYPES, 400_000)
    loops = {"plain": plain_gpt(stream, device), "seqlm": our_gpt(stream, device)}
    for precision in ("tf32", "bfloat16"):
        if is_supported(precision, device):
            loops[f"seqlm, {precision}"] = our_gpt(stream, device, precision)
    weights = LAYERS * 12 * WIDTH**2 + TYPES * WIDTH
    scores = LAYERS * 2 * BLOCK * WIDTH  # queries by keys and weights by values, all positions
    return loops, ROWS * BLOCK, 3 * 2 * ROWS * BLOCK * (weights + scores)


# ---------------------------------------------------------------------------------------- measuring

CASES = {
    "lstm-200": partial(lstm_case, 200),
    "lstm-650": partial(lstm_case, 650),
    "transformer": transformer_case,
}


def zipf(types: int, tokens: int) -> np.ndarray:
    p = 1 / np.arange(1, types + 1)
    return np.random.default_rng(1).choice(types, tokens, p=p / p.sum()).astype(np.int32)


class Seconds(NamedTuple):
    cpu: float
    wall: float


def timed(run: Callable[[], object], device: torch.device) -> Seconds:
    """The seconds of `run`. On a GPU those of the processor are those of the clock."""
    wait_for(device)
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    wait_for(device)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Seconds(cpu if device.type == "cpu" else wall, wall)


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def product_rates(device: torch.device) -> dict[str, float]:
    """The rates of a product of two square matrices in flop/s, the best of six."""
    width, threads = (2048, torch.get_num_threads()) if device.type == "cpu" else (8192, 1)
    a, b = (torch.randn(width, width, device=device) for _ in range(2))
    rates = {}
    for name in ("float32", "bfloat16"):
        dtype = getattr(torch, name) if device.type == "cuda" else torch.float32
        product = partial(linear.linear, a.to(dtype), b.to(dtype))
        with torch.no_grad(), linear.bfloat16_products(name == "bfloat16"):
            times = [timed(product, device).cpu for _ in range(6)]
        rates[name] = 2 * width**3 / min(times) * threads
    return rates


def measured(
    loops: Mapping[str, Run], runs: int, steps: int, device: torch.device
) -> tuple[dict[str, list[Seconds]], dict[str, float]]:
    """Seconds per step of every run of every loop, and the matrix-product rates."""
    seconds: dict[str, list[Seconds]] = {name: [] for name in loops}
    rates = []
    for run in loops.values():
        run(5)
    for _ in range(runs):
        rates.append(product_rates(device))
        for name, run in loops.items():
            used = timed(lambda run=run: run(steps), device)
            seconds[name].append(Seconds(used.cpu / steps, used.wall / steps))
    return seconds, {name: statistics.median(rate[name] for rate in rates) for name in rates[0]}


def medians(runs: list[Seconds]) -> Seconds:
    return Seconds(*map(statistics.median, zip(*runs)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20, help="steps per run")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = set_up_device(options.device)
    torch.set_num_threads(options.threads)
    on_cpu = device.type == "cpu"
    if not on_cpu:
        print(f"torch {torch.__version__}, {describe_device(device)}")
    for case in options.cases:
        torch.manual_seed(1)
        loops, tokens, flop = CASES[case](device)
        seconds, rates = measured(loops, options.runs, options.steps, device)
        median = {name: medians(runs) for name, runs in seconds.items()}
        plain = median["plain"]
        used = f"{options.threads} thread{'s' * (options.threads > 1)}" if on_cpu else device.type
        products = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in rates.items())
        print(f"{case}: products of {products} Gflop/s, {used}, {options.runs} runs")
        share = flop / plain.cpu / rates["float32"] * (options.threads if on_cpu else 1)
        print(f"  plain: {tokens / plain.wall:,.0f} tokens/s, {share:.2f} of the float32 rate")
        for name in [*loops][1:]:
            ours = median[name]
            pairs = sorted(p.cpu / s.cpu for p, s in zip(seconds["plain"], seconds[name]))
            ratio = f"{plain.cpu / ours.cpu:.2f} x plain"
            if on_cpu:
                ratio += " by processor time"
            clock = f", {plain.wall / ours.wall:.2f} x by the clock" if on_cpu else ""
            print(
                f"  {name}: {tokens / ours.wall:,.0f} tokens/s, {ratio}"
                f" ({pairs[0]:.2f} to {pairs[-1]:.2f}){clock}"
            )


if __name__ == "__main__":
    main()
