"""Counting a big text into a 5-gram model, and scoring with it: time, memory and speed.

    python benchmarks/ngram_books.py TEXT [--kenlm FOLDER] [--rounds 3] [--held-out 50000]

TEXT is plain text with one sentence per line (21.0 M words of novels for the published figures).
All but its last lines are counted by `seqlm count`, each time in a new process, and the last lines
are scored. FOLDER has KenLM's lmplz, build_binary and query: each round runs seqlm and KenLM one
after the other on the same files, and ratios are those of the medians. Times are from the start of
a process to its end; memory is the peak resident size, with all of Python and torch. A query is
timed from text to scores with the model loaded; for KenLM, the time of an empty text is subtracted.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from seqlm.evaluation.evaluate import score_files
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.evaluation.perplexity import Tally
from seqlm.models.ngram.ngram_language_model import NGramLanguageModel
from seqlm.runs.loading.load_model import LoadedModel, load_model
from seqlm.runs.loading.locate import locate
from seqlm.text.reading import read_blocks


class Usage(NamedTuple):
    seconds: float
    cpu: float
    peak: int  # bytes


def run(*command: object, stdin: Path | None = None, stdout: Path | None = None) -> Usage:
    """Runs a process, and returns the resources it used."""
    started = time.perf_counter()
    nothing = Path(os.devnull)
    with (stdin or nothing).open("rb") as source, (stdout or nothing).open("wb") as target:
        words = [str(word) for word in command]
        process = subprocess.Popen(words, stdin=source, stdout=target, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}")
    seconds = time.perf_counter() - started
    return Usage(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def median(runs: list[Usage]) -> float:
    return statistics.median(usage.seconds for usage in runs)


def digest(run_folder: Path) -> str:
    manifest = next(run_folder.glob("steps/*/manifest.json")).read_text()
    return re.findall(r'"sha256": "(\w+)"', manifest)[0]


def measure_counting(folder: Path, kenlm: Path | None, order: int, rounds: int, words: int) -> None:
    """Prints the time and memory of `seqlm count`: plain, with `--arpa`, and with `--memory`."""
    seqlm = [sys.executable, "-m", "seqlm", "count", "--order", order, "--overwrite", "-q"]
    text = folder / "train.txt"
    ours, bounded, with_arpa, theirs = [], [], [], []
    for _ in range(rounds):
        ours.append(run(*seqlm, text, "-o", folder / "run"))
        if kenlm:
            lmplz = [kenlm / "lmplz", "-o", order, "-T", folder / "lmplz-"]
            theirs.append(run(*lmplz, stdin=text, stdout=folder / "kenlm.arpa"))
        arpa = ["--arpa", folder / "seqlm.arpa"]
        with_arpa.append(run(*seqlm, text, "-o", folder / "run-arpa", *arpa))
    bounded.append(run(*seqlm, text, "-o", folder / "run-1G", "--memory", "1G"))
    same = digest(folder / "run") == digest(folder / "run-1G")
    saved = sum(file.stat().st_size for file in folder.glob("run/steps/*/model.safetensors"))
    for name, runs in (("count", ours), ("--arpa", with_arpa), ("1G", bounded), ("lmplz", theirs)):
        if runs:
            seconds, peak = median(runs), max(used.peak for used in runs)
            ratio = f", {seconds / median(theirs):.2f} x lmplz" if theirs else ""
            print(
                f"{name:8} {seconds:.1f} s{ratio}; {seconds / words * 1e6:.2f} us a word;", end=""
            )
            print(f" peak {peak / 1e9:.2f} GB, {peak / words:.1f} bytes a word")
    print(
        f"saved    {saved / 1e6:,.0f} MB; with --memory 1G {'the same' if same else 'ANOTHER'} file"
    )


def score(loaded: LoadedModel, text: Path) -> tuple[float, np.ndarray]:
    """Seconds from text to scores, and the natural log probabilities."""
    started = time.perf_counter()
    scored = score_files(LoadedMixture.of([loaded]), [str(text)], Tally())
    log_probs = np.concatenate([block.scores.log_probs for block in scored])
    return time.perf_counter() - started, log_probs


def measure_queries(folder: Path, kenlm: Path | None) -> None:
    """Prints how fast the run scores the held-out text, and how KenLM's scores differ."""
    started = time.perf_counter()
    loaded = load_model(locate(folder / "run"))
    print(f"open     {time.perf_counter() - started:.3f} s")
    text, ours, theirs = folder / "test.txt", [], []
    query = [kenlm / "query", "-v"] if kenlm else []
    if kenlm:
        run(kenlm / "build_binary", "probing", folder / "kenlm.arpa", folder / "kenlm.bin")
        size = (folder / "kenlm.bin").stat().st_size
        print(f"probing  {size / 1e6:,.0f} MB")
    for _ in range(6):
        seconds, log_probs = score(loaded, text)
        ours.append(seconds)
        if kenlm:
            summary = [*query, "summary", folder / "kenlm.bin"]
            empty = run(*summary).seconds
            theirs.append(run(*summary, stdin=text).seconds - empty)
    tokens, median_time = len(log_probs), statistics.median(ours[1:])  # the first run reads files
    print(f"query    {tokens / median_time / 1e6:.2f} M tokens/s", end="")
    if kenlm:
        kenlm_time = statistics.median(theirs[1:])
        print(f", KenLM {tokens / kenlm_time / 1e6:.2f}: {kenlm_time / median_time:.2f} x", end="")
    print(f"; {tokens:,} tokens, {torch.get_num_threads()} threads")
    print(f"ppl      {math.exp(-log_probs.mean()):.6f}")
    if kenlm:
        run(*query, "word", folder / "kenlm.bin", stdin=text, stdout=folder / "words.txt")
        compare(loaded, text, folder / "words.txt", log_probs)


def compare(loaded: LoadedModel, text: Path, kenlm_output: Path, log_probs: np.ndarray) -> None:
    """Compares with the output of KenLM, which is `word=id length log10` for every word."""
    cells = re.findall(rb"=\d+ (\d+) (-?[\d.e+-]+|-?inf)", kenlm_output.read_bytes())
    lengths = np.array([int(length) for length, _ in cells])
    logs = np.array([float(log) for _, log in cells]) * math.log(10)
    assert isinstance(loaded.model, NGramLanguageModel)
    ids = np.concatenate([loaded.tokenizer.encode(block) for block in read_blocks([str(text)])])
    tokens = torch.from_numpy(ids.astype(np.int64))[None]
    ngram_lengths = loaded.model.ngram_length(loaded.model.start(1), tokens)[0].numpy()
    print(f"KenLM    {math.exp(-logs.mean()):.6f}", end="")
    print(f"; matched length differs for {int((ngram_lengths != lengths).sum())} tokens", end="")
    print(f", log10 p by at most {float(np.abs(logs - log_probs).max() / math.log(10)):.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--kenlm", type=Path)
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--held-out", type=int, default=50_000, help="lines at the end that are scored"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = options.text.read_bytes().splitlines(keepends=True)
        train = lines[: -options.held_out]
        (folder / "train.txt").write_bytes(b"".join(train))
        (folder / "test.txt").write_bytes(b"".join(lines[-options.held_out :]))
        words = sum(len(line.split()) for line in train)
        del lines, train
        measure_counting(folder, options.kenlm, options.order, options.rounds, words)
        measure_queries(folder, options.kenlm)


if __name__ == "__main__":
    main()
