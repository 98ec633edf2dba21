"""The vocabulary, written as tables that can be read like a dictionary.

Nouns:  English: article German, plural
Verbs:  English past participle | prefix·infinitive, third person, auxiliary participle | the objects it takes
"""

from dataclasses import dataclass, replace

from phrasebook.words import Adjective, Noun, NounPhrase, Pronoun, Verb

GENDER = {"der": "m", "die": "f", "das": "n"}


def _lines(table: str) -> list[str]:
    return [line.strip() for line in table.strip().splitlines()]


def _nouns(kind: str, table: str) -> dict[str, Noun]:
    """Plural-only words are written "parents: pl Eltern, Eltern"."""
    nouns = {}
    for line in _lines(table):
        en, german = line.split(": ")
        singular, plural = german.split(", ")
        article, de = singular.split(" ")
        nouns[en] = Noun(en, de, GENDER.get(article, "p"), plural, kind)
    return nouns


NOUNS = _nouns(
    "thing",
    """
    suitcase: der Koffer, Koffer
    bag: die Tasche, Taschen
    backpack: der Rucksack, Rucksäcke
    passport: der Pass, Pässe
    ticket: die Fahrkarte, Fahrkarten
    key: der Schlüssel, Schlüssel
    map: die Landkarte, Landkarten
    umbrella: der Regenschirm, Regenschirme
    jacket: die Jacke, Jacken
    coat: der Mantel, Mäntel
    hat: der Hut, Hüte
    shirt: das Hemd, Hemden
    dress: das Kleid, Kleider
    skirt: der Rock, Röcke
    shoes: pl Schuhe, Schuhe
    book: das Buch, Bücher
    newspaper: die Zeitung, Zeitungen
    letter: der Brief, Briefe
    postcard: die Postkarte, Postkarten
    parcel: das Paket, Pakete
    camera: die Kamera, Kameras
    watch: die Uhr, Uhren
    ring: der Ring, Ringe
    wallet: die Brieftasche, Brieftaschen
    form: das Formular, Formulare
    bill: die Rechnung, Rechnungen
    receipt: die Quittung, Quittungen
    menu: die Speisekarte, Speisekarten
    picture: das Bild, Bilder
    knife: das Messer, Messer
    fork: die Gabel, Gabeln
    spoon: der Löffel, Löffel
    glass: das Glas, Gläser
    cup: die Tasse, Tassen
    plate: der Teller, Teller
    bottle: die Flasche, Flaschen
    towel: das Handtuch, Handtücher
    pillow: das Kissen, Kissen
    blanket: die Decke, Decken
    lamp: die Lampe, Lampen
    heating: die Heizung, Heizungen
    television: der Fernseher, Fernseher
    radio: das Radio, Radios
    computer: der Computer, Computer
    window: das Fenster, Fenster
    door: die Tür, Türen
    room: das Zimmer, Zimmer
    table: der Tisch, Tische
    chair: der Stuhl, Stühle
    bed: das Bett, Betten
    car: das Auto, Autos
    bicycle: das Fahrrad, Fahrräder
    boat: das Boot, Boote
    tent: das Zelt, Zelte
    flat: die Wohnung, Wohnungen
    house: das Haus, Häuser
    shower: die Dusche, Duschen
    kitchen: die Küche, Küchen
    fridge: der Kühlschrank, Kühlschränke
    present: das Geschenk, Geschenke
    address: die Adresse, Adressen
    question: die Frage, Fragen
    message: die Nachricht, Nachrichten
    reservation: die Reservierung, Reservierungen
    flight: der Flug, Flüge
    word: das Wort, Wörter
    text: der Text, Texte
    apple: der Apfel, Äpfel
    cake: der Kuchen, Kuchen
    soup: die Suppe, Suppen
    salad: der Salat, Salate
    fish: der Fisch, Fische
    egg: das Ei, Eier
    """,
)
NOUNS |= _nouns(
    "mass",
    """
    luggage: das Gepäck, Gepäck
    money: das Geld, Geld
    bread: das Brot, Brot
    cheese: der Käse, Käse
    light: das Licht, Licht
    """,
)
NOUNS |= _nouns(
    "person",
    """
    brother: der Bruder, Brüder
    sister: die Schwester, Schwestern
    mother: die Mutter, Mütter
    father: der Vater, Väter
    son: der Sohn, Söhne
    daughter: die Tochter, Töchter
    husband: der Mann, Männer
    wife: die Frau, Frauen
    uncle: der Onkel, Onkel
    aunt: die Tante, Tanten
    grandmother: die Großmutter, Großmütter
    grandfather: der Großvater, Großväter
    parents: pl Eltern, Eltern
    children: pl Kinder, Kinder
    """,
)
NOUNS |= _nouns(
    "role",
    """
    doctor: der Arzt, Ärzte
    waiter: der Kellner, Kellner
    driver: der Fahrer, Fahrer
    guide: der Reiseleiter, Reiseleiter
    """,
)
NOUNS |= _nouns(
    "vehicle",
    """
    train: der Zug, Züge
    bus: der Bus, Busse
    tram: die Straßenbahn, Straßenbahnen
    ship: das Schiff, Schiffe
    ferry: die Fähre, Fähren
    underground: die U-Bahn, U-Bahnen
    express train: der Schnellzug, Schnellzüge
    night train: der Nachtzug, Nachtzüge
    regional train: die Regionalbahn, Regionalbahnen
    taxi: das Taxi, Taxis
    plane: das Flugzeug, Flugzeuge
    """,
)


