"""Patterns about people: giving, helping, liking, belonging, and other uses of the dative and of reflexives."""

from scripts.phrasebook import adjectives, names, nouns, persons, verbs
from scripts.phrasebook.numbers import english_number, german_number
from scripts.phrasebook.patterns import Slots, pattern
from scripts.phrasebook.sentences import infinitive, object_of, pronoun_for, question, sentence, the, zu_infinitive
from scripts.phrasebook.words import HABEN, MOECHTEN, SEIN, WERDEN, WOLLEN, NounPhrase, be, do, have, want

RECEIVERS = [*persons.RELATIVES, *(NounPhrase("the", noun) for noun in persons.ROLES)]
DETERMINERS: Slots = {"determiner": ["the", "the", "a", "a", "my", "our", "this"]}
PEOPLE_WHO: Slots = {"subject": persons.PRONOUNS}


@pattern({"gift": verbs.GIFTS, "person": RECEIVERS}, DETERMINERS)
def please_give(gift, person, determiner):
    phrase = object_of(gift, determiner)
    return (
        sentence("please", gift.verb.en, phrase.en, "to", person.en),
        sentence("bitte", gift.verb.finite("wir"), "Sie", person.dat, phrase.acc),
    )


@pattern({"gift": verbs.GIFTS, "person": RECEIVERS}, DETERMINERS | PEOPLE_WHO)
def has_given(gift, person, determiner, subject):
    phrase = object_of(gift, determiner)
    return (
        sentence(subject.en, have(subject.person), gift.verb.en_participle, phrase.en, "to", person.en),
        sentence(subject.nom, HABEN[subject.person], person.dat, phrase.acc, gift.verb.participle),
    )


@pattern({"gift": verbs.GIFTS, "person": RECEIVERS}, DETERMINERS | PEOPLE_WHO | {"time": names.FUTURE_TIMES})
def would_like_to_give(gift, person, determiner, subject, time):
    phrase = object_of(gift, determiner)
    return (
        sentence(time.en, subject.en, "would like to", gift.verb.en, phrase.en, "to", person.en),
        sentence(time.de, MOECHTEN[subject.person], subject.nom, person.dat, phrase.acc, gift.verb.infinitive),
    )


@pattern(
    {"gift": verbs.GIFTS, "giver": [noun for noun in persons.PEOPLE if noun.gender != "p"]},
    {"receiver": persons.PRONOUNS, "owner": ["my", "our"], "determiner": ["the", "a", "this"]},
)
def gave_me(gift, giver, receiver, owner, determiner):
    if giver.en in ("husband", "wife") and owner == "our":
        return None
    person, phrase = NounPhrase(owner, giver), object_of(gift, determiner)
    return (
        sentence(person.en, "has", gift.verb.en_participle, phrase.en, "to", receiver.en_object),
        sentence(person.nom, "hat", receiver.dat, phrase.acc, gift.verb.participle),
    )


HELPED = [*(NounPhrase("my", noun) for noun in persons.PEOPLE), persons.I, persons.WE]


@pattern({"action": verbs.ACTIONS}, {"person": HELPED, "determiner": ["the", "the", "a", "my", "this"]})
def could_you_help(action, person, determiner):
    en, de = zu_infinitive(action, determiner)
    helped = getattr(person, "en_object", person.en)
    return (
        question("could you help", helped, "to", en),
        question("könnten Sie", person.dat, "helfen,", de),
    )


@pattern({"item": nouns.BELONGINGS, "person": RECEIVERS}, {"plural": [False, True], "this": ["the", "this"]})
def belongs_to(item, person, plural, this):
    if plural and (item.kind == "mass" or item.gender == "p"):
        return None
    phrase = NounPhrase(this, item, plural)
    belong = ("belong", "gehören") if phrase.person == "wir" else ("belongs", "gehört")
    return (
        sentence(phrase.en, belong[0], "to", person.en),
        sentence(phrase.nom, belong[1], person.dat),
    )


