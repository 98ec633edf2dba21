"""Patterns that ask: polite requests, imperatives, permission, orders and questions."""

from scripts.phrasebook import adjectives, names, nouns, persons, verbs
from scripts.phrasebook.actions import ANY, DEEDS, DEFINITE
from scripts.phrasebook.numbers import english_number, german_number
from scripts.phrasebook.patterns import pattern
from scripts.phrasebook.sentences import do_it, infinitive, object_of, question, sentence
from scripts.phrasebook.words import DUERFEN, HABEN, KOENNEN, SOLLEN, Noun, NounPhrase

POLITE = [
    ("could you please", "könnten Sie bitte"), ("can you please", "können Sie bitte"),
    ("would you please", "würden Sie bitte"),
]  # fmt: skip
FIRST_PERSONS = [persons.I, persons.WE]


@pattern({"action": verbs.ACTIONS}, {"polite": POLITE, "determiner": ANY})
def could_you_please(action, polite, determiner):
    en, de = infinitive(action, determiner)
    return question(polite[0], en), question(polite[1], de)


@pattern({"action": verbs.ACTIONS}, {"determiner": ANY, "time": [*names.FUTURE_TIMES, names.Name("", "")]})
def please_do(action, determiner, time):
    phrase = object_of(action, determiner)
    finite = action.verb.finite("wir")
    return (
        sentence("please", do_it(action.verb.en, phrase.en), time.en),
        sentence("bitte", finite, "Sie", time.de, phrase.acc, action.verb.prefix),
    )


@pattern({"action": verbs.ACTIONS}, {"determiner": DEFINITE})
def please_do_not(action, determiner):
    phrase = object_of(action, determiner)
    return (
        sentence("please do not", do_it(action.verb.en, phrase.en)),
        sentence("bitte", action.verb.finite("wir"), "Sie", phrase.acc, "nicht", action.verb.prefix),
    )


MODALS = [("may", DUERFEN), ("can", KOENNEN), ("should", SOLLEN)]


@pattern(
    {"action": verbs.ACTIONS},
    {
        "modal": MODALS,
        "subject": FIRST_PERSONS,
        "determiner": ANY,
        "now": [("", ""), ("now", "jetzt"), ("here", "hier"), ("tomorrow", "morgen")],
    },
)
def may_i(action, modal, subject, determiner, now):
    en, de = infinitive(action, determiner)
    return (
        question(modal[0], subject.en, en, now[0]),
        question(modal[1][subject.person], subject.nom, now[1], de),
    )


@pattern({"action": verbs.ACTIONS}, {"subject": persons.PRONOUNS, "determiner": DEFINITE})
def may_not_here(action, subject, determiner):
    phrase = object_of(action, determiner)
    be = {"ich": "am", "er": "is", "wir": "are"}[subject.person]
    return (
        sentence(subject.en, be, "not allowed to", do_it(action.verb.en, phrase.en), "here"),
        sentence(subject.nom, DUERFEN[subject.person], phrase.acc, "hier nicht", action.verb.infinitive),
    )


ASKED = [persons.YOU, persons.HE, persons.SHE, persons.THEY]
QUESTION_WORDS = [("", ""), ("why", "warum"), ("where", "wo"), ("when", "wann")]


@pattern({"action": DEEDS}, {"word": QUESTION_WORDS, "subject": ASKED, "determiner": DEFINITE})
def did_you(action, word, subject, determiner):
    phrase = object_of(action, determiner)
    return (
        question(word[0], "did", subject.en, do_it(action.verb.en, phrase.en)),
        question(word[1], HABEN[subject.person], subject.nom, phrase.acc, action.verb.participle),
    )


@pattern({"action": DEEDS}, {"subject": ASKED, "determiner": DEFINITE, "why": [False, True]})
def why_not_yet(action, subject, determiner, why):
    phrase = object_of(action, determiner)
    have = "has" if subject.person == "er" else "have"
    english = do_it(action.verb.en_participle, phrase.en)
    auxiliary = HABEN[subject.person]
    if why:
        return (
            question("why", have, subject.en, "not", english, "yet"),
            question("warum", auxiliary, subject.nom, phrase.acc, "noch nicht", action.verb.participle),
        )
    return (
        question(have, subject.en, "already", english),
        question(auxiliary, subject.nom, phrase.acc, "schon", action.verb.participle),
    )