@dataclass(frozen=True)
class Place:
    """A place with its prepositions: where one is (dative), where one goes (accusative or "zu")."""

    noun: Noun
    en_at: str
    de_at: str
    de_to: str

    @property
    def en(self) -> str:
        return self.noun.en


def _places(table: str) -> list[Place]:
    places = []
    for line in _lines(table):
        noun, prepositions = line.split(" | ")
        (entry,) = _nouns("place", noun).values()
        places.append(Place(entry, *prepositions.split(", ")))
    return places


PLACES = _places(
    """
    station: der Bahnhof, Bahnhöfe | at, an, zu
    airport: der Flughafen, Flughäfen | at, an, zu
    hotel: das Hotel, Hotels | in, in, in
    museum: das Museum, Museen | in, in, in
    pharmacy: die Apotheke, Apotheken | in, in, in
    supermarket: der Supermarkt, Supermärkte | in, in, in
    restaurant: das Restaurant, Restaurants | in, in, in
    market: der Markt, Märkte | at, auf, auf
    harbour: der Hafen, Häfen | at, an, zu
    beach: der Strand, Strände | on, an, an
    church: die Kirche, Kirchen | in, in, in
    cathedral: der Dom, Dome | in, in, in
    castle: das Schloss, Schlösser | in, in, in
    bridge: die Brücke, Brücken | on, auf, zu
    park: der Park, Parks | in, in, in
    theatre: das Theater, Theater | in, in, in
    cinema: das Kino, Kinos | in, in, in
    hospital: das Krankenhaus, Krankenhäuser | in, in, in
    university: die Universität, Universitäten | at, an, zu
    library: die Bibliothek, Bibliotheken | in, in, in
    petrol station: die Tankstelle, Tankstellen | at, an, zu
    bakery: die Bäckerei, Bäckereien | in, in, in
    bus stop: die Bushaltestelle, Bushaltestellen | at, an, zu
    swimming pool: das Schwimmbad, Schwimmbäder | in, in, in
    town hall: das Rathaus, Rathäuser | in, in, in
    market square: der Marktplatz, Marktplätze | on, auf, zu
    car park: der Parkplatz, Parkplätze | in, auf, zu
    campsite: der Campingplatz, Campingplätze | on, auf, auf
    stadium: das Stadion, Stadien | in, in, in
    zoo: der Zoo, Zoos | in, in, in
    tower: der Turm, Türme | in, in, zu
    bookshop: die Buchhandlung, Buchhandlungen | in, in, in
    """
)
PLACE = {place.en: place for place in PLACES}
BUILDINGS = [PLACE[en] for en in (
    "hotel museum church cathedral castle bridge theatre hospital university library stadium tower".split()
)] + [PLACE["town hall"], PLACE["station"]]  # fmt: skip
OPEN_PLACES = [PLACE[en] for en in (
    "museum pharmacy supermarket restaurant market castle theatre cinema library bakery zoo bookshop".split()
)] + [PLACE["swimming pool"], PLACE["town hall"]]  # fmt: skip
SIGHTS = [PLACE[en] for en in (
    "museum harbour beach church cathedral castle bridge park theatre market library stadium zoo tower".split()
)] + [PLACE["town hall"], PLACE["market square"]]  # fmt: skip