@pattern({"item": nouns.BELONGINGS}, {"owner": persons.PRONOUNS, "plural": [False, True], "this": ["the", "this"]})
def does_it_belong(item, owner, plural, this):
    if plural and (item.kind == "mass" or item.gender == "p"):
        return None
    phrase = NounPhrase(this, item, plural)
    gehoeren = "gehören" if phrase.person == "wir" else "gehört"
    return (
        question(do(phrase.person), phrase.en, "belong to", owner.en_object),
        question(gehoeren, phrase.nom, owner.dat),
    )


@pattern(
    {"place": nouns.SIGHTS, "person": persons.RELATIVES},
    {"city": names.CITIES, "well": [("very much", "sehr gut"), ("best", "am besten")]},
)
def likes_place(place, person, city, well):
    like = "like" if person.person == "wir" else "likes"
    return (
        sentence(person.en, like, the(place).en, "in", city.en, well[0]),
        sentence(person.dat, "gefällt", the(place).nom, "in", city.de, well[1]),
    )


BODY = {
    "head": ("der Kopf", ""), "back": ("der Rücken", ""), "stomach": ("der Bauch", ""), "knee": ("das Knie", ""),
    "foot": ("der Fuß", ""), "arm": ("der Arm", ""), "hand": ("die Hand", ""), "tooth": ("der Zahn", ""),
    "ear": ("das Ohr", ""), "neck": ("der Hals", ""), "shoulder": ("die Schulter", ""), "finger": ("der Finger", ""),
    "leg": ("das Bein", ""), "eyes": ("die Augen", "p"), "feet": ("die Füße", "p"), "teeth": ("die Zähne", "p"),
    "legs": ("die Beine", "p"), "ears": ("die Ohren", "p"),
}  # fmt: skip
PATIENTS = [NounPhrase("my", noun) for noun in persons.PEOPLE if noun.gender != "p"]


@pattern(
    {"part": list(BODY), "patient": PATIENTS},
    {"since": [("", ""), ("since yesterday", "seit gestern"), ("today", "heute"), ("very much", "sehr")]},
)
def hurts(part, patient, since):
    german, number = BODY[part]
    verb, tun = ("hurt", "tun") if number else ("hurts", "tut")
    if since[0] == "since yesterday":
        verb = "have been hurting" if number else "has been hurting"
    if since[0] == "very much":
        german, since_de = f"{german} sehr", ""
    else:
        since_de = since[1]
    return (
        sentence(f"{patient.en}'s", part, verb, since[0]),
        sentence(patient.dat, tun, since_de, german, "weh"),
    )


REFLEXIVES = [
    ("look forward to", "looks forward to", "freue", "freut", "freuen", "auf"),
    ("remember", "remembers", "erinnere", "erinnert", "erinnern", "an"),
    ("complain about", "complains about", "beschwere", "beschwert", "beschweren", "über"),
]
TOPICS = [
    *nouns.EVENTS,
    *nouns.named("flight, house, flat, room, museum, hotel, cathedral, castle, restaurant, swimming pool, beach"),
]


@pattern(
    {"topic": [topic for topic in TOPICS if topic.en != "flight"], "subject": persons.SUBJECTS}, {"city": names.CITIES}
)
def interested_in(topic, subject, city):
    phrase = NounPhrase("the", topic)
    finite = {"ich": "interessiere", "er": "interessiert", "wir": "interessieren"}[subject.person]
    return (
        sentence(subject.en, be(subject), "interested in", phrase.en, "in", city.en),
        sentence(subject.nom, finite, getattr(subject, "reflexive", "sich"), "für", phrase.acc, "in", city.de),
    )


@pattern({"topic": TOPICS, "subject": persons.SUBJECTS}, {"verb": REFLEXIVES})
def remembers(topic, subject, verb):
    phrase = NounPhrase("the", topic)
    finite = dict(zip(("ich", "er", "wir"), verb[2:5], strict=True))[subject.person]
    reflexive = getattr(subject, "reflexive", "sich")
    return (
        sentence(subject.en, verb[1] if subject.person == "er" else verb[0], phrase.en),
        sentence(subject.nom, finite, reflexive, verb[5], phrase.acc),
    )


