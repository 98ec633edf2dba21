"""Drawing the examples of every pattern, and dividing them into training, validation and test."""

import gzip
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random

from scripts.phrasebook import actions, people, places, requests, things, times, trips  # noqa: F401 - they register their patterns
from scripts.phrasebook.patterns import PATTERNS, Example, Pattern

SEED = 20261120
SIZES = {"train": 24_000, "validation": 600, "test": 600}
DRAWS_PER_PATTERN = 2_000


def words(text: str) -> list[str]:
    """The words of a sentence, without its punctuation."""
    return text.replace(",", " ").replace(".", " ").replace("?", " ").split()


def generate() -> dict[str, list[Example]]:
    """The examples of each split, always the same.

    A combination (pattern and content slots) belongs to one split; beyond that, no sentence of either language stands
    in two splits, no English sentence has two translations, and every held-out word occurs in training.
    """
    drawn = {name: _draw(PATTERNS[name]) for name in sorted(PATTERNS)}
    _check_one_translation(example for examples in drawn.values() for example in examples)
    splits: dict[str, list[Example]] = {}
    sentences: set[str] = set()
    known: set[str] = set()
    for split, size in SIZES.items():
        candidates = _round_robin([[e for e in examples if e.split == split] for examples in drawn.values()])
        chosen, taken = [], set()
        for example in candidates:
            pair = {example.english, example.german}
            fresh = not pair & sentences and example.english not in taken
            if fresh and (split == "train" or known.issuperset(words(example.english + " " + example.german))):
                chosen.append(example)
                taken |= pair
            if len(chosen) == size:
                break
        if len(chosen) < size:
            raise ValueError(f"the patterns give only {len(chosen)} of the {size} {split} examples")
        if split == "train":
            known = {word for example in chosen for word in words(example.english + " " + example.german)}
        sentences |= taken
        Random(f"{SEED} {split}").shuffle(chosen)
        splits[split] = chosen
    return splits


def write(folder: Path) -> None:
    """Write SPLIT.en.gz and SPLIT.de.gz, the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, examples in generate().items():
        (folder / f"{split}.en.gz").write_bytes(compressed(example.english for example in examples))
        (folder / f"{split}.de.gz").write_bytes(compressed(example.german for example in examples))


def compressed(lines: Iterator[str]) -> bytes:
    buffer = BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
    return buffer.getvalue()


def _draw(pattern: Pattern) -> list[Example]:
    """Distinct random examples of one pattern."""
    rng = Random(f"{SEED} {pattern.name}")
    drawn = (pattern.draw(rng) for _ in range(DRAWS_PER_PATTERN))
    return list({(example.english, example.german): example for example in drawn if example}.values())


def _round_robin(groups: list[list[Example]]) -> Iterator[Example]:
    """The first of every group, then the second of every group, and so on."""
    for rank in range(max(map(len, groups))):
        yield from (group[rank] for group in groups if rank < len(group))


def _check_one_translation(examples: Iterator[Example]) -> None:
    translations: dict[str, Example] = {}
    for example in examples:
        other = translations.setdefault(example.english, example)
        if other.german != example.german:
            raise ValueError(f"{example.english!r} has two translations: {other.german!r}, {example.german!r}")
