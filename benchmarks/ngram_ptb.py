"""Perplexities of interpolated modified Kneser-Ney on the Penn Treebank, beside KenLM's.

    python benchmarks/ngram_ptb.py FOLDER        with train.txt, valid.txt and test.txt

KenLM's were measured with `lmplz -o N` and `query` on the same files, `<unk>` made a word like any
other; its vocabulary has one `<unk>` more, so that the last digit may differ.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from seqlm.counting.estimate import estimate
from seqlm.text.corpus import read_corpus

KENLM = {2: (199.02, 185.70), 3: (157.77, 148.28), 4: (149.90, 142.72), 5: (148.01, 141.19)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    corpus = read_corpus([str(folder / "train.txt")])
    texts = [
        torch.from_numpy(read_corpus([str(folder / name)], corpus.tokenizer).ids.astype(np.int64))
        for name in ("valid.txt", "test.txt")
    ]
    print("order   valid  KenLM    test  KenLM   seconds")
    for order, (valid, test) in KENLM.items():
        started = time.perf_counter()
        model = estimate(corpus.ids, len(corpus.tokenizer), order)
        seconds = time.perf_counter() - started
        ours = []
        for tokens in texts:
            scores, _ = model.score(model.start(1), tokens[None])
            ours.append(math.exp(-scores.double().mean()))
        print(f"{order:5}  {ours[0]:.2f} {valid:6.2f}  {ours[1]:.2f} {test:6.2f}   {seconds:7.2f}")


if __name__ == "__main__":
    main()
