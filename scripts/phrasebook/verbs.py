"""Verbs with the objects they take, as tables.

English, past, participle | prefix·infinitive, third person, auxiliary and participle | objects
"""

from dataclasses import dataclass

from scripts.phrasebook.nouns import NOUNS, PLACE, table_lines
from scripts.phrasebook.persons import PEOPLE
from scripts.phrasebook.words import Noun, Verb


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
    for line in table_lines(table):
        english, german, objects = (part.strip() for part in line.split("|"))
        verb = _verb(english, german)
        names = objects.replace("PEOPLE", PEOPLE_NAMES).split(", ")
        actions += [Action(verb, PLACE[name].noun if name in PLACE else NOUNS[name]) for name in names]
    return actions


ACTIONS = _actions(
    """
    open/opened/opened | öffnen, öffnet, hat geöffnet | window, door, suitcase, bag, letter, parcel, bottle
    close/closed/closed | schließen, schließt, hat geschlossen | window, door, suitcase, bag
    lock/locked/locked | ab·schließen, schließt, hat abgeschlossen | room, door, car, bicycle, flat, house
    repair/repaired/repaired | reparieren, repariert, hat repariert | car, bicycle, heating, shower, camera, lamp,
        watch, boat
    turn on/turned on/turned on | ein·schalten, schaltet, hat eingeschaltet | light, heating, television, radio,
        computer, lamp
    turn off/turned off/turned off | aus·schalten, schaltet, hat ausgeschaltet | light, heating, television, radio,
        computer, lamp
    pick up/picked up/picked up | ab·holen, holt, hat abgeholt | key, ticket, suitcase, parcel, luggage, car,
        passport, PEOPLE
    bring/brought/brought | bringen, bringt, hat gebracht | menu, bill, soup, salad, blanket, towel, pillow, key,
        luggage
    take along/took along/taken along | mit·nehmen, nimmt, hat mitgenommen | umbrella, coat, backpack, camera, map,
        passport, present, luggage, tent
    fill in/filled in/filled in | aus·füllen, füllt, hat ausgefüllt | form
    sign/signed/signed | unterschreiben, unterschreibt, hat unterschrieben | form, bill, letter, receipt
    pay/paid/paid | bezahlen, bezahlt, hat bezahlt | bill, room, ticket, reservation
    order/ordered/ordered | bestellen, bestellt, hat bestellt | soup, salad, cake, fish, book, taxi
    book/booked/booked | buchen, bucht, hat gebucht | room, flight, flat, ferry
    reserve/reserved/reserved | reservieren, reserviert, hat reserviert | table, room
    cancel/cancelled/cancelled | stornieren, storniert, hat storniert | reservation, flight, room
    look for/looked for/looked for | suchen, sucht, hat gesucht | key, passport, ticket, wallet, hotel, receipt,
        address, PEOPLE
    read/read/read | lesen, liest, hat gelesen | book, newspaper, letter, text, message, menu
    write/wrote/written | schreiben, schreibt, hat geschrieben | letter, postcard, message, text
    translate/translated/translated | übersetzen, übersetzt, hat übersetzt | letter, text, menu, word, question, form
    buy/bought/bought | kaufen, kauft, hat gekauft | map, umbrella, jacket, coat, hat, shirt, shoes, ticket, camera,
        postcard, newspaper, bread, cheese, present
    sell/sold/sold | verkaufen, verkauft, hat verkauft | car, bicycle, house, ring, camera, watch, boat
    rent/rented/rented | mieten, mietet, hat gemietet | car, bicycle, boat, flat, tent, room, house
    give back/gave back/given back | zurück·geben, gibt, hat zurückgegeben | key, car, bicycle, book, tent, blanket,
        money
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
    photograph/photographed/photographed | fotografieren, fotografiert, hat fotografiert | castle, bridge, tower,
        cathedral, harbour, beach, ship
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
    lose/lost/lost | verlieren, verliert, hat verloren | key, passport, ticket, wallet, umbrella, ring, watch,
        camera, bag, money
    forget/forgot/forgotten | vergessen, vergisst, hat vergessen | key, passport, ticket, umbrella, jacket, coat,
        hat, book, camera, bag, map
    find/found/found | finden, findet, hat gefunden | key, wallet, umbrella, ring, watch, bag, book, money, passport
    leave behind/left behind/left behind | zurück·lassen, lässt, hat zurückgelassen | suitcase, bag, luggage, tent,
        bicycle
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
