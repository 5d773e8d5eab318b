#!/bin/sh
# One translator learns from several (sequence-level distillation, Kim & Rush 2016): an ensemble
# translates the source of the training text, and a student is trained on the true pairs and these.
#
#     sh benchmarks/distillation.sh SEQLM MULTI30K RUNS [FROM TO [STUDENT...]]
#
# SEQLM is the command, MULTI30K a folder with train.de, train.en, val.* and test_2016_flickr.*. FROM
# and TO are the languages, de and en by default; with a part before them, as lc.norm.tok.en, the
# text is that of the older convention. The runs gru, transformer and student come into the folder
# RUNS; those that are finished are kept. STUDENT are settings of the student, by default
# `--config multi30k-gru --epochs 9`: twice as many pairs take twice the time.
set -eu
seqlm=$1 data=$2 runs=$3 from=${4:-de} to=${5:-en}
shift "$(($# < 5 ? $# : 5))"
[ $# -gt 0 ] || set -- --config multi30k-gru --epochs 9
valid="--valid-source $data/val.$from --valid-target $data/val.$to"
case $to in
lc.*) tokenize=none ;;
*) tokenize=13a ;;
esac

measure() {
    "$seqlm" eval "$@" --source "$data/test_2016_flickr.$from" \
        --target "$data/test_2016_flickr.$to" --metric bleu,chrf --bleu-tokenize "$tokenize"
}

mkdir -p "$runs"
for teacher in gru transformer; do
    [ -f "$runs/$teacher/README.md" ] || "$seqlm" train --config "multi30k-$teacher" \
        --source "$data/train.$from" --target "$data/train.$to" $valid -o "$runs/$teacher"
done
measure -m "$runs/gru" -m "$runs/transformer"

translated=$runs/translated.$to
[ -f "$translated" ] || {
    "$seqlm" translate -m "$runs/gru" -m "$runs/transformer" "$data/train.$from" >"$translated.part"
    mv "$translated.part" "$translated"
}
"$seqlm" train "$@" --source "$data/train.$from" --source "$data/train.$from" \
    --target "$data/train.$to" --target "$translated" $valid -o "$runs/student"
measure -m "$runs/student"
