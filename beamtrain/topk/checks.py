"""What every operator refuses, in one place: wrong sizes always, wrong values unless told not to look.

Looking at values on a GPU makes the host wait for the device. One look per call is cheap beside a training step, and
`with unchecked():` removes it. Compiled code (torch.compile) never looks: a raise on data would break the graph.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

import torch
from torch import Tensor
from torch.func import debug_unwrap

_unchecked: ContextVar[int] = ContextVar("unchecked", default=0)  # how many `with unchecked():` the caller is inside


@contextmanager
def unchecked() -> Iterator[None]:
    """Inside, no operator reads a value back to the host; NaN and +inf then give NaN instead of an error.

    Holds for the thread or asynchronous task that enters it, and for none other.
    """
    if torch.compiler.is_compiling():  # which never looks, and could not follow this
        yield
        return
    _unchecked.set(_unchecked.get() + 1)
    try:
        yield
    finally:
        _unchecked.set(_unchecked.get() - 1)


def check_sizes(
    scores: Tensor, temperature: float | None = None, k: int | None = None, candidates: int | None = None
) -> None:
    """Raise ValueError unless scores (..., N) are floating, 0 < temperature < inf and 1 <= k <= candidates, N; only
    what the caller has is given."""
    if not isinstance(scores, Tensor):
        raise ValueError(f"scores must be a torch.Tensor, got {type(scores).__name__}")
    if not scores.is_floating_point():
        raise ValueError(f"scores must be floating point, got {scores.dtype}; convert them with .float()")
    if scores.dim() == 0 or scores.shape[-1] == 0:
        raise ValueError(f"scores need a last dimension of at least one candidate, got {tuple(scores.shape)}")
    if k is not None and not 1 <= k <= scores.shape[-1]:
        raise ValueError(f"k must lie between 1 and the number of candidates {scores.shape[-1]}, got {k}")
    if k is not None and candidates is not None and candidates < k:
        raise ValueError(f"candidates must be None (all) or at least k = {k}, got {candidates}")
    if temperature is not None:
        check_temperature(temperature)


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless 0 < temperature < inf."""
    if not 0 < temperature < inf:
        raise ValueError(f"temperature must be positive and finite (unit of the scores), got {temperature}")


def check_at_least(least: int, **number: int) -> None:
    """Raise ValueError unless the number, given by its name, is at least `least`."""
    for name, value in number.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def check_best(best: Tensor, k: int) -> None:
    """Raise ValueError when the hard top-k values, best first, show NaN, +inf or fewer than k finite scores.

    best: (..., >=k), as torch.topk gives it: NaN and +inf come first, -inf last, so two columns tell all.
    """
    first, last = _looked_at(best[..., 0], best[..., k - 1])
    check_first(first)
    if last == -inf:
        raise ValueError(f"k = {k} needs at least {k} finite scores in each row; a row has fewer (-inf is masked)")


def check_scores(scores: Tensor, k: int | None = None) -> None:
    """The same for scores (..., N) in any order; without k: unless each row holds one finite score."""
    if not _may_look():
        return
    if k is None:
        best = scores.amax(-1)
        check_rows(*_looked_at(best, best))
    else:
        check_best(scores.topk(k, dim=-1).values, k)


def check_unmasked(scores: Tensor) -> None:
    """Raise ValueError for NaN, +inf or -inf, where each of the scores (..., N) gets a row of its own."""
    first, last = _looked_at(scores, scores)
    check_first(first)
    if last == -inf:
        raise ValueError("scores contain -inf (masked), but each of them gets a row here; leave the masked ones out")


def check_rows(best: float, worst: float) -> None:
    """Raise ValueError for what the best scores of all rows show, given the largest (or NaN) and the smallest."""
    check_first(best)
    if worst == -inf:
        raise ValueError("each row of scores needs at least one finite score; a row has none (-inf is masked)")


def check_first(first: float) -> None:
    """Raise ValueError unless the largest of all scores is below +inf, and not NaN."""
    if not first < inf:
        name = "+inf" if first == inf else "NaN"
        raise ValueError(f"scores contain {name}; only finite scores and -inf (masked) are allowed")


def check_within(name: str, values: Tensor, low: float, high: float, hint: str = "") -> None:
    """Raise ValueError unless the values, given by their name, are finite and lie in [low, high]."""
    if not _may_look() or not values.numel():
        return
    seen = debug_unwrap(values)
    least, most = torch.stack([seen.amin(), seen.amax()]).tolist()  # NaN if any is
    if not (low <= least and most <= high and -inf < least and most < inf):
        allowed = "finite" if low == -inf else f"finite and at least {low}" if high == inf else f"in [{low}, {high}]"
        raise ValueError(f"{name} must be {allowed}, got {least} to {most}{hint}")


def check_finite(result: Tensor, message: str) -> None:
    """Raise ValueError with the message where a result overflowed."""
    if _may_look() and not bool(debug_unwrap(result).isfinite().all()):
        raise ValueError(message)


def _may_look() -> bool:
    return not torch.compiler.is_compiling() and not _unchecked.get()


def _looked_at(high: Tensor, low: Tensor) -> tuple[float, float]:
    """The largest of the first (or NaN) and the smallest of the second, under vmap of all that is batched; 0 where
    there is nothing, or none may look."""
    if not _may_look():
        return 0.0, 0.0
    high, low = debug_unwrap(high), debug_unwrap(low)
    if not high.numel():
        return 0.0, 0.0
    largest, smallest = torch.stack([high.amax(), low.amin()]).tolist()
    return largest, smallest
