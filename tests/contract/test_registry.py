"""The registry, and the instances of its architectures that the contract tests run on."""

import subprocess
import sys

import pytest
import torch

from seqlm.models import REGISTRY, config_class, model_class
from seqlm.models.base import LanguageNetwork
from seqlm.text.vocabulary import EOS
from tests.contract.labelers import LABELERS
from tests.contract.models import (
    LANGUAGE_MODELS,
    TRANSLATORS,
    LanguageModelInstance,
    TranslatorInstance,
)
from tests.contract.word_vectors import VECTORS


def test_everything_registered_has_an_instance() -> None:
    instances = {("lm", one.arch) for one in LANGUAGE_MODELS if one.is_saved}
    instances |= {("translation", one.arch) for one in TRANSLATORS if one.is_saved}
    instances |= {(one.task, one.arch) for one in LABELERS}
    instances |= {("vectors", one.arch) for one in VECTORS}
    assert instances == {*REGISTRY}, f"only one of both has {instances ^ {*REGISTRY}}"


@pytest.mark.parametrize("instance", LANGUAGE_MODELS, ids=str)
def test_an_instance_of_a_language_model_is_described_as_it_is(
    instance: LanguageModelInstance,
) -> None:
    model = instance.build()
    assert isinstance(model, LanguageNetwork) == instance.is_network
    assert model.normalized == instance.is_normalized
    assert model.resets_at_eos == instance.resets_at_eos


@pytest.mark.parametrize("instance", TRANSLATORS, ids=str)
def test_an_instance_of_a_translator_is_described_as_it_is(instance: TranslatorInstance) -> None:
    translator = instance.build()
    state = translator.start(torch.tensor([[2, EOS]]), torch.tensor([2]))
    assert (translator.alignment(state) is not None) == instance.has_attention


@pytest.mark.parametrize(("task", "arch"), REGISTRY)
def test_the_registered_options_are_those_of_the_model(task: str, arch: str) -> None:
    assert config_class(task, arch) is model_class(task, arch).config_class


def test_options_are_known_without_an_import_of_torch() -> None:
    code = (
        "import sys; from seqlm.models import REGISTRY, config_class;"
        "[config_class(*key) for key in REGISTRY]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
