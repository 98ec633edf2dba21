"""Scores of translations, computed by sacrebleu: a value never travels without the signature that makes it comparable.

BLEU is cased and tokenised by 13a unless `ScoringOptions` says otherwise (Papineni et al. 2002; Post 2018), chrF2 has
character 6-grams and beta 2 (Popović 2015), chrF2++ word bigrams besides (Popović 2017), TER is tercom's (Snover et al.
2006). One more list of references per argument makes them multi-reference scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric

from beamtrain.base.errors import UserError
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.resampling import Array, Resamples, interval, p_value, score, seed_in_signatures, statistics
from beamtrain.scoring.word_movers import word_movers

DEFAULT = ScoringOptions()


@dataclass(frozen=True)
class Score:
    """One figure, and how it was computed."""

    name: str
    value: float
    signature: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value:.2f} {self.signature}"


@dataclass(frozen=True)
class CorpusScores:
    """What is reported for one set of translations; `length_ratio` is output words over reference words, as of BLEU."""

    bleu: Score
    chrf: Score
    """chrF2, or chrF2++ where that is the metric of validation."""
    ter: Score
    length_ratio: float
    sentences: int
    distances: tuple[Score, ...] = ()
    """WMD and WRD, where word vectors were given."""

    @property
    def all(self) -> tuple[Score, ...]:
        """The scores in the order in which they are shown."""
        return self.bleu, self.chrf, self.ter, *self.distances


@dataclass(frozen=True)
class Difference:
    """Between a score and the baseline's: its value and 95% interval, and the probability of such a one by chance."""

    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Estimate:
    """A score with its bootstrap mean, the half width of its 95% interval, and the difference from the baseline's."""

    score: Score
    mean: float
    half_width: float
    difference: Difference | None
    """None for the baseline itself."""


def corpus_score(hypotheses: Sequence[str], *references: Sequence[str], options: ScoringOptions = DEFAULT) -> Score:
    """The one score that `options.metric` names: what training watches on the development set."""
    check_lines(hypotheses, *references)
    metric = {"bleu": _bleu, "ter": _ter}.get(options.metric, _chrf)
    return _score(metric(options), hypotheses, references)[0]


def score_corpus(
    hypotheses: Sequence[str],
    *references: Sequence[str],
    options: ScoringOptions = DEFAULT,
    vectors: Path | None = None,
) -> CorpusScores:
    """BLEU, chrF2 and TER of `hypotheses`; with word vectors, of a run or a file, also WMD and WRD.

    Raises UserError when there are no lines, the numbers of lines differ, or vectors cannot be read.
    """
    check_lines(hypotheses, *references)
    bleu, detail = _score(_bleu(options), hypotheses, references)
    chrf, _ = _score(_chrf(options), hypotheses, references)
    ter, _ = _score(_ter(options), hypotheses, references)
    further = word_movers(vectors, chain(hypotheses, *references)) if vectors else ()
    distances = tuple(_score(metric, hypotheses, references)[0] for metric in further)
    return CorpusScores(bleu, chrf, ter, detail.sys_len / max(detail.ref_len, 1), len(hypotheses), distances)


def sentence_chrf(hypotheses: Sequence[str], *references: Sequence[str]) -> list[float]:
    """chrF2 of every sentence by itself."""
    check_lines(hypotheses, *references)
    metric = CHRF()
    return [
        metric.sentence_score(hypothesis, alternatives).score
        for hypothesis, *alternatives in zip(hypotheses, *references, strict=True)
    ]


def paired_bootstrap(
    systems: Mapping[str, Sequence[str]],
    *references: Sequence[str],
    samples: int = 1000,
    options: ScoringOptions = DEFAULT,
    vectors: Path | None = None,
) -> dict[str, list[Estimate]]:
    """`bootstrap`, of two systems or more.

    Raises UserError when the numbers of lines differ, fewer than two systems are given, or memory would not do.
    """
    if len(systems) < 2:
        raise UserError(f"a comparison needs at least 2 systems, not {len(systems)}; the first one is the baseline")
    return bootstrap(systems, *references, samples=samples, options=options, vectors=vectors)


