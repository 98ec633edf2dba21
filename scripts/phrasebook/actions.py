"""Patterns about doing something to something: tenses, modal verbs and subordinate clauses."""

from scripts.phrasebook import names, nouns, persons, verbs
from scripts.phrasebook.patterns import Slots, pattern
from scripts.phrasebook.sentences import (
    at_place,
    do_it,
    infinitive,
    object_of,
    pronoun_for,
    question,
    sentence,
    zu_infinitive,
)
from scripts.phrasebook.words import (
    AUXILIARY,
    HABEN,
    KOENNEN,
    KONNTE,
    MOECHTEN,
    MUESSEN,
    MUSSTE,
    WERDEN,
    WOLLEN,
    WOLLTE,
    be,
    do,
    have,
    want,
)

DEEDS = [*verbs.ACTIONS, *verbs.MISHAPS]
ANY = ["the", "the", "a", "a", "my", "our", "your", "this", "his"]
DEFINITE = ["the", "the", "the", "my", "our", "your", "this", "his"]
TIMES: Slots = {"time": names.FUTURE_TIMES}
PAST: Slots = {"time": names.PAST_TIMES}
WHO: Slots = {"subject": persons.SUBJECTS}
OBJECT: Slots = {"determiner": ANY}
DEFINITE_OBJECT: Slots = {"determiner": DEFINITE}


def _perfect(action, determiner, subject):
    """The English participle with its object, the German auxiliary, the German object."""
    phrase = object_of(action, determiner)
    auxiliary = AUXILIARY[action.verb.auxiliary][subject.person]
    return do_it(action.verb.en_participle, phrase.en), auxiliary, phrase.acc


@pattern({"action": verbs.ACTIONS}, TIMES | WHO | OBJECT)
def would_like_to(action, time, subject, determiner):
    en, de = infinitive(action, determiner)
    return (
        sentence(subject.en, "would like to", en, time.en),
        sentence(subject.nom, MOECHTEN[subject.person], time.de, de),
    )


@pattern({"action": verbs.ACTIONS}, TIMES | WHO | OBJECT)
def time_first_must(action, time, subject, determiner):
    en, de = infinitive(action, determiner)
    return (
        sentence(time.en, subject.en, have(subject.person), "to", en),
        sentence(time.de, MUESSEN[subject.person], subject.nom, de),
    )


@pattern({"action": verbs.ACTIONS}, TIMES | WHO | OBJECT)
def will_do(action, time, subject, determiner):
    en, de = infinitive(action, determiner)
    return (
        sentence(subject.en, "will", en, time.en),
        sentence(subject.nom, WERDEN[subject.person], time.de, de),
    )


@pattern({"action": DEEDS}, WHO | DEFINITE_OBJECT | {"past": [False, True]})
def cannot(action, subject, determiner, past):
    phrase = object_of(action, determiner)
    modal = (KONNTE if past else KOENNEN)[subject.person]
    return (
        sentence(subject.en, "could not" if past else "cannot", do_it(action.verb.en, phrase.en)),
        sentence(subject.nom, modal, phrase.acc, "nicht", action.verb.infinitive),
    )


@pattern({"action": verbs.ACTIONS}, PAST | WHO | OBJECT | {"wanted": [False, True]})
def had_to(action, time, subject, determiner, wanted):
    en, de = infinitive(action, determiner)
    modal = WOLLTE if wanted else MUSSTE
    return (
        sentence(time.en, subject.en, "wanted to" if wanted else "had to", en),
        sentence(time.de, modal[subject.person], subject.nom, de),
    )


@pattern({"action": DEEDS}, WHO | DEFINITE_OBJECT)
def has_already(action, subject, determiner):
    en, auxiliary, de = _perfect(action, determiner, subject)
    return (
        sentence(subject.en, have(subject.person), "already", en),
        sentence(subject.nom, auxiliary, de, "schon", action.verb.participle),
    )


