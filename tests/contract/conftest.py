"""The models under test, as fixtures. Each test runs once for every instance of its fixture."""

import pytest
import torch

from seqlm.models.base import LanguageModel, LanguageNetwork, TranslationNetwork, Translator
from seqlm.models.labeling.labeler import Labeler
from tests.contract.labelers import LABELERS, LabelerInstance
from tests.contract.models import (
    LANGUAGE_MODELS,
    TRANSLATORS,
    LanguageModelInstance,
    TranslatorInstance,
)


@pytest.fixture(params=LANGUAGE_MODELS, ids=str)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    """Every language model."""
    instance: LanguageModelInstance = request.param
    return instance.build()


SUM_TO_ONE = [one for one in LANGUAGE_MODELS if one.is_normalized and not one.is_rounded]


@pytest.fixture(params=SUM_TO_ONE, ids=str)
def normalized_model(request: pytest.FixtureRequest) -> LanguageModel:
    """Those whose scores are probabilities."""
    instance: LanguageModelInstance = request.param
    return instance.build()


@pytest.fixture(params=[one for one in LANGUAGE_MODELS if one.resets_at_eos], ids=str)
def resetting_model(request: pytest.FixtureRequest) -> LanguageModel:
    """Those that forget a line at its end."""
    instance: LanguageModelInstance = request.param
    return instance.build()


@pytest.fixture(params=[one for one in LANGUAGE_MODELS if one.is_saved], ids=str)
def saved_model(request: pytest.FixtureRequest) -> LanguageModel:
    """Those that runs hold."""
    instance: LanguageModelInstance = request.param
    return instance.build()


@pytest.fixture(params=[one for one in LANGUAGE_MODELS if one.is_network], ids=str)
def network(request: pytest.FixtureRequest) -> LanguageNetwork:
    """Those that are neural networks."""
    instance: LanguageModelInstance = request.param
    network = instance.build()
    assert isinstance(network, LanguageNetwork)
    return network


@pytest.fixture(params=TRANSLATORS, ids=str)
def translator(request: pytest.FixtureRequest) -> Translator:
    """Every translator."""
    instance: TranslatorInstance = request.param
    return instance.build()


@pytest.fixture(params=[one for one in TRANSLATORS if one.has_attention], ids=str)
def attentive_translator(request: pytest.FixtureRequest) -> Translator:
    """Those that have attention to their source."""
    instance: TranslatorInstance = request.param
    return instance.build()


@pytest.fixture(params=[one for one in TRANSLATORS if one.is_saved], ids=str)
def translation_network(request: pytest.FixtureRequest) -> TranslationNetwork:
    """Those that are one network, not an ensemble."""
    instance: TranslatorInstance = request.param
    network = instance.build()
    assert isinstance(network, TranslationNetwork)
    return network


@pytest.fixture(params=LABELERS, ids=str)
def labeler(request: pytest.FixtureRequest) -> Labeler:
    """Every tagger and classifier."""
    instance: LabelerInstance = request.param
    return instance.build()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
