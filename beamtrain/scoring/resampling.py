"""Bootstrap resampling (Koehn 2004): how much a score would differ on another test set of the same kind.

sacrebleu resamples too, with the same seed and to the same figures, but gives no interval for the difference between
two systems.
"""

import os
from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric

from beamtrain.base.errors import UserError

MOST_RESAMPLED = 200_000_000
"""Sentences of all resamples together; 16 bytes of memory each."""
Array = NDArray[numpy.float64]


class Resamples:
    """So many test sets, each of as many sentences, drawn with replacement as sacrebleu draws them.

    Raises:
        UserError: memory would not do.
    """

    def __init__(self, sentences: int, samples: int) -> None:
        if samples * sentences > MOST_RESAMPLED:
            raise UserError(
                f"{samples:,} resamples of {sentences:,} lines need {samples * sentences * 16 >> 30} GB of memory; "
                f"use at most {MOST_RESAMPLED // sentences:,} resamples"
            )
        drawn = numpy.random.default_rng(_seed()).choice(sentences, size=(samples, sentences), replace=True)
        self.counts = numpy.empty((samples, sentences))
        """(samples, N) how often each sentence is in each."""
        for counts, row in zip(self.counts, drawn, strict=True):
            counts[:] = numpy.bincount(row, minlength=sentences)

    def of(self, places: Sequence[int]) -> "Resamples":
        """The same of these sentences only, without those that have none of them."""
        found = copy(self)
        found.counts = self.counts[:, places]
        found.counts = found.counts[found.counts.any(axis=1)]
        return found

    def totals(self, statistics: Array) -> Array:
        """Sums over the sentences of each resample, of figures (N, ...) of the sentences: (samples, ...)"""
        return numpy.tensordot(self.counts, statistics, axes=1)

    def scores(self, metric: Metric, statistics: Array) -> Array:
        """The metric's score of every resample (samples,), from its statistics (N, k) of every sentence."""
        return numpy.array([metric._compute_score_from_stats(list(row)).score for row in self.totals(statistics)])


def statistics(metric: Metric, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Array:
    """What the metric's score is computed from, for every sentence: (N, k)"""
    rows = metric._extract_corpus_statistics(list(hypotheses), [list(lines) for lines in references])
    return numpy.array(rows, dtype=float)


def score(metric: Metric, statistics: Array) -> Any:
    """sacrebleu's score of the sentences with these statistics (N, k)."""
    return metric._compute_score_from_stats(list(statistics.sum(0)))


def interval(values: Array) -> tuple[float, float]:
    """The middle 95% of values of resamples, cut where sacrebleu cuts."""
    ordered, beyond = numpy.sort(values), len(values) // 40
    return float(ordered[beyond]), float(ordered[-1 - beyond])


def p_value(baseline: Array, system: Array, difference: float) -> float:
    """sacrebleu's, of scores of resamples and the real difference: the share whose absolute difference, less its mean,
    exceeds the real one. Our deviation: where the real one is exactly 0, p is 1, since every resample differs by that
    much or more. sacrebleu counts those that differ by more only, and gives the smallest p there is to outputs that no
    resample can tell apart, such as those that differ in spaces.
    """
    if difference == 0:
        return 1.0
    differences = numpy.abs(system - baseline)
    return float((1 + numpy.sum(differences - differences.mean() > abs(difference))) / (1 + len(differences)))


def seed_in_signatures() -> str:
    """The seed, as sacrebleu's signatures say it."""
    return str(_seed()).lower()


def _seed() -> int | None:
    said = os.environ.get("SACREBLEU_SEED", "12345")
    return None if said.lower() == "none" else int(said)
