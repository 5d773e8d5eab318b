"""The definition of a setting, and the check of its values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from seqlm.errors import UsageError
from seqlm.settings import check_needs, check_value, parse_value, setting, settings_of


@dataclass(frozen=True)
class Toy:
    order: int | None = setting(None, "Length.", none_text="as long as there are", low=2, high=9)
    rate: float = setting(
        0.5, "Rate.", above=0, below=1, default_by={"task": {"translation": 0.25}}
    )
    unit: Literal["word", "char"] = setting("word", "Unit.", section="Text")
    tied: bool = setting(True, "Shared.", negative="untied")
    cutoffs: tuple[int, ...] | None = setting(None, "Ids.", low=1, needs=("unit", ("word",)))
    peephole: bool = setting(False, "Peepholes.", needs=("unit", ("char",)), use_instead="tied")
    vocab: str | None = setting(None, "A file.", metavar="FILE")
    other: int = 3
    """No setting."""


TOY = settings_of(Toy)


def test_a_field_says_what_its_type_and_its_line_say():
    assert list(TOY) == ["order", "rate", "unit", "tied", "cutoffs", "peephole", "vocab"]
    order, unit = TOY["order"], TOY["unit"]
    assert (order.kind, order.default, order.optional, order.metavar) == (int, None, True, "N")
    assert (unit.kind, unit.choices, unit.optional) == (str, ("word", "char"), False)
    assert (unit.section, unit.metavar, TOY["vocab"].metavar) == ("Text", "word|char", "FILE")
    assert TOY["cutoffs"].kind is tuple
    assert Toy() == Toy(order=None, rate=0.5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("order", "as long as there are"),
        ("rate", "0.5; translation: 0.25"),
        ("unit", "word"),
        ("tied", "`tied`"),
        ("peephole", ""),
        ("vocab", ""),
    ],
)
def test_the_default_is_written_out(name, text):
    assert TOY[name].default_text() == text


def test_the_range_is_written_out():
    assert TOY["order"].range_text() == "from 2 to 9"
    assert TOY["rate"].range_text() == "above 0 and below 1"
    assert TOY["cutoffs"].range_text() == "at least 1"
    assert TOY["unit"].range_text() == ""


@pytest.mark.parametrize(
    ("name", "value", "checked"),
    [
        ("order", None, None),
        ("order", 2, 2),
        ("rate", "1e-3", 0.001),
        ("unit", "char", "char"),
        ("tied", False, False),
        ("cutoffs", [1, 2], (1, 2)),
        ("cutoffs", "1,2", (1, 2)),
        ("vocab", "a.txt", "a.txt"),
    ],
)
def test_values_that_fit(name, value, checked):
    assert check_value(TOY[name], value) == checked


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("order", 1, "order is 1; it must be from 2 to 9"),
        ("order", "3", "order is '3'; it takes a whole number"),
        ("order", True, "order is True; it takes a whole number"),
        ("order", 3.0, "order is 3.0; it takes a whole number"),
        ("rate", None, "rate is None; it takes a number"),
        ("rate", 1, "rate is 1.0; it must be above 0 and below 1"),
        ("rate", math.nan, "rate is nan; it must be"),
        ("rate", "fast", "rate is 'fast'; it takes a number"),
        ("unit", "wrd", "unit is 'wrd'; did you mean 'word'?"),
        ("unit", 7, "unit is 7; there are word, char"),
        ("unit", [], "unit is []"),
        ("tied", 1, "tied is 1; it takes true or false"),
        ("cutoffs", "1,b", "cutoffs is '1,b'; it takes whole numbers"),
        ("cutoffs", 7, "cutoffs is 7; it takes whole numbers"),
        ("cutoffs", [3, 0], "cutoffs is 0; it must be at least 1"),
        ("vocab", 5, "vocab is 5; it takes a text"),
    ],
)
def test_values_that_do_not(name, value, message):
    with pytest.raises(UsageError) as error:
        check_value(TOY[name], value)
    assert message in str(error.value)
    with pytest.raises(UsageError) as error:
        check_value(TOY[name], value, "SEQLM_X")
    assert str(error.value).startswith("SEQLM_X is ")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("order", "3", 3), ("rate", "1e-1", 0.1), ("unit", "x", "x"), ("cutoffs", "4,5", (4, 5))],
)
def test_text_of_a_flag_is_parsed(name, text, value):
    assert parse_value(TOY[name], text) == value


@pytest.mark.parametrize(("name", "text"), [("order", "3.0"), ("rate", "x"), ("cutoffs", "4;5")])
def test_text_of_another_type_is_refused(name, text):
    with pytest.raises(UsageError, match=f"^--it is '{text}'; it takes"):
        parse_value(TOY[name], text, "--it")


def refused(**given: Any) -> str:
    values = {name: each.default for name, each in TOY.items()} | given
    try:
        check_needs(TOY.values(), given, values)
    except UsageError as error:
        return str(error)
    return ""


def test_a_setting_without_effect_is_refused():
    assert refused(unit="char", cutoffs=(3,)) == "cutoffs needs unit word"
    assert refused(peephole=True) == "peephole needs unit char; here it is tied"
    assert refused(cutoffs=(3,)) == refused(unit="char", peephole=True) == ""
    assert refused(peephole=False) == refused(unit="char", cutoffs=None) == ""
