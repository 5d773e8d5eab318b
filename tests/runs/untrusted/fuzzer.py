"""A fuzzer of run folders: whatever is done to a file, a run is refused in one line, or gives the
answer that it gave before, or signs another one.

    answer      the scores of a text, with their signature
    refused     an error of exit status 4 (of a recipe, 2), in one line
    told        the figures have changed, and so has the signature
    silent      the figures have changed, and the signature has not    \\
    internal    any other exception, or a message in words of Python   |  these are faults
    hang        no answer within SECONDS                               /

One file of a small run is changed at a time (`mutations.py`); half the time the digests in the
manifest are made anew, as somebody would who wants to deceive.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import torch

from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.decoding.text_generation import samples
from seqlm.decoding.translation.forced_decoding import token_log_probs
from seqlm.errors import ModelError, SeqlmError, UsageError
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.evaluation.scoring import Scorer
from seqlm.evaluation.signature import conditional_units, language_model_signature, model_part
from seqlm.evaluation.vectors.nearest_words import cosine
from seqlm.evaluation.vectors.vector_test_settings import VectorTestSettings
from seqlm.evaluation.vectors.vectors_signature import vectors_signature
from seqlm.models.base import Translator
from seqlm.runs.checkpoint import load_training
from seqlm.runs.loading.load_model import LoadedModel, build_model, check_config, load_model
from seqlm.runs.loading.load_vectors import LoadedVectors, load_vectors
from seqlm.runs.loading.locate import locate
from seqlm.runs.management.run_summary import describe
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.untrusted.file_digest import BLOCK
from seqlm.text.reading import Block
from seqlm.training.config.recipe import read_recipe
from seqlm.training.config.resolve import resolve
from seqlm.training.resuming import restore_training
from seqlm.training.stored_state import part
from seqlm.training.trainer import Trainer
from seqlm.training.training_run import (
    check_figures,
    check_settings,
    complete_settings,
    make_trainer,
    reload_corpus,
)
from tests.command import seqlm_inside
from tests.runs.untrusted.mutations import Random, mutate

SECONDS = 5.0
TEXT = b"a b c d\nb c a\n\nd d a b zzz\n"
RUNS = {
    "ngram": ["count", "c.txt", "-n", "3", "--discount-fallback"],
    "compact": ["count", "c.txt", "-n", "3", "--discount-fallback", "--compact"],
    "stupid": ["count", "c.txt", "-n", "2", "--smoothing", "stupid-backoff",
               "--context", "carried"],
    "lstm": ["train", "c.txt", "--valid", "c.txt", "--width", "4", "--layers", "1"],
    "chars": ["train", "c.txt", "--arch", "gru", "--tokenizer", "char", "--width", "4",
              "--layers", "1", "--average", "ema", "--context", "sentence"],
    "transformer": ["train", "c.txt", "--arch", "transformer", "--tokenizer", "bpe",
                    "--vocab-size", "270", "--width", "4", "--layers", "1", "--heads", "2",
                    "--seq-length", "8"],
    "translator": ["train", "--source", "c.txt", "--target", "d.txt", "--arch", "lstm",
                   "--separate-vocab", "--tokenizer", "word", "--width", "4", "--layers", "1"],
    "skipgram": ["train", "c.txt", "--task", "vectors", "--width", "4", "--subsample", "0"],
    "fasttext": ["train", "c.txt", "--task", "vectors", "--width", "4", "--arch", "fasttext",
                 "--ngram-min", "1", "--buckets", "7"],
}  # fmt: skip
VECTORS = ("skipgram", "fasttext")
PYTHON = re.compile(
    r"\b\w+(Error|Exception)\b|\bsys\.|\bcodec\b|\b(indices|object|argument|literal|torch|state_dict"
    r"|NoneType|subscriptable|unhashable|dtype|operands?|iterable|deserializ\w+|recursion)\b"
    r"|<unicode string>|<byte string>|^'\w*'$"
)
"""What Python and its libraries say to programmers."""
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
TRAINING = ["--steps", "2", "--min-count", "1"]


class Answer(NamedTuple):
    signature: str
    figures: tuple[bytes, ...]
    """Of float64."""


def has_nan(answer: Answer) -> bool:
    return any(np.isnan(np.frombuffer(scores)).any() for scores in answer.figures)


class Fault(NamedTuple):
    kind: str
    run: str
    file: str
    number: int
    """Of the mutation, which `python -m benchmarks.fuzz_runs --only` repeats."""
    text: str


class Hang(BaseException):
    """SECONDS have passed."""


# ------------------------------------------------------------------------------------ small runs


def make_runs(folder: Path, names: Sequence[str] = tuple(RUNS)) -> None:
    """The runs `names`, of which one is `ngram`, in `folder`, which is the working folder."""
    rng = random.Random(1)
    lines = [" ".join(rng.choices("abcd", k=rng.randrange(1, 7))) for _ in range(40)]
    folder.mkdir()
    Path("c.txt").write_text("\n".join(lines) + "\n")
    Path("d.txt").write_text("\n".join(line.upper() for line in lines) + "\n")
    for name in names:
        command = RUNS[name]
        options = TRAINING if command[0] == "train" else []
        result = seqlm_inside(*command, *options, "-o", folder / name)
        assert result.code == 0, result.err
    result = seqlm_inside("export", "-m", folder / "ngram", "--to", "arpa", "-o", folder / "x.arpa")
    assert result.code == 0, result.err


def forge_entry(data: bytes, in_blocks: bool) -> dict[str, Any]:
    """What a manifest says of a file."""
    if not in_blocks:
        return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    blocks = [hashlib.sha256(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    root = hashlib.sha256(b"".join(block.digest() for block in blocks))
    return {
        "sha256": (root if len(blocks) > 1 else blocks[0]).hexdigest(),
        "bytes": len(data),
        "blocks": [block.hexdigest() for block in blocks],
    }


def files_of(run: Path) -> list[str]:
    names = [str(path.relative_to(run)) for path in sorted(run.rglob("*")) if path.is_file()]
    return [name for name in names if name not in ("README.md", "lock")]


# ---------------------------------------------------------------------------------------- answers


def answer_of(path: Path) -> Answer:
    model_path = locate(path)
    if model_path.config.task == "vectors":
        return vectors_answer(load_vectors(model_path))
    loaded = load_model(model_path)
    if isinstance(loaded.model, Translator):
        return translator_answer(loaded, loaded.model)
    mixture = LoadedMixture.of([loaded])
    ids = loaded.tokenizer.encode(Block(TEXT, "text", 1))
    scores = Scorer(loaded.model, loaded.config.context)(ids).log_probs
    return Answer(language_model_signature(mixture), (scores.tobytes(),))


def sample_of(path: Path) -> Answer:
    loaded = load_model(locate(path, "lm"))
    model = LoadedMixture.of([loaded]).as_language_model()
    list(samples(model, loaded.tokenizer, [""], GenerationSettings(max_tokens=3, seed=1)))
    return Answer("", ())


def translator_answer(loaded: LoadedModel, model: Translator) -> Answer:
    source_tokenizer = loaded.source_tokenizer or loaded.tokenizer
    source = torch.from_numpy(source_tokenizer.encode(Block(b"a b c\n", "s", 1)).astype(np.int64))
    target = torch.from_numpy(loaded.tokenizer.encode(Block(b"A B B\n", "t", 1)).astype(np.int64))
    with torch.inference_mode():
        state = model.start(source[None], torch.tensor([len(source)]))
        scores = token_log_probs(model, state, target[None]).double().numpy()
    units = conditional_units(source_tokenizer, loaded.tokenizer)
    return Answer(f"{units}|{model_part([loaded])}", (scores.tobytes(),))


def vectors_answer(table: LoadedVectors) -> Answer:
    """The similarities of some words, which may have no vector, with their signature."""
    words = ["a", "b", "c", "d", "abcd"]
    found = {word: table.vectors[row] for word in words if (row := table.row(word)) is not None}
    if table.compose is not None:
        found |= dict(zip(*table.compose([word for word in words if word not in found])))
    figures = [cosine(found[a], found[b]) if a in found and b in found else -2.0
               for a in words for b in words]  # fmt: skip
    signature = vectors_signature(
        table, ["spearman"], VectorTestSettings(), 0, 0,
        has_formula=False, composes=table.compose is not None,
    )  # fmt: skip
    return Answer(signature, (np.array(figures).tobytes(),))


class Resumption:
    """Resumes a run up to its next step; its text is read once."""

    def __init__(self, path: Path) -> None:
        config = RunFolder(path).read_config()
        self.corpus = reload_corpus(RunFolder(path), config)

    def __call__(self, path: Path) -> Answer:
        run = RunFolder(path)
        config = run.read_config()
        options = check_config(run, config)
        weights, state = load_training(run)
        network = build_model(config, options, {n: t.clone() for n, t in weights.items()}, path)
        settings = check_settings(run, {**config.settings, **part(state.values, "settings")})
        settings = complete_settings(settings, network, self.corpus, torch.device("cpu"))
        check_figures(run)
        trainer: Trainer = make_trainer(network.train(), self.corpus, settings)
        restore_training(trainer, weights, state)
        trainer.step()
        run.truncate_metrics(trainer.progress.step)
        return Answer("", ())


def recipe_answer(path: Path) -> Answer:
    resolve(read_recipe(str(path / "config.yaml")))
    return Answer("", ())


def description(path: Path) -> Answer:
    json.dumps(describe(RunFolder(path)))
    return Answer("", ())


# ------------------------------------------------------------------------------------- the fuzzer


class Fuzzer:
    """Changes one file at a time of the runs `names` in `folder`, in a copy beside it."""

    def __init__(self, folder: Path, seed: int = 0, names: Sequence[str] = tuple(RUNS)) -> None:
        self.folder, self.seed = folder, seed
        self.copy = folder.with_name(folder.name + "-copy")
        self.names = names
        make_runs(folder, names)
        shutil.copytree(folder, self.copy)
        self.contents = {
            (name, file): (folder / name / file).read_bytes()
            for name in self.names
            for file in files_of(folder / name)
        }
        self.contents["x.arpa", ""] = (folder / "x.arpa").read_bytes()
        self.answers = {name: answer_of(self.copy / name) for name in [*self.names, "x.arpa"]}
        trained = [name for name in self.names if RUNS[name][0] == "train"]
        self.resumptions = {name: Resumption(self.copy / name) for name in trained}
        self.outcomes: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.slowest = 0.0

    def run(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.one(number)

    def one(self, number: int) -> None:
        """Mutation `number`, which depends on the seed and on nothing before it."""
        rng = random.Random(f"{self.seed}:{number}")
        name, file = rng.choice(sorted(self.contents))
        path = self.copy / name / file if file else self.copy / name
        data = self.contents[name, file]
        others = [key for key in sorted(self.contents) if key[1] == file and key[0] != name]
        other = self.contents[rng.choice(others)] if others else b""
        touched = [path]
        if rng.random() < 0.02:
            put_something_else(path, rng)
        else:
            path.write_bytes(mutate(path.name, data, other, rng))
            if file and rng.random() < 0.5:
                touched += forge_manifest(self.copy / name)
        started = time.perf_counter()
        try:
            for read, refusals in self.readers(name, file, rng):
                self.read(read, refusals, name, file, number)
        finally:
            self.slowest = max(self.slowest, time.perf_counter() - started)
            for each in touched:
                restore(each, self.contents[name, str(each.relative_to(self.copy / name))]
                        if file else data)  # fmt: skip

    def readers(
        self, name: str, file: str, rng: Random
    ) -> Iterator[tuple[Callable[[Path], Answer], tuple[type[SeqlmError], ...]]]:
        """What reads the file, and the errors that may refuse it."""
        is_training = "training" in file or file == "metrics.jsonl"
        if not is_training:
            yield answer_of, (ModelError,)
        if not is_training and name not in ("translator", *VECTORS) and rng.random() < 0.1:
            yield sample_of, (ModelError,)
        if name in self.resumptions and (is_training or rng.random() < 0.1):
            yield self.resumptions[name], (ModelError, UsageError)  # settings that do not suit
        if file in ("config.yaml", "metrics.jsonl") and rng.random() < 0.3:
            yield description, (ModelError,)
        if file == "config.yaml" and rng.random() < 0.3:
            yield recipe_answer, (UsageError,)

    def read(
        self, read: Callable[[Path], Answer], refusals: tuple[type[SeqlmError], ...], name: str,
        file: str, number: int,
    ) -> None:  # fmt: skip
        path = self.copy / name
        try:
            with warnings.catch_warnings(), limited_time():
                warnings.simplefilter("ignore")
                answer = read(path)
        except SeqlmError as error:
            text = str(error)
            is_line = "\n" not in text and len(text) < 1000
            is_plain = not PYTHON.search(QUOTED.sub("", text))
            if not isinstance(error, refusals) or not is_line or not is_plain:
                self.fault("internal", name, file, number, f"{type(error).__name__}: {text}")
            else:
                self.outcomes["refused"] += 1
                self.messages[text.replace(str(self.copy), "")[:60]] += 1
            return
        except Hang:
            self.fault("hang", name, file, number, traceback.format_exc())
            return
        except Exception:
            self.fault("internal", name, file, number, traceback.format_exc())
            return
        expected = self.answers[name]
        if has_nan(answer):
            self.fault("internal", name, file, number, "a score is NaN")
        elif not answer.signature or answer == expected:
            self.outcomes["read"] += 1
        elif answer.signature != expected.signature:
            self.outcomes["told"] += 1
        else:
            self.fault("silent", name, file, number, f"{answer} for {expected}")

    def fault(self, kind: str, name: str, file: str, number: int, text: str) -> None:
        self.outcomes[kind] += 1
        self.faults.append(Fault(kind, name, file, number, text))


@contextmanager
def limited_time() -> Iterator[None]:
    def give_up(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def put_something_else(path: Path, rng: Random) -> None:
    """What is no file in the place of a file, or nothing."""
    path.unlink()
    match rng.randrange(5):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to("nowhere")
        case 3:
            path.symlink_to(path.name)


def restore(path: Path, data: bytes) -> None:
    if path.is_dir():
        path.rmdir()
    elif path.is_symlink() or not path.is_file():
        path.unlink(missing_ok=True)
    path.write_bytes(data)


def forge_manifest(run: Path) -> list[Path]:
    """Makes the digests in the manifests of a run anew; returns the manifests."""
    manifests = sorted(run.glob("steps/*/manifest.json"))
    for path in manifests:
        try:
            manifest = json.loads(path.read_bytes())
            for name in manifest:
                folder = run if "tokenizer" in name else path.parent
                data = (folder / name).read_bytes()
                manifest[name] = forge_entry(data, in_blocks="blocks" in manifest[name])
            path.write_text(json.dumps(manifest))
        except (OSError, ValueError, TypeError, RecursionError):
            continue
    return manifests
