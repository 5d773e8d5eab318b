"""gensim's and fastText's training of word vectors, for `word_vectors.py`.

    PYTHON word_vector_peers.py TIMES SETTINGS

PYTHON is an interpreter that has the packages, and SETTINGS the JSON of `Settings` there. Writes
the vectors in the tool's binary format, and to TIMES, as JSON, the seconds and the processor
seconds of the training loop: reading the text first and counting its words is left out.

gensim reads the text in one of three ways: `list`, lines as lists of words in memory; `lines`, its
LineSentence; `file`, its `corpus_file`, of which each thread reads a part. fastText tells its own
speed; its processor seconds are those of the whole process in the same time.

Learning rates are those that each tool has by default. This file imports nothing of seqlm.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Settings = dict[str, Any]
Times = dict[str, float]


def train_gensim(settings: Settings) -> Times:
    from gensim.models import FastText, Word2Vec
    from gensim.models.fasttext import save_facebook_model
    from gensim.models.word2vec import LineSentence

    text, reading, is_hs = settings["text"], settings["reading"], settings["hierarchical_softmax"]
    options = {
        "sg": int(settings["predict"] == "skipgram"),
        "hs": int(is_hs),
        "negative": 0 if is_hs else settings["negatives"],
        "vector_size": settings["width"],
        "window": settings["window"],
        "min_count": settings["min_count"],
        "sample": settings["sample"],
        "workers": settings["threads"],
        "seed": settings["seed"],
    }
    source: dict[str, Any]
    if reading == "file":
        source = {"corpus_file": text}
    elif reading == "lines":
        source = {"corpus_iterable": LineSentence(text)}
    else:
        with Path(text).open(encoding="utf-8") as lines:
            source = {"corpus_iterable": [line.split() for line in lines]}
    if settings["has_ngrams"]:
        model = FastText(**options, min_n=3, max_n=6, bucket=2_000_000, ns_exponent=0.5)
    else:
        model = Word2Vec(**options)
    model.build_vocab(**source)
    if reading == "file":
        source["total_words"] = model.corpus_total_words
    else:
        source["total_examples"] = model.corpus_count

    started, cpu_before = time.perf_counter(), time.process_time()
    model.train(**source, epochs=settings["epochs"])
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_before
    if settings["has_ngrams"]:
        save_facebook_model(model, settings["output"])
    else:
        model.wv.save_word2vec_format(settings["output"], binary=True)
    return {"seconds": seconds, "cpu": cpu}


def train_fasttext(settings: Settings) -> Times:
    from fasttext import FastText

    FastText.unsupervised_default["seed"] = settings["seed"]  # it is no argument
    shortest, longest = (3, 6) if settings["has_ngrams"] else (0, 0)

    def train() -> Any:
        return FastText.train_unsupervised(
            settings["text"],
            model=settings["predict"],
            loss="hs" if settings["hierarchical_softmax"] else "ns",
            neg=settings["negatives"],
            dim=settings["width"],
            ws=settings["window"],
            minCount=settings["min_count"],
            t=settings["sample"],
            minn=shortest,
            maxn=longest,
            epoch=settings["epochs"],
            thread=settings["threads"],
            verbose=1,
        )

    with CPUClock() as clock:
        model, log = with_stderr(train)
    model.save_model(settings["output"])
    seconds = fasttext_seconds(log, Path(settings["text"]), settings["epochs"], settings["threads"])
    return {"seconds": seconds, "cpu": clock.last(seconds)}


def fasttext_seconds(log: str, text: Path, epochs: int, threads: int) -> float:
    """The time of the loop, from the speed that fastText prints at its end. It counts the ends of
    lines as words."""
    [*_, rate] = re.findall(r"Progress: 100\.0% words/sec/thread: +(\d+)", log)
    with text.open("rb") as lines:
        tokens = sum(len(line.split()) + 1 for line in lines)
    return epochs * tokens / (int(rate) * threads)


def with_stderr(work: Callable[[], Any]) -> tuple[Any, str]:
    """The result of `work`, and what it writes to standard error, also from C++."""
    ours = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            result = work()
        finally:
            os.dup2(ours, 2)
        log.seek(0)
        return result, log.read().decode()


class CPUClock:
    """Knows the processor time of this process at every time since its beginning."""

    INTERVAL = 0.02  # seconds

    def __enter__(self) -> CPUClock:
        self.readings = [self.now()]
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join()
        self.readings.append(self.now())

    def now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def run(self) -> None:
        while not self.is_over.wait(self.INTERVAL):
            self.readings.append(self.now())

    def last(self, seconds: float) -> float:
        """The processor time of the last `seconds`."""
        end, cpu = self.readings[-1]
        return cpu - next(before for at, before in self.readings if at >= end - seconds)


if __name__ == "__main__":
    asked = json.loads(sys.argv[2])
    trained = {"gensim": train_gensim, "fastText": train_fasttext}[asked["tool"]](asked)
    Path(sys.argv[1]).write_text(json.dumps(trained))
