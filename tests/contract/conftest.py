"""`model` is each language model in turn, `saved` each that runs hold, `net` each network, and
`translator` each translator, `network` those of them that are one network."""

import pytest
import torch

from seqlm.models.base import LanguageModel, TranslationNetwork, Translator
from tests.contract.models import LANGUAGE_MODELS, TRANSLATORS, Instance, Translation


@pytest.fixture(params=LANGUAGE_MODELS, ids=str)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    instance: Instance = request.param
    return instance.build()


@pytest.fixture(params=[one for one in LANGUAGE_MODELS if one.is_saved], ids=str)
def saved(request: pytest.FixtureRequest) -> LanguageModel:
    instance: Instance = request.param
    return instance.build()


@pytest.fixture(params=[one for one in LANGUAGE_MODELS if one.is_network], ids=str)
def net(request: pytest.FixtureRequest) -> LanguageModel:
    instance: Instance = request.param
    return instance.build()


@pytest.fixture(params=TRANSLATORS, ids=str)
def translator(request: pytest.FixtureRequest) -> Translator:
    instance: Translation = request.param
    return instance.build()


@pytest.fixture(params=[one for one in TRANSLATORS if one.is_saved], ids=str)
def network(request: pytest.FixtureRequest) -> TranslationNetwork:
    instance: Translation = request.param
    translator = instance.build()
    assert isinstance(translator, TranslationNetwork)
    return translator


@pytest.fixture(autouse=True)
def one_thread_and_no_graph() -> None:
    torch.set_num_threads(1)
