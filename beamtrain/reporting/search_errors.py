"""Whose fault a translation is: the search's, which missed what the model likes better, or the model's.

A reference that scores higher than the output shows that the search has failed; an output that scores higher and is not
the reference, that the model has (Stahlberg and Byrne 2019; Meister et al. 2020, "If beam search is the answer, what
was the question?"). Exact search says so for certain: it has found the best translation there is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import binomtest

from beamtrain.reporting.decodings import Candidate, Line
from beamtrain.search.exact import ROUNDING
from beamtrain.search.length import length_penalties, longest_translations
from beamtrain.search.options import SearchOptions
from beamtrain.translating.forced import Forced

SEARCH_ERROR, MODEL_ERROR, REFERENCE_FOUND = "search error", "model error", "reference found"


def forced_scores(
    forced: Sequence[Forced | None], source_lengths: Sequence[int], search: SearchOptions
) -> list[float | None]:
    """The scores by which the search would rank these translations; None for one of a length that it does not allow.

    Args:
        source_lengths: tokens of each source, EOS included.
    """
    limits = longest_translations(source_lengths, search)
    longest = max((each.length for each in forced if each), default=0)
    penalties = length_penalties(longest, search.length_penalty, search.alpha).tolist()
    return [
        each.log_prob / penalties[each.length] if each and search.min_length <= each.length <= limit else None
        for each, limit in zip(forced, limits, strict=True)
    ]


def best_of(references: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Of several references of each sentence the one that scores best."""
    return [
        max((score for score in scores if score is not None), default=None) for scores in zip(*references, strict=True)
    ]


def verdicts(
    outputs: Sequence[Candidate], reference_scores: Sequence[float | None], references: Sequence[Sequence[str]]
) -> list[str | None]:
    """What each output is; None for a line that was left untranslated, or whose reference could not be found."""
    found: list[str | None] = []
    for place, (output, score) in enumerate(zip(outputs, reference_scores, strict=True)):
        if score is None:
            found.append(None)
        elif output.text in [lines[place] for lines in references]:
            found.append(REFERENCE_FOUND)
        else:
            found.append(SEARCH_ERROR if score > output.score + ROUNDING else MODEL_ERROR)
    return found


def shares(verdicts: Sequence[str | None]) -> list[dict[str, Any]]:
    """Of all sentences that were translated, how many are of each kind."""
    known = [verdict for verdict in verdicts if verdict is not None]
    return [
        {"verdict": kind, **share(known.count(kind), len(known))}
        for kind in (SEARCH_ERROR, MODEL_ERROR, REFERENCE_FOUND)
    ]


def share(count: int, of: int) -> dict[str, Any]:
    """A share with its 95% interval (Wilson 1927), from 0 to 1."""
    if not of:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    bounds = binomtest(count, of).proportion_ci(0.95, "wilson")
    return {"count": count, "of": of, "share": count / of, "low": float(bounds.low), "high": float(bounds.high)}


def against_exact(
    search: SearchOptions, exact: Mapping[int, Candidate | None], by_beam: Mapping[int, Sequence[Line]]
) -> dict[str, Any]:
    """How often a beam search of each size misses the best translation, over the sentences searched exactly.

    Args:
        search: how was searched, but for the size of the beam.
        exact: place of a sentence -> the best translation, None where the search was given up.
        by_beam: beam size -> what it found for all sentences.
    """
    optima = {place: best for place, best in exact.items() if best is not None}
    missed = []
    for size, lines in sorted(by_beam.items()):
        errors = [place for place, best in optima.items() if lines[place].candidates[0].score < best.score - ROUNDING]
        missed.append({"beam_size": size, **share(len(errors), len(optima))})
    return {
        "length_penalty": search.length_penalty,
        "alpha": search.alpha,
        "sentences": len(exact),
        "decided": len(optima),
        "missed": missed,
        "empty": share(sum(not best.text for best in optima.values()), len(optima)),
    }
