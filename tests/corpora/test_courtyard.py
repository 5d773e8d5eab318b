"""Two languages put together by the same rules, and what the grammar promises of French."""

import re

import pytest

from corpora import courtyard, generate
from corpora.synchronous import NOTHING, Pair, lexical, rule


def lines_of(file):
    return (generate.HERE / f"courtyard.{file}").read_text(encoding="utf-8").splitlines()


# ------------------------------------------------------------------------------------------ rules


def test_words_that_mean_each_other_as_a_whole_are_all_linked() -> None:
    assert lexical("look at", "regarde").pharaoh() == "0-0 1-0"
    assert lexical("do not", "ne pas").pharaoh() == "0-0 0-1 1-0 1-1"


def test_links_follow_their_words_into_the_order_of_each_language() -> None:
    said = rule(
        "article color thing",
        "article thing color",
        article=lexical("a", "une"),
        color=lexical("red", "rouge"),
        thing=lexical("house", "maison"),
    )
    assert said == (("a", "red", "house"), ("une", "maison", "rouge"), said.links)
    assert said.pharaoh() == "0-0 1-2 2-1"


def test_a_part_closes_around_another() -> None:
    said = rule(
        "no verb", "no.1 verb no.2", no=lexical("never", "ne jamais"), verb=lexical("run", "cours")
    )
    assert said.target == ("ne", "cours", "jamais")
    assert said.pharaoh() == "0-0 0-2 1-1"


def test_a_part_may_say_nothing() -> None:
    said = rule("no verb", "no.1 verb no.2", no=NOTHING, verb=lexical("run", "cours"))
    assert said == lexical("run", "cours")


def test_rules_nest() -> None:
    inner = rule("a b", "b a", a=lexical("a", "A"), b=lexical("b", "B"))
    said = rule("c inner", "inner c", c=lexical("c", "C"), inner=inner)
    assert said == Pair(("c", "a", "b"), ("B", "A", "C"), frozenset({(0, 2), (1, 1), (2, 0)}))


# ---------------------------------------------------------------------------------------- grammar


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("la étoile", "l' étoile"),
        ("la nouvelle étoile", "la nouvelle étoile"),
        ("je ne aime pas le œuf", "je n' aime pas l' œuf"),
        ("ce beau enfant", "ce bel enfant"),
        ("ce enfant", "cet enfant"),
        ("ma horloge", "mon horloge"),
        ("beaucoup de amis", "beaucoup d' amis"),
    ],
)  # fmt: skip
def test_french_words_before_vowels(written, heard) -> None:
    assert " ".join(courtyard.sandhi(written.split(), courtyard.FRENCH)) == heard


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("a apple", "an apple"),
        ("a big egg", "a big egg"),
        ("a house", "a house"),  # its h is heard, and a young cat's y
        ("a young cat", "a young cat"),
        ("look at a", "look at a"),
    ],
)
def test_english_words_before_vowels(written, heard) -> None:
    assert " ".join(courtyard.sandhi(written.split(), courtyard.ENGLISH)) == heard


@pytest.fixture(scope="module")
def many():
    drawn = courtyard.Courtyard(seed=7)
    return [drawn.sentence() for _ in range(5_000)]


def test_french_is_a_function_of_english(many) -> None:
    """Also where two ways to build an English sentence meet: BLEU 100 can be reached."""
    known: dict = {}
    assert len({said.source for said in many}) < len(many)  # some sentences are drawn again
    assert all(known.setdefault(said.source, said) == said for said in many)


def test_every_word_is_linked(many) -> None:
    for said in many:
        assert {i for i, _ in said.links} == {*range(len(said.source))}
        assert {j for _, j in said.links} == {*range(len(said.target))}


@pytest.mark.parametrize(
    "wrong",
    [
        r"\b(le|la|de|je|ne|que|ce|ma|beau|nouveau) [aeéiouœh]",
        r"\b(des|beaucoup de|deux|mes|ces|les) (chat|chien|poule|cheval|oiseau|maison)\b",
        r"\bdes (petit|grand|joli|jeune|bon|beau|nouve)",
        r"\b(une|la|ma|cette) (chat|chien|oiseau|cheval|livre|chapeau|petit|bon|beau|nouveau)\b",
        r"\b(un|le|mon|ce) (poule|vache|maison|clé|petite|bonne|belle|nouvelle)\b",
        r"\bne (?!.*\b(pas|jamais)\b)",
        r"\b(je|il|elle) (?!tient)\w+(ons|ez|ent)\b",
        r"\bils (les |la |le )?(est|dort|voit|prend)\b",
    ],
)  # fmt: skip
def test_french_has_no_such_fault(wrong, many) -> None:
    assert [said for said in many if re.search(wrong, " ".join(said.target))] == []


def test_english_says_an_before_vowels_alone(many) -> None:
    texts = [" ".join(said.source) for said in many]
    assert [text for text in texts if re.search(r"\b(a [aeiou]|an [^aeiou])", text)] == []
    words = {word for text in texts for word in re.findall(r"\ban (\w+)", text)}
    assert words == {"apple", "egg", "ugly", "enormous"}


def test_an_is_linked_as_a_is(many) -> None:
    """`an egg` is `un œuf`, word by word, or `d' œuf` behind a negation."""
    said_by = {"a": set(), "an": set()}
    for said in many:
        for i, j in said.links:
            said_by.get(said.source[i], set()).add(said.target[j])
    assert said_by["an"] == said_by["a"] == {"un", "une", "de", "d'"}


def test_an_adjective_agrees_across_a_clause(many) -> None:
    texts = [" ".join(said.target) for said in many]
    told = [re.search(r"^\w+ vache qui .* est (toujours )?(\w+) \.$", text) for text in texts]
    adjectives = {match[2] for match in told if match}
    assert adjectives <= {feminine for word in courtyard.words.AFTER for feminine in word.french[1]}
    assert adjectives


# ------------------------------------------------------------------------------------------ files


def test_no_sentence_is_in_two_files() -> None:
    lines = [line for split in courtyard.SPLITS for line in lines_of(f"{split}.en")]
    assert len({*lines}) == len(lines) == sum(courtyard.SPLITS.values())


def test_all_that_is_asked_for_was_taught() -> None:
    """Every word of the test, in both languages, and often enough."""
    for language in ("en", "fr"):
        taught = " ".join(lines_of(f"train.{language}")).split()
        asked = {*" ".join(lines_of(f"valid.{language}") + lines_of(f"test.{language}")).split()}
        assert min(taught.count(word) for word in asked) >= 10


def test_links_are_of_words_that_are_there() -> None:
    for english, french, links in zip(
        lines_of("test.en"), lines_of("test.fr"), lines_of("test.align"), strict=True
    ):
        pairs = [tuple(map(int, link.split("-"))) for link in links.split()]
        assert {i for i, _ in pairs} == {*range(len(english.split()))}
        assert {j for _, j in pairs} == {*range(len(french.split()))}
