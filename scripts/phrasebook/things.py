"""Patterns about things: prices, sizes and colours, where they lie, and what is missing or broken."""

from scripts.phrasebook import adjectives, nouns, persons
from scripts.phrasebook.numbers import PRICES, Price, english_number, english_ordinal, german_number, german_ordinal
from scripts.phrasebook.patterns import pattern
from scripts.phrasebook.sentences import after, do_it, pronoun_for, question, sentence
from scripts.phrasebook.words import HABEN, MOECHTEN, Noun, NounPhrase, do, have

GOODS = nouns.named(
    "suitcase, bag, backpack, map, umbrella, jacket, coat, hat, shirt, dress, skirt, shoes, book, camera, "
    "watch, ring, wallet, knife, glass, cup, plate, bottle, towel, pillow, blanket, lamp, television, "
    "radio, computer, table, chair, bed, bicycle, tent, fridge, picture"
)
QUALITIES = adjectives.named(
    "big small old new cheap expensive beautiful heavy light red blue green black white brown yellow grey"
)
FAULTS = adjectives.named("big small expensive heavy")
PLAIN = adjectives.named("new old beautiful red blue green black white brown yellow grey")


@pattern({"item": GOODS, "quality": QUALITIES}, {"price": PRICES, "plural": [False, True]})
def costs(item, quality, price, plural):
    phrase = NounPhrase("the", item, plural, quality)
    cost = ("cost", "kosten") if phrase.person == "wir" else ("costs", "kostet")
    return sentence(phrase.en, cost[0], price.en), sentence(phrase.nom, cost[1], price.de)


@pattern({"item": GOODS, "quality": QUALITIES}, {"plural": [False, True], "this": ["the", "this"]})
def how_much(item, quality, plural, this):
    phrase = NounPhrase(this, item, plural, quality)
    kosten = "kosten" if phrase.person == "wir" else "kostet"
    return question("how much", do(phrase.person), phrase.en, "cost"), question("wie viel", kosten, phrase.nom)


@pattern({"euros": range(1, 100)}, {"cents": [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95]})
def that_is_price(euros, cents):
    price = Price(euros, cents)
    return sentence("that is", price.en, "altogether"), sentence("das macht zusammen", price.de)


@pattern({"item": GOODS, "quality": PLAIN, "fault": FAULTS}, {"determiner": ["the", "this", "my", "our"]})
def is_too(item, quality, fault, determiner):
    phrase = NounPhrase(determiner, item, adjective=quality)
    are, sind = ("are", "sind") if phrase.person == "wir" else ("is", "ist")
    return sentence(phrase.en, are, "too", fault.en), sentence(phrase.nom, sind, "zu", fault.de)


@pattern({"item": GOODS, "quality": QUALITIES}, {"subject": persons.SUBJECTS})
def would_like_a(item, quality, subject):
    phrase = NounPhrase("a", item, adjective=quality)
    return (
        sentence(subject.en, "would like to have", phrase.en),
        sentence(subject.nom, MOECHTEN[subject.person], phrase.acc, "haben"),
    )


@pattern(
    {
        "item": nouns.named(
            "suitcase, bag, backpack, jacket, coat, hat, shirt, dress, skirt, lamp, cup, car, bicycle, tent"
        ),
        "colours": [(a, b) for a in adjectives.COLOURS for b in adjectives.COLOURS if a != b],
    },
    {"subject": [persons.I, persons.WE, persons.HE, persons.SHE]},
)
def not_the_red_but_the_blue(item, colours, subject):
    phrase = NounPhrase("the", item, adjective=colours[0])
    article = phrase.acc.split()[0]
    ending = "en" if item.gender == "m" else "e"
    return (
        sentence(subject.en, do(subject.person), "not want", phrase.en, "but the", colours[1].en, "one"),
        sentence(
            subject.nom,
            MOECHTEN[subject.person],
            "nicht",
            phrase.acc + ", sondern",
            article,
            colours[1].de_stem + ending,
        ),
    )


@pattern(
    {
        "items": [(a, b) for a in GOODS for b in GOODS if a != b],
        "adjective": adjectives.named("big small old new cheap expensive beautiful heavy"),
    },
    {"as_as": [False, True]},
)
def compare_things(items, adjective, as_as):
    if any(item.gender == "p" for item in items):
        return None
    this, that = (NounPhrase("the", item) for item in items)
    if as_as:
        return (
            sentence(this.en, "is as", adjective.en, "as", that.en),
            sentence(this.nom, "ist so", adjective.de, "wie", that.nom),
        )
    return (
        sentence(this.en, "is", adjective.en_comparative, "than", that.en),
        sentence(this.nom, "ist", adjective.de_comparative, "als", that.nom),
    )


OWNABLE = [noun for noun in nouns.BELONGINGS if noun.kind != "mass" and noun.gender != "p"]


