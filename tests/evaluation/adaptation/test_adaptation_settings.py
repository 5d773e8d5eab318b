"""The constants of adaptation: their defaults, their ranges and their digest."""

from __future__ import annotations

from typing import Any

import pytest

from seqlm.errors import UsageError
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation

BOTH = Adaptation(neural_cache=500, dynamic=20, dynamic_statistics="a text", statistics_digest="d")


def test_what_is_switched_on_has_defaults():
    constants = BOTH.with_defaults()
    assert constants.with_defaults() == constants
    assert None not in constants.given().values()
    assert constants.dynamic_lr == 0.0003
    assert Adaptation(dynamic=20).with_defaults().dynamic_lr == 0.1
    assert Adaptation(dynamic=20).with_defaults().neural_cache_weight is None
    assert Adaptation().with_defaults().active() == {}


def test_a_digest_tells_constants_apart():
    renamed = Adaptation(
        neural_cache=500, dynamic=20, dynamic_statistics="b", statistics_digest="d"
    )
    # The text counts, not its name.
    assert renamed.with_defaults().digest() == BOTH.with_defaults().digest()
    others = [
        BOTH,
        Adaptation(neural_cache=500),
        Adaptation(neural_cache=400),
        Adaptation(softmax_temperature=1.1),
    ]
    assert len({each.with_defaults().digest() for each in others}) == 4


def test_the_names_in_a_signature_are_those_of_earlier_versions():
    """Signatures of earlier versions can be compared."""
    constants = Adaptation(neural_cache=50, dynamic=10).with_defaults()
    assert constants.active() == {
        "window": 50, "weight": 0.1, "flatness": 0.3, "segment": 10, "rate": 0.1, "decay": 0.01,
    }  # fmt: skip
    assert constants.digest() == "04a78677"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"neural_cache_weight": 0.1}, "neural_cache_weight has no effect without neural_cache"),
        ({"dynamic_lr": 0.1}, "dynamic_lr has no effect without dynamic"),
        ({"dynamic_statistics": "text"}, "dynamic_statistics has no effect without dynamic"),
        ({"dynamic": 5, "dynamic_statistics": "-"}, "names a file"),
        ({"dynamic": 5, "dynamic_decay": 1.5}, "must be from 0 to 1"),
        ({"neural_cache": 5, "neural_cache_weight": 1.0}, "must be .*below 1"),
        ({"softmax_temperature": 0.0}, "must be above 0"),
    ],
)
def test_values_that_mean_nothing_are_refused(values: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        Adaptation(**values)
