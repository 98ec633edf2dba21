"""What scores are computed from, for single sentences, each translation of a sentence taken apart once."""

from collections.abc import Sequence

import numpy
from sacrebleu.metrics.base import Metric

from beamtrain.scoring.resampling import Array, statistics


class SentenceStatistics:
    """Remembers the statistics of translations: many systems and beams say the same."""

    def __init__(self, metric: Metric, references: Sequence[Sequence[str]]) -> None:
        self.metric, self._references = metric, references
        self._known: dict[tuple[int, str], Array] = {}

    def of(self, hypotheses: Sequence[str]) -> Array:
        """(N, k) of a translation of each sentence."""
        keys = list(enumerate(hypotheses))
        if new := [key for key in dict.fromkeys(keys) if key not in self._known]:
            references = [[lines[place] for place, _ in new] for lines in self._references]
            rows = statistics(self.metric, [text for _, text in new], references)
            self._known.update(zip(new, rows, strict=True))
        return numpy.stack([self._known[key] for key in keys])

    def sentence_scores(self, hypotheses: Sequence[str]) -> list[float]:
        """The score of each sentence by itself."""
        return [self.metric._compute_score_from_stats(list(row)).score for row in self.of(hypotheses)]
