"""`seqlm train`: any neural model."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.settings import takes_settings

if TYPE_CHECKING:
    from tqdm import tqdm

    from seqlm.training.loop import Trainer


@takes_settings
def train(
    flags: typer.Context,
    corpus: Annotated[
        list[str] | None, typer.Argument(help="Text files, compressed or not; - is stdin.")
    ] = None,
    valid: Annotated[list[str] | None, flag("--valid", help="Text to validate on.")] = None,
    config: Annotated[
        str | None,
        flag("--config", help="YAML of settings, or a recipe, as ptb-lstm."),
    ] = None,
    output: Annotated[Path | None, console.OUTPUT] = None,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    resume: Annotated[
        str | None, flag("--resume", help="Go on with this run, with its corpus and settings.")
    ] = None,
    errors: Annotated[str, console.ERRORS] = "strict",
    device: Annotated[str | None, console.DEVICE] = None,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
    **settings: Any,
) -> None:
    """Train a neural language model on CORPUS.

    Prints the run's folder. Ctrl-C saves and says how to resume.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    console.check_choice("errors", errors, ("strict", "replace"))

    from seqlm.errors import UsageError
    from seqlm.runs.folder import find_run
    from seqlm.training import run
    from seqlm.training.settings import read_recipe, resolve

    if resume is not None:
        typed = console.typed(flags)  # variables are for new runs: this one has its settings
        if typed & {"corpus", "valid", "config", "dropout", "output", "overwrite", "errors"}:
            raise UsageError("--resume goes on with the corpus and settings of its run")
        given = {k: v for k, v in given.items() if k in typed}
        resumed, _ = find_run(resume)
        stored = run.resumable(resumed)
        device, num_threads = device or stored["device"], num_threads or stored["threads"]
    else:
        own, options = resolve(read_recipe(config) if config else {}, given)
        sources = console.inputs(corpus)
        if "-" in sources and "-" in (valid or []):
            raise UsageError("standard input is the corpus; --valid needs a file")
        if valid and own.valid_fraction:
            raise UsageError("--valid and --valid-fraction are two answers to one question")
    where = console.set_up_torch(device, num_threads)
    progress = Progress()
    try:
        if resume is not None:
            done = run.resume(resumed, given, where, progress, console.say)
        else:
            command = ["seqlm", *sys.argv[1:]]
            done = run.train(
                sources, valid or [], own, options, output, where, progress, command,
                overwrite, errors, console.say,
            )  # fmt: skip
    finally:
        progress.close()
    print(done.path)


class Progress:
    """One live line on a terminal, plain lines elsewhere."""

    every = 30.0  # seconds between plain lines

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None
        self.live = console.is_tty(sys.stderr) and not console.quiet
        self.began: tuple[float, int, int] | None = None  # time, tokens and step at the first look
        self.told = time.perf_counter()

    def stepped(self, trainer: Trainer, loss: float) -> None:
        progress, now = trainer.progress, time.perf_counter()
        if self.began is None:
            self.began = now, progress.tokens, progress.step
            return
        start, tokens, step = self.began
        speed = (progress.tokens - tokens) / (now - start)
        if self.live:
            from tqdm import tqdm

            self.bar = self.bar or tqdm(
                total=trainer.steps, initial=progress.step, dynamic_ncols=True,
                bar_format="{percentage:3.0f}% {bar} {n_fmt}/{total_fmt} ETA {remaining}{postfix}",
            )  # fmt: skip
            self.bar.set_postfix_str(f"{figures(loss)}, {speed:,.0f} tokens/s", refresh=False)
            self.bar.update(progress.step - self.bar.n)
        elif now - self.told > self.every:
            self.told = now
            left = (now - start) / (progress.step - step) * (trainer.steps - progress.step)
            console.say(
                f"step {progress.step}/{trainer.steps}  {figures(loss)}"
                f"  {speed:,.0f} tokens/s  ETA {console.duration(left)}"
            )

    def validated(self, trainer: Trainer, row: Mapping[str, Any], best: bool) -> None:
        line = f"epoch {row['epoch']}  step {row['step']}  train {figures(row['train_loss'])}"
        if "valid_loss" in row:
            line += f"  valid {figures(row['valid_loss'])}{'  *' if best else ''}"
        line += f"  {console.duration(row['seconds'])}"
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        else:
            console.say(line)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def figures(loss: float) -> str:
    ppl = math.exp(min(loss, 700))
    return f"loss {loss:.4f}, ppl {ppl:.2f}" if ppl < 1e6 else f"loss {loss:.4g}, ppl {ppl:.3g}"
