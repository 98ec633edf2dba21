"""Patterns about towns: where things are, how to get there, and what they are like."""

from scripts.phrasebook import adjectives, names, nouns, persons
from scripts.phrasebook.numbers import CLOCKS, YEARS, english_number, german_number
from scripts.phrasebook.patterns import pattern
from scripts.phrasebook.sentences import after, at_place, from_there, question, sentence, the, to_place, towards
from scripts.phrasebook.words import SEIN, NounPhrase, be

PLACE_PAIRS = [(here, there) for here in nouns.PLACES for there in nouns.PLACES if here != there]
POSITIONS = [("next to", "neben"), ("behind", "hinter"), ("in front of", "vor"), ("opposite", "gegenüber")]
OPENINGS = [
    ("where is", "wo ist"), ("excuse me, where is", "entschuldigung, wo ist"),
    ("do you know where", "wissen Sie, wo"), ("can you tell me where", "können Sie mir sagen, wo"),
]  # fmt: skip
WEATHER = [
    ("it is raining", "es regnet"), ("it is cold", "es kalt ist"), ("we are tired", "wir müde sind"),
    ("it is very late", "es sehr spät ist"), ("we have little time", "wir wenig Zeit haben"),
]  # fmt: skip


@pattern({"place": nouns.PLACES}, {"opening": OPENINGS, "nearest": [False, True]})
def where_is(place, opening, nearest):
    phrase = NounPhrase("the", place.noun, adjective=adjectives.NEAREST) if nearest else the(place)
    if opening in OPENINGS[:2]:
        return question(opening[0], phrase.en), question(opening[1], phrase.nom)
    return question(opening[0], phrase.en, "is"), question(opening[1], phrase.nom, "ist")


@pattern({"places": PLACE_PAIRS}, {"position": POSITIONS})
def is_it_next_to(places, position):
    here, there = places
    return (
        question("is", the(here).en, position[0], the(there).en),
        question("ist", the(here).nom, position[1], the(there).dat),
    )


@pattern(
    {"places": PLACE_PAIRS},
    {"position": POSITIONS, "sure": [("I think", "ich glaube"), ("I am sure", "ich bin sicher")]},
)
def that_it_is_next_to(places, position, sure):
    here, there = places
    return (
        sentence(sure[0], "that", the(here).en, "is", position[0], the(there).en),
        sentence(sure[1], ", dass", the(here).nom, position[1], the(there).dat, "ist"),
    )


@pattern({"places": PLACE_PAIRS, "third": nouns.PLACES})
def between(places, third):
    return (
        sentence(the(third).en, "is between", the(places[0]).en, "and", the(places[1]).en),
        sentence(the(third).nom, "ist zwischen", the(places[0]).dat, "und", the(places[1]).dat),
    )


@pattern({"places": PLACE_PAIRS}, {"who": [("do I", "komme ich"), ("do we", "kommen wir")]})
def how_to_get(places, who):
    here, there = places
    return (
        question("how", who[0], "get from", the(here).en, "to", the(there).en),
        question("wie", who[1], from_there(here), towards(there)),
    )


@pattern({"places": PLACE_PAIRS}, {"side": [("left", "links"), ("right", "rechts")], "position": POSITIONS[1:3]})
def turn_and_go(places, side, position):
    here, there = places
    return (
        sentence("turn", side[0], position[0], the(here).en, "and go straight ahead to", the(there).en),
        sentence(
            "biegen Sie", after(position[1], the(here).dat), side[1], "ab und gehen Sie geradeaus bis", towards(there)
        ),
    )


@pattern({"places": PLACE_PAIRS}, {"minutes": [3, 4, 5, 6, 10, 12, 15, 20, 25, 30]})
def minutes_on_foot(places, minutes):
    here, there = places
    return (
        sentence("it takes", english_number(minutes), "minutes to walk from", the(here).en, "to", the(there).en),
        sentence(
            "zu Fuß dauert es", from_there(here), "bis", towards(there), german_number(minutes), "Minuten",
        ),
    )  # fmt: skip


@pattern({"places": PLACE_PAIRS}, {"kilometres": range(2, 40)})
def kilometres_to(places, kilometres):
    here, there = places
    goal = NounPhrase("the", there.noun, adjective=adjectives.NEAREST)
    return (
        sentence("it is", english_number(kilometres), "kilometres from", the(here).en, "to", goal.en),
        sentence(from_there(here), "bis", after("zu", goal.dat), "sind es", german_number(kilometres), "Kilometer"),
    )


@pattern({"place": nouns.PLACES, "time": names.FUTURE_TIMES}, {"subject": persons.SUBJECTS, "front": [True, False]})
def going_to(place, time, subject, front):
    en_to, de_to = to_place(place)
    finite = {"ich": "gehe", "er": "geht", "wir": "gehen"}[subject.person]
    if front:
        return (
            sentence(time.en, subject.en, be(subject), "going", en_to),
            sentence(time.de, finite, subject.nom, de_to),
        )
    return (
        sentence(subject.en, be(subject), "going", en_to, time.en),
        sentence(subject.nom, finite, time.de, de_to),
    )


@pattern({"place": nouns.PLACES, "time": names.PAST_TIMES}, {"subject": persons.SUBJECTS})
def went_to(place, time, subject):
    en_to, de_to = to_place(place)
    return (
        sentence(time.en, subject.en, "went", en_to),
        sentence(time.de, SEIN[subject.person], subject.nom, de_to, "gegangen"),
    )


