"""The flags of `train` are made from the settings and the options of the architectures."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import typer

from seqlm.cli.app import app
from seqlm.cli.options.training_options import training_flags
from seqlm.models import config_class
from seqlm.models.config.labeler_config import LabelerSizes
from seqlm.settings import settings_of
from seqlm.text.bpe.bpe_learning import DEFAULT_BPE_SIZE
from seqlm.training.config.resolve import resolve, trainable
from seqlm.training.config.training_settings import (
    CHANGEABLE,
    DROPOUTS,
    SECTIONS,
    TrainingSettings,
)

TASKS = ("lm", "translation", "tagging", "classification", "vectors")
NETWORKS = [(task, arch) for task in TASKS for arch in trainable(task)]
FLAGS = {flag.setting.name: flag for flag in training_flags()}
OF_VOCABULARY = {"vocab_size", "source_vocab_size", "ngram_types", "ngram_rows", "ngram_terms"} | {
    field.name for field in dataclasses.fields(LabelerSizes)
}
"""Fields of a model's configuration that its text decides."""


def parameters() -> dict[str, Any]:
    command: Any = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    command = command.make_context("train", []).command
    return {parameter.name: parameter for parameter in command.params}


def all_settings() -> list[Any]:
    classes = [TrainingSettings, *(config_class(*network) for network in NETWORKS)]
    return [setting for each in classes for setting in settings_of(each).values()]


def test_every_field_is_a_setting_and_has_a_flag():
    fields = {field.name for field in dataclasses.fields(TrainingSettings)}
    assert fields == settings_of(TrainingSettings).keys()
    for network in NETWORKS:
        own = {field.name for field in dataclasses.fields(config_class(*network))} - OF_VOCABULARY
        assert own == settings_of(config_class(*network)).keys()
        fields |= own
    assert FLAGS.keys() == fields | {"dropout"}
    assert FLAGS.keys() <= parameters().keys()
    assert {*CHANGEABLE, *DROPOUTS} <= FLAGS.keys()


def test_every_number_has_a_range_and_every_none_a_meaning():
    for setting in all_settings():
        if setting.kind in (int, float, tuple):
            assert setting.range_text(), setting.name
        if setting.optional:
            assert setting.none_text, setting.name
        assert setting.section in SECTIONS
        assert setting.help.endswith(".")
        assert setting.help[0].isupper()


def test_defaults_are_within_their_range():
    for network in NETWORKS:
        task, arch = network
        settings, model = resolve({"task": task, "arch": arch})
        defaults = {
            name: option.default for name, option in settings_of(config_class(*network)).items()
        }
        resolve(model, {"task": task, "arch": arch}, {"seed": settings.seed}, allow_unused=True)
        resolve(defaults, {"task": task, "arch": arch}, allow_unused=True)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("epochs", "6; translation: 15; tagging: 10; classification: 10;"
                   " classification by bag-of-ngrams: 3; vectors: 5; vectors by glove: 25;"
                   " vectors by ppmi-svd: 10"),
        ("task", "lm"),
        ("arch", "lstm; translation: transformer; vectors: skipgram"),
        ("layers", "2; transformer, s4d, mamba, mamba2: 4; translation: 3;"
                   " translation by rnn, lstm, gru: 1; tagging by rnn, lstm, gru: 1;"
                   " classification by rnn, lstm, gru: 1"),
        ("weight_decay", "0; with the default `optimizer`, transformer: 0.1"),
        ("label_smoothing", "0; with `softmax=full`, translation: 0.1"),
        ("epsilon", "1e-8; with the default `optimizer`, lstm: 0.0001"),
        ("warmup", "0; transformer: 0.05; translation: 0.1; tagging by transformer: 0.1;"
                   " classification by transformer: 0.1"),
        ("dropout_hidden", "0.1; translation: 0.2; translation by rnn, lstm, gru: 0.3; tagging: 0;"
                           " tagging by transformer: 0.2; classification: 0;"
                           " classification by transformer: 0.2"),
        ("dropout_output", "0.2; translation: 0; translation by rnn, lstm, gru: 0.3; tagging: 0.5;"
                           " classification: 0.5"),
        ("optimizer", "adamw; classification by bag-of-ngrams: adagrad; vectors: implicit-sgd;"
                      " vectors by glove: adagrad; vectors by ppmi-svd: orthogonal-iteration;"
                      " with `average=nt-asgd`: sgd"),
        ("activation", "tanh; transformer: gelu; translation: gelu; tagging by transformer: gelu;"
                       " classification by transformer: gelu"),
        ("affixes", "4; classification: 0"),
        ("noise_exponent", "0.75; fasttext: 0.5"),
        ("window", "2; vectors: 5; vectors by glove: 15"),
        ("state_size", "16; s4d: 64"),
        ("tied", "`tied`"),
        ("peephole", ""),
        ("vocab_size", f"all types; bpe: {DEFAULT_BPE_SIZE}"),
        ("patience", "3; with `average=nt-asgd`: never"),
    ],
)  # fmt: skip
def test_defaults_are_written_by_architecture(name, default):
    assert FLAGS[name].default == default


@pytest.mark.parametrize(
    ("name", "architectures"),
    [
        ("layers", "rnn, lstm, gru, transformer, s4d, mamba, mamba2"),
        ("peephole", "lstm for language modeling; lstm for tagging; lstm for classification"),
        ("heads", "transformer"),
        ("experts", "transformer for language modeling"),
        ("attention", "rnn, lstm, gru for translation"),
        ("batch_tokens", "translation"),
        ("valid_fraction", "language modeling; tagging; classification; word vectors"),
        ("window", "ffnn for tagging; word vectors"),
        ("negatives", "skipgram, cbow, fasttext"),
        ("buckets", "bag-of-ngrams, fasttext"),
        (
            "dropout_attention",
            "transformer for language modeling; translation; transformer for"
            " tagging; transformer for classification",
        ),
    ],
)
def test_the_architectures_of_an_option_are_named(name, architectures):
    assert FLAGS[name].architectures == architectures


def test_choices_are_those_of_all_architectures():
    assert FLAGS["activation"].setting.choices == ("tanh", "relu", "gelu", "gelu-tanh", "swiglu")
    assert FLAGS["arch"].setting.choices == tuple(dict.fromkeys(arch for _, arch in NETWORKS))
    for name, flag in FLAGS.items():
        if flag.setting.choices:
            completed = parameters()[name].shell_complete(None, flag.setting.choices[0][:2])
            assert flag.setting.choices[0] in [item.value for item in completed]


def test_help_has_sections(seqlm):
    result = seqlm("train", "--help")
    text = " ".join(result.out.split())
    for section in ("Input", *SECTIONS, "Output", "Options"):
        assert f"\n{section}:\n" in result.out
    assert "--pre-norm / --post-norm" in result.out
    assert "--schedule constant|linear|cosine|one-cycle|plateau|wsd" in text
    assert "[needs --schedule wsd; from 0 to 1; default: 0.1]" in text
    assert "[transformer; default: 4 x --width; with swiglu 8/3 x --width]" in text
    assert "`" not in result.out
