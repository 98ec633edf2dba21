"""Patterns about travelling: trains, cities, countries and their languages."""

from scripts.phrasebook import adjectives, names, nouns, persons
from scripts.phrasebook.numbers import CLOCKS, english_number, german_number
from scripts.phrasebook.patterns import pattern
from scripts.phrasebook.sentences import after, pronoun_for, question, sentence
from scripts.phrasebook.words import MOECHTEN, MUESSEN, SEIN, WOLLEN, NounPhrase, be, have, want, was

TRAINS = [NounPhrase("the", nouns.NOUNS[en]) for en in ("train", "express train", "night train", "regional train")]
LINES = [*TRAINS, NounPhrase("the", nouns.NOUNS["bus"]), NounPhrase("the", nouns.NOUNS["ship"])]
PORTS = ["Vienna", "Hamburg", "Cologne", "Basel", "Dresden", "Bremen", "Venice", "Geneva", "Lucerne", "Zurich"]
TOWN_RIDES = [nouns.NOUNS[en] for en in ("train", "bus", "tram", "underground", "taxi")]
LONG_RIDES = [nouns.NOUNS[en] for en in ("train", "bus", "ship", "car", "bicycle")]
MINUTES = [5, 10, 15, 20, 25, 30, 40, 45, 50]
PLATFORMS = range(1, 30)
CITY_PAIRS = [(here, there) for here in names.CITIES for there in names.CITIES if here != there]


LINE_CITIES = [(line, city) for line in LINES for city in names.CITIES if line.en != "the ship" or city.en in PORTS]
CITY_RIDES = [(city, ride) for city in names.CITIES for ride in LONG_RIDES if ride.en != "ship" or city.en in PORTS]
TICKETS = [
    ("ticket", "eine Fahrkarte", "Fahrkarten"),
    ("return ticket", "eine Rückfahrkarte", "Rückfahrkarten"),
    ("cheap ticket", "eine billige Fahrkarte", "billige Fahrkarten"),
]


@pattern({"line_city": LINE_CITIES}, {"clock": CLOCKS})
def departs_at(line_city, clock):
    line, city = line_city
    return (
        sentence(line.en, "to", city.en, "leaves at", clock.en),
        sentence(line.nom, "nach", city.de, "fährt um", clock.de, "ab"),
    )


@pattern({"line_city": LINE_CITIES}, {"clock": CLOCKS})
def arrives_at(line_city, clock):
    line, city = line_city
    return (
        sentence(line.en, "from", city.en, "arrives at", clock.en),
        sentence(line.nom, "aus", city.de, "kommt um", clock.de, "an"),
    )


@pattern({"line_city": LINE_CITIES}, {"time": names.PAST_TIMES[:2], "minutes": MINUTES})
def arrived_late(line_city, time, minutes):
    line, city = line_city
    return (
        sentence(time.en, line.en, "from", city.en, "arrived", english_number(minutes), "minutes late"),
        sentence(
            time.de, "ist", line.nom, "aus", city.de, "mit", german_number(minutes), "Minuten Verspätung angekommen"
        ),
    )


@pattern(
    {"line_city": LINE_CITIES},
    {
        "asks": [
            ("do you know", "wissen Sie"),
            ("can you tell me", "können Sie mir sagen"),
            ("could you ask", "könnten Sie fragen"),
        ]
    },
)
def when_departs(line_city, asks):
    line, city = line_city
    return (
        question(asks[0], "when", line.en, "to", city.en, "leaves"),
        question(asks[1], ", wann", line.nom, "nach", city.de, "abfährt"),
    )


@pattern({"line_city": LINE_CITIES}, {"clock": CLOCKS})
def whether_arrives(line_city, clock):
    line, city = line_city
    return (
        question("can you tell me whether", line.en, "from", city.en, "arrives at", clock.en),
        question("können Sie mir sagen, ob", line.nom, "aus", city.de, "um", clock.de, "ankommt"),
    )


@pattern({"line": TRAINS, "city": names.CITIES}, {"platform": PLATFORMS})
def from_platform(line, city, platform):
    return (
        sentence(line.en, "to", city.en, "leaves from platform", english_number(platform)),
        sentence(line.nom, "nach", city.de, "fährt von Gleis", german_number(platform), "ab"),
    )


@pattern(
    {"line_city": LINE_CITIES},
    {
        "minutes": MINUTES,
        "sure": [("I have heard", "ich habe gehört"), ("I think", "ich glaube"), ("it is possible", "es ist möglich")],
    },
)
def that_is_late(line_city, minutes, sure):
    line, city = line_city
    return (
        sentence(sure[0], "that", line.en, "to", city.en, "is", english_number(minutes), "minutes late"),
        sentence(
            sure[1], ", dass", line.nom, "nach", city.de, german_number(minutes), "Minuten Verspätung hat"
        ),
    )  # fmt: skip


