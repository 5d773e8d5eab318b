"""Counting a big text into a 5-gram model, and scoring with it: time, memory and speed.

    python benchmarks/ngram_books.py TEXT [--kenlm FOLDER] [--one-sort PROGRAM] [--rounds 5]
        [--held-out 50000] [--no-queries]

TEXT is plain text with one sentence per line (21.0 M words of novels for the published figures).
All but its last lines are counted by `seqlm count`, each time in a new process, and the last lines
are scored. FOLDER has KenLM's lmplz, build_binary and query, with their defaults; PROGRAM is
`estimate` of tongrams_estimation, the algorithm 1-Sort, with 4 GiB. Each round runs all of them one
after the other on the same files; figures are medians, and ratios those of the medians. Times are
from the start of a process to its end, CPU seconds those of all its threads; memory is the peak
resident size. The machine's own limit, sorting and copying as much as counting does and touching
new memory, is measured in the same rounds. Loops are compiled in a run of their own before. A query
is timed from text to scores with the model loaded; for KenLM, the time of an empty text is
subtracted.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlm.evaluation.evaluate import score_files
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.evaluation.perplexity import Tally
from seqlm.machine.memory import in_usual_pages
from seqlm.machine.threads import num_threads
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.runs.loading.load_model import LoadedModel, load_model
from seqlm.runs.loading.locate import locate
from seqlm.text.reading import read_blocks


class Usage(NamedTuple):
    seconds: float
    cpu: float
    peak: int  # bytes


def run(*command: object, stdin: Path | None = None, stdout: Path | None = None) -> Usage:
    """Runs a process, and returns the resources it used.

    What others wrote is on the disk before: a process that writes would wait for that, too.
    """
    os.sync()
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


def digest(run_folder: Path) -> str:
    manifest = next(run_folder.glob("steps/*/manifest.json")).read_text()
    return re.findall(r'"sha256": "(\w+)"', manifest)[0]


def processor() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor()


# ---------------------------------------------------------------------------------------- counting


class Limit(NamedTuple):
    """Seconds that the machine takes for what counting cannot do without, in one thread."""

    sorting: float
    copying: float
    touching: float
    touching_huge: float


def measure_limit(keys: int, order: int) -> Limit:
    """The CPU seconds in which numpy sorts `keys` numbers of 64 bits `order` times, in which it
    copies them as often, and in which 1 GB of memory is touched for the first time."""
    random = np.random.default_rng(0).integers(0, 2**62, keys)
    work = random.copy()
    copying = cpu_seconds(lambda: np.copyto(work, random))
    sorting = cpu_seconds(work.sort)
    touching = [
        cpu_seconds(lambda empty=empty: empty(10**9, np.uint8)[::4096].fill(1))
        for empty in (in_usual_pages, np.empty)
    ]
    return Limit(order * sorting, order * copying, *touching)


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure_counting(
    folder: Path, kenlm: Path | None, one_sort: Path | None, order: int, rounds: int, words: int
) -> None:
    """Prints what `seqlm count` takes: plain, with `--arpa`, and with `--memory`; and the peers."""
    text = folder / "train.txt"
    seqlm = [sys.executable, "-m", "seqlm", "count", "--order", order, "--overwrite", "-q", text]
    lines = text.read_bytes().count(b"\n")
    programs = {
        "seqlm": ([*seqlm, "-o", folder / "run"], None),
        "--arpa": ([*seqlm, "-o", folder / "run-arpa", "--arpa", folder / "seqlm.arpa"], None),
    }
    if kenlm:
        lmplz = [kenlm / "lmplz", "-o", order, "-T", folder / "lmplz-"]
        programs["lmplz"] = (lmplz, folder / "kenlm.arpa")
    if one_sort:
        options = ["--ram", "4", "--tmp", folder / "one-sort", "--out", folder / "one-sort.bin"]
        programs["1-Sort"] = ([one_sort, text, order, *options], None)
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "compiled")
    first = run(*programs["seqlm"][0])
    run(*programs["--arpa"][0])
    used: dict[str, list[Usage]] = {name: [] for name in programs}
    limits = []
    for _ in range(rounds):
        # In a process of its own: those that this one starts would inherit its peak.
        with get_context("spawn").Pool(1) as pool:
            limits.append(pool.apply(measure_limit, (words + lines, order)))
        for name, (command, output) in programs.items():
            shutil.rmtree(folder / "one-sort", ignore_errors=True)  # which 1-Sort makes itself
            stdin = text if name == "lmplz" else None
            used[name].append(run(*command, stdin=stdin, stdout=output))
    limit = Limit(*(statistics.median(of) for of in zip(*limits)))
    print(f"machine  {processor()}, {os.cpu_count()} cores; {num_threads()} threads of seqlm")
    print(
        f"limit    CPU s: sorting {order} x {words + lines:,} numbers of 64 bits"
        f" {limit.sorting:.2f}, copying them {limit.copying:.2f}, touching 1 GB"
        f" {limit.touching:.2f}, in huge pages {limit.touching_huge:.2f}"
    )
    for name, runs in used.items():
        print_usage(name, runs, used.get("lmplz"), words)
    ours = statistics.median(usage.cpu for usage in used["seqlm"])
    print(f"compile  {first.cpu - ours:.1f} CPU s more in the first run on a machine")
    bounded = run(*seqlm, "-o", folder / "run-1G", "--memory", "1G")
    print_usage("1G", [bounded], used.get("lmplz"), words)
    same = digest(folder / "run") == digest(folder / "run-1G")
    saved = sum(file.stat().st_size for file in folder.glob("run/steps/*/model.safetensors"))
    print(
        f"saved    {saved / 1e6:,.0f} MB; with --memory 1G {'the same' if same else 'ANOTHER'} file"
    )


def print_usage(name: str, runs: list[Usage], peer: list[Usage] | None, words: int) -> None:
    """Prints the medians of some runs, and their ratios to those of the peer."""
    wall, cpu = (statistics.median(of) for of in list(zip(*runs))[:2])
    peak = max(usage.peak for usage in runs)
    print(
        f"{name:8} wall {wall:.1f} s, CPU {cpu:.1f} s, {wall / words * 1e6:.2f} us a word", end=""
    )
    print(f"; peak {peak / 1e9:.2f} GB, {peak / words:.1f} bytes a word", end="")
    if peer and peer is not runs:
        of_wall, of_cpu = (statistics.median(of) for of in list(zip(*peer))[:2])
        print(f"; {wall / of_wall:.2f} x lmplz's wall, {cpu / of_cpu:.2f} x its CPU", end="")
    print(f"; {len(runs)} runs")


# ----------------------------------------------------------------------------------------- queries


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
    print(f"; {tokens:,} tokens, {num_threads()} threads")
    print(f"ppl      {math.exp(-log_probs.mean()):.6f}")
    if kenlm:
        run(*query, "word", folder / "kenlm.bin", stdin=text, stdout=folder / "words.txt")
        compare(loaded, text, folder / "words.txt", log_probs)


def compare(loaded: LoadedModel, text: Path, kenlm_output: Path, log_probs: np.ndarray) -> None:
    """Compares with the output of KenLM, which is `word=id length log10` for every word."""
    cells = re.findall(rb"=\d+ (\d+) (-?[\d.e+-]+|-?inf)", kenlm_output.read_bytes())
    lengths = np.array([int(length) for length, _ in cells])
    logs = np.array([float(log) for _, log in cells]) * math.log(10)
    assert isinstance(loaded.model, NGramModel)
    ids = np.concatenate([loaded.tokenizer.encode(block) for block in read_blocks([str(text)])])
    tokens = ids.astype(np.int64)[None]
    ngram_lengths = loaded.model.ngram_length(loaded.model.start(1), tokens)[0]
    print(f"KenLM    {math.exp(-logs.mean()):.6f}", end="")
    print(f"; matched length differs for {int((ngram_lengths != lengths).sum())} tokens", end="")
    print(f", log10 p by at most {float(np.abs(logs - log_probs).max() / math.log(10)):.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--kenlm", type=Path)
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--one-sort", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-queries", action="store_true")
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
        kenlm, one_sort = options.kenlm, options.one_sort
        measure_counting(folder, kenlm, one_sort, options.order, options.rounds, words)
        if not options.no_queries:
            measure_queries(folder, kenlm)


if __name__ == "__main__":
    main()
