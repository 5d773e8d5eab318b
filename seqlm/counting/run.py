"""Counting from end to end: a corpus in, a finished run folder with an n-gram model out."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from seqlm import __version__
from seqlm.counting.estimate import estimate
from seqlm.runs.folder import RunFolder, now, write_text
from seqlm.runs.save import write_save
from seqlm.runs.vocabulary import given_tokenizer
from seqlm.text.corpus import read_corpus
from seqlm.text.reading import absolute, title
from seqlm.text.tokenizer import Kind


@dataclass(frozen=True)
class Settings:
    order: int = 5
    smoothing: str = "kneser-ney"
    add_k: float = 1.0
    discount_fallback: tuple[float, float, float] | None = None
    context: str | None = None
    """None is carried for characters, sentence for words and BPE."""
    tokenizer: Kind = "word"
    vocab: str | None = None
    vocab_size: int | None = None
    min_count: int | None = None


def count(
    sources: Sequence[str],
    settings: Settings,
    output: Path | None,
    device: torch.device,
    command: Sequence[str],
    overwrite: bool = False,
    errors: str = "strict",
    announce: Callable[[str], None] = lambda message: None,
) -> RunFolder:
    """Counts the n-grams of `sources`, smooths them, and returns the finished run.

    Errors: DataError (no text; counts too regular for Kneser-Ney), UsageError.
    """
    if output is not None:
        RunFolder.check_free(output, overwrite)
    corpus = read_corpus(
        sources,
        tokenizer=given_tokenizer(settings.vocab, settings.tokenizer),
        kind=settings.tokenizer,
        vocab_size=settings.vocab_size,
        min_count=settings.min_count,
        errors=errors,
    )
    kind = corpus.tokenizer.kind  # a given vocabulary brings its own
    context = settings.context or ("carried" if kind == "char" else "sentence")
    settings = replace(settings, tokenizer=kind, context=context)
    tokens, lines = len(corpus.ids), corpus.lines
    announce(f"corpus: {tokens:,} tokens in {lines:,} lines, {len(corpus.tokenizer):,} types")
    model = estimate(
        corpus.ids,
        len(corpus.tokenizer),
        settings.order,
        smoothing=settings.smoothing,
        context=context,
        add_k=settings.add_k,
        discount_fallback=settings.discount_fallback,
        device=device,
        progress=announce,
    )
    run = RunFolder.create(
        output or RunFolder.fresh(f"{settings.order}gram-{title(sources[0])}"), overwrite
    )
    run.write_tokenizer(corpus.tokenizer)
    config = {
        "seqlm": __version__,
        "task": "lm",
        "arch": "ngram",
        "context": context,
        "model": plain(model.settings()),
        "counting": plain(asdict(settings)),
        "data": {
            "corpus": [absolute(source) for source in sources],
            "sha256": corpus.digest,
            "tokens": tokens,
            "lines": lines,
        },
        "command": shlex.join(command),
        "finished": None,
    }
    write_save(run, tokens, model, best=True)
    config["finished"] = now()
    run.write_config(config)
    write_text(run / "README.md", readme(config, model.config.rows))
    announce(f"saved: {sum(model.config.rows):,} n-grams of orders 1 to {settings.order}")
    run.unlock()
    return run


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As YAML holds them: tuples are lists."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def readme(config: Mapping[str, Any], rows: Sequence[int]) -> str:
    data = config["data"]
    table = [f"- {n:,} n-grams of order {order}" for order, n in enumerate(rows, 1)]
    return "\n".join(
        [
            f"# {config['model']['order']}-gram model ({config['model']['smoothing']}),"
            f" counted by seqlm {config['seqlm']}",
            "",
            f"    {config['command']}",
            "",
            *table,
            "",
            f"Corpus: {', '.join(data['corpus'])} ({data['tokens']:,} tokens in"
            f" {data['lines']:,} lines), SHA-256 {data['sha256']}",
            "",
        ]
    )
