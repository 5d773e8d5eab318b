#!/bin/sh
# The time of `seqlm --help` in milliseconds, nine times, sorted: the fifth line is the median.
#     sh benchmarks/startup.sh [.venv/bin/seqlm]
seqlm=${1:-seqlm}
for _ in 1 2 3 4 5 6 7 8 9; do
    start=$(date +%s%N)
    "$seqlm" --help >/dev/null
    end=$(date +%s%N)
    echo $(((end - start) / 1000000))
done | sort -n
