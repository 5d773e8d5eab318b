"""`seqlm eval --source F --target F`: numbers about a translator."""

from __future__ import annotations

import json as json_module
import math
from typing import TYPE_CHECKING, Any

from seqlm.cli import console
from seqlm.errors import UsageError

if TYPE_CHECKING:
    import torch
    import typer

    from seqlm.decoding.translation_search import Search
    from seqlm.evaluation.translation_quality import Evaluation
    from seqlm.runs.load_model import LoadedModel

OWN = (
    "source", "target", "beam", "length_penalty", "normalisation", "coverage_penalty", "max_ratio",
    "max_input_length", "replace_unk",
)  # fmt: skip
SHARED = (
    "model", "metric", "oracle", "seed", "json", "batch_size", "errors", "device", "num_threads",
    "quiet", "debug",
)  # fmt: skip


def is_asked(flags: typer.Context) -> bool:
    """Whether a command line of `eval` is about translations.

    Errors: UsageError where it has flags of language models as well, or of translations alone.
    """
    values, typed = flags.params, console.typed(flags)
    named = {
        name: "TEXT" if name == "text" else f"--{name.replace('_', '-')}"
        for name in values
        if name in typed and name not in SHARED
    }
    if not values["source"] and not values["target"]:
        for name in OWN:
            if name in named:
                raise UsageError(f"{named[name]} is of translations: name --source and --target")
        return False
    for name in ("source", "target"):
        if not values[name]:
            raise UsageError(f"translations are judged by two texts: name --{name} too")
    for name in named:
        if name not in OWN:
            raise UsageError(f"{named[name]} is of language models: leave it out, or --source")
    return True


def evaluate(
    source: list[str] | None,
    target: list[str] | None,
    models: list[str] | None,
    metric: list[str] | None,
    oracle: str | None,
    seed: int,
    search: Search,
    json: bool,
    batch_size: int,
    errors: str,
    device: torch.device,
) -> None:
    """Translates, scores and prints. Errors: UsageError, DataError, ModelError."""
    from seqlm.evaluation import exposure, perplexity, translation_quality
    from seqlm.runs.load_model import load_model
    from seqlm.runs.locate import locate
    from seqlm.text.bitext import read_side

    sources, targets = source or [], target or []
    console.inputs([*sources, *targets])
    wanted = perplexity.check_metrics(metric or ["bleu,chrf"], translation_quality.METRICS)
    exposure.asked(wanted, oracle is not None)
    runs = [load_model(path, device) for path in console.locate_models(models, "translation")]
    found = translation_quality.evaluate(
        runs,
        read_side(sources, errors),
        read_side(targets, errors),
        wanted,
        search,
        batch_size,
        console.Stages(),
        load_model(locate(oracle, "translation"), device) if oracle else None,
        seed,
    )
    values = {name: figure.score for name, figure in found.figures.items()}
    if json:
        print(json_module.dumps(as_object(values, found, runs)))
    else:
        console.show(values)
    if any(math.isinf(value) for value in values.values()):
        console.warn("a token has probability 0 under this model")
    console.say(
        f"{found.tally.lines} lines; {found.source.tokens} tokens of the source"
        f" ({found.source.oov} out of vocabulary), {found.tally.tokens} of the target"
        f" ({found.tally.oov} out of vocabulary)"
    )
    for name, figure in found.figures.items():
        console.say(f"{name}: {figure.signature}")


def as_object(
    values: dict[str, float], found: Evaluation, runs: list[LoadedModel]
) -> dict[str, Any]:
    from seqlm.evaluation import perplexity

    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    paths = [str(run.path) for run in runs]
    scored = found.tally.log_prob if set(values) & set(perplexity.METRICS) else None
    return {
        **finite,
        "lines": found.tally.lines,
        "tokens": found.tally.tokens,
        "oov": found.tally.oov,
        "source_tokens": found.source.tokens,
        "source_oov": found.source.oov,
        **({"log_prob": scored} if scored is not None and math.isfinite(scored) else {}),
        **({"model": paths[0]} if len(paths) == 1 else {"models": paths}),
        "signatures": {name: figure.signature for name, figure in found.figures.items()},
    }