ROOMS = {
    "room": "das Zimmer", "kitchen": "die Küche", "bathroom": "das Badezimmer", "living room": "das Wohnzimmer",
    "bedroom": "das Schlafzimmer", "flat": "die Wohnung", "house": "das Haus", "tent": "das Zelt",
}  # fmt: skip
ROOMS = {en: Noun(en, de.split()[1], GENDER[de.split()[0]], "-") for en, de in ROOMS.items()}


EVENTS = list(
    _nouns(
        "event",
        """
        concert: das Konzert, Konzerte
        tour: die Führung, Führungen
        film: der Film, Filme
        match: das Spiel, Spiele
        meeting: das Treffen, Treffen
        course: der Kurs, Kurse
        party: das Fest, Feste
        exhibition: die Ausstellung, Ausstellungen
        """,
    ).values()
)


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
    "Czech=Tschechisch, Dutch=Niederländisch, Danish=Dänisch, Russian=Russisch"
)
FIRST_NAMES = "Anna Peter Maria Thomas Julia Martin Laura Paul Eva Simon Clara David".split()


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

I = Pronoun("I", "me", "ich", "mich", "mir", "mich", "ich")  # noqa: E741 - the English pronoun
HE = Pronoun("he", "him", "er", "ihn", "ihm", "sich", "er")
SHE = Pronoun("she", "her", "sie", "sie", "ihr", "sich", "er")
WE = Pronoun("we", "us", "wir", "uns", "uns", "uns", "wir")
YOU = Pronoun("you", "you", "Sie", "Sie", "Ihnen", "sich", "wir")
THEY = Pronoun("they", "them", "sie", "sie", "ihnen", "sich", "wir")
PRONOUNS = [I, HE, SHE, WE, YOU, THEY]

PEOPLE = [noun for noun in NOUNS.values() if noun.kind == "person"]
ROLES = [noun for noun in NOUNS.values() if noun.kind == "role"]
RELATIVES = [
    NounPhrase(owner, noun)
    for owner in ("my", "our")
    for noun in PEOPLE
    if owner == "my" or noun.en not in ("husband", "wife")
]
SUBJECTS = [*PRONOUNS, *(NounPhrase("my", noun) for noun in PEOPLE), *(NounPhrase("the", noun) for noun in ROLES)]
THIRD_PERSONS = [HE, SHE, THEY, *(NounPhrase("my", noun) for noun in PEOPLE)]


def _verb(english: str, german: str) -> Verb:
    infinitive, er, perfect = german.split(", ")
    auxiliary, participle = perfect.split(" ")
    prefix, _, stem = infinitive.rpartition("·")
    base, past, english_participle = english.split("/")
    return Verb(
        base,
        past,
        english_participle,
        prefix,
        stem,
        er,
        participle,
        {"hat": "haben", "ist": "sein"}[auxiliary],
    )


@dataclass(frozen=True)
class Action:
    """A verb and a noun that makes sense as its direct object."""

    verb: Verb
    noun: Noun

    @property
    def en(self) -> str:
        return f"{self.verb.en} {self.noun.en}"


PEOPLE_NAMES = ", ".join(noun.en for noun in PEOPLE if noun.en not in ("husband", "wife"))


def _actions(table: str) -> list[Action]:
    actions = []
    for line in _lines(table):
        english, german, objects = (part.strip() for part in line.split("|"))
        verb = _verb(english, german)
        names = objects.replace("PEOPLE", PEOPLE_NAMES).split(", ")
        actions += [
            Action(verb, PLACE[name].noun if name in PLACE else NOUNS[name]) for name in names
        ]
    return actions


