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
from seqlm.cli.options.setting_options import with_parameters
from seqlm.cli.options.spelling import blame_file, spell_as_flags
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
    Example("Learn word vectors", "seqlm train --task vectors corpora/prose.train.txt -o words"),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(training_parameters())(train)


def train(
    flags: typer.Context,
    corpus: Annotated[list[str] | None, console.CORPUS] = None,
    valid: Annotated[
        list[str] | None,
        input_flag("--valid", "Text to validate a language model, a labeler or word vectors on."),
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
    """Train a neural language model on CORPUS, or with --task a tagger, a classifier of text or
    word vectors; or train a translator on --source and --target. Print the run folder that holds
    the model. Ctrl-C saves a checkpoint and says how to resume.

    Several --valid, --source or other texts are read one after the other.
    """
    started = time.perf_counter()
    parallel = {
        "source": source, "target": target,
        "valid_source": valid_source, "valid_target": valid_target,
    }  # fmt: skip
    given = {name: value for name, value in settings.items() if value is not None}
    console.check_choice("errors", errors, ("strict", "replace"))

    from seqlm.runs.loading.locate import locate
    from seqlm.training import training_run
    from seqlm.training.config.recipe import read_recipe
    from seqlm.training.config.resolve import resolve
    from seqlm.training.tasks.files_by_role import files_by_role

    if resume is not None:
        typed = console.typed_parameters(flags)  # and not by variables, which are for new runs
        if typed - WITH_RESUME - (settings.keys() - {DROPOUT.name}):
            raise UsageError("`resume` continues with the text and the settings of its run")
        given = {k: v for k, v in given.items() if k in typed}
        resumed = training_run.check_resumable(locate(resume))
        stored = resumed.config
        device, num_threads = device or stored.device, num_threads or stored.threads
    else:
        implied = {"task": "translation"} if source or target else {}
        recipe = read_recipe(config) if config else {}
        try:
            run_settings, options = resolve(recipe, implied, given)
        except UsageError as error:
            blame_file(error, str(config), recipe.keys() - given.keys())
            raise
        texts = {"corpus": corpus, "valid": valid, **parallel}
        files_of_roles = {role: names or [] for role, names in texts.items()}
        if run_settings.task != "translation" and not any(parallel.values()):
            files_of_roles["corpus"] = console.files_or_stdin(corpus)
        files = files_by_role(run_settings, files_of_roles)
    torch_device = console.set_up_torch(device, num_threads)
    progress = Progress()
    try:
        if resume is not None:
            run = training_run.resume(
                resumed, given, device=torch_device, watcher=progress, started=started
            )
        else:
            command = ["seqlm", *sys.argv[1:]]
            run = training_run.train(
                files, run_settings, options, output=output, overwrite=overwrite, errors=errors,
                device=torch_device, watcher=progress, command=command, started=started,
            )  # fmt: skip
    finally:
        progress.close()
    print(run.path)


LABEL_METRICS = {"accuracy": "accuracy", "f1": "F1", "macro-f1": "macro-F1"}
"""What the metrics of a labeler are called."""


class Progress:
    """One live line on a terminal, plain lines elsewhere."""

    interval = 30.0  # seconds between plain lines

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None
        self.is_live = console.is_tty(sys.stderr) and not console.quiet
        self.start: tuple[float, int, int] | None = None  # time, tokens and steps at the first step
        self.last_line = time.perf_counter()

    def on_message(self, message: str) -> None:
        self.say(spell_as_flags(message))

    def on_step(self, trainer: Trainer, loss: float) -> None:
        progress, now = trainer.progress, time.perf_counter()
        if self.start is None:
            self.start = now, progress.tokens, progress.step
            return
        time_before, tokens_before, steps_before = self.start
        seconds, steps = now - time_before, progress.step - steps_before
        number = (progress.tokens - tokens_before) / seconds
        speed = f"{number:,.0f} {trainer.batches.unit}/s"
        shown_loss = format_loss(loss, trainer.settings.task)
        if self.is_live:
            from tqdm import tqdm

            self.bar = self.bar or tqdm(
                total=trainer.total_steps, initial=progress.step, dynamic_ncols=True,
                bar_format="{percentage:3.0f}% {bar} {n_fmt}/{total_fmt} ETA {remaining}{postfix}",
            )  # fmt: skip
            self.bar.total = trainer.total_steps  # which `minutes` may change
            self.bar.set_postfix_str(f"{shown_loss}, {speed}", refresh=False)
            self.bar.update(progress.step - self.bar.n)
        elif now - self.last_line > self.interval:
            self.last_line = now
            remaining = seconds / steps * (trainer.total_steps - progress.step)
            console.say(
                f"step {progress.step}/{trainer.total_steps}  {shown_loss}"
                f"  {speed}  ETA {console.duration(remaining)}"
            )

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        task = trainer.settings.task
        line = f"epoch {figures['epoch']}  step {figures['step']}"
        line += f"  train {format_loss(figures['train_loss'], task)}"
        if "valid_loss" in figures:
            line += f"  valid {format_loss(figures['valid_loss'], task)}"
        if "valid_bleu" in figures:
            line += f", BLEU {figures['valid_bleu']:.2f}, chrF {figures['valid_chrf']:.2f}"
        for name, title in LABEL_METRICS.items():
            if f"valid_{name}" in figures:
                line += f", {title} {100 * figures[f'valid_{name}']:.2f} %"
        line += "  *" if is_best else ""
        line += f"  {console.duration(figures['seconds'])}"
        progress = trainer.progress
        if progress.done and progress.step < trainer.total_steps:
            line += f"\nno improvement in {trainer.early_stopping.bad_evals} validations"
            line += f" (--patience): training ends at step {progress.step:,}"
            line += f" of {trainer.total_steps:,}"
        self.say(line)

    def say(self, message: str) -> None:
        """Prints lines, above the live one where there is one."""
        if self.bar is not None:
            self.bar.write(message, file=sys.stderr)
        else:
            console.say(message)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def format_loss(loss: float, task: str) -> str:
    """The loss, and the perplexity of a model that predicts tokens."""
    from seqlm.models import PREDICTORS

    if task not in PREDICTORS:
        return f"loss {loss:.4f}"
    ppl = math.exp(min(loss, 700))
    return f"loss {loss:.4f}, ppl {ppl:.2f}" if ppl < 1e6 else f"loss {loss:.4g}, ppl {ppl:.3g}"
