"""Small made-up corpora, and how they are written."""

import random
from pathlib import Path

WORDS = ["red", "green", "blue", "house", "car", "tree", "runs", "sleeps", "sings", "under", "over", "near", "with"]


HOSTILE = [
    ('"quoted" at the start', '"'),
    ("comma, semicolon; 'quote'", "\\escaped\\n"),
    ("line\u2028separator \u2029 \x85", "form\x0cfeed \x0b \x1c"),
    ("a lone \r carriage return", "null NA nan None"),
    ("", "the other side is empty"),
    ("NUL \x00 inside", "\x01\x02\x7f"),
    ("שלום \u202e emoji 👩‍👩‍👧", "zero\u200bwidth \ufeff"),
    ("</s> <s> <unk> <pad> ▁", "<0x0A>"),
    ("  spaces  ", "x" * 100_000),
]
"""Pairs that are out to break a reader."""


def sentences(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Made-up sentences of 1 to 14 words, and their words backwards; all different."""
    draw = random.Random(seed)
    source = [f"{' '.join(draw.choices(WORDS, k=draw.randint(1, 14)))} {seed}{number}" for number in range(count)]
    return source, [" ".join(reversed(line.split())) for line in source]


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def write_split(folder: Path, name: str, source: list[str], target: list[str]) -> None:
    write_lines(folder / f"{name}.en", source)
    write_lines(folder / f"{name}.de", target)