ACTIONS = _actions(
    """
    open/opened/opened | öffnen, öffnet, hat geöffnet | window, door, suitcase, bag, letter, parcel, bottle
    close/closed/closed | schließen, schließt, hat geschlossen | window, door, suitcase, bag
    lock/locked/locked | ab·schließen, schließt, hat abgeschlossen | room, door, car, bicycle, flat, house
    repair/repaired/repaired | reparieren, repariert, hat repariert | car, bicycle, heating, shower, camera, lamp, watch, boat
    turn on/turned on/turned on | ein·schalten, schaltet, hat eingeschaltet | light, heating, television, radio, computer, lamp
    turn off/turned off/turned off | aus·schalten, schaltet, hat ausgeschaltet | light, heating, television, radio, computer, lamp
    pick up/picked up/picked up | ab·holen, holt, hat abgeholt | key, ticket, suitcase, parcel, luggage, car, passport, PEOPLE
    bring/brought/brought | bringen, bringt, hat gebracht | menu, bill, soup, salad, blanket, towel, pillow, key, luggage
    take along/took along/taken along | mit·nehmen, nimmt, hat mitgenommen | umbrella, coat, backpack, camera, map, passport, present, luggage, tent
    fill in/filled in/filled in | aus·füllen, füllt, hat ausgefüllt | form
    sign/signed/signed | unterschreiben, unterschreibt, hat unterschrieben | form, bill, letter, receipt
    pay/paid/paid | bezahlen, bezahlt, hat bezahlt | bill, room, ticket, reservation
    order/ordered/ordered | bestellen, bestellt, hat bestellt | soup, salad, cake, fish, book, taxi
    book/booked/booked | buchen, bucht, hat gebucht | room, flight, flat, ferry
    reserve/reserved/reserved | reservieren, reserviert, hat reserviert | table, room
    cancel/cancelled/cancelled | stornieren, storniert, hat storniert | reservation, flight, room
    look for/looked for/looked for | suchen, sucht, hat gesucht | key, passport, ticket, wallet, hotel, receipt, address, PEOPLE
    read/read/read | lesen, liest, hat gelesen | book, newspaper, letter, text, message, menu
    write/wrote/written | schreiben, schreibt, hat geschrieben | letter, postcard, message, text
    translate/translated/translated | übersetzen, übersetzt, hat übersetzt | letter, text, menu, word, question, form
    buy/bought/bought | kaufen, kauft, hat gekauft | map, umbrella, jacket, coat, hat, shirt, shoes, ticket, camera, postcard, newspaper, bread, cheese, present
    sell/sold/sold | verkaufen, verkauft, hat verkauft | car, bicycle, house, ring, camera, watch, boat
    rent/rented/rented | mieten, mietet, hat gemietet | car, bicycle, boat, flat, tent, room, house
    give back/gave back/given back | zurück·geben, gibt, hat zurückgegeben | key, car, bicycle, book, tent, blanket, money
    try on/tried on/tried on | an·probieren, probiert, hat anprobiert | jacket, coat, shirt, dress, skirt, hat, shoes
    put on/put on/put on | an·ziehen, zieht, hat angezogen | jacket, coat, shirt, dress, skirt, shoes
    take off/took off/taken off | aus·ziehen, zieht, hat ausgezogen | jacket, coat, shirt, shoes
    pack/packed/packed | packen, packt, hat gepackt | suitcase, bag, backpack
    unpack/unpacked/unpacked | aus·packen, packt, hat ausgepackt | suitcase, bag, backpack, present, parcel
    carry/carried/carried | tragen, trägt, hat getragen | suitcase, bag, backpack, luggage, parcel
    clean/cleaned/cleaned | putzen, putzt, hat geputzt | room, window, shoes, shower, flat, kitchen, fridge
    tidy up/tidied up/tidied up | auf·räumen, räumt, hat aufgeräumt | room, kitchen, tent, flat, house
    wash/washed/washed | waschen, wäscht, hat gewaschen | shirt, dress, car, blanket, skirt, towel
    look at/looked at/looked at | an·sehen, sieht, hat angesehen | room, picture, flat, map, house, menu
    visit/visited/visited | besichtigen, besichtigt, hat besichtigt | castle, church, cathedral, tower, town hall
    visit/visited/visited | besuchen, besucht, hat besucht | museum, zoo, PEOPLE
    photograph/photographed/photographed | fotografieren, fotografiert, hat fotografiert | castle, bridge, tower, cathedral, harbour, beach, ship
    eat/ate/eaten | essen, isst, hat gegessen | soup, salad, cake, apple, fish, bread, egg
    try/tried/tried | probieren, probiert, hat probiert | cheese, cake, soup, salad, fish
    cook/cooked/cooked | kochen, kocht, hat gekocht | soup, egg
    answer/answered/answered | beantworten, beantwortet, hat beantwortet | question, letter, message
    repeat/repeated/repeated | wiederholen, wiederholt, hat wiederholt | question, word, address
    write down/wrote down/written down | auf·schreiben, schreibt, hat aufgeschrieben | address, word, question
    explain/explained/explained | erklären, erklärt, hat erklärt | word, question, map, form
    check/checked/checked | überprüfen, überprüft, hat überprüft | bill, passport, ticket, address, reservation
    copy/copied/copied | kopieren, kopiert, hat kopiert | passport, form, letter, receipt
    hang up/hung up/hung up | auf·hängen, hängt, hat aufgehängt | coat, jacket, picture, towel, map
    send off/sent off/sent off | ab·schicken, schickt, hat abgeschickt | letter, postcard, parcel, message, form
    wake/woke/woken | wecken, weckt, hat geweckt | PEOPLE
    call/called/called | an·rufen, ruft, hat angerufen | doctor, driver, guide, PEOPLE
    invite/invited/invited | ein·laden, lädt, hat eingeladen | guide, PEOPLE
    ask/asked/asked | fragen, fragt, hat gefragt | waiter, driver, guide, PEOPLE
    meet/met/met | treffen, trifft, hat getroffen | guide, PEOPLE
    """
)
MISHAPS = _actions(
    """
    lose/lost/lost | verlieren, verliert, hat verloren | key, passport, ticket, wallet, umbrella, ring, watch, camera, bag, money
    forget/forgot/forgotten | vergessen, vergisst, hat vergessen | key, passport, ticket, umbrella, jacket, coat, hat, book, camera, bag, map
    find/found/found | finden, findet, hat gefunden | key, wallet, umbrella, ring, watch, bag, book, money, passport
    leave behind/left behind/left behind | zurück·lassen, lässt, hat zurückgelassen | suitcase, bag, luggage, tent, bicycle
    """
)
GIFTS = _actions(
    """
    give/gave/given | geben, gibt, hat gegeben | key, book, map, letter, ticket, passport, umbrella, receipt
    show/showed/shown | zeigen, zeigt, hat gezeigt | passport, ticket, picture, room, letter, map, menu, house
    send/sent/sent | schicken, schickt, hat geschickt | letter, postcard, parcel, message, present
    bring/brought/brought | bringen, bringt, hat gebracht | blanket, soup, book, present, newspaper, towel
    lend/lent/lent | leihen, leiht, hat geliehen | car, bicycle, umbrella, camera, tent, book
    sell/sold/sold | verkaufen, verkauft, hat verkauft | car, bicycle, house, ring, camera
    """
)


