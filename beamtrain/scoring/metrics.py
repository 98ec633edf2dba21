"""Scores of translations, computed by sacrebleu: a value never travels without the signature that makes it comparable.

BLEU is cased and tokenised by 13a unless `ScoringOptions` says otherwise (Papineni et al. 2002; Post 2018), chrF2 has
character 6-grams and beta 2 (Popović 2015), chrF2++ word bigrams besides (Popović 2017), TER is tercom's (Snover et al.
2006). One more list of references per argument makes them multi-reference scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from beamtrain.base.errors import UserError
from beamtrain.runs.scoring_options import ScoringOptions

DEFAULT = ScoringOptions()
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
    """What is reported for one set of translations; `length_ratio` is output words over reference words, as of BLEU."""

    bleu: Score
    chrf: Score
    """chrF2, or chrF2++ where that is the metric of validation."""
    ter: Score
    length_ratio: float
    sentences: int

    @property
    def all(self) -> tuple[Score, ...]:
        """The scores in the order in which they are shown."""
        return self.bleu, self.chrf, self.ter


@dataclass(frozen=True)
class Estimate:
    """A score with its bootstrap mean, the half width of its 95% interval, and p against the baseline (None for it)."""

    score: Score
    mean: float
    half_width: float
    p_value: float | None


def corpus_score(hypotheses: Sequence[str], *references: Sequence[str], options: ScoringOptions = DEFAULT) -> Score:
    """The one score that `options.metric` names: what training watches on the development set."""
    check_lines(hypotheses, *references)
    metric = {"bleu": _bleu, "ter": _ter}.get(options.metric, _chrf)
    return _score(metric(options), hypotheses, references)[0]


def score_corpus(
    hypotheses: Sequence[str], *references: Sequence[str], options: ScoringOptions = DEFAULT
) -> CorpusScores:
    """BLEU, chrF2 and TER of `hypotheses`.

    Raises UserError when there are no lines or the numbers of lines differ.
    """
    check_lines(hypotheses, *references)
    bleu, detail = _score(_bleu(options), hypotheses, references)
    chrf, _ = _score(_chrf(options), hypotheses, references)
    ter, _ = _score(_ter(options), hypotheses, references)
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
    systems: Mapping[str, Sequence[str]],
    *references: Sequence[str],
    samples: int = 1000,
    options: ScoringOptions = DEFAULT,
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
        {"BLEU": _bleu(options), "chrF2": CHRF()},
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
