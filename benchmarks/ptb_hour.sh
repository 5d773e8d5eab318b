#!/bin/sh
# What two CPU cores learn of the Penn Treebank in an hour: an LSTM and a Mamba-2, trained at the same
# time, with one thread each. Their test perplexities are measured alone and mixed; then mixed with a
# Kneser-Ney 5-gram and a unigram cache, with neural caches, and with dynamic evaluation. All weights
# and constants are tuned on the validation text.
#
#     sh benchmarks/ptb_hour.sh SEQLM PTB RUNS [MINUTES]
#
# SEQLM is the command, PTB a folder with train.txt, valid.txt and test.txt. The runs lstm, mamba2 and
# kn5 come into the folder RUNS; those that are finished are kept. MINUTES (60) are those of the
# trainings; the evaluations take about half as long again.
set -eu
seqlm=$1 ptb=$2 runs=$3 minutes=${4:-60}
mkdir -p "$runs"

train() {
    run=$1
    shift
    [ -f "$runs/$run/README.md" ] || "$seqlm" train "$@" --minutes "$minutes" --num-threads 1 \
        --valid "$ptb/valid.txt" "$ptb/train.txt" -o "$runs/$run" --overwrite >"$runs/$run.log" 2>&1
}
measure() {
    "$seqlm" eval -q "$@" --num-threads 1 "$ptb/test.txt"
}

train mamba2 --config ptb-mamba2 &
mamba2=$!
train lstm --arch lstm --width 512 --embedding 320 --layers 2 --softmax full \
    --dropout-embedding 0.05 --dropout-input 0.25 --dropout-hidden 0.2 --dropout-output 0.35 \
    --dropout-weight 0.2 --ar 1 --tar 0.5 --batch-size 32 --seq-length 35 --lr 0.012 \
    --epsilon 1e-4 --weight-decay 0.01 --patience 100
wait "$mamba2"
[ -f "$runs/kn5/README.md" ] || "$seqlm" count -q --order 5 "$ptb/train.txt" -o "$runs/kn5"

tuned="--tune $ptb/valid.txt"
both="-m $runs/lstm -m $runs/mamba2"
adaptive="--cache 500 --neural-cache 500"
echo "LSTM";               measure -m "$runs/lstm"
echo "Mamba-2";            measure -m "$runs/mamba2"
echo "both";               measure $both $tuned
echo "both, 5-gram, caches"; measure $both -m "$runs/kn5" $adaptive $tuned
echo "the same, and dynamic evaluation"
measure $both -m "$runs/kn5" $adaptive --dynamic 20 --dynamic-statistics "$ptb/train.txt" $tuned
