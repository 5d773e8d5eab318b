"""Changes the files of small runs at random and reads the runs: nothing may fail but in one line.

    python -m benchmarks.fuzz_runs [--mutations 20000] [--seed 0] [--only NUMBER ...]

Prints what came of all mutations, the time, and the faults: internal errors, hangs, and answers
that have changed under an unchanged signature. `--only` repeats single ones and prints all of them.
The tests run the first 1 000. Takes about two minutes on one core.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from tests.runs.untrusted.fuzzer import Fuzzer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        fuzzer = Fuzzer(Path(folder) / "runs", options.seed)
        started, cpu = time.perf_counter(), time.process_time()
        fuzzer.run(options.only or range(options.mutations))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    for fault in fuzzer.faults:
        print(*fault[:4], sep="\t")
        print(fault.text if options.only else fault.text.strip().splitlines()[-1][:200])
    number = len(options.only or range(options.mutations))
    print(f"{number} mutations in {seconds:.0f} s, {cpu:.0f} s of them on the processor")
    print(f"the slowest took {fuzzer.slowest:.2f} s")
    for kind in ("read", "refused", "told", "internal", "hang", "silent"):
        print(f"{kind}\t{fuzzer.outcomes[kind]}")
    print(f"messages\t{len(fuzzer.messages)}")
    return 1 if fuzzer.faults else 0


if __name__ == "__main__":
    sys.exit(main())
