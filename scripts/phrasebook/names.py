"""Words that do not inflect: cities, countries, months, languages and adverbs of time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Name:
    """A word without inflection: a city, a month, a weekday, an adverb."""

    en: str
    de: str


def _names(table: str) -> list[Name]:
    return [Name(*entry.strip().split("=")) for entry in table.split(",")]


CITIES = _names(
    "Vienna=Wien, Munich=München, Cologne=Köln, Berlin=Berlin, Hamburg=Hamburg, Zurich=Zürich, Geneva=Genf, "
    "Salzburg=Salzburg, Nuremberg=Nürnberg, Frankfurt=Frankfurt, Leipzig=Leipzig, Dresden=Dresden, Basel=Basel, "
    "Bremen=Bremen, Stuttgart=Stuttgart, Lucerne=Luzern, Prague=Prag, Milan=Mailand, Rome=Rom, Venice=Venedig, "
    "Paris=Paris, Brussels=Brüssel, Strasbourg=Straßburg, Warsaw=Warschau"
)
MONTHS = _names(
    "January=Januar, February=Februar, March=März, April=April, May=Mai, June=Juni, July=Juli, August=August, "
    "September=September, October=Oktober, November=November, December=Dezember"
)
WEEKDAYS = _names(
    "Monday=Montag, Tuesday=Dienstag, Wednesday=Mittwoch, Thursday=Donnerstag, Friday=Freitag, Saturday=Samstag, "
    "Sunday=Sonntag"
)
LANGUAGES = _names(
    "German=Deutsch, English=Englisch, French=Französisch, Italian=Italienisch, Spanish=Spanisch, Polish=Polnisch, "
    "Czech=Tschechisch, Dutch=Niederländisch, Danish=Dänisch, Russian=Russisch, "
    "Hungarian=Ungarisch, Swedish=Schwedisch, Greek=Griechisch, Turkish=Türkisch"
)
FIRST_NAMES = ["Anna", "Peter", "Maria", "Thomas", "Julia", "Martin", "Laura", "Paul", "Eva", "Simon", "Clara", "David"]


@dataclass(frozen=True)
class Country:
    """A country: in, to and from it. Most have no article, some do."""

    en: str
    de_in: str
    de_to: str
    de_from: str


def _countries() -> list[Country]:
    plain = _names(
        "Austria=Österreich, Germany=Deutschland, Italy=Italien, France=Frankreich, Spain=Spanien, Poland=Polen, "
        "Denmark=Dänemark, Hungary=Ungarn, Sweden=Schweden, Greece=Griechenland"
    )
    return [
        *(Country(name.en, f"in {name.de}", f"nach {name.de}", f"aus {name.de}") for name in plain),
        Country("Switzerland", "in der Schweiz", "in die Schweiz", "aus der Schweiz"),
        Country("Turkey", "in der Türkei", "in die Türkei", "aus der Türkei"),
        Country("the Netherlands", "in den Niederlanden", "in die Niederlande", "aus den Niederlanden"),
    ]


COUNTRIES = _countries()

FUTURE_TIMES = _names(
    "today=heute, tomorrow=morgen, this evening=heute Abend, this afternoon=heute Nachmittag, "
    "tomorrow evening=morgen Abend, tomorrow morning=morgen früh, next week=nächste Woche"
)
FUTURE_TIMES += [Name(f"on {day.en}", f"am {day.de}") for day in WEEKDAYS]
FUTURE_TIMES += [Name(f"on {day.en} evening", f"am {day.de}abend") for day in WEEKDAYS]
PAST_TIMES = _names(
    "yesterday=gestern, yesterday evening=gestern Abend, last week=letzte Woche, yesterday morning=gestern Morgen, "
    "an hour ago=vor einer Stunde, two days ago=vor zwei Tagen, three weeks ago=vor drei Wochen, "
    "a month ago=vor einem Monat"
)
PAST_TIMES += [Name(f"on {day.en} afternoon", f"am {day.de}nachmittag") for day in WEEKDAYS]
HABITS = _names(
    "every morning=jeden Morgen, every evening=jeden Abend, every day=jeden Tag, every week=jede Woche, "
    "always=immer, often=oft, sometimes=manchmal"
)
