"""`seqlm sample`: text from a language model, or from several mixed into one."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterable
from functools import partial
from typing import Annotated

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options import mixture_options
from seqlm.errors import UsageError


def sample(
    model: Annotated[list[str] | None, mixture_options.MODELS] = None,
    mix: Annotated[str | None, mixture_options.MIX] = None,
    cache: Annotated[int | None, mixture_options.CACHE] = None,
    cache_decay: Annotated[float | None, mixture_options.CACHE_DECAY] = None,
    prompt: Annotated[
        str, flag("--prompt", help="Text to go on from; - reads prompts from stdin, one a line.")
    ] = "",
    num_samples: Annotated[
        int, flag("--num-samples", "-n", help="Samples of each prompt. [default: 10]", min=1)
    ] = 10,
    max_tokens: Annotated[
        int, flag("--max-tokens", help="The most tokens of a sample. [default: 200]", min=1)
    ] = 200,
    stop: Annotated[
        str, flag("--stop", help="eos ends a sample with its line; none goes on. [default: eos]")
    ] = "eos",
    temperature: Annotated[
        float, flag("--temperature", "-t", help="Below 1 is safer, 0 is greedy. [default: 1]")
    ] = 1.0,
    top_k: Annotated[int | None, flag("--top-k", help="Keep the K likeliest tokens.")] = None,
    top_p: Annotated[
        float | None, flag("--top-p", help="Keep the likeliest that hold this mass.")
    ] = None,
    min_p: Annotated[
        float | None, flag("--min-p", help="Keep those this likely beside the likeliest.")
    ] = None,
    repetition_penalty: Annotated[
        float,
        flag(
            "--repetition-penalty",
            help="Above 1, what the text has held is less likely; 1.2 is usual. [default: 1]",
        ),
    ] = 1.0,
    no_repeat_ngram: Annotated[
        int | None,
        flag("--no-repeat-ngram", help="No N tokens in a row occur twice, the prompt's included."),
    ] = None,
    beam: Annotated[
        int | None,
        flag("--beam", help="Do not draw: search the likeliest, this wide.", min=1, max=1 << 16),
    ] = None,
    nbest: Annotated[
        int, flag("--nbest", help="Continuations a beam prints. [default: 1]", min=1)
    ] = 1,
    length_penalty: Annotated[
        float,
        flag("--length-penalty", help="Above 0, a beam prefers longer ones. [default: 0]", min=0),
    ] = 0.0,
    seed: Annotated[int, flag("--seed", help="Equal seeds give equal samples. [default: 1]")] = 1,
    json: Annotated[bool, console.JSON] = False,
    device: Annotated[str | None, console.DEVICE] = None,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Print samples of a model, or of a mixture of several, one a line, as they are generated."""
    console.check_choice("stop", stop, ("eos", "none"))
    if beam is not None and (temperature != 1.0 or top_k or top_p or min_p or stop == "none"):
        raise UsageError("--beam searches and does not draw: no --temperature, --top-*, --stop")
    if beam is None and (nbest > 1 or length_penalty):
        raise UsageError("--nbest and --length-penalty are about what a --beam finds")
    if beam is not None and nbest > beam:
        raise UsageError(f"--nbest {nbest} needs a --beam at least as wide")

    request = mixture_options.requested(model, mix, cache, cache_decay)
    if prompt == "-" and sys.stdin.isatty():
        console.say("prompts, one a line; Ctrl-D ends")
    from seqlm.decoding import sampling
    from seqlm.decoding.repetition import repetition
    from seqlm.decoding.sampling_noise import Noise
    from seqlm.decoding.token_choice import chooser
    from seqlm.text.reading import read_lines

    choose = partial(chooser, temperature, top_k, top_p, min_p, repetition_penalty, no_repeat_ngram)
    choose(noise=Noise.of(seed, []))  # refuses what is out of range before anything is loaded
    where = console.set_up_torch(device, num_threads, float64=True)  # to draw and rank in
    opened = mixture_options.open_mix(request, where)
    if request.size > 1 and not request.weights:
        console.say(f"equal weights: --mix {mixture_options.listed(opened)}")
    language_model, tokenizer = opened.decodable(), opened.tokenizer
    prompts: Iterable[str] = read_lines(["-"], errors="replace") if prompt == "-" else [prompt]
    if beam is not None:
        avoid = partial(repetition, repetition_penalty, no_repeat_ngram)
        beams = sampling.best(
            language_model, tokenizer, prompts, beam, nbest, max_tokens, length_penalty, avoid
        )
        found = (each for ranked in beams for each in ranked)
        if json:
            print(
                json_module.dumps({"found": [each._asdict() for each in found]}, ensure_ascii=False)
            )
            return
        for each in found:
            sys.stdout.write(each.text)
            sys.stdout.flush()
        return
    pieces = sampling.sample(
        language_model, tokenizer, prompts, num_samples, choose, seed, max_tokens, stop == "eos"
    )
    if json:
        texts: dict[int, str] = {}
        for piece in pieces:
            texts[piece.number] = texts.get(piece.number, "") + piece.text
        print(
            json_module.dumps({"samples": list(texts.values()), "seed": seed}, ensure_ascii=False)
        )
        return
    for piece in pieces:
        sys.stdout.write(piece.text)
        sys.stdout.flush()
