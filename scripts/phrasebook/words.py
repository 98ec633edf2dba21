"""Nouns, verbs, adjectives and pronouns, and how they inflect.

Cases are "nom", "acc" and "dat". Genders are "m", "f", "n", and "p" for any plural. Persons are those a phrasebook
needs: "ich", "er" (he, she, it), "wir" (we, they, and the formal you, whose German verb form is the same).
"""

from dataclasses import dataclass

ARTICLE = {
    "nom": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "p": "die"},
    "dat": {"m": "dem", "f": "der", "n": "dem", "p": "den"},
}
RELATIVE = {**ARTICLE, "dat": {**ARTICLE["dat"], "p": "denen"}}
PRONOUN = {
    "nom": {"m": "er", "f": "sie", "n": "es", "p": "sie"},
    "acc": {"m": "ihn", "f": "sie", "n": "es", "p": "sie"},
    "dat": {"m": "ihm", "f": "ihr", "n": "ihm", "p": "ihnen"},
}
EIN_ENDING = {
    "nom": {"m": "", "f": "e", "n": "", "p": "e"},
    "acc": {"m": "en", "f": "e", "n": "", "p": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "p": "en"},
}
STRONG_ENDING = {
    "nom": {"m": "er", "f": "e", "n": "es", "p": "e"},
    "acc": {"m": "en", "f": "e", "n": "es", "p": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "p": "en"},
}
WEAK_ENDING = {
    "nom": {"m": "e", "f": "e", "n": "e", "p": "en"},
    "acc": {"m": "en", "f": "e", "n": "e", "p": "en"},
    "dat": {"m": "en", "f": "en", "n": "en", "p": "en"},
}
EIN_WORDS = {"a": "ein", "my": "mein", "our": "unser", "your": "Ihr", "his": "sein", "no": "kein"}
DER_WORDS = {"this": "dies", "which": "welch"}

ENGLISH_PLURALS = {
    "child": "children", "knife": "knives", "foot": "feet", "tooth": "teeth", "church": "churches",
    "bus": "buses", "beach": "beaches", "bakery": "bakeries", "glass": "glasses", "address": "addresses",
    "ferry": "ferries", "watch": "watches", "dress": "dresses", "pharmacy": "pharmacies", "library": "libraries",
    "university": "universities", "key": "keys", "city": "cities", "box": "boxes",
}  # fmt: skip


def with_article(words: str) -> str:
    """`words` after "a" or "an"."""
    return f"{'an' if words[0] in 'aeiou' and not words.startswith(('uni', 'euro')) else 'a'} {words}"


@dataclass(frozen=True)
class Noun:
    """A noun; `kind` says which determiners fit: thing, mass, place, person (my ...) or role (the ...)."""

    en: str
    de: str
    gender: str
    de_plural: str
    kind: str = "thing"

    @property
    def en_plural(self) -> str:
        if self.gender == "p":
            return self.en
        head, space, last = self.en.rpartition(" ")
        return head + space + ENGLISH_PLURALS.get(last, f"{last}s")

    def german(self, case: str, plural: bool = False) -> str:
        if not (plural or self.gender == "p"):
            return self.de
        ends_in_n = case == "dat" and self.de_plural[-1] not in "ns"
        return self.de_plural + ("n" if ends_in_n else "")


@dataclass(frozen=True)
class Adjective:
    """An adjective with the stem that takes endings, its comparative and its superlative stem."""

    en: str
    en_comparative: str
    en_superlative: str
    de: str
    de_stem: str
    de_comparative: str
    de_superlative: str