@pattern({"cities": CITY_PAIRS}, {"subject": persons.PRONOUNS})
def change_in(cities, subject):
    change, goal = cities
    p = subject.person
    return (
        sentence("if", subject.en, want(p), "to go to", goal.en + ",", subject.en, have(p), "to change in", change.en),
        sentence(
            "wenn", subject.nom, "nach", goal.de, "fahren", WOLLEN[p] + ",", MUESSEN[p], subject.nom, "in", change.de,
            "umsteigen",
        ),
    )  # fmt: skip


@pattern({"line": TOWN_RIDES[1:4], "place": nouns.PLACES})
def which_goes(line, place):
    return (
        question("which", line.en, "goes to the", place.en),
        question(NounPhrase("which", line).nom, "fährt", after("zu", NounPhrase("the", place.noun).dat)),
    )


@pattern({"city_ride": CITY_RIDES}, {"subject": persons.SUBJECTS, "time": names.FUTURE_TIMES})
def travel_by(city_ride, subject, time):
    city, ride = city_ride
    finite = {"ich": "fahre", "er": "fährt", "wir": "fahren"}[subject.person]
    return (
        sentence(subject.en, be(subject), "travelling to", city.en, "by", ride.en, time.en),
        sentence(subject.nom, finite, time.de, "mit", NounPhrase("the", ride).dat, "nach", city.de),
    )


@pattern({"city_ride": CITY_RIDES}, {"subject": persons.SUBJECTS, "time": names.PAST_TIMES})
def travelled_by(city_ride, subject, time):
    city, ride = city_ride
    return (
        sentence(time.en, subject.en, "travelled to", city.en, "by", ride.en),
        sentence(
            time.de, SEIN[subject.person], subject.nom, "mit", NounPhrase("the", ride).dat, "nach", city.de, "gefahren"
        ),
    )


@pattern({"city_ride": CITY_RIDES}, {"subject": persons.THIRD_PERSONS, "time": names.FUTURE_TIMES})
def early_because(city_ride, subject, time):
    city, ride = city_ride
    finite = {"er": "fährt", "wir": "fahren"}[subject.person]
    return (
        sentence(
            "we have to get up early because", subject.en, be(subject), "travelling to", city.en, "by", ride.en, time.en
        ),
        sentence(
            "wir müssen früh aufstehen, weil", subject.nom, time.de, "mit", NounPhrase("the", ride).dat, "nach",
            city.de, finite,
        ),
    )  # fmt: skip


@pattern({"country": names.COUNTRIES, "month": names.MONTHS}, {"subject": persons.SUBJECTS, "front": [True, False]})
def fly_to_country(country, month, subject, front):
    finite = {"ich": "fliege", "er": "fliegt", "wir": "fliegen"}[subject.person]
    if front:
        return (
            sentence(f"in {month.en}", subject.en, be(subject), "flying to", country.en),
            sentence(f"im {month.de}", finite, subject.nom, country.de_to),
        )
    return (
        sentence(subject.en, be(subject), "flying to", country.en, "in", month.en),
        sentence(subject.nom, finite, "im", month.de, country.de_to),
    )


@pattern({"country": names.COUNTRIES, "city": names.CITIES}, {"subject": persons.SUBJECTS})
def comes_from(country, city, subject):
    p = subject.person
    come = {"ich": ("come", "komme"), "er": ("comes", "kommt"), "wir": ("come", "kommen")}[p]
    live = {"ich": ("live", "wohne"), "er": ("lives", "wohnt"), "wir": ("live", "wohnen")}[p]
    return (
        sentence(subject.en, come[0], "from", country.en, "but", live[0], "in", city.en),
        sentence(subject.nom, come[1], country.de_from + ",", live[1], "aber in", city.de),
    )


@pattern({"place": names.CITIES + names.COUNTRIES, "subject": persons.SUBJECTS})
def never_been(place, subject):
    where = place.de_in if isinstance(place, names.Country) else f"in {place.de}"
    return (
        sentence(subject.en, have(subject.person), "never been to", place.en),
        sentence(subject.nom, {"wir": "waren"}.get(subject.person, "war"), "noch nie", where),
    )


@pattern({"city": names.CITIES, "subject": persons.SUBJECTS}, {"years": range(2, 30)})
def living_for_years(city, subject, years):
    live = {"ich": "wohne", "er": "wohnt", "wir": "wohnen"}[subject.person]
    return (
        sentence(subject.en, have(subject.person), "been living in", city.en, "for", english_number(years), "years"),
        sentence(subject.nom, live, "seit", german_number(years), "Jahren in", city.de),
    )


@pattern({"name": names.FIRST_NAMES, "city": names.CITIES})
def my_name(name, city):
    return (
        sentence("my name is", name, "and I come from", city.en),
        sentence("ich heiße", name, "und komme aus", city.de),
    )


