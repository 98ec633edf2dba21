"""The data of a report, as JSON says it: all that its page shows. docs/report.md says what each field is."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy

from beamtrain.reporting import groups
from beamtrain.reporting.decodings import Candidate, Line
from beamtrain.reporting.groups import Words
from beamtrain.reporting.search_errors import against_exact, shares, verdicts
from beamtrain.reporting.systems import System
from beamtrain.reporting.training_curves import training_of
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.metrics import bootstrap, bootstrapped_metrics, score_corpus
from beamtrain.scoring.parallel_text import ParallelText
from beamtrain.scoring.resampling import Array, Resamples, score
from beamtrain.scoring.sentence_statistics import SentenceStatistics
from beamtrain.search.options import SearchOptions

FORMAT, VERSION = "beamtrain report", 1
SAMPLES = 1000


def words_of(scoring: ScoringOptions) -> Words:
    """What a report takes for words: what BLEU does."""
    tokenizer = bootstrapped_metrics(scoring)[0].tokenizer  # type: ignore[attr-defined] # of BLEU
    return lambda line: tokenizer(line).split()


def report(
    title: str,
    text: ParallelText | None,
    systems: Sequence[System],
    scoring: ScoringOptions,
    *,
    frequencies: Mapping[str, int] | None = None,
    counted: str | None = None,
    samples: int = SAMPLES,
    vectors: Path | None = None,
) -> dict[str, Any]:
    """The data of a report on systems that translated the same text; the first one is the baseline.

    Args:
        text: None if there is none, and then nothing but what is known of training is told. Without sources, nothing is
            said of them.
        frequencies: how often words occur in a training text; None: not known.
        counted: what they were counted in, or why they were not.
        vectors: of words, a run or a file; with them WMD and WRD are told too.

    Raises:
        UserError: the numbers of lines differ, or memory would not do for so many resamples.
    """
    told: list[dict[str, Any]] = [_of_system(system) for system in systems]
    if text is not None:
        _Measured(text, scoring, samples, vectors).tell(systems, told, frequencies)
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": title,
        "text": None
        if text is None
        else {
            "name": text.name,
            "sources": text.sources or None,
            "references": text.references,
            "repetition": groups.repetition(text.references[0], words_of(scoring)),
            "words_counted_in": counted,
        },
        "systems": told,
    }


def _of_system(system: System) -> dict[str, Any]:
    return {
        "name": system.name,
        "checkpoint": system.checkpoint,
        "search": asdict(system.search) if system.search else None,
        "training": training_of(system.folder, system.step) if system.folder else None,
    }


class _Measured:
    """What scoring makes of translations of a text."""

    def __init__(self, text: ParallelText, scoring: ScoringOptions, samples: int, vectors: Path | None) -> None:
        self._text, self._scoring, self._samples, self._vectors = text, scoring, samples, vectors
        self._bleu, self._chrf = (
            SentenceStatistics(metric, text.references) for metric in bootstrapped_metrics(scoring)
        )
        self._metrics = {"BLEU": self._bleu, "chrF2": self._chrf}
        self._words = words_of(scoring)

    def tell(
        self, systems: Sequence[System], told: Sequence[dict[str, Any]], frequencies: Mapping[str, int] | None
    ) -> None:
        """Add to what is told of each system."""
        text = self._text
        outputs = {str(place): system.hypotheses or [] for place, system in enumerate(systems)}
        estimates = bootstrap(
            outputs, *text.references, samples=self._samples, options=self._scoring, vectors=self._vectors
        )
        resamples = Resamples(len(text.references[0]), self._samples)
        by_source = groups.source_length_groups(text.sources, self._words) if text.sources else []
        for place, (system, each) in enumerate(zip(systems, told, strict=True)):
            said = outputs[str(place)]
            scores = score_corpus(said, *text.references, options=self._scoring, vectors=self._vectors)
            metrics = [(name, known.metric, known.of(said)) for name, known in self._metrics.items()]
            by_ratio = groups.length_ratio_groups(said, text.references[0], self._words)
            by_frequency = frequencies and groups.words_by_frequency(
                said, text.references[0], frequencies, self._words, resamples
            )
            each.update(
                scores=[asdict(score) for score in scores.all],
                length_ratio=scores.length_ratio,
                bootstrap=[asdict(estimate) for estimate in estimates[str(place)]],
                by_source_length=groups.scores_of_groups(by_source, metrics, resamples),
                by_length_ratio=groups.scores_of_groups(by_ratio, metrics, resamples),
                by_word_frequency=by_frequency,
                repetition=groups.repetition(said, self._words),
                beam_sweep=[
                    self._of_beam(search, [line.candidates[0].text for line in lines]) for search, lines in system.sweep
                ],
                oracle=self._oracle(system),
                **self._outputs(system),
                exact_search=[against_exact(exact.search, exact.best, exact.by_beam) for exact in system.exact],
            )

    def _of_beam(self, search: SearchOptions, said: list[str]) -> dict[str, Any]:
        return {
            "beam_size": search.beam_size,
            "length_penalty": search.length_penalty,
            "alpha": search.alpha,
            "scores": self._scores({name: known.of(said) for name, known in self._metrics.items()}),
            "length_ratio": self._length_ratio(said),
            "empty": sum(not line for line in said) / len(said),
        }

    def _scores(self, statistics: Mapping[str, Array]) -> list[dict[str, Any]]:
        return [
            {"name": name, "value": score(self._metrics[name].metric, each).score} for name, each in statistics.items()
        ]

    def _length_ratio(self, said: list[str]) -> float:
        bleu = score(self._bleu.metric, self._bleu.of(said))
        return bleu.sys_len / max(bleu.ref_len, 1)

    def _oracle(self, system: System) -> list[dict[str, Any]] | None:
        """The scores if of the first n candidates of each sentence the one with the best chrF2 were taken."""
        if system.n_best is None:
            return None
        ranks = _ranks(system.n_best)
        quality = numpy.array([self._chrf.sentence_scores(texts) for texts in ranks])  # (K, N)
        statistics = {name: numpy.stack([known.of(texts) for texts in ranks]) for name, known in self._metrics.items()}
        every = numpy.arange(quality.shape[1])
        found = []
        for n in range(1, len(ranks) + 1):
            best = quality[:n].argmax(0)  # (N,)
            chosen = {name: each[best, every] for name, each in statistics.items()}
            found.append({"n": n, "scores": self._scores(chosen)})
        return found

    def _outputs(self, system: System) -> dict[str, Any]:
        """Every sentence by itself, and whose faults the outputs are."""
        said = system.hypotheses or []
        outputs: list[dict[str, Any]] = [
            {"text": text, "chrf": chrf} for text, chrf in zip(said, self._chrf.sentence_scores(said), strict=True)
        ]
        if system.n_best is None:
            return {"outputs": outputs, "errors": None}
        lines = system.n_best
        faults: list[str | None] = [None] * len(said)
        if system.reference_scores is not None:
            best = [line.candidates[0] for line in lines]
            faults = verdicts(best, system.reference_scores, self._text.references)
        quality = [self._chrf.sentence_scores(texts) for texts in _ranks(lines)]
        for place, (output, line) in enumerate(zip(outputs, lines, strict=True)):
            output.update(
                n_best=[{**asdict(each), "chrf": quality[rank][place]} for rank, each in enumerate(line.candidates)],
                source_tokens=line.source_tokens,
                tokens=line.tokens,
                attention=line.attention,
                reference_score=system.reference_scores and system.reference_scores[place],
                verdict=faults[place],
                exact=[_exact(exact.best, place) for exact in system.exact],
            )
        return {"outputs": outputs, "errors": shares(faults)}


def _ranks(lines: Sequence[Line]) -> list[list[str]]:
    """For each rank, the candidate of every sentence; of a sentence with fewer, its last one."""
    deepest = max(len(line.candidates) for line in lines)
    return [[line.candidates[min(rank, len(line.candidates) - 1)].text for line in lines] for rank in range(deepest)]


def _exact(best: Mapping[int, Candidate | None], place: int) -> dict[str, Any] | None:
    """The best translation of a sentence; null where it was not searched for, or not found."""
    candidate = best.get(place)
    return asdict(candidate) if candidate else None
