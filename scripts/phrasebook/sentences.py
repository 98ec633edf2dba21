"""Putting words in order: prepositions with their articles, and sentences with their punctuation."""

from scripts.phrasebook.nouns import Place
from scripts.phrasebook.persons import HE, SHE, THEY, noun_phrase
from scripts.phrasebook.verbs import Action
from scripts.phrasebook.words import NounPhrase, Pronoun

CONTRACTIONS = {
    "an dem ": "am ", "an das ": "ans ", "bei dem ": "beim ", "in dem ": "im ", "in das ": "ins ",
    "von dem ": "vom ", "zu dem ": "zum ", "zu der ": "zur ",
}  # fmt: skip
WORN = ("put on", "take off", "try on")
ENGLISH_PARTICLES = {"up", "on", "off", "in", "down", "along", "behind", "back"}


def sentence(*parts: str, end: str = ".") -> str:
    """The parts in order, without the empty ones; a part that starts with a comma closes up to the one before."""
    text = " ".join(part for part in parts if part).replace(" ,", ",")
    return text[0].upper() + text[1:] + end


def question(*parts: str) -> str:
    return sentence(*parts, end="?")


def after(preposition: str, phrase: str) -> str:
    """Preposition and phrase, contracted where German does so: im, ans, zur."""
    words = f"{preposition} {phrase}"
    for separate, contracted in CONTRACTIONS.items():
        if words.startswith(separate):
            return contracted + words.removeprefix(separate)
    return words


def the(place: Place) -> NounPhrase:
    return NounPhrase("the", place.noun)


def at_place(place: Place) -> tuple[str, str]:
    """Where: at the station, am Bahnhof."""
    return f"{place.en_at} the {place.en}", after(place.de_at, the(place).dat)


def to_place(place: Place) -> tuple[str, str]:
    """Whither, for the purpose of being there: to the cinema, ins Kino."""
    case = "dat" if place.de_to == "zu" else "acc"
    return f"to the {place.en}", after(place.de_to, the(place).german(case))


def towards(place: Place) -> str:
    """The way there: zum Kino."""
    return after("zu", the(place).dat)


def from_there(place: Place) -> str:
    return after("von", the(place).dat)


def do_it(english_verb: str, english_object: str, is_pronoun: bool = False) -> str:
    """The English verb with its object; a pronoun goes before the particle: pick it up, but: look for it."""
    head, space, particle = english_verb.rpartition(" ")
    if is_pronoun and space and particle in ENGLISH_PARTICLES:
        return f"{head} {english_object} {particle}"
    return f"{english_verb} {english_object}"


def object_of(action: Action, determiner: str) -> NounPhrase:
    """The object with that determiner; what is put on or taken off is not somebody else's."""
    if action.verb.en in WORN and determiner not in ("the", "a", "this"):
        determiner = "the"
    return noun_phrase(determiner, action.noun)


def infinitive(action: Action, determiner: str) -> tuple[str, str]:
    """open the window, das Fenster öffnen."""
    phrase = object_of(action, determiner)
    return do_it(action.verb.en, phrase.en), f"{phrase.acc} {action.verb.infinitive}"


def zu_infinitive(action: Action, determiner: str) -> tuple[str, str]:
    """turn on the light, das Licht einzuschalten."""
    phrase = object_of(action, determiner)
    return do_it(action.verb.en, phrase.en), f"{phrase.acc} {action.verb.zu_infinitive}"


def pronoun_for(subject: Pronoun | NounPhrase) -> Pronoun | NounPhrase:
    """He or she or they for a person named before; a pronoun stands for itself."""
    if isinstance(subject, Pronoun):
        return subject
    return {"m": HE, "f": SHE, "p": THEY}[subject.gender]
