#!/bin/sh
# Trains a labeler of the results, and evaluates it on the test text of its data.
#
#     sh benchmarks/labeling.sh SEQLM DATA CASE RUN [FLAGS of train...]
#
# SEQLM is the command, DATA a folder with tagging/ and sentiment/, RUN the run folder. CASE is one of
#
#     ewt           parts of speech of English EWT          ewt-books         … with language models
#     chunks        chunks of CoNLL-2000                    chunks-books      … with language models
#     chunks-pos    … its POS column is read
#     sst2          the sentences of SST-2                  sst2-books        … with language models
#     bag           the bag of n-grams on SST-2
#
# The cases with language models read the two runs that BOOKS_FORWARD and BOOKS_BACKWARD name.
set -eu
seqlm=$1 data=$2 case=$3 run=$4
shift 4
ewt=$data/tagging/ud_ewt chunks=$data/tagging/conll2000 sst2=$data/sentiment/sst2
books="--features-from ${BOOKS_FORWARD:-books-forward},${BOOKS_BACKWARD:-books-backward}"
case $case in
*-books) ;;
*) books= ;;
esac
set -x
case $case in
ewt*)
    "$seqlm" train --config ewt-upos "$ewt.train.conllu" --valid "$ewt.dev.conllu" $books -o "$run" "$@"
    "$seqlm" eval -m "$run" "$ewt.test.conllu" --metric accuracy,unseen-accuracy,sentence-accuracy
    ;;
chunks*)
    if [ "$case" = chunks-pos ]; then set -- --feature-column pos "$@"; fi
    "$seqlm" train --config conll2000-chunks "$chunks.train.txt" --valid-fraction 0.1 $books -o "$run" "$@"
    "$seqlm" eval -m "$run" "$chunks.test.txt" --metric f1,precision,recall,accuracy
    ;;
sst2*)
    "$seqlm" train --config sst2 "$sst2.train.tsv" --valid "$sst2.dev.tsv" $books -o "$run" "$@"
    "$seqlm" eval -m "$run" "$sst2.test.tsv" --metric accuracy,macro-f1,log-loss,ece
    ;;
bag)
    "$seqlm" train --task classification --arch bag-of-ngrams "$sst2.train.tsv" \
        --valid "$sst2.dev.tsv" -o "$run" "$@"
    "$seqlm" eval -m "$run" "$sst2.test.tsv" --metric accuracy,macro-f1,log-loss,ece
    ;;
esac
