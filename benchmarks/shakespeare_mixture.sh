#!/bin/sh
# A 10-gram and an LSTM on the characters of tiny-shakespeare, mixed: the loss of each, and theirs.
#
#     sh benchmarks/shakespeare_mixture.sh SEQLM TEXT FOLDER [MINUTES]
#
# SEQLM is the command, TEXT the 1,115,394 characters of tiny-shakespeare, and FOLDER takes what is
# made of it. The LSTM is trained for MINUTES, by default 2.5. The last tenth of the text is what is
# evaluated, as nanoGPT splits it; nothing is learned, chosen or tuned on it. The first 100,385
# characters tune the weights of the mixture and the temperature, and both models learn from the
# 903,469 characters in between, which have the beginning of the play that the last tenth goes on
# with. The seconds are those of all commands.
set -eu
seqlm=$1 text=$2 folder=$3 minutes=${4:-2.5}
mkdir -p "$folder"
head -c 100385 "$text" >"$folder/held-out.txt"
head -c 1003854 "$text" | tail -c 903469 >"$folder/train.txt"
tail -c +1003855 "$text" >"$folder/valid.txt"
cd "$folder"
started=$(date +%s)
set -x
"$seqlm" count --order 10 --tokenizer char --discount-fallback train.txt -o ten --overwrite -q
"$seqlm" train --config char-lstm --minutes "$minutes" --dropout-hidden 0.1 --dropout-output 0.15 \
    --seq-length 64 --lr 0.005 train.txt -o lstm --overwrite
"$seqlm" eval -m ten -m lstm --metric cross-entropy --tune held-out.txt valid.txt
set +x
echo "$(($(date +%s) - started)) seconds"
"$seqlm" eval -q -m ten --metric cross-entropy valid.txt
"$seqlm" eval -q -m lstm --metric cross-entropy valid.txt
