"""The systems of a report: what each said, and what its run was made to say besides."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from beamtrain.base.errors import UserError
from beamtrain.reporting.decodings import Candidate, Decodings, Line
from beamtrain.reporting.search_errors import best_of, forced_scores
from beamtrain.runs.loading import Run
from beamtrain.scoring.evaluation import Evaluation, checkpoint_name
from beamtrain.scoring.parallel_text import ParallelText, from_split
from beamtrain.search.options import SearchOptions

MOST_TRAINING_LINES = 200_000
"""Lines of a training text in which words are counted."""


@dataclass(frozen=True)
class ExactSearch:
    """Sentences that were searched exactly, and what beam searches of several sizes made of the same."""

    search: SearchOptions
    best: dict[int, Candidate | None]
    """Place of a sentence -> its best translation; None where the search was given up."""
    by_beam: dict[int, list[Line]]


@dataclass(frozen=True)
class System:
    """What is known of a system; all but its name may be missing."""

    name: str
    hypotheses: list[str] | None = None
    folder: Path | None = None
    """Of its run."""
    checkpoint: str | None = None
    step: int | None = None
    """The optimiser step that its weights are from."""
    search: SearchOptions | None = None
    n_best: list[Line] | None = None
    """The hypotheses first."""
    reference_scores: list[float | None] | None = None
    """By which the search would rank the reference (the best of several)."""
    sweep: list[tuple[SearchOptions, list[Line]]] = field(default_factory=list)
    exact: list[ExactSearch] = field(default_factory=list)


@dataclass(frozen=True)
class Depth:
    """How much a report has a run decode."""

    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
    """Beams of the sweep, each with the run's length penalty and without one."""
    exact_tokens: int = 12
    """Sentences of at most so many source tokens, the end included, are searched exactly; 0: none."""
    exact_prefixes: int = 2000
    """An exact search is given up where more prefixes are open at once."""


def of_run(name: str, run: Run, search: SearchOptions, text: ParallelText, depth: Depth, batch_tokens: int) -> System:
    """The run as a system: decoded now, or kept in its folder from an earlier report.

    Args:
        search: how the run's translations are found.
        batch_tokens: as of `beamtrain evaluate`.
    """
    decodings = Decodings(run, text.sources, batch_tokens)
    own = replace(search, n_best=1)
    criteria = [own] if own.length_penalty == "none" or own.alpha == 0 else [own, replace(own, length_penalty="none")]
    best = decodings.searched(own)
    n_best = decodings.searched(replace(own, n_best=own.beam_size), attention=True)
    by_beam = [
        {size: decodings.searched(replace(each, beam_size=size)) for size in sorted({*depth.sizes, own.beam_size})}
        for each in criteria
    ]
    exact = [
        ExactSearch(each, decodings.exact(each, depth.exact_tokens, depth.exact_prefixes), lines)
        for each, lines in zip(criteria, by_beam, strict=True)
        if depth.exact_tokens
    ]
    lengths = [len(line.source_tokens) for line in best]
    step = run.weights.get("step")
    return System(
        name=name,
        hypotheses=[line.candidates[0].text for line in best],
        folder=run.path,
        checkpoint=checkpoint_name(run),
        step=step if isinstance(step, int) else None,
        search=own,
        n_best=[_best_first(*pair) for pair in zip(best, n_best, strict=True)],
        reference_scores=best_of([forced_scores(decodings.forced(lines), lengths, own) for lines in text.references]),
        sweep=[
            (replace(each, beam_size=size), found)
            for each, lines in zip(criteria, by_beam, strict=True)
            for size, found in lines.items()
        ],
        exact=exact,
    )


def of_evaluation(evaluation: Evaluation, **known: Any) -> System:
    """What was evaluated, as a system that is named after its search; `known` fields of `System` may say more."""
    own: dict[str, Any] = {
        "name": f"beam {evaluation.search.beam_size}",
        "hypotheses": list(evaluation.hypotheses),
        "checkpoint": evaluation.checkpoint,
        "search": evaluation.search,
    }
    return System(**{**own, **known})


def of_evaluations(evaluations: Sequence[Evaluation]) -> list[System]:
    """Evaluations as systems, named after their searches, and after their engines where there are several."""
    several = len({each.engine for each in evaluations}) > 1
    return [
        of_evaluation(each, **({"name": f"beam {each.search.beam_size}, {each.engine}"} if several else {}))
        for each in evaluations
    ]


def _best_first(best: Line, n_best: Line) -> Line:
    """The n-best list with the translation that was scored at its head: two searches may differ where scores tie."""
    (first,) = best.candidates
    if n_best.candidates[0].text == first.text:
        return replace(n_best, candidates=[first, *n_best.candidates[1:]])
    others = [each for each in n_best.candidates if each.text != first.text]
    return replace(best, candidates=[first, *others])


def word_frequencies(run: Run, words: Callable[[str], list[str]]) -> tuple[Counter[str] | None, str]:
    """How often each word occurs in what the run was trained to say, and what was counted; or None, and why not."""
    try:
        text = from_split(run, "train", MOST_TRAINING_LINES)
    except UserError as error:
        return None, str(error)
    (lines,) = text.references
    counted = f"{len(lines):,} lines of the training text of {run.path}"
    return Counter(word for line in lines for word in words(line)), counted
