#!/bin/sh
# AWD-LSTM on a GPU, in slices: each trains for a number of seconds, is interrupted, and is saved; the
# next resumes it exactly, until the run is finished. Then its perplexities are measured: static, with
# a neural cache, and with dynamic evaluation.
#
#     sh benchmarks/ptb_gpu.sh SEQLM PTB RUN [SECONDS] [FLAGS of train...]
#
# SEQLM is the command, PTB a folder with train.txt, valid.txt and test.txt, RUN the run folder. One
# call does at most one slice of SECONDS (540), so that ten minutes of a machine at a time are enough;
# call it again until it prints perplexities. FLAGS apply to the first slice only:
# `--width 20 --embedding 20 --steps 50 --device cpu` tries the whole on a CPU in a minute.
set -eu
seqlm=$1 ptb=$2 run=$3 seconds=${4:-540}
shift "$(($# < 4 ? $# : 4))"

code=0
if [ ! -f "$run/README.md" ]; then
    if [ -f "$run/latest" ]; then
        timeout -s INT "$seconds" "$seqlm" train --resume "$run" || code=$?
    else
        timeout -s INT "$seconds" "$seqlm" train --config ptb-awd-lstm \
            --valid "$ptb/valid.txt" "$ptb/train.txt" -o "$run" --overwrite "$@" || code=$?
    fi
fi
case $code in
0) ;;
124 | 130) echo "a slice is done; call this again to continue"; exit 0 ;;
*) exit "$code" ;;
esac

cat "$run/README.md"
"$seqlm" eval -m "$run" "$ptb/test.txt"
"$seqlm" eval -m "$run" --neural-cache 500 --tune "$ptb/valid.txt" "$ptb/test.txt"
"$seqlm" eval -m "$run" --neural-cache 500 --dynamic 20 \
    --dynamic-statistics "$ptb/train.txt" --tune "$ptb/valid.txt" "$ptb/test.txt"