@pattern(
    {"items": [(a, b) for a in OWNABLE for b in OWNABLE if a != b]},
    {"counts": [(a, b) for a in range(2, 13) for b in range(2, 13)], "subject": persons.SUBJECTS},
)
def has_two_and_three(items, counts, subject):
    first, second = zip(map(english_number, counts), (item.en_plural for item in items), strict=True)
    erste, zweite = zip(map(german_number, counts), (item.de_plural for item in items), strict=True)
    return (
        sentence(subject.en, have(subject.person), *first, "and", *second),
        sentence(subject.nom, HABEN[subject.person], *erste, "und", *zweite),
    )


@pattern({"items": [(a, b) for a in OWNABLE for b in OWNABLE if a != b]}, {"subject": persons.SUBJECTS})
def has_no_but_a(items, subject):
    lacking, owned = NounPhrase("no", items[0]), NounPhrase("a", items[1])
    pronoun, has, hat = pronoun_for(subject), have(subject.person), HABEN[subject.person]
    return (
        sentence(subject.en, has, lacking.en + ", but", pronoun.en, has, owned.en),
        sentence(subject.nom, hat, lacking.acc + ", aber", pronoun.nom, hat, owned.acc),
    )


@pattern(
    {"item": OWNABLE},
    {"subject": persons.SUBJECTS, "plural": [False, True], "reason": [("", ""), ("today", "heute"), ("here", "hier")]},
)
def unfortunately_no(item, subject, plural, reason):
    phrase = NounPhrase("no", item, plural)
    return (
        sentence("unfortunately", subject.en, have(subject.person), phrase.en, reason[0]),
        sentence("leider", HABEN[subject.person], subject.nom, reason[1], phrase.acc),
    )


FURNISHED = nouns.named(
    "blanket, pillow, towel, lamp, television, radio, computer, table, chair, bed, fridge, shower, knife, "
    "fork, spoon, glass, cup, plate, key, map, picture, heating, window, light, bottle"
)


@pattern({"item": FURNISHED, "room": list(nouns.ROOMS.values())}, {"determiner": ["my", "our", "the", "this"]})
def there_is_no(item, room, determiner):
    where = NounPhrase(determiner, room)
    phrase = NounPhrase("no", item)
    return (
        sentence("there is", phrase.en, "in", where.en),
        sentence(after("in", where.dat), "gibt es", phrase.acc),
    )


DEVICES = nouns.named("heating, shower, lamp, television, radio, computer, fridge, light")
DEVICES += [Noun("telephone", "Telefon", "n", "Telefone")]
DEVICES += [Noun("washing machine", "Waschmaschine", "f", "-"), Noun("alarm clock", "Wecker", "m", "Wecker")]


@pattern(
    {"device": DEVICES, "room": [room for room in nouns.ROOMS.values() if room.en != "tent"]},
    {
        "determiner": ["my", "our", "the"],
        "since": [("", ""), ("since yesterday", "seit gestern"), ("today", "heute"), ("", "")],
    },
)
def does_not_work(device, room, determiner, since):
    phrase, where = NounPhrase("the", device), NounPhrase(determiner, room)
    verb = "has not been working" if since[0].startswith("since") else "does not work"
    if since[0] == "today":
        verb = "is not working"
    return (
        sentence(phrase.en, "in", where.en, verb, since[0]),
        sentence(phrase.nom, after("in", where.dat), "funktioniert", since[1], "nicht"),
    )


ROOM_NUMBERS = [100 * floor + door for floor in range(1, 6) for door in range(1, 30)]


@pattern({"room": ROOM_NUMBERS})
def room_is_on_floor(room):
    floor = room // 100
    return (
        sentence("room", english_number(room), "is on the", english_ordinal(floor), "floor"),
        sentence("Zimmer", german_number(room), "ist im", german_ordinal(floor) + "en Stock"),
    )


@pattern(
    {
        "device": [device for device in DEVICES if device.en != "washing machine"],
        "wish": [
            ("check", "überprüfen"),
            ("repair", "reparieren"),
            ("turn on", "einschalten"),
            ("turn off", "ausschalten"),
        ],
    },
    {"room": ROOM_NUMBERS},
)
def device_in_room_number(device, wish, room):
    phrase = NounPhrase("the", device)
    return (
        question("could someone please", do_it(wish[0], phrase.en), "in room", english_number(room)),
        question("könnte bitte jemand", phrase.acc, "in Zimmer", german_number(room), wish[1]),
    )


@pattern(
    {
        "person": [*persons.RELATIVES, *persons.PRONOUNS],
        "item": nouns.named(
            "towel, blanket, pillow, key, menu, bill, soup, suitcase, newspaper, lamp, cup, glass, bottle, luggage"
        ),
    },
    {"room": ROOM_NUMBERS},
)
def bring_to_room(person, item, room):
    phrase = NounPhrase("the", item)
    return (
        question("could", person.en, "bring", phrase.en, "to room", english_number(room)),
        question(
            {"wir": "könnten"}.get(person.person, "könnte"),
            person.nom,
            phrase.acc,
            "auf Zimmer",
            german_number(room),
            "bringen",
        ),
    )


