"""The German of the bundled corpus against translations, numbers, times and endings written by hand."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.phrasebook import verbs
from scripts.phrasebook.adjectives import ADJECTIVES
from scripts.phrasebook.corpus import PATTERNS
from scripts.phrasebook.nouns import NOUNS, PLACE
from scripts.phrasebook.numbers import (
    Clock,
    Date,
    Price,
    Year,
    english_number,
    english_ordinal,
    german_number,
    german_ordinal,
)
from scripts.phrasebook.patterns import label, nouns_in
from scripts.phrasebook.words import NounPhrase

# Blocks of three lines, written by hand: "pattern: fillers of its content and free slots", English, German.
BLOCKS = (Path(__file__).parent / "phrasebook_gold.txt").read_text(encoding="utf-8").strip().split("\n\n")
GOLD = [(*block.splitlines()[0].split(": "), *block.splitlines()[1:]) for block in BLOCKS]


def filler(pattern: str, slot: str, choices: Any, wanted: str) -> Any:
    """The filler with that label; of a tuple, the first parts of its label are enough."""
    for choice in choices:
        if f"{label(choice)} + ".replace(",", "").startswith(f"{wanted} + "):
            return choice
    raise LookupError(f"{pattern}: no {slot} is called {wanted!r}")


@pytest.mark.parametrize(("name", "fillers", "english", "german"), GOLD, ids=[f"{g[0]}: {g[1]}" for g in GOLD])
def test_translation(name: str, fillers: str, english: str, german: str) -> None:
    made = PATTERNS[name]
    slots = {**made.content, **made.free}
    wanted = fillers.split(",")
    assert len(wanted) == len(slots), f"{name} has the slots {list(slots)}"
    chosen = {slot: filler(name, slot, slots[slot], text.strip()) for slot, text in zip(slots, wanted, strict=True)}
    assert made.make(**chosen) == (english, german)


def test_every_pattern_has_a_translation_written_by_hand() -> None:
    assert {line[0] for line in GOLD} == set(PATTERNS)


NUMBERS = {
    0: "null", 1: "eins", 2: "zwei", 3: "drei", 6: "sechs", 7: "sieben", 10: "zehn", 11: "elf", 12: "zwölf",
    13: "dreizehn",
    16: "sechzehn", 17: "siebzehn", 19: "neunzehn", 20: "zwanzig", 21: "einundzwanzig", 30: "dreißig",
    33: "dreiunddreißig", 47: "siebenundvierzig", 56: "sechsundfünfzig", 60: "sechzig",
    61: "einundsechzig",
    70: "siebzig", 76: "sechsundsiebzig", 88: "achtundachtzig", 99: "neunundneunzig", 100: "hundert",
    101: "hunderteins",
    112: "hundertzwölf", 121: "hunderteinundzwanzig", 217: "zweihundertsiebzehn", 999: "neunhundertneunundneunzig",
}  # fmt: skip


@pytest.mark.parametrize(("number", "word"), NUMBERS.items())
def test_german_numbers(number: int, word: str) -> None:
    assert german_number(number) == word


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (45, "forty-five"),
        (80, "eighty"),
        (100, "one hundred"),
        (217, "two hundred and seventeen"),
        (530, "five hundred and thirty"),
    ],
)
def test_english_numbers(number: int, words: str) -> None:
    assert english_number(number) == words


def test_numbers_are_distinct() -> None:
    assert len({german_number(n) for n in range(1000)}) == len({english_number(n) for n in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("number", "english", "german"),
    [
        (1, "first", "erst"),
        (2, "second", "zweit"),
        (3, "third", "dritt"),
        (5, "fifth", "fünft"),
        (7, "seventh", "siebt"),
        (8, "eighth", "acht"),
        (9, "ninth", "neunt"),
        (12, "twelfth", "zwölft"),
        (16, "sixteenth", "sechzehnt"),
        (17, "seventeenth", "siebzehnt"),
        (19, "nineteenth", "neunzehnt"),
        (20, "twentieth", "zwanzigst"),
        (21, "twenty-first", "einundzwanzigst"),
        (22, "twenty-second", "zweiundzwanzigst"),
        (30, "thirtieth", "dreißigst"),
        (31, "thirty-first", "einunddreißigst"),
    ],
)
def test_ordinals(number: int, english: str, german: str) -> None:
    assert english_ordinal(number) == english
    assert german_ordinal(number) == german


@pytest.mark.parametrize(
    ("time", "english", "german"),
    [
        ((1, 0), "one o'clock", "ein Uhr"),
        ((7, 0), "seven o'clock", "sieben Uhr"),
        ((12, 0), "twelve o'clock", "zwölf Uhr"),
        ((1, 5), "five past one", "fünf nach eins"),
        ((6, 10), "ten past six", "zehn nach sechs"),
        ((7, 15), "quarter past seven", "Viertel nach sieben"),
        ((4, 20), "twenty past four", "zwanzig nach vier"),
        ((4, 25), "twenty-five past four", "fünf vor halb fünf"),
        ((7, 30), "half past seven", "halb acht"),
        ((12, 30), "half past twelve", "halb eins"),
        ((9, 35), "twenty-five to ten", "fünf nach halb zehn"),
        ((9, 40), "twenty to ten", "zwanzig vor zehn"),
        ((12, 45), "quarter to one", "Viertel vor eins"),
        ((10, 50), "ten to eleven", "zehn vor elf"),
        ((11, 55), "five to twelve", "fünf vor zwölf"),
    ],
)
def test_clock_times(time: tuple[int, int], english: str, german: str) -> None:
    assert (Clock(*time).en, Clock(*time).de) == (english, german)


@pytest.mark.parametrize(
    ("price", "english", "german"),
    [
        ((1, 0), "one euro", "ein Euro"),
        ((1, 20), "one euro twenty", "ein Euro zwanzig"),
        ((17, 0), "seventeen euros", "siebzehn Euro"),
        ((36, 95), "thirty-six euros ninety-five", "sechsunddreißig Euro fünfundneunzig"),
    ],
)
def test_prices(price: tuple[int, int], english: str, german: str) -> None:
    assert (Price(*price).en, Price(*price).de) == (english, german)


@pytest.mark.parametrize(
    ("year", "english", "german"),
    [
        (1700, "seventeen hundred", "siebzehnhundert"),
        (1805, "eighteen oh-five", "achtzehnhundertfünf"),
        (1852, "eighteen fifty-two", "achtzehnhundertzweiundfünfzig"),
        (1990, "nineteen ninety", "neunzehnhundertneunzig"),
    ],
)
def test_years(year: int, english: str, german: str) -> None:
    assert (Year(year).en, Year(year).de) == (english, german)


@pytest.mark.parametrize(
    ("date", "english", "on", "nominative"),
    [
        ((1, "March"), "the first of March", "am ersten März", "der erste März"),
        ((3, "May"), "the third of May", "am dritten Mai", "der dritte Mai"),
        ((16, "January"), "the sixteenth of January", "am sechzehnten Januar", "der sechzehnte Januar"),
        ((30, "June"), "the thirtieth of June", "am dreißigsten Juni", "der dreißigste Juni"),
    ],
)
def test_dates(date: tuple[int, str], english: str, on: str, nominative: str) -> None:
    assert (Date(*date).en, Date(*date).de_on, Date(*date).de_nominative) == (english, on, nominative)


ENDINGS = """
the old coat | der alte Mantel | den alten Mantel | dem alten Mantel
the old jacket | die alte Jacke | die alte Jacke | der alten Jacke
the old shirt | das alte Hemd | das alte Hemd | dem alten Hemd
the old shoes | die alten Schuhe | die alten Schuhe | den alten Schuhen
a old coat | ein alter Mantel | einen alten Mantel | einem alten Mantel
a old jacket | eine alte Jacke | eine alte Jacke | einer alten Jacke
a old shirt | ein altes Hemd | ein altes Hemd | einem alten Hemd
a old shoes | alte Schuhe | alte Schuhe | alten Schuhen
my expensive coat | mein teurer Mantel | meinen teuren Mantel | meinem teuren Mantel
our new jacket | unsere neue Jacke | unsere neue Jacke | unserer neuen Jacke
your white shirt | Ihr weißes Hemd | Ihr weißes Hemd | Ihrem weißen Hemd
his black shoes | seine schwarzen Schuhe | seine schwarzen Schuhe | seinen schwarzen Schuhen
this old coat | dieser alte Mantel | diesen alten Mantel | diesem alten Mantel
this old shirt | dieses alte Hemd | dieses alte Hemd | diesem alten Hemd
no old coat | kein alter Mantel | keinen alten Mantel | keinem alten Mantel
no old shoes | keine alten Schuhe | keine alten Schuhe | keinen alten Schuhen
"""


@pytest.mark.parametrize("line", ENDINGS.strip().splitlines())
def test_adjective_endings(line: str) -> None:
    words, *expected = line.split(" | ")
    determiner, adjective, noun = words.split()
    phrase = NounPhrase(determiner, NOUNS[noun], adjective=ADJECTIVES[adjective])
    assert [phrase.nom, phrase.acc, phrase.dat] == expected


@pytest.mark.parametrize(
    ("noun", "dative"),
    [
        ("child", None),
        ("book", "den Büchern"),
        ("camera", "den Kameras"),
        ("knife", "den Messern"),
        ("bag", "den Taschen"),
    ],
)
def test_dative_plural(noun: str, dative: str | None) -> None:
    if dative is None:
        assert NounPhrase("my", NOUNS["children"]).dat == "meinen Kindern"
    else:
        assert NounPhrase("the", NOUNS[noun], plural=True).dat == dative


VERBS = """
call | anrufen | anzurufen | rufe an | ruft an | angerufen
take along | mitnehmen | mitzunehmen | nehme mit | nimmt mit | mitgenommen
invite | einladen | einzuladen | lade ein | lädt ein | eingeladen
tidy up | aufräumen | aufzuräumen | räume auf | räumt auf | aufgeräumt
translate | übersetzen | zu übersetzen | übersetze | übersetzt | übersetzt
repeat | wiederholen | zu wiederholen | wiederhole | wiederholt | wiederholt
sell | verkaufen | zu verkaufen | verkaufe | verkauft | verkauft
read | lesen | zu lesen | lese | liest | gelesen
wash | waschen | zu waschen | wasche | wäscht | gewaschen
eat | essen | zu essen | esse | isst | gegessen
photograph | fotografieren | zu fotografieren | fotografiere | fotografiert | fotografiert
"""


@pytest.mark.parametrize("line", VERBS.strip().splitlines())
def test_verb_forms(line: str) -> None:
    english, *expected = line.split(" | ")
    verb = next(action.verb for action in verbs.ACTIONS if action.verb.en == english)
    forms = [verb.infinitive, verb.zu_infinitive]
    forms += [f"{verb.finite(person)} {verb.prefix}".strip() for person in ("ich", "er")]
    assert [*forms, verb.participle] == expected


def test_a_noun_is_not_drawn_twice_into_one_sentence() -> None:
    station, action = PLACE["station"], verbs.ACTIONS[0]
    assert nouns_in((station, (action, "again"))) == ["station", action.noun.en]
