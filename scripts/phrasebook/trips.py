"""Patterns about travelling: trains, cities and countries, dates, durations and clock times."""

from phrasebook import lexicon as lex
from phrasebook.numbers import CLOCKS, DATES, Date, english_number, english_ordinal, german_number, german_ordinal
from phrasebook.patterns import pattern
from phrasebook.sentences import after, pronoun_for, question, sentence
from phrasebook.words import MOECHTEN, MUESSEN, SEIN, WERDEN, WOLLEN, Noun, NounPhrase, be, have, want, was

TRAINS = [NounPhrase("the", lex.NOUNS[en]) for en in ("train", "express train", "night train", "regional train")]
LINES = [*TRAINS, NounPhrase("the", lex.NOUNS["bus"]), NounPhrase("the", lex.NOUNS["ship"])]
PORTS = "Vienna Hamburg Cologne Basel Dresden Bremen Venice Geneva Lucerne Zurich".split()
TOWN_RIDES = [lex.NOUNS[en] for en in ("train", "bus", "tram", "underground", "taxi")]
LONG_RIDES = [lex.NOUNS[en] for en in ("train", "bus", "ship", "car", "bicycle")]
MINUTES = [5, 10, 15, 20, 25, 30, 40, 45, 50]
PLATFORMS = range(1, 30)
CITY_PAIRS = [(here, there) for here in lex.CITIES for there in lex.CITIES if here != there]
ROOMS_TO_LET = [
    ("single room", "Einzelzimmer"), ("double room", "Doppelzimmer"), ("quiet room", "ruhiges Zimmer"),
    ("cheap room", "billiges Zimmer"), ("room with a balcony", "Zimmer mit Balkon"),
    ("room with a shower", "Zimmer mit Dusche"), ("room for three people", "Zimmer für drei Personen"),
]  # fmt: skip
EVENTS = [NounPhrase("the", event) for event in lex.EVENTS]


LINE_CITIES = [(line, city) for line in LINES for city in lex.CITIES if line.en != "the ship" or city.en in PORTS]
CITY_RIDES = [(city, ride) for city in lex.CITIES for ride in LONG_RIDES if ride.en != "ship" or city.en in PORTS]


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


@pattern({"line_city": LINE_CITIES}, {"time": lex.PAST_TIMES[:2], "minutes": MINUTES})
def arrived_late(line_city, time, minutes):
    line, city = line_city
    return (
        sentence(time.en, line.en, "from", city.en, "arrived", english_number(minutes), "minutes late"),
        sentence(
            time.de, "ist", line.nom, "aus", city.de, "mit", german_number(minutes), "Minuten Verspätung angekommen"
        ),
    )


@pattern({"line_city": LINE_CITIES}, {"asks": [("do you know", "wissen Sie"),
         ("can you tell me", "können Sie mir sagen"), ("could you ask", "könnten Sie fragen")]})  # fmt: skip
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


@pattern({"line": TRAINS, "city": lex.CITIES}, {"platform": PLATFORMS})
def from_platform(line, city, platform):
    return (
        sentence(line.en, "to", city.en, "leaves from platform", english_number(platform)),
        sentence(line.nom, "nach", city.de, "fährt von Gleis", german_number(platform), "ab"),
    )


@pattern({"line_city": LINE_CITIES}, {"minutes": MINUTES, "sure": [("I have heard", "ich habe gehört"),
         ("I think", "ich glaube"), ("it is possible", "es ist möglich")]})  # fmt: skip
def that_is_late(line_city, minutes, sure):
    line, city = line_city
    return (
        sentence(sure[0], "that", line.en, "to", city.en, "is", english_number(minutes), "minutes late"),
        sentence(
            sure[1], ", dass", line.nom, "nach", city.de, german_number(minutes), "Minuten Verspätung hat"
        ),
    )  # fmt: skip


@pattern({"cities": CITY_PAIRS}, {"subject": lex.PRONOUNS})
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


@pattern({"line": TOWN_RIDES[1:4], "place": lex.PLACES})
def which_goes(line, place):
    return (
        question("which", line.en, "goes to the", place.en),
        question(NounPhrase("which", line).nom, "fährt", after("zu", NounPhrase("the", place.noun).dat)),
    )


@pattern({"city_ride": CITY_RIDES}, {"subject": lex.SUBJECTS, "time": lex.FUTURE_TIMES})
def travel_by(city_ride, subject, time):
    city, ride = city_ride
    finite = {"ich": "fahre", "er": "fährt", "wir": "fahren"}[subject.person]
    return (
        sentence(subject.en, be(subject), "travelling to", city.en, "by", ride.en, time.en),
        sentence(subject.nom, finite, time.de, "mit", NounPhrase("the", ride).dat, "nach", city.de),
    )


@pattern({"city_ride": CITY_RIDES}, {"subject": lex.SUBJECTS, "time": lex.PAST_TIMES})
def travelled_by(city_ride, subject, time):
    city, ride = city_ride
    return (
        sentence(time.en, subject.en, "travelled to", city.en, "by", ride.en),
        sentence(
            time.de, SEIN[subject.person], subject.nom, "mit", NounPhrase("the", ride).dat, "nach", city.de, "gefahren"
        ),
    )


