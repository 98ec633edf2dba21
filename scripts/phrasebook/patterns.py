"""What a sentence pattern is: content slots, free slots, and the pair of sentences that their fillers make."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from scripts.phrasebook.words import Noun, NounPhrase

Slots = dict[str, Sequence[Any]]
Fillers = Mapping[str, Any]
Maker = Callable[..., tuple[str, str] | None]  # None where the fillers do not go together
HELD_OUT_PERCENT = {"test": range(0, 8), "validation": range(8, 16)}


@dataclass(frozen=True)
class Example:
    """One pair of sentences with what it was made of."""

    pattern: str
    content: tuple[str, ...]
    free: tuple[str, ...]
    english: str
    german: str

    @property
    def split(self) -> str:
        """Decided by pattern and content alone, so that no variant of a held-out combination is seen in training."""
        digest = hashlib.sha256("|".join((self.pattern, *self.content)).encode()).digest()
        percent = int.from_bytes(digest[:4]) % 100
        return next((split for split, held in HELD_OUT_PERCENT.items() if percent in held), "train")


@dataclass(frozen=True)
class Pattern:
    """A pattern: `make` turns one filler per slot into an English and a German sentence.

    The content slots (verbs, nouns, adjectives, places, people ...) identify a combination. The free slots (numbers,
    clock times, days, determiners, persons, adverbs) only vary it.
    """

    name: str
    content: Slots
    free: Slots
    make: Maker

    def draw(self, rng: Random) -> Example | None:
        """A random example, or None where the fillers drawn do not go together or name one noun twice."""
        content = {slot: rng.choice(choices) for slot, choices in self.content.items()}
        free = {slot: rng.choice(choices) for slot, choices in self.free.items()}
        nouns = [noun for filler in (*content.values(), *free.values()) for noun in nouns_in(filler)]
        if len(set(nouns)) < len(nouns):
            return None
        pair = self.make(**content, **free)
        return pair and Example(self.name, lemmas(content), tuple(map(label, free.values())), *pair)


PATTERNS: dict[str, Pattern] = {}


def pattern(content: Slots, free: Slots | None = None) -> Callable[[Maker], Maker]:
    """Registers the decorated function, which returns (English, German) or None where the fillers clash."""

    def register(make: Maker) -> Maker:
        name = make.__name__
        if name in PATTERNS:
            raise ValueError(f"two patterns are called {name}")
        PATTERNS[name] = Pattern(name, content, free or {}, make)
        return make

    return register


def lemmas(fillers: Fillers) -> tuple[str, ...]:
    """What the fillers are, whatever their determiner: "my brother" and "our brother" are both "brother"."""
    return tuple(filler.noun.en if isinstance(filler, NounPhrase) else label(filler) for filler in fillers.values())


def nouns_in(filler: Any) -> list[str]:
    """The nouns of a filler: one of a noun, noun phrase, place or action, several of a tuple, else none."""
    if isinstance(filler, tuple):
        return [noun for part in filler for noun in nouns_in(part)]
    noun = filler if isinstance(filler, Noun) else getattr(filler, "noun", None)
    return [noun.en] if noun else []


def label(filler: Any) -> str:
    """The English of a filler, which names it."""
    if isinstance(filler, tuple):
        return " + ".join(label(part) for part in filler)
    return str(getattr(filler, "en", filler))