# What lies and what stands, and on or in which furniture.
LYING = nouns.named(
    "passport, ticket, key, map, book, newspaper, letter, postcard, parcel, camera, watch, ring, wallet, "
    "form, bill, receipt, knife, fork, spoon, towel, pillow, blanket, present, apple"
)
STANDING = nouns.named("suitcase, bag, backpack, glass, cup, plate, bottle, lamp, radio, cake, soup, computer")
_FURNITURE = {
    "table": ("on", "auf", "der Tisch"), "chair": ("on", "auf", "der Stuhl"), "bed": ("on", "auf", "das Bett"),
    "shelf": ("on", "auf", "das Regal"), "windowsill": ("on", "auf", "die Fensterbank"),
    "door": ("behind", "hinter", "die Tür"),
    "wardrobe": ("in", "in", "der Schrank"), "kitchen": ("in", "in", "die Küche"), "car": ("in", "in", "das Auto"),
    "window": ("next to", "neben", "das Fenster"), "lamp": ("under", "unter", "die Lampe"),
}  # fmt: skip
FURNITURE = [
    (Noun(en, de.split()[1], nouns.GENDER[de.split()[0]], "-"), english, german)
    for en, (english, german, de) in _FURNITURE.items()
]
POSITIONED = [(item, furniture) for item in LYING + STANDING for furniture in FURNITURE if item.en != furniture[0].en]


@pattern({"positioned": POSITIONED}, {"determiner": ["the", "my", "your", "our"]})
def lies_on(positioned, determiner):
    item, (furniture, english, german) = positioned
    phrase, there = NounPhrase(determiner, item), NounPhrase("the", furniture)
    return (
        sentence(phrase.en, "is", english, there.en),
        sentence(phrase.nom, "liegt" if item in LYING else "steht", after(german, there.dat)),
    )


@pattern({"positioned": POSITIONED}, {"subject": persons.SUBJECTS, "determiner": ["the", "my", "your", "our"]})
def has_put_on(positioned, subject, determiner):
    item, (furniture, english, german) = positioned
    phrase, there = NounPhrase(determiner, item), NounPhrase("the", furniture)
    return (
        sentence(subject.en, have(subject.person), "put", phrase.en, english, there.en),
        sentence(
            subject.nom,
            HABEN[subject.person],
            phrase.acc,
            after(german, there.acc),
            "gelegt" if item in LYING else "gestellt",
        ),
    )


@pattern({"positioned": POSITIONED}, {"determiner": ["the", "my", "your", "our"]})
def please_put(positioned, determiner):
    item, (furniture, english, german) = positioned
    phrase, there = NounPhrase(determiner, item), NounPhrase("the", furniture)
    return (
        sentence("please put", phrase.en, english, there.en),
        sentence("bitte", "legen" if item in LYING else "stellen", "Sie", phrase.acc, after(german, there.acc)),
    )


@pattern({"item": GOODS, "quality": PLAIN}, {"subject": persons.PRONOUNS, "fault": FAULTS})
def the_one_bought_is_too(item, quality, subject, fault):
    phrase = NounPhrase("the", item, adjective=quality)
    are, sind = ("are", "sind") if phrase.person == "wir" else ("is", "ist")
    return (
        sentence(phrase.en, "that", subject.en, have(subject.person), "bought", are, "too", fault.en),
        sentence(
            phrase.nom + ",",
            phrase.relative("acc"),
            subject.nom,
            "gekauft",
            HABEN[subject.person] + ",",
            sind,
            "zu",
            fault.de,
        ),
    )


@pattern(
    {
        "item": nouns.named(
            "suitcase, bag, backpack, umbrella, jacket, coat, hat, camera, book, bicycle, present, map"
        ),
        "quality": adjectives.named("big small old new red blue green black white beautiful"),
    },
    {"subject": [persons.I, persons.HE, persons.SHE, persons.WE, persons.THEY]},
)
def came_with(item, quality, subject):
    phrase = NounPhrase("a", item, adjective=quality)
    kommen = {"ich": "bin", "er": "ist", "wir": "sind"}[subject.person]
    return (
        sentence(subject.en, have(subject.person), "come with", phrase.en),
        sentence(subject.nom, kommen, "mit", phrase.dat, "gekommen"),
    )


@pattern({"item": GOODS, "quality": QUALITIES}, {"plural": [False, True]})
def do_you_have(item, quality, plural):
    phrase = NounPhrase("a", item, plural or item.gender == "p", quality)
    return question("do you have", phrase.en), question("haben Sie", phrase.acc)
