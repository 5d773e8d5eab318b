"""Every smoothing on the Penn Treebank: the table of docs/explanation/smoothing.md.

    python benchmarks/ngram_ptb.py FOLDER        with train.txt, valid.txt and test.txt

Prints test perplexities over all 82 430 tokens, with `</s>` and with `<unk>` as a word like any
other. The k of add-k, the weights of Jelinek-Mercer and the weight of the cache are tuned on
valid.txt.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from seqlm.counting.estimation.counts_of_counts import lmplz_corrections
from seqlm.counting.estimation.estimate import estimate_from_counts
from seqlm.counting.estimation.prepare_counts import prepare_counts
from seqlm.counting.smoothing.smoothing_methods import method_of, tune_smoothing
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.evaluation.mixtures.mixture_weights import fit_weights
from seqlm.models.ngram.ngram_language_model import NGramLanguageModel
from seqlm.models.wrappers.unigram_cache import UnigramCache, UnigramCacheConfig
from seqlm.text.corpus import Corpus, read_corpus

ORDERS = (1, 2, 3, 4, 5)
CUT = (0, 0, 1)
METHODS = [
    Smoothing(),
    Smoothing(backoff=True),
    Smoothing(cutoffs=CUT),
    Smoothing(backoff=True, cutoffs=CUT),
    Smoothing("kneser-ney"),
    Smoothing("kneser-ney", backoff=True),
    Smoothing("absolute"),
    Smoothing("absolute", backoff=True),
    Smoothing("jelinek-mercer"),
    Smoothing("good-turing"),
    Smoothing("good-turing", cutoffs=CUT),
    Smoothing("witten-bell"),
    Smoothing("witten-bell", backoff=True),
    Smoothing("add-k"),
    Smoothing("add-k", add_k=1.0),
    Smoothing("mle"),
]


class Texts(NamedTuple):
    train: Corpus
    valid: np.ndarray  # (N,) ids
    test: np.ndarray


def estimate(texts: Texts, smoothing: Smoothing, order: int, tune: bool) -> NGramLanguageModel:
    size = len(texts.train.tokenizer)
    tables = count_ngrams(texts.train.ids, size, order)
    if tune:
        smoothing = tune_smoothing(smoothing, tables, size, "sentence", texts.valid)
    counts = prepare_counts(tables, smoothing, lmplz_corrections(texts.train.ids, size, order))
    return NGramLanguageModel(estimate_from_counts(counts, smoothing, size))


def log_probs(model: NGramLanguageModel | UnigramCache, ids: np.ndarray) -> np.ndarray:
    """(N,) float64."""
    scores, _ = model.score(model.start(1), torch.from_numpy(ids.astype(np.int64))[None])
    return scores[0].double().numpy()


def perplexity(logs: np.ndarray) -> str:
    mean = -float(logs.mean())
    return "∞" if math.isinf(mean) else f"{math.exp(mean):.2f}"


def name(smoothing: Smoothing, tune: bool) -> str:
    parts = [smoothing.method, *(["--backoff"] if smoothing.backoff else [])]
    parts += [f"--cutoffs {','.join(map(str, smoothing.cutoffs))}"] if smoothing.cutoffs else []
    parts += ["--tune"] if tune else ["--add-k 1"] if smoothing.method == "add-k" else []
    return f"`{' '.join(parts)}`"


def row(texts: Texts, smoothing: Smoothing, tune: bool) -> str:
    cells = []
    for order in ORDERS:
        try:
            cells.append(perplexity(log_probs(estimate(texts, smoothing, order, tune), texts.test)))
        except ValueError:  # its discounts cannot be estimated
            cells.append("-")
    return f"| {name(smoothing, tune)} | {' | '.join(cells)} |"


def with_cache(texts: Texts, order: int) -> str:
    model = estimate(texts, Smoothing(), order, tune=False)
    cache = UnigramCache(UnigramCacheConfig(model.config.vocab_size))
    both = [
        np.stack([log_probs(model, ids), log_probs(cache, ids)], 1)
        for ids in (texts.valid, texts.test)
    ]
    weights, _ = fit_weights(np.exp(both[0]))
    return perplexity(np.log(np.exp(both[1]) @ weights))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    train = read_corpus([str(folder / "train.txt")])
    held_out = [read_corpus([str(folder / f)], train.tokenizer) for f in ("valid.txt", "test.txt")]
    texts = Texts(train, held_out[0].ids, held_out[1].ids)
    started = time.perf_counter()
    print(f"| smoothing | {' | '.join(f'order {k}' for k in ORDERS)} |")
    print(f"|---|{'---|' * len(ORDERS)}")
    for number, smoothing in enumerate(METHODS):
        is_first = smoothing.method not in [earlier.method for earlier in METHODS[:number]]
        print(row(texts, smoothing, method_of(smoothing).tune is not None and is_first), flush=True)
    cells = " | ".join(with_cache(texts, order) if order > 1 else "-" for order in ORDERS)
    print(f"| `modified-kneser-ney` and `eval --cache 500 --tune` | {cells} |")
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
