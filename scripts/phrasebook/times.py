"""Patterns about time: dates, clock times, events and daily routine."""

from scripts.phrasebook import names, nouns, persons
from scripts.phrasebook.numbers import CLOCKS, DATES, Date, english_ordinal, german_ordinal
from scripts.phrasebook.patterns import pattern
from scripts.phrasebook.sentences import sentence
from scripts.phrasebook.words import WERDEN, NounPhrase

ROOMS_TO_LET = [
    ("single room", "Einzelzimmer"), ("double room", "Doppelzimmer"), ("quiet room", "ruhiges Zimmer"),
    ("cheap room", "billiges Zimmer"), ("room with a balcony", "Zimmer mit Balkon"),
    ("room with a shower", "Zimmer mit Dusche"), ("room for three people", "Zimmer für drei Personen"),
]  # fmt: skip
EVENTS = [NounPhrase("the", event) for event in nouns.EVENTS]
ROUTINE = [
    ("get up", "gets up", "auf", "stehe", "steht", "stehen"),
    ("have breakfast", "has breakfast", "", "frühstücke", "frühstückt", "frühstücken"),
    ("set off", "sets off", "los", "fahre", "fährt", "fahren"),
    ("come back", "comes back", "zurück", "komme", "kommt", "kommen"),
    ("fall asleep", "falls asleep", "ein", "schlafe", "schläft", "schlafen"),
]
ROUTINE_NAMES = [routine[0] for routine in ROUTINE]


@pattern({"subject": persons.SUBJECTS, "month": names.MONTHS}, {"day": range(1, 31)})
def will_arrive_on(subject, month, day):
    if (day, month.en) == (30, "February"):
        return None
    date = Date(day, month.en)
    return (
        sentence(subject.en, "will arrive on", date.en),
        sentence(subject.nom, WERDEN[subject.person], date.de_on, "ankommen"),
    )


@pattern(
    {"subject": [relative for relative in persons.RELATIVES if relative.noun.gender != "p"], "month": names.MONTHS},
    {"day": range(1, 31)},
)
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


@pattern(
    {"room": ROOMS_TO_LET, "month": names.MONTHS}, {"days": [(a, b) for a in range(1, 25) for b in range(a + 2, 29, 3)]}
)
def room_from_to(room, month, days):
    first, last = days
    return (
        sentence(
            "we would like a",
            room[0],
            "from the",
            english_ordinal(first),
            "to the",
            english_ordinal(last),
            "of",
            month.en,
        ),
        sentence(
            "wir möchten ein",
            room[1],
            "vom",
            german_ordinal(first) + "en",
            "bis zum",
            german_ordinal(last) + "en",
            month.de,
        ),
    )


@pattern({"clock": CLOCKS}, {"adverb": [("", ""), ("already", "schon"), ("almost", "fast"), ("now", "jetzt")]})
def it_is_oclock(clock, adverb):
    return sentence("it is", adverb[0], clock.en), sentence("es ist", adverb[1], clock.de)


@pattern({"event": EVENTS, "day": names.WEEKDAYS}, {"clock": CLOCKS, "end": [False, True]})
def event_starts(event, day, clock, end):
    verb = ("ends", "endet", "") if end else ("starts", "fängt", "an")
    return (
        sentence(f"on {day.en}", event.en, verb[0], "at", clock.en),
        sentence(f"am {day.de}", verb[1], event.nom, "um", clock.de, verb[2]),
    )


@pattern({"event": EVENTS, "subject": persons.SUBJECTS}, {"clock": CLOCKS})
def knows_that_starts(event, subject, clock):
    know = {"ich": ("know", "weiß"), "er": ("knows", "weiß"), "wir": ("know", "wissen")}[subject.person]
    return (
        sentence(subject.en, know[0], "that", event.en, "starts at", clock.en),
        sentence(subject.nom, know[1] + ", dass", event.nom, "um", clock.de, "anfängt"),
    )


@pattern(
    {"routine": ROUTINE_NAMES, "subject": persons.SUBJECTS},
    {"clock": CLOCKS, "day": names.WEEKDAYS, "order": [0, 1, 2]},
)
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
