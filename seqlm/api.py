"""What `import seqlm` offers: count, train, load, mix, the model that these return, and export.

    import seqlm

    lm = seqlm.load("lstm")                     # a run, an ARPA file, a Hugging Face folder
    lm.score("the old man came in .")           # natural logarithm of its probability
    lm.perplexity("test.txt")
    seqlm.load("french").translate(["a dog runs ."])
    seqlm.load("tagger").tag(["a dog runs ."])
    seqlm.load("glove.txt").nearest("dog")

A setting has the name of its flag, with _ for -. Nothing here imports torch before it is needed, so
that `import seqlm` is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seqlm.arguments import (
    StrPath,
    check_choice,
    check_function,
    check_number,
    check_path,
    check_switch,
    check_text,
    each_of,
    list_numbers,
    list_paths,
    optional_path,
    wrong_argument,
)
from seqlm.errors import UsageError
from seqlm.model import Model
from seqlm.vectors import Vectors

if TYPE_CHECKING:
    import torch

    from seqlm.progress import Progress

__all__ = ["count", "export", "load", "mix", "resume", "train"]

Callback = Callable[[Mapping[str, Any]], None]
"""Called after each validation with what `metrics.jsonl` records: step, epoch, train_loss,
valid_loss, seconds, …"""


def load(name: StrPath | None = None, *, device: str | None = None) -> Model | Any:
    """The model that `name` means: a run folder, the name of a run in ./checkpoints, a checkpoint
    of a run, an ARPA file, a file of word vectors, or a folder of the library `transformers`; None
    is the run in ./checkpoints that finished last.

    It is a `Model`, or `Vectors` for word vectors, which type checkers tell by `isinstance`.
    `device` is cpu, cuda, cuda:N or mps; by default the best there is.
    Errors: ModelError where there is no such model, or it cannot be read; UsageError.
    """
    from seqlm.models import LABELERS
    from seqlm.runs.loading.locate import locate

    model_path = locate(optional_path("name", name))
    if model_path.config.task == "vectors":
        from seqlm.runs.loading.load_vectors import load_vectors

        return Vectors(load_vectors(model_path))
    if model_path.config.task in LABELERS:
        from seqlm.runs.loading.load_labeler import load_labeler

        return Model([load_labeler(model_path, set_up(device))])
    from seqlm.runs.loading.load_model import load_model

    is_ngram = model_path.config.arch == "ngram"
    return Model([load_model(model_path, set_up_ngrams(device) if is_ngram else set_up(device))])


def mix(
    models: Sequence[Model],
    weights: Sequence[float] | None = None,
    *,
    tune: StrPath | None = None,
    cache: int | None = None,
) -> Model:
    """Several models of one vocabulary as one: p = sum of weight x p (Jelinek & Mercer 1980).

    `weights` sum to 1; by default they are equal, or with `tune` those under which this held-out
    text is most probable. `cache` adds a unigram cache of so many tokens as the last model.
    Translators become an ensemble, whose weights are equal.
    Errors: ModelError where the vocabularies differ; UsageError; DataError.
    """
    listed = list_models(models)
    loaded = [each for model in listed for each in model.models_for("lm", "translation")]
    if not loaded:
        raise UsageError("there are no models to mix")
    cache = check_number("cache", cache, low=1, high=10**6, optional=True)
    held_out = optional_path("tune", tune)
    weights = None if weights is None else list_numbers("weights", weights)
    if loaded and loaded[0].config.task == "translation":
        if weights is not None or tune is not None or cache is not None:
            raise UsageError("an ensemble of translators has equal weights")
        return Model(loaded)
    from seqlm.evaluation.mixtures import tuning
    from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
    from seqlm.runs.loading.load_model import unigram_cache

    if weights is not None and tune is not None:
        raise UsageError("`tune` finds the weights: leave out one of them")
    if cache is not None:
        loaded.append(unigram_cache(loaded[0], cache))
    mixture = LoadedMixture.of(loaded, weights)
    if held_out is not None:
        text = tuning.read_held_out(mixture.tokenizer, held_out)
        mixture = tuning.tune(mixture, text)
    return Model(loaded, mixture)


def count(
    files: StrPath | Sequence[StrPath],
    *,
    output: StrPath | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> Model:
    """Counts the n-grams of a corpus, smooths them, and returns the model of the finished run.

    `settings` are those of `seqlm count`: `order`, `smoothing`, `vocab`, … `output` is the run
    folder, by default a new one in ./checkpoints. `progress` is called with each stage and its
    share done. Errors: UsageError for a setting, DataError for the text.
    """
    from seqlm.counting.counting_run import count as count_corpus
    from seqlm.counting.counting_settings import CountingSettings
    from seqlm.progress import silent
    from seqlm.runs.loading.load_model import load_model
    from seqlm.runs.loading.locate import locate
    from seqlm.settings import make_settings

    check_function("progress", progress)
    run = count_corpus(
        list_paths("files", files),
        make_settings(CountingSettings, settings),
        output=None if output is None else Path(check_path("output", output)),
        overwrite=check_switch("overwrite", overwrite),
        progress=progress or silent,
        command=["seqlm.count"],
    )
    return Model([load_model(locate(run.path))])


def train(
    corpus: StrPath | Sequence[StrPath] = (),
    *,
    valid: StrPath | Sequence[StrPath] = (),
    source: StrPath | Sequence[StrPath] = (),
    target: StrPath | Sequence[StrPath] = (),
    valid_source: StrPath | Sequence[StrPath] = (),
    valid_target: StrPath | Sequence[StrPath] = (),
    config: StrPath | None = None,
    output: StrPath | None = None,
    overwrite: bool = False,
    errors: Literal["strict", "replace"] = "strict",
    device: str | None = None,
    callback: Callback | None = None,
    **settings: Any,
) -> Model | Any:
    """Trains a network, and returns the model of the finished run.

    A language model learns from the files of `corpus`, a translator from those of `source` and
    `target`, line by line. `settings` are those of `seqlm train`: `arch`, `width`, `epochs`, `lr`,
    …; `config` is a recipe or a YAML file of more of them. `callback` is called after each
    validation with what `metrics.jsonl` records. `output` is the run folder, by default a new one
    in ./checkpoints. Errors: UsageError for a setting, DataError for a text, SeqlmError where the
    loss is not finite.
    """
    from seqlm.training.config.recipe import read_recipe
    from seqlm.training.config.resolve import resolve
    from seqlm.training.tasks.files_by_role import files_by_role
    from seqlm.training.training_run import train as train_run

    texts = {
        "corpus": corpus, "valid": valid, "source": source, "target": target,
        "valid_source": valid_source, "valid_target": valid_target,
    }  # fmt: skip
    files = {role: list_paths(role, names, least=0) for role, names in texts.items()}
    recipe = {} if config is None else read_recipe(check_path("config", config))
    implied = {"task": "translation"} if files["source"] or files["target"] else {}
    resolved, options = resolve(recipe, implied, settings)
    run = train_run(
        files_by_role(resolved, files),
        resolved,
        options,
        output=None if output is None else Path(check_path("output", output)),
        overwrite=check_switch("overwrite", overwrite),
        errors=check_choice("errors", errors, Literal["strict", "replace"]),
        device=set_up(device),
        watcher=make_watcher(callback),
        command=["seqlm.train"],
    )
    return load(run.path, device=device)


def resume(
    name: StrPath, *, device: str | None = None, callback: Callback | None = None, **settings: Any
) -> Model | Any:
    """Resumes a training that was interrupted, or trains on with more `epochs` or `steps`.

    Errors: those of `train`; UsageError where a setting cannot change.
    """
    from seqlm.runs.loading.locate import locate
    from seqlm.training.training_run import resume as resume_run

    run = resume_run(
        locate(check_path("name", name)),
        settings,
        device=set_up(device),
        watcher=make_watcher(callback),
    )
    return load(run.path, device=device)


def export(
    models: Model | Sequence[Model],
    output: StrPath,
    to: str = "arpa",
    *,
    weights: Sequence[float] | None = None,
    tune: StrPath | None = None,
    prune: float | None = None,
    prune_to: int | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> Path:
    """Writes a model in another form, and returns the path: an ARPA file (`arpa`), a run (`run`), a
    Hugging Face folder (`hf`), a list of its words (`words`) or a lexicon (`lexicon`).

    Several n-gram models, whose vocabularies may differ, become one by static interpolation. Their
    `weights` are equal by default, those of a model that `mix` has made, or with `tune` those under
    which this held-out text is most probable. `prune` and `prune_to` make an n-gram model smaller.
    `settings` are those of a lexicon, `word_end` and `letters`.
    Errors: ModelError where the form cannot express the model; UsageError; DataError.
    """
    from seqlm.runs.durable_files import write_pieces
    from seqlm.runs.export import export_ngram as ngram
    from seqlm.runs.export import word_list
    from seqlm.runs.export.export_settings import LexiconSettings, check_export
    from seqlm.settings import make_settings

    chosen = list_models(models)
    overwrite = check_switch("overwrite", overwrite)
    path = Path(check_path("output", output))
    to = check_text("to", to)
    held_out = optional_path("tune", tune)
    prune = check_number("prune", prune, float, above=0, optional=True)
    prune_to = check_number("prune_to", prune_to, low=1, optional=True)
    loaded = [each for model in chosen for each in model.models_for("lm", "translation")]
    if not loaded:
        raise UsageError("there is no model to export")
    asked = {"mix": weights, "tune": tune, "prune": prune, "prune_to": prune_to, **settings}
    check_export(to, len(loaded), [name for name, value in asked.items() if value is not None])
    sources = [each.path for each in loaded]
    if to in ("words", "lexicon"):
        lexicon = make_settings(LexiconSettings, settings)
        ngram.check_file_output(path, sources, overwrite)
        words = word_list.words_of((each.path, each.tokenizer) for each in loaded)
        is_list = to == "words"
        lines = word_list.word_lines(words) if is_list else word_list.lexicon_lines(words, lexicon)
        write_pieces(path, lines)
        return path
    if to == "hf":
        from seqlm.models.ngram.ngram_language_model import in_tensors
        from seqlm.runs.huggingface.export_huggingface import check_output, write_huggingface

        check_output(path, overwrite)
        model = in_tensors(loaded[0].model)
        write_huggingface(model, loaded[0].tokenizer, path, overwrite)
        return path
    from seqlm.evaluation.mixtures.static_mixing import mix_statically

    if to == "run":
        ngram.check_run_output(path, sources, overwrite)
    else:
        ngram.check_file_output(path, sources, overwrite)
    if weights is None and tune is None and len(chosen) == 1 and len(loaded) > 1:
        weights = chosen[0].weights
    made, _ = mix_statically(loaded, weights, held_out)
    made = ngram.prune_exported(made, prune, prune_to)
    if to == "run":
        ngram.write_run(made, path, ["seqlm.export"], overwrite)
    else:
        ngram.write_arpa(made.model, made.tokenizer, path)
    return path


def list_models(models: Any) -> list[Any]:
    """One model, or each of several. Errors: UsageError where one is none, as its name is."""
    wanted = "a model, or several, loaded first by seqlm.load"
    given = dict(each_of("models", models, (Model, Vectors), wanted))
    for place, model in given.items():
        if not isinstance(model, Model | Vectors):
            raise wrong_argument(place, model, wanted)
    return [*given.values()]


def set_up(device: str | None) -> torch.device:
    """The device that is named, or the best there is. Errors: UsageError where it is not there."""
    from seqlm.machine.device import set_up_device

    return set_up_device(None if device is None else str(device))


def set_up_ngrams(device: str | None) -> torch.device | str:
    """As `set_up`, for n-grams: by default they are asked on the CPU, without torch."""
    return "cpu" if device is None or str(device) in ("auto", "cpu") else set_up(device)


def make_watcher(callback: Callback | None) -> Any:
    """A watcher that calls `callback` after each validation."""
    from seqlm.training.watchers import SilentWatcher

    check_function("callback", callback)

    class CallbackWatcher(SilentWatcher):
        def on_validation(self, trainer: Any, figures: Mapping[str, Any], is_best: bool) -> None:
            if callback is not None:
                callback(figures)

    return CallbackWatcher()
