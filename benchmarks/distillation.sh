#!/bin/sh
# A fast translator learns from a better one (sequence-level distillation, Kim & Rush 2016): the
# teacher translates the source of the training text, and the student is trained on its translations
# alone. They vary less than those of people, so that a model that is quick to search learns them
# well, and a narrow beam finds nearly what a wide one finds.
#
#     sh benchmarks/distillation.sh SEQLM MULTI30K RUNS [FROM TO [STUDENT...]]
#
# SEQLM is the command, MULTI30K a folder with train.de, train.en, val.* and test_2016_flickr.*. FROM
# and TO are the languages, de and en by default; with a part before them, as lc.norm.tok.en, the
# text is that of the older convention. The runs teacher and student come into the folder RUNS; a
# teacher that is finished is kept, and so are its translations. STUDENT are settings of the student,
# by default `--config multi30k-gru`.
set -eu
seqlm=$1 data=$2 runs=$3 from=${4:-de} to=${5:-en}
shift "$(($# < 5 ? $# : 5))"
[ $# -gt 0 ] || set -- --config multi30k-gru
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
[ -f "$runs/teacher/README.md" ] || "$seqlm" train --config multi30k-transformer \
    --source "$data/train.$from" --target "$data/train.$to" $valid \
    --valid-metric bleu --bleu-tokenize "$tokenize" -o "$runs/teacher"
measure -m "$runs/teacher"

translated=$runs/translated.$to
[ -f "$translated" ] || {
    "$seqlm" translate -m "$runs/teacher" "$data/train.$from" >"$translated.part"
    mv "$translated.part" "$translated"
}
"$seqlm" train "$@" --source "$data/train.$from" --target "$translated" $valid \
    --valid-metric bleu --bleu-tokenize "$tokenize" -o "$runs/student"
measure -m "$runs/student"
measure -m "$runs/student" --beam 1