@pattern({"action": DEEDS}, WHO | DEFINITE_OBJECT)
def has_not_yet(action, subject, determiner):
    en, auxiliary, de = _perfect(action, determiner, subject)
    return (
        sentence(subject.en, have(subject.person), "not", en, "yet"),
        sentence(subject.nom, auxiliary, de, "noch nicht", action.verb.participle),
    )


@pattern({"action": DEEDS}, PAST | WHO | OBJECT)
def time_first_past(action, time, subject, determiner):
    phrase = object_of(action, determiner)
    auxiliary = AUXILIARY[action.verb.auxiliary][subject.person]
    return (
        sentence(time.en, subject.en, do_it(action.verb.en_past, phrase.en)),
        sentence(time.de, auxiliary, subject.nom, phrase.acc, action.verb.participle),
    )


@pattern({"action": verbs.MISHAPS, "place": nouns.PLACES}, WHO | {"determiner": ["my", "our", "the", "his", "your"]})
def mishap_at(action, place, subject, determiner):
    phrase = object_of(action, determiner)
    where, wo = at_place(place)
    return (
        sentence(subject.en, do_it(action.verb.en_past, phrase.en), where),
        sentence(subject.nom, HABEN[subject.person], phrase.acc, wo, action.verb.participle),
    )


@pattern(
    {"action": DEEDS},
    {"subject": persons.THIRD_PERSONS}
    | DEFINITE_OBJECT
    | {
        "sure": [
            ("I think", "ich glaube"),
            ("we hope", "wir hoffen"),
            ("it is possible", "es ist möglich"),
            ("I know", "ich weiß"),
        ]
    },
)
def that_has_already(action, subject, determiner, sure):
    en, auxiliary, de = _perfect(action, determiner, subject)
    return (
        sentence(sure[0], "that", subject.en, have(subject.person), "already", en),
        sentence(sure[1], ", dass", subject.nom, de, "schon", action.verb.participle, auxiliary),
    )


@pattern(
    {"action": DEEDS},
    {"subject": persons.THIRD_PERSONS}
    | OBJECT
    | {"asks": [("do you know", "wissen Sie"), ("can you tell me", "können Sie mir sagen")]},
)
def whether_has(action, subject, determiner, asks):
    en, auxiliary, de = _perfect(action, determiner, subject)
    return (
        question(asks[0], "whether", subject.en, have(subject.person), en),
        question(asks[1], ", ob", subject.nom, de, action.verb.participle, auxiliary),
    )


RESULTS = [
    ("are staying here", "bleiben hier", "bleibe hier", "bleibt hier"),
    ("do not have time", "haben keine Zeit", "habe keine Zeit", "hat keine Zeit"),
    ("are coming back", "kommen zurück", "komme zurück", "kommt zurück"),
]


@pattern({"action": verbs.ACTIONS}, {"subject": persons.SUBJECTS} | OBJECT | {"result": RESULTS, "must": [False, True]})
def because(action, subject, determiner, result, must):
    en, de = infinitive(action, determiner)
    p, pronoun = subject.person, pronoun_for(subject)
    english = result[0].replace("are", be(subject), 1).replace("do not", f"{do(p)} not")
    german = {"ich": result[2], "er": result[3], "wir": result[1]}[p]
    modal = (f"{have(p)} to", MUESSEN) if must else (f"{want(p)} to", WOLLEN)
    return (
        sentence(subject.en, english, "because", pronoun.en, modal[0], en),
        sentence(subject.nom, german, ", weil", pronoun.nom, de, modal[1][p]),
    )


CONDITIONS = [
    ("it rains tomorrow", "es morgen regnet"), ("the weather is bad", "das Wetter schlecht ist"),
    ("you have time", "Sie Zeit haben"), ("the train is late", "der Zug Verspätung hat"),
    ("it is not too late", "es nicht zu spät ist"), ("the shop is still open", "das Geschäft noch offen ist"),
]  # fmt: skip


