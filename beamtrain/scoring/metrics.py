"""Scores of translations, computed by sacrebleu: a value never travels without the signature that makes it comparable.

BLEU is cased and tokenised by 13a (Papineni et al. 2002; Post 2018), chrF2 has character 6-grams and beta 2 (Popović
2015), TER is tercom's (Snover et al. 2006). One more list of references per argument makes them multi-reference scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from beamtrain.base.errors import UserError

MOST_RESAMPLED = 50_000_000  # sentences of all resamples together: sacrebleu holds 72 bytes of statistics for each


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
    """What is reported for one set of translations; `length_ratio` is output words over reference words (13a)."""

    bleu: Score
    chrf: Score
    ter: Score
    length_ratio: float
    sentences: int


@dataclass(frozen=True)
class Estimate:
    """A score with its bootstrap mean, the half width of its 95% interval, and p against the baseline (None for it)."""

    score: Score
    mean: float
    half_width: float
    p_value: float | None


def corpus_bleu(hypotheses: Sequence[str], *references: Sequence[str]) -> Score:
    """BLEU alone: what training watches on the development set."""
    check_lines(hypotheses, *references)
    return _score(_bleu(), hypotheses, references)[0]


def score_corpus(hypotheses: Sequence[str], *references: Sequence[str]) -> CorpusScores:
    """BLEU, chrF2 and TER of `hypotheses`.

    Raises UserError when there are no lines or the numbers of lines differ.
    """
    check_lines(hypotheses, *references)
    bleu, detail = _score(_bleu(), hypotheses, references)
    chrf, _ = _score(CHRF(), hypotheses, references)
    ter, _ = _score(TER(), hypotheses, references)
    return CorpusScores(bleu, chrf, ter, detail.sys_len / max(detail.ref_len, 1), len(hypotheses))


def sentence_chrf(hypotheses: Sequence[str], *references: Sequence[str]) -> list[float]:
    """chrF2 of every sentence by itself."""
    check_lines(hypotheses, *references)
    metric = CHRF()
    return [
        metric.sentence_score(hypothesis, alternatives).score
        for hypothesis, *alternatives in zip(hypotheses, *references, strict=True)
    ]


def paired_bootstrap(
    systems: Mapping[str, Sequence[str]], *references: Sequence[str], samples: int = 1000
) -> dict[str, list[Estimate]]:
    """BLEU and chrF2 of every system, tested against the first one by paired bootstrap resampling (Koehn 2004).

    p is sacrebleu's: the share of resamples whose difference, less its mean, exceeds the real one. Our deviation: where
    the real one is exactly 0, p is 1, since every resample differs by that much or more. sacrebleu counts those that
    differ by more only, and gives the smallest p there is to outputs that no resample can tell apart, such as those
    that differ in spaces. The resamples come from sacrebleu's fixed seed, which the signature names.

    Raises UserError when the numbers of lines differ, fewer than two systems are given, or memory would not do.
    """
    if len(systems) < 2:
        raise UserError(f"a comparison needs at least 2 systems, not {len(systems)}; the first one is the baseline")
    for name, hypotheses in systems.items():
        check_lines(hypotheses, *references, name=name)
    lines = len(references[0])
    if samples * lines > MOST_RESAMPLED:
        raise UserError(
            f"{samples:,} resamples of {lines:,} lines need {samples * lines * 72 >> 30} GB of memory; "
            f"use at most {MOST_RESAMPLED // lines:,} resamples"
        )
    test = PairedTest(
        [(name, list(hypotheses)) for name, hypotheses in systems.items()],
        {"BLEU": _bleu(), "chrF2": CHRF()},
        references=[list(lines) for lines in references],
        test_type="bs",
        n_samples=samples,
    )
    signatures, columns = test()
    results: dict[str, list[Any]] = {metric: columns[metric] for metric in signatures}
    estimates: dict[str, list[Estimate]] = {name: [] for name in systems}
    for metric, signature in signatures.items():
        baseline = results[metric][0].score
        for name, result in zip(systems, results[metric], strict=True):
            score = Score(metric, result.score, str(signature))
            p_value = 1.0 if result.p_value and result.score == baseline else result.p_value
            estimates[name].append(Estimate(score, float(result.mean), float(result.ci), p_value))
    return estimates


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


def _bleu() -> BLEU:
    return BLEU(force=True)  # force: no warnings about text that looks tokenised


def _score(metric: Any, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Score, Any]:
    result = metric.corpus_score(list(hypotheses), [list(lines) for lines in references])
    return Score(result.name, result.score, str(metric.get_signature())), result
