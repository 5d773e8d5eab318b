"""The flags of `train`, the settings, and the options of the architectures are the same names."""

from __future__ import annotations

import dataclasses
import typing
from types import NoneType

import pytest

from seqlm.cli.options.training_options import NAMES, SECTIONS
from seqlm.models import model_class
from seqlm.training.config.training_settings import OF_VOCABULARY, Settings, trainable

NETWORKS = [(task, arch) for task in ("lm", "translation") for arch in trainable(task)]


def test_every_setting_has_a_flag_and_every_flag_is_a_setting():
    fields = {field.name for field in dataclasses.fields(Settings)}
    for task, arch in NETWORKS:
        config = model_class(task, arch).config_class
        fields |= {field.name for field in dataclasses.fields(config)} - {*OF_VOCABULARY}
    assert sorted(NAMES) == sorted(fields | {"vocab_size", "dropout"})
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize(("task", "arch"), NETWORKS)
def test_a_flag_has_the_type_of_its_setting(task, arch):
    config = model_class(task, arch).config_class
    hints = typing.get_type_hints(config) | typing.get_type_hints(Settings)
    for line in (line for lines in SECTIONS.values() for line in lines):
        kinds = set(typing.get_args(hints.get(line.parameter))) or {hints.get(line.parameter)}
        kinds -= {NoneType}
        if line.kind is not str and line.parameter in hints:
            assert kinds == {line.kind}, line.name


def test_the_architectures_are_all_named():
    [line] = [line for line in SECTIONS["Model"] if line.name == "arch"]
    for _, arch in NETWORKS:
        assert arch in line.help


def test_help_has_sections(seqlm):
    result = seqlm("train", "--help")
    for section in ("Arguments", "Options", *SECTIONS):
        assert f"\n{section}:\n" in result.out
    assert "--norm-first / --norm-last" in result.out