@pattern({"city_ride": CITY_RIDES}, {"subject": lex.THIRD_PERSONS, "time": lex.FUTURE_TIMES})
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


@pattern({"country": lex.COUNTRIES, "month": lex.MONTHS}, {"subject": lex.SUBJECTS, "front": [True, False]})
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


@pattern({"country": lex.COUNTRIES, "city": lex.CITIES}, {"subject": lex.SUBJECTS})
def comes_from(country, city, subject):
    p = subject.person
    come = {"ich": ("come", "komme"), "er": ("comes", "kommt"), "wir": ("come", "kommen")}[p]
    live = {"ich": ("live", "wohne"), "er": ("lives", "wohnt"), "wir": ("live", "wohnen")}[p]
    return (
        sentence(subject.en, come[0], "from", country.en, "but", live[0], "in", city.en),
        sentence(subject.nom, come[1], country.de_from + ",", live[1], "aber in", city.de),
    )


@pattern({"place": lex.CITIES + lex.COUNTRIES, "subject": lex.SUBJECTS})
def never_been(place, subject):
    where = place.de_in if isinstance(place, lex.Country) else f"in {place.de}"
    return (
        sentence(subject.en, have(subject.person), "never been to", place.en),
        sentence(subject.nom, {"wir": "waren"}.get(subject.person, "war"), "noch nie", where),
    )


@pattern({"city": lex.CITIES, "subject": lex.SUBJECTS}, {"years": range(2, 30)})
def living_for_years(city, subject, years):
    live = {"ich": "wohne", "er": "wohnt", "wir": "wohnen"}[subject.person]
    return (
        sentence(subject.en, have(subject.person), "been living in", city.en, "for", english_number(years), "years"),
        sentence(subject.nom, live, "seit", german_number(years), "Jahren in", city.de),
    )


@pattern({"name": lex.FIRST_NAMES, "city": lex.CITIES})
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


TICKETS = [
    ("ticket", "eine Fahrkarte", "Fahrkarten"),
    ("return ticket", "eine Rückfahrkarte", "Rückfahrkarten"),
    ("cheap ticket", "eine billige Fahrkarte", "billige Fahrkarten"),
]


@pattern({"kind": TICKETS, "city": lex.CITIES}, {"count": range(1, 11), "line": TRAINS})
def tickets_please(kind, city, count, line):
    en = f"one {kind[0]}" if count == 1 else f"{english_number(count)} {kind[0]}s"
    de = kind[1] if count == 1 else f"{german_number(count)} {kind[2]}"
    return (
        sentence(en, "for", line.en, "to", city.en + ",", "please"),
        sentence(de, "für", line.acc, "nach", city.de + ",", "bitte"),
    )


@pattern({"subject": lex.SUBJECTS, "month": lex.MONTHS}, {"day": range(1, 31)})
def will_arrive_on(subject, month, day):
    if (day, month.en) == (30, "February"):
        return None
    date = Date(day, month.en)
    return (
        sentence(subject.en, "will arrive on", date.en),
        sentence(subject.nom, WERDEN[subject.person], date.de_on, "ankommen"),
    )


@pattern({"subject": [relative for relative in lex.RELATIVES if not relative.noun.gender == "p"], "month": lex.MONTHS}, {"day": range(1, 31)})
def birthday_on(subject, month, day):
    if (day, month.en) == (30, "February"):
        return None
    date = Date(day, month.en)
    return (
        sentence(f"{subject.en}'s birthday is on", date.en),
        sentence(subject.nom, "hat", date.de_on, "Geburtstag"),
    )


@pattern({"date": DATES}, {"day": [("today", "heute"), ("tomorrow", "morgen")]})
def date_today(date, day):
    return sentence(day[0], "is", date.en), sentence(day[1], "ist", date.de_nominative)


@pattern({"room": ROOMS_TO_LET, "month": lex.MONTHS}, {"days": [(a, b) for a in range(1, 25) for b in range(a + 2, 29, 3)]})
def room_from_to(room, month, days):
    first, last = days
    return (
        sentence(
            "we would like a", room[0], "from the", english_ordinal(first), "to the", english_ordinal(last), "of", month.en
        ),
        sentence(
            "wir möchten ein", room[1], "vom", german_ordinal(first) + "en", "bis zum", german_ordinal(last) + "en", month.de
        ),
    )


@pattern({"clock": CLOCKS}, {"adverb": [("", ""), ("already", "schon"), ("almost", "fast"), ("now", "jetzt")]})
def it_is_oclock(clock, adverb):
    return sentence("it is", adverb[0], clock.en), sentence("es ist", adverb[1], clock.de)


@pattern({"event": EVENTS, "day": lex.WEEKDAYS}, {"clock": CLOCKS, "end": [False, True]})
def event_starts(event, day, clock, end):
    verb = ("ends", "endet", "") if end else ("starts", "fängt", "an")
    return (
        sentence(f"on {day.en}", event.en, verb[0], "at", clock.en),
        sentence(f"am {day.de}", verb[1], event.nom, "um", clock.de, verb[2]),
    )


