"""Counting a big text into a 5-gram model, and asking it: time, memory, tokens a second.

    python benchmarks/ngram_books.py TEXT [--order 5] [--held-out 50000]

TEXT (plain, one sentence a line; 21.0 M words of novels in the figures of the README) is
counted but for its last lines by `seqlm count` in a process of its own, and these are scored. The
time is everything from the start of Python to the saved run; memory is the peak of what was
resident, all of Python and torch included. On a machine with other work compare CPU times.
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from seqlm.models.ngram import NGram
from seqlm.runs.folder import RunFolder
from seqlm.runs.save import load
from seqlm.text.corpus import read_corpus


def count(text: Path, run: Path, order: int, words: int) -> None:
    """`seqlm count` in a process; prints its time and memory a word."""
    command = [sys.executable, "-m", "seqlm", "count", "--order", str(order)]
    started = time.perf_counter()
    subprocess.run([*command, str(text), "--output", str(run), "-q"], check=True)
    wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    saved = sum(file.stat().st_size for file in run.glob("saves/*/model.safetensors"))
    print(f"count    {wall:.1f} s, {cpu:.1f} s CPU for {words:,} words")
    print(f"a word   {wall / words * 1e6:.2f} us, {cpu / words * 1e6:.2f} us CPU")
    print(f"memory   {peak / 1e6:,.0f} MB at the peak, {peak / words:.1f} bytes a word")
    print(f"saved    {saved / 1e6:,.0f} MB")


def best(what: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """The least wall and CPU time of several runs."""
    taken = []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        what()
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(w for w, _ in taken), min(c for _, c in taken)


@torch.inference_mode()
def ask(run: Path, held_out: Path) -> None:
    """Prints how fast the run scores `held_out`, and how well."""
    started = time.perf_counter()
    loaded = load(RunFolder(run))
    print(f"open     {time.perf_counter() - started:.2f} s")
    model, tokenizer = loaded.model, loaded.tokenizer
    assert isinstance(model, NGram)
    ids = read_corpus([str(held_out)], tokenizer).ids
    tokens = torch.from_numpy(ids.astype(np.int64))[None]  # (1, N)
    scores, _ = model.score(model.start(1), tokens)
    text = best(lambda: read_corpus([str(held_out)], tokenizer))
    score = best(lambda: model.score(model.start(1), tokens))
    for name, (wall, cpu) in (("encode", text), ("score", score)):
        print(f"{name:8} {len(ids) / wall / 1e6:.2f} M tokens/s, {len(ids) / cpu / 1e6:.2f} by CPU")
    both = text[1] + score[1]
    print(f"both     {len(ids) / both / 1e6:.2f} M tokens/s by CPU, {len(ids):,} tokens")
    print(f"ppl      {math.exp(-scores.double().mean()):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--held-out", type=int, default=50_000, help="lines at the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = options.text.read_bytes().splitlines(keepends=True)
        kept = lines[: -options.held_out]
        (folder / "train.txt").write_bytes(b"".join(kept))
        (folder / "test.txt").write_bytes(b"".join(lines[-options.held_out :]))
        words = sum(len(line.split()) for line in kept)
        del lines, kept
        count(folder / "train.txt", folder / "run", options.order, words)
        ask(folder / "run", folder / "test.txt")


if __name__ == "__main__":
    main()
