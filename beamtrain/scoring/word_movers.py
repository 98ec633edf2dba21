"""Distances between texts by optimal transport of word vectors: how far the words of one are from those of the other.

Both are 0 for the same words in any order, and means over lines times 100; less is better.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric, Score, Signature

from beamtrain.scoring.word_vectors import Vectors, load_vectors

Array = NDArray[numpy.float64]
SCALE = 100
DIGITS = 10
"""After the point of a line's distance. What comes after them is noise of the order of additions, and where every line
has it to the same side, a bootstrap takes it for a difference."""
_SHARE = tuple[Array, Array]  # masses (n,) that sum to 1, and vectors (n, D)


class _Signature(Signature):
    """How a distance was computed."""

    def __init__(self, args: dict[str, Any]) -> None:
        super().__init__(args)
        for name in ("vectors", "unit", "cost", "mass", "scale", "unk"):
            self._abbr[name] = name
            self.info[name] = args[name]


class WordMovers(Metric):
    """A distance of a line from its reference, by exact optimal transport; with several references, the least.

    A line without a word that has a vector is as far from one with words as their vectors are from 0.

    Args:
        vectors: of the words.
        lines: all that is to be compared, outputs and references: the signature names the share of their words that
            have no vector and are left out.
    """

    _SIGNATURE_TYPE = _Signature
    name: str
    cost: str
    mass: str

    def __init__(self, vectors: Vectors, lines: Iterable[str]) -> None:
        super().__init__()
        self.vectors, self.unit, self.scale, self._vectors = vectors.name, vectors.unit, SCALE, vectors
        unknown = [vectors.find(word) is None for line in lines for word in vectors.words(line)]
        self.unk = f"{sum(unknown) / max(len(unknown), 1):.1%}"

    def get_signature(self) -> Signature:
        return _Signature({**self.__dict__, "cost": self.cost, "mass": self.mass})

    @abstractmethod
    def distance(self, one: _SHARE, other: _SHARE) -> float:
        """Between two lines."""

    @abstractmethod
    def masses(self, counts: Array, vectors: Array) -> Array:
        """(n,) how much each word weighs, before they are made to sum to 1."""

    def shares(self, line: str) -> _SHARE:
        """The distinct words of a line that have vectors, in an order that does not depend on the line's."""
        counts: dict[str | int, int] = {}
        for word in self._vectors.words(line):
            counts[word] = counts.get(word, 0) + 1
        known = {word: vector for word in sorted(counts, key=str) if (vector := self._vectors.find(word)) is not None}
        if not known:
            return numpy.zeros(0), numpy.zeros((0, 0))
        vectors = numpy.stack(list(known.values()))
        masses = self.masses(numpy.array([float(counts[word]) for word in known]), vectors)
        return masses / masses.sum(), vectors

    def _preprocess_segment(self, sent: str) -> str:
        return sent

    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, Any]:
        return {"shares": [self.shares(line) for line in refs]}

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict[str, Any]) -> list[float]:
        said = self.shares(hypothesis)
        nearest = min(self.distance(said, meant) for meant in ref_kwargs["shares"])
        return [round(nearest, DIGITS), 1.0]

    def _aggregate_and_compute(self, stats: list[list[float]]) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats, strict=True)])

    def _compute_score_from_stats(self, stats: list[float]) -> Score:
        return Score(self.name, SCALE * stats[0] / stats[1])


class WordMoversDistance(WordMovers):
    """WMD (Kusner et al. 2015, "From Word Embeddings To Document Distances", equation 1): a word's mass is its share of
    the line's words, the cost the Euclidean distance of vectors. Stop words are kept, which they drop."""

    name, cost, mass = "WMD", "euclidean", "count"

    def masses(self, counts: Array, vectors: Array) -> Array:
        return counts

    def distance(self, one: _SHARE, other: _SHARE) -> float:
        if not len(one[0]) or not len(other[0]):
            masses, vectors = one if len(one[0]) else other
            return float(masses @ numpy.linalg.norm(vectors, axis=1)) if len(masses) else 0.0
        return transport(one[0], other[0], numpy.linalg.norm(one[1][:, None] - other[1][None], axis=2))


class WordRotatorsDistance(WordMovers):
    """WRD (Yokoi et al. 2020, "Word Rotator's Distance", section 4.2): a word's mass is its share of the sum of the
    norms of the line's vectors, the cost 1 - the cosine of vectors. A vector of 0 has no mass."""

    name, cost, mass = "WRD", "1-cosine", "norm"

    def masses(self, counts: Array, vectors: Array) -> Array:
        return numpy.maximum(counts * numpy.linalg.norm(vectors, axis=1), numpy.finfo(float).tiny)

    def distance(self, one: _SHARE, other: _SHARE) -> float:
        if not len(one[0]) or not len(other[0]):
            return float(len(one[0]) != len(other[0]))
        directions = [vectors / numpy.maximum(_norms(vectors), numpy.finfo(float).tiny) for _, vectors in (one, other)]
        return transport(one[0], other[0], numpy.clip(1 - directions[0] @ directions[1].T, 0, 2))


def _norms(vectors: Array) -> Array:
    return numpy.linalg.norm(vectors, axis=1, keepdims=True)


def transport(one: Array, other: Array, cost: Array) -> float:
    """The least cost of bringing masses (n,) to masses (m,), both summing to 1, at cost (n, m) for each unit: exact, by
    POT's network simplex (Bonneel et al. 2011)."""
    import ot  # not installed with the rest

    return float(ot.emd2(one, other, numpy.ascontiguousarray(cost)))


def word_movers(path: Path, lines: Iterable[str]) -> tuple[WordMovers, WordMovers]:
    """Both, by the vectors of a run or a file, for these lines.

    Raises:
        UserError: the vectors cannot be read.
    """
    lines = list(lines)
    vectors = load_vectors(path, lines)
    return WordMoversDistance(vectors, lines), WordRotatorsDistance(vectors, lines)
