#!/bin/sh
# Trains word vectors on a text, measures their bias, and removes it in two ways.
#
#     sh benchmarks/vector_bias.sh SEQLM TEXT FOLDER
#
# SEQLM is the command, TEXT has a sentence a line in lower case (21.0 M words of novels for the
# published figures), and FOLDER is a new folder for the vectors.
set -eu
seqlm=$1 text=$2 folder=$3
mkdir "$folder"
# Words that have a gender by their meaning.
cat > "$folder/keep.txt" <<'END'
king queen father mother sister brother husband wife son daughter aunt uncle nephew niece lady
gentleman women men girls boys his hers actress prince princess duke duchess lord widow nun monk
bride waitress hostess boyfriend bachelor maid maiden sons daughters brothers sisters mothers
fathers wives husbands ladies gentlemen mrs mr miss sir madam ma grandmother grandfather bridegroom
heiress countess count baron goddess god emperor empress herself himself
END
set -x
"$seqlm" train --task vectors --arch skipgram --epochs 3 --num-threads 1 "$text" -o "$folder/books"
cd "$folder"
"$seqlm" vectors weat -m books
"$seqlm" vectors weat -m books --std population --sided two --missing balance
"$seqlm" vectors bias -m books --pairs gender --vocabulary 20000
"$seqlm" vectors debias -m books --pairs gender --keep keep.txt -o debiased.txt
"$seqlm" vectors erase -m books --pairs gender --keep keep.txt -o erased.txt
"$seqlm" vectors erase -m books --pairs gender --keep keep.txt --whitening labeled
"$seqlm" vectors cluster-test -m books --pairs gender --keep keep.txt --debiased debiased.txt \
    --debiased erased.txt
