"""Nothing is registered that the laws do not see."""

import subprocess
import sys

import pytest

from seqlm.models import REGISTRY, config_class, model_class
from seqlm.models.base import LanguageNetwork
from tests.contract.models import LANGUAGE_MODELS, TRANSLATORS


def test_everything_registered_has_an_instance() -> None:
    here = {("lm", one.arch) for one in LANGUAGE_MODELS if one.is_saved}
    here |= {("translation", one.arch) for one in TRANSLATORS if one.is_saved}
    there = {key for key in REGISTRY if key[0] in ("lm", "translation")}
    assert here == there, f"tests/contract/models.py and the registry differ in {here ^ there}"


def test_every_network_is_held_to_the_laws_of_networks() -> None:
    for one in LANGUAGE_MODELS:
        assert isinstance(one.build(), LanguageNetwork) == one.is_network, str(one)


@pytest.mark.parametrize(("task", "arch"), REGISTRY)
def test_the_registered_options_are_those_of_the_model(task: str, arch: str) -> None:
    assert config_class(task, arch) is model_class(task, arch).config_class


def test_options_are_known_without_an_import_of_torch() -> None:
    code = (
        "import sys; from seqlm.models import REGISTRY, config_class;"
        "[config_class(*key) for key in REGISTRY]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
