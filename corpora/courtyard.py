"""Sentences about a courtyard, in English and in French.

    the little black cat does not often look at these birds .
    le petit chat noir ne regarde pas souvent ces oiseaux .

Every English sentence has one French translation, made by the same rules, so that a translation is
either right or wrong and a perfect model has a BLEU of 100. A model has to learn:

    order      most adjectives follow their noun, adverbs their verb; object pronouns precede it
    agreement  of articles and adjectives in gender and number, of verbs in person
    fertility  not is ne .. pas, never ne .. jamais, look at one verb, a question's does est-ce que
    sandhi     l' d' j' n' qu' before a vowel, and there bel, nouvel, cet, mon; in English an
    de         for a and some at the object of a negated verb, for some before an adjective

Words are drawn uniformly, so that every form is seen. Each line is one sentence in lower case, with
spaces around every word and punctuation mark; `.align` has the links of each line, English-French,
counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from corpora import courtyard_words as words
from corpora.courtyard_words import IL, ILS, Noun, Subject
from corpora.synchronous import NOTHING, Pair, lexical, rule

T = TypeVar("T")
SPLITS = {"train": 3_600, "valid": 400, "test": 500}  # pairs, no sentence in two of them
SEED = 1


class Courtyard:
    """Draws sentences."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def pick(self, some: Sequence[T]) -> T:
        return some[int(self.rng.random() * len(some))]

    def chance(self, percent: int) -> bool:
        return bool(self.rng.random() * 100 < percent)

    def sentence(self) -> Pair:
        if self.chance(15):
            pair = rule("clause mark", "clause mark", clause=self.question(), mark=words.ASKED)
        elif self.chance(15):
            first, joint, second = self.clause(), self.pick(words.JOINTS), self.clause()
            order = "first joint second mark"
            pair = rule(order, order, first=first, joint=joint, second=second, mark=words.STOP)
        else:
            pair = rule("clause mark", "clause mark", clause=self.clause(), mark=words.STOP)
        return pair._replace(
            source=sandhi(pair.source, ENGLISH), target=sandhi(pair.target, FRENCH)
        )

    def clause(self) -> Pair:
        who = self.subject()
        described = who.person in words.BE and self.chance(25)  # `je` has no gender
        done = self.description(who) if described else self.predicate(who.person)
        return rule("who done", "who done", who=who.phrase, done=done)

    def question(self) -> Pair:
        who = self.subject()
        does = lexical("does" if who.person == IL else "do", "est-ce que")
        done = self.predicate(who.person, asked=True)
        return rule("does who done", "does who done", does=does, who=who.phrase, done=done)

    def subject(self) -> Subject:
        if self.chance(40):
            return self.pick(words.SUBJECTS)
        who = self.thing(words.CREATURES)
        if self.chance(12):
            done, order = self.predicate(who.person), "who that done"
            return who._replace(
                phrase=rule(order, order, who=who.phrase, that=words.THAT, done=done)
            )
        return who

    def description(self, who: Subject) -> Pair:
        """'is not red' or 'are often heavy': a form of to be, and an adjective."""
        negated = self.chance(30)
        return rule(
            "be no adverb adjective",
            "no.1 be no.2 adverb adjective",
            be=words.BE[who.person],
            no=lexical("not", "ne pas") if negated else NOTHING,
            adverb=self.pick(words.ADVERBS) if self.chance(25) else NOTHING,
            adjective=self.pick(words.AFTER).agreeing(who.feminine, who.person == ILS),
        )

    def predicate(self, person: int, asked: bool = False) -> Pair:
        """A verb, negated or not, and what belongs to it; `asked` is for the verb of a question."""
        kind = "yes" if asked else self.pick(["yes", "yes", "yes", "not", "never"])
        do = "does" if person == IL else "do"
        negation = {"yes": NOTHING, "not": lexical(f"{do} not", "ne pas")}
        plain = asked or kind == "not" or person != IL
        acted = self.pick(words.WITH_OBJECT) if self.chance(75) else None
        verb = acted or self.pick(words.ALONE)
        pronoun = acted is not None and self.chance(25)
        return rule(
            "no adverb verb pronoun thing where",
            "no.1 pronoun verb no.2 adverb thing where",
            no=negation.get(kind, lexical("never", "ne jamais")),
            adverb=self.pick(words.ADVERBS) if kind != "never" and self.chance(20) else NOTHING,
            verb=lexical(verb.english[not plain], verb.french[person]),
            pronoun=self.pick(words.OBJECTS) if pronoun else NOTHING,
            thing=self.object(kind != "yes") if acted and not pronoun else NOTHING,
            where=self.where() if self.chance(20) else NOTHING,
        )

    def object(self, negated: bool) -> Pair:
        return self.thing(self.pick([words.CREATURES, words.THINGS]), negated).phrase

    def where(self) -> Pair:
        at, place = self.pick(words.PREPOSITIONS), self.thing(words.PLACES).phrase
        return rule("at place", "at place", at=at, place=place)

    def thing(self, nouns: Sequence[Noun], negated: bool = False) -> Subject:
        """A noun and the words that agree with it."""
        determiner, noun = self.pick(words.DETERMINERS), self.pick(nouns)
        many, feminine = determiner.plural, noun.feminine
        before = self.pick(words.BEFORE) if self.chance(30) else None
        after = self.pick(words.AFTER) if self.chance(30) else None
        article = determiner.french[feminine]
        if (negated and determiner.becomes_de) or (before and article == "des"):
            article = "de"
        phrase = rule(
            "determiner before after noun",
            "determiner before noun after",
            determiner=lexical(determiner.english, article),
            before=before.agreeing(feminine, many) if before else NOTHING,
            after=after.agreeing(feminine, many) if after else NOTHING,
            noun=lexical(noun.english[many], noun.french[many]),
        )
        return Subject(phrase, ILS if many else IL, feminine)


class Sandhi(NamedTuple):
    """How words change before a vowel; each stays one word, and keeps its links."""

    vowels: str
    forms: dict[str, str]


ENGLISH = Sandhi("aeiou", {"a": "an"})
FRENCH = Sandhi(
    "aeéiouœh",  # every h here is silent
    {
        **{word: word[:-1] + "'" for word in ("le", "la", "de", "je", "ne", "que")},
        **{"beau": "bel", "nouveau": "nouvel", "ce": "cet", "ma": "mon"},
    },
)


def sandhi(text: Sequence[str], language: Sandhi) -> tuple[str, ...]:
    """The words in the form that they take before the next word."""
    vowels, forms = language
    followed = zip(text, [*text[1:], "."], strict=True)
    return tuple(forms.get(word, word) if after[0] in vowels else word for word, after in followed)


# ---------------------------------------------------------------------------------------- files


def sentences(seed: int) -> Iterator[Pair]:
    """An endless stream of sentences, none of which comes twice."""
    courtyard, drawn = Courtyard(seed), set()
    while True:
        pair = courtyard.sentence()
        if pair.source not in drawn:
            drawn.add(pair.source)
            yield pair


def files() -> dict[str, list[str]]:
    """The lines of every file, by its name."""
    stream, lines = sentences(SEED), {}
    for split, count in SPLITS.items():
        pairs = [next(stream) for _ in range(count)]
        lines[f"courtyard.{split}.en"] = [" ".join(pair.source) for pair in pairs]
        lines[f"courtyard.{split}.fr"] = [" ".join(pair.target) for pair in pairs]
        if split != "train":
            lines[f"courtyard.{split}.align"] = [pair.pharaoh() for pair in pairs]
    return lines
