"""Adjectives with their comparison, as a table."""

from scripts.phrasebook.nouns import table_lines
from scripts.phrasebook.words import Adjective


def _adjectives(table: str) -> dict[str, Adjective]:
    """English, comparative, superlative = German(/stem before an ending), comparative, superlative stem."""
    adjectives = {}
    for line in table_lines(table):
        english, german = line.split(" = ")
        en, en_comparative, en_superlative = english.split(", ")
        de, de_comparative, de_superlative = german.split(", ")
        base, _, stem = de.partition("/")
        adjectives[en] = Adjective(
            en, en_comparative, en_superlative, base, stem or base, de_comparative, de_superlative
        )
    return adjectives


ADJECTIVES = _adjectives(
    """
    big, bigger, biggest = groß, größer, größt
    small, smaller, smallest = klein, kleiner, kleinst
    old, older, oldest = alt, älter, ältest
    new, newer, newest = neu, neuer, neuest
    cheap, cheaper, cheapest = billig, billiger, billigst
    expensive, more expensive, most expensive = teuer/teur, teurer, teuerst
    beautiful, more beautiful, most beautiful = schön, schöner, schönst
    heavy, heavier, heaviest = schwer, schwerer, schwerst
    light, lighter, lightest = leicht, leichter, leichtest
    warm, warmer, warmest = warm, wärmer, wärmst
    cold, colder, coldest = kalt, kälter, kältest
    long, longer, longest = lang, länger, längst
    short, shorter, shortest = kurz, kürzer, kürzest
    quiet, quieter, quietest = ruhig, ruhiger, ruhigst
    loud, louder, loudest = laut, lauter, lautest
    clean, cleaner, cleanest = sauber, sauberer, sauberst
    dirty, dirtier, dirtiest = schmutzig, schmutziger, schmutzigst
    fast, faster, fastest = schnell, schneller, schnellst
    slow, slower, slowest = langsam, langsamer, langsamst
    good, better, best = gut, besser, best
    young, younger, youngest = jung, jünger, jüngst
    tall, taller, tallest = groß, größer, größt
    strong, stronger, strongest = stark, stärker, stärkst
    red, redder, reddest = rot, röter, rötest
    blue, bluer, bluest = blau, blauer, blauest
    green, greener, greenest = grün, grüner, grünst
    black, blacker, blackest = schwarz, schwärzer, schwärzest
    white, whiter, whitest = weiß, weißer, weißest
    brown, browner, brownest = braun, brauner, braunst
    yellow, yellower, yellowest = gelb, gelber, gelbst
    grey, greyer, greyest = grau, grauer, grauest
    """
)


def named(names: str) -> list[Adjective]:
    return [ADJECTIVES[name] for name in names.split()]


NEAREST = Adjective("nearest", "", "", "nächst", "nächst", "", "")
COLOURS = named("red blue green black white brown yellow grey")
