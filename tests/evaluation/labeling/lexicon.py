"""Labelers whose every probability is known: a word has a distribution, whatever stands beside it.

p(label | word)       of the tagger, from a lexicon; `<unk>` is every other word
p(label | words)      of the classifier, proportional to the product of its words' weights
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from seqlm.models import model_class
from seqlm.models.stored_model import StoredModel
from seqlm.runs.checkpoint import write_checkpoint
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder
from seqlm.text.labeled.label_vocabulary import LabelColumn, LabelVocabulary
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED

Lexicon = Mapping[str, Sequence[float]]
"""The weights of the labels, by word."""


def write_tagger(path: Path, columns: Mapping[LabelColumn, Lexicon], **data: Any) -> Path:
    """A run whose tagger has a lexicon of the same words for each column. `data` is what the run
    says of its text."""
    tokenizer = tokenizer_of(next(iter(columns.values())))
    V = len(tokenizer)
    model = make("tagging", "ffnn", V, list(columns), {"window": 0, "width": V})
    model.encoder.hidden.weight.data = 20 * torch.eye(V)  # h is 1 at the word, and 0 elsewhere
    return write(path, model, "tagging", list(columns.items()), tokenizer, data)


def write_classifier(path: Path, column: LabelColumn, lexicon: Lexicon) -> Path:
    """A run whose classifier multiplies the weights of the different words in a text."""
    tokenizer = tokenizer_of(lexicon)
    V = len(tokenizer)
    model = make("classification", "cnn", V, [column], {"kernels": [1], "filters": V})
    model.encoder.filters[0].weight.data = torch.eye(V)
    return write(path, model, "classification", [(column, lexicon)], tokenizer, {})


def tokenizer_of(lexicon: Lexicon) -> Tokenizer:
    return Tokenizer("word", RESERVED + [word.encode() for word in lexicon if word != "<unk>"])


def make(task: str, arch: str, V: int, columns: list[LabelColumn], options: dict[str, Any]) -> Any:
    settings = {
        "vocab_size": V, "label_types": [len(column.labels) for column in columns],
        "character_types": 4, "affix_types": (), "column_types": (), "contextual_widths": (),
        "embedding": V, "characters": "none", "casing": False,
    }  # fmt: skip
    model = model_class(task, arch).from_settings({**settings, **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.word_features.embedding.copy_(torch.eye(V))
    return model


def write(
    path: Path,
    model: StoredModel | Any,
    task: str,
    columns: list[tuple[LabelColumn, Lexicon]],
    tokenizer: Tokenizer,
    data: dict[str, Any],
) -> Path:
    for output, (_, lexicon) in zip(model.outputs, columns):
        for word, weights in lexicon.items():
            id = tokenizer.id_of_type[word.encode()]
            output.linear.weight.data[:, id] = torch.tensor(weights).log()
    folder = RunFolder.create(path)
    folder.write_tokenizer(tokenizer)
    folder.write_labels(LabelVocabulary(task, tuple(column for column, _ in columns)))
    folder.write_config(
        RunConfig(
            task=task,
            arch="ffnn" if task == "tagging" else "cnn",
            context="sentence",
            model=model.settings(),
            data=data,
            finished="2026-11-21T00:00:00+00:00",
        )
    )
    write_checkpoint(folder, 1, model)
    folder.unlock()
    return path
