"""Nothing is registered that the laws do not see."""

from seqlm.models import REGISTRY
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
