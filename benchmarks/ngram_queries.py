"""Asking an n-gram model about a long text: seqlm, plain and compact, beside KenLM.

    python benchmarks/ngram_queries.py RUN TEXT [--compact RUN] [--kenlm FOLDER --binary FILE]
        [--rounds 5]

RUN is made by `seqlm count`, with one thread asked here, and its compact form by `seqlm export
--to run --compact`. FOLDER has KenLM's `query`, and FILE is its binary of the same text (`lmplz`,
`build_binary probing`). Every round asks all of them, one after the other; figures are medians of
CPU seconds. *Asking* is from text to scores with the model open and the loops compiled; of KenLM it
is what `query` takes beyond an empty text. *In all* is a process from its start to its end.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from seqlm.evaluation.evaluate import score_files
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.evaluation.perplexity import Tally
from seqlm.machine.threads import set_threads
from seqlm.runs.loading.load_model import LoadedModel, load_model
from seqlm.runs.loading.locate import locate


def ask(loaded: LoadedModel, text: Path) -> tuple[float, float, int]:
    """CPU seconds from text to scores, the perplexity, and the tokens."""
    started, total, tokens = time.process_time(), 0.0, 0
    for block in score_files(LoadedMixture.of([loaded]), [str(text)], Tally()):
        total += float(block.scores.log_probs.sum())
        tokens += len(block.scores.log_probs)
    return time.process_time() - started, math.exp(-total / tokens), tokens


def process(command: list[object], text: Path | None = None) -> tuple[float, str]:
    """CPU seconds of a process that reads `text`, and what it writes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (text or Path(os.devnull)).open("rb") as source:
        done = subprocess.run(
            [str(word) for word in command], stdin=source, capture_output=True, check=True
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, (done.stdout + done.stderr).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--compact", type=Path)
    parser.add_argument("--kenlm", type=Path)
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    set_threads(1)
    runs = {"plain": options.run} | ({"compact": options.compact} if options.compact else {})
    loaded = {form: load_model(locate(run)) for form, run in runs.items()}
    measured: dict[str, Callable[[], tuple[float, object]]] = {}
    for form, run in runs.items():
        measured[f"{form}, asking"] = lambda form=form: ask(loaded[form], options.text)[:2]
        words = [sys.executable, "-m", "seqlm", "eval", "-m", run, options.text]
        command = [*words, "--num-threads", 1, "-q"]
        measured[f"{form}, in all"] = lambda command=command: process(command)
    if options.kenlm:
        query = [options.kenlm / "query", "-v", "summary", options.binary]
        measured["KenLM, in all"] = lambda: process(query, options.text)
    tokens = max(ask(model, options.text)[2] for model in loaded.values())  # compiles, and reads
    times: dict[str, list[float]] = {name: [] for name in measured}
    answers = {}
    for _ in range(options.rounds):
        for name, measure in measured.items():
            seconds, answers[name] = measure()
            times[name].append(seconds)
        if options.kenlm:
            times.setdefault("KenLM, asking", []).append(
                times["KenLM, in all"][-1] - process(query)[0]
            )
    medians = {name: statistics.median(of) for name, of in times.items()}
    print(f"{tokens:,} tokens, one thread, {options.rounds} rounds")
    for name, median in medians.items():
        spread = " ".join(f"{seconds:.2f}" for seconds in sorted(times[name]))
        print(f"{name:18}{median / tokens * 1e9:6.0f} ns of CPU a token ({spread} s)", end="")
        peer = medians.get(f"KenLM,{name.split(',')[1]}")
        print(f"; {peer / median:.2f} x KenLM's speed" if peer else "")
    for name, answer in answers.items():
        found = re.search(r"including OOVs:\s*([\d.]+)", str(answer))
        print(f"{name:18}perplexity {found[1] if found else str(answer).strip()}")
    for form, run in runs.items():
        size = sum(file.stat().st_size for file in run.glob("steps/*/model.safetensors"))
        ngrams = sum(loaded[form].config.model["rows"])
        print(f"{form:18}{size / 1e6:,.1f} MB, {size / ngrams:.2f} bytes an n-gram")


if __name__ == "__main__":
    main()