@pattern({"cities": CITY_PAIRS}, {"hours": range(1, 13), "half": [False, False, True]})
def takes_hours(cities, hours, half):
    if half and hours == 1:
        return None
    en = english_number(hours) + (" and a half hours" if half else " hours")
    de = german_number(hours) + ("einhalb Stunden" if half else " Stunden")
    if hours == 1:
        en, de = "one hour", "eine Stunde"
    return (
        sentence("the journey from", cities[0].en, "to", cities[1].en, "takes", en),
        sentence("die Fahrt von", cities[0].de, "nach", cities[1].de, "dauert", de),
    )


@pattern({"kind": TICKETS, "city": names.CITIES}, {"count": range(1, 11), "line": TRAINS})
def tickets_please(kind, city, count, line):
    en = f"one {kind[0]}" if count == 1 else f"{english_number(count)} {kind[0]}s"
    de = kind[1] if count == 1 else f"{german_number(count)} {kind[2]}"
    return (
        sentence(en, "for", line.en, "to", city.en + ",", "please"),
        sentence(de, "für", line.acc, "nach", city.de + ",", "bitte"),
    )


@pattern(
    {"cities": CITY_PAIRS},
    {"adjective": adjectives.named("warm cold quiet loud expensive cheap"), "time": ["today", ""]},
)
def compare_cities(cities, adjective, time):
    here, there = cities
    comparative = adjective.de_comparative
    return (
        sentence("it is", adjective.en_comparative, "in", here.en, "than in", there.en, time),
        sentence("in", here.de, "ist es", "heute" if time else "", comparative, "als in", there.de),
    )


@pattern({"ride": TOWN_RIDES[1:], "place": nouns.PLACES}, {"minutes": MINUTES})
def waiting_for(ride, place, minutes):
    line = NounPhrase("the", ride)
    return (
        sentence("we have been waiting for", line.en, "to the", place.en, "for", english_number(minutes), "minutes"),
        sentence(
            "wir warten seit",
            german_number(minutes),
            "Minuten auf",
            line.acc,
            after("zu", NounPhrase("the", place.noun).dat),
        ),
    )


@pattern({"ride": TOWN_RIDES[1:], "place": nouns.PLACES}, {})
def take_and_get_off(ride, place):
    line, stop = NounPhrase("the", ride), NounPhrase("the", place.noun)
    return (
        sentence("take", line.en, "and get off at", stop.en),
        sentence("nehmen Sie", line.acc, "und steigen Sie", after("an", stop.dat), "aus"),
    )


@pattern({"known": names.LANGUAGES, "unknown": names.LANGUAGES}, {"subject": persons.SUBJECTS})
def speaks(known, unknown, subject):
    if known == unknown:
        return None
    speak = {"ich": ("speak", "spreche"), "er": ("speaks", "spricht"), "wir": ("speak", "sprechen")}[subject.person]
    return (
        sentence(subject.en, speak[0], "a little", known.en, "but no", unknown.en),
        sentence(subject.nom, speak[1], "ein wenig", known.de + ",", "aber kein", unknown.de),
    )


SPOKEN = {
    "German": "Germany, Austria, Switzerland", "French": "France, Switzerland", "Italian": "Italy, Switzerland",
    "Spanish": "Spain", "Polish": "Poland", "Dutch": "the Netherlands", "Danish": "Denmark", "Hungarian": "Hungary",
    "Swedish": "Sweden", "Greek": "Greece", "Turkish": "Turkey",
}  # fmt: skip
LANGUAGE_COUNTRIES = [
    (language, country)
    for language in names.LANGUAGES
    for country in names.COUNTRIES
    if country.en in SPOKEN.get(language.en, "").split(", ")
]


@pattern({"language_country": LANGUAGE_COUNTRIES, "subject": persons.SUBJECTS}, {"must": [False, True]})
def learns_because(language_country, subject, must):
    language, country = language_country
    p, pronoun = subject.person, pronoun_for(subject)
    learn = {"ich": "lerne", "er": "lernt", "wir": "lernen"}[p]
    modal, modal_de = (f"{have(p)} to", MUESSEN[p]) if must else ("would like to", MOECHTEN[p])
    return (
        sentence(
            subject.en, be(subject), "learning", language.en, "because", pronoun.en, modal, "travel to", country.en
        ),
        sentence(subject.nom, learn, language.de + ", weil", pronoun.nom, country.de_to, "reisen", modal_de),
    )


@pattern(
    {"subject": persons.SUBJECTS, "country": names.COUNTRIES},
    {
        "time": [
            ("last year", "letztes Jahr"),
            ("last summer", "letzten Sommer"),
            ("last winter", "letzten Winter"),
            ("two years ago", "vor zwei Jahren"),
        ]
    },
)
def was_in_country(subject, country, time):
    return (
        sentence(time[0], subject.en, was(subject), "in", country.en),
        sentence(time[1], {"wir": "waren"}.get(subject.person, "war"), subject.nom, country.de_in),
    )