@pattern({"event": EVENTS, "subject": lex.SUBJECTS}, {"clock": CLOCKS})
def knows_that_starts(event, subject, clock):
    know = {"ich": ("know", "weiß"), "er": ("knows", "weiß"), "wir": ("know", "wissen")}[subject.person]
    return (
        sentence(subject.en, know[0], "that", event.en, "starts at", clock.en),
        sentence(subject.nom, know[1] + ", dass", event.nom, "um", clock.de, "anfängt"),
    )


ROUTINE = [
    ("get up", "gets up", "auf", "stehe", "steht", "stehen"),
    ("have breakfast", "has breakfast", "", "frühstücke", "frühstückt", "frühstücken"),
    ("set off", "sets off", "los", "fahre", "fährt", "fahren"),
    ("come back", "comes back", "zurück", "komme", "kommt", "kommen"),
    ("fall asleep", "falls asleep", "ein", "schlafe", "schläft", "schlafen"),
]
ROUTINE_NAMES = [routine[0] for routine in ROUTINE]


@pattern({"routine": ROUTINE_NAMES, "subject": lex.SUBJECTS}, {"clock": CLOCKS, "day": lex.WEEKDAYS, "order": [0, 1, 2]})
def routine_at(routine, subject, clock, day, order):
    base, third, prefix, *forms = ROUTINE[ROUTINE_NAMES.index(routine)]
    finite = forms[["ich", "er", "wir"].index(subject.person)]
    english = third if subject.person == "er" else base
    if order == 0:
        return (
            sentence(subject.en, "usually", english, "at", clock.en),
            sentence(subject.nom, finite, "meistens um", clock.de, prefix),
        )
    if order == 1:
        return (
            sentence(f"on {day.en}s", subject.en, english, "at", clock.en),
            sentence(f"{day.de.lower()}s", finite, subject.nom, "um", clock.de, prefix),
        )
    return (
        sentence("I do not know why", subject.en, english, "at", clock.en),
        sentence("ich weiß nicht, warum", subject.nom, "um", clock.de, prefix + finite),
    )


@pattern({"cities": CITY_PAIRS}, {"adjective": lex.adjectives("warm cold quiet loud expensive cheap"), "time": ["today", ""]})
def compare_cities(cities, adjective, time):
    here, there = cities
    comparative = adjective.de_comparative
    return (
        sentence("it is", adjective.en_comparative, "in", here.en, "than in", there.en, time),
        sentence("in", here.de, "ist es", "heute" if time else "", comparative, "als in", there.de),
    )


@pattern({"ride": TOWN_RIDES[1:], "place": lex.PLACES}, {"minutes": MINUTES})
def waiting_for(ride, place, minutes):
    line = NounPhrase("the", ride)
    return (
        sentence("we have been waiting for", line.en, "to the", place.en, "for", english_number(minutes), "minutes"),
        sentence(
            "wir warten seit", german_number(minutes), "Minuten auf", line.acc, after("zu", NounPhrase("the", place.noun).dat)
        ),
    )


@pattern({"ride": TOWN_RIDES[1:], "place": lex.PLACES}, {})
def take_and_get_off(ride, place):
    line, stop = NounPhrase("the", ride), NounPhrase("the", place.noun)
    return (
        sentence("take", line.en, "and get off at", stop.en),
        sentence("nehmen Sie", line.acc, "und steigen Sie", after("an", stop.dat), "aus"),
    )


@pattern({"known": lex.LANGUAGES, "unknown": lex.LANGUAGES}, {"subject": lex.SUBJECTS})
def speaks(known, unknown, subject):
    if known == unknown:
        return None
    speak = {"ich": ("speak", "spreche"), "er": ("speaks", "spricht"), "wir": ("speak", "sprechen")}[subject.person]
    return (
        sentence(subject.en, speak[0], "a little", known.en, "but no", unknown.en),
        sentence(subject.nom, speak[1], "ein wenig", known.de + ",", "aber kein", unknown.de),
    )


@pattern({"language": lex.LANGUAGES, "country": lex.COUNTRIES}, {"subject": lex.SUBJECTS})
def learns_because(language, country, subject):
    p = subject.person
    learn = {"ich": "lerne", "er": "lernt", "wir": "lernen"}[p]
    pronoun = pronoun_for(subject)
    return (
        sentence(subject.en, be(subject), "learning", language.en, "because", pronoun.en, "would like to travel to", country.en),
        sentence(subject.nom, learn, language.de + ", weil", pronoun.nom, country.de_to, "reisen", MOECHTEN[p]),
    )


@pattern({"subject": lex.SUBJECTS, "country": lex.COUNTRIES}, {"time": [("last year", "letztes Jahr"),
         ("last summer", "letzten Sommer"), ("last winter", "letzten Winter"), ("two years ago", "vor zwei Jahren")]})  # fmt: skip
def was_in_country(subject, country, time):
    return (
        sentence(time[0], subject.en, was(subject), "in", country.en),
        sentence(time[1], {"wir": "waren"}.get(subject.person, "war"), subject.nom, country.de_in),
    )