@dataclass(frozen=True)
class NounPhrase:
    """Determiner, adjective and noun: "my red suitcase" is "mein roter Koffer", "meinen roten Koffer", ..."""

    determiner: str
    noun: Noun
    plural: bool = False
    adjective: Adjective | None = None

    @property
    def gender(self) -> str:
        return "p" if self.plural else self.noun.gender

    @property
    def person(self) -> str:
        return "wir" if self.gender == "p" else "er"

    @property
    def en(self) -> str:
        noun = self.noun.en_plural if self.plural else self.noun.en
        words = f"{self.adjective.en} {noun}" if self.adjective else noun
        if self.determiner == "a":
            return words if self.gender == "p" else with_article(words)
        return f"{'these' if self.determiner == 'this' and self.gender == 'p' else self.determiner} {words}"

    @property
    def en_pronoun(self) -> str:
        return "them" if self.gender == "p" else "it"

    def german(self, case: str) -> str:
        adjective = self.adjective.de_stem + self._adjective_ending(case) if self.adjective else ""
        return " ".join(filter(None, (self._determiner(case), adjective, self.noun.german(case, self.plural))))

    def _determiner(self, case: str) -> str:
        if self.determiner == "the":
            return ARTICLE[case][self.gender]
        if self.determiner in DER_WORDS:
            return DER_WORDS[self.determiner] + STRONG_ENDING[case][self.gender]
        if self.determiner == "a" and self.gender == "p":
            return ""
        return EIN_WORDS[self.determiner] + EIN_ENDING[case][self.gender]

    def _adjective_ending(self, case: str) -> str:
        if self.determiner == "a" and self.gender == "p":
            return STRONG_ENDING[case]["p"]
        strong = self.determiner in EIN_WORDS and EIN_ENDING[case][self.gender] == ""
        return (STRONG_ENDING if strong else WEAK_ENDING)[case][self.gender]

    @property
    def nom(self) -> str:
        return self.german("nom")

    @property
    def acc(self) -> str:
        return self.german("acc")

    @property
    def dat(self) -> str:
        return self.german("dat")

    def relative(self, case: str) -> str:
        return RELATIVE[case][self.gender]

    def pronoun(self, case: str) -> str:
        return PRONOUN[case][self.gender]


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun; it stands wherever a noun phrase can."""

    en: str
    en_object: str
    nom: str
    acc: str
    dat: str
    reflexive: str
    person: str


@dataclass(frozen=True)
class Verb:
    """A verb; `prefix` is the separable one, "" where there is none, and `auxiliary` is "haben" or "sein"."""

    en: str
    en_past: str
    en_participle: str
    prefix: str
    stem_infinitive: str
    er: str
    participle: str
    auxiliary: str = "haben"

    @property
    def infinitive(self) -> str:
        return self.prefix + self.stem_infinitive

    @property
    def zu_infinitive(self) -> str:
        """anzurufen, but: zu öffnen."""
        return f"{self.prefix}zu{self.stem_infinitive}" if self.prefix else f"zu {self.stem_infinitive}"

    def finite(self, person: str) -> str:
        """The present tense without its separable prefix."""
        if person == "ich":
            return self.stem_infinitive.removesuffix("n").removesuffix("e") + "e"
        return self.er if person == "er" else self.stem_infinitive

    def final(self, person: str) -> str:
        """The present tense at the end of a clause, where the prefix is not separated."""
        return self.prefix + self.finite(person)

    def english(self, person: str) -> str:
        """The English present tense: pick up, picks up."""
        if person != "er":
            return self.en
        first, space, rest = self.en.partition(" ")
        if first == "have":
            return f"has{space}{rest}"
        if first.endswith(("s", "sh", "ch", "x", "o")):
            first += "e"
        elif first.endswith("y") and first[-2] not in "aeiou":
            first = f"{first[:-1]}ie"
        return f"{first}s{space}{rest}"


# The verbs that are irregular in both languages: person -> form.
HABEN = {"ich": "habe", "er": "hat", "wir": "haben"}
SEIN = {"ich": "bin", "er": "ist", "wir": "sind"}
WERDEN = {"ich": "werde", "er": "wird", "wir": "werden"}
WAR = {"ich": "war", "er": "war", "wir": "waren"}
MUESSEN = {"ich": "muss", "er": "muss", "wir": "müssen"}
KOENNEN = {"ich": "kann", "er": "kann", "wir": "können"}
WOLLEN = {"ich": "will", "er": "will", "wir": "wollen"}
SOLLEN = {"ich": "soll", "er": "soll", "wir": "sollen"}
DUERFEN = {"ich": "darf", "er": "darf", "wir": "dürfen"}
MOECHTEN = {"ich": "möchte", "er": "möchte", "wir": "möchten"}
MUSSTE = {"ich": "musste", "er": "musste", "wir": "mussten"}
KONNTE = {"ich": "konnte", "er": "konnte", "wir": "konnten"}
WOLLTE = {"ich": "wollte", "er": "wollte", "wir": "wollten"}
WISSEN = {"ich": "weiß", "er": "weiß", "wir": "wissen"}
WUERDE = {"ich": "würde", "er": "würde", "wir": "würden"}
AUXILIARY = {"haben": HABEN, "sein": SEIN}


def have(person: str) -> str:
    return "has" if person == "er" else "have"


def be(subject: Pronoun | NounPhrase) -> str:
    return {"ich": "am", "er": "is", "wir": "are"}[subject.person]


def was(subject: Pronoun | NounPhrase) -> str:
    return "were" if subject.person == "wir" else "was"


def want(person: str) -> str:
    return "wants" if person == "er" else "want"


def do(person: str) -> str:
    return "does" if person == "er" else "do"
