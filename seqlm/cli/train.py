"""`seqlm train`: any neural model."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.console import flag, input_flag
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.setting_options import takes
from seqlm.cli.options.spelling import blame_file
from seqlm.cli.options.training_options import training_parameters
from seqlm.errors import UsageError
from seqlm.training.config.training_settings import DROPOUT

if TYPE_CHECKING:
    from tqdm import tqdm

    from seqlm.training.trainer import Trainer

WITH_RESUME = {"resume", "device", "num_threads", "quiet", "debug"}
"""Parameters that `--resume` takes, beside settings."""


EXAMPLES = [
    Example(
        "Train an LSTM and validate it after each epoch",
        "seqlm train corpora/prose.train.txt --valid corpora/prose.valid.txt --epochs 5 -o lstm",
    ),
    Example(
        "Train a Transformer on byte pair encodings",
        "seqlm train corpora/prose.train.txt --arch transformer --tokenizer bpe -o transformer",
    ),
    Example(
        "Train a translator, a GRU with attention",
        "seqlm train --source corpora/courtyard.train.en --target corpora/courtyard.train.fr"
        " --arch gru --tokenizer word -o french",
    ),
]


def make_command() -> Callable[..., Any]:
    return takes(training_parameters())(train)


def train(
    flags: typer.Context,
    corpus: Annotated[list[str] | None, console.CORPUS] = None,
    valid: Annotated[
        list[str] | None, input_flag("--valid", "Text to validate a language model on.")
    ] = None,
    source: Annotated[list[str] | None, console.SOURCE] = None,
    target: Annotated[list[str] | None, console.TARGET] = None,
    valid_source: Annotated[
        list[str] | None, input_flag("--valid-source", "Source text to validate a translator on.")
    ] = None,
    valid_target: Annotated[
        list[str] | None,
        input_flag("--valid-target", "Translation of the source text to validate on."),
    ] = None,
    config: Annotated[
        str | None,
        input_flag("--config", "YAML file of settings, or the name of a recipe, e.g. ptb-lstm."),
    ] = None,
    resume: Annotated[
        str | None,
        flag(
            "--resume",
            help="Run to continue, with its text and its settings.",
            metavar="RUN",
            autocompletion=console.run_names,
            rich_help_panel="Input",
        ),
    ] = None,
    output: Annotated[Path | None, console.OUTPUT] = None,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    errors: Annotated[str, console.ERRORS] = "strict",
    device: Annotated[str | None, console.DEVICE] = None,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
    **settings: Any,
) -> None:
    """Train a neural language model on CORPUS, or a translator on --source and --target. Print the
    run folder that holds the model. Ctrl-C saves a checkpoint and says how to resume.

    Several --valid, --source or other texts are read one after the other.
    """
    parallel = {
        "source": source, "target": target,
        "valid_source": valid_source, "valid_target": valid_target,
    }  # fmt: skip
    given = {name: value for name, value in settings.items() if value is not None}
    console.check_choice("errors", errors, ("strict", "replace"))

    from seqlm.runs.locate import locate
    from seqlm.training import training_run
    from seqlm.training.config.recipe import read_recipe
    from seqlm.training.config.resolve import resolve
    from seqlm.training.tasks.files_by_role import files_by_role

    if resume is not None:
        typed = console.typed(flags)  # variables are for new runs: this one has its settings
        if typed - WITH_RESUME - (settings.keys() - {DROPOUT.name}):
            raise UsageError("`resume` continues with the text and the settings of its run")
        given = {k: v for k, v in given.items() if k in typed}
        run_path = training_run.check_resumable(locate(resume))
        stored = run_path.config
        device, num_threads = device or stored.device, num_threads or stored.threads
    else:
        asked = {"task": "translation"} if source or target else {}
        recipe = read_recipe(config) if config else {}
        try:
            chosen, options = resolve(recipe, asked, given)
        except UsageError as error:
            blame_file(error, str(config), recipe.keys() - given.keys())
            raise
        texts = {"corpus": corpus, "valid": valid, **parallel}
        named = {role: names or [] for role, names in texts.items()}
        if chosen.task == "lm" and not any(parallel.values()):
            named["corpus"] = console.inputs(corpus)
        files = files_by_role(chosen, named)
    where = console.set_up_torch(device, num_threads)
    progress = Progress()
    try:
        if resume is not None:
            done = training_run.resume(run_path, given, device=where, watcher=progress)
        else:
            command = ["seqlm", *sys.argv[1:]]
            done = training_run.train(
                files, chosen, options, output=output, overwrite=overwrite, errors=errors,
                device=where, watcher=progress, command=command,
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

    def on_message(self, message: str) -> None:
        console.say(message)

    def on_step(self, trainer: Trainer, loss: float) -> None:
        progress, now = trainer.progress, time.perf_counter()
        if self.began is None:
            self.began = now, progress.tokens, progress.step
            return
        start, tokens, step = self.began
        speed = (progress.tokens - tokens) / (now - start)
        if self.live:
            from tqdm import tqdm

            self.bar = self.bar or tqdm(
                total=trainer.total_steps, initial=progress.step, dynamic_ncols=True,
                bar_format="{percentage:3.0f}% {bar} {n_fmt}/{total_fmt} ETA {remaining}{postfix}",
            )  # fmt: skip
            self.bar.set_postfix_str(f"{figures(loss)}, {speed:,.0f} tokens/s", refresh=False)
            self.bar.update(progress.step - self.bar.n)
        elif now - self.told > self.every:
            self.told = now
            left = (now - start) / (progress.step - step) * (trainer.total_steps - progress.step)
            console.say(
                f"step {progress.step}/{trainer.total_steps}  {figures(loss)}"
                f"  {speed:,.0f} tokens/s  ETA {console.duration(left)}"
            )

    def on_validation(self, trainer: Trainer, row: Mapping[str, Any], best: bool) -> None:
        line = f"epoch {row['epoch']}  step {row['step']}  train {figures(row['train_loss'])}"
        if "valid_loss" in row:
            line += f"  valid {figures(row['valid_loss'])}"
        if "valid_bleu" in row:
            line += f", BLEU {row['valid_bleu']:.2f}, chrF {row['valid_chrf']:.2f}"
        line += "  *" if best else ""
        line += f"  {console.duration(row['seconds'])}"
        progress = trainer.progress
        if progress.done and progress.step < trainer.total_steps:
            line += f"\nno gain in {trainer.early_stopping.bad_evals} validations (--patience)"
            line += f": it ends at step {progress.step:,} of {trainer.total_steps:,}"
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
