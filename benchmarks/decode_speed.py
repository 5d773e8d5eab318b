"""Generation with and without a state, and samples drawn as one batch and one after the other.

    python -m benchmarks.decode_speed [--archs lstm transformer s4d mamba mamba2] [--length 512]

A model with a state (an LSTM's h and c, a Transformer's keys and values, the state of a state-space
model) reads one token at each step; without one, each step reads all tokens so far again, in one
call of the network, and predicts from the last of them alone. Both generate the same greedy text of
`--length` tokens. The ratios are

    whole      seconds of all steps without a state / seconds of all steps with one
    at the end the same of the last 16 steps, where the text is longest

Then 64 samples of 64 tokens are drawn as one batch, and one after the other. Seconds are those of
the processor (on a GPU those of the clock), on one thread where `--threads` does not say otherwise.
Runs are interleaved, and all figures are medians. The weights are random, of the sizes below and
for 10 000 types, as their values do not change the time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import greedy, make_chooser
from seqlm.machine.device import choose_device, describe_device
from seqlm.models import architectures, model_class
from seqlm.models.base import LanguageNetwork
from seqlm.text.vocabulary import EOS

V, SAMPLES, TOKENS, LAST = 10_000, 64, 64, 16
SIZES: dict[str, dict[str, Any]] = {
    "lstm": {"width": 512, "layers": 2},
    "transformer": {"width": 256, "layers": 6, "heads": 8, "positions": "rotary"},
    "s4d": {"width": 256, "layers": 6},
    "mamba": {"width": 256, "layers": 6},
    "mamba2": {"width": 256, "layers": 6},
}


def build(arch: str, length: int, device: torch.device) -> LanguageNetwork:
    torch.manual_seed(1)
    length_option = {"context_length": max(length, TOKENS) + 1} if arch == "transformer" else {}
    model = model_class("lm", arch).from_settings({"vocab_size": V, **SIZES[arch], **length_option})
    assert isinstance(model, LanguageNetwork)
    return model.to(device).eval()


def with_state(model: LanguageNetwork, steps: int) -> Iterator[Tensor]:
    with torch.inference_mode():
        state = model.start(1)
    return generate(model, state, make_chooser(temperature=0), steps)


@torch.inference_mode()
def without_state(model: LanguageNetwork, steps: int) -> Iterator[Tensor]:
    text = torch.full((1, 1), EOS, device=model.device)
    for _ in range(steps):
        features = model(text, model.initial_cache(1)).features
        token = greedy(model.output_layer.log_probs(features[:, -1]))
        yield token
        text = torch.cat([text, token[:, None]], 1)


def samples(model: LanguageNetwork, rows: int) -> Iterator[Tensor]:
    """SAMPLES samples in batches of `rows`."""
    for first in range(0, SAMPLES, rows):
        with torch.inference_mode():
            state = model.start(rows)
        yield from generate(
            model, state, make_chooser(noise=Noise.of(1, range(first, first + rows))), TOKENS
        )


def timed(steps: Iterable[Tensor], device: torch.device) -> tuple[list[list[int]], list[float]]:
    """The tokens of each step, and the seconds from the start to its end."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    tokens, seconds = [], []
    started = clock()
    for step in steps:
        tokens.append(step.tolist())  # waits for a GPU, as printing the text would
        seconds.append(clock() - started)
    return tokens, seconds


def report(arch: str, options: argparse.Namespace, device: torch.device) -> str:
    model = build(arch, options.length, device)
    names = "with", "without", "batch", "single"
    times_of: dict[str, list[float]] = {name: [] for name in (*names, "last with", "last without")}
    for _ in range(options.runs):
        texts = []
        for name, steps in {
            "with": with_state(model, options.length),
            "without": without_state(model, options.length),
            "batch": samples(model, SAMPLES),
            "single": samples(model, 1),
        }.items():
            tokens, seconds = timed(steps, device)
            texts.append(tokens)
            times_of[name].append(seconds[-1])
            if name.startswith("with"):
                times_of["last " + name].append((seconds[-1] - seconds[-1 - LAST]) / LAST)
        assert texts[0][:LAST] == texts[1][:LAST], f"{arch}: the two texts differ"
    median = {name: statistics.median(times) for name, times in times_of.items()}
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return (
        f"{arch} ({millions:.1f} M):"
        f" whole {median['without'] / median['with']:.1f} x"
        f" ({median['with']:.2f} s for {options.length} tokens, not {median['without']:.2f}),"
        f" at the end {median['last without'] / median['last with']:.1f} x"
        f" ({1e3 * median['last with']:.2f} ms a token, not {1e3 * median['last without']:.2f});"
        f" {SAMPLES} samples: {median['single'] / median['batch']:.1f} x as one batch"
        f" ({SAMPLES * TOKENS / median['batch']:,.0f} tokens/s)"
    )


def main() -> None:
    available = [arch for arch in SIZES if arch in architectures()]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archs", nargs="+", choices=available, default=available)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    print(f"torch {torch.__version__}, {describe_device(device)}, {V:,} types")
    for arch in options.archs:
        print(report(arch, options, device), flush=True)


if __name__ == "__main__":
    main()