def _adjectives(table: str) -> dict[str, Adjective]:
    """English, comparative, superlative = German(/stem before an ending), comparative, superlative stem."""
    adjectives = {}
    for line in _lines(table):
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


def adjectives(names: str) -> list[Adjective]:
    return [ADJECTIVES[name] for name in names.split()]


def nouns(names: str) -> list[Noun]:
    """The nouns of a list, which may name places too."""
    return [PLACE[name].noun if name in PLACE else NOUNS[name] for name in names.split(", ")]


NEAREST = Adjective("nearest", "", "", "nächst", "nächst", "", "")
BELONGINGS = nouns(
    "suitcase, bag, backpack, passport, ticket, key, map, umbrella, jacket, coat, hat, book, newspaper, letter, parcel, camera, "
    "watch, ring, wallet, glass, cup, bottle, towel, bed, car, bicycle, boat, tent, house, shoes, luggage, money"
)
COLOURS = adjectives("red blue green black white brown yellow grey")
CLOTHES = nouns("jacket, coat, hat, shirt, dress, skirt, shoes")
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


def noun_phrase(determiner: str, noun: Noun, plural: bool = False) -> NounPhrase:
    """The noun phrase with that determiner, or with the nearest one that fits the noun: my (not a) sister."""
    if noun.kind == "person" and determiner in ("the", "a", "this"):
        determiner = "my"
    elif noun.kind == "role" or (determiner not in ("the", "this") and noun.kind == "place"):
        determiner = "the"
    elif determiner == "a" and (noun.kind == "mass" or noun.gender == "p"):
        determiner = "the"
    return NounPhrase(determiner, noun, plural)


def with_adjective(phrase: NounPhrase, adjective: Adjective) -> NounPhrase:
    return replace(phrase, adjective=adjective)
