"""What every operator refuses, in one place: wrong sizes always, wrong values unless told not to look.

Looking at values on a GPU makes the host wait for the device. One look per call is cheap beside a training step, and
`with unchecked():` removes it. Compiled code (torch.compile) never looks: a raise on data would break the graph.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

import torch
from torch import Tensor

_looking = True


@contextmanager
def unchecked() -> Iterator[None]:
    """Inside, no operator reads a value back to the host; NaN and +inf then give NaN instead of an error."""
    global _looking
    before, _looking = _looking, False
    try:
        yield
    finally:
        _looking = before


def check_sizes(scores: Tensor, k: int, temperature: float, candidates: int | None = None) -> None:
    """Raise ValueError unless scores (..., N) are floating, 1 <= k <= candidates <= N and 0 < temperature < inf."""
    if not scores.is_floating_point():
        raise ValueError(f"scores must be floating point, got {scores.dtype}; convert them with .float()")
    if scores.dim() == 0 or scores.shape[-1] == 0:
        raise ValueError(f"scores need a last dimension of at least one candidate, got {tuple(scores.shape)}")
    if not 1 <= k <= scores.shape[-1]:
        raise ValueError(f"k must lie between 1 and the number of candidates {scores.shape[-1]}, got {k}")
    if candidates is not None and candidates < k:
        raise ValueError(f"candidates must be None (all) or at least k = {k}, got {candidates}")
    check_temperature(temperature)


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless 0 < temperature < inf."""
    if not 0 < temperature < inf:
        raise ValueError(f"temperature must be positive and finite (unit of the scores), got {temperature}")


def check_best(best: Tensor, k: int) -> None:
    """Raise ValueError when the hard top-k values, best first, show NaN, +inf or fewer than k finite scores.

    best: (..., >=k), as torch.topk gives it: NaN and +inf come first, -inf last, so two columns tell all.
    """
    if _may_look() and best.numel():
        first, last = torch.stack([best[..., 0].amax(), best[..., k - 1].amin()]).tolist()
        check_ends(first, last, k)


def check_ends(first: float, last: float, k: int) -> None:
    """The same for the largest of the best and the smallest of the k-th best scores (or NaN), already on the host."""
    if not first < inf:
        name = "+inf" if first == inf else "NaN"
        raise ValueError(f"scores contain {name}; only finite scores and -inf (masked) are allowed")
    if last == -inf:
        raise ValueError(f"k = {k} needs at least {k} finite scores in each row; a row has fewer (-inf is masked)")


def check_scores(scores: Tensor, k: int = 1) -> None:
    """The same check for scores (..., N) in any order."""
    if _may_look() and scores.numel():
        check_best(scores.topk(k, dim=-1).values if k > 1 else scores.amax(-1, keepdim=True), k)


def _may_look() -> bool:
    return _looking and not torch.compiler.is_compiling()


def may_wait(tensor: Tensor) -> bool:
    """Whether reading a value back is free of device synchronisation, so that an iteration may stop early."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()