@pattern({"action": verbs.ACTIONS}, {"subject": persons.PRONOUNS} | OBJECT | {"condition": CONDITIONS})
def if_then(action, subject, determiner, condition):
    en, de = infinitive(action, determiner)
    return (
        sentence("if", condition[0] + ",", subject.en, "will", en),
        sentence("wenn", condition[1] + ",", WERDEN[subject.person], subject.nom, de),
    )


BEFORE = [
    ("leave", "losfahren", "losfahre", "losfährt"), ("go to bed", "ins Bett gehen", "ins Bett gehe", "ins Bett geht"),
    ("have breakfast", "frühstücken", "frühstücke", "frühstückt"), ("get off", "aussteigen", "aussteige", "aussteigt"),
    ("go out", "ausgehen", "ausgehe", "ausgeht"),
]  # fmt: skip


@pattern({"action": verbs.ACTIONS}, {"subject": persons.PRONOUNS} | OBJECT | {"event": BEFORE, "front": [True, False]})
def before(action, subject, determiner, event, front):
    en, de = infinitive(action, determiner)
    p = subject.person
    german = {"ich": event[2], "er": event[3], "wir": event[1]}[p]
    english = event[0].replace("have", "has").replace("go", "goes").replace("leave", "leaves").replace("get", "gets")
    english = english if p == "er" else event[0]
    if front:
        return (
            sentence("before", subject.en, english + ",", subject.en, have(p), "to", en),
            sentence("bevor", subject.nom, german + ",", MUESSEN[p], subject.nom, de),
        )
    return (
        sentence(subject.en, have(p), "to", en, "before", subject.en, english),
        sentence(subject.nom, MUESSEN[p], de + ", bevor", subject.nom, german),
    )


JUDGEMENTS = [
    ("important", "wichtig"), ("possible", "möglich"), ("difficult", "schwierig"), ("forbidden", "verboten"),
    ("too late", "zu spät"), ("not necessary", "nicht nötig"), ("better", "besser"),
]  # fmt: skip


@pattern({"action": verbs.ACTIONS}, OBJECT | {"judgement": JUDGEMENTS})
def it_is_important_to(action, determiner, judgement):
    en, de = zu_infinitive(action, determiner)
    return sentence("it is", judgement[0], "to", en), sentence("es ist", judgement[1] + ",", de)


ATTEMPTS = [("forgotten", "vergessen"), ("tried", "versucht"), ("promised", "versprochen"), ("decided", "beschlossen")]


@pattern({"action": verbs.ACTIONS}, WHO | OBJECT | {"attempt": ATTEMPTS})
def has_forgotten_to(action, subject, determiner, attempt):
    en, de = zu_infinitive(action, determiner)
    return (
        sentence(subject.en, have(subject.person), attempt[0], "to", en),
        sentence(subject.nom, HABEN[subject.person], attempt[1] + ",", de),
    )


@pattern(
    {"action": verbs.ACTIONS},
    WHO
    | OBJECT
    | {
        "stay": [
            ("are staying", "bleiben", "bleibe", "bleibt"),
            ("have come", "sind gekommen", "bin gekommen", "ist gekommen"),
        ]
    },
)
def in_order_to(action, subject, determiner, stay):
    en, de = zu_infinitive(action, determiner)
    p = subject.person
    german = {"ich": stay[2], "er": stay[3], "wir": stay[1]}[p]
    if stay[0] == "have come":
        return sentence(subject.en, have(p), "come to", en), sentence(subject.nom, german + ", um", de)
    return (
        sentence(subject.en, be(subject), "staying here in order to", en),
        sentence(subject.nom, german, "hier, um", de),
    )


