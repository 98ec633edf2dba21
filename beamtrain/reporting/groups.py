"""Scores of a part of the sentences or of the words: by source length, by length ratio, by how rare a word is."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy
from sacrebleu.metrics.base import Metric

from beamtrain.scoring.resampling import Array, Resamples, interval, score

Words = Callable[[str], list[str]]
RATIOS = (0.8, 0.9, 1.0, 1.1, 1.2)
"""Output words over reference words, which part sentences into groups; exactly 1 is a group of its own."""
FREQUENCIES = (0, 1, 10, 100, 1000)
"""Occurrences in the training text from which on a word is in the next group."""
_SOURCE_GROUPS = 5


def source_length_groups(sources: Sequence[str], words: Words) -> list[tuple[str, list[int]]]:
    """Groups of about as many sentences each, by the words of their sources: a label, and the sentences' places."""
    lengths = numpy.array([len(words(line)) for line in sources])
    cuts = numpy.unique(numpy.quantile(lengths, numpy.linspace(0, 1, _SOURCE_GROUPS + 1)[1:-1], method="lower"))
    edges = [int(lengths.min()) - 1, *(int(cut) for cut in cuts if cut < lengths.max()), int(lengths.max())]
    groups = []
    for low, high in pairwise(edges):
        places = numpy.flatnonzero((lengths > low) & (lengths <= high)).tolist()
        groups.append((f"{low + 1}" if high == low + 1 else f"{low + 1}–{high}", places))
    return groups


def length_ratio_groups(
    hypotheses: Sequence[str], references: Sequence[str], words: Words
) -> list[tuple[str, list[int]]]:
    """Groups of sentences by output words over reference words."""
    labels = [f"< {RATIOS[0]:g}"]
    for low, high in pairwise(RATIOS):
        labels += (["1"] if low == 1 else []) + [f"{low:g}–{high:g}"]
    labels.append(f"≥ {RATIOS[-1]:g}")
    places: dict[str, list[int]] = {label: [] for label in labels}
    for place, (hypothesis, reference) in enumerate(zip(hypotheses, references, strict=True)):
        ratio = len(words(hypothesis)) / max(1, len(words(reference)))
        below = sum(ratio >= edge for edge in RATIOS)  # those from 1 on come after the group of exactly 1
        places[labels[below if ratio < 1 else 3 if ratio == 1 else below + 1]].append(place)
    return list(places.items())


def scores_of_groups(
    groups: Sequence[tuple[str, list[int]]], metrics: Sequence[tuple[str, Metric, Array]], resamples: Resamples
) -> list[dict[str, Any]]:
    """The scores of each group with their intervals; of a group without sentences there are none.

    Args:
        metrics: name, metric, and its statistics (N, k) of all sentences.
    """
    found = []
    for label, places in groups:
        scores = []
        for name, metric, statistics in metrics if places else []:
            low, high = interval(resamples.of(places).scores(metric, statistics[places]))
            scores.append({"name": name, "value": score(metric, statistics[places]).score, "low": low, "high": high})
        found.append({"label": label, "sentences": len(places), "scores": scores})
    return found


def words_by_frequency(
    hypotheses: Sequence[str],
    references: Sequence[str],
    frequencies: Mapping[str, int],
    words: Words,
    resamples: Resamples,
) -> list[dict[str, Any]]:
    """F1 of words, by how often a word occurs in the training text (Neubig et al. 2019, "compare-mt").

    A word of an output is right as often as it also occurs in its reference.
    """
    counts = numpy.zeros(
        (len(hypotheses), len(FREQUENCIES), 3)
    )  # (N, groups, right | in the output | in the reference)
    for place, pair in enumerate(zip(hypotheses, references, strict=True)):
        output, reference = (Counter(words(line)) for line in pair)
        for column, bag in enumerate((output & reference, output, reference)):
            for word, count in bag.items():
                counts[place, _group(frequencies.get(word, 0)), column] += count
    totals, drawn = counts.sum(0), resamples.totals(counts)  # (groups, 3), (samples, groups, 3)
    found = []
    for group, low in enumerate(FREQUENCIES):
        high = FREQUENCIES[group + 1] - 1 if group + 1 < len(FREQUENCIES) else None
        bottom, top = interval(_f1(drawn[:, group]))
        found.append(
            {
                "label": f"{low:,}" if high == low else f"{low:,} or more" if high is None else f"{low:,}–{high:,}",
                "reference_words": int(totals[group, 2]),
                "f1": float(_f1(totals[group])),
                "low": bottom,
                "high": top,
            }
        )
    return found


def _group(frequency: int) -> int:
    return sum(frequency >= edge for edge in FREQUENCIES) - 1


def _f1(counts: Array) -> Array:
    """2 right / (output + reference) of (..., 3), in percent; 0 where there is no word."""
    return 200 * counts[..., 0] / numpy.maximum(counts[..., 1] + counts[..., 2], 1)


def repetition(lines: Sequence[str], words: Words) -> list[dict[str, Any]]:
    """For n from 1 to 4, the share of n-grams of words that their sentence has had before, in percent."""
    found = []
    for n in range(1, 5):
        ngrams = [[tuple(line[at : at + n]) for at in range(len(line) - n + 1)] for line in map(words, lines)]
        total = sum(map(len, ngrams))
        found.append({"n": n, "share": 100 * (1 - sum(len(set(each)) for each in ngrams) / total) if total else 0.0})
    return found
