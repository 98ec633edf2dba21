"""Numbers, prices, clock times and dates in words, English and German."""

from dataclasses import dataclass

ENGLISH_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
GERMAN_SMALL = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
]
ENGLISH_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
GERMAN_TENS = ["-", "-", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
ENGLISH_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
GERMAN_ORDINALS = {1: "erst", 3: "dritt", 7: "siebt", 8: "acht"}
MONTHS = dict(
    zip(
        [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
        [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
        strict=True,
    )
)


def english_number(n: int) -> str:
    """0 <= n < 1000 in English words: 217 is "two hundred and seventeen"."""
    if n < 20:
        return ENGLISH_SMALL[n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return ENGLISH_TENS[tens] + (f"-{ENGLISH_SMALL[ones]}" if ones else "")
    hundreds, rest = divmod(n, 100)
    return f"{ENGLISH_SMALL[hundreds]} hundred" + (f" and {english_number(rest)}" if rest else "")


def german_number(n: int) -> str:
    """0 <= n < 1000 in German words, as in counting: 1 is "eins", 217 is "zweihundertsiebzehn"."""
    if n < 20:
        return GERMAN_SMALL[n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return (f"{_german_joined(ones)}und" if ones else "") + GERMAN_TENS[tens]
    hundreds, rest = divmod(n, 100)
    return ("" if hundreds == 1 else GERMAN_SMALL[hundreds]) + "hundert" + (german_number(rest) if rest else "")


def _german_joined(ones: int) -> str:
    return "ein" if ones == 1 else GERMAN_SMALL[ones]


def english_ordinal(n: int) -> str:
    """1 <= n < 100: 3 is "third", 21 is "twenty-first"."""
    stem, hyphen, last = english_number(n).rpartition("-")
    last = ENGLISH_ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
    return stem + hyphen + last


def german_ordinal(n: int) -> str:
    """1 <= n < 100, without its ending: 3 is "dritt", 21 is "einundzwanzigst"."""
    return GERMAN_ORDINALS.get(n) or german_number(n) + ("t" if n < 20 else "st")


@dataclass(frozen=True)
class Year:
    """A year from 1100 to 1999, read as two numbers in English and in hundreds in German."""

    year: int

    @property
    def en(self) -> str:
        century, rest = divmod(self.year, 100)
        if rest == 0:
            return f"{english_number(century)} hundred"
        return f"{english_number(century)} {'oh-' if rest < 10 else ''}{english_number(rest)}"

    @property
    def de(self) -> str:
        century, rest = divmod(self.year, 100)
        return f"{german_number(century)}hundert{german_number(rest) if rest else ''}"


@dataclass(frozen=True)
class Clock:
    """A time of day on the twelve-hour clock, in steps of five minutes."""

    hour: int
    minute: int

    @property
    def en(self) -> str:
        if self.minute == 0:
            return f"{english_number(self.hour)} o'clock"
        names = {15: "quarter", 30: "half"}
        if self.minute <= 30:
            return f"{names.get(self.minute) or english_number(self.minute)} past {english_number(self.hour)}"
        left = 60 - self.minute
        return f"{names.get(left) or english_number(left)} to {english_number(self._next)}"

    @property
    def de(self) -> str:
        hour, following = german_number(self.hour), german_number(self._next)
        match self.minute:
            case 0:
                return f"{_german_joined(1) if self.hour == 1 else hour} Uhr"
            case 15:
                return f"Viertel nach {hour}"
            case 25:
                return f"fünf vor halb {following}"
            case 30:
                return f"halb {following}"
            case 35:
                return f"fünf nach halb {following}"
            case 45:
                return f"Viertel vor {following}"
            case minute if minute < 30:
                return f"{german_number(minute)} nach {hour}"
            case minute:
                return f"{german_number(60 - minute)} vor {following}"

    @property
    def _next(self) -> int:
        return self.hour % 12 + 1


@dataclass(frozen=True)
class Price:
    """Euros, and cents in steps of five from 10 (or none)."""

    euros: int
    cents: int = 0

    @property
    def en(self) -> str:
        amount = f"{english_number(self.euros)} euro{'' if self.euros == 1 else 's'}"
        return f"{amount} {english_number(self.cents)}" if self.cents else amount

    @property
    def de(self) -> str:
        amount = f"{'ein' if self.euros == 1 else german_number(self.euros)} Euro"
        return f"{amount} {german_number(self.cents)}" if self.cents else amount


@dataclass(frozen=True)
class Date:
    """A day of a month: "the third of May", "am dritten Mai"."""

    day: int
    month: str

    @property
    def en(self) -> str:
        return f"the {english_ordinal(self.day)} of {self.month}"

    @property
    def de_nominative(self) -> str:
        return f"der {german_ordinal(self.day)}e {MONTHS[self.month]}"

    @property
    def de_on(self) -> str:
        return f"am {german_ordinal(self.day)}en {MONTHS[self.month]}"


CLOCKS = [Clock(hour, minute) for hour in range(1, 13) for minute in range(0, 60, 5)]
PRICES = [Price(euros, cents) for euros in range(1, 100) for cents in (0, 0, 0, *range(10, 100, 10), 25, 75, 95)]
DATES = [Date(day, month) for month in MONTHS for day in range(1, 31) if (day, month) != (30, "February")]
YEARS = [Year(year) for year in range(1700, 2000, 5)]
