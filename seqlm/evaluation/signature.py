"""What a figure depends on besides the text: two can be compared where all but the model agrees.

    unit:word|vocab:V.DIGEST|oov:as-unk|context:carried|eos:scored|mode:static|arch:lstm|weights:…

A signature names the unit of text, the vocabulary, how text is normalized if it is, the direction
if lines are read backward, what out-of-vocabulary words are scored as, the context convention,
whether networks are adapted and by what constants, the models by their weights' digests, and the
version of seqlm.
"""

from __future__ import annotations

from collections.abc import Sequence

from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.text.tokenizer import Tokenizer
from seqlm.version import __version__


def language_model_signature(models: LoadedMixture, num_files: int = 1) -> str:
    """The signature of every figure of a language model or a mixture on a text, of which every file
    starts afresh: where lines see each other, the number of files matters."""
    tokenizer = models.tokenizer
    parts = {
        "unit": tokenizer.kind,
        "vocab": f"{len(tokenizer)}.{tokenizer.digest}",
        "oov": "as-unk",
    }
    if tokenizer.normalizer:
        parts["normalize"] = str(tokenizer.normalizer)
    if tokenizer.is_backward:
        parts["direction"] = tokenizer.direction
    if len(models.models) == 1:
        parts["context"] = models.contexts[0]
    if num_files > 1 and models.lines_see_each_other:
        parts["files"] = f"{num_files}-afresh"
    parts |= {"eos": "scored", "mode": "adaptive" if models.is_adaptive else "static"}
    constants = models.adaptation.with_defaults()
    if constants.active():
        parts["constants"] = constants.digest()
    if len(models.models) == 1:
        [loaded] = models.models
        parts |= {"arch": form_of(loaded), "weights": loaded.weights_digest}
    else:
        parts["mix"] = mixture_components(models)
    parts["seqlm"] = __version__
    return "|".join(f"{name}:{value}" for name, value in parts.items())


def mixture_components(models: LoadedMixture) -> str:
    """'0.9*ngram.sentence.5210e78007d6+0.1*cache.carried.500,0.008'."""
    return "+".join(
        f"{weight:.6g}*{form_of(loaded)}.{context}.{loaded.weights_digest}"
        for loaded, context, weight in zip(models.models, models.contexts, models.weights)
    )


def form_of(loaded: LoadedModel) -> str:
    """The architecture, with the form of the weights where there are several: 'ngram-compact'."""
    arch = loaded.config.arch
    return f"{arch}-compact" if loaded.config.model.get("compact") else arch


# ------------------------------------------------------------------------------------ translators


def conditional_units(source_tokenizer: Tokenizer, target_tokenizer: Tokenizer) -> str:
    """The part of a translator's perplexity: the units it counts, and those it is conditioned
    on."""
    return (
        f"unit:{target_tokenizer.kind}|vocab:{len(target_tokenizer)}.{target_tokenizer.digest}"
        f"|oov:as-unk|given:source.{source_tokenizer.kind}.{len(source_tokenizer)}"
        f".{source_tokenizer.digest}|eos:scored"
    )


def search_part(settings: TranslationSettings) -> str:
    """The part of BLEU and chrF: how the translations were found."""
    length = f"length:{settings.normalization}.{settings.length_penalty:g}"
    coverage = f"|coverage:{settings.coverage_penalty:g}" if settings.coverage_penalty else ""
    near = "" if settings.beam_threshold is None else f"|threshold:{settings.beam_threshold:g}"
    search = "greedy" if settings.greedy else f"beam:{settings.beam}|{length}{coverage}{near}"
    unknown = "|unk:replaced" if settings.replace_unk else ""
    rounded = f"|precision:{settings.precision}" if settings.precision != "float32" else ""
    return f"{search}|max-ratio:{settings.max_length_ratio:g}{unknown}{rounded}"


def model_part(models: Sequence[LoadedModel]) -> str:
    """The model, or the models of an ensemble."""
    archs = "+".join(loaded.config.arch for loaded in models)
    weights = "+".join(loaded.weights_digest for loaded in models)
    return f"arch:{archs}|weights:{weights}|seqlm:{__version__}"


def oracle_part(oracle: LoadedModel, seed: int) -> str:
    """The part of exposure: the oracle, and the seed of the model's own prefixes."""
    return f"oracle:{oracle.config.arch}.{oracle.weights_digest}|seed:{seed}"
