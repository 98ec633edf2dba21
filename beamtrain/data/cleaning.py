"""Which training pairs are dropped, and how many for which reason. Evaluation text is never cleaned."""

from dataclasses import asdict, dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Lengths = NDArray[np.integer]
Mask = NDArray[np.bool_]


@dataclass
class CleaningCounts:
    """How many training pairs were read, and dropped for which reason; a pair counts for the first that applies.

    Attributes:
        read: pairs in the corpus.
        empty: a side without any text.
        duplicate: the same source and the same target as an earlier pair.
        too_long: a side of more than `max_length` subwords.
        length_ratio: one side more than `max_length_ratio` times as many subwords as the other.
    """

    read: int = 0
    empty: int = 0
    duplicate: int = 0
    too_long: int = 0
    length_ratio: int = 0

    @property
    def kept(self) -> int:
        """Pairs left to train on."""
        return self.read - self.empty - self.duplicate - self.too_long - self.length_ratio

    def __str__(self) -> str:
        counts = asdict(self)
        counts.pop("read")
        reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in counts.items())
        return f"{self.kept:,} of {self.read:,} training pairs kept; dropped: {reasons}"


def pair_digests(source: list[str], target: list[str]) -> NDArray[np.uint64]:
    """(N, 2) 128-bit digests of N pairs; zero where a side is blank."""
    digests = (
        blake2b(f"{one}\n{other}".encode(), digest_size=16).digest() if one.strip() and other.strip() else bytes(16)
        for one, other in zip(source, target, strict=True)
    )
    return np.frombuffer(b"".join(digests), np.uint64).reshape(len(source), 2)


def blank(digests: NDArray[np.uint64]) -> Mask:
    """(N,) whether a side of the pair is blank."""
    return (digests == 0).all(axis=1)


def repeated(digests: NDArray[np.uint64]) -> Mask:
    """(N,) whether the same pair came earlier."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal pairs stay in the order of the corpus
    same_as_before = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
    mask = np.zeros(len(digests), bool)
    mask[order[1:]] = same_as_before
    return mask


def longer_than(source: Lengths, target: Lengths, max_length: int) -> Mask:
    """(N,) whether a side has more than `max_length` subwords."""
    return np.maximum(source, target) > max_length


def lopsided(source: Lengths, target: Lengths, max_length_ratio: float) -> Mask:
    """(N,) whether one side has more than `max_length_ratio` times as many subwords as the other."""
    return np.maximum(source, target) > max_length_ratio * np.minimum(source, target)
