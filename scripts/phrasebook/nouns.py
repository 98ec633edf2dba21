"""Nouns, places and furniture, as tables that can be read like a dictionary: "English: article German, plural"."""

import re
from dataclasses import dataclass

from scripts.phrasebook.words import Noun

GENDER = {"der": "m", "die": "f", "das": "n"}


def table_lines(table: str) -> list[str]:
    """The lines of a table; one that ends with a comma continues on the next."""
    return [line.strip() for line in re.sub(r",\n\s+", ", ", table.strip()).splitlines()]


def _nouns(kind: str, table: str) -> dict[str, Noun]:
    """Plural-only words are written "parents: pl Eltern, Eltern"."""
    nouns = {}
    for line in table_lines(table):
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
    for line in table_lines(table):
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


def places_named(names: str) -> list[Place]:
    return [PLACE[name] for name in names.split(", ")]


BUILDINGS = places_named(
    "hotel, museum, church, cathedral, castle, bridge, theatre, hospital, university, library, "
    "stadium, tower, town hall, station"
)
OPEN_PLACES = places_named(
    "museum, pharmacy, supermarket, restaurant, market, castle, theatre, cinema, library, bakery, "
    "zoo, bookshop, swimming pool, town hall"
)
SIGHTS = places_named(
    "museum, harbour, beach, church, cathedral, castle, bridge, park, theatre, market, library, "
    "stadium, zoo, tower, town hall, market square"
)

_ROOMS = {
    "room": "das Zimmer", "kitchen": "die Küche", "bathroom": "das Badezimmer", "living room": "das Wohnzimmer",
    "bedroom": "das Schlafzimmer", "flat": "die Wohnung", "house": "das Haus", "tent": "das Zelt",
}  # fmt: skip
ROOMS = {en: Noun(en, de.split()[1], GENDER[de.split()[0]], "-") for en, de in _ROOMS.items()}


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


def named(names: str) -> list[Noun]:
    """The nouns of a list, which may name places too."""
    return [PLACE[name].noun if name in PLACE else NOUNS[name] for name in names.split(", ")]


BELONGINGS = named(
    "suitcase, bag, backpack, passport, ticket, key, map, umbrella, jacket, coat, hat, book, newspaper, "
    "letter, parcel, camera, watch, ring, wallet, glass, cup, bottle, towel, bed, car, bicycle, boat, "
    "tent, house, shoes, luggage, money"
)
CLOTHES = named("jacket, coat, hat, shirt, dress, skirt, shoes")
