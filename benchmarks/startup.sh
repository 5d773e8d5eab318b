#!/bin/sh
# How long short commands take: seconds of the clock, and of the processor.
#
#     sh benchmarks/startup.sh [RUN [ROUNDS]]          RUN is a run of n-grams, as `seqlm count` makes it
#
# Each command runs once a round, ROUNDS times (9 by default), and the medians are printed. KENLM
# names the program `query` of KenLM and a binary model, to be asked for the same line: KENLM="query
# books.binary".
python - "$@" <<'END'
import os
import resource
import shlex
import statistics
import subprocess
import sys
import time

run, rounds = (sys.argv[1:] + [""])[0], int((sys.argv[2:] + ["9"])[0])
line = b"the old man\n"
python = shlex.quote(sys.executable)
commands = [f"{python} -c pass", f"{python} -c 'import numpy'", "seqlm --help"]
if run:
    quoted = shlex.quote(run)
    commands += [
        f"seqlm eval -m {quoted}",
        f"seqlm next -m {quoted} 'the old'",
        f"seqlm sample -m {quoted} -n 1",
    ]
if "KENLM" in os.environ:
    commands.append(os.environ["KENLM"])


def measure(command: str) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(shlex.split(command), input=line, capture_output=True, check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu


for command in commands:
    measure(command)  # so that its files are in memory
measured = [[measure(command) for command in commands] for _ in range(rounds)]
print(f"{'clock':>7} {'CPU':>7}  s, medians of {rounds}")
for command, times in zip(commands, zip(*measured)):
    seconds, cpu = (statistics.median(column) for column in zip(*times))
    print(f"{seconds:7.3f} {cpu:7.3f}  {command.replace(sys.executable, 'python')}")
END