@pattern({"place": nouns.PLACES, "weather": WEATHER}, {"subject": persons.PRONOUNS})
def although(place, weather, subject):
    en_to, de_to = to_place(place)
    finite = {"ich": "gehe", "er": "geht", "wir": "gehen"}[subject.person]
    return (
        sentence("although", weather[0] + ",", subject.en, be(subject), "going", en_to),
        sentence("obwohl", weather[1] + ",", finite, subject.nom, de_to),
    )


@pattern({"place": nouns.PLACES, "subject": persons.THIRD_PERSONS})
def meets_at(place, subject):
    where, wo = at_place(place)
    return (
        sentence(subject.en, be(subject), "waiting for us", where),
        sentence(subject.nom, {"er": "wartet", "wir": "warten"}[subject.person], wo, "auf uns"),
    )


@pattern({"place": nouns.OPEN_PLACES, "day": names.WEEKDAYS}, {"clock": CLOCKS, "closes": [True, False]})
def opens_at(place, day, clock, closes):
    verbs = ("closes", "schließt") if closes else ("opens", "öffnet")
    return (
        sentence(f"on {day.en}s", the(place).en, verbs[0], "at", clock.en),
        sentence(f"{day.de.lower()}s", verbs[1], the(place).nom, "um", clock.de),
    )


@pattern(
    {"place": nouns.OPEN_PLACES, "day": names.WEEKDAYS},
    {"sure": [("do you know", "wissen Sie", "whether", "ob"), ("I am afraid", "ich fürchte", "that", "dass")]},
)
def closed_on(place, day, sure):
    is_question = sure[3] == "ob"
    build = question if is_question else sentence
    return (
        build(sure[0], sure[2], the(place).en, "is closed on", f"{day.en}s"),
        build(sure[1], f", {sure[3]}", the(place).nom, f"{day.de.lower()}s", "geschlossen ist"),
    )


@pattern({"place": nouns.BUILDINGS, "city": names.CITIES}, {"year": YEARS})
def was_built(place, city, year):
    return (
        sentence(the(place).en, "in", city.en, "was built in", year.en),
        sentence(the(place).nom, "in", city.de, "wurde", year.de, "gebaut"),
    )


@pattern({"adjective": adjectives.named("old big small beautiful new"), "place": nouns.BUILDINGS, "city": names.CITIES})
def superlative(adjective, place, city):
    noun = place.noun
    article = NounPhrase("the", noun).nom.split()[0]
    return (
        sentence("this is the", adjective.en_superlative, noun.en, "in", city.en),
        sentence("das ist", article, adjective.de_superlative + "e", noun.de, "in", city.de),
    )


@pattern(
    {
        "places": [(a, b) for a in nouns.BUILDINGS for b in nouns.BUILDINGS if a != b],
        "adjective": adjectives.named("old big small beautiful new"),
    },
    {"as_as": [False, True]},
)
def compare_places(places, adjective, as_as):
    here, there = places
    if as_as:
        return (
            sentence(the(here).en, "is not as", adjective.en, "as", the(there).en),
            sentence(the(here).nom, "ist nicht so", adjective.de, "wie", the(there).nom),
        )
    return (
        sentence(the(here).en, "is", adjective.en_comparative, "than", the(there).en),
        sentence(the(here).nom, "ist", adjective.de_comparative, "als", the(there).nom),
    )


FINDABLE = nouns.places_named(
    "hotel, pharmacy, supermarket, restaurant, market, park, beach, cinema, library, bakery, "
    "campsite, bookshop, museum, church, swimming pool, petrol station"
)


@pattern(
    {"adjective": adjectives.named("good quiet small new old big beautiful clean"), "place": FINDABLE},
    {"opening": [("is there", "gibt es"), ("do you know whether there is", "wissen Sie, ob es")]},
)
def is_there(adjective, place, opening):
    phrase = NounPhrase("a", place.noun, adjective=adjective)
    last = "gibt" if opening[0].startswith("do") else ""
    return (
        question(opening[0], phrase.en, "near here"),
        question(opening[1], "hier in der Nähe", phrase.acc, last),
    )


@pattern(
    {
        "adjective": adjectives.named("good quiet small new old big beautiful clean"),
        "place": FINDABLE,
        "subject": persons.SUBJECTS,
    }
)
def looking_for_place(adjective, place, subject):
    phrase = NounPhrase("a", place.noun, adjective=adjective)
    return (
        sentence(subject.en, be(subject), "looking for", phrase.en),
        sentence(subject.nom, {"ich": "suche", "er": "sucht", "wir": "suchen"}[subject.person], phrase.acc),
    )


LODGINGS = nouns.named("hotel, flat, house, tent, castle, room")


@pattern(
    {
        "adjective": adjectives.named("cheap quiet small new old big beautiful"),
        "lodging": LODGINGS,
        "place": nouns.places_named("station, airport, harbour, beach, bridge, university, park, market"),
    },
    {"subject": persons.SUBJECTS},
)
def staying_in(adjective, lodging, place, subject):
    phrase = NounPhrase("a", lodging, adjective=adjective)
    finite = {"ich": "wohne", "er": "wohnt", "wir": "wohnen"}[subject.person]
    return (
        sentence(subject.en, be(subject), "staying in", phrase.en, "behind", the(place).en),
        sentence(subject.nom, finite, "in", phrase.dat, "hinter", the(place).dat),
    )
