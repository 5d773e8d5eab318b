#!/bin/sh
# A tour: count, train, evaluate, sample, translate and tag on corpora/, and learn word vectors. Each
# command is printed before it runs.
set -eu
seqlm=$1
runs=checkpoints/demo
rm -rf "$runs"
[ -t 2 ] || export SEQLM_QUIET=1 # progress is for people

run() {
    printf '\n$'
    for word in "$@"; do
        case $word in *\ *) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
    done
    printf '\n'
    shift
    "$seqlm" "$@"
}

run seqlm count --order 3 corpora/prose.train.txt -o "$runs/trigram"
run seqlm train corpora/prose.train.txt --valid corpora/prose.valid.txt --epochs 5 -o "$runs/lstm"
for model in trigram lstm; do
    run seqlm eval -m "$runs/$model" corpora/prose.test.txt --metric ppl,ppl-excluding,bits-per-byte
done
# Models of a mixture need the same vocabulary.
run seqlm count --order 5 --vocab "$runs/lstm" corpora/prose.train.txt -o "$runs/5gram" -q
run seqlm eval -m "$runs/5gram" -m "$runs/lstm" --tune corpora/prose.valid.txt corpora/prose.test.txt
run seqlm export -m "$runs/trigram" --to arpa --prune 1e-7 -o "$runs/trigram.arpa"
run seqlm eval -m "$runs/trigram.arpa" corpora/prose.test.txt -q
for model in trigram lstm; do
    run seqlm sample -m "$runs/$model" --num-samples 5 --temperature 0.8
done
run seqlm sample -m "$runs/lstm" --prompt "the old" --num-samples 3 --top-p 0.9
run seqlm sample -m "$runs/lstm" --prompt "the old" --beam 8 --nbest 3

printf '\n$ %s\n' "tail -n 1 corpora/prose.test.txt | seqlm eval -m $runs/trigram --per-token -q"
tail -n 1 corpora/prose.test.txt | "$seqlm" eval -m "$runs/trigram" --per-token -q

run seqlm train --source corpora/courtyard.train.en --target corpora/courtyard.train.fr --arch gru \
    --attention general --tokenizer word --width 128 --batch-tokens 512 --dropout 0.1 --lr 0.005 \
    --epochs 12 -o "$runs/french"
run seqlm eval -m "$runs/french" --source corpora/courtyard.test.en \
    --target corpora/courtyard.test.fr --metric bleu,ppl
printf '\n$ %s\n' "head -n 5 corpora/courtyard.test.en | seqlm translate -m $runs/french --align -q"
head -n 5 corpora/courtyard.test.en | "$seqlm" translate -m "$runs/french" --align -q
printf '\n$ %s\n' "echo 'the green mouse sleeps .' | seqlm translate -m $runs/french --plot - -q"
echo 'the green mouse sleeps .' | "$seqlm" translate -m "$runs/french" --plot - -q

run seqlm train --task tagging --arch lstm corpora/meadow.train.conllu \
    --valid corpora/meadow.valid.conllu --batch-size 16 --epochs 12 -o "$runs/tagger"
run seqlm eval -m "$runs/tagger" corpora/meadow.test.conllu --metric accuracy,unseen-accuracy
printf '\n$ %s\n' "echo 'the old can will light that saw .' | seqlm tag -m $runs/tagger --format text -q"
echo 'the old can will light that saw .' | "$seqlm" tag -m "$runs/tagger" --format text -q

run seqlm train --task vectors corpora/prose.train.txt -o "$runs/words"
run seqlm vectors nearest -m "$runs/words" mother old river -k 3
run seqlm vectors analogy -m "$runs/words" father mother brother -k 3
run seqlm vectors odd-one-out -m "$runs/words" mother sister father river

cat <<END

All models are in $runs. Try next, for example:

    $seqlm sample -m $runs/lstm --prompt 'the young women' --temperature 0.7
    echo 'a white dog runs .' | $seqlm translate -m $runs/french --nbest 3
    echo 'they saw her dance .' | $seqlm tag -m $runs/tagger --format text --probabilities
    $seqlm vectors plot -m $runs/words --most 100 -o words.svg
    $seqlm train corpora/prose.train.txt --arch transformer --valid corpora/prose.valid.txt
END