@pattern({"action": verbs.ACTIONS}, WHO | OBJECT | {"habit": names.HABITS, "front": [True, False]})
def habit(action, subject, determiner, habit, front):
    phrase, verb = object_of(action, determiner), action.verb
    english = do_it(verb.english(subject.person), phrase.en)
    finite = verb.finite(subject.person)
    if " " not in habit.en:
        return (
            sentence(subject.en, habit.en, english),
            sentence(subject.nom, finite, habit.de, phrase.acc, verb.prefix),
        )
    if front:
        return (
            sentence(habit.en, subject.en, english),
            sentence(habit.de, finite, subject.nom, phrase.acc, verb.prefix),
        )
    return (
        sentence(subject.en, english, habit.en),
        sentence(subject.nom, finite, habit.de, phrase.acc, verb.prefix),
    )


@pattern({"action": verbs.ACTIONS}, {"subject": persons.THIRD_PERSONS} | OBJECT)
def habit_verb_final(action, subject, determiner):
    phrase, verb = object_of(action, determiner), action.verb
    return (
        sentence("I do not understand why", subject.en, do_it(verb.english(subject.person), phrase.en)),
        sentence("ich verstehe nicht, warum", subject.nom, phrase.acc, verb.final(subject.person)),
    )


@pattern({"action": DEEDS}, {"subject": persons.PRONOUNS} | OBJECT | {"plural": [False, True]})
def relative_clause(action, subject, determiner, plural):
    noun = action.noun
    if noun.kind not in ("thing", "mass") or (plural and noun.kind == "mass"):
        return None
    phrase = persons.noun_phrase("the", noun, plural)
    are, sind = ("are", "sind") if phrase.person == "wir" else ("is", "ist")
    auxiliary = AUXILIARY[action.verb.auxiliary][subject.person]
    return (
        question("where", are, phrase.en, "that", subject.en, have(subject.person), action.verb.en_participle),
        question("wo", sind, phrase.nom + ",", phrase.relative("acc"), subject.nom, action.verb.participle, auxiliary),
    )


PRONOUN_FRAMES = [
    ("where", "wo", "I would like to", "ich möchte"),
    ("where", "wo", "we have to", "wir müssen"),
    ("here", "hier", "you can", "Sie können"),
    ("here", "hier", "I have to", "ich muss"),
]


@pattern({"action": verbs.ACTIONS}, {"frame": PRONOUN_FRAMES, "time": names.FUTURE_TIMES, "plural": [False, True]})
def pronoun_object(action, frame, time, plural):
    noun = action.noun
    if noun.kind not in ("thing", "mass") or (plural and noun.kind == "mass"):
        return None
    phrase = persons.noun_phrase("the", noun, plural)
    are, sind = ("are", "sind") if phrase.person == "wir" else ("is", "ist")
    first = question if frame[0] == "where" else sentence
    do = do_it(action.verb.en, phrase.en_pronoun, is_pronoun=True)
    return (
        f"{first(frame[0], are, phrase.en)} {sentence(frame[2], do, time.en)}",
        f"{first(frame[1], sind, phrase.nom)} "
        f"{sentence(frame[3], phrase.pronoun('acc'), time.de, action.verb.infinitive)}",
    )


@pattern(
    {"action": DEEDS},
    {
        "determiner": DEFINITE,
        "subject": persons.SUBJECTS,
        "adverb": [("never", "noch nie"), ("just", ""), ("unfortunately", "leider")],
    },
)
def has_just(action, determiner, subject, adverb):
    en, auxiliary, de = _perfect(action, determiner, subject)
    if adverb[0] == "unfortunately":
        return (
            sentence("unfortunately", subject.en, have(subject.person), en),
            sentence("leider", auxiliary, subject.nom, de, action.verb.participle),
        )
    before_object = "gerade" if adverb[0] == "just" else ""
    return (
        sentence(subject.en, have(subject.person), adverb[0], en),
        sentence(subject.nom, auxiliary, before_object, de, adverb[1], action.verb.participle),
    )
