"""`seqlm eval`: numbers about a model, or about several mixed into one.

Of language models here; `eval_translation.py` goes on where --source and --target name the text.
"""

from __future__ import annotations

import json as json_module
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console, eval_translation
from seqlm.cli.console import flag
from seqlm.cli.options import adaptation_options, mixture_options, search_options
from seqlm.errors import ModelError, UsageError

if TYPE_CHECKING:
    from seqlm.evaluation.mixture_scoring import Mix
    from seqlm.evaluation.perplexity import Tally


def evaluate(
    flags: typer.Context,
    text: Annotated[
        list[str] | None, typer.Argument(help="Text files, compressed or not; - is stdin.")
    ] = None,
    model: Annotated[list[str] | None, mixture_options.MODELS] = None,
    mix: Annotated[str | None, mixture_options.MIX] = None,
    tune: Annotated[
        str | None,
        flag("--tune", help="Held-out text to find weights and constants on that no flag gives."),
    ] = None,
    cache: Annotated[int | None, mixture_options.CACHE] = None,
    cache_decay: Annotated[float | None, mixture_options.CACHE_DECAY] = None,
    softmax_temperature: Annotated[float | None, adaptation_options.TEMPERATURE] = None,
    neural_cache: Annotated[int | None, adaptation_options.NEURAL_CACHE] = None,
    neural_cache_weight: Annotated[float | None, adaptation_options.CACHE_WEIGHT] = None,
    neural_cache_flatness: Annotated[float | None, adaptation_options.CACHE_FLATNESS] = None,
    dynamic: Annotated[int | None, adaptation_options.DYNAMIC] = None,
    dynamic_statistics: Annotated[str | None, adaptation_options.DYNAMIC_STATISTICS] = None,
    dynamic_rate: Annotated[float | None, adaptation_options.DYNAMIC_RATE] = None,
    dynamic_decay: Annotated[float | None, adaptation_options.DYNAMIC_DECAY] = None,
    stride: Annotated[
        int | None,
        flag(
            "--stride",
            help="Read windows that begin this far apart; as far as they are long is cold blocks."
            " [default: half of that]",
            min=1,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        flag(
            "--metric",
            help="ppl, ppl-excluding, cross-entropy, bits-per-token, bits-per-char or"
            " bits-per-byte; beside an --oracle kl-true-prefix, kl-own-prefix or exposure; of"
            " translations bleu and chrf; several with commas. [default: ppl; bleu,chrf]",
        ),
    ] = None,
    oracle: Annotated[
        str | None,
        flag("--oracle", help="A model that knows more, to measure exposure bias by."),
    ] = None,
    seed: Annotated[int, flag("--seed", help="Of the model's own prefixes. [default: 1]")] = 1,
    source: Annotated[
        list[str] | None, flag("--source", help="What to translate, a sentence a line.")
    ] = None,
    target: Annotated[
        list[str] | None, flag("--target", help="Its reference translation, line by line.")
    ] = None,
    beam: Annotated[int | None, search_options.BEAM] = None,
    length_penalty: Annotated[float | None, search_options.LENGTH_PENALTY] = None,
    normalisation: Annotated[str | None, search_options.NORMALISATION] = None,
    coverage_penalty: Annotated[float | None, search_options.COVERAGE_PENALTY] = None,
    max_ratio: Annotated[float | None, search_options.MAX_RATIO] = None,
    max_input_length: Annotated[int | None, search_options.MAX_INPUT_LENGTH] = None,
    replace_unk: Annotated[bool | None, search_options.REPLACE_UNK] = None,
    per_token: Annotated[
        bool, flag("--per-token", help="Print the surprisal of every token, in bits, as TSV.")
    ] = False,
    json: Annotated[bool, console.JSON] = False,
    batch_size: Annotated[
        int, flag("--batch-size", help="Lines scored together; changes no figure.", min=1)
    ] = 64,
    errors: Annotated[str, console.ERRORS] = "strict",
    device: Annotated[str | None, console.DEVICE] = None,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Score TEXT under a model, or under a mixture of several; or the translations of --source
    against --target.

    One metric prints its number alone, several a line each. The signature, on stderr, says what
    the figures depend on: only figures with equal signatures can be compared.
    """
    console.check_choice("errors", errors, ("strict", "replace"))
    if eval_translation.is_asked(flags):
        search = search_options.search(flags)
        where = console.set_up_torch(device, num_threads, float64=True)  # hypotheses are ranked
        eval_translation.evaluate(
            source, target, model, metric, oracle, seed, search, json, batch_size, errors, where
        )
        return
    sources = console.inputs(text)
    if per_token and (json or metric):
        raise UsageError("--per-token prints its own table; leave out --metric and --json")
    request = mixture_options.requested(model, mix, cache, cache_decay)
    adaptation = adaptation_options.requested(
        temperature=softmax_temperature,
        window=neural_cache,
        weight=neural_cache_weight,
        flatness=neural_cache_flatness,
        segment=dynamic,
        statistics=dynamic_statistics,
        rate=dynamic_rate,
        decay=dynamic_decay,
    )
    if tune is not None and request.weights:
        raise UsageError("--tune finds the weights that --mix gives: leave out one of them")
    if tune is not None and stride is not None:
        raise UsageError("--tune reads windows that begin half of them apart: leave out --stride")
    where = console.set_up_torch(device, num_threads)

    import numpy as np

    from seqlm.evaluation import exposure, perplexity, surprisal, tuning
    from seqlm.runs.load_model import load_model
    from seqlm.runs.locate import locate

    wanted = perplexity.check_metrics(metric or ["ppl"])
    of_exposure = exposure.asked(wanted, oracle is not None)
    for name, other in (("--tune", tune), ("--dynamic-statistics", dynamic_statistics)):
        if other is not None:
            tuning.check_held_out(other, sources, name)
    models = adaptation_options.adapted(
        mixture_options.open_mix(request, where), adaptation, errors
    )
    if stride is not None:
        models = models.in_windows(stride)
    judge = None
    if oracle is not None:
        judge = load_model(locate(oracle, "lm"), where, console.Stages())
    check_probabilities(models, per_token)
    statistics = models.adaptation.statistics_digest
    held_out = {statistics: "--dynamic-statistics"} if statistics else {}
    if tune is not None:
        models, tokens, digest = tuning.tune(models, tune, batch_size, errors, console.Stages())
        held_out[digest] = "--tune"
        console.say(f"tuned on {tokens:,} tokens of {tune}: {adaptation_options.flags(models)}")
    elif request.size > 1 and not request.weights:
        console.say(
            f"equal weights: --mix {mixture_options.listed(models)}; --tune finds better ones"
        )

    tally = perplexity.Tally()
    scored = perplexity.evaluate(models, sources, tally, batch_size, errors, per_token, held_out)
    if per_token:
        print("\t".join(surprisal.COLUMNS))
        for row in surprisal.rows(scored, models.tokenizer):
            print("\t".join(f"{v:.9g}" if isinstance(v, float) else str(v) for v in row))
    read = [each.ids for each in scored if judge is not None]
    signature = perplexity.signature(models)
    figures = {name: perplexity.METRICS[name](tally) for name in wanted if name not in of_exposure}
    if judge is not None:
        figures |= exposure.measure(models, judge, np.concatenate(read), seed)
        signature += f"|oracle:{judge.config.arch}.{judge.weights_digest}|seed:{seed}"
    values = {name: figures[name] for name in wanted}
    if json:
        print(json_module.dumps(as_object(values, tally, signature, models)))
    elif not per_token:
        console.show(values)
    if tally.literal_unk and {"bits-per-char", "bits-per-byte"} & set(wanted):
        console.warn(f"{tally.literal_unk} literal <unk> in the text: rates are lower bounds")
    if any(math.isinf(value) for value in values.values()):
        console.warn("a token has probability 0 under this model; smoothing gives it some")
    console.say(
        f"{tally.tokens} tokens, {tally.lines} of them </s>; {tally.oov} out of vocabulary,"
        f" {tally.literal_unk} literal <unk>"
    )
    console.say(signature)


def check_probabilities(mix: Mix, per_token: bool) -> None:
    """What gives scores has no figures, but can be looked at token by token. Errors: ModelError."""
    for one in mix.models:
        if not one.model.normalized:
            fault = f"{one.path} gives scores, not probabilities"
            if not per_token:
                raise ModelError(f"{fault}: it has no perplexity (--per-token prints its scores)")
            console.warn(f"{fault}: what is printed is -log2 of them, and no surprisal")


def as_object(values: dict[str, float], tally: Tally, signature: str, mix: Mix) -> dict[str, Any]:
    finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
    paths = [str(one.path) for one in mix.models]
    return {
        **finite,
        "tokens": tally.tokens,
        "lines": tally.lines,
        "oov": tally.oov,
        "literal_unk": tally.literal_unk,
        "bytes": tally.bytes,
        "characters": tally.characters,
        "log_prob": tally.log_prob if math.isfinite(tally.log_prob) else None,
        "lower_bound": bool(tally.literal_unk),
        **({"model": paths[0]} if len(paths) == 1 else {"models": paths, "weights": mix.weights}),
        "mode": "adaptive" if mix.is_adaptive else "static",
        **({"constants": constants} if (constants := mix.adaptation.settled().values()) else {}),
        "signature": signature,
    }