@pattern(
    {"action": verbs.ACTIONS},
    {
        "modal": [("can", "kann"), ("would like to", "möchte"), ("has to", "muss")],
        "determiner": ANY,
        "time": [*names.FUTURE_TIMES[:5], names.Name("", "")],
    },
)
def who_can(action, modal, determiner, time):
    en, de = infinitive(action, determiner)
    return question("who", modal[0], en, time.en), question("wer", modal[1], time.de, de)


@pattern(
    {"action": verbs.ACTIONS},
    {"determiner": DEFINITE, "still": [("still", "noch"), ("tomorrow", "morgen"), ("today", "heute")]},
)
def must_be_done(action, determiner, still):
    phrase = object_of(action, determiner)
    have, muss = ("have", "müssen") if phrase.person == "wir" else ("has", "muss")
    participle = action.verb.en_participle
    if still[0] == "still":
        english = sentence(phrase.en, "still", have, "to be", participle)
    else:
        english = sentence(phrase.en, have, "to be", participle, still[0])
    return english, sentence(phrase.nom, muss, still[1], action.verb.participle, "werden")


SERVINGS = [
    ("glass of {}", "glasses of {}", "ein Glas {}", "Gläser {}", "milk=Milch, water=Wasser, apple juice=Apfelsaft, "
     "orange juice=Orangensaft, white wine=Weißwein, red wine=Rotwein, beer=Bier, lemonade=Limonade"),
    ("cup of {}", "cups of {}", "eine Tasse {}", "Tassen {}", "tea=Tee, coffee=Kaffee, "
     "hot chocolate=Kakao, soup=Suppe"),
    ("bottle of {}", "bottles of {}", "eine Flasche {}", "Flaschen {}", "water=Wasser, beer=Bier, milk=Milch, "
     "red wine=Rotwein, white wine=Weißwein, oil=Öl"),
    ("piece of {}", "pieces of {}", "ein Stück {}", "Stück {}", "cake=Kuchen, bread=Brot, cheese=Käse, butter=Butter, "
     "soap=Seife"),
    ("kilo of {}", "kilos of {}", "ein Kilo {}", "Kilo {}", "apples=Äpfel, pears=Birnen, tomatoes=Tomaten, "
     "potatoes=Kartoffeln, onions=Zwiebeln, cherries=Kirschen"),
]  # fmt: skip
FOODS = [
    (singular.format(en), plural.format(en), de_singular.format(de), de_plural.format(de))
    for singular, plural, de_singular, de_plural, foods in SERVINGS
    for en, de in (food.strip().split("=") for food in foods.split(","))
]


def _serving(food: tuple[str, str, str, str], count: int) -> tuple[str, str]:
    """one glass of milk, ein Glas Milch; two glasses of milk, zwei Gläser Milch. The one has no case of its own."""
    if count == 1:
        return f"a {food[0]}", food[2]
    return f"{english_number(count)} {food[1]}", f"{german_number(count)} {food[3]}"


@pattern({"first": FOODS, "second": FOODS}, {"counts": [(a, b) for a in range(1, 7) for b in range(1, 7)]})
def order_food(first, second, counts):
    if first == second:
        return None
    (en, de), (en_more, de_more) = _serving(first, counts[0]), _serving(second, counts[1])
    return (
        sentence("I would like", en, "and", en_more + ",", "please"),
        sentence("ich möchte", de, "und", de_more + ",", "bitte"),
    )


@pattern({"food": FOODS, "subject": persons.SUBJECTS}, {"count": range(1, 7)})
def has_ordered_food(food, subject, count):
    en, de = _serving(food, count)
    have = "has" if subject.person == "er" else "have"
    return (
        sentence(subject.en, have, "ordered", en),
        sentence(subject.nom, HABEN[subject.person], de, "bestellt"),
    )


NEEDED = nouns.named(
    "suitcase, bag, backpack, map, umbrella, jacket, coat, hat, shirt, dress, skirt, shoes, book, camera, "
    "watch, knife, fork, spoon, glass, cup, plate, towel, pillow, blanket, lamp, table, chair, bed, car, "
    "bicycle, tent, flat, fridge, room, house, computer, boat"
)


@pattern({"item": NEEDED, "adjective": adjectives.named("big small old new cheap")}, {"subject": persons.PRONOUNS})
def needs(item: Noun, adjective, subject):
    phrase = NounPhrase("a", item, adjective=adjective)
    need = {"ich": ("need", "brauche"), "er": ("needs", "braucht"), "wir": ("need", "brauchen")}[subject.person]
    return sentence(subject.en, need[0], phrase.en), sentence(subject.nom, need[1], phrase.acc)
