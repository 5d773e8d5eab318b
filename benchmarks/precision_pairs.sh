#!/bin/sh
# Whether products of bfloat16 learn as well as those of float32: the same training in both, from the
# same weights, in the same order, with several seeds.
#
#     sh benchmarks/precision_pairs.sh SEQLM PTB RUNS [SEEDS]
#
# SEQLM is the command, PTB a folder with train.txt, valid.txt and test.txt, RUNS the folder for the
# runs, which are made where they are missing. The model is the LSTM of `training_speed.py`, with 2
# layers of 200 units, for two epochs on one thread. Prints a line for each seed: the perplexity of
# the test text by float32, by bfloat16, and the second divided by the first. Run on a processor that
# has instructions for bfloat16.
set -eu
seqlm=$1 ptb=$2 runs=$3 seeds=${4:-1 2 3}

for seed in $seeds; do
    set --
    for precision in float32 bfloat16; do
        run=$runs/$precision-$seed
        [ -f "$run/README.md" ] || "$seqlm" train -q --arch lstm --width 200 --layers 2 \
            --dropout-input 0.2 --dropout-hidden 0.2 --dropout-output 0.2 --batch-size 20 \
            --seq-length 35 --epochs 2 --precision "$precision" --seed "$seed" --num-threads 1 \
            --valid "$ptb/valid.txt" "$ptb/train.txt" -o "$run" --overwrite >/dev/null
        set -- "$@" "$("$seqlm" eval -q -m "$run" --num-threads 1 "$ptb/test.txt")"
    done
    echo "$seed $1 $2" | awk '{ printf "seed %s: %.2f %.2f, %.4f\n", $1, $2, $3, $3 / $2 }'
done
