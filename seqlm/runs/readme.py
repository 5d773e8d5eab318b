"""README.md of a run: what the model is, how it came to be, and how to use it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqlm.models import PREDICTORS
from seqlm.runs.run_config import RunConfig


class Kind(NamedTuple):
    """What is said of the models of a task."""

    name: str
    loss_unit: str
    uses: tuple[str, ...]
    """Commands with such a model."""


TAG = ("seqlm tag -m {run} TEXT", "seqlm eval -m {run} TEXT")
TRANSLATE = ("seqlm translate -m {run} TEXT", "seqlm eval -m {run} --source TEXT --target TEXT")
KINDS = {
    "lm": Kind(
        "language model", "nats per token", ("seqlm eval -m {run} TEXT", "seqlm sample -m {run}")
    ),
    "translation": Kind("translator", "nats per token", TRANSLATE),
    "tagging": Kind("tagger", "nats per token", TAG),
    "classification": Kind("classifier", "nats per text", TAG),
    "vectors": Kind(
        "word vectors", "per pair",
        ("seqlm vectors nearest -m {run} WORD", "seqlm eval -m {run} PAIRS"),
    ),
}  # fmt: skip
METRICS = {"accuracy": "accuracy", "f1": "F1", "macro-f1": "macro-F1"}
"""What the metrics of labels are called."""
FILES = """\
`config.yaml` holds all settings, `tokenizer.json` the vocabulary, and each folder in `steps` a
checkpoint; `best` and `latest` name one of them."""


def readme(config: RunConfig, path: Path) -> str:
    """The text for a run in the folder `path`."""
    return "\n\n".join(sections(config, path)) + "\n"


def sections(config: RunConfig, path: Path) -> Iterator[str]:
    yield f"# {title(config)}, {how_it_was_made(config)} by seqlm {config.seqlm}"
    if config.command:
        yield f"    {config.command}"
    if config.result:
        yield measured_at(config)
        yield bullet_list(figures(config))
    if config.arch == "ngram":
        rows = enumerate(config.model["rows"], 1)
        yield bullet_list(f"{count:,} n-grams of order {order}" for order, count in rows)
    if config.model.get("compact"):
        largest, mean = config.model["largest_error"], config.model["mean_error"]
        yield (
            f"Its probabilities have 8 bits: their natural logarithms are off by {mean:.4f} on"
            f" average, and by {largest:.4f} at most."
        )
    if config.exported:
        yield f"Exported from {config.exported}"
    if config.data:
        verb = "Counted from" if config.arch == "ngram" else "Trained on"
        yield f"{verb} {sizes(config)}:"
        yield bullet_list(texts(config))
    uses = KINDS[config.task].uses
    yield "\n".join(f"    {use.format(run=shlex.quote(str(path)))}" for use in uses)
    yield FILES


def bullet_list(lines: Iterator[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def title(config: RunConfig) -> str:
    """'3-gram model (witten-bell)', 'lstm language model', 'skipgram word vectors'."""
    if config.arch == "ngram":
        return f"{config.model['order']}-gram model ({config.model['smoothing']})"
    return f"{config.arch} {KINDS[config.task].name}"


def how_it_was_made(config: RunConfig) -> str:
    if config.exported:
        return "exported"
    return "counted" if config.arch == "ngram" else "trained"


def measured_at(config: RunConfig) -> str:
    """Where the figures of a trained model were measured, and on what machine."""
    result = config.result
    return (
        f"Step {result['step']}, epoch {result['epoch']}, after {result['seconds']:.0f} seconds on"
        f" {config.device} with torch {config.torch}, seed {config.settings['seed']}:"
    )


def figures(config: RunConfig) -> Iterator[str]:
    """What the best validation measured."""
    result = config.result
    yield f"training loss {result['train_loss']:.4f} {KINDS[config.task].loss_unit}"
    if "valid_loss" in result:
        loss = result["valid_loss"]
        has_perplexity = config.task in PREDICTORS
        perplexity = f", perplexity {math.exp(min(loss, 700)):.2f}" if has_perplexity else ""
        yield f"validation loss {loss:.4f}{perplexity}"
    for name in ("bleu", "chrf"):
        if f"valid_{name}" in result:
            yield f"validation {name} {result[f'valid_{name}']:.2f}"
    for name, title in METRICS.items():
        if f"valid_{name}" in result:
            yield f"validation {title} {100 * result[f'valid_{name}']:.2f} %"
    if "valid_metric" in config.data:
        yield f"its signature {config.data['valid_metric']}"


def sizes(config: RunConfig) -> str:
    """'1,234 tokens in 56 lines', '1,234 words'."""
    data = config.data
    number = f"{data['words']:,} words" if "words" in data else f"{data['tokens']:,} tokens"
    return f"{number} in {data['lines']:,} lines" if data.get("lines") else number


def texts(config: RunConfig) -> Iterator[str]:
    """The files of each role, and their digest where they were read here."""
    for role, text in config.data["texts"].items():
        digest = f", SHA-256 {text['sha256']}" if text["sha256"] else ""
        yield f"{role.replace('_', ' ')} {', '.join(text['files'])}{digest}"
