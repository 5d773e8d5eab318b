"""The words of the courtyard in English and French, with the forms that agreement needs."""

from __future__ import annotations

from typing import NamedTuple

from corpora.synchronous import Pair, lexical


class Noun(NamedTuple):
    english: tuple[str, str]  # singular, plural
    french: tuple[str, str]
    feminine: bool


def noun(english: str, french: str, gender: str, *plural: str) -> Noun:
    """`plural` is (English, French); without it both are regular."""
    many = plural or (english + "s", french + "s")
    return Noun((english, many[0]), (french, many[1]), gender == "f")


CREATURES = [
    noun("cat", "chat", "m"),
    noun("dog", "chien", "m"),
    noun("hen", "poule", "f"),
    noun("cow", "vache", "f"),
    noun("goat", "chèvre", "f"),
    noun("bird", "oiseau", "m", "birds", "oiseaux"),
    noun("horse", "cheval", "m", "horses", "chevaux"),
    noun("mouse", "souris", "f", "mice", "souris"),
    noun("child", "enfant", "m", "children", "enfants"),
    noun("woman", "femme", "f", "women", "femmes"),
    noun("neighbour", "voisin", "m"),
    noun("baker", "boulanger", "m"),
    noun("friend", "ami", "m"),
    noun("girl", "fille", "f"),
]
THINGS = [
    noun("house", "maison", "f"),
    noun("key", "clé", "f"),
    noun("letter", "lettre", "f"),
    noun("apple", "pomme", "f"),
    noun("star", "étoile", "f"),
    noun("ladder", "échelle", "f"),
    noun("book", "livre", "m"),
    noun("hat", "chapeau", "m", "hats", "chapeaux"),
    noun("bag", "sac", "m"),
    noun("egg", "œuf", "m"),
]
PLACES = [
    noun("door", "porte", "f"),
    noun("bench", "banc", "m", "benches", "bancs"),
    noun("wall", "mur", "m"),
    noun("tree", "arbre", "m"),
    noun("garden", "jardin", "m"),
    noun("window", "fenêtre", "f"),
    noun("stable", "écurie", "f"),
    noun("car", "voiture", "f"),
]
PREPOSITIONS = [
    lexical("in", "dans"),
    lexical("under", "sous"),
    lexical("behind", "derrière"),
    lexical("in front of", "devant"),
]


class Adjective(NamedTuple):
    english: str
    french: tuple[tuple[str, str], tuple[str, str]]  # masculine, feminine; singular, plural

    def agreeing(self, feminine: bool, many: bool) -> Pair:
        return lexical(self.english, self.french[feminine][many])


def adjective(english: str, french: str, feminine: str = "", plural: str = "") -> Adjective:
    """An adjective; forms that are not given are regular."""
    feminine = feminine or french.removesuffix("e") + "e"
    plural = plural or (french if french[-1] in "sx" else french + "s")
    return Adjective(english, ((french, plural), (feminine, feminine + "s")))


BEFORE = [
    adjective("little", "petit"),
    adjective("big", "grand"),
    adjective("pretty", "joli"),
    adjective("young", "jeune"),
    adjective("good", "bon", "bonne"),
    adjective("beautiful", "beau", "belle", "beaux"),
    adjective("new", "nouveau", "nouvelle", "nouveaux"),
]
AFTER = [
    adjective("red", "rouge"),
    adjective("black", "noir"),
    adjective("white", "blanc", "blanche"),
    adjective("green", "vert"),
    adjective("grey", "gris"),
    adjective("round", "rond"),
    adjective("heavy", "lourd"),
    adjective("quiet", "tranquille"),
    adjective("tired", "fatigué", "fatiguée"),
    adjective("curious", "curieux", "curieuse"),
    adjective("happy", "heureux", "heureuse"),
    adjective("ugly", "laid"),
    adjective("enormous", "énorme"),
]


class Determiner(NamedTuple):
    english: str
    french: tuple[str, str]  # masculine, feminine
    plural: bool
    becomes_de: bool = False
    """Whether it becomes `de` at the start of the object of a negated verb."""


DETERMINERS = [
    Determiner("the", ("le", "la"), False),
    Determiner("a", ("un", "une"), False, becomes_de=True),
    Determiner("this", ("ce", "cette"), False),
    Determiner("my", ("mon", "ma"), False),
    Determiner("our", ("notre", "notre"), False),
    Determiner("every", ("chaque", "chaque"), False),
    Determiner("the", ("les", "les"), True),
    Determiner("some", ("des", "des"), True, becomes_de=True),
    Determiner("these", ("ces", "ces"), True),
    Determiner("my", ("mes", "mes"), True),
    Determiner("two", ("deux", "deux"), True),
    Determiner("many", ("beaucoup de", "beaucoup de"), True),
]

JE, NOUS, VOUS, IL, ILS = range(5)  # the persons of a verb


class Verb(NamedTuple):
    english: tuple[str, str]  # plain form and third person, with its preposition
    french: tuple[str, str, str, str, str]  # by person


def verb(english: str, *french: str) -> Verb:
    """`french` is the stem of a verb in -er, or its five persons."""
    plain, _, more = english.partition(" ")
    third = f"{plain}s {more}".strip()
    if len(french) == 1:
        french = tuple(french[0] + ending for ending in ("e", "ons", "ez", "e", "ent"))
    je, nous, vous, il, ils = french
    return Verb((english, third), (je, nous, vous, il, ils))


ALONE = [
    verb("sing", "chant"),
    verb("sleep", "dors", "dormons", "dormez", "dort", "dorment"),
    verb("run", "cours", "courons", "courez", "court", "courent"),
]
WITH_OBJECT = [
    verb("look at", "regard"),
    verb("look for", "cherch"),
    verb("love", "aim"),
    verb("avoid", "évit"),
    verb("hold", "tiens", "tenons", "tenez", "tient", "tiennent"),
    verb("see", "vois", "voyons", "voyez", "voit", "voient"),
    verb("take", "prends", "prenons", "prenez", "prend", "prennent"),
    verb("wait for", "attends", "attendons", "attendez", "attend", "attendent"),
]
BE = {IL: lexical("is", "est"), ILS: lexical("are", "sont")}


class Subject(NamedTuple):
    """What a verb or an adjective agrees with."""

    phrase: Pair
    person: int
    feminine: bool = False


SUBJECTS = [
    Subject(lexical("i", "je"), JE),
    Subject(lexical("we", "nous"), NOUS),
    Subject(lexical("you", "vous"), VOUS),
    Subject(lexical("he", "il"), IL),
    Subject(lexical("she", "elle"), IL, feminine=True),
    Subject(lexical("they", "ils"), ILS),
]
OBJECTS = [lexical("him", "le"), lexical("her", "la"), lexical("them", "les")]
ADVERBS = [lexical("often", "souvent"), lexical("always", "toujours")]
JOINTS = [lexical("and", "et"), lexical("but", "mais"), lexical("because", "parce que")]
THAT, STOP, ASKED = lexical("that", "qui"), lexical(".", "."), lexical("?", "?")