def bootstrap(
    systems: Mapping[str, Sequence[str]],
    *references: Sequence[str],
    samples: int = 1000,
    options: ScoringOptions = DEFAULT,
    vectors: Path | None = None,
) -> dict[str, list[Estimate]]:
    """BLEU and chrF2 of every system, tested against the first one by paired bootstrap resampling (Koehn 2004).

    With word vectors, of a run or a file, WMD and WRD too.

    Mean, half width and p are those of sacrebleu's paired test, but see `resampling.p_value`; the resamples come from
    its fixed seed, which the signature names.

    Raises UserError when the numbers of lines differ, or memory would not do.
    """
    for name, hypotheses in systems.items():
        check_lines(hypotheses, *references, name=name)
    resamples = Resamples(len(references[0]), samples)
    estimates: dict[str, list[Estimate]] = {name: [] for name in systems}
    further = word_movers(vectors, chain(*systems.values(), *references)) if vectors else ()
    for metric in (*bootstrapped_metrics(options), *further):
        baseline: tuple[float, Array] | None = None
        for name, hypotheses in systems.items():
            sentences = statistics(metric, hypotheses, references)
            result, drawn = score(metric, sentences), resamples.scores(metric, sentences)
            signature = metric.get_signature()
            signature.update("seed", seed_in_signatures())
            signature.update("bs", samples)
            low, high = interval(drawn)
            estimates[name].append(
                Estimate(
                    Score(result.name, result.score, str(signature)),
                    float(drawn.mean()),
                    (high - low) / 2,
                    None if baseline is None else _difference(baseline, (result.score, drawn)),
                )
            )
            baseline = baseline or (result.score, drawn)
    return estimates


def bootstrapped_metrics(options: ScoringOptions) -> tuple[Metric, Metric]:
    """BLEU and chrF2, as sacrebleu computes them."""
    return _bleu(options), CHRF()


def _difference(baseline: tuple[float, Array], system: tuple[float, Array]) -> Difference:
    value = system[0] - baseline[0]
    return Difference(value, *interval(system[1] - baseline[1]), p_value(baseline[1], system[1], value))


def check_lines(hypotheses: Sequence[str], *references: Sequence[str], name: str = "the output") -> None:
    """Raises UserError unless there are lines, and as many on every side."""
    for lines in references:
        if len(lines) != len(hypotheses):
            raise UserError(
                f"{name} has {len(hypotheses):,} lines and the reference {len(lines):,}: "
                "line n of one must belong to line n of the other"
            )
    if not hypotheses:
        raise UserError(f"nothing to score: {name} and the reference have no lines")


def check_tokenizer(options: ScoringOptions) -> None:
    """Raises UserError unless all that BLEU needs is installed, or can be downloaded."""
    _bleu(options)


def _bleu(options: ScoringOptions) -> BLEU:
    try:
        return BLEU(tokenize=options.tokenizer, force=True)  # force: no warnings about text that looks tokenised
    except (RuntimeError, ImportError, OSError) as error:
        language = str(options.tokenizer).partition("-mecab")[0]
        missing = f"it needs more packages: pip install 'sacrebleu[{language}]'"
        reason = missing if language != options.tokenizer else f"its model cannot be downloaded ({error})"
        raise UserError(
            f"BLEU's tokenizer {options.tokenizer}: {reason}; or choose another one, such as char "
            "(in training by model.scoring.tokenizer, else by --tokenizer)"
        ) from error


def _chrf(options: ScoringOptions) -> CHRF:
    return CHRF(word_order=2 if options.metric == "chrf++" else 0)


def _ter(options: ScoringOptions) -> TER:
    by_character = bool(options.ter_by_character)
    return TER(normalized=by_character, asian_support=by_character)


def _score(metric: Any, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Score, Any]:
    result = metric.corpus_score(list(hypotheses), [list(lines) for lines in references])
    return Score(result.name, result.score, str(metric.get_signature())), result
