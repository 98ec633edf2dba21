"""People: pronouns and relatives as subjects and objects, and the determiner that fits a noun."""

from scripts.phrasebook.nouns import NOUNS
from scripts.phrasebook.words import Noun, NounPhrase, Pronoun

I = Pronoun("I", "me", "ich", "mich", "mir", "mich", "ich")  # noqa: E741 - the English pronoun
HE = Pronoun("he", "him", "er", "ihn", "ihm", "sich", "er")
SHE = Pronoun("she", "her", "sie", "sie", "ihr", "sich", "er")
WE = Pronoun("we", "us", "wir", "uns", "uns", "uns", "wir")
YOU = Pronoun("you", "you", "Sie", "Sie", "Ihnen", "sich", "wir")
THEY = Pronoun("they", "them", "sie", "sie", "ihnen", "sich", "wir")
PRONOUNS = [I, HE, SHE, WE, YOU, THEY]

PEOPLE = [noun for noun in NOUNS.values() if noun.kind == "person"]
ROLES = [noun for noun in NOUNS.values() if noun.kind == "role"]
RELATIVES = [
    NounPhrase(owner, noun)
    for owner in ("my", "our")
    for noun in PEOPLE
    if owner == "my" or noun.en not in ("husband", "wife")
]
SUBJECTS = [*PRONOUNS, *(NounPhrase("my", noun) for noun in PEOPLE), *(NounPhrase("the", noun) for noun in ROLES)]
THIRD_PERSONS = [HE, SHE, THEY, *(NounPhrase("my", noun) for noun in PEOPLE)]


def noun_phrase(determiner: str, noun: Noun, plural: bool = False) -> NounPhrase:
    """The noun phrase with that determiner, or with the nearest one that fits the noun: my (not a) sister."""
    if noun.kind == "person" and determiner in ("the", "a", "this"):
        determiner = "my"
    elif (
        noun.kind == "role"
        or (determiner not in ("the", "this") and noun.kind == "place")
        or (determiner == "a" and (noun.kind == "mass" or noun.gender == "p"))
    ):
        determiner = "the"
    return NounPhrase(determiner, noun, plural)
