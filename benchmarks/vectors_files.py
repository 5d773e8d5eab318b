"""Files of word vectors, beside gensim and fastText: who reads what, and how fast it is written.

    python -m benchmarks.vectors_files MODEL TEXT --gensim PYTHON --fasttext PYTHON

MODEL is a run or a file of word vectors, TEXT has a sentence a line, and the two PYTHONs are
interpreters with the packages `gensim` and `fasttext` (4.4.0 and 0.9.3 for the published figures).

- The vectors are exported in every format. gensim loads each file: it prints whether all words and
  all bits are the same, and for how many of 200 words `most_similar` has the 10 words of seqlm, and
  the largest difference of a similarity.
- gensim writes its own files, which seqlm reads back.
- fastText learns TEXT, and seqlm reads the .bin: the largest difference of a number of the vectors
  of its words, and of words that it has never seen.
- Words per second that are written and read, of each program, seconds of the one thread that works.

What takes part in another interpreter imports nothing of seqlm.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ASKED, NEIGHBORS = 200, 10
FORMATS = ("word2vec", "word2vec-binary", "glove", "vec")


def words_per_second(count: int, work: Callable[[], Any]) -> float:
    """Of three times, the best."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return count / min(seconds)


# -------------------------------------------------------------------------- in other interpreters


def ask_gensim(folder: Path) -> None:
    """Loads the files of the folder, answers, and writes files of its own."""
    from gensim.models import KeyedVectors

    questions = json.loads((folder / "questions.json").read_text())
    answers: dict[str, Any] = {}
    for name in FORMATS:
        options = {"binary": name == "word2vec-binary", "no_header": name == "glove"}
        started = time.process_time()
        loaded = KeyedVectors.load_word2vec_format(str(folder / name), **options)
        seconds = time.process_time() - started
        np.save(folder / f"gensim-{name}.npy", loaded.vectors)
        answers[name] = {
            "words": loaded.index_to_key,
            "read": len(loaded.index_to_key) / seconds,
            "similar": [loaded.most_similar(word, topn=NEIGHBORS) for word in questions],
        }
    for name, binary in (("gensim-text", False), ("gensim-binary", True)):
        path = str(folder / name)
        answers[name] = words_per_second(
            len(loaded.index_to_key),
            lambda path=path, binary=binary: loaded.save_word2vec_format(path, binary=binary),
        )
    (folder / "gensim.json").write_text(json.dumps(answers))


def ask_fasttext(folder: Path, text: str) -> None:
    """Learns a text, and writes the model and the vectors of some words."""
    import fasttext

    model = fasttext.train_unsupervised(text, "skipgram", dim=50, epoch=1, bucket=50_000, thread=1)
    model.save_model(str(folder / "fasttext.bin"))
    listed = model.get_words()
    unseen = [word + "xq" for word in listed[:500]] + ["Überfrosch", "中文", "a", "zz-zz"]
    unseen = [word for word in unseen if word not in set(listed)]
    (folder / "fasttext.json").write_text(json.dumps({"listed": listed, "unseen": unseen}))
    np.save(folder / "fasttext.npy", [model.get_word_vector(word) for word in listed + unseen])


# ------------------------------------------------------------------------------------------ seqlm


def compare_gensim(model: str, python: str, folder: Path) -> None:
    import seqlm
    from seqlm.runs.vector_files.read_vectors import read_vectors

    vectors: Any = seqlm.load(model)
    count = len(vectors)
    questions = vectors.words[:: max(1, count // ASKED)][:ASKED]
    (folder / "questions.json").write_text(json.dumps(questions))
    written = {
        name: words_per_second(
            count, lambda name=name: vectors.export(folder / name, name, overwrite=True)
        )
        for name in FORMATS
    }
    run_peer(python, "gensim", folder)
    answers = json.loads((folder / "gensim.json").read_text())
    own = [vectors.nearest(word, NEIGHBORS) for word in questions]
    print(f"{count:,} words of {vectors.width} numbers\n")
    print("format          gensim reads      same 10 words   largest difference   words/s written"
          "   gensim reads   seqlm reads")  # fmt: skip
    for name in FORMATS:
        answer = answers[name]
        numbers = np.load(folder / f"gensim-{name}.npy")
        is_same = answer["words"] == vectors.words and np.array_equal(numbers, vectors.matrix)
        same, largest = 0, 0.0
        for found, theirs in zip(own, answer["similar"]):
            same += {each.word for each in found} == {word for word, _ in theirs}
            pairs = zip((each.similarity for each in found), (value for _, value in theirs))
            largest = max(largest, *(abs(one - other) for one, other in pairs))
        reading = words_per_second(count, lambda name=name: read_vectors(folder / name))
        print(
            f"{name:15} {'every bit' if is_same else 'OTHER NUMBERS':15}"
            f" {same:7} of {len(own)} {largest:20.1e} {written[name]:17,.0f}"
            f" {answer['read']:14,.0f} {reading:13,.0f}"
        )
    print("\nwritten by gensim, read by seqlm")
    for name in ("gensim-text", "gensim-binary"):
        found = read_vectors(folder / name)
        is_same = found.words == vectors.words and np.array_equal(found.vectors, vectors.matrix)
        print(f"{name:15} {'every bit' if is_same else 'OTHER NUMBERS':15}"
              f" {answers[name]:,.0f} words/s written")  # fmt: skip


def compare_fasttext(text: str, python: str, folder: Path) -> None:
    from seqlm.runs.vector_files.read_vectors import read_vectors

    run_peer(python, "fasttext", folder, text)
    words = json.loads((folder / "fasttext.json").read_text())
    expected = np.load(folder / "fasttext.npy")
    every = words["listed"] + words["unseen"]
    found = read_vectors(folder / "fasttext.bin", every)
    row_of = {word: row for row, word in enumerate(found.words)}
    print("\n.bin of fastText, read by seqlm: the largest difference of a number")
    for kind in ("listed", "unseen"):
        known = [number for number, word in enumerate(every) if word in row_of
                 and word in set(words[kind])]  # fmt: skip
        rows = found.vectors[[row_of[every[number]] for number in known]]
        print(f"{len(known):,} of {len(words[kind]):,} {kind} words   "
              f"{np.abs(rows - expected[known]).max():.1e}")  # fmt: skip


def run_peer(python: str, tool: str, folder: Path, text: str = "") -> None:
    """This file in another interpreter."""
    command = [python, __file__, str(folder), text, "--peer", tool]
    subprocess.run(command, check=True, stdout=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--gensim", metavar="PYTHON")
    parser.add_argument("--fasttext", metavar="PYTHON")
    parser.add_argument("--peer", choices=["gensim", "fasttext"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer == "gensim":
        return ask_gensim(Path(options.model))
    if options.peer == "fasttext":
        return ask_fasttext(Path(options.model), options.text)
    with tempfile.TemporaryDirectory() as folder:
        if options.gensim:
            compare_gensim(options.model, options.gensim, Path(folder))
        if options.fasttext:
            compare_fasttext(options.text, options.fasttext, Path(folder))
    return None


if __name__ == "__main__":
    main()
