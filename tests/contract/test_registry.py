"""Nothing is registered that the laws do not see."""

from seqlm.models import REGISTRY, model_class
from seqlm.models.base import Network
from tests.contract.models import LANGUAGE_MODELS


def test_every_registered_language_model_has_an_instance() -> None:
    here = {("lm", one.arch) for one in LANGUAGE_MODELS}
    missing = {key for key in REGISTRY if key[0] == "lm"} - here
    assert not missing, f"tests/contract/models.py has no instance of {sorted(missing)}"


def test_every_network_is_held_to_the_laws_of_networks() -> None:
    for one in LANGUAGE_MODELS:
        assert issubclass(model_class("lm", one.arch), Network) == one.is_network, str(one)