AGES = [range(2, 25), range(26, 60), range(60, 90)]


def _generation(person: NounPhrase) -> int:
    """Children, grown-ups and grandparents."""
    if person.noun.en in ("son", "daughter"):
        return 0
    return 2 if person.noun.en.startswith("grand") else 1


@pattern({"one": PATIENTS, "other": PATIENTS}, {"years": range(2, 90), "more": range(2, 90)})
def are_years_old(one, other, years, more):
    if years not in AGES[_generation(one)] or more not in AGES[_generation(other)]:
        return None
    return (
        sentence(one.en, "is", english_number(years), "years old and", other.en, "is", english_number(more)),
        sentence(one.nom, "ist", german_number(years), "Jahre alt und", other.nom, "ist", german_number(more)),
    )


@pattern({"one": PATIENTS, "other": PATIENTS, "adjective": adjectives.named("old young tall strong fast")}, {})
def compare_people(one, other, adjective):
    if adjective.en in ("old", "young") and _generation(one) != _generation(other):
        return None
    return (
        sentence(one.en, "is", adjective.en_comparative, "than", other.en),
        sentence(one.nom, "ist", adjective.de_comparative, "als", other.nom),
    )


WEARERS = {"man": "der Mann", "woman": "die Frau", "girl": "das Mädchen", "boy": "der Junge"}


@pattern({"colour": adjectives.COLOURS, "garment": nouns.CLOTHES, "relative": PATIENTS}, {"wearer": list(WEARERS)})
def the_one_with(colour, garment, relative, wearer):
    young = relative.noun.en in ("son", "brother", "daughter", "sister")
    expected = ("boy" if young else "man") if relative.gender == "m" else ("girl" if young else "woman")
    if wearer != expected or (relative.gender == "m" and garment.en in ("dress", "skirt")):
        return None
    phrase = NounPhrase("the", garment, adjective=colour)
    return (
        sentence("the", wearer, "with", phrase.en, "is", relative.en),
        sentence(WEARERS[wearer], "mit", phrase.dat, "ist", relative.nom),
    )


@pattern({"person": RECEIVERS, "company": RECEIVERS}, {"time": names.FUTURE_TIMES[:7]})
def goes_with(person, company, time):
    are, fahren = ("are", "fahren") if person.person == "wir" else ("is", "fährt")
    return (
        sentence(time.en, person.en, are, "going home with", company.en),
        sentence(time.de, fahren, person.nom, "mit", company.dat, "nach Hause"),
    )


@pattern({"person": RECEIVERS, "action": verbs.ACTIONS}, {"determiner": ["the", "a", "this"], "will": [False, True]})
def ask_whether_wants(person, action, determiner, will):
    en, de = infinitive(action, determiner)
    p = person.person
    english = "will" if will else f"{want(p)} to"
    return (
        sentence("please ask", person.en, "whether", pronoun_for(person).en, english, en),
        sentence("bitte fragen Sie", person.acc + ", ob", pronoun_for(person).nom, de, (WERDEN if will else WOLLEN)[p]),
    )


MOODS = {
    "tired": "müde", "ill": "krank", "hungry": "hungrig", "thirsty": "durstig",
    "alone": "allein", "busy": "beschäftigt",
}  # fmt: skip


@pattern(
    {"first": RECEIVERS, "mood": list(MOODS)},
    {
        "when": [("today", "heute"), ("now", "jetzt"), ("again", "wieder")],
        "guess": [("I believe", "ich glaube"), ("you know", "Sie wissen"), ("I have heard", "ich habe gehört")],
    },
)
def that_is_tired(first, mood, when, guess):
    return (
        sentence(guess[0], "that", first.en, be(first), mood, when[0]),
        sentence(guess[1], ", dass", first.nom, when[1], MOODS[mood], SEIN[first.person]),
    )
