"""The notation of the grammar, and stories that do not contradict themselves."""

import re
from collections import Counter

import numpy as np
import pytest

from corpora import generate, prose
from corpora.grammar import Grammar


def expand(rules, memory=None, rule="story"):
    text = Grammar(rules.splitlines()).expand(rule, memory or {}, np.random.default_rng(0))
    return " ".join(text.split())


def test_a_slot_keeps_its_text() -> None:
    story = expand("story\n    {fish} {fish} {fish}\nfish\n    cod | eel | pike\n")
    assert len(set(story.split())) == 1


def test_a_second_slot_has_another_text() -> None:
    rules = "story\n    {fish} {fish.2} {fish.3}\nfish\n    cod | eel | pike\n"
    assert sorted(expand(rules).split()) == ["cod", "eel", "pike"]


def test_a_rule_may_be_named_by_a_slot() -> None:
    rules = "story\n    <sky {weather}>\nsky rain\n    it is wet\nsky sun\n    it is dry\n"
    assert expand(rules, {"weather": "sun"}) == "it is dry"


def test_a_tilde_is_empty_and_comments_are_no_rules() -> None:
    assert expand("# a remark\nstory\n    the <size> cod\nsize\n    ~\n") == "the cod"


def test_early_alternatives_are_more_frequent() -> None:
    grammar = Grammar(["fish", "    cod | eel | pike"])
    rng = np.random.default_rng(0)
    counts = Counter(grammar.expand("fish", {}, rng) for _ in range(5_000))
    assert [fish for fish, _ in counts.most_common()] == ["cod", "eel", "pike"]


@pytest.fixture(scope="module")
def lines():
    return (generate.HERE / "prose.train.txt").read_text(encoding="utf-8").splitlines()


def test_no_notation_is_left_over(lines) -> None:
    assert not [line for line in lines if re.search(r"[<>{}|~/_]", line)]


def test_few_words_are_common_and_many_are_rare(lines) -> None:
    counts = Counter(word for line in lines for word in line.split())
    assert 1_200 < len(counts) < 2_500
    ranked = [count for _, count in counts.most_common()]
    assert ranked[0] > 50 * ranked[200]  # few words make up most of the text …
    assert sum(count <= 3 for count in ranked) > 100  # … and many occur hardly ever


def test_a_and_an_agree_with_the_next_word(lines) -> None:
    text = "\n".join(lines)
    assert not re.findall(r"\ba (?!use)[aeiou]\w*", text)
    assert not re.findall(r"\ban (?!hour)[^aeiou]\w*", text)


def test_quotation_marks_come_in_pairs(lines) -> None:
    assert sum(line.split().count('"') for line in lines) % 2 == 0


def test_sums_are_right(lines) -> None:
    sums = re.findall(r" (\w+) and (\w+) make (\w+) ", "\n".join(lines))
    assert sums
    value = {word: number for number, word in enumerate(prose.NUMBERS, start=1)}
    assert all(value[few] + value[more] == value[both] for few, more, both in sums)


def test_people_keep_their_trades(lines) -> None:
    trades = {person.name: person.trade for person in (*prose.WOMEN, *prose.MEN)}
    pairs = re.findall(r"(\w+) the (\w+) ", "\n".join(lines))
    pairs = [(name, trade) for name, trade in pairs if name in trades and trade in trades.values()]
    assert len(pairs) > 500
    assert all(trades[name] == trade for name, trade in pairs)
