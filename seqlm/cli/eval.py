"""`seqlm eval`: numbers about a model."""

from __future__ import annotations

import json as json_module
import math
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.console import flag

if TYPE_CHECKING:
    from seqlm.evaluation.perplexity import Tally


def evaluate(
    text: Annotated[
        list[str] | None, typer.Argument(help="Text files, compressed or not; - is stdin.")
    ] = None,
    model: Annotated[str | None, console.MODEL] = None,
    metric: Annotated[
        list[str] | None,
        flag(
            "--metric",
            help="ppl, ppl-excluding, cross-entropy, bits-per-token, bits-per-char or"
            " bits-per-byte; several with commas. [default: ppl]",
        ),
    ] = None,
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
    """Score TEXT under a model.

    One metric prints its number alone, several a line each. The signature, on stderr, says what
    the figures depend on: only figures with equal signatures can be compared.
    """
    from seqlm.errors import UsageError

    sources = console.inputs(text)
    console.check_choice("errors", errors, ("strict", "replace"))
    if per_token and (json or metric):
        raise UsageError("--per-token prints its own table; leave out --metric and --json")

    from seqlm.runs.folder import find_run

    run, save = find_run(model)
    where = console.set_up_torch(device, num_threads)

    from seqlm.evaluation import perplexity, surprisal
    from seqlm.runs.save import load

    wanted = perplexity.check_metrics(metric or ["ppl"])
    loaded = load(run, save, where)
    tally = perplexity.Tally()
    scored = perplexity.evaluate(loaded, sources, tally, batch_size, errors, per_token)
    if per_token:
        print("\t".join(surprisal.COLUMNS))
        for row in surprisal.rows(scored, loaded.tokenizer):
            print("\t".join(f"{v:.9g}" if isinstance(v, float) else str(v) for v in row))
    else:
        for _ in scored:
            pass
    signature = perplexity.signature(loaded)
    values = {name: perplexity.METRICS[name](tally) for name in wanted}
    if json:
        print(json_module.dumps(as_object(values, tally, signature, str(run.path))))
    elif not per_token:
        show(values)
    if tally.literal_unk and {"bits-per-char", "bits-per-byte"} & set(wanted):
        console.warn(f"{tally.literal_unk} literal <unk> in the text: rates are lower bounds")
    if any(math.isinf(value) for value in values.values()):
        console.warn("a token has probability 0 under this model; smoothing gives it some")
    console.say(
        f"{tally.tokens} tokens, {tally.lines} of them </s>; {tally.oov} out of vocabulary,"
        f" {tally.literal_unk} literal <unk>"
    )
    console.say(signature)


def show(values: dict[str, float]) -> None:
    """A number alone, `metric<TAB>value` lines, or on a terminal a small table."""
    if console.is_tty(sys.stdout):
        from rich.console import Console
        from rich.table import Table

        table = Table("metric", show_header=False, box=None)
        table.add_column(justify="right")
        for name, value in values.items():
            table.add_row(name, f"{value:.6g}")
        Console().print(table)
    elif len(values) == 1:
        print(f"{next(iter(values.values())):.10g}")
    else:
        for name, value in values.items():
            print(f"{name}\t{value:.10g}")


def as_object(values: dict[str, float], tally: Tally, signature: str, model: str) -> dict[str, Any]:
    finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
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
        "model": model,
        "signature": signature,
    }
