"""The types of several models: the same in all but for their numbers, or those of all together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from seqlm.errors import ModelError
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.text.tokenizer import Tokenizer, have_equal_ids


def common_ids(models: Sequence[LoadedModel]) -> np.ndarray:
    """(M, V) int64: the id that each of `models` gives to type v of the first.

    Errors: ModelError where they split text differently, or do not have the same types.
    """
    return np.stack([corresponding_ids(models[0], model) for model in models])


def corresponding_ids(model: LoadedModel, other: LoadedModel) -> np.ndarray:
    """(V,) int64: the ids that `other` gives to the types of `model`. Errors: ModelError."""
    tokenizer, other_tokenizer = model.tokenizer, other.tokenizer
    if have_equal_ids(tokenizer, other_tokenizer):
        return np.arange(len(tokenizer))
    check_units(model, other)
    if examples := types_lacking(model, other) or types_lacking(other, model):
        raise ModelError(
            f"{refused(model, other)}: they need the same types, but have {len(tokenizer):,} and"
            f" {len(other_tokenizer):,}; {examples}"
            f" (`seqlm train --vocab {model.path}` and `seqlm count --vocab {model.path}` make"
            " models with the vocabulary of the first)"
        )
    check_merges(model, other)
    return np.array([other_tokenizer.id_of_type[type_] for type_ in tokenizer.types])


def united_tokenizer(models: Sequence[LoadedModel]) -> Tokenizer:
    """The types of the first model, then those that the others add.

    Errors: ModelError where the models split text differently.
    """
    first = models[0].tokenizer
    if all(have_equal_ids(first, model.tokenizer) for model in models):
        return first
    types = dict.fromkeys(first.types)
    for model in models[1:]:
        check_units(models[0], model)
        check_merges(models[0], model)
        types |= dict.fromkeys(model.tokenizer.types)
    return Tokenizer(first.kind, list(types), first.merges, first.normalizer)


def check_units(model: LoadedModel, other: LoadedModel) -> None:
    """Errors: ModelError where two models split text into tokens of different kinds."""
    tokenizer, other_tokenizer = model.tokenizer, other.tokenizer
    if tokenizer.kind != other_tokenizer.kind:
        raise ModelError(
            f"{refused(model, other)}: the tokens of one are of kind {tokenizer.kind}, of the other"
            f" {other_tokenizer.kind}"
        )
    if tokenizer.normalizer.steps != other_tokenizer.normalizer.steps:
        names = (str(each.normalizer) or "nothing" for each in (tokenizer, other_tokenizer))
        raise ModelError(
            f"{refused(model, other)}: they normalize text by {' and by '.join(names)}"
        )
    if tokenizer.direction != other_tokenizer.direction:
        raise ModelError(
            f"{refused(model, other)}: one reads lines {tokenizer.direction}, the other"
            f" {other_tokenizer.direction}"
        )
    if tokenizer.kind == "pretrained":
        raise ModelError(f"{refused(model, other)}: their pretrained tokenizers are not the same")


def check_merges(model: LoadedModel, other: LoadedModel) -> None:
    """Errors: ModelError where two BPE models merge differently."""
    if model.tokenizer.merges != other.tokenizer.merges:
        raise ModelError(
            f"{refused(model, other)}: they have the same types, but merge them in another order"
        )


def refused(model: LoadedModel, other: LoadedModel) -> str:
    """How errors begin."""
    return f"{model.path} and {other.path} cannot be mixed"


def types_lacking(model: LoadedModel, other: LoadedModel) -> str:
    """'only A has 'x', 'y', 'z'': the first types of `model` that `other` lacks, or ''."""
    index = other.tokenizer.id_of_type
    lacking = (type_ for type_ in model.tokenizer.types if type_ not in index)
    examples = [repr(type_.decode(errors="backslashreplace")) for type_ in islice(lacking, 3)]
    return f"only {model.path} has {', '.join(examples)}" if examples else ""
