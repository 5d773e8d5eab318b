"""`seqlm export`: models in another form: ARPA file, run, Hugging Face folder, or list of words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.mixture_options import MixtureOptions, model_option, request_mixture
from seqlm.cli.options.option_groups import make_group, parameters_of
from seqlm.cli.options.setting_options import parameter_of, with_parameters
from seqlm.counting.counting_settings import CountingSettings
from seqlm.errors import UsageError
from seqlm.runs.export.export_settings import (
    FORMATS,
    OF_NGRAMS,
    LexiconSettings,
    WeightSettings,
    check_export,
)
from seqlm.settings import settings_of

COUNTING = settings_of(CountingSettings)
PARAMETERS = [
    *parameters_of(WeightSettings),
    *(parameter_of(COUNTING[name]) for name in ("prune", "prune_to", "compact")),
    *parameters_of(LexiconSettings),
]

EXAMPLES = [
    Example(
        "Write a model as an ARPA file, and prune it on the way",
        "seqlm export -m trigram --to arpa --prune 1e-6 -o small.arpa",
    ),
    Example(
        "Write one ARPA file of two models, with weights that are tuned on held-out text",
        "seqlm export -m trigram -m small.arpa --tune corpora/prose.valid.txt --to arpa"
        " -o both.arpa",
    ),
    Example(
        "Turn an ARPA file into a run, which opens faster, in a third of the space",
        "seqlm export -m small.arpa --to run --compact -o small",
    ),
    Example(
        "Spell the words of a model for the decoder of an acoustic model",
        "seqlm export -m trigram --to lexicon -o lexicon.txt",
    ),
    Example(
        "Write a Transformer for the package transformers of Hugging Face",
        "seqlm export -m transformer --to hf -o transformer-hf",
    ),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(PARAMETERS)(export)


def export(
    *,
    to: Annotated[
        str,
        flag(
            "--to",
            help="Form to write: an ARPA file (arpa), a run folder (run), a folder for the"
            " package transformers of Hugging Face (hf), the words alone, one on each line (words),"
            " or with their spellings (lexicon).",
            metavar="|".join(FORMATS),
            autocompletion=lambda: list(FORMATS),
            rich_help_panel="Output",
        ),
    ],
    model: Annotated[
        list[str] | None,
        model_option(
            "a run, a checkpoint of it, or an ARPA file. Several n-gram models become one."
        ),
    ] = None,
    output: Annotated[
        str | None,
        flag(
            "-o",
            "--output",
            help="File (.gz compresses it; - is standard output) or folder to write."
            " [default: standard output; for a run, a new one in ./checkpoints]",
            metavar="FILE|FOLDER",
            rich_help_panel="Output",
        ),
    ] = None,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
    **values: Any,
) -> None:
    """Write a model in another form, and print the name of the file or folder.

    An n-gram model is written as an ARPA file or as a run, pruned or whole. Several are written as
    one, which has the n-grams and the words of all, each n-gram with its probability in their
    mixture. A Transformer that has the shape of GPT-2 or Llama is written as a folder with
    config.json, model.safetensors and tokenizer.json. The words of any model of words are written
    as decoders of speech read them.
    """
    path = None if output in (None, "-") else Path(str(output))
    check_export(to, len(model or [""]), [name for name, x in values.items() if x is not None])
    if to == "run" and output == "-":
        raise UsageError("a run is a folder: -o names one")
    if to == "hf" and path is None:
        raise UsageError("`to=hf` writes a folder: -o names it")
    if to == "hf":
        assert path is not None
        export_huggingface(model, path, overwrite, num_threads)
    elif to in OF_NGRAMS:
        export_ngram(model, to, path, values, overwrite, num_threads)
    else:
        export_words(model, to, path, make_group(LexiconSettings, values), overwrite)
    if path is not None and to != "run":
        print(path)


def export_huggingface(
    models: Sequence[str] | None, path: Path, overwrite: bool, num_threads: int | None
) -> None:
    source = console.locate_model(models[0] if models else None)
    console.set_up_torch("cpu", num_threads)

    from seqlm.models.ngram.ngram_language_model import in_tensors
    from seqlm.runs.huggingface.export_huggingface import check_output, write_huggingface
    from seqlm.runs.loading.load_model import load_model

    check_output(path, overwrite)  # before the model is loaded
    loaded = load_model(source)
    write_huggingface(in_tensors(loaded.model), loaded.tokenizer, path, overwrite)


def export_ngram(
    models: Sequence[str] | None,
    to: str,
    path: Path | None,
    values: Mapping[str, Any],
    overwrite: bool,
    num_threads: int | None,
) -> None:
    """Writes an ARPA file, to stdout where `path` is None, or a run, whose folder it prints."""
    request = request_mixture(list(models or []), MixtureOptions(mix=values["mix"]))
    console.set_up_for(request.models, "cpu", num_threads)

    from seqlm.evaluation.mixtures.static_mixing import mix_statically
    from seqlm.runs.export import export_ngram as ngram
    from seqlm.runs.loading.load_model import load_model

    sources = [source.path for source in request.models]
    if path is not None and to == "run":
        ngram.check_run_output(path, sources, overwrite)
    elif path is not None:
        ngram.check_file_output(path, sources, overwrite)
    progress = console.Stages()
    loaded = [load_model(source, progress=progress) for source in request.models]
    made, weights = mix_statically(loaded, request.weights, values["tune"], progress)
    if len(sources) > 1 and request.weights is None:
        found = f"tuned on {values['tune']}" if values["tune"] else "equal weights"
        console.say(f"{found}: --mix {','.join(f'{weight:.6g}' for weight in weights)}")
    del loaded
    made = ngram.prune_exported(made, values["prune"], values["prune_to"], progress)
    if values["compact"]:
        made = ngram.compact_exported(made, progress)
    if to == "run":
        print(ngram.write_run(made, path, ["seqlm", *sys.argv[1:]], overwrite).path)
    else:
        ngram.write_arpa(made.model, made.tokenizer, path, progress)


def export_words(
    models: Sequence[str] | None,
    to: str,
    path: Path | None,
    settings: LexiconSettings,
    overwrite: bool,
) -> None:
    """Writes a list of words or a lexicon, to stdout where `path` is None."""
    names: Sequence[str | None] = models or [None]
    located = [console.locate_model(name) for name in names]

    from seqlm.runs.durable_files import write_pieces
    from seqlm.runs.export.export_ngram import check_file_output
    from seqlm.runs.export.word_list import lexicon_lines, tokenizer_of, word_lines, words_of

    if path is not None:
        check_file_output(path, [model.path for model in located], overwrite)
    words = words_of((model.path, tokenizer_of(model)) for model in located)
    lines = word_lines(words) if to == "words" else lexicon_lines(words, settings)
    write_pieces(path, lines)
